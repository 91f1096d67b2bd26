//! Many clients, and fewer descriptors than clients.

use crate::support::{Child, Client, PATIENCE, Server, echo};
use std::process::Command;
use std::time::Instant;

/// Both ends of a thousand connections are in this process, and a system's usual limit is lower.
fn need_many_descriptors() {
    let limit = rlimit::increase_nofile_limit(4096).unwrap();
    assert!(limit >= 4096, "this test needs 4096 descriptors, and may have {limit}");
}

#[test]
fn a_thousand_clients_at_once() {
    need_many_descriptors();
    let server = Server::new(echo);
    let mut clients: Vec<Client> = (0..1000).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("hello from {number}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("hello from {number}"));
    }
    let port = server.port;
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
    need_many_descriptors();
    let server = Server::new(echo);
    let clients: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    for client in clients {
        client.reset();
    }
    server.wait_until("all are gone", |reactor| reactor.connection_count() == 0);
    // The server is none the worse.
    let mut client = server.connect();
    client.send("hello");
    client.expect("hello");
}

/// How many descriptors the starved server may have. Its own, and some ten for clients.
#[cfg(all(unix, feature = "signals"))]
const DESCRIPTORS: usize = 20;

#[cfg(all(unix, feature = "signals"))]
#[test]
fn out_of_descriptors_clients_are_turned_away_and_service_resumes() {
    let shell = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" tcp:0:interface=127.0.0.1");
    let example = Child::path("echo");
    let mut command = Command::new("sh");
    let server = Child::spawn(command.args(["-c", &shell]).arg(example).env("RUST_LOG", "warn"));
    let address = server.address();

    // More clients than descriptors: each is either served or turned away, and none hangs.
    let (mut served, mut turned_away) = (Vec::new(), 0);
    for _ in 0..3 * DESCRIPTORS {
        let mut client = server.connect(address);
        match client.try_echo("hello") {
            true => served.push(client),
            false => turned_away += 1,
        }
    }
    assert!(served.len() >= 5, "{} were served", served.len());
    assert!(turned_away > DESCRIPTORS, "{turned_away} were turned away");

    // Those who were there are served all the time.
    for client in &mut served {
        client.send("still here");
        client.expect("still here");
    }

    // And when descriptors come back, so does the service.
    drop(served.split_off(2));
    let start = Instant::now();
    let mut late = loop {
        let mut client = server.connect(address);
        if client.try_echo("late") {
            break client;
        }
        assert!(start.elapsed() < PATIENCE, "nobody is accepted any more");
    };
    late.send("and again");
    late.expect("and again");
    server.signal("TERM");
    let (status, said) = server.wait();
    assert!(status.success());
    let warnings = said.lines().filter(|line| line.contains("cannot accept on")).count();
    assert!((1..=5).contains(&warnings), "{said}");
}
