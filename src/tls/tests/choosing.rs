//! Which certificate a client gets.

use super::fixtures::{VERSIONS, certificates, client, client_with, der};
use super::memory::{Failed, shake};
use crate::testing::tls::{FOREIGN, LOCALHOST, RSA, TestCertificate, WILDCARD};
use crate::tls::{Certificates, TlsAcceptor};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::{AlertDescription, CertificateError, Error, ServerConfig, SignatureScheme};
use std::sync::Arc;

const ALL_SCHEMES: [SignatureScheme; 3] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::RSA_PSS_SHA256,
];

/// The certificate that is found for a name, without a handshake.
fn found(certificates: &Certificates, name: Option<&str>, reject: bool) -> Option<Vec<u8>> {
    Some(certificates.find(name, &ALL_SCHEMES, reject)?.cert[0].to_vec())
}

#[test]
fn a_name_finds_its_certificate_and_any_other_the_default() {
    let certificates = certificates();
    let check = |name: &str, expected: &TestCertificate| {
        let found = found(&certificates, Some(name), false);
        assert!(found == Some(der(expected).to_vec()), "{name}");
    };
    for name in ["rsa.test", "RSA.Test", "rsa.test."] {
        check(name, &RSA);
    }
    for name in ["a.wild.test", "A.WILD.TEST", "xn--a.wild.test."] {
        check(name, &WILDCARD);
    }
    for name in ["example.test", "", ".", "wild.test", ".wild.test.x", "a.b.wild.test", "*", "test"]
    {
        check(name, &LOCALHOST);
    }
    assert_eq!(found(&certificates, None, true), Some(der(&LOCALHOST).to_vec()));
}

#[test]
fn unknown_names_are_rejected_only_if_that_is_set() {
    let certificates = certificates();
    for (name, known) in
        [("rsa.test", true), ("a.wild.test", true), ("wild.test", false), ("a.b.wild.test", false)]
    {
        assert!(found(&certificates, Some(name), false).is_some());
        assert_eq!(found(&certificates, Some(name), true).is_some(), known, "{name}");
    }
    let rejecting = TlsAcceptor::builder(&certificates).reject_unknown_names(true).build();
    for version in VERSIONS {
        let failed = shake(&rejecting, &client(version), "unknown.test").unwrap_err();
        assert_eq!(failed.client, Some(Error::AlertReceived(AlertDescription::AccessDenied)));
        assert!(shake(&rejecting, &client(version), "localhost").is_ok());
        // Without a name there is nothing to reject.
        assert!(shake(&rejecting, &client(version), "127.0.0.1").is_ok());
    }
}

#[test]
fn clients_get_the_certificate_of_the_server_that_they_name() {
    let server = TlsAcceptor::builder(&certificates()).build();
    for version in VERSIONS {
        for (name, expected) in [
            ("localhost", &LOCALHOST),
            ("Example.Test", &LOCALHOST),
            ("rsa.test", &RSA),
            ("rsa.test.", &RSA),
            ("a.wild.test", &WILDCARD),
            // Addresses are not sent.
            ("127.0.0.1", &LOCALHOST),
            ("::1", &LOCALHOST),
        ] {
            let handshake = shake(&server, &client(version), name).unwrap();
            assert!(handshake.client.peer == Some(der(expected)), "{name}");
            let sent = name.trim_end_matches('.').to_ascii_lowercase();
            let is_host = !name.contains("127") && !name.contains(':');
            assert_eq!(handshake.server_name.as_deref(), is_host.then_some(&*sent));
        }
        let unknown = shake(&server, &client(version), "unknown.test").unwrap_err();
        let error = unknown.client.unwrap();
        let invalid = matches!(
            error,
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        );
        assert!(invalid, "{error}");
    }
}

#[test]
fn of_two_certificates_for_a_name_a_client_gets_one_that_it_can_check() {
    let server = {
        let certificates = Certificates::new(RSA.identity());
        certificates.add(LOCALHOST.identity());
        TlsAcceptor::builder(&certificates).build()
    };
    let ring = ring::default_provider();
    let mut algorithms = ring.signature_verification_algorithms;
    // The schemes of type RSA are the last ones.
    algorithms.mapping = &algorithms.mapping[..3];
    let without_rsa = CryptoProvider { signature_verification_algorithms: algorithms, ..ring };
    for version in VERSIONS {
        for name in ["localhost", "127.0.0.1"] {
            let handshake = shake(&server, &client(version), name).unwrap();
            assert!(handshake.client.peer == Some(der(&RSA)));
            let client = client_with(without_rsa.clone(), version);
            let handshake = shake(&server, &client, name).unwrap();
            assert!(handshake.client.peer == Some(der(&LOCALHOST)));
        }
        // If there is none, the handshake fails, and does not hang.
        let client = client_with(without_rsa.clone(), version);
        let Failed { server, client } = *shake(&server, &client, "rsa.test").unwrap_err();
        assert!(server.is_some() && client.is_some(), "{server:?} {client:?}");
    }
}

#[test]
fn the_server_name_is_noted_for_configurations_of_rustls_too() {
    let mut resolver = ResolvesServerCertUsingSni::new();
    resolver.add("localhost", (**LOCALHOST.identity().certified_key()).clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    let server = TlsAcceptor::new(Arc::new(config));
    for version in VERSIONS {
        let handshake = shake(&server, &client(version), "localhost").unwrap();
        assert_eq!(handshake.server_name.as_deref(), Some("localhost"));
        assert!(shake(&server, &client(version), "127.0.0.1").is_err());
    }
}

#[test]
fn a_foreign_certificate_is_not_trusted() {
    let server = TlsAcceptor::builder(&Certificates::new(FOREIGN.identity())).build();
    for version in VERSIONS {
        let failed = shake(&server, &client(version), "localhost").unwrap_err();
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(failed.client, Some(unknown));
        assert_eq!(failed.server, Some(Error::AlertReceived(AlertDescription::UnknownCA)));
    }
}
