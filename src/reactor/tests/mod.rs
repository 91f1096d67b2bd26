//! The loop over a scripted driver: each edge, short write and error exactly where a test wants it.

mod accept;
mod arrival;
mod blocking;
mod bounds;
mod client_services;
mod close;
mod connect;
mod endless_input;
mod extremes;
mod failures;
mod fairness;
mod faults;
mod foreign_ids;
#[cfg(unix)]
mod hand_over;
mod hostnames;
mod intervals;
mod kept_factories;
mod keys;
mod limits;
mod linger;
mod mailboxes;
mod many_connections;
mod metrics;
mod overflow;
mod producers;
mod proxy;
#[cfg(feature = "testing")]
mod random_walks;
mod rate_limits;
mod read;
#[cfg(feature = "testing")]
mod records;
mod remote_calls;
mod service_manager;
mod shares;
mod shutdown;
mod signals;
mod timeouts;
#[cfg(all(feature = "tls", feature = "testing"))]
mod tls;
mod total_limit;
mod truncation;
mod turns;
mod wrapping;
mod write;
mod write_errors;
mod yielding;

use crate::driver::scripted::{Peer, Script};
use crate::limits::TimeoutKind;
use crate::{
    Context, Factory, FactoryKey, ListeningPort, Protocol, Reactor, Reason, Settings, TimerId,
    Transport,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// A log of callbacks, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    #[track_caller]
    fn expect(&self, entries: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.0.borrow_mut()), entries);
    }

    fn count(&self, entry: &str) -> usize {
        self.0.borrow().iter().filter(|it| *it == entry).count()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event<'a> {
    Made,
    Data(&'a [u8]),
    Secured,
    Timer,
    Resumed,
    TimedOut(TimeoutKind),
    Drain,
    MustWait,
    MayWrite,
    Produced,
    Rejected,
    ReadLost,
    WriteLost,
    Lost,
}

type Act = Box<dyn FnMut(Event<'_>, &mut Context<'_, Probes>)>;

/// A protocol that logs every callback and then acts as the test says.
struct Probe {
    log: Log,
    number: usize,
    act: Act,
}

impl Probe {
    fn happened(&mut self, cx: &mut Context<'_, Probes>, what: &str, event: Event<'_>) {
        self.log.push(format!("{} {what}", self.number));
        (self.act)(event, cx);
    }
}

impl Protocol<Probes> for Probe {
    fn connection_made(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "made", Event::Made);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Probes>, data: &[u8]) {
        let shown = match data.len() {
            0..20 => String::from_utf8_lossy(data).into_owned(),
            length => format!("{length} bytes"),
        };
        self.happened(cx, &format!("data {shown}"), Event::Data(data));
    }

    fn handshake_completed(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "secured", Event::Secured);
    }

    fn timer_fired(&mut self, cx: &mut Context<'_, Probes>, _timer: TimerId) {
        self.happened(cx, "timer", Event::Timer);
    }

    fn reading_resumed(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "resumed", Event::Resumed);
    }

    fn timed_out(&mut self, cx: &mut Context<'_, Probes>, kind: TimeoutKind) {
        self.happened(cx, &format!("timed out: {kind:?}"), Event::TimedOut(kind));
    }

    fn drain_requested(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "drain requested", Event::Drain);
    }

    fn producing_paused(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "must wait", Event::MustWait);
    }

    fn producing_resumed(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "may write", Event::MayWrite);
    }

    fn producer_finished(&mut self, cx: &mut Context<'_, Probes>, result: io::Result<u64>) {
        let result = result.map_err(|error| error.kind());
        self.happened(cx, &format!("produced {result:?}"), Event::Produced);
    }

    fn write_rejected(&mut self, cx: &mut Context<'_, Probes>, count: usize) {
        self.happened(cx, &format!("rejected {count}"), Event::Rejected);
    }

    fn read_connection_lost(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "read lost", Event::ReadLost);
    }

    fn write_connection_lost(&mut self, cx: &mut Context<'_, Probes>) {
        self.happened(cx, "write lost", Event::WriteLost);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Probes>, reason: &Reason) {
        self.happened(cx, &format!("lost: {reason}"), Event::Lost);
    }
}

/// An error whose every use panics.
#[derive(Debug)]
struct Cursed;

impl std::fmt::Display for Cursed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("displayed")
    }
}

impl std::error::Error for Cursed {}

impl Drop for Cursed {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// A factory of probes, which all act alike; it keeps their transports.
struct Probes {
    log: Log,
    act: fn(Event<'_>, &mut Context<'_, Self>),
    all: Vec<Transport>,
    /// The factory's own key, if the test has set it.
    key: Rc<Cell<Option<FactoryKey<Self>>>>,
}

impl Factory for Probes {
    type Protocol = Probe;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Probe> {
        let number = self.all.len();
        self.all.push(transport.clone());
        Some(Probe { log: self.log.clone(), number, act: Box::new(self.act) })
    }

    fn connection_failed(&mut self, transport: &Transport, error: &io::Error, _: &mut Reactor) {
        assert!(!transport.is_connected());
        self.log.push(format!("failed: {}", error.kind()));
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stopped");
    }
}

/// A reactor over a scripted driver, with a port of probes.
struct Fixture {
    script: Script,
    reactor: Reactor,
    port: ListeningPort<Probes>,
    log: Log,
}

impl Fixture {
    fn new(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Self {
        Self::with(Settings::default().close_timeout(Duration::from_secs(10)), act)
    }

    fn with(settings: Settings, act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Self {
        let (script, log) = (Script::new(), Log::default());
        let mut reactor = Reactor::with_driver(script.driver(), settings);
        let probes = Probes { log: log.clone(), act, all: Vec::new(), key: Rc::default() };
        let port = reactor.listen_tcp(8007, probes).unwrap();
        Self { script, reactor, port, log }
    }

    #[track_caller]
    fn turn(&mut self) {
        assert!(self.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }

    /// Runs a bounded number of turns, until no work is left over.
    #[track_caller]
    fn settle(&mut self) {
        for _ in 0..20 {
            self.turn();
        }
    }

    /// Connects a client, and accepts it.
    fn connect(&mut self) -> Peer {
        let peer = self.script.connect();
        self.turn();
        peer
    }

    /// Returns the transport of the probe with this number.
    fn transport(&mut self, number: usize) -> Transport {
        self.reactor.with_factory(&self.port, |probes, _| probes.all[number].clone()).unwrap()
    }

    /// Asserts that no connection, no timer and no work is left.
    #[track_caller]
    fn expect_empty(&mut self) {
        assert_eq!(self.reactor.connection_count(), 0);
        assert_eq!(self.reactor.connections.len(), 0);
        assert_eq!(self.reactor.timers.len(), 0);
        assert_eq!(self.reactor.repeated_calls.len(), 0);
        assert_eq!(self.reactor.next_deadline(), None);
    }
}

fn quiet(_: Event<'_>, _: &mut Context<'_, Probes>) {}

fn echo(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(data) => cx.transport.write(data),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

/// Acts as the test says when data comes.
fn on_data(event: Event<'_>, act: impl FnOnce()) {
    if let Event::Data(_) = event {
        act();
    }
}
