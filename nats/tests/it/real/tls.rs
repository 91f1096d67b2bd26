//! Encrypted connections to nats-server.

use super::*;
use twistor::testing::tls::{AUTHORITY, CLIENT, LOCALHOST, connector, roots};
use twistor::tls::TlsConnector;

fn serve(options: &str) -> NatsServer {
    let tls = "cert_file: \"FOLDER/cert.pem\", key_file: \"FOLDER/key.pem\", \
               ca_file: \"FOLDER/ca.pem\"";
    let [port] = crate::nats_server::free_ports();
    let mut server = NatsServer::prepare(port, &format!("tls {{ {tls}{options} }}"));
    server.write("cert.pem", LOCALHOST.certificate);
    server.write("key.pem", LOCALHOST.key);
    server.write("ca.pem", AUTHORITY);
    server.run();
    server
}

#[test]
fn encrypted() {
    if !is_installed() {
        return;
    }
    let mut server = serve("");
    let mut main = Loop::new();
    let url = format!("tls://localhost:{}", server.port);
    let (ann, events) = main.client(ConnectOptions::new(url).tls(connector()));
    main.until("connected", || ann.is_connected());
    let heard = numbers(&ann, "n");
    main.flush(&ann);
    (0..1000).for_each(|number| ann.publish("n", number.to_string()).unwrap());
    main.until("heard", || heard.borrow().len() == 1000);
    server.kill();
    main.until("lost", || !ann.is_connected());
    server.run();
    main.until("connected again", || ann.is_connected());
    ann.publish("n", "1000").unwrap();
    main.until("heard again", || heard.borrow().len() == 1001);
    assert!(events.borrow()[0].starts_with("connected to tls://localhost:"));

    // Without certificates to trust, and with those of somebody else.
    let (_, events) = main.client(ConnectOptions::new(server.url()));
    main.until("told", || !events.borrow().is_empty());
    assert!(events.borrow()[0].contains("asks for TLS"), "{events:?}");
    let system = TlsConnector::builder(
        &twistor::tls::RootCertificates::from_pem(twistor::testing::tls::FOREIGN_AUTHORITY)
            .unwrap(),
    );
    let (_, events) = main.client(ConnectOptions::new(server.url()).tls(system.build()));
    main.until("told", || !events.borrow().is_empty());
    assert!(events.borrow()[0].starts_with("cannot connect to "), "{events:?}");
}

#[test]
fn certificates_of_clients() {
    if !is_installed() {
        return;
    }
    let server = serve(", verify: true");
    let mut main = Loop::new();
    let own = TlsConnector::builder(&roots()).identity(&CLIENT.identity()).build();
    let (ann, _) = main.client(ConnectOptions::new(server.url()).tls(own).require_tls());
    main.until("connected", || ann.is_connected());
    let (_, events) = main.client(ConnectOptions::new(server.url()).tls(connector()));
    main.until("told", || !events.borrow().is_empty());
    assert!(events.borrow()[0].starts_with("cannot connect to "), "{events:?}");
}

#[test]
fn a_server_that_does_not_encrypt_is_refused() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("");
    let mut main = Loop::new();
    let url = format!("tls://localhost:{}", server.port);
    let (_, events) = main.client(ConnectOptions::new(url).tls(connector()));
    main.until("told", || !events.borrow().is_empty());
    assert!(events.borrow()[0].ends_with("does not offer TLS"), "{events:?}");
}
