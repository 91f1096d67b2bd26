//! The flight recorder: counters, times and the last events, always on. Data only.

use super::metrics::{CallStats, Metrics};
use crate::arena::Id;
use crate::callback_kind::CallbackKind;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Events that are remembered. Enough to see what led to the last, in eight kilobytes.
const EVENTS: usize = 128;

/// The events are logged this often and no oftener, however many callbacks are slow or panic.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(5);

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
    pub(super) fn name(self) -> &'static str {
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

/// The same in nanoseconds, which is cheaper to add to: it is added to at each callback.
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

/// Fits for some five hundred years.
pub(super) fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// Kept by the reactor.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) began: Instant,
    /// When the clock was read last: what comes until it is read again took so long.
    pub(super) mark: Instant,
    /// How old the recorder was then, in nanoseconds.
    pub(super) age: u64,
    /// The same when the last wait was over.
    pub(super) woken: u64,
    pub(super) busy: CallTotals,
    pub(super) closures: CallTotals,
    pub(super) flushes: CallTotals,
    pub(super) other: CallTotals,
    /// How long the slowest callback took.
    pub(super) slowest: u64,
    /// From which time on a callback is slow.
    pub(super) slow: u64,
    pub(super) totals: Metrics,
    /// Of protocols whose factories are gone.
    pub(super) former: BTreeMap<&'static str, CallTotals>,
    ring: Vec<Event>,
    /// Where the next event goes.
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
            former: BTreeMap::new(),
            ring: Vec::with_capacity(EVENTS),
            next: 0,
            logged: None,
        }
    }

    /// Remembers an event, in the place of the oldest.
    #[inline]
    pub(super) fn remember(&mut self, kind: EventKind, connection: Option<Id>, amount: usize) {
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
