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
//! the [`Simulation`](super::Simulation), or from [`seed`]: random numbers come from it, the key
//! exchange and the signature have no other source, and the clock of certificates and tickets stands
//! still. That also holds for resumed sessions, whose tickets name entries in a table of the
//! acceptor. There is one generator for each thread.
//!
//! It does not hold for a certificate with a key of type ECDSA, such as [`WILDCARD`]: its signatures
//! are random and vary in length by a few bytes.

mod certificates;
mod provider;

pub use certificates::{
    AUTHORITY, CLIENT, FOREIGN, FOREIGN_AUTHORITY, LOCALHOST, RSA, TestCertificate, WILDCARD,
};
pub use provider::seed;

use crate::tls::{TlsAcceptor, TlsConnector};
use provider::{FixedTime, provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// Returns the server's side of reproducible connections, with the certificate [`LOCALHOST`].
///
/// ```
/// let server = twistor::testing::tls::acceptor();
/// let client = twistor::testing::tls::connector();
/// ```
pub fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(LOCALHOST.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_details(provider(), Arc::new(FixedTime))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::new(Arc::new(config))
}

/// Returns the client's side of reproducible connections, which trusts [`AUTHORITY`].
pub fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_details(provider(), Arc::new(FixedTime))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::new(Arc::new(config))
}
