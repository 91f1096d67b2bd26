//! What both sides agree upon: version, application protocol, certificates of clients.

use super::fixtures::{KINDS, VERSIONS, certificates, client, der, roots};
use super::memory::shake;
use crate::testing::tls::{CLIENT, FOREIGN};
use crate::tls::{
    ClientAuthentication, Identity, TlsAcceptor, TlsAcceptorBuilder, TlsConnector,
    TlsConnectorBuilder, TlsVersion,
};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, Error, ProtocolVersion};

fn server() -> TlsAcceptorBuilder {
    TlsAcceptor::builder(&certificates())
}

fn connector() -> TlsConnectorBuilder {
    TlsConnector::builder(&roots())
}

#[test]
fn each_kind_of_key_serves_both_versions() {
    let server = server().build();
    for (certificate, name) in KINDS {
        for version in VERSIONS {
            let handshake = shake(&server, &client(version), name).unwrap();
            assert_eq!(handshake.server.version, version.version);
            assert_eq!(handshake.client.peer, Some(der(&certificate)));
            assert_eq!(handshake.server.peer, None);
        }
    }
    let newest = shake(&server, &connector().build(), "localhost").unwrap();
    assert_eq!(newest.client.version, ProtocolVersion::TLSv1_3);
}

#[test]
fn a_minimum_version_excludes_the_older_one_on_both_sides() {
    let server_13 = server().min_version(TlsVersion::V1_3).build();
    let refused = shake(&server_13, &client(&TLS12), "localhost").unwrap_err();
    let alert = Error::AlertReceived(AlertDescription::ProtocolVersion);
    assert_eq!(refused.client, Some(alert));
    assert!(shake(&server_13, &client(&TLS13), "localhost").is_ok());

    let client_13 = connector().min_version(TlsVersion::V1_3).build();
    assert!(shake(&server_13, &client_13, "localhost").is_ok());
    let versions = |connector: &TlsConnector| {
        let config = connector.config();
        VERSIONS.map(|version| format!("{config:?}").contains(&format!("{:?}", version.version)))
    };
    assert_eq!(versions(&client_13), [false, true]);
    assert_eq!(versions(&connector().build()), [true, true]);
}

#[test]
fn the_server_chooses_the_protocol_that_it_prefers_among_the_client_s() {
    let none: [&str; 0] = [];
    let names = |names: &[&'static str]| names.to_vec();
    for (own, peers, chosen) in [
        (names(&["irc", "h2"]), names(&["h2", "irc"]), Some("irc")),
        (names(&["irc", "h2"]), names(&["h2"]), Some("h2")),
        (names(&["irc"]), names(&none), None),
        (names(&none), names(&["irc"]), None),
        (names(&none), names(&none), None),
    ] {
        let server = server().alpn(own).build();
        let client = connector().alpn(peers).build();
        let handshake = shake(&server, &client, "localhost").unwrap();
        assert_eq!(handshake.server.alpn.as_deref(), chosen.map(str::as_bytes));
        assert_eq!(handshake.client.alpn.as_deref(), chosen.map(str::as_bytes));
    }
}

#[test]
fn without_a_common_protocol_the_handshake_fails() {
    for min_version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let server = server().alpn(["irc"]).build();
        let client = connector().min_version(min_version).alpn([b"h2"]).build();
        let failed = shake(&server, &client, "localhost").unwrap_err();
        assert_eq!(failed.server, Some(Error::NoApplicationProtocol));
        let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(failed.client, Some(alert));
    }
}

#[test]
#[should_panic(expected = "an application protocol has 256 bytes: it must have 1 to 255")]
fn a_protocol_s_name_that_is_too_long_is_a_mistake_of_the_program() {
    let _ = server().alpn(["x".repeat(256)]);
}

#[test]
#[should_panic(expected = "an application protocol has 0 bytes")]
fn an_empty_name_of_a_protocol_is_a_mistake_of_the_program() {
    let _ = connector().alpn([""]);
}

/// What a server does with a client's certificate.
#[derive(Debug, PartialEq)]
enum Outcome {
    Accepted(bool),
    Missing,
    Unknown,
}

#[test]
fn clients_are_asked_for_certificates_as_the_server_is_set() {
    use ClientAuthentication::{None as NotAsked, Optional, Required};
    use Outcome::{Accepted, Missing, Unknown};

    let cases = [
        (NotAsked, [Accepted(false), Accepted(false), Accepted(false)]),
        (Optional(roots()), [Accepted(false), Accepted(true), Unknown]),
        (Required(roots()), [Missing, Accepted(true), Unknown]),
    ];
    for (authentication, expected) in cases {
        for max_version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let server = server().client_authentication(authentication.clone()).build();
            let outcome = |identity: Option<Identity>| {
                let mut client = connector();
                if let Some(identity) = &identity {
                    client = client.identity(identity);
                }
                // A copy of rustls' configuration that speaks the version of this case.
                let client = limited(&client.build(), max_version, identity.as_ref());
                match shake(&server, &client, "localhost") {
                    Ok(handshake) => Accepted(handshake.server.peer == Some(der(&CLIENT))),
                    Err(failed) => match failed.server.unwrap() {
                        Error::NoCertificatesPresented => Missing,
                        Error::InvalidCertificate(CertificateError::UnknownIssuer) => Unknown,
                        error => panic!("{error}"),
                    },
                }
            };
            let outcomes = [None, Some(CLIENT.identity()), Some(FOREIGN.identity())].map(outcome);
            assert_eq!(outcomes, expected, "{authentication:?} {max_version:?}");
        }
    }
}

/// A client of the newest version as it is, or one of the version 1.2 only.
fn limited(
    newest: &TlsConnector,
    max_version: TlsVersion,
    identity: Option<&Identity>,
) -> TlsConnector {
    if max_version == TlsVersion::V1_3 {
        return newest.clone();
    }
    let mut config = (**client(&TLS12).config()).clone();
    if let Some(identity) = identity {
        let key = std::sync::Arc::clone(identity.certified_key());
        config.client_auth_cert_resolver =
            std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(key));
    }
    TlsConnector::new(std::sync::Arc::new(config))
}

#[test]
fn clones_are_equal_until_a_setting_differs() {
    let (server, client) = (server().build(), connector().build());
    assert_eq!(server, server.clone());
    assert_ne!(server, server.clone().accept_truncation(true));
    assert!(server.accept_truncation(true).accepts_truncation());
    assert_eq!(client, client.clone());
    assert_ne!(client, client.clone().accept_truncation(true));
    assert_ne!(client, client.clone().server_name("localhost").unwrap());
    assert_ne!(client, connector().build());
    assert!(client.accept_truncation(true).accepts_truncation());
}

#[test]
fn a_server_s_name_is_a_host_or_an_address() {
    let client = connector().build();
    for name in ["localhost", "example.test.", "127.0.0.1", "::1", "fe80::1"] {
        assert!(client.to(name).is_ok(), "{name}");
    }
    for name in ["", "a b", "a:1", "[::1]", "a..b", "a\0b", "b\u{fc}cher.test", "-"] {
        let error = client.to(name).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{name:?} is neither a host name, of letters, digits, hyphens and dots, nor an IP \
                 address"
            )
        );
        assert_eq!(client.clone().server_name(name).unwrap_err(), error);
    }
    let named = client.clone().server_name("example.test").unwrap();
    assert_eq!(named.to("127.0.0.1").unwrap(), named.to("a b").unwrap());
    assert_ne!(named.to("127.0.0.1").unwrap(), client.to("127.0.0.1").unwrap());
}
