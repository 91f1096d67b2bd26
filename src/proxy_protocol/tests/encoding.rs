//! Encoding, by what the specification says of each form.

use super::{encoded, header, tlv, version2};
use crate::proxy_protocol::{ProxyAddress, ProxyErrorKind, ProxyHeader, Tlv, Version};
use std::net::SocketAddr;

fn tcp(text: &str) -> ProxyAddress {
    text.parse::<SocketAddr>().unwrap().into()
}

fn unix(name: &[u8]) -> ProxyAddress {
    ProxyAddress::Unix(name.into())
}

fn line(source: ProxyAddress, destination: ProxyAddress) -> String {
    let header = ProxyHeader::new(source, destination).with_version(Version::V1);
    String::from_utf8(encoded(&header)).unwrap()
}

#[test]
fn version_1_writes_what_it_can_express_and_otherwise_unknown() {
    for (source, destination, expected) in [
        (
            tcp("192.168.0.1:56324"),
            tcp("192.168.0.11:443"),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        ),
        (tcp("[2001:db8::1]:1"), tcp("[::]:0"), "PROXY TCP6 2001:db8::1 :: 1 0\r\n"),
        // A scope is of this machine only.
        (tcp("[fe80::1%3]:1"), tcp("[fe80::2%3]:2"), "PROXY TCP6 fe80::1 fe80::2 1 2\r\n"),
        (
            tcp("[::ffff:192.0.2.1]:1"),
            tcp("[::ffff:192.0.2.2]:2"),
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ),
        (
            tcp("[::ffff:192.0.2.1]:1"),
            tcp("[2001:db8::1]:2"),
            "PROXY TCP6 ::ffff:c000:201 2001:db8::1 1 2\r\n",
        ),
        (tcp("192.0.2.1:1"), tcp("[2001:db8::1]:2"), "PROXY UNKNOWN\r\n"),
        (unix(b"/run/from"), unix(b"/run/to"), "PROXY UNKNOWN\r\n"),
        (unix(b"/run/from"), tcp("192.0.2.1:1"), "PROXY UNKNOWN\r\n"),
    ] {
        assert_eq!(line(source, destination), expected);
    }
    for header in [ProxyHeader::local(), ProxyHeader::unspecified()] {
        assert_eq!(encoded(&header.with_version(Version::V1)), b"PROXY UNKNOWN\r\n");
    }
}

#[test]
fn version_2_writes_the_addresses_of_a_family_or_unspec() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2];
    let mapped = [[0; 10].as_slice(), &[0xFF, 0xFF, 192, 0, 2, 1]].concat();
    let one = [[0; 15].as_slice(), &[1]].concat();
    let names = [&b"/run/from"[..], &[0; 99], b"\0to", &[0; 105]].concat();
    let longest = [b'x'; 108];
    for (source, destination, family, rest) in [
        (tcp("192.0.2.1:1"), tcp("192.0.2.2:2"), 0x11, v4.to_vec()),
        (tcp("[::ffff:192.0.2.1]:1"), tcp("192.0.2.2:2"), 0x11, v4.to_vec()),
        (tcp("192.0.2.1:1"), tcp("[::1]:258"), 0x21, [&mapped[..], &one, &[0, 1, 1, 2]].concat()),
        (tcp("[::1]:1"), tcp("192.0.2.1:2"), 0x21, [&one[..], &mapped, &[0, 1, 0, 2]].concat()),
        (unix(b"/run/from"), unix(b"\0to"), 0x31, names),
        (unix(&longest), unix(b""), 0x31, [&longest[..], &[0; 108]].concat()),
        (unix(&[b'x'; 109]), unix(b""), 0x00, vec![]),
        (unix(b"/run/from"), tcp("192.0.2.1:1"), 0x00, vec![]),
    ] {
        let header = ProxyHeader::new(source, destination);
        let bytes = version2(0x21, family, &rest);
        assert_eq!(encoded(&header), bytes, "{header:?}");
    }
    assert_eq!(encoded(&ProxyHeader::local()), version2(0x20, 0, &[]));
    assert_eq!(encoded(&ProxyHeader::unspecified()), version2(0x21, 0, &[]));
}

#[test]
fn tlvs_follow_the_addresses_and_the_checksum_is_computed() {
    let header_with_checksum = ProxyHeader::local()
        .with_checksum()
        .and_then(|header| header.with_tlv(Tlv::UNIQUE_ID, b"id"))
        .unwrap();
    let bytes = encoded(&header_with_checksum);
    let tlvs = [tlv(Tlv::CRC32C, &bytes[19..23]), tlv(Tlv::UNIQUE_ID, b"id")].concat();
    assert_eq!(bytes, version2(0x20, 0, &tlvs));
    assert_eq!(header(&bytes).unique_id(), Some(&b"id"[..]));
    // A header that is passed on with another TLV gets another checksum.
    let again = header(&bytes).with_tlv(Tlv::NETNS, b"blue").unwrap();
    assert_eq!(header(&encoded(&again)).netns(), Some("blue"));
    // Version 1 has no place for them.
    assert_eq!(encoded(&again.with_version(Version::V1)), b"PROXY UNKNOWN\r\n");
}

#[test]
fn no_header_is_built_that_would_be_refused() {
    let refused = |header: ProxyHeader, kind, value: &[u8]| {
        header.with_tlv(kind, value).unwrap_err().kind().clone()
    };
    let local = ProxyHeader::local;
    let kind = refused(local(), Tlv::CRC32C, b"123");
    assert_eq!(kind, ProxyErrorKind::TlvLength { kind: Tlv::CRC32C, length: 3 });
    let kind = refused(local(), Tlv::UNIQUE_ID, &[0; 129]);
    assert_eq!(kind, ProxyErrorKind::TlvLength { kind: Tlv::UNIQUE_ID, length: 129 });
    let kind = refused(local().with_checksum().unwrap(), Tlv::CRC32C, &[0; 4]);
    assert_eq!(kind, ProxyErrorKind::SecondChecksum);
    assert_eq!(refused(local(), 0xE0, &[0; 3862]), ProxyErrorKind::TlvTooLong);
    assert_eq!(refused(local(), 0xE0, &[0; 70_000]), ProxyErrorKind::TlvTooLong);
    // With the longest addresses and TLVs, the longest header.
    let full = ProxyHeader::new(unix(b"/run/from"), unix(b"/run/to"));
    let full = full.with_tlv(0xE0, &[0; 3861]).unwrap();
    assert_eq!(encoded(&full).len(), crate::proxy_protocol::HEADER_MAX);
    assert_eq!(header(&encoded(&full)), full);
    assert!(full.with_checksum().is_err());
}
