//! Shards in processes of their own: signals, and threads that panic.

use super::Greeter;
use crate::examples::Example;
use crate::support::{Child, Client};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use twistor::Settings;
use twistor::shards::{Balance, PanicPolicy, Shards, SharedPort};

/// The environment variable that tells a child process its role.
const ROLE: &str = "TWISTOR_TEST_SHARDS";

/// Panics on a certain shard, in code that the library calls outside of callbacks.
struct PanickingLog;

impl log::Log for PanickingLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let bad = std::env::var(ROLE).unwrap().ends_with('0');
        let name = if bad { "shard-0" } else { "shard-1" };
        let is_bad = std::thread::current().name() == Some(name);
        let message = record.args().to_string();
        let is_broken = std::env::var(ROLE).unwrap().contains("broken log");
        assert!(!(is_broken && record.level() <= log::Level::Warn), "the disk is full");
        assert!(!(is_bad && message.ends_with(": connected")), "the disk is full");
        // In time, so that a test can wait for it.
        println!("log: {message}");
    }

    fn flush(&self) {}
}

/// Runs in the child processes of the tests below. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let settings = Settings::default().drain_timeout(Duration::from_secs(600));
    let mut shards = Shards::new(2).settings(settings);
    if role.contains("panics") {
        log::set_logger(&PanickingLog).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    }
    if role.starts_with("continues") {
        shards = shards.on_panic(PanicPolicy::Continue);
    }
    let alone = role == "continues, 1 panics alone";
    let endpoint = "tcp:0:interface=127.0.0.1".parse().unwrap();
    let port = match alone {
        true => SharedPort::reuse_port(endpoint),
        false => SharedPort::acceptor(endpoint, Balance::RoundRobin),
    };
    let ended = shards.run(|reactor, shard| {
        let index = shard.index();
        let port = port.listen(reactor, shard, move || Greeter { index })?;
        if index == 1 {
            println!("\nlistening on {}", port.local_address());
        }
        if role == "held" {
            std::mem::forget(reactor.hold_shutdown());
        }
        let waits = index == 1 && role.contains("clients wait");
        reactor.call_when_running(move |_| {
            println!("shard {index} runs");
            if waits {
                let _ = std::io::stdin().read_line(&mut String::new());
            }
        });
        Ok(())
    });
    match ended {
        Ok(report) => println!("report: {report}"),
        Err(error) => println!("error: {error}"),
    }
}

fn child(role: &str) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "shards::processes::role", "--nocapture", "--test-threads=1"]);
    let child = Child::spawn_with_stdin(command.env(ROLE, role).stdin(Stdio::piped()));
    let address = child.line_after("listening on ").parse().unwrap();
    for _ in 0..2 {
        child.line_after("shard ");
    }
    (child, address)
}

/// Returns the greeting, or nothing if the connection ends before.
fn greeting(address: SocketAddr) -> Vec<u8> {
    let client = Client::connect(address);
    client.finish();
    client.rest_and_end().0
}

/// Connects clients, one to each shard.
fn connect(address: SocketAddr) -> Vec<Client> {
    (0..4)
        .map(|number| {
            let mut client = Client::connect(address);
            assert_eq!(client.line(), (number % 2).to_string());
            client
        })
        .collect()
}

#[test]
fn a_signal_stops_all_shards() {
    for (signal, report) in [
        ("TERM", "2 shards: 4 connections drained, 0 lost, 0 aborted, 0 bytes lost"),
        (crate::support::interrupt(), ""),
    ] {
        let (child, address) = child("waits");
        let clients = connect(address);
        child.signal(signal);
        for client in clients {
            client.expect_close();
        }
        assert!(child.line_after("report: ").contains(report));
        let (status, said) = child.wait();
        assert!(status.success(), "{status}: {said}");
    }
}

#[test]
fn a_second_signal_ends_shards_that_drain() {
    let (child, _address) = child("held");
    let (status, _) = child.wait_signalling("TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn a_thread_that_panics_stops_the_others_gracefully() {
    let (child, address) = child("1 panics");
    let mut first = Client::connect(address);
    assert_eq!(first.line(), "0");
    // It goes to the shard that panics.
    assert_eq!(greeting(address), b"");
    first.expect_close();
    let expected = "2 shards: 1 connections drained, 0 lost, 0 aborted, 0 bytes lost; shard 1 \
                    panicked: the disk is full";
    assert_eq!(child.line_after("error: "), expected);
    assert!(child.wait().0.success());
}

/// Neither the error of the thread nor the warning that its clients are reset can be logged.
#[test]
fn a_logger_that_panics_each_time_does_not_keep_the_others_from_stopping() {
    let (mut child, address) = child("1 panics, with a broken log, while clients wait");
    let mut clients: Vec<_> = (0..7).map(|_| Client::connect(address)).collect();
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.line(), "0");
    }
    // By now three wait for the shard that panics.
    child.stdin().write_all(b"\n").unwrap();
    let error = child.line_after("error: 2 shards: 4 connections drained, ");
    assert!(error.ends_with("; shard 1 panicked: the disk is full"), "{error}");
    let (status, said) = child.wait();
    assert!(status.success(), "{status}: {said}");
}

#[test]
fn the_others_continue_without_a_thread_that_panics_if_that_is_wanted() {
    let (child, address) = child("continues, 1 panics");
    let mut first = Client::connect(address);
    assert_eq!(first.line(), "0");
    assert_eq!(greeting(address), b"");
    child.line_after("log: shard 1 panicked: the disk is full");
    for _ in 0..3 {
        assert_eq!(Client::connect(address).line(), "0");
    }
    first.send("still there");
    first.expect("still there");
    drop(first);
    child.signal("TERM");
    let report = child.line_after("report: 2 shards: ");
    assert!(report.ends_with("; shard 1 panicked: the disk is full"), "{report}");
    assert!(child.wait().0.success());
}

#[test]
fn without_the_shard_that_accepts_for_all_they_stop() {
    let (child, address) = child("continues, panics 0");
    assert_eq!(greeting(address), b"");
    let error = child.line_after("error: 2 shards: ");
    assert!(error.ends_with("; shard 0 panicked: the disk is full"), "{error}");
    assert!(child.wait().0.success());
}

#[cfg(target_os = "linux")]
#[test]
fn with_sockets_of_their_own_the_others_serve_all_clients_that_come_later() {
    let (child, address) = child("continues, 1 panics alone");
    // Until the system gives one to the shard that panics.
    while !greeting(address).is_empty() {}
    child.line_after("log: shard 1 panicked: the disk is full");
    for _ in 0..20 {
        assert_eq!(Client::connect(address).line(), "0");
    }
    child.signal("TERM");
    assert!(child.line_after("report: 2 shards: ").ends_with("panicked: the disk is full"));
}

#[test]
fn sharded_chat() {
    let example = Example::start("sharded_chat", &["2"]);
    example.check(
        "ann connects
         ann S: What's your name?
         ann C: Ann
         ann S: Welcome, Ann!
         bob connects
         bob S: What's your name?
         bob C: Ann
         bob S: Name taken, please choose another.
         bob C: Bob
         bob S: Welcome, Bob!
         ann C: Hi, Bob
         bob S: <Ann> Hi, Bob
         bob C: Hi!
         ann S: <Bob> Hi!",
    );
    example.server.signal("USR1");
    for (shard, clients) in [("shard 0:", 1), ("shard 1:", 1), ("all shards:", 2)] {
        example.server.line_after(shard);
        let connections = example.server.line_after("connections: ");
        assert!(connections.contains(&format!("{clients} accepted, ")), "{shard} {connections}");
    }
    example.stop();
}
