//! Handle: all shards, as other threads reach them.

use super::team::Team;
use super::total_metrics::ShardsMetrics;
use crate::reactor::Remote;
use std::sync::Arc;
use std::time::Duration;

/// A handle to all shards of a server, for any thread; [`Shards::handle`](super::Shards::handle)
/// and [`Shard::handle`](super::Shard::handle) return it.
///
/// Once the shards have stopped its requests do nothing.
#[derive(Clone, Debug)]
pub struct ShardsHandle {
    team: Arc<Team>,
}

impl ShardsHandle {
    pub(super) fn new(team: Arc<Team>) -> Self {
        Self { team }
    }

    pub(super) fn is_of_same_shards(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.team, &other.team)
    }

    pub(super) fn team(&self) -> &Team {
        &self.team
    }

    /// Returns the number of shards.
    pub fn count(&self) -> usize {
        self.team.count()
    }

    /// Stops all shards at once, as [`Reactor::stop`](crate::Reactor::stop) does with one. Before
    /// they run, it makes them stop as soon as they have begun.
    pub fn stop(&self) {
        self.stop_gracefully(Duration::ZERO);
    }

    /// Stops all shards gracefully: each does what
    /// [`Reactor::stop_gracefully`](crate::Reactor::stop_gracefully) says. All have one deadline,
    /// which counts from the moment at which the first of them learns of it.
    pub fn stop_gracefully(&self, deadline: Duration) {
        self.team.stop(deadline);
    }

    /// Returns a handle to the reactor of one shard; `None` before it is set up, and if there is no
    /// such shard.
    pub fn remote(&self, index: usize) -> Option<Remote> {
        self.team.remotes().into_iter().nth(index).flatten()
    }

    /// Returns the metrics of all shards, each as of its next turn. No loop waits; this thread
    /// does, until all have answered, for `timeout` at most.
    ///
    /// A shard that has stopped, or does not answer in time since a callback of it is busy, has no
    /// metrics. Call it on another thread than a shard's, which could not answer itself: from a
    /// callback by [`Reactor::defer_to_thread`](crate::Reactor::defer_to_thread).
    pub fn metrics(&self, timeout: Duration) -> ShardsMetrics {
        ShardsMetrics::ask(&self.team.remotes(), timeout)
    }
}
