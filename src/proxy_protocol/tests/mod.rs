mod encoding;
mod random;
mod splitting;
mod vectors;
mod version1;
mod version2;

use super::{Decoded, ProxyDecoder, ProxyError, ProxyErrorKind, ProxyHeader};
use std::net::SocketAddr;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Decodes bytes that arrive at once. Returns the header and its length.
fn decode(bytes: &[u8]) -> Result<(ProxyHeader, usize), ProxyError> {
    let mut decoder = ProxyDecoder::new();
    match decoder.receive(bytes)? {
        Decoded::Complete { header, length } => Ok((header, length)),
        Decoded::Incomplete { wanted } => {
            assert_eq!((decoder.wanted(), decoder.received()), (wanted, bytes.len()));
            Err(decoder.truncated())
        }
    }
}

/// Decodes bytes that must be one header, and nothing else.
fn header(bytes: &[u8]) -> ProxyHeader {
    match decode(bytes) {
        Ok((header, length)) if length == bytes.len() => header,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// Decodes bytes that must be refused. Returns where, and why.
fn refusal(bytes: &[u8]) -> (usize, ProxyErrorKind) {
    let error = decode(bytes).expect_err(&bytes.escape_ascii().to_string());
    let text = error.to_string();
    assert!(text.starts_with(&format!("PROXY header, byte {}: ", error.offset())), "{text}");
    assert!(text.len() < 200 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    (error.offset(), error.kind().clone())
}

/// A header of version 2: version and command, family and transport, and what follows the length.
fn version2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// Source and destination, if they are TCP.
fn addresses(header: &ProxyHeader) -> Option<(SocketAddr, SocketAddr)> {
    Some((header.source()?.socket_addr()?, header.destination()?.socket_addr()?))
}

fn encoded(header: &ProxyHeader) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    header.encode(&mut bytes);
    assert!(bytes.starts_with(b"before"));
    bytes.split_off(6)
}
