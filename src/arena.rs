//! Arena with generations: slots are reused, and ids of former entries stay invalid. Pure.
//!
//! A slab gives the same key to one entry after another. Handles, timers and poller events outlive
//! entries, so a key alone would reach a different entry; an [`Id`] is a key and the generation of
//! its entry, and the id of a removed entry finds nothing.

use slab::Slab;
use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

/// Layout of an [`Id`] that is packed into one `usize` for the poller: the lower bits are the slot,
/// the rest the low bits of its generation, and the top bit is reserved for the poller. On 32 bits
/// there is room for a million slots, more than such a machine has descriptors, and for two
/// thousand generations, more than one wait returns events for.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
const GENERATION_BITS: u32 = usize::BITS - SLOT_BITS - 1;
const GENERATION_MASK: u32 = ((1u64 << GENERATION_BITS) - 1) as u32;

/// An empty arena with a larger capacity shrinks: a burst must not hold its memory for good, and
/// one connection after another must not allocate each time.
const SLOTS_KEPT: usize = 1024;

/// Identifies an entry of an [`Arena`]. Ids are reused only after the generations have wrapped.
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

    /// Returns how many entries the arena had had before this one.
    #[cfg(test)]
    pub(crate) fn generation(self) -> u32 {
        self.generation
    }

    /// The id of the first entry that an arena ever has.
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
    /// The generation of the next entry. One counter serves all slots; it wraps after four thousand
    /// million entries.
    generation: u32,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), generation: 0 }
    }

    /// Inserts the entry that `build` makes; `build` gets the entry's id.
    pub(crate) fn insert_with(&mut self, build: impl FnOnce(Id) -> T) -> Id {
        let Ok(id) = self.try_insert_with(|id| Ok::<T, Infallible>(build(id)));
        id
    }

    /// Inserts the entry that `build` makes, unless `build` fails.
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

    /// Returns the id of the entry that the packed id refers to, if it still exists.
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

    /// Removes all entries and frees the memory. Later entries have other generations, as always.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.entries).into_iter().map(|(_, (_, entry))| entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns a number that all slots which are in use now are below.
    pub(crate) fn slots_end(&self) -> usize {
        self.entries.capacity()
    }

    /// Returns the entries in a range of slots, in the time that the range takes.
    pub(crate) fn slots(&self, slots: Range<usize>) -> impl Iterator<Item = (Id, &T)> {
        slots.filter_map(|slot| {
            let (generation, entry) = self.entries.get(slot)?;
            Some((Id { slot: slot as u32, generation: *generation }, entry))
        })
    }

    /// Returns the id that is displayed as `text`, if its entry still exists.
    pub(crate) fn parse(&self, text: &str) -> Option<Id> {
        let (slot, generation) = text.split_once('.')?;
        let id = Id { slot: slot.parse().ok()?, generation: generation.parse().ok()? };
        self.get(id).is_some().then_some(id)
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
    fn an_id_of_a_removed_entry_finds_nothing() {
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
    fn take_all_removes_every_entry_for_good() {
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
    fn a_packed_id_finds_only_its_own_entry() {
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
