//! Work queues: the connections, ports and factories that a turn leaves for a later phase or the
//! next turn. Data only.

use crate::arena::Id;
use crate::reason::Reason;
use crate::transport::Traffic;
use std::collections::VecDeque;
use std::time::Instant;

/// The work queues of a reactor. They hold ids; the loop skips an id whose connection is gone.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Connections to serve in the next phase 7.
    pub(super) ready: Vec<Id>,
    /// Bulk connections, whose traffic exceeds their share, in the order of service.
    pub(super) bulk: VecDeque<Id>,
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

impl Queues {
    /// Returns true if the next turn has work to do even if no event arrives.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.bulk.is_empty()
            || !self.listeners.is_empty()
            || !self.accept_granted.is_empty()
            || !self.aborted.is_empty()
            || !self.unused_factories.is_empty()
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
