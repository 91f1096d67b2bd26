//! Sessions that are resumed, and those that must not be.

use super::fixtures::{Folder, VERSIONS, certificates, client, roots};
use super::memory::shake;
use crate::testing::tls::{FOREIGN, LOCALHOST};
use crate::tls::{Certificates, ClientAuthentication, TlsAcceptor, TlsConnector, TlsVersion};

#[test]
fn a_session_is_resumed_also_after_a_reload_and_the_name_is_noted() {
    let folder = Folder::new("resuming");
    let chain = folder.write("chain.pem", LOCALHOST.certificate);
    let key = folder.write("key.pem", LOCALHOST.key);
    for version in VERSIONS {
        folder.write("chain.pem", LOCALHOST.certificate);
        folder.write("key.pem", LOCALHOST.key);
        let certificates = Certificates::from_files(&chain, &key).unwrap();
        let (server, client) = (TlsAcceptor::builder(&certificates).build(), client(version));
        let first = shake(&server, &client, "localhost").unwrap();
        assert!(!first.server.resumed && !first.client.resumed);
        folder.write("chain.pem", FOREIGN.certificate);
        folder.write("key.pem", FOREIGN.key);
        certificates.reload().unwrap();
        let second = shake(&server, &client, "localhost").unwrap();
        assert!(second.server.resumed && second.client.resumed);
        assert_eq!(second.server.version, version.version);
        assert_eq!(second.server_name.as_deref(), Some("localhost"));
        // Sessions belong to a name: any other has a full handshake, and the client sees the new
        // certificate, which it does not trust.
        assert!(shake(&server, &client, "127.0.0.1").is_err());
    }
}

#[test]
fn either_side_can_be_set_not_to_resume() {
    for version in VERSIONS {
        let server = TlsAcceptor::builder(&certificates()).resumption(false).build();
        let client = client(version);
        for _ in 0..2 {
            assert!(!shake(&server, &client, "localhost").unwrap().server.resumed);
        }
    }
    let server = TlsAcceptor::builder(&certificates()).build();
    let client = TlsConnector::builder(&roots()).resumption(false).build();
    for _ in 0..2 {
        assert!(!shake(&server, &client, "localhost").unwrap().server.resumed);
    }
}

#[test]
fn a_session_is_not_resumed_at_another_acceptor() {
    for version in VERSIONS {
        let open = TlsAcceptor::builder(&certificates());
        let closed = open.clone().client_authentication(ClientAuthentication::Required(roots()));
        let (open, closed, client) = (open.build(), closed.build(), client(version));
        for _ in 0..2 {
            shake(&open, &client, "localhost").unwrap();
            // It has sessions, and no certificate.
            assert!(shake(&closed, &client, "localhost").is_err());
        }
    }
}

#[test]
fn acceptors_of_one_builder_share_no_tickets_but_clones_do() {
    let builder = TlsAcceptor::builder(&certificates()).min_version(TlsVersion::V1_3);
    let (server, other) = (builder.clone().build(), builder.build());
    let client = TlsConnector::builder(&roots()).build();
    assert!(!shake(&server, &client, "localhost").unwrap().server.resumed);
    assert!(shake(&server.clone(), &client, "localhost").unwrap().server.resumed);
    assert!(!shake(&other, &client, "localhost").unwrap().server.resumed);
    // Connectors share none either.
    let client = TlsConnector::builder(&roots()).build();
    assert!(!shake(&server, &client, "localhost").unwrap().client.resumed);
}
