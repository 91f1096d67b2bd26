//! Budgets of lingering closes: how many in all, and how many for one peer. Pure.

use crate::address::Network;
use crate::arena::Id;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Longest time for which a closed connection lingers (see [`Reactor::linger`]): nginx's
/// `lingering_time`.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// Longest time for which a closed connection lingers while its peer sends nothing: it holds a
/// descriptor. nginx's `lingering_timeout`.
pub(super) const LINGER_IDLE: Duration = Duration::from_secs(5);

/// [`LINGER_IDLE`] while the reactor drains and waits: longer than a round trip around the world,
/// so that a peer which was sending has heard of the close, and short beside any drain's deadline.
pub(super) const LINGER_IDLE_DRAINING: Duration = Duration::from_millis(500);

/// Bytes discarded from one connection: more than a client sends before it reads the answer. A peer
/// that sends more is reset.
const LINGER_BYTES_MAX: usize = 64 << 20;

/// Connections that linger at once: each holds a descriptor and some hundred bytes. The oldest
/// makes room for the next.
const LINGERING_MAX: usize = 1024;

/// Connections of one peer that linger at once, so that a peer which lingers on purpose costs
/// others nothing.
const LINGERING_PER_PEER_MAX: usize = 64;

/// [`LINGER_MAX`] for rejected clients. The limits of rejected clients are lower, since they
/// receive their message in any case; lingering only helps those that were about to send.
const REJECTED_LINGER_MAX: Duration = Duration::from_secs(2);
pub(super) const REJECTED_LINGER_IDLE: Duration = Duration::from_millis(500);
const REJECTED_BYTES_MAX: usize = 64 * 1024;
const REJECTED_LINGERING_MAX: usize = 64;
const REJECTED_PER_PEER_MAX: usize = 4;

/// Why a connection lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LingerReason {
    /// The protocol has ended the connection.
    Close,
    /// The client was rejected, and never had a protocol.
    Rejection,
}

impl LingerReason {
    pub(super) fn time_max(self) -> Duration {
        match self {
            Self::Close => LINGER_MAX,
            Self::Rejection => REJECTED_LINGER_MAX,
        }
    }

    pub(super) fn bytes_max(self) -> usize {
        match self {
            Self::Close => LINGER_BYTES_MAX,
            Self::Rejection => REJECTED_BYTES_MAX,
        }
    }
}

/// The budgets of all lingering connections: one for closed, one for rejected connections.
#[derive(Debug)]
pub(super) struct Lingerers {
    pub(super) closed: LingerBudget,
    pub(super) rejected: LingerBudget,
    /// Lingering connections whose peers still send.
    pub(super) sending: usize,
}

impl Default for Lingerers {
    fn default() -> Self {
        Self {
            closed: LingerBudget::new(LINGERING_MAX, LINGERING_PER_PEER_MAX),
            rejected: LingerBudget::new(REJECTED_LINGERING_MAX, REJECTED_PER_PEER_MAX),
            sending: 0,
        }
    }
}

impl Lingerers {
    pub(super) fn len(&self) -> usize {
        self.closed.len() + self.rejected.len()
    }

    /// Returns the number of lingering connections whose peers still send.
    pub(super) fn sending(&self) -> usize {
        self.sending
    }

    pub(super) fn budget(&mut self, reason_to_linger: LingerReason) -> &mut LingerBudget {
        match reason_to_linger {
            LingerReason::Close => &mut self.closed,
            LingerReason::Rejection => &mut self.rejected,
        }
    }
}

/// A budget of lingering connections, the oldest first: when there are too many, in all or of one
/// peer, the oldest of them makes room.
#[derive(Debug)]
pub(super) struct LingerBudget {
    max: usize,
    per_peer_max: usize,
    /// Lingering connections by their numbers, the oldest first.
    all: BTreeMap<u64, Id>,
    peers: HashMap<Network, BTreeSet<u64>>,
    /// Number of the next connection.
    number: u64,
}

