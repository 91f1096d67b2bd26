//! Deadlines in order, ties by age. Pure: the time is an argument.
//!
//! A 4-ary heap of nodes over an arena of entries. A node knows its entry, and no entry knows where
//! its node is: sorting touches nothing but the heap. What became of a job meanwhile is seen when
//! its node comes up. So cancelling frees the job at once and leaves the node; and pushing a
//! deadline back, as each byte of an idle connection does, only writes the entry.

use crate::arena::{Arena, Id};
use std::time::{Duration, Instant};

/// Children of a node. Four to a node make the heap half as deep as two, and lie side by side.
const ARITY: usize = 4;

/// Nodes whose jobs are gone are swept out when they are so many times as many as the others: the
/// rarer, the less a cancelled job costs; a node is 24 bytes.
const STALE_RATIO_MAX: usize = 2;

/// And not before they are so many.
const STALE_MIN: usize = 64;

/// With no job left, a heap with more room than this is freed, as the entries' arena is.
const HEAP_KEPT: usize = 4 * STALE_MIN;

/// If more than this part of the heap is due at once, all that is due is parted from the rest and
/// sorted, which is cheaper than to take it from the heap one by one.
const DUE_SHARE: usize = 16;

/// A list of what is due together is freed after its use if it has more room than this.
const DUE_KEPT: usize = 1024;

/// When something is due: equal times are told apart by the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    /// Nanoseconds since the beginning of the list's time.
    due: u64,
    sequence: u64,
}

impl Key {
    /// To be compared without a branch, which in a heap could not be foretold.
    fn rank(self) -> u128 {
        u128::from(self.due) << 64 | u128::from(self.sequence)
    }
}

impl Node {
    fn is_before(&self, other: &Self) -> bool {
        self.key.rank() < other.key.rank()
    }
}

#[derive(Debug)]
struct Entry<J> {
    /// When the job is due in truth. Never before the key of its node.
    key: Key,
    /// The sequence of the node that stands for it.
    queued: u64,
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
    /// Deadlines are counted from here.
    beginning: Instant,
    entries: Arena<Entry<J>>,
    /// One node that stands for each entry, and stale ones.
    heap: Vec<Node>,
    /// Nodes that were found due together, the next one last.
    due: Vec<Node>,
    /// Of the next job to be set or reset.
    sequence: u64,
}

impl<J> Timers<J> {
    /// What is due before `beginning` is due then.
    pub(crate) fn new(beginning: Instant) -> Self {
        Self { beginning, entries: Arena::new(), heap: Vec::new(), due: Vec::new(), sequence: 0 }
    }

    pub(crate) fn set(&mut self, due: Instant, job: J) -> Id {
        let key = self.next_key(due);
        let id = self.entries.insert_with(|_| Entry { key, queued: key.sequence, job });
        self.push(Node { key, id });
        id
    }

