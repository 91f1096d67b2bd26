//! The program that is restarted: it answers who it is, and this test starts it.

use crate::support::{Child, Client, Folder, TIMEOUT};
use std::env;
use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use twistor::inspection::Inspector;
use twistor::shards::{Balance, Shards, SharedPort};
use twistor::{
    Address, Delimiter, LineContext, LineReceiver, Lines, Reactor, ServerEndpoint, Settings,
    UnixAddress,
};

/// The environment variables of the child process: what it does, the path of the hand-over, and the
/// descriptions of its ports.
const ROLE: &str = "TWISTOR_TEST_HAND_OVER";
const PATH: &str = "TWISTOR_TEST_HAND_OVER_PATH";
const PORTS: &str = "TWISTOR_TEST_HAND_OVER_PORTS";

/// Longer than any test takes: a connection that does not end by itself is one that hangs.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);

/// Answers each line with the number of the process.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Unasked,
    Asked,
    /// The reactor drains before the first question, which is on its way.
    Draining,
}

impl<F> LineReceiver<F> for Who {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line(std::process::id().to_string());
        if line == b"once" || *self == Self::Draining {
            cx.transport.lose_connection();
        }
        *self = Self::Asked;
    }

    fn drain_requested(&mut self, cx: &mut LineContext<'_, F>) {
        match self {
            Self::Unasked => *self = Self::Draining,
            _ if cx.reactor.is_handed_over() => {
                cx.send_line("restarts");
                cx.transport.lose_connection();
            }
            _ => cx.transport.lose_connection(),
        }
    }
}

/// Runs in the child processes of these tests. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = env::var(ROLE) else { return };
    let ended = run(&role);
    println!("\nended: {ended:?}");
    std::process::exit(i32::from(ended.is_err()));
}

/// What the shards of a program listen on, and which of them hand over, each at a path of its own.
#[derive(Clone, Copy, PartialEq)]
enum Ports {
    /// The first accepts for all, and hands over.
    OfTheFirst,
    /// The first accepts for all, and each has another port, which it hands over.
    OfTheFirstAndOwn,
    /// Each has a socket of its own.
    Own,
}

fn run_shards(path: &str, port: &SharedPort, ports: Ports) -> Result<String, String> {
    let shards = Shards::new(2).settings(Settings::default().drain_timeout(DRAIN_TIMEOUT));
    let ended = shards.run(|reactor, shard| {
        let path = format!("{path}.{}", shard.index());
        let hands_over = shard.index() == 0 || ports != Ports::OfTheFirst;
        if hands_over {
            reactor.take_over(&path)?;
        }
        let listening = port.listen(reactor, shard, || Lines::new(Who::Unasked))?;
        if ports == Ports::OfTheFirstAndOwn {
            reactor.listen(&format!("unix:{path}.own"), || Lines::new(Who::Unasked))?;
        }
        if hands_over {
            reactor.hand_over(&path)?;
        }
        if shard.index() == 0 {
            reactor.notify_service_manager();
            println!("\nlistening on {}", listening.local_address());
            say_when_running(reactor);
        }
        Ok(())
    });
    ended.map(|report| report.to_string()).map_err(|error| error.to_string())
}

fn say_when_running(reactor: &mut Reactor) {
    reactor.call_when_running(|reactor| {
        // After the end of start-up.
        reactor.call_later(Duration::ZERO, |_| println!("\nrunning"));
    });
}

