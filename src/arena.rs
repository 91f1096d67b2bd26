//! Slots that are used again without being mistaken for their former entry. Pure.
//!
//! A slab hands the same key to one entry after another. Handles, timers and events of the poller
//! outlive entries, so a key alone would reach a stranger; an [`Id`] is a key and the generation of
//! its entry, and an id of the past reaches nobody.

use slab::Slab;
use std::convert::Infallible;
use std::fmt;

/// How an [`Id`] is divided when it travels through the poller as one `usize`: the lower bits are
/// the slot, the rest the end of its generation, the top bit is the poller's own. On 32 bits there
/// is room for a million slots, more than such a machine has descriptors, and for two thousand
/// generations, more than there are in the events of one wait.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
const GENERATION_BITS: u32 = usize::BITS - SLOT_BITS - 1;
const GENERATION_MASK: u32 = ((1u64 << GENERATION_BITS) - 1) as u32;

/// An empty arena with more room than this gives it back: a burst must not hold its memory for
/// good, and one connection after the other must not allocate each time.
const SLOTS_KEPT: usize = 1024;

/// Names one entry of an [`Arena`], for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    slot: u32,
    generation: u32,
}

impl Id {
    /// Packs the id into a `usize` whose top bit is clear; see [`Arena::find`].
    pub(crate) fn to_bits(self) -> usize {
        self.slot as usize | ((self.generation & GENERATION_MASK) as usize) << SLOT_BITS
    }

    /// That of the first entry that an arena ever has.
    #[cfg(test)]
    pub(crate) const FIRST: Self = Self { slot: 0, generation: 0 };
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
    entries: Slab<(u32, T)>,
    /// Of the next entry. One counter for all slots: it repeats after four thousand million
    /// entries.
    generation: u32,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), generation: 0 }
    }

    /// Moves a entry in; `build` is told the id that it will have.
    pub(crate) fn insert_with(&mut self, build: impl FnOnce(Id) -> T) -> Id {
        let Ok(id) = self.try_insert_with(|id| Ok::<T, Infallible>(build(id)));
        id
    }

    /// The same, unless `build` fails.
    pub(crate) fn try_insert_with<E>(
        &mut self,
        build: impl FnOnce(Id) -> Result<T, E>,
    ) -> Result<Id, E> {
        let entry = self.entries.vacant_entry();
        let id = Id { slot: entry.key() as u32, generation: self.generation };
        entry.insert((self.generation, build(id)?));
        self.generation = self.generation.wrapping_add(1);
        Ok(id)
    }

    /// The entry that the packed id is of, if it is still there.
    pub(crate) fn id_from_bits(&self, bits: usize) -> Option<Id> {
        let slot = bits & ((1 << SLOT_BITS) - 1);
        let (generation, _) = self.entries.get(slot)?;
        let id = Id { slot: slot as u32, generation: *generation };
        (id.to_bits() == bits).then_some(id)
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        match self.entries.get(id.slot as usize) {
            Some((generation, entry)) if *generation == id.generation => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.entries.get_mut(id.slot as usize) {
            Some((generation, entry)) if *generation == id.generation => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        let (_, entry) = self.entries.remove(id.slot as usize);
        if self.entries.is_empty() && self.entries.capacity() > SLOTS_KEPT {
            self.entries.shrink_to_fit();
        }
        Some(entry)
    }

    /// Moves all entries out, and gives the room back. Those who come after them have other
    /// generations, as ever.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.entries).into_iter().map(|(_, (_, entry))| entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, (_, entry))| entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.entries.iter().map(|(slot, (generation, entry))| {
            (Id { slot: slot as u32, generation: *generation }, entry)
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
    fn all_entries_leave_at_once_and_none_comes_back() {
        let mut arena = Arena::new();
        let ids = ["a", "b", "c"].map(|name| arena.insert_with(|_| name));
        arena.remove(ids[1]);
        assert_eq!(arena.take_all().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(arena.len(), 0);
        let next = arena.insert_with(|_| "d");
        assert_eq!(next.slot, ids[0].slot);
        for id in ids {
            assert_eq!((arena.get(id), arena.id_from_bits(id.to_bits())), (None, None));
            assert_eq!(arena.remove(id), None);
        }
        assert_eq!(arena.get(next), Some(&"d"));
    }

    #[test]
    fn a_packed_id_finds_its_entry_and_no_later_one() {
        let mut arena = Arena::new();
        arena.generation = GENERATION_MASK - 1;
        for _ in 0..4 {
            let id = arena.insert_with(|_| ());
            assert_eq!(id.to_bits() >> (usize::BITS - 1), 0, "the poller's own bit");
            assert_eq!(arena.id_from_bits(id.to_bits()), Some(id));
            arena.remove(id);
            assert_eq!(arena.id_from_bits(id.to_bits()), None);
            let next = arena.insert_with(|_| ());
            assert_eq!(arena.id_from_bits(id.to_bits()), None);
            arena.remove(next);
        }
    }

    #[test]
    fn generations_wrap() {
        let mut arena = Arena::new();
        arena.generation = u32::MAX;
        let last = arena.insert_with(|_| ());
        let next = arena.insert_with(|_| ());
        assert_eq!((last.generation, next.generation), (u32::MAX, 0));
        assert_eq!(arena.iter().map(|(id, ())| id).collect::<Vec<_>>(), [last, next]);
    }
}
