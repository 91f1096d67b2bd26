//! Distributor: which shard gets the next client of a port that one reactor accepts for all.

use crate::driver::Handoffs;
use std::sync::Arc;

/// Which shard gets the next client of a port that one shard accepts for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Each in turn. Even if connections are alike. (nginx's default)
    #[default]
    RoundRobin,
    /// The one with the fewest open connections; of several, each in turn. Better where connections
    /// last long and end at different times. (nginx's `least_conn`)
    LeastConnections,
}

/// Distributes the clients of a port over the shards.
#[derive(Debug)]
pub(super) struct Distributor {
    /// The queues of all shards, by index. The first is that of the accepting reactor itself: it is
    /// used for its count, and nothing is put into it.
    shards: Arc<[Arc<Handoffs>]>,
    balance: Balance,
    /// The shard that got the last client.
    last: usize,
}

/// Where a client goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// To a factory of the accepting reactor.
    Own,
    /// Another one, with its index.
    Shard(usize, Arc<Handoffs>),
}

impl Distributor {
    pub(super) fn new(shards: Arc<[Arc<Handoffs>]>, balance: Balance) -> Self {
        let last = shards.len().saturating_sub(1);
        Self { shards, balance, last }
    }

    /// Chooses the shard of the next client. A shard whose queue is full, or that does not listen,
    /// is passed over; `own_is_ready` says whether the accepting reactor itself takes clients now.
    /// It gets the clients for which no other shard has room.
    pub(super) fn choose(&self, own_is_ready: bool) -> Target {
        let count = self.shards.len();
        let in_turn = (1..=count).map(|step| (self.last + step) % count);
        let mut ready = in_turn.filter(|&index| match index {
            0 => own_is_ready,
            _ => self.shards[index].has_room(),
        });
        let chosen = match self.balance {
            Balance::RoundRobin => ready.next(),
            Balance::LeastConnections => ready.min_by_key(|&index| match index {
                // Nothing waits for this one: its queue is not open.
                0 => self.shards[index].connections(),
                _ => self.shards[index].load(),
            }),
        };
        match chosen.unwrap_or(0) {
            0 => Target::Own,
            index => Target::Shard(index, Arc::clone(&self.shards[index])),
        }
    }

    /// Records that a client has come, for whom `choose` had chosen this.
    pub(super) fn record(&mut self, target: &Target) {
        self.last = match target {
            Target::Own => 0,
            Target::Shard(index, _) => *index,
        };
    }
}
