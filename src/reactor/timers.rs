//! Deadlines in order, ties by age. Pure: the time is an argument.
//!
//! A 4-ary heap of keys over an arena of entries. An entry knows where its key is, so cancelling
//! takes the key out at once and frees the entry. Pushing a deadline back, as each byte of an idle
//! connection does, only writes the entry: its key keeps the old time and is corrected when it
//! comes up.

use crate::arena::{Arena, Id};
use std::time::Instant;

/// Children of a node. Four to a node make the heap half as deep as two, and lie side by side.
const ARITY: usize = 4;

/// When something is due: equal times are told apart by the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    due: Instant,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<J> {
    /// When the job is due in truth. Never before the key in the heap.
    key: Key,
    /// Where the entry's node is: `heap[position].id` is this entry.
    position: usize,
    job: J,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    id: Id,
}

/// Jobs, each with a deadline.
#[derive(Debug)]
pub(crate) struct Timers<J> {
    entries: Arena<Entry<J>>,
    heap: Vec<Node>,
    /// Of the next job to be set or reset.
    sequence: u64,
}

impl<J> Timers<J> {
    pub(crate) fn new() -> Self {
        Self { entries: Arena::new(), heap: Vec::new(), sequence: 0 }
    }

    pub(crate) fn set(&mut self, due: Instant, job: J) -> Id {
        let key = self.next_key(due);
        let position = self.heap.len();
        let id = self.entries.insert_with(|_| Entry { key, position, job });
        self.heap.push(Node { key, id });
        self.sift_up(position);
        id
    }

