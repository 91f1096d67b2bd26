//! What is to happen before, during and after the reactor's start and its end.

use super::Reactor;
use crate::arena::{Arena, Id};
use std::collections::VecDeque;
use std::fmt;

/// What a trigger waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemEvent {
    /// The first turn of a run.
    Startup,
    /// The end of a run. Between *before* and *during*, ports are closed, connections lost and
    /// factories stopped.
    Shutdown,
}

/// When, with regard to the event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before it: at shutdown, while all connections still stand.
    Before,
    /// With it.
    During,
    /// After it.
    After,
}

impl Phase {
    pub(super) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// Names a trigger, to remove it. To other reactors than its own it names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TriggerId {
    /// The number of its reactor.
    pub(super) reactor: usize,
    pub(super) id: Id,
}

type Call = Box<dyn FnOnce(&mut Reactor)>;

/// The triggers that have not fired, in the order in which they were added.
pub(super) struct Triggers {
    calls: Arena<Call>,
    /// One queue for each event and phase.
    queues: [[VecDeque<Id>; 3]; 2],
}

impl Triggers {
    pub(super) fn new() -> Self {
        Self { calls: Arena::new(), queues: Default::default() }
    }

    pub(super) fn add(&mut self, phase: Phase, event: SystemEvent, call: Call) -> Id {
        let id = self.calls.insert_with(|_| call);
        self.queues[event as usize][phase as usize].push_back(id);
        id
    }

    pub(super) fn remove(&mut self, trigger: Id) -> Option<Call> {
        for queue in self.queues.iter_mut().flatten() {
            queue.retain(|id| *id != trigger);
        }
        self.calls.remove(trigger)
    }

    pub(super) fn wait_for(&self, event: SystemEvent) -> bool {
        self.queues[event as usize].iter().any(|queue| !queue.is_empty())
    }

    /// Takes the next trigger out.
    pub(super) fn next(&mut self, phase: Phase, event: SystemEvent) -> Option<Call> {
        let id = self.queues[event as usize][phase as usize].pop_front()?;
        self.calls.remove(id)
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Triggers").field("waiting", &self.calls.len()).finish_non_exhaustive()
    }
}
