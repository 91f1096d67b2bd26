//! What the log says of failures that no code of the program handles, in a process of its own.

use crate::support::Child;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use twistor::{ClientService, Protocol, Reactor, TcpClientEndpoint};

/// The environment variable with which the test starts itself as a child process.
const ROLE: &str = "TWISTOR_TEST_LOGGED";

static WARNINGS: AtomicUsize = AtomicUsize::new(0);

/// A logger that prints, and counts the warnings.
struct Printed;

impl log::Log for Printed {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Warn {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        }
        println!("\n{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

struct Quiet;

impl<F> Protocol<F> for Quiet {}

/// Runs in the child process of the test below. Without a role it does nothing.
#[test]
fn role() {
    if std::env::var(ROLE).is_err() {
        return;
    }
    log::set_logger(&Printed).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    println!("\nrefused: {address}");
    let mut reactor = Reactor::new().unwrap();
    reactor.connect_tcp(address, || Quiet).unwrap();
    let service = ClientService::new(TcpClientEndpoint::new(address), || Quiet);
    let service = service.start(&mut reactor).unwrap();
    service.when_connected(&mut reactor, NonZeroU32::new(1), |reactor, _| reactor.stop());
    reactor.run().unwrap();
    println!("\nwarnings: {}", WARNINGS.load(Ordering::Relaxed));
}

#[test]
fn an_attempt_that_fails_is_a_warning_and_a_service_says_why_it_tries_again() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "logged::role", "--nocapture", "--test-threads=1"]);
    let child = Child::spawn(command.env(ROLE, "fails"));
    let address = child.line_after("refused: ");
    let why = child.line_after(&format!("WARN: cannot connect to {address}: "));
    assert!(why.contains("refused"), "{why}");
    let retry = child.line_after("INFO: Quiet: connecting to ");
    assert!(retry.starts_with(&format!("{address} again in ")), "{retry}");
    assert!(retry.contains("refused"), "{retry}");
    assert_eq!(child.line_after("warnings: "), "1", "none for the service");
    let (status, said) = child.wait();
    assert!(status.success(), "{status}: {said}");
}
