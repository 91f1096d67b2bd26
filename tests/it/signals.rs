//! SIGINT and SIGTERM, in processes of their own.
#![cfg(unix)]

use crate::support::{Child, Client, interrupt};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;
use twistor::system_event::{Phase, SystemEvent};
use twistor::{Context, Protocol, Reactor, Settings};

/// The environment variable that tells a child process its role.
const ROLE: &str = "TWISTOR_TEST_ROLE";

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// Runs in the child processes of the tests below. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let settings = Settings::default().handle_signals(role != "deaf");
    let settings = settings.drain_timeout(Duration::from_secs(600));
    let mut reactor = Reactor::with_settings(settings).unwrap();
    if role == "again" {
        return run_again_and_again(reactor);
    }
    if role == "serves" {
        let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo).unwrap();
        println!("\nlistening on {}", port.local_address());
    }
    if role == "stops" {
        reactor.call_when_running(Reactor::stop);
    }
    if role == "outlives" {
        let mut first = Reactor::new().unwrap();
        reactor.call_when_running(move |_| {
            first.stop();
            first.run().unwrap();
        });
    }
    reactor.call_when_running(|_| println!("\nrunning"));
    let after = |_: &mut Reactor| println!("shut down");
    reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, after);
    if role == "draining" {
        let before = |reactor: &mut Reactor| {
            println!("held");
            // Until the deadline, which is far away.
            std::mem::forget(reactor.hold_shutdown());
        };
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, before);
    }
    if role == "stuck" {
        reactor.call_when_running(|_| {
            println!("stuck");
            std::thread::park_timeout(Duration::from_secs(600));
        });
    }
    let second = (role == "two").then(|| {
        std::thread::spawn(|| {
            let mut reactor = Reactor::new().unwrap();
            reactor.call_when_running(|_| println!("second running"));
            reactor.run().unwrap();
            println!("second returned");
        })
    });
    let report = reactor.run().unwrap();
    println!("{report}");
    println!("returned");
    if let Some(second) = second {
        second.join().unwrap();
    }
    if role == "waits" || role == "stops" {
        std::thread::park_timeout(Duration::from_secs(600));
    }
}

fn run_again_and_again(mut reactor: Reactor) {
    let mut run = || {
        reactor.stop();
        reactor.run().unwrap();
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    };
    let first = run();
    let last = (0..10).map(|_| run()).last();
    println!("\n{} descriptors more", last.unwrap() - first);
}

fn child(role: &str) -> Child {
    child_of(&mut Command::new(std::env::current_exe().unwrap()), role)
}

fn child_of(command: &mut Command, role: &str) -> Child {
    command.args(["--exact", "signals::role", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    Child::spawn(command)
}

/// Starts a child process whose parent ignores a signal.
#[cfg(target_os = "linux")]
fn ignoring_child(signal: &str, role: &str) -> Child {
    let ignoring = format!("trap '' {signal}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &ignoring]).arg(std::env::current_exe().unwrap());
    child_of(&mut command, role)
}

#[track_caller]
fn wait_for(child: &Child, line: &str) {
    while child.line() != line {}
}

#[test]
fn each_signal_ends_the_run_with_success() {
    for signal in [interrupt(), "TERM"] {
        let child = child("once");
        wait_for(&child, "running");
        child.signal(signal);
        wait_for(&child, "shut down");
        wait_for(&child, "returned");
        let (status, said) = child.wait();
        assert!(status.success(), "{status}: {said}");
    }
}

#[test]
fn after_the_run_a_signal_has_its_former_effect() {
    // Not SIGINT: if this test was started with it ignored, it is ignored again.
    let child = child("waits");
    wait_for(&child, "running");
    child.signal("TERM");
    wait_for(&child, "returned");
    child.signal("TERM");
    let (status, _) = child.wait();
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn after_a_run_without_signals_a_signal_has_its_former_effect() {
    let child = child("stops");
    wait_for(&child, "returned");
    child.signal("TERM");
    let (status, _) = child.wait();
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn without_handle_signals_a_reactor_leaves_signals_alone() {
    let child = child("deaf");
    wait_for(&child, "running");
    child.signal("TERM");
    let (status, _) = child.wait();
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn the_other_reactors_still_handle_signals_when_one_returns() {
    let child = child("outlives");
    wait_for(&child, "running");
    child.signal("TERM");
    wait_for(&child, "returned");
    let (status, said) = child.wait();
    assert!(status.success(), "{status}: {said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let child = ignoring_child("INT", "serves");
    let address: SocketAddr = child.line_after("listening on ").parse().unwrap();
    let mut client = Client::connect(address);
    wait_for(&child, "running");
    for round in 0..100 {
        // Two in a row would end it, if it listened.
        child.signal("INT");
        let line = format!("round {round}");
        client.send(&line);
        client.expect(&line);
    }
    // The signal that is not ignored drains it as usual.
    child.signal("TERM");
    client.expect_close();
    wait_for(&child, "1 connections drained, 0 lost, 0 aborted, 0 bytes lost");
    wait_for(&child, "returned");
    let (status, said) = child.wait();
    assert!(status.success(), "{status}: {said}");
}

#[cfg(target_os = "linux")]
#[test]
fn running_again_and_again_leaves_nothing_open() {
    wait_for(&child("again"), "0 descriptors more");
}

#[test]
fn a_second_signal_ends_a_process_that_drains() {
    let child = child("draining");
    wait_for(&child, "running");
    child.signal("TERM");
    wait_for(&child, "held");
    child.signal("TERM");
    let (status, _) = child.wait();
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn a_second_signal_ends_a_process_that_is_stuck() {
    let child = child("stuck");
    wait_for(&child, "stuck");
    // The system merges two that come together, so they are sent until a second one has arrived.
    let (status, _) = child.wait_signalling("TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[test]
fn one_signal_stops_all_reactors_of_the_process() {
    let child = child("two");
    let mut running = 0;
    while running < 2 {
        running += usize::from(child.line().ends_with("running"));
    }
    child.signal("TERM");
    let mut returned = 0;
    while returned < 2 {
        returned += usize::from(child.line().ends_with("returned"));
    }
    drop(child);
}
