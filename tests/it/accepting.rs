//! Accepting many clients.

use crate::support::{Client, Server, echo, need_many_descriptors};

#[test]
fn a_thousand_clients_at_once() {
    let _turn = need_many_descriptors();
    let server = Server::new(echo);
    let mut clients: Vec<Client> = (0..1000).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("hello from {number}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("hello from {number}"));
    }
    let port = server.port.key();
    let open = move |reactor: &mut twistor::Reactor| {
        reactor.with_factory(port, |probes, _| probes.open).unwrap()
    };
    assert_eq!(server.call(open), 1000);
    for client in clients {
        client.finish();
        client.expect_close();
    }
    server.wait_until("all are gone", |reactor| reactor.connection_count() == 0);
    let log = server.stop();
    assert_eq!(log.iter().filter(|entry| entry.ends_with("made")).count(), 1000);
    assert_eq!(log.iter().filter(|entry| entry.ends_with("lost: done")).count(), 1000);
    assert_eq!(log.iter().filter(|entry| *entry == "stopped").count(), 1);
}

#[test]
fn hundreds_of_clients_that_reset_at_once() {
    let _turn = need_many_descriptors();
    let server = Server::new(echo);
    let clients: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    for client in clients {
        client.reset();
    }
    server.wait_until("all are gone", |reactor| reactor.connection_count() == 0);
    // The server still works.
    let mut client = server.connect();
    client.send("hello");
    client.expect("hello");
}
