//! A protocol that logs every callback and then acts as the test says.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::Sender;
use twistor::limits::TimeoutKind;
use twistor::{Context, Factory, Protocol, Reactor, Reason, TimerId, Transport};

pub(crate) type Cx<'a> = Context<'a, Probes>;

/// More bytes than all the buffers of the system hold. A whole number of periods of the pattern.
pub(crate) const LARGE: usize = 24 << 20;

/// More bytes than all the buffers of a simulated network hold, which would take long for `LARGE`.
/// Four times the limit of unsent bytes that one of the tests sets.
pub(crate) const LARGE_SIMULATED: usize = 4 << 20;

/// A callback and its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Made,
    Data(&'a [u8]),
    Timer,
    Resumed,
    TimedOut(TimeoutKind),
    Drain,
    MustWait,
    MayWrite,
    Produced,
    Refused,
    ReadLost,
    WriteLost,
    Lost,
}

thread_local! {
    static RECORDS: RefCell<Records> = RefCell::default();
}

/// What the probes of this thread have seen, whether or not a test has looked at their logs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// Breaches of the promised order.
    pub(crate) breaches: Vec<String>,
    /// Factories that have been started.
    pub(crate) started: usize,
    pub(crate) stopped: usize,
}

impl Records {
    /// Returns the records, and clears them.
    pub(crate) fn take() -> Self {
        RECORDS.take()
    }
}

pub(crate) struct Probes {
    act: fn(Event<'_>, &mut Cx<'_>),
    log: Sender<String>,
    /// Transports of all connections so far.
    pub(crate) all: Vec<Transport>,
    /// Number of open connections.
    pub(crate) open: usize,
    /// Bytes received by all connections.
    pub(crate) received: usize,
    /// A count for the test.
    pub(crate) written: usize,
    /// Number of bytes that are more than all the buffers in between hold.
    pub(crate) large: usize,
    /// A producer was paused.
    pub(crate) waits: bool,
    /// Number of yields, after each of which a protocol is called with no data.
    pub(crate) yields: usize,
}

impl Probes {
    pub(crate) fn new(act: fn(Event<'_>, &mut Cx<'_>), log: Sender<String>) -> Self {
        Self {
            act,
            log,
            all: Vec::new(),
            open: 0,
            received: 0,
            written: 0,
            large: LARGE,
            waits: false,
            yields: 0,
        }
    }

    /// Returns the factory for a simulated network.
    pub(crate) fn simulated(self) -> Self {
        Self { large: LARGE_SIMULATED, ..self }
    }

    pub(crate) fn note(&self, entry: impl Into<String>) {
        // The test may have ended.
        let _ = self.log.send(entry.into());
    }
}

impl Factory for Probes {
    type Protocol = Probe;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Probe> {
        self.all.push(transport.clone());
        Some(Probe { number: self.all.len() - 1, told: Told::default() })
    }

    fn connection_failed(&mut self, transport: &Transport, error: &io::Error, _: &mut Reactor) {
        assert!(!transport.is_connected());
        self.note(format!("failed: {:?}", error.kind()));
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.note("started");
        RECORDS.with_borrow_mut(|records| records.started += 1);
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.note("stopped");
        RECORDS.with_borrow_mut(|records| records.stopped += 1);
    }
}

pub(crate) struct Probe {
    number: usize,
    told: Told,
}

/// Callbacks so far. Every test checks that callbacks come in the promised order.
#[derive(Default)]
struct Told {
    made: bool,
    /// Paused as a producer.
    waits: bool,
    read_lost: bool,
    write_lost: bool,
    lost: bool,
}

impl Probe {
    /// Logs a breach of the order, which no test expects.
    fn promise(&self, cx: &Cx<'_>, promise: &str, kept: bool) {
        if !kept || !self.told.made || self.told.lost {
            let breach = format!("{} was promised that {promise}", self.number);
            RECORDS.with_borrow_mut(|records| records.breaches.push(breach.clone()));
            cx.factory.note(breach);
        }
    }

