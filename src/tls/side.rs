//! `TlsSide`: which side of a handshake a connection takes.

use super::{Session, TlsAcceptor, TlsConnector};
use rustls::pki_types::ServerName;
use std::io;

/// The side of a handshake that a connection takes, and with what: that of a server with a
/// [`TlsAcceptor`], or that of a client, see [`TlsConnector::to`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSide(Side);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Server(TlsAcceptor),
    Client(TlsConnector, ServerName<'static>),
}

impl TlsSide {
    pub(super) fn client(connector: TlsConnector, name: ServerName<'static>) -> Self {
        Self(Side::Client(connector, name))
    }

    /// Begins a session.
    pub(crate) fn session(&self) -> io::Result<Session> {
        let session = match &self.0 {
            Side::Server(acceptor) => Session::server(acceptor),
            Side::Client(connector, name) => Session::client(connector, name.clone()),
        };
        session.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl From<TlsAcceptor> for TlsSide {
    fn from(acceptor: TlsAcceptor) -> Self {
        Self(Side::Server(acceptor))
    }
}

impl From<&TlsAcceptor> for TlsSide {
    fn from(acceptor: &TlsAcceptor) -> Self {
        acceptor.clone().into()
    }
}
