//! Version 2: the fixed part, the addresses, the TLVs.

use super::{SIGNATURE, addresses, header, refusal, tlv, version2};
use crate::proxy_protocol::{Command, HEADER_MAX, ProxyAddress, ProxyErrorKind, Tlv, Version};

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x9C, 0x41, 0x01, 0xBB];

fn v4_with(tlvs: &[u8]) -> Vec<u8> {
    version2(0x21, 0x11, &[&V4, tlvs].concat())
}

fn v6() -> Vec<u8> {
    let mut rest = [0; 36];
    rest[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    (rest[15], rest[31]) = (1, 2);
    rest[33] = 80;
    rest[35] = 81;
    rest.into()
}

fn unix(source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut rest = vec![0; 216];
    rest[..source.len()].copy_from_slice(source);
    rest[108..108 + destination.len()].copy_from_slice(destination);
    rest
}

#[test]
fn addresses_of_streams_are_decoded() {
    let ipv4 = header(&v4_with(&[]));
    assert_eq!((ipv4.version(), ipv4.command()), (Version::V2, Command::Proxy));
    let expected = ("192.0.2.1:40001".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
    assert_eq!(addresses(&ipv4), Some(expected));
    let ipv6 = header(&version2(0x21, 0x21, &v6()));
    let expected = ("[2001:db8::1]:80".parse().unwrap(), "[::2]:81".parse().unwrap());
    assert_eq!(addresses(&ipv6), Some(expected));
}

#[test]
fn unix_addresses_end_where_their_padding_begins() {
    let longest = [b'x'; 108];
    for (field, name) in [
        (&b"/run/app.sock"[..], &b"/run/app.sock"[..]),
        (b"/run/app.sock\0left over", b"/run/app.sock"),
        (b"", b""),
        (b"\0abstract\0name", b"\0abstract\0name"),
        (&longest, &longest),
    ] {
        let header = header(&version2(0x21, 0x31, &unix(field, b"/run/to")));
        assert_eq!(header.source(), Some(&ProxyAddress::Unix(name.into())));
        assert_eq!(header.destination(), Some(&ProxyAddress::Unix(b"/run/to"[..].into())));
    }
}

#[test]
fn local_headers_have_no_addresses_whatever_is_in_them() {
    let unique_id = tlv(Tlv::UNIQUE_ID, b"id");
    for (family, rest, tlvs) in [
        // haproxy's health check, and with TLVs.
        (0x00, vec![], 0),
        (0x00, unique_id.clone(), 1),
        // Amazon's network load balancer announces TCP over IPv4, with dummy addresses.
        (0x11, V4.to_vec(), 0),
        (0x11, [&V4, &unique_id[..]].concat(), 1),
        // The block is ignored, so nothing in it is an error.
        (0x11, vec![1, 2, 3], 0),
        (0x00, V4.to_vec(), 0),
        (0xF7, vec![], 0),
        (0x00, [&unique_id[..], &[0xFF]].concat(), 0),
    ] {
        let bytes = version2(0x20, family, &rest);
        let header = header(&bytes);
        assert_eq!((header.version(), header.command()), (Version::V2, Command::Local));
        assert_eq!((header.source(), header.destination()), (None, None));
        assert_eq!(header.tlvs().count(), tlvs, "{}", bytes.escape_ascii());
    }
}

#[test]
fn addresses_that_are_not_of_a_stream_are_not_shown() {
    let unique_id = tlv(Tlv::UNIQUE_ID, b"id");
    for (family, rest) in [
        (0x00, vec![]),
        (0x01, vec![]),
        (0x02, vec![]),
        (0x10, V4.to_vec()),
        (0x12, V4.to_vec()),
        (0x20, v6()),
        (0x22, v6()),
        (0x30, unix(b"/run/from", b"/run/to")),
        (0x32, unix(b"/run/from", b"/run/to")),
    ] {
        let header = header(&version2(0x21, family, &[&rest[..], &unique_id].concat()));
        assert_eq!((header.command(), header.source()), (Command::Proxy, None), "{family:#x}");
        assert_eq!(header.unique_id(), Some(&b"id"[..]), "{family:#x}");
    }
    // Addresses without a family, for a log: no TLVs.
    assert_eq!(header(&version2(0x21, 0x00, &V4)).tlvs().count(), 0);
}

#[test]
fn a_fixed_part_that_the_specification_does_not_allow_is_refused() {
    use ProxyErrorKind::{Command, Family, HeaderTooLong, HeaderTooShort, Transport, Version};
    let fixed = |bytes: &[u8]| [SIGNATURE, bytes].concat();
    for (bytes, at, kind) in [
        (fixed(&[0x11]), 12, Version { version: 1 }),
        (fixed(&[0x31]), 12, Version { version: 3 }),
        (fixed(&[0x00]), 12, Version { version: 0 }),
        (fixed(&[0x22]), 12, Command { command: 2 }),
        (fixed(&[0x2F]), 12, Command { command: 15 }),
        (fixed(&[0x21, 0x41]), 13, Family { family: 4 }),
        (fixed(&[0x21, 0xF1]), 13, Family { family: 15 }),
        (fixed(&[0x21, 0x13]), 13, Transport { transport: 3 }),
        (fixed(&[0x21, 0x0F]), 13, Transport { transport: 15 }),
        (fixed(&[0x21, 0x11, 0, 11]), 14, HeaderTooShort { length: 11, needed: 12 }),
        (fixed(&[0x21, 0x21, 0, 35]), 14, HeaderTooShort { length: 35, needed: 36 }),
        (fixed(&[0x21, 0x31, 0, 215]), 14, HeaderTooShort { length: 215, needed: 216 }),
        (fixed(&[0x21, 0x12, 0, 0]), 14, HeaderTooShort { length: 0, needed: 12 }),
        (fixed(&[0x21, 0x11, 0x0F, 0xF1]), 14, HeaderTooLong { length: HEADER_MAX + 1 }),
        (fixed(&[0x20, 0x00, 0xFF, 0xFF]), 14, HeaderTooLong { length: 65551 }),
    ] {
        assert_eq!(refusal(&bytes), (at, kind), "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_longest_header_is_decoded() {
    let value = vec![7; HEADER_MAX - 16 - 12 - 3];
    let bytes = v4_with(&tlv(0xE0, &value));
    assert_eq!(bytes.len(), HEADER_MAX);
    let header = header(&bytes);
    assert_eq!(
        header.tlvs().map(|tlv| (tlv.kind, tlv.value.len())).collect::<Vec<_>>(),
        [(0xE0, value.len())]
    );
}

#[test]
fn tlvs_are_found_by_their_type() {
    let tls = [
        &[0x07, 0, 0, 0, 0][..],
        &tlv(Tlv::SSL_VERSION, b"TLSv1.3"),
        &tlv(Tlv::SSL_CN, "büro.example".as_bytes()),
        &tlv(Tlv::SSL_CIPHER, b"TLS_AES_256_GCM_SHA384"),
    ];
    let header = header(&v4_with(
        &[
            tlv(Tlv::NOOP, b""),
            tlv(Tlv::ALPN, b"h2"),
            tlv(Tlv::AUTHORITY, b"example.org"),
            tlv(Tlv::AUTHORITY, b"second.example"),
            tlv(Tlv::UNIQUE_ID, &[0; 128]),
            tlv(Tlv::SSL, &tls.concat()),
            tlv(Tlv::NETNS, b"blue"),
            tlv(0xEA, b"\x01vpce-1"),
        ]
        .concat(),
    ));
    assert_eq!(header.alpn(), Some(&b"h2"[..]));
    assert_eq!(header.authority(), Some("example.org"));
    assert_eq!(header.unique_id(), Some(&[0; 128][..]));
    assert_eq!(header.netns(), Some("blue"));
    assert_eq!(header.tlvs().last().unwrap().value, b"\x01vpce-1");
    let kinds: Vec<u8> = header.tlvs().map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [0x04, 0x01, 0x02, 0x02, 0x05, 0x20, 0x30, 0xEA]);
    let tls = header.tls().unwrap();
    assert!(tls.is_tls() && tls.has_certificate() && tls.is_verified());
    assert_eq!((tls.version(), tls.common_name()), (Some("TLSv1.3"), Some("büro.example")));
    assert_eq!(tls.cipher(), Some("TLS_AES_256_GCM_SHA384"));
}

#[test]
fn without_a_certificate_nothing_is_verified() {
    for (value, tls, certificate, verified) in [
        // haproxy sends the first for a client without TLS: a result of zero, of nothing.
        ([0x00, 0, 0, 0, 0], false, false, false),
        ([0x01, 0, 0, 0, 0], true, false, false),
        ([0x03, 0, 0, 0, 0], true, true, true),
        ([0x05, 0, 0, 0, 0], true, true, true),
        ([0x07, 0, 0, 0, 18], true, true, false),
        ([0x07, 1, 0, 0, 0], true, true, false),
    ] {
        let header = header(&v4_with(&tlv(Tlv::SSL, &value)));
        let info = header.tls().unwrap();
        let facts = (info.is_tls(), info.has_certificate(), info.is_verified());
        assert_eq!(facts, (tls, certificate, verified), "{value:?}");
    }
}

#[test]
fn text_that_is_not_utf8_is_not_shown_as_text() {
    let header = header(&v4_with(&tlv(Tlv::AUTHORITY, b"\xff")));
    assert_eq!(header.authority(), None);
    assert_eq!(header.tlvs().next().unwrap().value, b"\xff");
}

#[test]
fn tlvs_that_do_not_fit_are_refused() {
    use ProxyErrorKind::{SecondChecksum, TlvLength, TlvTooLong};
    let noop = tlv(Tlv::NOOP, b"12345");
    let checksum = tlv(Tlv::CRC32C, &[0; 4]);
    let ssl = |inner: &[u8]| tlv(Tlv::SSL, &[&[1, 0, 0, 0, 0], inner].concat());
    for (tlvs, at, kind) in [
        (vec![0x04], 28, TlvTooLong),
        (vec![0x04, 0], 28, TlvTooLong),
        (vec![0x04, 0, 1], 28, TlvTooLong),
        ([&noop[..], &[0x04, 0xFF, 0xFF, 1]].concat(), 36, TlvTooLong),
        ([&noop[..], &[0]].concat(), 36, TlvTooLong),
        (tlv(Tlv::CRC32C, &[0; 3]), 28, TlvLength { kind: 3, length: 3 }),
        (tlv(Tlv::CRC32C, &[0; 5]), 28, TlvLength { kind: 3, length: 5 }),
        (tlv(Tlv::UNIQUE_ID, &[0; 129]), 28, TlvLength { kind: 5, length: 129 }),
        (tlv(Tlv::SSL, &[1, 0, 0, 0]), 28, TlvLength { kind: 0x20, length: 4 }),
        (ssl(&[0x21, 0]), 28, TlvTooLong),
        (ssl(&[0x21, 0, 2, b'x']), 28, TlvTooLong),
        ([&checksum[..], &noop, &checksum].concat(), 43, SecondChecksum),
    ] {
        assert_eq!(refusal(&v4_with(&tlvs)), (at, kind), "{}", tlvs.escape_ascii());
    }
}

#[test]
fn a_checksum_is_checked_wherever_it_stands() {
    // By an implementation bit by bit.
    let crc = |bytes: &[u8]| {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
            }
        }
        !crc
    };
    let (noop, checksum) = (tlv(Tlv::NOOP, b"123"), tlv(Tlv::CRC32C, &[0; 4]));
    let both = [&noop[..], &checksum[..]];
    for (tlvs, at) in [(both.concat(), 37), ([both[1], both[0]].concat(), 31)] {
        let mut bytes = v4_with(&tlvs);
        let value = crc(&bytes).to_be_bytes();
        bytes[at..at + 4].copy_from_slice(&value);
        assert_eq!(header(&bytes).tlvs().count(), 2);
        // Those of the addresses and TLVs can only be found by the checksum.
        for changed in (16..28).chain([at, at + 3]) {
            let mut bytes = bytes.clone();
            bytes[changed] ^= 0x40;
            assert_eq!(refusal(&bytes), (at, ProxyErrorKind::Checksum), "{changed}");
        }
    }
    // In a header of the proxy itself as well.
    let mut local = version2(0x20, 0x00, &checksum);
    let value = crc(&local).to_be_bytes();
    local[19..].copy_from_slice(&value);
    assert_eq!(header(&local).tlvs().count(), 1);
    local[22] ^= 1;
    assert_eq!(refusal(&local), (19, ProxyErrorKind::Checksum));
}
