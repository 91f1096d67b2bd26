//! Headers in pieces, cut short, and damaged.

use super::random::Headers;
use super::{decode, encoded, vectors};
use crate::proxy_protocol::{
    Decoded, HEADER_MAX, ProxyDecoder, ProxyError, ProxyErrorKind, ProxyHeader,
};

const BEHIND: &[u8] = b"\x16\x03\x01 the next layer";

/// Recorded and random headers, each without what follows it.
fn headers() -> Vec<Vec<u8>> {
    let mut random = Headers::new(3);
    let random = (0..40).map(|_| encoded(&random.next()));
    let recorded = vectors::cases();
    recorded.into_iter().map(|case| case.bytes[..case.length].to_vec()).chain(random).collect()
}

/// Gives the pieces to a decoder one after the other. Returns its result, and the length of all
/// pieces that belongs to the header.
fn decode_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(ProxyHeader, usize), ProxyError> {
    let mut decoder = ProxyDecoder::new();
    let mut before = 0;
    for piece in pieces {
        match decoder.receive(piece)? {
            Decoded::Complete { header, length } => return Ok((header, before + length)),
            Decoded::Incomplete { wanted } => {
                before += piece.len();
                assert!(wanted > 0 && wanted == decoder.wanted());
                assert_eq!(decoder.received(), before);
            }
        }
    }
    Err(decoder.truncated())
}

#[test]
fn every_prefix_of_a_header_needs_more_and_never_more_than_is_missing() {
    for header in headers() {
        for end in 0..header.len() {
            let mut decoder = ProxyDecoder::new();
            let Ok(Decoded::Incomplete { wanted }) = decoder.receive(&header[..end]) else {
                panic!("{} is a prefix", header[..end].escape_ascii());
            };
            assert!((1..=header.len() - end).contains(&wanted), "{end} {wanted}");
            let error = decoder.truncated();
            assert_eq!((error.offset(), error.kind()), (end, &ProxyErrorKind::Truncated));
        }
    }
}

#[test]
fn every_split_gives_the_same_header_and_the_same_rest() {
    for header in headers() {
        let bytes = [&header, BEHIND].concat();
        let whole = decode(&bytes).unwrap();
        assert_eq!(whole.1, header.len());
        for at in 0..=bytes.len().min(300) {
            let (first, second) = bytes.split_at(at);
            assert_eq!(decode_pieces([first, &[], second]).unwrap(), whole, "{at}");
        }
        assert_eq!(decode_pieces(bytes.chunks(1)).unwrap(), whole);
        assert_eq!(decode_pieces(bytes.chunks(7)).unwrap(), whole);
    }
}

#[test]
fn reads_of_the_wanted_length_end_with_the_header() {
    for header in headers() {
        let bytes = [&header, BEHIND].concat();
        let mut decoder = ProxyDecoder::new();
        let (mut at, mut reads) = (0, 0);
        let length = loop {
            let end = at + decoder.wanted();
            reads += 1;
            match decoder.receive(&bytes[at..end]).unwrap() {
                Decoded::Incomplete { .. } => at = end,
                Decoded::Complete { length, .. } => break at + length,
            }
        };
        assert_eq!(length, header.len());
        // Version 1 needs a few for each address that is longer than it might be.
        assert!(reads <= 16, "{reads} reads of {}", header.escape_ascii());
    }
}

#[test]
fn damage_of_any_byte_is_decoded_or_refused_alike_in_one_piece_and_in_many() {
    let (mut decoded, mut refused) = (0, 0);
    for header in headers() {
        for at in 0..header.len().min(200) {
            let values =
                [0, b' ', b'\r', b'\n'].into_iter().chain((0..8).map(|bit| header[at] ^ 1 << bit));
            for value in values.filter(|value| *value != header[at]) {
                let mut bytes = [&header, BEHIND].concat();
                bytes[at] = value;
                let whole = decode(&bytes);
                assert_eq!(decode_pieces(bytes.chunks(1)), whole);
                match whole {
                    Ok((_, length)) => {
                        assert!(length <= bytes.len());
                        decoded += 1;
                    }
                    Err(error) => {
                        assert!(error.offset() <= bytes.len());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(decoded > 1000 && refused > 1000, "{decoded} {refused}");
}

#[test]
fn a_checksum_finds_damage_of_any_byte() {
    let with_checksum = vectors::cases().into_iter().filter(|case| case.id.contains("crc32c"));
    let headers: Vec<_> = with_checksum.map(|case| case.bytes[..case.length].to_vec()).collect();
    assert!(headers.len() >= 4);
    for header in headers {
        for at in 0..header.len() {
            for bit in 0..8 {
                let mut bytes = header.clone();
                bytes[at] ^= 1 << bit;
                if let Ok((decoded, _)) = decode(&bytes) {
                    // The type, the length or what they belong to is damaged: no checksum is left.
                    let checksum = |tlv: crate::proxy_protocol::Tlv<'_>| tlv.kind == 3;
                    assert!(!decoded.tlvs().any(checksum), "{at} {bit}");
                }
            }
        }
    }
}

#[test]
fn an_error_stays_and_nothing_is_decoded_after_a_header() {
    let mut decoder = ProxyDecoder::new();
    let error = decoder.receive(b"GET").unwrap_err();
    assert_eq!(decoder.receive(b"PROXY UNKNOWN\r\n").unwrap_err(), error);
    assert_eq!(decoder.receive(b"").unwrap_err(), error);
    assert_eq!((decoder.truncated(), decoder.wanted(), decoder.received()), (error, 0, 0));

    let mut decoder = ProxyDecoder::new();
    assert!(matches!(decoder.receive(b"PROXY UNKNOWN\r\n"), Ok(Decoded::Complete { .. })));
    let error = decoder.receive(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n").unwrap_err();
    assert_eq!((error.offset(), error.kind()), (15, &ProxyErrorKind::AlreadyComplete));
}

#[test]
fn an_announced_length_takes_no_memory_before_the_bytes_arrive() {
    let length = (HEADER_MAX - 16) as u16;
    let fixed = [super::SIGNATURE, &[0x20, 0], &length.to_be_bytes()].concat();
    let mut decoder = ProxyDecoder::new();
    let decoded = decoder.receive(&fixed).unwrap();
    assert_eq!(decoded, Decoded::Incomplete { wanted: usize::from(length) });
    assert!(decoder.capacity() < 64, "{}", decoder.capacity());
    // All of them may come a byte at a time.
    let rest = vec![0xFF; usize::from(length) - 1];
    rest.chunks(1).for_each(|byte| assert!(decoder.receive(byte).is_ok()));
    assert!(decoder.capacity() <= 2 * HEADER_MAX, "{}", decoder.capacity());
    assert!(matches!(decoder.receive(b"12"), Ok(Decoded::Complete { length: 1, .. })));
    assert_eq!(decoder.capacity(), 0);
}
