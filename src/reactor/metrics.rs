//! What a reactor has done: the values that [`Reactor::metrics`](crate::Reactor::metrics) returns.

use crate::address::Address;
use crate::transport::ConnectionId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

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

/// What a reactor has done; see [`Reactor::metrics`](crate::Reactor::metrics).
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
    /// `closures`, `flushes` and `other`; what passes outside of [`run`](crate::Reactor::run) and
    /// [`turn`](crate::Reactor::turn) stands in none.
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
