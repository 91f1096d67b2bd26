//! Shard: which one of the shards a reactor is.

use super::handle::ShardsHandle;
use super::team::Team;
use std::sync::Arc;

/// One of the shards of a server, as its set-up sees it. It may be cloned, and kept by a factory.
#[derive(Clone, Debug)]
pub struct Shard {
    index: usize,
    handle: ShardsHandle,
}

impl Shard {
    pub(crate) fn new(index: usize, team: Arc<Team>) -> Self {
        Self { index, handle: ShardsHandle::new(team) }
    }

    /// Returns the number of this shard, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the number of shards.
    pub fn count(&self) -> usize {
        self.handle.count()
    }

    /// Returns the indices of the other shards.
    pub fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.index;
        (0..self.count()).filter(move |index| *index != own)
    }

    /// Notes that this shard, the first, accepts clients for the others.
    pub(super) fn set_led(&self) {
        self.handle.team().set_led();
    }

    /// Returns a handle to all shards.
    pub fn handle(&self) -> &ShardsHandle {
        &self.handle
    }
}
