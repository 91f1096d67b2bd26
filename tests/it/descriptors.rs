//! Fewer descriptors than clients.
#![cfg(unix)]

use crate::support::{Child, Client, TIMEOUT};
use std::io::{Read, Write};
use std::process::Command;
use std::time::Instant;

/// Descriptor limit of the server: its own, and some ten for clients.
const DESCRIPTORS: usize = 20;

/// Sends something, and returns true if it comes back, false if the server closes instead.
fn comes_back(client: &mut Client, data: &str) -> bool {
    let mut got = vec![0; data.len()];
    client.socket().write_all(data.as_bytes()).is_ok()
        && client.socket().read_exact(&mut got).is_ok()
        && got == data.as_bytes()
}

#[test]
fn out_of_descriptors_clients_are_rejected_and_service_resumes() {
    let shell = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" tcp:0:interface=127.0.0.1");
    let example = Child::path("echo");
    let mut command = Command::new("sh");
    let server = Child::spawn(command.args(["-c", &shell]).arg(example).env("RUST_LOG", "warn"));
    let address = server.address();

    // More clients than descriptors: each is either served or rejected, and none hangs.
    let (mut served, mut rejected) = (Vec::new(), 0);
    for _ in 0..3 * DESCRIPTORS {
        let mut client = server.connect(address);
        match comes_back(&mut client, "hello") {
            true => served.push(client),
            false => rejected += 1,
        }
    }
    assert!(served.len() >= 5, "{} were served", served.len());
    assert!(rejected > DESCRIPTORS, "{rejected} were rejected");

    // Established connections are served all the time.
    for client in &mut served {
        client.send("still here");
        client.expect("still here");
    }

    // When descriptors are free again, clients are accepted again.
    drop(served.split_off(2));
    let start = Instant::now();
    let mut late = loop {
        let mut client = server.connect(address);
        if comes_back(&mut client, "late") {
            break client;
        }
        assert!(start.elapsed() < TIMEOUT, "no client is accepted any more");
    };
    late.send("and again");
    late.expect("and again");
    server.signal("TERM");
    let (status, said) = server.wait();
    assert!(status.success());
    let warnings = said.lines().filter(|line| line.contains("cannot accept on")).count();
    assert!((1..=5).contains(&warnings), "{said}");
}
