//! Headers that haproxy sent; `tests/vectors/README.md` explains the cases.

use super::{decode, encoded};
use crate::proxy_protocol::{Command, ProxyAddress, Version};
use serde_json::Value;

const CASES: &str = include_str!("../../../tests/vectors/proxy_protocol.jsonl");

pub(super) struct Case {
    pub(super) id: String,
    pub(super) bytes: Vec<u8>,
    pub(super) length: usize,
    fields: Value,
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let case = |line| {
        let fields: Value = serde_json::from_str(line).unwrap();
        Case {
            id: fields["id"].as_str().unwrap().to_owned(),
            bytes: unhex(&fields["bytes"]),
            length: fields["length"].as_u64().unwrap() as usize,
            fields,
        }
    };
    CASES.lines().map(case).collect()
}

fn case(id: &str) -> Case {
    cases().into_iter().find(|case| case.id == id).unwrap()
}

#[test]
fn the_headers_of_haproxy_are_decoded() {
    assert_eq!(cases().len(), 17);
    for Case { id, bytes, length, fields } in cases() {
        let (header, consumed) = decode(&bytes).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(consumed, length, "{id}");
        let version = if header.version() == Version::V1 { 1 } else { 2 };
        assert_eq!(version, fields["version"], "{id}");
        let command = if header.command() == Command::Local { "LOCAL" } else { "PROXY" };
        assert_eq!(command, fields["command"], "{id}");
        let text = |address: Option<&ProxyAddress>| Value::from(address.map(ToString::to_string));
        assert_eq!(text(header.source()), fields["source"], "{id}");
        assert_eq!(text(header.destination()), fields["destination"], "{id}");
        let tlvs: Vec<_> = header.tlvs().map(|tlv| (tlv.kind, tlv.value.to_vec())).collect();
        let recorded = fields["tlvs"].as_array().unwrap().iter();
        let recorded = recorded.map(|tlv| (tlv[0].as_u64().unwrap() as u8, unhex(&tlv[1])));
        assert_eq!(tlvs, recorded.collect::<Vec<_>>(), "{id}");
        // The header is sent as it came, checksum included. IPv4 is sent as IPv4.
        if !id.ends_with("mapped") {
            assert_eq!(encoded(&header), bytes[..length], "{id}");
        }
    }
}

#[test]
fn what_haproxy_tells_of_tls_is_found() {
    let Case { bytes, .. } = case("v2-tls-certificate");
    let (header, _) = decode(&bytes).unwrap();
    assert_eq!(header.alpn(), Some(&b"h2"[..]));
    assert_eq!(header.authority(), Some("www.example.org"));
    let tls = header.tls().unwrap();
    assert_eq!((tls.version(), tls.common_name()), (Some("TLSv1.3"), Some("client.example")));
    assert_eq!(tls.cipher(), Some("TLS_AES_256_GCM_SHA384"));
    assert!(tls.is_verified());
    let (header, _) = decode(&case("v2-tls").bytes).unwrap();
    assert_eq!(header.unique_id(), Some(&b"id-13-v2-tls"[..]));
    assert!(header.tls().is_some_and(|tls| tls.is_tls() && !tls.has_certificate()));
    let (header, _) = decode(&case("v2-not-tls").bytes).unwrap();
    assert!(header.tls().is_some_and(|tls| !tls.is_tls() && !tls.is_verified()));
}

#[test]
fn the_health_check_of_haproxy_is_a_local_header_of_16_bytes() {
    let Case { bytes, .. } = case("v2-check");
    assert_eq!(bytes, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    let (header, length) = decode(&bytes).unwrap();
    assert_eq!((header.command(), length), (Command::Local, 16));
}