/// A place in a budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    number: u64,
    peer: Option<Network>,
}

impl LingerBudget {
    pub(super) fn new(max: usize, per_peer_max: usize) -> Self {
        Self { max, per_peer_max, all: BTreeMap::new(), peers: HashMap::new(), number: 0 }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.all.values().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a connection. Returns its place and, if there are too many, the connection that has to
    /// make room for it; that one must still [leave](Self::leave).
    pub(super) fn enter(&mut self, id: Id, peer: Option<Network>) -> (Place, Option<Id>) {
        let number = self.number;
        self.number += 1;
        let mut oldest = None;
        if let Some(own) = peer.map(|peer| self.peers.entry(peer).or_default()) {
            let too_many_own = own.len() >= self.per_peer_max;
            oldest = own.first().filter(|_| too_many_own).and_then(|it| self.all.get(it)).copied();
            own.insert(number);
        }
        let is_full = self.all.len() >= self.max;
        let evicted = oldest
            .or_else(|| self.all.first_key_value().filter(|_| is_full).map(|(_, oldest)| *oldest));
        self.all.insert(number, id);
        (Place { number, peer }, evicted)
    }

    /// Removes a connection.
    pub(super) fn leave(&mut self, Place { number, peer }: Place) {
        self.all.remove(&number);
        let Some(peer) = peer else { return };
        if let Some(own) = self.peers.get_mut(&peer) {
            own.remove(&number);
            if own.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use std::net::Ipv4Addr;

    fn peer(number: u8) -> Option<Network> {
        Some(Network::V4(Ipv4Addr::new(192, 0, 2, number)))
    }

    #[test]
    fn the_oldest_of_all_and_of_one_peer_make_room() {
        let mut arena = Arena::new();
        let ids: Vec<Id> = (0..10).map(|_| arena.insert_with(|_| ())).collect();
        let mut budget = LingerBudget::new(4, 2);
        let (first, none) = budget.enter(ids[0], peer(1));
        assert_eq!(none, None);
        let (second, none) = budget.enter(ids[1], peer(2));
        assert_eq!(none, None);
        assert_eq!(budget.enter(ids[2], peer(2)).1, None);
        // One too many of the second peer: its own oldest leaves, though another is older.
        assert_eq!(budget.enter(ids[3], peer(2)).1, Some(ids[1]));
        budget.leave(second);
        // One too many of all.
        assert_eq!(budget.enter(ids[4], peer(3)).1, None);
        assert_eq!(budget.len(), 4);
        assert_eq!(budget.enter(ids[5], peer(4)).1, Some(ids[0]));
        budget.leave(first);
        assert_eq!((budget.len(), budget.peers.len()), (4, 3));
    }

    #[test]
    fn programs_of_the_same_machine_share_only_the_whole_budget() {
        let mut arena = Arena::new();
        let ids: Vec<Id> = (0..4).map(|_| arena.insert_with(|_| ())).collect();
        let mut budget = LingerBudget::new(3, 1);
        let places: Vec<Place> = ids[..3]
            .iter()
            .map(|id| {
                let (place, evicted) = budget.enter(*id, None);
                assert_eq!(evicted, None);
                place
            })
            .collect();
        assert_eq!(budget.enter(ids[3], None).1, Some(ids[0]));
        places.into_iter().for_each(|place| budget.leave(place));
        assert_eq!((budget.len(), budget.peers.len()), (1, 0));
    }

    #[test]
    fn connections_that_leave_free_all_their_memory() {
        let mut arena = Arena::new();
        let mut budget = LingerBudget::new(usize::MAX, usize::MAX);
        let places: Vec<Place> = (0..100)
            .map(|number| budget.enter(arena.insert_with(|_| ()), peer(number % 7)).0)
            .collect();
        assert_eq!(budget.len(), 100);
        places.into_iter().for_each(|place| budget.leave(place));
        assert_eq!((budget.len(), budget.peers.len()), (0, 0));
    }
}
