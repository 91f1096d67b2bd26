//! Triggers: closures called before, during and after start-up and shutdown.

use super::Reactor;
use std::collections::BTreeMap;
use std::fmt;

/// The event that a trigger waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemEvent {
    /// The first turn of a run.
    Startup,
    /// The end of a run. Between *before* and *during*, ports are closed, connections lost and
    /// factories stopped.
    Shutdown,
}

/// When a trigger is called, relative to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the event: at shutdown, while all connections are still established.
    Before,
    /// Together with the event.
    During,
    /// After the event.
    After,
}

impl Phase {
    pub(super) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// Identifies a trigger, to remove it. In another reactor it identifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TriggerId {
    /// Number of the trigger's reactor.
    pub(super) reactor: usize,
    place: Place,
}

/// The place of a trigger in the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    event: SystemEvent,
    phase: Phase,
    number: u64,
}

impl TriggerId {
    pub(super) fn new(reactor: usize, place: Place) -> Self {
        Self { reactor, place }
    }
}

type Call = Box<dyn FnOnce(&mut Reactor)>;

/// The triggers that have not fired.
pub(super) struct Triggers {
    /// Triggers of each event and phase by number, and so in the order in which they were added.
    waiting: [[BTreeMap<u64, Call>; 3]; 2],
    /// Number of the next trigger.
    number: u64,
}

impl Triggers {
    pub(super) fn new() -> Self {
        Self { waiting: Default::default(), number: 0 }
    }

    fn waiting(&mut self, phase: Phase, event: SystemEvent) -> &mut BTreeMap<u64, Call> {
        &mut self.waiting[event as usize][phase as usize]
    }

    pub(super) fn add(&mut self, phase: Phase, event: SystemEvent, call: Call) -> Place {
        let number = self.number;
        self.number += 1;
        self.waiting(phase, event).insert(number, call);
        Place { event, phase, number }
    }

    pub(super) fn remove(&mut self, TriggerId { place, .. }: TriggerId) -> Option<Call> {
        self.waiting(place.phase, place.event).remove(&place.number)
    }

    pub(super) fn wait_for(&self, event: SystemEvent) -> bool {
        self.waiting[event as usize].iter().any(|waiting| !waiting.is_empty())
    }

    /// Returns a mark: triggers that are added from now on come after it.
    pub(super) fn mark(&self) -> u64 {
        self.number
    }

    /// Removes and returns the next trigger that was added before `mark`.
    pub(super) fn next(&mut self, phase: Phase, event: SystemEvent, mark: u64) -> Option<Call> {
        let first = self.waiting(phase, event).first_entry()?;
        (*first.key() < mark).then(|| first.remove())
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.waiting.iter().flatten().map(BTreeMap::len).sum();
        f.debug_struct("Triggers").field("waiting", &count).finish_non_exhaustive()
    }
}
