//! The flight recorder: what the loop has done, always on.

use super::Reactor;
use super::type_name::short_name;
use crate::address::Address;
use crate::arena::Id;
use crate::callback_kind::CallbackKind;
use crate::transport::{ConnectionId, Transport};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Events that are remembered. Enough to see what led to the last, in eight kilobytes.
const EVENTS: usize = 128;

/// The events are logged this often and no oftener, however many callbacks are slow or panic.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Callback(CallbackKind),
    /// The reader that feeds a connection was asked for more: the user's code, like a callback.
    ReaderRead,
    Accepted,
    Connected,
    /// A closure was called: of a timer, of another thread, of a trigger.
    Closure,
    Turn,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::Callback(kind) => kind.name(),
            Self::ReaderRead => "read",
            Self::Accepted => "accepted",
            Self::Connected => "connected",
            Self::Closure => "closure",
            Self::Turn => "turn",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Nanoseconds of the recorder's age.
    at: u64,
    kind: EventKind,
    connection: Option<Id>,
    /// Bytes, of data; what was ready, of a turn.
    amount: usize,
}

/// Time that was spent on something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// How often something was called.
    pub calls: u64,
    /// How long all of it took.
    pub total: Duration,
    /// How long the longest took.
    pub longest: Duration,
}

/// The same in nanoseconds, which is cheaper to add to: it is added to at each callback.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallTotals {
    calls: u64,
    total: u64,
    longest: u64,
}

impl CallTotals {
    #[inline]
    fn add(&mut self, nanos: u64) {
        self.calls += 1;
        self.total += nanos;
        self.longest = self.longest.max(nanos);
    }

    fn merge(&mut self, more: Self) {
        self.calls += more.calls;
        self.total += more.total;
        self.longest = self.longest.max(more.longest);
    }
}

impl From<CallTotals> for CallStats {
    fn from(CallTotals { calls, total, longest }: CallTotals) -> Self {
        let [total, longest] = [total, longest].map(Duration::from_nanos);
        Self { calls, total, longest }
    }
}

/// Fits for some five hundred years.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// The callback that took longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowestCallback {
    /// The protocol's type.
    pub protocol: String,
    /// The name of the method, such as `data_received`; `read` if it is a reader that feeds the
    /// connection ([`Producer::reader`](crate::Producer::reader)).
    pub callback: String,
    /// Whose.
    pub connection: ConnectionId,
    /// The other side of that connection.
    pub peer: Address,
    /// How long it took.
    pub took: Duration,
}

/// What a reactor has done; see [`Reactor::metrics`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How long the reactor has been there.
    pub age: Duration,
    /// Turns of the loop.
    pub turns: u64,
    /// What the poller reported.
    pub events: u64,
    /// Connections accepted and made.
    pub accepted: u64,
    /// Connections that this side began, made.
    pub connected: u64,
    /// Connections that had a protocol and are over.
    pub lost: u64,
    /// Connections that have a protocol.
    pub open: usize,
    /// Clients that no factory took on, for whatever reason.
    pub rejected: u64,
    /// Bytes that protocols were given.
    pub bytes_received: u64,
    /// Bytes that the operating system took.
    pub bytes_sent: u64,
    /// Bytes that it has not taken yet.
    pub unsent: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Callbacks and closures that panicked.
    pub panics: u64,
    /// The time in which the loop did not wait: how long one turn kept all others waiting, each
    /// time, and at worst. Its `calls` are turns. All of it stands in one of `protocols`,
    /// `closures`, `flushes` and `other`; what passes outside of [`run`](Reactor::run) and
    /// [`turn`](Reactor::turn) stands in none.
    pub busy: CallStats,
    /// The same for each type of protocol: callbacks, and readers that produce, with what was read
    /// and written for them.
    pub protocols: BTreeMap<String, CallStats>,
    /// Closures of timers, of other threads and of triggers, and what factories were told.
    pub closures: CallStats,
    /// Sending what callbacks wrote to connections other than their own, and what was written
    /// outside of callbacks. What the last callback before it wrote to its own connection is
    /// included. Its `calls` are turns in which there was any.
    pub flushes: CallStats,
    /// All else: what the loop does for connections without a callback, such as accepting clients
    /// that are refused, and what it does for itself. Its `calls` are turns.
    pub other: CallStats,
    /// The callback that took longest.
    pub slowest: Option<SlowestCallback>,
}

