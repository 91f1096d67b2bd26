//! Signals of the program's own, in processes of their own.
#![cfg(unix)]

use crate::support::Child;
use signal_hook::consts::{SIGKILL, SIGUSR1};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;
use twistor::{Reactor, Settings};

/// The environment variable that tells a child process its role.
const ROLE: &str = "TWISTOR_TEST_OWN_SIGNALS";

/// Runs in the child processes of the tests below. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let settings = Settings::default().handle_signals(role != "deaf");
    let mut reactor = Reactor::with_settings(settings).unwrap();
    let print = |text: &'static str| move |_: &mut Reactor| println!("\n{text}");
    match &*role {
        "counts" | "embedded" => {
            let mut count = 0;
            let hup = move |_: &mut Reactor| {
                count += 1;
                println!("\nhup {count}");
            };
            reactor.on_signal("SIGHUP", hup).unwrap();
        }
        "removes" => {
            let first = reactor.on_signal("SIGUSR1", print("first")).unwrap();
            let second = reactor.on_signal("SIGUSR1", print("second")).unwrap();
            let remove = move |reactor: &mut Reactor| {
                if reactor.remove_signal_handler(first) {
                    println!("\none is left");
                } else {
                    assert!(reactor.remove_signal_handler(second));
                    println!("\nnone is left");
                }
            };
            reactor.on_signal("SIGUSR2", remove).unwrap();
        }
        "drops" => {
            reactor.on_signal("SIGUSR1", |reactor| reactor.stop()).unwrap();
        }
        "deaf" => {
            reactor.on_signal("SIGTERM", print("term")).unwrap();
            reactor.on_signal("SIGINT", print("int")).unwrap();
        }
        "again" => return add_again_and_again(reactor),
        _ => panic!("no role has the name {role}"),
    }
    reactor.call_when_running(|_| println!("\nrunning"));
    if role == "embedded" {
        // A signal that comes before the first turn is not lost.
        let own = std::process::id().to_string();
        assert!(Command::new("kill").args(["-HUP", &own]).status().unwrap().success());
        while reactor.turn(None).unwrap().is_continue() {}
    }
    reactor.run().unwrap();
    drop(reactor);
    println!("\ndropped");
    std::thread::park_timeout(Duration::from_secs(600));
}

fn add_again_and_again(mut reactor: Reactor) {
    let mut add_and_remove = || {
        let id = reactor.on_signal("SIGHUP", |_| {}).unwrap();
        assert!(reactor.remove_signal_handler(id));
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    };
    let first = add_and_remove();
    let last = (0..10).map(|_| add_and_remove()).last();
    println!("\n{} descriptors more", last.unwrap() - first);
}

fn child(role: &str) -> Child {
    child_of(&mut Command::new(std::env::current_exe().unwrap()), role)
}

fn child_of(command: &mut Command, role: &str) -> Child {
    let arguments = ["--exact", "own_signals::role", "--nocapture", "--test-threads=1"];
    Child::spawn(command.args(arguments).env(ROLE, role))
}

#[track_caller]
fn wait_for(child: &Child, line: &str) {
    while child.line() != line {}
}

#[track_caller]
fn expect_killed(child: Child, signal: i32) {
    let (status, said) = child.wait();
    assert_eq!(status.signal(), Some(signal), "{status}: {said}");
}

#[test]
fn each_signal_is_one_call_and_term_still_ends_the_run() {
    let child = child("counts");
    wait_for(&child, "running");
    for count in 1..=20 {
        child.signal("HUP");
        wait_for(&child, &format!("hup {count}"));
    }
    child.signal("TERM");
    wait_for(&child, "dropped");
}

#[test]
fn removed_handlers_and_only_they_are_restored() {
    let child = child("removes");
    wait_for(&child, "running");
    child.signal("USR1");
    wait_for(&child, "first");
    wait_for(&child, "second");
    child.signal("USR2");
    wait_for(&child, "one is left");
    child.signal("USR1");
    wait_for(&child, "second");
    child.signal("USR2");
    wait_for(&child, "none is left");
    child.signal("USR1");
    expect_killed(child, SIGUSR1);
}

#[test]
fn a_reactor_that_is_dropped_restores_its_signals() {
    let child = child("drops");
    wait_for(&child, "running");
    child.signal("USR1");
    wait_for(&child, "dropped");
    child.signal("USR1");
    expect_killed(child, SIGUSR1);
}

#[test]
fn the_program_can_handle_the_signals_that_stop_a_reactor() {
    let child = child("deaf");
    wait_for(&child, "running");
    // More than one: the second of them does not end the process.
    for _ in 0..3 {
        child.signal("TERM");
        wait_for(&child, "term");
        child.signal("INT");
        wait_for(&child, "int");
    }
    child.signal("KILL");
    expect_killed(child, SIGKILL);
}

#[test]
fn a_signal_that_comes_before_the_first_turn_is_not_lost() {
    let child = child("embedded");
    // Its signal may be called for before the closure that waits for the start, or after it.
    let mut expected = vec!["running", "hup 1"];
    while !expected.is_empty() {
        let line = child.line();
        expected.retain(|it| *it != line);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_the_process_ignores_is_handled_if_the_program_asks_for_it() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let child = child_of(&mut command, "counts");
    wait_for(&child, "running");
    child.signal("HUP");
    wait_for(&child, "hup 1");
    child.signal("TERM");
    wait_for(&child, "dropped");
    // Ignored again: the process is there for the next signal.
    child.signal("HUP");
    child.signal("KILL");
    expect_killed(child, SIGKILL);
}

#[cfg(target_os = "linux")]
#[test]
fn adding_and_removing_leaves_nothing_open() {
    wait_for(&child("again"), "0 descriptors more");
}
