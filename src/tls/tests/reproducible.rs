//! Connections of the test kit follow from a seed.

use super::fixtures::VERSIONS;
use super::memory::shake;
use crate::testing::tls::{
    CLIENT, LOCALHOST, acceptor_builder, connector_builder, reproducible, roots, seed,
};
use crate::tls::{Certificates, ClientAuthentication, Cryptography, TlsConnector};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::sync::Arc;

#[test]
fn every_byte_of_a_handshake_and_of_a_resumption_follows_from_the_seed() {
    for version in VERSIONS {
        let run = |number| {
            seed(number);
            let server = acceptor_builder(&Certificates::new(LOCALHOST.identity())).build();
            let client = client(version);
            let first = shake(&server, &client, "localhost").unwrap();
            let second = shake(&server, &client, "localhost").unwrap();
            assert_eq!(first.server.version, version.version);
            assert!(!first.server.resumed && second.server.resumed && second.client.resumed);
            (first.bytes, second.bytes)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}

/// A reproducible client that speaks this version only.
fn client(version: &'static SupportedProtocolVersion) -> TlsConnector {
    let Cryptography { provider, time, .. } = reproducible();
    let config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(Arc::clone(roots().store()))
        .with_no_client_auth();
    TlsConnector::new(Arc::new(config))
}

#[test]
fn so_does_every_byte_of_a_handshake_with_a_client_s_certificate() {
    let run = |number| {
        seed(number);
        let server = acceptor_builder(&Certificates::new(LOCALHOST.identity()))
            .client_authentication(ClientAuthentication::Required(roots()))
            .build();
        let client = connector_builder(&roots()).identity(&CLIENT.identity()).build();
        shake(&server, &client, "localhost").unwrap().bytes
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn without_a_seed_threads_differ() {
    let bytes = || {
        let server = acceptor_builder(&Certificates::new(LOCALHOST.identity())).build();
        shake(&server, &connector_builder(&roots()).build(), "localhost").unwrap().bytes
    };
    let other = std::thread::spawn(bytes).join().unwrap();
    assert_ne!(std::thread::spawn(bytes).join().unwrap(), other);
}