/// Kept by the reactor.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    /// When the clock was read last: what comes until it is read again took so long.
    mark: Instant,
    /// How old the recorder was then, in nanoseconds.
    age: u64,
    /// The same when the last wait was over.
    woken: u64,
    busy: CallTotals,
    closures: CallTotals,
    flushes: CallTotals,
    other: CallTotals,
    /// How long the slowest callback took.
    slowest: u64,
    /// From which time on a callback is slow.
    slow: u64,
    pub(super) totals: Metrics,
    /// Of protocols whose factories are gone.
    former: BTreeMap<&'static str, CallTotals>,
    ring: Vec<Event>,
    /// Where the next event goes.
    next: usize,
    logged: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(now: Instant, slow: Duration) -> Self {
        Self {
            began: now,
            mark: now,
            age: 0,
            woken: 0,
            busy: CallTotals::default(),
            closures: CallTotals::default(),
            flushes: CallTotals::default(),
            other: CallTotals::default(),
            slowest: 0,
            slow: nanos(slow),
            totals: Metrics::default(),
            former: BTreeMap::new(),
            ring: Vec::with_capacity(EVENTS),
            next: 0,
            logged: None,
        }
    }

    /// Remembers an event, in the place of the oldest.
    #[inline]
    fn remember(&mut self, kind: EventKind, connection: Option<Id>, amount: usize) {
        let event = Event { at: self.age, kind, connection, amount };
        match self.ring.get_mut(self.next) {
            Some(place) => *place = event,
            None => self.ring.push(event),
        }
        self.next = (self.next + 1) % EVENTS;
    }

    /// A factory is gone, and with it the place where its protocols' time was kept.
    pub(super) fn keep(&mut self, protocol: &'static str, call_totals: CallTotals) {
        if call_totals.calls > 0 {
            self.former.entry(protocol).or_default().merge(call_totals);
        }
    }

    /// When the clock was read last: when the last callback had returned, and so the one that is
    /// running began.
    pub(super) fn mark(&self) -> Instant {
        self.mark
    }

    /// When the events were logged last.
    #[cfg(test)]
    pub(super) fn logged(&self) -> Option<Instant> {
        self.logged
    }

    /// What came last, the newest at the end.
    pub(super) fn last_events(&self) -> String {
        let (newer, older) = self.ring.split_at(self.next.min(self.ring.len()));
        let line = |event: &Event| {
            let ago = Duration::from_nanos(self.age - event.at);
            let who = event.connection.map(|id| format!(" {id}")).unwrap_or_default();
            format!("\n  {ago:>12.3?} ago: {}{who} {}", event.kind.name(), event.amount)
        };
        older.iter().chain(newer).map(line).collect()
    }
}

