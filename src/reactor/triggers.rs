//! What is to happen before, during and after the reactor's start and its end.

use super::Reactor;
use std::collections::BTreeMap;
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
    place: Place,
}

/// Where a trigger stands.
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
    /// For each event and phase, by their numbers, and so in the order in which they were added.
    waiting: [[BTreeMap<u64, Call>; 3]; 2],
    /// Of the next trigger.
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

    /// A mark in the order of adding: what is added from here on comes after it.
    pub(super) fn mark(&self) -> u64 {
        self.number
    }

    /// Takes out the next trigger that was added before `mark`.
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
