//! The table of connections: its slots, and the timers of a connection. Data only; the files that
//! act on it import it.

use super::linger_budget::{LingerReason, Place};
use crate::address::Network;
use crate::arena::{Arena, Id};
use crate::driver::AnyStream;
use crate::endpoint::{HappyEyeballs, HostnameEndpoint};
use crate::proxy_protocol::ProxyDecoder;
use crate::tls::TlsSide;
use crate::transport::Transport;
use std::io;
use std::time::Instant;

/// One slot of the table.
#[derive(Debug)]
pub(super) enum Slot {
    Established(Established),
    /// A connection that is not there yet. Boxed, since there are few.
    Arriving(Box<Arriving>),
    /// One of the attempts of an arriving connection to the addresses of a host. Boxed, since there
    /// are few.
    Attempt(Box<Attempt>),
    /// A lingering socket. Its protocol has heard `connection_lost`; this side has sent its FIN,
    /// and discards input. Boxed, since there are few.
    Lingering(Box<Lingering>),
}

/// A connection with a protocol.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) connection: ConnectionRef,
    /// Timers of the connection, allocated on first use: most connections have none.
    pub(super) timers: Option<Box<ConnectionTimers>>,
}

/// A connection as callbacks need it: its protocol and its transport.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRef {
    /// Index of the protocol in its factory's cell. Half a word, since each connection has one.
    protocol_index: u32,
    pub(super) transport: Transport,
}

/// The timers of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionTimers {
    /// Timers set by the protocol. The list drops fired ones as it grows.
    pub(super) set: Vec<Id>,
    /// Timer of the close timeout.
    pub(super) close: Option<Id>,
    /// Timer that checks the timeouts, and when it is due.
    pub(super) timeouts: Option<(Id, Instant)>,
    /// Timer that resumes a connection held back by a rate, and when it is due.
    pub(super) rate: Option<(Id, Instant)>,
}

/// Length of a protocol's list of timers below which fired ones are not dropped from it.
const PRUNE_MIN: usize = 8;

impl Established {
    /// Creates a connection whose protocol is not built yet.
    pub(super) fn new(transport: Transport) -> Self {
        let connection = ConnectionRef { protocol_index: u32::MAX, transport };
        Self { connection, timers: None }
    }

    #[cfg(test)]
    pub(super) fn timer_count(&self) -> usize {
        self.timers.as_ref().map_or(0, |timers| timers.set.len())
    }

    /// Returns the timer that checks the timeouts, and when it is due.
    pub(super) fn timeout_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.timers.get_or_insert_default().timeouts
    }

    /// Returns the timer that resumes a connection held back by a rate, and when it is due.
    pub(super) fn rate_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.timers.get_or_insert_default().rate
    }

    /// Adds a timer of the protocol; it is cancelled with the connection.
    pub(super) fn add_timer(&mut self, timer: Id, is_set: impl Fn(Id) -> bool) {
        let set = &mut self.timers.get_or_insert_default().set;
        if set.len() >= PRUNE_MIN && set.len() == set.capacity() {
            set.retain(|&timer| is_set(timer));
            if set.len() > set.capacity() / 2 {
                // Most are still set: do not scan the list again for each new timer.
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

    /// Returns the factory of the connection, where its protocol is stored.
    pub(super) fn factory(&self) -> Id {
        self.transport.factory()
    }

    pub(super) fn protocol_index(&self) -> usize {
        self.protocol_index as usize
    }

    /// Returns false while the protocol is being built.
    pub(super) fn has_protocol(&self) -> bool {
        self.protocol_index != u32::MAX
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

/// A connection that is not there yet: it has no protocol.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) transport: Transport,
    /// Timer of the connect timeout or the handshake timeout.
    pub(super) timeout: Id,
    /// Timer after which it is checked again, if no edge may come for it.
    pub(super) retry: Option<Id>,
    pub(super) stage: Stage,
    /// The side that it takes of a TLS handshake that has not begun.
    pub(super) tls: Option<TlsSide>,
    pub(super) queued: Queued,
    /// The network that an accepted connection was counted for; `None` if its peer is not known.
    pub(super) counted: Option<Network>,
}

/// Whether an arriving connection is queued for the next turn that has time for handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    No,
    Yes,
    /// It is, and its timeout has expired: its handshake is continued once, and decides.
    Overdue,
}

/// What an arriving connection waits for.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing: it could not begin, and the next turn reports this error to the factory.
    Failed(io::Error),
    /// An address of its host that answers.
    Reaching(Box<Reaching>),
    /// The answer of the server that it connects to; then it sends this PROXY header.
    Connecting { header: Option<Vec<u8>> },
    /// Room for the rest of this side's PROXY header.
    SendingHeader { bytes: Vec<u8>, sent: usize },
    /// The PROXY header of the peer. (Boxed, since a decoder is the largest of them.)
    ReceivingHeader(Box<ProxyDecoder>),
    /// Nothing, after it was accepted.
    Accepted,
    /// The peer's part of a TLS handshake.
    Handshaking,
}

/// A connection to a host, by its name. It has no stream yet.
#[derive(Debug)]
pub(super) struct Reaching {
    pub(super) endpoint: HostnameEndpoint,
    /// PROXY header that the connection begins with.
    pub(super) header: Option<Vec<u8>>,
    pub(super) search: Search,
}

/// How far a connection to a host is.
#[derive(Debug)]
pub(super) enum Search {
    /// The name is being resolved.
    Resolving,
    /// The addresses are being tried. Ids of the attempts that are under way, with their numbers.
    Racing { eyeballs: HappyEyeballs, attempts: Vec<(usize, Id)> },
}

/// An attempt to connect to one address of a host. The poller reports its stream under the id of
/// its slot.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The connection that it is for.
    pub(super) connection: Id,
    pub(super) stream: AnyStream,
}

/// A lingering socket, whose protocol is gone.
#[derive(Debug)]
pub(super) struct Lingering {
    pub(super) stream: AnyStream,
    pub(super) reason_to_linger: LingerReason,
    pub(super) place: Place,
    /// Bytes that may still be discarded.
    pub(super) bytes_left: usize,
    /// Timer that ends the lingering close. Each byte pushes it back, but not beyond `until`.
    pub(super) end: Id,
    pub(super) until: Instant,
    pub(super) drain_wait: DrainWait,
    /// True while it is queued to be served.
    pub(super) queued: bool,
}

/// Whether a drain waits for a lingering peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainWait {
    /// Never: its factory is out-of-band.
    Never,
    /// Not before it sends: it was sent everything, and nothing of its own provokes a reset.
    UntilItSends,
    /// It does: the peer was sending at the close, or has sent since; since the drain began, if
    /// there is one.
    Waits,
}

impl Lingering {
    /// Records that the peer sends. Returns true if a drain waits for it from now on.
    pub(super) fn record_input(&mut self) -> bool {
        let begins = self.drain_wait == DrainWait::UntilItSends;
        if begins {
            self.drain_wait = DrainWait::Waits;
        }
        begins
    }
}
