//! `TlsInfo`: what a TLS handshake has negotiated.

use super::TlsVersion;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind};

/// What the TLS handshake of a connection has negotiated; see
/// [`Transport::tls`](crate::Transport::tls).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    version: TlsVersion,
    cipher_suite: CipherSuite,
    alpn_protocol: Option<Vec<u8>>,
    server_name: Option<Box<str>>,
    peer_certificates: Vec<CertificateDer<'static>>,
    is_resumed: bool,
}

impl TlsInfo {
    /// Returns `None` before the handshake is complete.
    pub(crate) fn new(state: &CommonState, server_name: Option<&str>) -> Option<Self> {
        if state.is_handshaking() {
            return None;
        }
        Some(Self {
            version: TlsVersion::of(state.protocol_version()?)?,
            cipher_suite: state.negotiated_cipher_suite()?.suite(),
            alpn_protocol: state.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(Into::into),
            peer_certificates: state.peer_certificates().unwrap_or_default().to_vec(),
            is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }

    /// Returns the version of the protocol.
    pub fn version(&self) -> TlsVersion {
        self.version
    }

    /// Returns the cipher suite.
    pub fn cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// Returns the application protocol that both sides have agreed upon, such as `b"h2"`; `None`
    /// if they have not, since one of them offered none. (ALPN, RFC 7301)
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn_protocol.as_deref()
    }

    /// Returns the host name that the client has asked for; on the client's side the name, or the
    /// IP address, that the server's certificate was verified for. `None` on a server whose client
    /// has named no host. (SNI, RFC 6066)
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the certificates that the peer has shown, its own first; none if it has shown none,
    /// as most clients do. They have been verified.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.peer_certificates
    }

    /// Returns true if the handshake has resumed an earlier session, which is quicker.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }
}
