//! What servers and load share of TLS: certificates, configurations, and rustls' unbuffered engine
//! as a loop needs it, bytes to bytes.

mod engine;
mod trust;

pub use engine::{Engine, Outgoing, Progress, encrypt, process};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use trust::AnyCertificate;

/// The longest plaintext of a record.
pub const RECORD_LEN: usize = 16 * 1024;

/// What a record adds to its plaintext, at most, with all suites of rustls.
pub const RECORD_OVERHEAD: usize = 32;

/// A server's certificate and its key, as PEM. They are those of the library's tests.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    pub chain: &'static str,
    pub key: &'static str,
}

macro_rules! certificate {
    ($name:literal) => {
        Certificate {
            chain: include_str!(concat!("../../src/testing/certificates/", $name, ".pem")),
            key: include_str!(concat!("../../src/testing/certificates/", $name, "-key.pem")),
        }
    };
}

/// With a key of type ECDSA, on the curve P-256.
pub const P256: Certificate = certificate!("foreign");

/// With a key of type RSA, of 2048 bits.
pub const RSA: Certificate = certificate!("rsa");

/// A server's workload over TLS by its name: `tls-echo` is `echo` with a key of type P-256, and
/// `tls-rsa-echo` with one of type RSA.
pub fn over_tls(name: &str) -> Option<(Certificate, &str)> {
    let name = name.strip_prefix("tls-")?;
    Some(name.strip_prefix("rsa-").map_or((P256, name), |name| (RSA, name)))
}

/// The configuration of every server on rustls that takes one: what twistor's acceptors have by
/// default, tickets included.
pub fn server_config(certificate: Certificate) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("the file is part of this library");
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for each version")
        .with_no_client_auth()
        .with_single_cert(chain, key.expect("the file is part of this library"))
        .expect("key and certificate belong together");
    config.ticketer = ring::Ticketer::new().expect("the system has random numbers");
    Arc::new(config)
}

/// The configuration of the load, which checks no certificates: that is not the server's work.
pub fn client_config(resumes: bool) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for each version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    if !resumes {
        config.resumption = Resumption::disabled();
    }
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_over_tls_are_known_by_their_names() {
        assert!(over_tls("echo").is_none());
        let (certificate, name) = over_tls("tls-echo").unwrap();
        assert_eq!((certificate.key, name), (P256.key, "echo"));
        let (certificate, name) = over_tls("tls-rsa-quote").unwrap();
        assert_eq!((certificate.key, name), (RSA.key, "quote"));
    }
}