    /// Takes a job out before it is due.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<J> {
        let entry = self.entries.remove(id)?;
        self.sweep();
        Some(entry.job)
    }

    /// Gives a job a new deadline, earlier or later. False if it is gone.
    pub(crate) fn reset(&mut self, id: Id, due: Instant) -> bool {
        let key = self.next_key(due);
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        let earlier = key.due < entry.key.due;
        entry.key = key;
        if earlier {
            entry.queued = key.sequence;
            self.push(Node { key, id });
            self.sweep();
        }
        true
    }

    pub(crate) fn due(&self, id: Id) -> Option<Instant> {
        self.entries.get(id).map(|entry| self.instant(entry.key))
    }

    pub(crate) fn contains(&self, id: Id) -> bool {
        self.entries.get(id).is_some()
    }

    /// The next deadline of all.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.correct_first();
        let next = self.due.last().or(self.heap.first());
        next.map(|node| self.instant(node.key))
    }

    /// A mark in the order of setting: what is set from here on comes after it.
    pub(crate) fn mark(&self) -> u64 {
        self.sequence
    }

    /// Takes out the next job that is due at `now` and was set before `mark`.
    pub(crate) fn pop(&mut self, now: Instant, mark: u64) -> Option<(Id, J)> {
        if self.due.is_empty() {
            self.gather(self.key_at(now, mark));
        }
        while let Some(Node { key, id }) = self.due.pop() {
            match self.entries.get_mut(id) {
                Some(entry) if entry.key == key => {
                    return self.entries.remove(id).map(|entry| (id, entry.job));
                }
                // Pushed back by one that came before it.
                Some(entry) if entry.queued == key.sequence => {
                    let key = entry.key;
                    entry.queued = key.sequence;
                    self.push(Node { key, id });
                }
                _ => {}
            }
        }
        if self.due.capacity() > DUE_KEPT {
            self.due = Vec::new();
        }
        self.sweep();
        None
    }

    /// Takes out all jobs, due or not, in no order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = J> + use<J> {
        self.heap = Vec::new();
        self.due = Vec::new();
        self.entries.take_all().map(|entry| entry.job)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn next_key(&mut self, due: Instant) -> Key {
        self.sequence += 1;
        self.key_at(due, self.sequence - 1)
    }

    fn key_at(&self, due: Instant, sequence: u64) -> Key {
        let due = due.saturating_duration_since(self.beginning).as_nanos();
        // Six hundred years fit.
        Key { due: u64::try_from(due).unwrap_or(u64::MAX), sequence }
    }

    fn instant(&self, key: Key) -> Instant {
        self.beginning + Duration::from_nanos(key.due)
    }

    /// Takes the nodes out of the heap that are due at `now` and were there before it.
    ///
    /// Before anything is called: what callbacks set has a later sequence, and waits.
    fn gather(&mut self, now: Key) {
        let one_by_one = self.heap.len() / DUE_SHARE + DUE_SHARE;
        while let Some(first) = self.first_due(now) {
            if self.due.len() == one_by_one {
                self.part(now);
                break;
            }
            self.take_first();
            self.due.push(first);
        }
        self.due.reverse();
    }

    fn first_due(&mut self, now: Key) -> Option<Node> {
        self.correct_first();
        let first = self.heap.first().filter(|first| first.key.due <= now.due)?;
        (first.key.sequence < now.sequence).then_some(*first)
    }

    /// The same for all that is left in the heap: parts it, and sorts what is due.
    fn part(&mut self, now: Key) {
        let taken = self.due.len();
        let Self { entries, heap, due, .. } = self;
        heap.retain_mut(|node| {
            let entry = entries.get_mut(node.id);
            let Some(entry) = entry.filter(|entry| entry.queued == node.key.sequence) else {
                return false;
            };
            node.key = entry.key;
            entry.queued = entry.key.sequence;
            let is_due = node.key.due <= now.due;
            if is_due {
                due.push(*node);
            }
            !is_due
        });
        due[taken..].sort_unstable_by_key(|node| node.key.rank());
        self.heapify();
    }

    /// Makes the first node one that tells the truth: drops those that are stale, and moves jobs
    /// that were pushed back to where they belong.
    fn correct_first(&mut self) {
        while let Some(first) = self.heap.first().copied() {
            match self.entries.get_mut(first.id) {
                Some(entry) if entry.key == first.key => return,
                Some(entry) if entry.queued == first.key.sequence => {
                    entry.queued = entry.key.sequence;
                    self.heap[0].key = entry.key;
                    self.sift_down(0);
                }
                _ => self.take_first(),
            }
        }
    }

    /// Drops what is stale once it is more than its share: a constant number of steps for each.
    fn sweep(&mut self) {
        let established = self.entries.len();
        if established == 0 && self.heap.capacity() > HEAP_KEPT {
            self.heap = Vec::new();
        }
        if self.heap.len() <= (1 + STALE_RATIO_MAX) * established + STALE_MIN {
            return;
        }
        let entries = &self.entries;
        let stands = |node: &Node| {
            entries.get(node.id).is_some_and(|entry| entry.queued == node.key.sequence)
        };
        self.heap.retain(stands);
        self.heapify();
    }

    fn heapify(&mut self) {
        // As the entries' arena does after a burst.
        self.heap.shrink_to((1 + STALE_RATIO_MAX) * self.heap.len() + STALE_MIN);
        for parent in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sift_down(parent);
        }
    }

    fn push(&mut self, node: Node) {
        self.heap.push(node);
        self.sift_up(self.heap.len() - 1);
    }

    fn take_first(&mut self) {
        let Some(last) = self.heap.pop() else { return };
        if let Some(first) = self.heap.first_mut() {
            *first = last;
            self.sift_down(0);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        let node = self.heap[position];
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if !node.is_before(&self.heap[parent]) {
                break;
            }
            self.heap[position] = self.heap[parent];
            position = parent;
        }
        self.heap[position] = node;
    }

    fn sift_down(&mut self, mut position: usize) {
        let heap = &mut self.heap[..];
        let node = heap[position];
        loop {
            let first = position * ARITY + 1;
            let child = match heap.get(first..).unwrap_or_default() {
                [a, b, c, d, ..] => {
                    let left = usize::from(b.is_before(a));
                    let right = 2 + usize::from(d.is_before(c));
                    let right_first = heap[first + right].is_before(&heap[first + left]);
                    first + if right_first { right } else { left }
                }
                few => match (0..few.len()).min_by_key(|&child| few[child].key.rank()) {
                    Some(least) => first + least,
                    None => break,
                },
            };
            if !heap[child].is_before(&node) {
                break;
            }
            heap[position] = heap[child];
            position = child;
        }
        heap[position] = node;
    }
}

#[cfg(test)]
mod tests;
