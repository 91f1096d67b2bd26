//! The flight recorder: counters, times and the last events, always on. Data only.

use super::metrics::{CallStats, ConnectionStats, Metrics};
use super::type_name::short_name;
use crate::arena::Id;
use crate::callback_kind::CallbackKind;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Events that the recorder keeps: enough to see what led to the last, in eight kilobytes.
const EVENTS: usize = 128;

/// Shortest time between two logs of the events, however many callbacks are slow or panic.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The kind of a recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Callback(CallbackKind),
    /// A reader that feeds a connection was read: user code, like a callback.
    ReaderRead,
    Accepted,
    Connected,
    /// A closure was called, of a timer, another thread or a trigger.
    Closure,
    Turn,
    /// A part of a TLS handshake: the work of the library itself that takes as long as callbacks.
    Handshake,
}

impl EventKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Callback(kind) => kind.name(),
            Self::ReaderRead => "read",
            Self::Accepted => "accepted",
            Self::Connected => "connected",
            Self::Closure => "closure",
            Self::Turn => "turn",
            Self::Handshake => "handshake",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Time of the event, in nanoseconds of the recorder's age.
    at: u64,
    kind: EventKind,
    connection: Option<Id>,
    /// For data, the number of bytes; for a turn, the number of poller events.
    amount: usize,
}

/// [`CallStats`] in nanoseconds, which are cheaper to add to on each callback.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallTotals {
    pub(super) calls: u64,
    pub(super) total: u64,
    longest: u64,
}

impl CallTotals {
    #[inline]
    pub(super) fn add(&mut self, nanos: u64) {
        self.calls += 1;
        self.total += nanos;
        self.longest = self.longest.max(nanos);
    }

    pub(super) fn merge(&mut self, more: Self) {
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

/// The totals of all factories, present and former, whose protocols have one type. Kept by type so
/// that no counter goes back when a factory is dropped, and so that summing up takes time for each
/// type, not for each factory.
#[derive(Debug, Default)]
pub(super) struct ProtocolTotals {
    pub(super) calls: CallTotals,
    /// Connections; `open` is not kept here.
    pub(super) connections: ConnectionStats,
}

/// Where the totals of a type of protocol are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProtocolIndex(usize);

/// Converts a duration to nanoseconds, which fit for about five hundred years.
pub(super) fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// The flight recorder of a reactor.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) began: Instant,
    /// Last reading of the clock: the time until the next one is recorded for the event then.
    pub(super) mark: Instant,
    /// Age of the recorder at `mark`, in nanoseconds.
    pub(super) age: u64,
    /// Age of the recorder at the end of the last wait, in nanoseconds.
    pub(super) woken: u64,
    pub(super) busy: CallTotals,
    pub(super) closures: CallTotals,
    pub(super) flushes: CallTotals,
    pub(super) other: CallTotals,
    /// Duration of the slowest callback, in nanoseconds.
    pub(super) slowest: u64,
    /// Duration from which a callback is slow, in nanoseconds.
    pub(super) slow: u64,
    pub(super) totals: Metrics,
    /// Totals by type of protocol, as many as the program has such types.
    protocols: Vec<ProtocolTotals>,
    /// Index in `protocols` by the full name of the type.
    indices: BTreeMap<&'static str, ProtocolIndex>,
    ring: Vec<Event>,
    /// Index in `ring` of the next event.
    next: usize,
    pub(super) logged: Option<Instant>,
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
            protocols: Vec::new(),
            indices: BTreeMap::new(),
            ring: Vec::with_capacity(EVENTS),
            next: 0,
            logged: None,
        }
    }

    /// Records an event in the place of the oldest.
    #[inline]
    pub(super) fn remember(&mut self, kind: EventKind, connection: Option<Id>, amount: usize) {
        let event = Event { at: self.age, kind, connection, amount };
        match self.ring.get_mut(self.next) {
            Some(place) => *place = event,
            None => self.ring.push(event),
        }
        self.next = (self.next + 1) % EVENTS;
    }

    /// Returns where the totals of a type of protocol are, which begin at zero.
    pub(super) fn index(&mut self, protocol: &'static str) -> ProtocolIndex {
        let protocols = &mut self.protocols;
        *self.indices.entry(protocol).or_insert_with(|| {
            protocols.push(ProtocolTotals::default());
            ProtocolIndex(protocols.len() - 1)
        })
    }

    #[inline]
    pub(super) fn totals_mut(&mut self, index: ProtocolIndex) -> &mut ProtocolTotals {
        &mut self.protocols[index.0]
    }

    /// Adds the totals by type of protocol to `metrics`, under the short names of the types, which
    /// several types may share.
    pub(super) fn sum_up(&self, metrics: &mut Metrics) {
        let mut calls = BTreeMap::<String, CallTotals>::new();
        for (name, index) in &self.indices {
            let (name, totals) = (short_name(name), &self.protocols[index.0]);
            calls.entry(name.clone()).or_default().merge(totals.calls);
            metrics.connections.entry(name).or_default().merge(totals.connections);
        }
        metrics.protocols = calls.into_iter().map(|(name, it)| (name, it.into())).collect();
    }

    /// Returns the last reading of the clock: the end of the last callback, and so the beginning of
    /// the running one.
    pub(super) fn mark(&self) -> Instant {
        self.mark
    }

    /// Returns the number of the running turn.
    pub(super) fn turn(&self) -> u64 {
        self.busy.calls
    }

    /// Returns the last events as text, a line each, the newest at the end.
    pub(super) fn last_events(&self) -> String {
        let (newer, older) = self.ring.split_at(self.next.min(self.ring.len()));
        let line = |event: &Event| {
            let ago = Duration::from_nanos(self.age - event.at);
            let id = event.connection.map(|id| format!(" {id}")).unwrap_or_default();
            format!("  {ago:>12.3?} ago: {}{id} {}", event.kind.name(), event.amount)
        };
        older.iter().chain(newer).map(line).collect::<Vec<_>>().join("\n")
    }
}
