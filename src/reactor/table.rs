//! The table of connections: what a slot holds, and the timers of a connection. Data only; the
//! files that act on it import it.

use super::linger_budget::{LingerReason, Place};
use crate::arena::{Arena, Id};
use crate::driver::AnyStream;
use crate::transport::Transport;
use std::io;
use std::time::Instant;

/// One slot of the table.
#[derive(Debug)]
pub(super) enum Slot {
    Established(Established),
    /// Is yet to be. Boxed, for there are few of them.
    Connecting(Box<Connecting>),
    /// The protocol has been told that the connection is over. This side has sent its FIN, and
    /// discards what the peer still sends.
    /// Boxed, for there are few of them.
    Lingering(Box<Lingering>),
}

/// A connection with a protocol.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) connection: ConnectionRef,
    /// Most connections have none.
    pub(super) timers: Option<Box<ConnectionTimers>>,
}

/// Whom a callback is for, and about what.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRef {
    /// Where the protocol is in its host. Half a word, since there is one for each connection.
    protocol_index: u32,
    pub(super) transport: Transport,
}

/// The timers of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionTimers {
    /// Set by the protocol. Fired ones are weeded out as the list grows.
    pub(super) set: Vec<Id>,
    /// Ends a connection that is closing and whose peer takes nothing.
    pub(super) close: Option<Id>,
    /// Looks at the timeouts.
    pub(super) timeouts: Option<(Id, Instant)>,
    /// Wakes one that waits for the rate that is set.
    pub(super) rate: Option<(Id, Instant)>,
}

/// A protocol's list of timers is not weeded before it is this long.
const WEED_MIN: usize = 8;

impl Established {
    /// A connection whose protocol is yet to be built.
    pub(super) fn new(transport: Transport) -> Self {
        let connection = ConnectionRef { protocol_index: u32::MAX, transport };
        Self { connection, timers: None }
    }

    #[cfg(test)]
    pub(super) fn timer_count(&self) -> usize {
        self.timers.as_ref().map_or(0, |timers| timers.set.len())
    }

    /// The timer that looks at the timeouts, and when.
    pub(super) fn timeout_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.timers.get_or_insert_default().timeouts
    }

    /// The timer that wakes a connection that waits for its rate, and when.
    pub(super) fn rate_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.timers.get_or_insert_default().rate
    }

    /// Notes a timer of the protocol, to be cancelled with the connection.
    pub(super) fn add_timer(&mut self, timer: Id, is_set: impl Fn(Id) -> bool) {
        let set = &mut self.timers.get_or_insert_default().set;
        if set.len() >= WEED_MIN && set.len() == set.capacity() {
            set.retain(|&timer| is_set(timer));
            if set.len() > set.capacity() / 2 {
                // Most are set in truth: not to be looked through again for each.
                set.reserve(set.capacity());
            }
        }
        set.push(timer);
    }
}

impl ConnectionRef {
    pub(super) fn id(&self) -> Id {
        self.transport.slot()
    }

    /// Where its factory and its protocol live.
    pub(super) fn factory(&self) -> Id {
        self.transport.factory()
    }

    pub(super) fn protocol_index(&self) -> usize {
        self.protocol_index as usize
    }

    pub(super) fn set_protocol_index(&mut self, protocol_index: usize) {
        self.protocol_index = u32::try_from(protocol_index).unwrap_or(u32::MAX);
    }
}

impl Arena<Slot> {
    pub(super) fn find(&self, id: Id) -> Option<ConnectionRef> {
        self.established(id).map(|established| established.connection.clone())
    }

    pub(super) fn all_established(&self) -> impl Iterator<Item = (Id, &Established)> {
        self.iter().filter_map(|(id, slot)| match slot {
            Slot::Established(established) => Some((id, established)),
            _ => None,
        })
    }

    pub(super) fn all_lingering_mut(&mut self) -> impl Iterator<Item = &mut Lingering> {
        self.iter_mut().filter_map(|slot| match slot {
            Slot::Lingering(lingering) => Some(&mut **lingering),
            _ => None,
        })
    }

    pub(super) fn established(&self, id: Id) -> Option<&Established> {
        match self.get(id) {
            Some(Slot::Established(established)) => Some(established),
            _ => None,
        }
    }

    pub(super) fn established_mut(&mut self, id: Id) -> Option<&mut Established> {
        match self.get_mut(id) {
            Some(Slot::Established(established)) => Some(established),
            _ => None,
        }
    }
}

/// An attempt.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) transport: Transport,
    /// The timer that ends it.
    pub(super) timeout: Id,
    /// It could not even begin; the factory is told in the next turn.
    pub(super) rejected: Option<io::Error>,
}

/// A socket whose protocol is gone.
#[derive(Debug)]
pub(super) struct Lingering {
    pub(super) stream: AnyStream,
    pub(super) reason_to_linger: LingerReason,
    pub(super) place: Place,
    /// Bytes that may still be discarded.
    pub(super) bytes_left: usize,
    /// The timer that ends it, which each byte pushes back, but not beyond `until`.
    pub(super) end: Id,
    pub(super) until: Instant,
    /// Its peer was sending when it was closed, or has sent since. A drain waits only for these:
    /// to the others everything was sent, and nothing of theirs provokes a reset.
    pub(super) talks: bool,
    /// Listed to be served.
    pub(super) queued: bool,
}