    fn happened(&self, cx: &mut Cx<'_>, what: &str, event: Event<'_>) {
        cx.factory.note(format!("{} {what}", self.number));
        (cx.factory.act)(event, cx);
    }
}

impl Protocol<Probes> for Probe {
    fn connection_made(&mut self, cx: &mut Cx<'_>) {
        self.told.made = !std::mem::replace(&mut self.told.made, true);
        self.promise(cx, "it is made once", cx.transport.is_connected());
        cx.factory.open += 1;
        self.happened(cx, "made", Event::Made);
    }

    fn data_received(&mut self, cx: &mut Cx<'_>, data: &[u8]) {
        let flows = !cx.transport.is_paused() && !cx.transport.is_disconnecting();
        let empty = data.is_empty() && cx.factory.yields == 0;
        self.promise(cx, "nothing comes when it paused or lost", flows && !empty);
        self.promise(cx, "nothing comes after the peer's FIN", !self.told.read_lost);
        cx.factory.received += data.len();
        // How bytes are divided depends on the network, and is not logged; a test that needs it
        // looks at the event.
        (cx.factory.act)(Event::Data(data), cx);
    }

    fn timer_fired(&mut self, cx: &mut Cx<'_>, _timer: TimerId) {
        self.promise(cx, "its timers end with it", cx.transport.is_connected());
        self.happened(cx, "timer", Event::Timer);
    }

    fn reading_resumed(&mut self, cx: &mut Cx<'_>) {
        self.promise(cx, "it resumes before the peer's FIN", !self.told.read_lost);
        self.happened(cx, "resumed", Event::Resumed);
    }

    fn timed_out(&mut self, cx: &mut Cx<'_>, kind: TimeoutKind) {
        self.happened(cx, &format!("timed out: {kind:?}"), Event::TimedOut(kind));
    }

    fn drain_requested(&mut self, cx: &mut Cx<'_>) {
        self.happened(cx, "is to drain", Event::Drain);
    }

    fn producing_paused(&mut self, cx: &mut Cx<'_>) {
        let again = std::mem::replace(&mut self.told.waits, true);
        self.promise(cx, "it is paused once", !again);
        self.happened(cx, "must wait", Event::MustWait);
    }

    fn producing_resumed(&mut self, cx: &mut Cx<'_>) {
        self.told.waits = false;
        self.happened(cx, "may write", Event::MayWrite);
    }

    fn producer_finished(&mut self, cx: &mut Cx<'_>, result: io::Result<u64>) {
        self.happened(cx, &format!("produced {result:?}"), Event::Produced);
    }

    fn write_rejected(&mut self, cx: &mut Cx<'_>, count: usize) {
        self.happened(cx, &format!("refused {count}"), Event::Refused);
    }

    fn read_connection_lost(&mut self, cx: &mut Cx<'_>) {
        let again = std::mem::replace(&mut self.told.read_lost, true);
        self.promise(cx, "the reading half is lost once", !again);
        self.happened(cx, "read lost", Event::ReadLost);
    }

    fn write_connection_lost(&mut self, cx: &mut Cx<'_>) {
        let again = std::mem::replace(&mut self.told.write_lost, true);
        self.promise(cx, "the writing half is lost once", !again);
        self.happened(cx, "write lost", Event::WriteLost);
    }

    fn connection_lost(&mut self, cx: &mut Cx<'_>, reason: &Reason) {
        self.promise(cx, "it is lost once and then", !cx.transport.is_connected());
        self.told.lost = true;
        cx.factory.open -= 1;
        let reason = match reason {
            Reason::Done => "done".to_owned(),
            Reason::Aborted => "aborted".to_owned(),
            Reason::Lost(error) => format!("{:?}", error.kind()),
            Reason::TimedOut(kind) => format!("timed out: {kind:?}"),
            Reason::Failed(failure) => format!("failed: {}", failure.error()),
            Reason::Panicked(message) => format!("panicked: {message}"),
            Reason::Stopped => "stopped".to_owned(),
            other => format!("{other:?}"),
        };
        self.happened(cx, &format!("lost: {reason}"), Event::Lost);
    }
}