fn run(role: &str) -> Result<String, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let path = env::var(PATH).unwrap();
    let endpoint = || env::var(PORTS).unwrap().parse().unwrap();
    match role {
        "acceptor" | "acceptor-and-own" => {
            let port = SharedPort::acceptor(endpoint(), Balance::RoundRobin);
            let has_own = role == "acceptor-and-own";
            let ports = if has_own { Ports::OfTheFirstAndOwn } else { Ports::OfTheFirst };
            return run_shards(&path, &port, ports);
        }
        "reuse-port" => {
            return run_shards(&path, &SharedPort::reuse_port(endpoint()), Ports::Own);
        }
        _ => {}
    }
    let settings = Settings::default().drain_timeout(DRAIN_TIMEOUT);
    let mut reactor = Reactor::with_settings(settings).unwrap();
    if role != "fresh" {
        println!("\nsuccessor: {}", reactor.take_over(&path).map_err(|error| said(&error))?);
    }
    reactor.notify_service_manager();
    if role == "inspected" {
        Inspector::listen(&mut reactor, format!("{path}.inspect").as_str())
            .map_err(|error| said(&error))?;
    }
    for description in env::var(PORTS).unwrap().split(' ').filter(|it| !it.is_empty()) {
        let endpoint: ServerEndpoint = description.parse().unwrap();
        let port = endpoint.listen(&mut reactor, || Lines::new(Who::Unasked));
        println!("\nlistening on {}", port.map_err(|error| said(&error))?.local_address());
    }
    reactor.hand_over(&path).map_err(|error| said(&error))?;
    let restart = |reactor: &mut Reactor| match reactor.start_successor() {
        Ok(process) => println!("\nstarted {process}"),
        Err(error) => println!("\ncannot restart: {error}"),
    };
    reactor.on_signal("SIGHUP", restart).map_err(|error| said(&error))?;
    match role {
        "dies" => reactor.call_when_running(|_| std::process::abort()),
        "stops" => reactor.call_when_running(Reactor::stop),
        // The handler has run when this returns, which a signal of another process does not ensure.
        "is-terminated" => reactor.call_when_running(|_| {
            signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
        }),
        "leaves" => return Err("left".to_owned()),
        "waits" => reactor.call_when_running(|_| {
            println!("\nwaits");
            let _ = std::io::stdin().read_line(&mut String::new());
        }),
        _ => {}
    }
    say_when_running(&mut reactor);
    reactor.run().map(|report| report.to_string()).map_err(|error| said(&error))
}

/// A process of the program, and what it listens on.
pub(super) struct Program {
    pub(super) child: Child,
    pub(super) addresses: Vec<Address>,
}

impl Program {
    pub(super) fn command(role: &str, folder: &Folder, ports: &[&str]) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "hand_over::program::role", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(PATH, folder.join("hand-over")).env(PORTS, ports.join(" "));
        command
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub(super) fn start(role: &str, folder: &Folder, ports: &[&str]) -> Self {
        Self::spawn(&mut Self::command(role, folder, ports), ports.len())
    }

    #[track_caller]
    pub(super) fn spawn(command: &mut Command, ports: usize) -> Self {
        let child = Child::spawn_with_stdin(command.stdin(Stdio::piped()));
        let addresses = (0..ports).map(|_| parse(&child.line_after("listening on "))).collect();
        Self { child, addresses }
    }

    /// Starts it, and waits until it serves.
    #[track_caller]
    pub(super) fn serving(folder: &Folder, ports: &[&str]) -> Self {
        Self::serving_as("serves", folder, ports)
    }

    #[track_caller]
    pub(super) fn serving_as(role: &str, folder: &Folder, ports: &[&str]) -> Self {
        let program = Self::start(role, folder, ports);
        program.expect_running();
        program
    }

    #[track_caller]
    pub(super) fn expect_running(&self) {
        while self.child.line() != "running" {}
    }

    /// Waits until it is about to be ready.
    #[track_caller]
    pub(super) fn expect_waiting(&self) {
        while self.child.line() != "waits" {}
    }

    /// Stops it as a debugger would, and waits until it is.
    #[track_caller]
    pub(super) fn stop(&self) {
        self.child.signal("STOP");
        let start = Instant::now();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        while !stat().contains(") T ") {
            assert!(start.elapsed() < TIMEOUT, "it does not stop");
            std::thread::yield_now();
        }
    }

    /// Lets it become ready.
    pub(super) fn go_on(&mut self) {
        self.child.stdin().write_all(b"\n").unwrap();
    }

    pub(super) fn connect(&self, port: usize) -> Client {
        Client::connect(self.addresses[port].clone())
    }

    /// Asks a connection who serves it, and expects this process.
    #[track_caller]
    pub(super) fn expect_to_serve(&self, client: &mut Client) {
        client.send("who\n");
        client.expect(format!("{}\r\n", self.child.id()));
    }

    /// Returns how it has ended.
    #[track_caller]
    pub(super) fn ended(self) -> (ExitStatus, String) {
        let ended = self.child.line_after("ended: ");
        (self.child.wait().0, ended)
    }

    /// Waits until it has ended, without cutting a connection off.
    #[track_caller]
    pub(super) fn expect_drained(self) {
        let (status, ended) = self.ended();
        assert!(ended.contains(" 0 aborted, 0 bytes lost") && status.success(), "{ended}");
    }
}

/// Parses an address as it is displayed.
fn parse(text: &str) -> Address {
    match text.strip_prefix("unix:") {
        Some(path) => UnixAddress::path(path).into(),
        None => Address::Tcp(text.parse().unwrap()),
    }
}
