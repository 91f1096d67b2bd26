//! TLS: the configurations of servers and clients, and what a connection has negotiated.
//!
//! The engine is [`rustls`], re-exported here; whatever it can be configured to do is available by a
//! [`TlsAcceptor`] or a [`TlsConnector`] made of its own configuration.

mod acceptor;
mod connector;

pub use acceptor::TlsAcceptor;
pub use connector::TlsConnector;
pub use rustls;
