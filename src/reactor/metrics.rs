//! Metrics: the values that [`Reactor::metrics`](crate::Reactor::metrics) returns.

use crate::address::Address;
use crate::limits::RejectionStats;
use crate::transport::ConnectionId;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// Call count and time spent, for one kind of call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStats {
    /// Number of calls.
    pub calls: u64,
    /// Duration of all calls together.
    pub total: Duration,
    /// Duration of the longest call.
    pub longest: Duration,
}

/// The callback that took longest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowestCallback {
    /// The protocol's type.
    pub protocol: String,
    /// The name of the callback, such as `data_received`; `read` if it is a reader that feeds the
    /// connection ([`Producer::reader`](crate::Producer::reader)).
    pub callback: String,
    /// The connection of the protocol.
    pub connection: ConnectionId,
    /// The peer of that connection.
    pub peer: Address,
    /// Duration of the callback.
    pub took: Duration,
}

/// Connections of the factories whose protocols have one type, since the reactor was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Accepted connections that got a protocol.
    pub accepted: u64,
    /// Outgoing connections that got a protocol.
    pub connected: u64,
    /// Connections that had a protocol and are over.
    pub lost: u64,
    /// Connections that have a protocol.
    pub open: usize,
    /// Rejected clients, by cause, also those of factories that are gone.
    pub rejections: RejectionStats,
    /// Times that connections waited because of their [`RateLimits`](crate::limits::RateLimits).
    pub rate_limit_waits: u64,
}

impl ConnectionStats {
    /// Adds the counters of another type, and counts what is open.
    pub(super) fn merge(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.connected += more.connected;
        self.lost += more.lost;
        self.open = (self.accepted + self.connected - self.lost) as usize;
        self.rejections.merge(more.rejections);
        self.rate_limit_waits += more.rate_limit_waits;
    }
}

/// Counters and times of a reactor since it was created; see
/// [`Reactor::metrics`](crate::Reactor::metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Time since the reactor was created.
    pub age: Duration,
    /// Turns of the event loop.
    pub turns: u64,
    /// Events that the poller reported.
    pub events: u64,
    /// Accepted connections that got a protocol.
    pub accepted: u64,
    /// Outgoing connections that got a protocol.
    pub connected: u64,
    /// Connections that had a protocol and are over.
    pub lost: u64,
    /// Connections that have a protocol.
    pub open: usize,
    /// Clients that factories rejected, for any reason.
    pub rejected: u64,
    /// Clients that this reactor accepted for other shards.
    pub handed_over: u64,
    /// Bytes delivered to protocols.
    pub bytes_received: u64,
    /// Bytes taken by the operating system.
    pub bytes_sent: u64,
    /// Bytes written, and not yet taken by the operating system.
    pub unsent: usize,
    /// Timers that are set and have not fired.
    pub timers: usize,
    /// Callbacks and closures that panicked, and panics of code that TLS calls for a connection.
    /// One within [`start_tls`](crate::Transport::start_tls) is its error, and is not counted.
    pub panics: u64,
    /// Time spent outside the poller, per turn: count, total, longest. Its `calls` are turns. All
    /// of it also counts in one of `protocols`, `closures`, `flushes` and `other`. Time outside of
    /// [`run`](crate::Reactor::run) and [`turn`](crate::Reactor::turn) counts in none.
    pub busy: CallStats,
    /// Time spent per type of protocol: callbacks, and readers that produce, with the reading and
    /// writing for them.
    pub protocols: BTreeMap<String, CallStats>,
    /// Connections and rejected clients per type of protocol. As in `protocols`, types whose names
    /// differ only in their paths, such as `web::Session` and `mail::Session`, are one entry.
    pub connections: BTreeMap<String, ConnectionStats>,
    /// Time spent in closures of timers, of other threads and of triggers, and in the callbacks of
    /// factories.
    pub closures: CallStats,
    /// Time spent sending what callbacks wrote to connections other than their own, and what was
    /// written outside of callbacks. Includes sending what the last callback before it wrote to its
    /// own connection. Its `calls` are turns in which there was any.
    pub flushes: CallStats,
    /// All other time: work for connections without a callback, such as accepting clients that are
    /// rejected, and the loop's own work. Its `calls` are turns.
    pub other: CallStats,
    /// The callback that took longest, if there was one.
    pub slowest: Option<SlowestCallback>,
}

impl AddAssign for CallStats {
    /// Adds the calls and the times; of the longest calls the longer one remains.
    fn add_assign(&mut self, more: Self) {
        self.calls += more.calls;
        self.total += more.total;
        self.longest = self.longest.max(more.longest);
    }
}

impl AddAssign<&Self> for Metrics {
    /// Adds the counters and times of another reactor. The age becomes the greater of the two, and
    /// so does the slowest callback.
    fn add_assign(&mut self, more: &Self) {
        self.age = self.age.max(more.age);
        self.turns += more.turns;
        self.events += more.events;
        self.accepted += more.accepted;
        self.connected += more.connected;
        self.lost += more.lost;
        self.open += more.open;
        self.rejected += more.rejected;
        self.handed_over += more.handed_over;
        self.bytes_received += more.bytes_received;
        self.bytes_sent += more.bytes_sent;
        self.unsent += more.unsent;
        self.timers += more.timers;
        self.panics += more.panics;
        self.busy += more.busy;
        for (protocol, stats) in &more.protocols {
            *self.protocols.entry(protocol.clone()).or_default() += *stats;
        }
        for (protocol, stats) in &more.connections {
            self.connections.entry(protocol.clone()).or_default().merge(*stats);
        }
        self.closures += more.closures;
        self.flushes += more.flushes;
        self.other += more.other;
        let slower = more
            .slowest
            .as_ref()
            .filter(|slowest| self.slowest.as_ref().is_none_or(|own| own.took < slowest.took));
        if let Some(slower) = slower {
            self.slowest = Some(slower.clone());
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
        write!(
            f,
            "connections: {} open, {} accepted, {} connected, {} lost, {} rejected",
            self.open, self.accepted, self.connected, self.lost, self.rejected
        )?;
        if self.handed_over > 0 {
            write!(f, ", {} handed over", self.handed_over)?;
        }
        writeln!(f)?;
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
