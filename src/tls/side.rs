//! `TlsSide`: which side of a handshake a connection takes.

use super::{Certificates, ServerNameError, Session, TlsAcceptor, TlsConnector, to_io_error};
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;

/// The side of a handshake that a connection takes, and with what: that of a server with a
/// [`TlsAcceptor`], or that of a client, see [`TlsConnector::to`].
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSide(Side);

#[derive(Clone, PartialEq, Eq)]
enum Side {
    Server(TlsAcceptor),
    /// In a box, since endpoints and errors contain a side.
    Client(TlsConnector, Box<ServerName<'static>>),
}

impl TlsSide {
    /// Returns the certificates that a server shows, if its acceptor was built with them.
    pub(crate) fn certificates(&self) -> Option<&Certificates> {
        match &self.0 {
            Side::Server(acceptor) => acceptor.certificates(),
            Side::Client(..) => None,
        }
    }

    /// Begins a session.
    pub(crate) fn session(&self) -> io::Result<Session> {
        let session = match &self.0 {
            Side::Server(acceptor) => Session::server(acceptor),
            Side::Client(connector, name) => Session::client(connector, (**name).clone()),
        };
        session.map_err(|error| to_io_error(io::ErrorKind::InvalidInput, error))
    }
}

// Here, since a side knows its connector.
impl TlsConnector {
    /// Returns the side of a client that connects to `host`: a host name, or an IP address. The
    /// server is asked for this name, unless [`server_name`](Self::server_name) has set another.
    ///
    /// # Errors
    ///
    /// If `host` is neither.
    pub fn to(&self, host: &str) -> Result<TlsSide, ServerNameError> {
        let name = Box::new(self.server_name_for(host)?);
        Ok(TlsSide(Side::Client(self.clone(), name)))
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

impl fmt::Debug for TlsSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Side::Server(_) => f.write_str("TlsSide(server)"),
            Side::Client(_, name) => write!(f, "TlsSide(client of {})", name.to_str()),
        }
    }
}
