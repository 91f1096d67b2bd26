//! The battery under single faults: each of its tests again, while one call on the system fails.
//!
//! A transient failure (`EINTR`, a short count, a spurious event, ..) must not be noticed: the test
//! has to pass as it stands. Any other failure ends a connection or keeps a client out, which the
//! test does not expect: its own assertions then may fail, and what counts is what holds in every
//! run (`check`).

use super::Carrier;
use crate::support::{Cx, Event, Records, SIMULATED_TIMEOUT, Server};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;
use twistor::testing::{
    CallFailure, FaultedCall, Host, Peer, Simulation, SystemCall, single_faults,
};
use twistor::{Address, Reactor, Settings};

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
    /// Panics of this thread, while they are recorded.
    static PANICS: RefCell<Option<Vec<Panicked>>> = const { RefCell::new(None) };
}

/// A run of a test.
struct Run {
    simulation: Simulation,
    network: Carrier,
    /// The servers that the test has begun.
    servers: Vec<Begun>,
}

/// A server that the test has begun, and how a late client connects to it.
struct Begun {
    host: Host,
    address: Address,
    /// What a client sends first.
    introduction: Vec<u8>,
}

impl Begun {
    /// Connects a client that reads nothing: some tests answer without end.
    fn late_client(&self, simulation: &Simulation) -> Peer {
        let late = match &self.address {
            Address::Unix(address) => self.host.unix_late_reader(address.clone()),
            address => simulation.late_reader("late", address.socket_addr().unwrap()),
        };
        late.send(&self.introduction);
        late
    }
}

/// A panic: where, and its message.
struct Panicked {
    file: String,
    text: String,
}

impl Panicked {
    /// Returns true unless it is of a test, or of a probe that acts as the test says.
    fn is_of_library(&self) -> bool {
        !self.file.starts_with("tests/")
    }
}

/// Begins a server on the network of the run.
pub(super) fn serve(settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
    RUN.with_borrow_mut(|run| {
        let run = run.as_mut().expect("a run has begun");
        let name = format!("server-{}", run.servers.len());
        let at = run.network.simulated_at();
        let (settings, simulation) = (run.network.settings(settings), run.simulation.clone());
        let (mut server, host) = Server::that_outlives(simulation, &name, at, settings, act);
        if matches!(run.network, Carrier::RoughNamed(_)) {
            server = server.dialling_by_name();
        }
        let (address, introduction) = (server.address.clone(), server.introduction());
        run.servers.push(Begun { host, address, introduction });
        server
    })
}

/// Number of faults that are tried with each test by default, on an ideal network, on a rough one,
/// on that with each of the other carriers, and with TLS, whose runs take longest. Each test draws
/// other faults.
const RUNS: [usize; 4] = [8, 3, 2, 1];

/// Tests that move many megabytes, which takes longer than all others together: `cargo test` leaves
/// them out, `TWISTOR_SINGLE_FAULTS` runs them.
const LARGE: [&str; 14] = [
    "a_stream_that_is_cut_short_does_not_look_whole",
    "a_producer_that_writes_in_a_loop_sees_the_high_water_mark",
    "losing_the_connection_delivers_everything_to_a_late_reader",
    "a_proxy_holds_no_more_than_the_high_water_mark_and_passes_everything",
    "many_simultaneous_attempts_are_all_served",
    "a_peer_that_takes_nothing_is_closed_by_the_close_timeout",
    "rejected_writes_are_reported",
    "a_slow_member_misses_whole_messages_and_the_others_none",
    "a_reset_is_noticed_while_closing",
    "aborting_a_full_connection_is_not_held_up",
    "connections_in_every_state_get_connection_lost_once",
    "a_client_that_sends_everything_before_it_reads_is_answered",
    "above_max_unsent_total_the_slowest_consumer_is_closed",
    "draining_delivers_everything_and_then_stops",
];

/// Turns that a server may take at the same moment: no test needs a thousand.
const TURNS_MAX: u64 = 5000;

