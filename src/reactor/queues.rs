//! What one turn leaves for the next, or for a later phase: lists of connections, ports and
//! factories. Data only.

use crate::arena::Id;
use crate::reason::Reason;
use crate::transport::Traffic;
use std::collections::VecDeque;
use std::time::Instant;

/// The lists of a reactor. Each holds ids; one whose connection is gone by then is skipped.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Connections that are served in the next turn.
    pub(super) ready: Vec<Id>,
    /// Connections whose peers send more than their share, in the order of their turns.
    pub(super) bulk: VecDeque<Id>,
    /// Ports with clients in their backlog.
    pub(super) listeners: Vec<Id>,
    /// Factories whose accept rate allows another client.
    pub(super) accept_granted: Vec<Id>,
    /// Connections that are reset, and whose protocols have yet to hear of it.
    pub(super) aborted: Vec<Aborted>,
    /// Connections of which a timeout seems to have expired.
    pub(super) overdue: Vec<Overdue>,
    /// Connections that are not read although they could be.
    pub(super) read_backoffs: ReadBackoffs,
    /// Factories that have lost a port.
    pub(super) unused_factories: Vec<Id>,
}

/// A connection that was reset by [`Transport::abort_connection`] or for a like reason; its
/// `connection_lost` is due.
#[derive(Debug)]
pub(super) struct Aborted {
    pub(super) id: Id,
    pub(super) reason: Reason,
    /// Bytes that were discarded.
    pub(super) unsent: usize,
}

/// A connection, or an attempt to make one, for which a timeout is over.
#[derive(Debug)]
pub(super) struct Overdue {
    pub(super) id: Id,
    /// How often it was looked at; zero if it is a close that waits for a producer.
    pub(super) looks: u8,
}

/// Connections that rest at the moment.
#[derive(Debug, Default)]
pub(super) struct ReadBackoffs {
    pub(super) connections: Vec<Id>,
    /// When they go on. Set if there are any.
    pub(super) until: Option<Instant>,
}

impl Queues {
    /// True if the next turn has something to do even if nothing arrives.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.bulk.is_empty()
            || !self.listeners.is_empty()
            || !self.accept_granted.is_empty()
            || !self.aborted.is_empty()
            || !self.unused_factories.is_empty()
    }

    /// Lists a connection to be served, by its kind of traffic.
    #[inline]
    pub(super) fn list(&mut self, id: Id, traffic: Traffic) {
        match traffic {
            Traffic::Sparse => self.ready.push(id),
            Traffic::Bulk | Traffic::Yielding => self.bulk.push_back(id),
        }
    }
}
