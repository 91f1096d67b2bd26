//! Slots that are used again without being mistaken for their former tenant. Pure.
//!
//! A slab hands the same key to one tenant after another. Handles, timers and events of the poller
//! outlive tenants, so a key alone would reach a stranger; an [`Id`] is a key and the generation of
//! its tenant, and an id of the past reaches nobody.

use slab::Slab;
use std::convert::Infallible;
use std::fmt;

/// How an [`Id`] is divided when it travels through the poller as one `usize`: the lower bits are
/// the slot, the rest the generation, the top bit is the poller's own. On 64 bits nothing is lost;
/// on 32 bits there is room for a million slots, more than such a machine has descriptors.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
const GENERATION_BITS: u32 = usize::BITS - SLOT_BITS - 1;
const GENERATION_MASK: u32 = ((1u64 << GENERATION_BITS) - 1) as u32;

/// An empty arena with more room than this gives it back: a burst must not hold its memory for
/// good, and one connection after the other must not allocate each time.
const SLOTS_KEPT: usize = 1024;

/// Names one tenant of an [`Arena`], for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    slot: u32,
    generation: u32,
}

impl Id {
    /// Packs the id into a `usize` whose top bit is clear.
    pub(crate) fn to_bits(self) -> usize {
        self.slot as usize | (self.generation as usize) << SLOT_BITS
    }

    /// The id that [`to_bits`](Self::to_bits) packed.
    pub(crate) fn from_bits(bits: usize) -> Self {
        Self {
            slot: (bits & ((1 << SLOT_BITS) - 1)) as u32,
            generation: (bits >> SLOT_BITS) as u32 & GENERATION_MASK,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A slab whose keys carry a generation.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    tenants: Slab<(u32, T)>,
    /// Of the next tenant. One counter for all slots: it repeats after two thousand million
    /// tenants, long after any event of the same turn.
    generation: u32,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { tenants: Slab::new(), generation: 0 }
    }

    /// Moves a tenant in; `build` is told the id that it will have.
    pub(crate) fn insert_with(&mut self, build: impl FnOnce(Id) -> T) -> Id {
        let Ok(id) = self.try_insert_with(|id| Ok::<T, Infallible>(build(id)));
        id
    }

    /// The same, unless `build` fails.
    pub(crate) fn try_insert_with<E>(
        &mut self,
        build: impl FnOnce(Id) -> Result<T, E>,
    ) -> Result<Id, E> {
        let entry = self.tenants.vacant_entry();
        let id = Id { slot: entry.key() as u32, generation: self.generation };
        entry.insert((self.generation, build(id)?));
        self.generation = self.generation.wrapping_add(1) & GENERATION_MASK;
        Ok(id)
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        match self.tenants.get(id.slot as usize) {
            Some((generation, tenant)) if *generation == id.generation => Some(tenant),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.tenants.get_mut(id.slot as usize) {
            Some((generation, tenant)) if *generation == id.generation => Some(tenant),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        let (_, tenant) = self.tenants.remove(id.slot as usize);
        if self.tenants.is_empty() && self.tenants.capacity() > SLOTS_KEPT {
            self.tenants.shrink_to_fit();
        }
        Some(tenant)
    }

    pub(crate) fn len(&self) -> usize {
        self.tenants.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.tenants.iter().map(|(slot, (generation, tenant))| {
            (Id { slot: slot as u32, generation: *generation }, tenant)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_past_reaches_nobody() {
        let mut arena = Arena::new();
        let first = arena.insert_with(|_| "first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert_with(|_| "second");
        assert_eq!(second.slot, first.slot);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.get_mut(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn ids_survive_packing_and_leave_the_top_bit_clear() {
        for id in [
            Id { slot: 0, generation: 0 },
            Id { slot: 5, generation: 7 },
            Id { slot: (1 << (SLOT_BITS - 1)) - 1, generation: GENERATION_MASK },
        ] {
            assert_eq!(Id::from_bits(id.to_bits()), id);
            assert_eq!(id.to_bits() >> (usize::BITS - 1), 0);
        }
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut arena = Arena::new();
        arena.generation = GENERATION_MASK;
        let last = arena.insert_with(|_| ());
        let next = arena.insert_with(|_| ());
        assert_eq!((last.generation, next.generation), (GENERATION_MASK, 0));
        assert_eq!(arena.iter().map(|(id, ())| id).collect::<Vec<_>>(), [last, next]);
    }
}
