//! TLS: the configurations of servers and clients, and what a connection has negotiated.
//!
//! A server has a [`TlsAcceptor`], built from [`Certificates`], which can be read again while it
//! runs; a client has a [`TlsConnector`], built from the [`RootCertificates`] that it trusts.
//!
//! The engine is [`rustls`], re-exported here; whatever it can be configured to do is available by
//! a [`TlsAcceptor`] or a [`TlsConnector`] made of its own configuration.

mod acceptor;
mod acceptor_builder;
mod alpn;
mod alternative_names;
mod certificate_error;
mod certificate_table;
mod certificates;
mod client_authentication;
mod connector;
mod connector_builder;
mod cryptography;
mod identity;
mod info;
mod noted_name;
mod outgoing;
mod pem;
mod record;
mod root_certificates;
mod server_name_error;
mod session;
mod side;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod version;

pub use acceptor::TlsAcceptor;
pub use acceptor_builder::TlsAcceptorBuilder;
pub use certificate_error::CertificateError;
pub use certificates::Certificates;
pub use client_authentication::ClientAuthentication;
pub use connector::TlsConnector;
pub use connector_builder::TlsConnectorBuilder;
#[cfg(feature = "testing")]
pub(crate) use cryptography::Cryptography;
pub use identity::Identity;
pub use info::TlsInfo;
pub(crate) use outgoing::Outgoing;
pub(crate) use record::{RECORD_MAX, RECORD_OVERHEAD};
pub use root_certificates::RootCertificates;
pub use rustls;
pub use server_name_error::ServerNameError;
pub(crate) use session::{Plaintext, Session, to_io_error};
pub use side::TlsSide;
pub use version::TlsVersion;
