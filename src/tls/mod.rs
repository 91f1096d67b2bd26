//! TLS: the configurations of servers and clients, and what a connection has negotiated.
//!
//! The engine is [`rustls`], re-exported here; whatever it can be configured to do is available by a
//! [`TlsAcceptor`] or a [`TlsConnector`] made of its own configuration.

mod acceptor;
mod connector;
mod info;
mod noted_name;
mod session;
mod side;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use acceptor::TlsAcceptor;
pub use connector::TlsConnector;
pub use info::TlsInfo;
pub use rustls;
pub(crate) use session::{Plaintext, RECORD_MAX, Session};
pub use side::TlsSide;