/// Transient failures that a test may notice: of a call that is made once, and not repeated.
const NOTICED: [(&str, SystemCall, &[CallFailure], &str); 9] = [
    (
        "draining_ends_at_its_deadline",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "A shutdown offers the end of encrypted data to the socket once.",
    ),
    (
        "a_handshake_a_byte_at_a_time_is_timed_out",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "A connection that times out offers the end of its encrypted data to the socket once.",
    ),
    (
        "a_silent_client_is_closed_gracefully",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "See the one before.",
    ),
    (
        "a_reset_by_the_other_side_is_reported_with_its_error",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "Once a Unix peer has closed, a write says EPIPE where a read says ECONNRESET.",
    ),
    (
        "failing_reports_the_reason_and_closes_gracefully",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "A connection that fails offers what is unsent to the socket once.",
    ),
    (
        "a_protocol_may_do_anything_to_every_other",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "It makes connections fail, see above.",
    ),
    (
        "connections_in_every_state_get_connection_lost_once",
        SystemCall::Write,
        &[CallFailure::WouldBlock, CallFailure::ShortCount],
        "A shutdown offers what is unsent to the socket once.",
    ),
    (
        "a_late_loop_does_not_time_out_a_client_that_sent_in_time",
        SystemCall::Read,
        &[CallFailure::WouldBlock],
        "Bytes that cannot be read when a timeout is decided have not come in time.",
    ),
    (
        "clients_waiting_to_be_accepted_are_served_before_a_drain",
        SystemCall::Accept,
        &[CallFailure::WouldBlock],
        "Before a port is closed, clients are accepted until none seems to wait.",
    ),
];

/// Runs a test of the battery with single faults.
pub(super) fn survives(name: &str, network: Carrier, test: fn(Carrier)) {
    let asked = ["TWISTOR_SINGLE_FAULTS", "TWISTOR_SINGLE_FAULT"];
    if LARGE.contains(&name) && asked.iter().all(|variable| std::env::var_os(variable).is_none()) {
        return;
    }
    let (seed, conditions) = network.network();
    let runs = match network {
        Carrier::Ideal => RUNS[0],
        Carrier::Rough(_) => RUNS[1],
        Carrier::RoughTls(_) => RUNS[3],
        _ => RUNS[2],
    };
    let report = single_faults(seed, runs, |simulation| {
        simulation.set_conditions(conditions.clone());
        simulation.set_max_turns(TURNS_MAX);
        run(name, simulation, network, test);
    });
    println!("{name}: {report}");
}

/// Returns true if the test may notice the call that has failed.
fn may_notice(name: &str, simulation: &Simulation) -> bool {
    simulation.faulted_call().is_some_and(|faulted| {
        let failure = faulted.fault.failure;
        let is_named = |(test, call, failures, _): &(&str, SystemCall, &[CallFailure], &str)| {
            *test == name && *call == faulted.call && failures.contains(&failure)
        };
        !failure.is_transient() || NOTICED.iter().any(is_named)
    })
}

fn run(name: &str, simulation: &Simulation, network: Carrier, test: fn(Carrier)) {
    if simulation.single_fault().is_some_and(|fault| !fault.failure.is_transient()) {
        simulation.allow_panics();
    }
    let over_unix = matches!(network, Carrier::RoughUnix(_));
    Records::take();
    RUN.set(Some(Run { simulation: simulation.clone(), network, servers: Vec::new() }));
    let encrypted = network.shakes_hands();
    let (outcome, mut panics) = recorded(|| test(Carrier::Faulted { over_unix, encrypted }));
    let servers = RUN.take().map_or(Vec::new(), |run| run.servers);
    if outcome.is_err() && !may_notice(name, simulation) {
        let texts: Vec<String> = panics.into_iter().map(|panic| panic.text).collect();
        panic!("{}", texts.join("\n"));
    }
    // A late client is more than some tests expect.
    simulation.allow_panics();
    let (outcome, more) = recorded(|| check(simulation, &servers));
    panics.extend(more);
    let of_library = panics.iter().filter(|panic| panic.is_of_library() || outcome.is_err());
    let texts: Vec<&str> = of_library.map(|panic| &*panic.text).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
}

