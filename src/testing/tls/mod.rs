//! TLS in tests: certificates that are always there, and connections that follow from a seed.
//!
//! No test needs the network or a tool to make certificates. [`acceptor`] and [`connector`] are
//! ready to use; a [`TestCertificate`] is text, for a program that reads files.
//!
//! The private keys are public, since they are part of this library's source: use them in tests
//! only.
//!
//! # Reproducible connections
//!
//! Between an [`acceptor`] and a [`connector`] of this module every byte follows from the seed of
//! the [`Simulation`](super::Simulation), or from [`seed`], so nothing is secret: random numbers
//! come from it, the key exchange and the signature have no other source, and the clock of
//! certificates and tickets stands still. That also holds for resumed sessions, whose tickets name
//! entries in a table of the acceptor. There is one generator for each thread.
//!
//! It does not hold for other certificates than [`LOCALHOST`] and [`CLIENT`]: signatures by a key
//! of type ECDSA or RSA have a random part, and those of type ECDSA vary in length by a few bytes.

mod certificates;
mod encryption;
mod provider;

pub use certificates::{
    AUTHORITY, CLIENT, FOREIGN, FOREIGN_AUTHORITY, LOCALHOST, RSA, TestCertificate, WILDCARD,
};
pub(super) use encryption::Encryption;
pub use provider::seed;

use crate::tls::{
    Certificates, Cryptography, Identity, RootCertificates, TlsAcceptor, TlsAcceptorBuilder,
    TlsConnector, TlsConnectorBuilder,
};
use provider::{FixedTime, provider};
use std::sync::Arc;

/// Returns the server's side of reproducible connections, with the certificate [`LOCALHOST`].
///
/// ```
/// let server = twistor::testing::tls::acceptor();
/// let client = twistor::testing::tls::connector();
/// ```
pub fn acceptor() -> TlsAcceptor {
    acceptor_builder(&Certificates::new(LOCALHOST.identity())).build()
}

/// Returns the client's side of reproducible connections, which trusts [`AUTHORITY`].
pub fn connector() -> TlsConnector {
    connector_builder(&roots()).build()
}

/// Begins an acceptor for reproducible connections, with other certificates or settings.
///
/// ```
/// use twistor::testing::tls::{CLIENT, LOCALHOST, acceptor_builder, connector_builder, roots};
/// use twistor::tls::{Certificates, ClientAuthentication};
///
/// let server = acceptor_builder(&Certificates::new(LOCALHOST.identity()))
///     .client_authentication(ClientAuthentication::Required(roots()))
///     .build();
/// let client = connector_builder(&roots()).identity(&CLIENT.identity()).build();
/// ```
pub fn acceptor_builder(certificates: &Certificates) -> TlsAcceptorBuilder {
    TlsAcceptor::builder(certificates).cryptography(reproducible())
}

/// Begins a connector for reproducible connections, with other roots or settings.
pub fn connector_builder(roots: &RootCertificates) -> TlsConnectorBuilder {
    TlsConnector::builder(roots).cryptography(reproducible())
}

/// Returns the roots that consist of [`AUTHORITY`].
pub fn roots() -> RootCertificates {
    RootCertificates::from_pem(AUTHORITY).expect("the file is part of this library")
}

pub(crate) fn reproducible() -> Cryptography {
    Cryptography { provider: provider(), time: Arc::new(FixedTime), tickets: false }
}

impl TestCertificate {
    /// Returns the certificate with its key, ready to use.
    pub fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate, self.key).expect("the file is part of this library")
    }
}