    /// Takes a job out before it is due.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<J> {
        let entry = self.entries.remove(id)?;
        self.take_node(entry.position);
        Some(entry.job)
    }

    /// Gives a job a new deadline, earlier or later. False if it is gone.
    pub(crate) fn reset(&mut self, id: Id, due: Instant) -> bool {
        let key = self.next_key(due);
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        entry.key = key;
        let position = entry.position;
        if key < self.heap[position].key {
            self.heap[position].key = key;
            self.sift_up(position);
        }
        true
    }

    pub(crate) fn due(&self, id: Id) -> Option<Instant> {
        self.entries.get(id).map(|entry| entry.key.due)
    }

    pub(crate) fn contains(&self, id: Id) -> bool {
        self.entries.get(id).is_some()
    }

    /// The next deadline of all.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.correct_first();
        self.heap.first().map(|node| node.key.due)
    }

    /// A mark in the order of setting: what is set from here on comes after it.
    pub(crate) fn mark(&self) -> u64 {
        self.sequence
    }

    /// Takes out the next job that is due at `now` and was set before `mark`.
    pub(crate) fn pop(&mut self, now: Instant, mark: u64) -> Option<(Id, J)> {
        self.correct_first();
        let first = *self.heap.first()?;
        if first.key.due > now || first.key.sequence >= mark {
            return None;
        }
        let entry = self.entries.remove(first.id)?;
        self.take_node(0);
        Some((first.id, entry.job))
    }

    /// Takes out a job, due or not.
    pub(crate) fn pop_any(&mut self) -> Option<(Id, J)> {
        let id = self.heap.last()?.id;
        self.cancel(id).map(|job| (id, job))
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    fn next_key(&mut self, due: Instant) -> Key {
        self.sequence += 1;
        Key { due, sequence: self.sequence - 1 }
    }

    /// Moves jobs that were pushed back since their key was written to where they belong, until
    /// the first key tells the truth.
    fn correct_first(&mut self) {
        while let Some(first) = self.heap.first().copied() {
            let Some(entry) = self.entries.get(first.id) else {
                return;
            };
            if entry.key == first.key {
                return;
            }
            self.heap[0].key = entry.key;
            self.sift_down(0);
        }
    }

    fn take_node(&mut self, position: usize) {
        self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.place(position);
            self.sift_down(position);
            self.sift_up(position);
        }
        if self.heap.is_empty() {
            // As the entries' arena does after a burst.
            self.heap.shrink_to(ARITY * ARITY * ARITY);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.heap[parent].key <= self.heap[position].key {
                break;
            }
            self.heap.swap(parent, position);
            self.place(position);
            position = parent;
        }
        self.place(position);
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let children = position * ARITY + 1;
            let end = (children + ARITY).min(self.heap.len());
            let least = (children..end).min_by_key(|&child| self.heap[child].key);
            let Some(child) = least.filter(|&it| self.heap[it].key < self.heap[position].key)
            else {
                break;
            };
            self.heap.swap(position, child);
            self.place(position);
            position = child;
        }
        self.place(position);
    }

    /// Tells the entry of the node at `position` where its node now is.
    fn place(&mut self, position: usize) {
        if let Some(entry) = self.entries.get_mut(self.heap[position].id) {
            entry.position = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Deterministic numbers for a random walk (xorshift64*).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
        }
    }

    fn drain(timers: &mut Timers<u64>, now: Instant) -> Vec<u64> {
        let mark = timers.mark();
        std::iter::from_fn(|| timers.pop(now, mark)).map(|(_, job)| job).collect()
    }

    #[test]
    fn equal_deadlines_come_in_the_order_in_which_they_were_set() {
        let start = Instant::now();
        let mut timers = Timers::new();
        for job in 0..100 {
            timers.set(start, job);
        }
        assert_eq!(drain(&mut timers, start), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_set_after_the_mark_waits() {
        let start = Instant::now();
        let mut timers = Timers::new();
        timers.set(start, 1);
        let mark = timers.mark();
        timers.set(start, 2);
        assert_eq!(timers.pop(start, mark).map(|(_, job)| job), Some(1));
        assert_eq!(timers.pop(start, mark).map(|(_, job)| job), None);
        assert_eq!(drain(&mut timers, start), [2]);
    }

    #[test]
    fn a_reset_counts_as_being_set_anew() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut timers = Timers::new();
        let first = timers.set(start, 1);
        timers.set(later, 2);
        assert!(timers.reset(first, later));
        assert_eq!(timers.due(first), Some(later));
        assert_eq!(timers.next(), Some(later));
        assert_eq!(drain(&mut timers, later), [2, 1]);
        assert!(!timers.reset(first, later));
    }

    #[test]
    fn any_walk_of_set_cancel_and_reset_fires_like_a_sorted_list() {
        let start = Instant::now();
        let mut random = Random(7);
        let mut timers = Timers::new();
        let mut model: Vec<(Instant, u64, u64, Id)> = Vec::new();
        let mut order = 0;
        for job in 0..20_000 {
            order += 1;
            let due = start + Duration::from_millis(random.below(500));
            match random.below(4) {
                0 | 1 => model.push((due, order, job, timers.set(due, job))),
                2 if !model.is_empty() => {
                    let at = random.below(model.len() as u64) as usize;
                    let (.., job, id) = model.swap_remove(at);
                    assert_eq!(timers.cancel(id), Some(job));
                    assert_eq!(timers.cancel(id), None);
                }
                _ if !model.is_empty() => {
                    let at = random.below(model.len() as u64) as usize;
                    (model[at].0, model[at].1) = (due, order);
                    assert!(timers.reset(model[at].3, due));
                }
                _ => {}
            }
            if job % 100 == 0 {
                let now = start + Duration::from_millis(random.below(200));
                model.sort_by_key(|&(due, order, ..)| (due, order));
                let split = model.partition_point(|&(due, ..)| due <= now);
                let expected: Vec<u64> = model.drain(..split).map(|(_, _, job, _)| job).collect();
                assert_eq!(drain(&mut timers, now), expected);
                assert_eq!(timers.next(), model.first().map(|&(due, ..)| due));
                assert_eq!(timers.len(), model.len());
            }
        }
    }

    #[test]
    fn cancelled_jobs_leave_nothing_behind() {
        let start = Instant::now();
        let mut timers = Timers::new();
        let ids: Vec<Id> = (0..10_000).map(|job| timers.set(start, job)).collect();
        for id in ids {
            timers.cancel(id);
        }
        assert_eq!((timers.len(), timers.entries.len()), (0, 0));
        assert!(timers.heap.capacity() <= 64);
    }
}
