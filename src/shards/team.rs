//! Team: what the shards of a server know of each other.

use crate::reactor::{Reactor, Remote, StopCause};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shards of a server, as each of them and the outside reach them.
pub(crate) struct Team {
    members: Mutex<Members>,
    /// The first shard accepts clients for the others.
    is_led: AtomicBool,
}

struct Members {
    /// By index; `None` before the shard is set up.
    remotes: Vec<Option<Remote>>,
    /// The shortest deadline of the stops that were requested from outside so far.
    stop: Option<Duration>,
    /// The earliest end of the stops that members have passed on so far, and the last cause.
    relayed: Option<(Instant, StopCause)>,
}

impl Team {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let members = Members { remotes: vec![None; count], stop: None, relayed: None };
        Arc::new(Self { members: Mutex::new(members), is_led: AtomicBool::new(false) })
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().remotes.len()
    }

    /// Adds the reactor of a shard: it stops with the others from now on, and they with it.
    pub(crate) fn join(self: &Arc<Self>, index: usize, reactor: &mut Reactor) {
        let remote = reactor.remote();
        let team = Arc::clone(self);
        reactor.set_stop_relay(move |until, cause| team.relay_stop(index, until, cause));
        let mut members = self.lock();
        if let Some(deadline) = members.stop {
            remote.post(move |reactor| reactor.stop_gracefully(deadline));
        }
        if let Some((until, cause)) = members.relayed {
            remote.post(move |reactor| reactor.stop_with_others(until, cause));
        }
        members.remotes[index] = Some(remote);
    }

    /// Requests a stop of all shards, those that are yet to join included.
    pub(super) fn stop(&self, deadline: Duration) {
        let mut members = self.lock();
        members.stop = Some(members.stop.map_or(deadline, |earlier| earlier.min(deadline)));
        for remote in members.remotes.iter().flatten() {
            remote.post(move |reactor| reactor.stop_gracefully(deadline));
        }
    }

    /// Passes a stop on from one shard to the others, with the same deadline. Those that are yet to
    /// join, if the set-up of a shard stops it, get it when they do.
    fn relay_stop(&self, from: usize, until: Instant, cause: StopCause) {
        let mut members = self.lock();
        let earliest = members.relayed.map_or(until, |(earlier, _)| earlier.min(until));
        members.relayed = Some((earliest, cause));
        for (index, remote) in members.remotes.iter().enumerate() {
            if let Some(remote) = remote.as_ref().filter(|_| index != from) {
                remote.post(move |reactor| reactor.stop_with_others(until, cause));
            }
        }
    }

    pub(super) fn remotes(&self) -> Vec<Option<Remote>> {
        self.lock().remotes.clone()
    }

    /// Notes that the first shard accepts clients for the others.
    pub(super) fn set_led(&self) {
        self.is_led.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_led(&self) -> bool {
        self.is_led.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing panics while the lock is held, so the members are consistent.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("shards", &self.count()).finish_non_exhaustive()
    }
}