impl Reactor {
    /// What the reactor has done since it was made. Counting is always on; this sums it up, and
    /// is displayed on several lines.
    ///
    /// The clock is read once after each callback, and the time since it was read before is counted
    /// to that callback. So it covers reading what the callback was given, and sending what the
    /// callback before it wrote to its own connection.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.stop();
    /// reactor.run()?;
    /// let metrics = reactor.metrics();
    /// assert_eq!((metrics.accepted, metrics.panics), (0, 0));
    /// println!("{metrics}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        let mut protocols = BTreeMap::<String, CallTotals>::new();
        let present = self.factories.iter().map(|(_, slot)| (slot.protocol, slot.call_totals));
        let former = self.recorder.former.iter().map(|(name, call_totals)| (*name, *call_totals));
        for (name, call_totals) in present.chain(former) {
            protocols.entry(short_name(name)).or_default().merge(call_totals);
        }
        Metrics {
            age: self.now().saturating_duration_since(self.recorder.began),
            open: self.connection_count(),
            bytes_sent: self.hub.sent(),
            unsent: self.hub.unsent(),
            timers: self.timers.len(),
            turns: self.recorder.busy.calls,
            busy: self.recorder.busy.into(),
            closures: self.recorder.closures.into(),
            flushes: self.recorder.flushes.into(),
            other: self.recorder.other.into(),
            protocols: protocols.into_iter().map(|(name, it)| (name, it.into())).collect(),
            ..self.recorder.totals.clone()
        }
    }

    /// The loop has waited, and so much is ready.
    pub(super) fn record_wait(&mut self, ready: usize) {
        self.elapsed();
        let recorder = &mut self.recorder;
        recorder.woken = recorder.age;
        recorder.totals.events += ready as u64;
        recorder.remember(EventKind::Turn, None, ready);
    }

    /// The loop is about to wait, or has stopped.
    pub(super) fn record_turn(&mut self) {
        let took = self.elapsed();
        let recorder = &mut self.recorder;
        recorder.other.add(took);
        recorder.busy.add(recorder.age - recorder.woken);
        recorder.woken = recorder.age;
    }

    /// Transports were flushed.
    pub(super) fn record_flush(&mut self) {
        let took = self.elapsed();
        self.recorder.flushes.add(took);
    }

    /// A turn begins that somebody else has called. The time since the last one was theirs.
    pub(super) fn record_entry(&mut self) {
        let passed = self.elapsed();
        self.recorder.woken += passed;
    }

    /// And ends.
    pub(super) fn record_exit(&mut self) {
        let took = self.elapsed();
        self.recorder.other.total += took;
    }

    /// A callback has returned, or a reader.
    pub(super) fn record_callback(
        &mut self,
        kind: EventKind,
        transport: &Transport,
        amount: usize,
    ) {
        let took = self.elapsed();
        self.recorder.remember(kind, Some(transport.slot()), amount);
        let factory = transport.factory();
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.call_totals.add(took);
        }
        if took > self.recorder.slowest {
            self.record_slowest(kind, transport, took);
        }
        if took >= self.recorder.slow {
            let (name, peer) = (self.protocol_name(factory), transport.peer_address());
            let (kind, took) = (kind.name(), Duration::from_nanos(took));
            self.log_events(&format!("{name} of {peer} took {took:?} ({kind})"));
        }
    }

    #[cold]
    fn record_slowest(&mut self, kind: EventKind, transport: &Transport, took: u64) {
        self.recorder.slowest = took;
        let took = Duration::from_nanos(took);
        self.recorder.totals.slowest = Some(SlowestCallback {
            protocol: self.protocol_name(transport.factory()),
            callback: kind.name().to_owned(),
            connection: transport.id(),
            peer: transport.peer_address(),
            took,
        });
    }

    /// A closure has returned.
    pub(super) fn record_call(&mut self) {
        let took = self.elapsed();
        self.recorder.remember(EventKind::Closure, None, 0);
        self.recorder.closures.add(took);
        if took >= self.recorder.slow {
            self.log_events(&format!("a closure took {:?}", Duration::from_nanos(took)));
        }
    }

    /// Something happened that took no callback.
    pub(super) fn record_event(&mut self, kind: EventKind, connection: Id) {
        self.recorder.remember(kind, Some(connection), 0);
    }

    /// Reads the clock; returns the nanoseconds since it was read last.
    #[inline]
    fn elapsed(&mut self) -> u64 {
        let now = self.now();
        let recorder = &mut self.recorder;
        let took = nanos(now.saturating_duration_since(recorder.mark));
        recorder.mark = now;
        recorder.age += took;
        took
    }

    /// Something of the user's has panicked.
    #[cold]
    pub(super) fn record_panic(&mut self, what: &str) {
        self.recorder.totals.panics += 1;
        self.log_events(what);
    }

    #[cold]
    fn log_events(&mut self, why: &str) {
        let recorder = &mut self.recorder;
        let now = recorder.mark;
        if recorder.logged.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            recorder.logged = Some(now);
            log::warn!("{why}; the last events:{}", recorder.last_events());
        } else {
            log::warn!("{why}");
        }
    }
}

impl fmt::Display for CallStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times, {:.3?}, {:.3?} at most", self.calls, self.total, self.longest)
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "age: {:.3?}, {} turns, {} events", self.age, self.turns, self.events)?;
        writeln!(
            f,
            "connections: {} open, {} accepted, {} connected, {} lost, {} refused",
            self.open, self.accepted, self.connected, self.lost, self.rejected
        )?;
        writeln!(
            f,
            "bytes: {} received, {} sent, {} unsent; timers: {}; panics: {}",
            self.bytes_received, self.bytes_sent, self.unsent, self.timers, self.panics
        )?;
        writeln!(f, "busy turns: {}", self.busy)?;
        for (protocol, call_totals) in &self.protocols {
            writeln!(f, "{protocol}: {call_totals}")?;
        }
        writeln!(f, "closures: {}", self.closures)?;
        writeln!(f, "flushes: {}", self.flushes)?;
        write!(f, "other: {}", self.other)?;
        if let Some(SlowestCallback { protocol, callback, peer, took, .. }) = &self.slowest {
            write!(f, "\nslowest: {protocol} of {peer}, {callback}: {took:.3?}")?;
        }
        Ok(())
    }
}
