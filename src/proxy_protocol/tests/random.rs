//! Random headers, which follow from a seed.

use super::{decode, encoded, header};
use crate::proxy_protocol::{ProxyAddress, ProxyHeader, Tlv, Version};
use crate::random::SplitMix64;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The generator of headers.
pub(super) struct Headers(pub(super) SplitMix64);

impl Headers {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        let length = self.0.below(max + 1);
        (0..length).map(|_| self.0.next() as u8).collect()
    }

    fn ipv6(&mut self) -> Ipv6Addr {
        let bits = u128::from(self.0.next()) << 64 | u128::from(self.0.next());
        // Runs of zeros, which are written as `::`.
        let zeros = self.0.next() as u8;
        let mut segments = Ipv6Addr::from_bits(bits).segments();
        (0..8).filter(|index| zeros >> index & 1 == 1).for_each(|index| segments[index] = 0);
        segments.into()
    }

    fn tcp(&mut self, is_v4: bool) -> ProxyAddress {
        let ip = if is_v4 {
            IpAddr::from(Ipv4Addr::from_bits(self.0.next() as u32))
        } else {
            IpAddr::from(self.ipv6())
        };
        SocketAddr::new(ip, self.0.next() as u16).into()
    }

    /// A path, an abstract name, or none.
    fn unix(&mut self) -> ProxyAddress {
        let mut name = self.bytes(107);
        name.iter_mut().for_each(|byte| *byte = (*byte).max(1));
        match self.0.below(4) {
            0 => name.insert(0, 0),
            1 => name.clear(),
            _ => {}
        }
        // An abstract name cannot be told from none if it is empty.
        let name = if name == [0] { Vec::new() } else { name };
        ProxyAddress::Unix(name.into())
    }

    /// A header that decodes to itself, apart from its checksum.
    pub(super) fn next(&mut self) -> ProxyHeader {
        let header = match self.0.below(8) {
            0 => ProxyHeader::local(),
            1 => ProxyHeader::unspecified(),
            2 => ProxyHeader::new(self.unix(), self.unix()),
            3..=5 => ProxyHeader::new(self.tcp(true), self.tcp(true)),
            _ => ProxyHeader::new(self.tcp(false), self.tcp(false)),
        };
        let is_v1_expressible = header.source().is_none_or(|it| it.ip().is_some());
        if self.0.below(3) == 0 && is_v1_expressible && header != ProxyHeader::local() {
            return header.with_version(Version::V1);
        }
        self.with_tlvs(header)
    }

    fn with_tlvs(&mut self, mut header: ProxyHeader) -> ProxyHeader {
        for _ in 0..self.0.below(5) {
            let (kind, value) = match self.0.below(5) {
                0 => (Tlv::UNIQUE_ID, self.bytes(128)),
                1 => (Tlv::AUTHORITY, b"example.org".to_vec()),
                2 => {
                    let inner = self.bytes(20);
                    let flags = [self.0.next() as u8, 0, 0, 0, 0];
                    (Tlv::SSL, [&flags[..], &super::tlv(Tlv::SSL_CN, &inner)].concat())
                }
                // Those of applications.
                3 => (0xE0 + self.0.below(16) as u8, self.bytes(500)),
                _ => (Tlv::NOOP, self.bytes(8)),
            };
            header = header.with_tlv(kind, &value).unwrap();
        }
        if self.0.below(3) == 0 { header.with_checksum().unwrap() } else { header }
    }
}

#[test]
fn a_header_survives_encoding_and_decoding() {
    let mut headers = Headers::new(1);
    let mut seen = [0; 2];
    for _ in 0..5000 {
        let sent = headers.next();
        let bytes = encoded(&sent);
        let received = header(&bytes);
        assert_eq!(encoded(&received), bytes, "{sent:?}");
        let has_checksum = sent.tlvs().any(|tlv| tlv.kind == Tlv::CRC32C);
        seen[usize::from(has_checksum)] += 1;
        if has_checksum {
            // Only the checksum itself differs, which was zero.
            let facts = |header: &ProxyHeader| {
                let tlvs = header.tlvs().filter(|tlv| tlv.kind != Tlv::CRC32C);
                let tlvs: Vec<_> = tlvs.map(|tlv| (tlv.kind, tlv.value.to_vec())).collect();
                (header.source().cloned(), header.destination().cloned(), header.command(), tlvs)
            };
            assert_eq!(facts(&received), facts(&sent));
        } else {
            assert_eq!(received, sent);
        }
    }
    assert!(seen.iter().all(|&count| count > 500), "{seen:?}");
}

#[test]
fn random_bytes_behind_a_valid_beginning_are_decoded_or_refused() {
    let mut headers = Headers::new(2);
    let mut seen = [0; 2];
    for _ in 0..20_000 {
        let mut bytes = encoded(&headers.next());
        let kept = headers.0.below(bytes.len() as u64) as usize;
        bytes.truncate(kept);
        let mut tail = headers.bytes(40);
        if headers.0.below(2) == 0 {
            // The alphabet of version 1.
            let letters = b"0123456789.: \r\nfF";
            tail.iter_mut().for_each(|it| *it = letters[*it as usize % letters.len()]);
        }
        bytes.extend_from_slice(&tail);
        match decode(&bytes) {
            Ok((header, length)) => {
                assert!(length <= bytes.len());
                // What is decoded can be encoded, and is decoded again.
                let again = super::header(&encoded(&header));
                assert_eq!((again.source(), again.version()), (header.source(), header.version()));
                seen[0] += 1;
            }
            Err(error) => {
                assert!(error.offset() <= bytes.len(), "{error}");
                seen[1] += 1;
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}
