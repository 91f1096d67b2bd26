//! Work queues: the connections, ports and factories that a turn leaves for a later phase or the
//! next turn. Data only.

use crate::arena::Id;
use crate::reason::Reason;
use crate::transport::Traffic;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The work queues of a reactor. They hold ids; the loop skips an id whose connection is gone.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Connections to serve in the next phase 7.
    pub(super) ready: Vec<Id>,
    /// Bulk connections, whose traffic exceeds their share, in the order of service.
    pub(super) bulk: VecDeque<Id>,
    /// TLS handshakes that wait for time.
    pub(super) handshakes: Handshakes,
    /// Ports with clients in their backlog.
    pub(super) listeners: Vec<Id>,
    /// Factories whose accept rate allows another client now.
    pub(super) accept_granted: Vec<Id>,
    /// Connections that were reset and whose `connection_lost` is due.
    pub(super) aborted: Vec<Aborted>,
    /// Connections whose timeouts seem to have expired.
    pub(super) overdue: Vec<Overdue>,
    /// Connections whose reading is backed off.
    pub(super) read_backoffs: ReadBackoffs,
    /// Factories that have lost a port and may be unused.
    pub(super) unused_factories: Vec<Id>,
}

/// A connection that was reset, by [`Transport::abort_connection`] or an equally abortive end; its
/// `connection_lost` is due.
#[derive(Debug)]
pub(super) struct Aborted {
    pub(super) id: Id,
    pub(super) reason: Reason,
    /// Bytes of the write buffer that were discarded.
    pub(super) unsent: usize,
}

/// A connection, or an attempt to connect, whose timeout seems to have expired.
#[derive(Debug)]
pub(super) struct Overdue {
    pub(super) id: Id,
    /// Looks taken so far; zero for a closing connection that waits for its producer.
    pub(super) looks: u8,
}

/// Read backoff: connections that are not read because their peers take nothing.
#[derive(Debug, Default)]
pub(super) struct ReadBackoffs {
    pub(super) connections: Vec<Id>,
    /// When reading resumes. Set while there are any.
    pub(super) until: Option<Instant>,
}

/// Time per turn for the work of handshakes; the rest waits for the next turn, in the order in
/// which it came. It bounds what a thousand clients that come at once add to the latency of all
/// other connections: with an RSA key a handshake takes more than a millisecond.
const HANDSHAKE_TIME: Duration = Duration::from_millis(2);

/// The handshakes that wait for their turn, and what those of this turn have taken.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    waiting: VecDeque<Id>,
    /// The turn that `spent` is about.
    turn: u64,
    spent: Duration,
}

impl Handshakes {
    /// Returns true if handshakes wait.
    pub(super) fn any_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn push(&mut self, id: Id) {
        self.waiting.push_back(id);
    }

    pub(super) fn pop(&mut self) -> Option<Id> {
        self.waiting.pop_front()
    }

    /// Returns true if the turn with this number has time left for handshakes.
    pub(super) fn has_time(&self, turn: u64) -> bool {
        self.turn != turn || self.spent < HANDSHAKE_TIME
    }

    pub(super) fn spend(&mut self, took: Duration, turn: u64) {
        if self.turn != turn {
            (self.turn, self.spent) = (turn, Duration::ZERO);
        }
        self.spent += took;
    }
}

impl Queues {
    /// Returns true if the next turn has work to do even if no event arrives.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.bulk.is_empty()
            || !self.listeners.is_empty()
            || !self.accept_granted.is_empty()
            || !self.aborted.is_empty()
            || !self.unused_factories.is_empty()
            || self.handshakes.any_waits()
    }

    /// Queues a connection to be served, by its kind of traffic.
    #[inline]
    pub(super) fn list(&mut self, id: Id, traffic: Traffic) {
        match traffic {
            Traffic::Sparse => self.ready.push(id),
            Traffic::Bulk | Traffic::Yielding => self.bulk.push_back(id),
        }
    }
}
