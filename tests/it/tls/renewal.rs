//! Examples renew their certificates at SIGHUP.

use super::client::{Request, ask};
use super::{Files, roots};
use crate::support::{Child, TIMEOUT, interrupt};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;
use twistor::testing::tls::{FOREIGN, LOCALHOST, RSA};
use twistor::tls::TlsConnector;
use twistor::{ClientEndpoint, TcpClientEndpoint};

/// Waits until new connections have a certificate for this name.
#[track_caller]
fn wait_for(name: &str, address: SocketAddr) {
    let connector = TlsConnector::builder(&roots()).build();
    let start = Instant::now();
    loop {
        let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(address));
        let request = Request::new("hello").wants(5);
        let outcome = ask(endpoint.encrypted(connector.to(name).unwrap()), request);
        if outcome.end == "done" {
            assert_eq!(outcome.text(), "hello");
            return;
        }
        assert!(outcome.end.contains("certificate"), "{}", outcome.end);
        assert!(start.elapsed() < TIMEOUT, "the certificate is not renewed: {}", outcome.end);
    }
}

#[test]
fn an_example_serves_new_certificates_after_sighup() {
    let files = Files::new();
    let write = |chain: &str, key: &str| {
        files.write("chain.pem", chain);
        files.write("key.pem", key);
    };
    write(LOCALHOST.certificate, LOCALHOST.key);
    let mut command = Command::new(Child::path("echo"));
    command.arg("ssl:0:interface=127.0.0.1:certKey=chain.pem:privateKey=key.pem");
    let server = Child::spawn(command.current_dir(files.folder()).env("RUST_LOG", "info"));
    let address = server.address();
    wait_for("example.test", address);
    write(RSA.certificate, RSA.key);
    server.signal("HUP");
    wait_for("rsa.test", address);
    // Half of a pair that does not fit changes nothing.
    write(FOREIGN.certificate, RSA.key);
    server.signal("HUP");
    // The second connection is accepted in a turn after that of the signal.
    wait_for("rsa.test", address);
    wait_for("rsa.test", address);
    server.signal(interrupt());
    let (status, said) = server.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("serving the new certificates"), "{said}");
    assert!(
        said.contains("still serving the old certificates: ") && said.contains("key.pem"),
        "{said}"
    );
}
