//! CRC-32C, Castagnoli's checksum (RFC 4960, appendix B), a byte at a time.

/// The polynomial 0x1EDC6F41, with its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut entry = index as u32;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ if entry & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[index] = entry;
        index += 1;
    }
    table
}

/// Returns the checksum of the pieces, as if they were one.
pub(super) fn checksum(pieces: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[(crc as u8 ^ byte) as usize];
    !pieces.iter().copied().flatten().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_those_of_the_rfc() {
        // RFC 3720, appendix B.4, and the usual check value.
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in [
            (&[0; 32][..], 0x8A91_36AA),
            (&[0xFF; 32], 0x62A8_AB43),
            (&ascending, 0x46DD_794E),
            (b"123456789", 0xE306_9283),
            (b"", 0),
        ] {
            assert_eq!(checksum(&[bytes]), expected, "{bytes:?}");
            let (before, after) = bytes.split_at(bytes.len() / 2);
            assert_eq!(checksum(&[before, &[], after]), expected, "{bytes:?}");
        }
    }
}