/// Checks what holds whatever has happened: the servers serve a late client, rest, and stop with
/// nothing left.
fn check(simulation: &Simulation, servers: &[Begun]) {
    for begun in servers.iter().filter(|begun| !begun.host.has_stopped()) {
        let host = &begun.host;
        let made = host.calls().connection_made();
        let late = begun.late_client(simulation);
        let rejected = || host.reactor(|reactor| reactor.metrics().rejected);
        let before = rejected();
        let is_over = || {
            host.calls().connection_made() > made
                || rejected() > before
                || late.close_kind().is_some()
                || host.has_stopped()
        };
        assert!(simulation.run_until(SIMULATED_TIMEOUT, is_over), "a late client waits for ever");
        drop(late);
    }
    rests(simulation, servers);
    let faulted = simulation.faulted_call().filter(breaks);
    assert!(faulted.is_none_or(|call| call.is_closed), "a broken connection is kept");
    for Begun { host, .. } in servers {
        if !host.has_stopped() {
            host.reactor(Reactor::stop);
        }
        assert!(simulation.run_until(SIMULATED_TIMEOUT, || host.has_stopped()), "it does not stop");
        let left = host.open_resources();
        let held = (left.connections, left.timers, left.ports, left.factories, host.open());
        assert_eq!(held, (0, 0, 0, 0, 0), "{left:?}");
        let metrics = host.reactor(|reactor| reactor.metrics());
        assert_eq!((metrics.open, metrics.unsent), (0, 0), "{metrics}");
        assert_eq!(metrics.accepted + metrics.connected, metrics.lost, "{metrics}");
    }
    simulation.run_for(SIMULATED_TIMEOUT);
    assert_eq!(simulation.connections(), 0, "the network is empty");
    let Records { breaches, started, stopped } = Records::take();
    assert_eq!(breaches, <[String; 0]>::default());
    assert_eq!(started, stopped, "each factory that started was stopped");
}

/// Returns true if the failure of a call ends its connection.
fn breaks(faulted: &FaultedCall) -> bool {
    let is_option = matches!(faulted.call, SystemCall::SetOption | SystemCall::LocalAddress);
    faulted.peer.is_some()
        && !faulted.fault.failure.is_transient()
        && faulted.call != SystemCall::Connect
        && !is_option
}

/// Checks that servers with nothing to do take no turns.
fn rests(simulation: &Simulation, servers: &[Begun]) {
    // Longer than a socket lingers, a connection waits for its peer or a timer of a test runs.
    const CALM: Duration = Duration::from_secs(3600);
    // A timer or two of the test's own may be left.
    const TURNS_MAX: u64 = 10;
    let turns = || -> u64 {
        let of_one = |host: &Host| host.reactor(|reactor| reactor.metrics().turns);
        servers.iter().map(|begun| of_one(&begun.host)).sum()
    };
    simulation.run_for(CALM);
    let before = turns();
    simulation.run_for(CALM);
    let taken = turns() - before;
    assert!(taken <= TURNS_MAX, "a server with nothing to do takes {taken} turns");
}

/// Calls `call`, and returns its outcome with all panics meanwhile, none of which is printed.
fn recorded(call: impl FnOnce()) -> (Result<(), Box<dyn Any + Send>>, Vec<Panicked>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_recorded = PANICS.with_borrow_mut(|panics| {
                let Some(panics) = panics else { return false };
                let file = info.location().map_or("", |location| location.file()).to_owned();
                panics.push(Panicked { file, text: info.to_string() });
                true
            });
            if !is_recorded {
                print(info);
            }
        }));
    });
    PANICS.set(Some(Vec::new()));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    (outcome, PANICS.take().unwrap_or_default())
}

#[test]
fn the_lists_name_tests_of_the_battery() {
    let battery = include_str!("mod.rs");
    for name in LARGE.into_iter().chain(NOTICED.into_iter().map(|(name, ..)| name)) {
        assert!(battery.contains(&format!("        {name}")), "{name} is no test of the battery");
    }
}
