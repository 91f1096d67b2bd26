//! Handshakes in memory: both sides on rustls' unbuffered engine, without a network.

use crate::tls::{TlsAcceptor, TlsConnector, noted_name};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{Error, HandshakeKind, ProtocolVersion};
use std::sync::Arc;

/// Rounds in which each side handles all that it has: more than any handshake needs.
const ROUNDS: usize = 20;

/// What one side knows at the end.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) version: ProtocolVersion,
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) peer: Option<CertificateDer<'static>>,
    pub(super) resumed: bool,
}

/// A handshake that has succeeded.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) server: Side,
    pub(super) client: Side,
    /// What the server has noted.
    pub(super) server_name: Option<Box<str>>,
    /// All that was sent.
    pub(super) bytes: Vec<u8>,
}

/// A handshake that has failed: the error of each side that has one.
#[derive(Debug, PartialEq)]
pub(super) struct Failed {
    pub(super) server: Option<Error>,
    pub(super) client: Option<Error>,
}

/// Handles `input` and appends to `output`, until the connection wants more. Returns whether the
/// connection is established.
macro_rules! process {
    ($connection:expr, $input:expr, $output:expr) => {
        loop {
            let UnbufferedStatus { discard, state } = $connection.process_tls_records(&mut $input);
            let established = match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let start = $output.len();
                    $output.resize(start + (1 << 17), 0);
                    let length = data.encode(&mut $output[start..]).unwrap();
                    $output.truncate(start + length);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::WriteTraffic(_)) => Some(Ok(true)),
                Ok(ConnectionState::BlockedHandshake) => Some(Ok(false)),
                Ok(state) => panic!("{state:?}"),
                Err(error) => Some(Err(error)),
            };
            $input.drain(..discard);
            if let Some(established) = established {
                break established;
            }
        }
    };
}

macro_rules! side {
    ($connection:expr) => {
        Side {
            version: $connection.protocol_version().unwrap(),
            alpn: $connection.alpn_protocol().map(<[u8]>::to_vec),
            peer: $connection.peer_certificates().map(|chain| chain[0].clone().into_owned()),
            resumed: $connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    };
}

/// Makes a handshake, and handles the tickets that follow it.
pub(super) fn shake(
    server: &TlsAcceptor,
    client: &TlsConnector,
    name: &str,
) -> Result<Handshake, Box<Failed>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut server = UnbufferedServerConnection::new(Arc::clone(server.config())).unwrap();
    let mut client = UnbufferedClientConnection::new(Arc::clone(client.config()), name).unwrap();
    let (mut to_server, mut to_client, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = Failed { server: None, client: None };
    let (mut server_done, mut client_done, mut server_name) = (false, false, None);
    for _ in 0..ROUNDS {
        let mut output = Vec::new();
        match process!(client, to_client, output) {
            Ok(done) => client_done = done,
            Err(error) => failed.client = failed.client.or(Some(error)),
        }
        bytes.extend_from_slice(&output);
        to_server.append(&mut output);
        match process!(server, to_server, output) {
            Ok(done) => server_done = done,
            Err(error) => failed.server = failed.server.or(Some(error)),
        }
        server_name = server_name.or(noted_name::take());
        bytes.extend_from_slice(&output);
        to_client.append(&mut output);
    }
    if failed.server.is_some() || failed.client.is_some() {
        return Err(Box::new(failed));
    }
    assert!(server_done && client_done, "the handshake neither succeeds nor fails");
    Ok(Handshake { server: side!(server), client: side!(client), server_name, bytes })
}
