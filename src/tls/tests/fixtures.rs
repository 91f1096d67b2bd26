//! What several tests need: sides of TLS that ours cannot be set to be, and a folder for files.

use crate::testing::tls::{AUTHORITY, FOREIGN, LOCALHOST, RSA, TestCertificate, WILDCARD};
use crate::tls::{Certificates, RootCertificates, TlsConnector};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The three kinds of keys, with a name that each certificate is for.
pub(super) const KINDS: [(TestCertificate, &str); 3] =
    [(LOCALHOST, "localhost"), (WILDCARD, "a.wild.test"), (RSA, "rsa.test")];

pub(super) fn roots() -> RootCertificates {
    RootCertificates::from_pem(AUTHORITY).unwrap()
}

/// A client that speaks this version only.
pub(super) fn client(version: &'static SupportedProtocolVersion) -> TlsConnector {
    client_with(ring::default_provider(), version)
}

pub(super) fn client_with(
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(Arc::clone(roots().store()))
        .with_no_client_auth();
    TlsConnector::new(Arc::new(config))
}

pub(super) fn der(certificate: &TestCertificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap()
}

/// All certificates of the tests, of which [`LOCALHOST`] is the default.
pub(super) fn certificates() -> Certificates {
    let certificates = Certificates::new(LOCALHOST.identity());
    for more in [WILDCARD, RSA, FOREIGN] {
        certificates.add(more.identity());
    }
    certificates
}

/// A folder for the files of one test, removed at its end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let name = format!("twistor-tls-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
