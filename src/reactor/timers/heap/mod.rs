//! Timer heap: deadlines in order, ties by age. Pure: the time is an argument.
//!
//! A 4-ary heap of nodes over an arena of entries. A node refers to its entry, but no entry refers
//! back to its node: sorting touches only the heap. Changes of an entry take effect when its node
//! comes up. So cancelling frees the action at once and leaves a stale node; and pushing a deadline
//! back, as each byte of a connection with an idle timeout does, only writes the entry.

use crate::arena::{Arena, Id};
use std::time::{Duration, Instant};

/// Children of a node. With four the heap is half as deep as with two, and siblings are adjacent in
/// memory.
const ARITY: usize = 4;

/// Ratio of stale nodes to others above which the stale ones are removed: the rarer, the less a
/// cancelled action costs; a node is 24 bytes.
const STALE_RATIO_MAX: usize = 2;

/// Number of stale nodes below which they are never removed.
const STALE_MIN: usize = 64;

/// Capacity above which an empty heap frees its memory, as the entries' arena does.
const HEAP_KEPT: usize = 4 * STALE_MIN;

/// Divisor of the heap's length. If more than this part is due at once, the due nodes are
/// partitioned and sorted, which is cheaper than taking them from the heap one by one.
const DUE_SHARE: usize = 16;

/// Capacity above which the list of due nodes frees its memory after use.
const DUE_KEPT: usize = 1024;

/// The order of deadlines: equal times are ordered by the sequence in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    /// Deadline in nanoseconds since `Timers::beginning`.
    due: u64,
    sequence: u64,
}

impl Key {
    /// Returns a number that compares without a branch, which a heap would mispredict.
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
struct Entry<A> {
    /// Current deadline of the action. Never before the key of its node.
    key: Key,
    /// Sequence of the node that represents this entry; other nodes of it are stale.
    queued: u64,
    action: A,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    id: Id,
}

/// What a heap has to know of its actions.
pub(crate) trait Action {
    /// Returns the period of an action that repeats, in nanoseconds. Its deadlines are a grid: the
    /// first one, and whole periods after it.
    fn period(&self) -> Option<u64>;

    /// Returns what [`Timers::pop`] returns for an action that repeats, which itself stays in the
    /// heap: `count` of its deadlines have passed.
    fn tick(count: u64) -> Self;
}

/// Actions, each with a deadline.
#[derive(Debug)]
pub(crate) struct Timers<A> {
    /// Origin of all deadlines.
    beginning: Instant,
    entries: Arena<Entry<A>>,
    /// One current node for each entry, and stale ones.
    heap: Vec<Node>,
    /// Nodes that are due together, the next one last.
    due: Vec<Node>,
    /// Sequence of the next action that is set or reset.
    sequence: u64,
}

impl<A: Action> Timers<A> {
    /// Creates an empty list. Deadlines before `beginning` count as `beginning`.
    pub(crate) fn new(beginning: Instant) -> Self {
        Self { beginning, entries: Arena::new(), heap: Vec::new(), due: Vec::new(), sequence: 0 }
    }

    pub(crate) fn set(&mut self, due: Instant, action: A) -> Id {
        let key = self.next_key(due);
        let id = self.entries.insert_with(|_| Entry { key, queued: key.sequence, action });
        self.push(Node { key, id });
        id
    }

    /// Removes and returns an action.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<A> {
        let entry = self.entries.remove(id)?;
        self.sweep();
        Some(entry.action)
    }

    /// Gives an action a new deadline, earlier or later. Returns false if it is gone.
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

    pub(crate) fn get(&self, id: Id) -> Option<&A> {
        self.entries.get(id).map(|entry| &entry.action)
    }

    pub(crate) fn due(&self, id: Id) -> Option<Instant> {
        self.entries.get(id).map(|entry| self.instant(entry.key))
    }

    pub(crate) fn contains(&self, id: Id) -> bool {
        self.entries.get(id).is_some()
    }

    /// Returns the earliest deadline.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.correct_first();
        let next = self.due.last().or(self.heap.first());
        next.map(|node| self.instant(node.key))
    }

    /// Returns a mark: actions that are set from now on come after it.
    pub(crate) fn mark(&self) -> u64 {
        self.sequence
    }

    /// Removes and returns the next action that is due at `now` and was set before `mark`. An
    /// action that repeats stays, with its next deadline; in its place a tick is returned.
    pub(crate) fn pop(&mut self, now: Instant, mark: u64) -> Option<(Id, A)> {
        if self.due.is_empty() {
            self.gather(self.key_at(now, mark));
        }
        while let Some(Node { key, id }) = self.due.pop() {
            match self.entries.get_mut(id) {
                Some(entry) if entry.key == key => {
                    if let Some(period) = entry.action.period() {
                        return Some((id, self.tick(Node { key, id }, period, now)));
                    }
                    return self.entries.remove(id).map(|entry| (id, entry.action));
                }
                // Pushed back by an action that fired before it.
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

    /// Gives an action that repeats its first deadline after `now`.
    #[inline(never)]
    fn tick(&mut self, Node { key, id }: Node, period: u64, now: Instant) -> A {
        let now = self.key_at(now, 0).due;
        // With a period of zero it is due again at once, and so in the next turn.
        let late = now.saturating_sub(key.due);
        let count = late.checked_div(period).map_or(1, |missed| missed.saturating_add(1));
        let after = if period == 0 { late } else { count.saturating_mul(period) };
        self.sequence += 1;
        let key = Key { due: key.due.saturating_add(after), sequence: self.sequence - 1 };
        if let Some(entry) = self.entries.get_mut(id) {
            (entry.key, entry.queued) = (key, key.sequence);
            self.push(Node { key, id });
        }
        A::tick(count)
    }

    /// Removes and returns all actions, due or not, in no order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = A> + use<A> {
        self.heap = Vec::new();
        self.due = Vec::new();
        self.entries.take_all().map(|entry| entry.action)
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
        // Nearly six hundred years fit.
        Key { due: u64::try_from(due).unwrap_or(u64::MAX), sequence }
    }

    fn instant(&self, key: Key) -> Instant {
        self.beginning + Duration::from_nanos(key.due)
    }

    /// Moves the nodes that are due at `now`, and were set before it, from the heap to `due`.
    ///
    /// Actions that callbacks set meanwhile have a later sequence, and wait.
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

    /// Moves all due nodes from the heap to `due`: partitions the heap, and sorts the due part.
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

    /// Makes the first node current: drops stale nodes, and moves actions that were pushed back to
    /// their places.
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

    /// Removes stale nodes once they exceed their share: a constant number of steps for each.
    fn sweep(&mut self) {
        let established = self.entries.len();
        if established == 0 && self.heap.capacity() > HEAP_KEPT {
            self.heap = Vec::new();
        }
        if self.heap.len() <= (1 + STALE_RATIO_MAX) * established + STALE_MIN {
            return;
        }
        let entries = &self.entries;
        let is_current = |node: &Node| {
            entries.get(node.id).is_some_and(|entry| entry.queued == node.key.sequence)
        };
        self.heap.retain(is_current);
        self.heapify();
    }

    fn heapify(&mut self) {
        // Frees memory after a burst, as the entries' arena does.
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

#[cfg(all(test, feature = "testing"))]
mod tests;
