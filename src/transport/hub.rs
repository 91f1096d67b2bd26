//! Hub: the dirty list, the pool of write buffers and the totals that a reactor shares with its
//! connections.

use super::Inner;
use super::write_buffer::WriteBuffer;
use crate::arena::Id;
use std::cell::{Cell, RefCell};
use std::rc::Weak;
use std::time::Duration;

/// Work that callbacks leave for the loop, and the connection whose callback is running.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// The number of the reactor, unique within the process.
    reactor: usize,
    /// The connection whose callback is running. It is settled when the callback returns, so it is
    /// never listed as dirty.
    current: Cell<Option<Id>>,
    dirty: RefCell<Vec<Id>>,
    /// Connections whose protocols have yielded.
    yielded: RefCell<Vec<Id>>,
    /// A dirty connection is ending, so the list is not held back to gather more writes.
    must_flush: Cell<bool>,
    spares: RefCell<Spares>,
    /// Bytes counted as unsent, of all connections: those in write buffers, and the allowances that
    /// they may append without a check.
    unsent: Cell<usize>,
    /// The limit of all connections together on `unsent`.
    max_unsent_total: usize,
    /// The time for a TLS handshake in mid-connection.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are none"))]
    handshake_timeout: Duration,
    /// Bytes that a connection may append before it checks the limits: so small a part of the limit
    /// that thousands of them are not what reaches it.
    allowance: usize,
    /// Connections that had unsent bytes when they were settled last; some may have none any more.
    listed_unsent: RefCell<Vec<Weak<Inner>>>,
    /// Bytes discarded at the limit of all connections since the last `take_shed`.
    shed: Cell<usize>,
    /// Bytes that sockets have taken, of all connections.
    sent: Cell<u64>,
    /// Limit on the unsent bytes of a connection that has no limit of its own.
    max_unsent: Cell<usize>,
}

/// Pool of empty write buffers: most connections have nothing unsent most of the time, and need no
/// buffer of their own; in a fan-out all of them fill at once.
#[derive(Debug, Default)]
struct Spares {
    #[expect(clippy::vec_box, reason = "a transport takes and gives the box, not what is in it")]
    outboxes: Vec<Box<WriteBuffer>>,
    /// The sum of their capacities.
    bytes: usize,
}

/// Limit on pooled memory: enough for a line to each of some thousand connections, and little
/// enough that a burst is not paid for forever.
const SPARE_BYTES_MAX: usize = 1024 * 1024;

/// Allowance: bytes, some lines long, that a connection may append without checking a limit.
const ALLOWANCE: usize = 1024;

/// Allowances that fit the limit of all connections, at least: more than there are connections.
const ALLOWANCES_MIN: usize = 1024 * 1024;

/// The list of connections with unsent bytes is not pruned before it is this long.
const UNSENT_LIST_MIN: usize = 16;

/// Largest capacity that is pooled: the next connection to take the buffer might keep it for a few
/// bytes that its peer does not read.
const SPARE_LEN_MAX: usize = 16 * 1024;

impl Hub {
    /// Returns a hub for the connections of `reactor`: each may have `max_unsent` unsent bytes, and
    /// all of them together `max_unsent_total`. A TLS handshake may take `handshake_timeout`.
    pub(crate) fn new(
        reactor: usize,
        max_unsent: usize,
        max_unsent_total: usize,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            reactor,
            max_unsent: Cell::new(max_unsent),
            max_unsent_total,
            handshake_timeout,
            allowance: ALLOWANCE.min(max_unsent).min(max_unsent_total / ALLOWANCES_MIN),
            ..Self::default()
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    pub(crate) fn reactor(&self) -> usize {
        self.reactor
    }

    pub(crate) fn max_unsent(&self) -> usize {
        self.max_unsent.get()
    }

    /// Returns the unsent bytes of all connections; while a callback runs, perhaps more than there
    /// are.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.get()
    }

    pub(super) fn max_unsent_total(&self) -> usize {
        self.max_unsent_total
    }

    /// Returns true if `count` more unsent bytes fit the limit of all connections together.
    pub(super) fn has_room_for(&self, count: usize) -> bool {
        self.unsent.get().saturating_add(count) <= self.max_unsent_total
    }

    #[inline]
    pub(super) fn has_too_much(&self) -> bool {
        self.unsent.get() > self.max_unsent_total
    }

    /// Lists a connection that has unsent bytes. As the list grows, connections that have none any
    /// more are removed, and their flag is cleared.
    pub(super) fn list_unsent(&self, transport: Weak<Inner>) {
        let list = &mut *self.listed_unsent.borrow_mut();
        if list.len() == list.capacity() {
            list.retain(|transport| transport.upgrade().is_some_and(|it| it.stays_listed()));
            if list.len() > list.capacity() / 2 {
                // Most have unsent bytes: grow, so that not every new one prunes the list.
                list.reserve(list.capacity().max(UNSENT_LIST_MIN));
            }
        }
        list.push(transport);
    }

    /// Returns the connections that may have unsent bytes.
    pub(super) fn listed_unsent(&self) -> Vec<Weak<Inner>> {
        self.listed_unsent.borrow().clone()
    }

    #[cfg(test)]
    pub(crate) fn unsent_list_len(&self) -> usize {
        self.listed_unsent.borrow().len()
    }

    /// Counts unsent bytes that were discarded at the limit of all connections.
    pub(super) fn count_shed(&self, count: usize) {
        self.shed.set(self.shed.get() + count);
    }

    /// Returns the bytes discarded at the limit of all connections since the last call.
    pub(crate) fn take_shed(&self) -> usize {
        self.shed.take()
    }

    /// Returns how many bytes sockets have taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Counts `count` bytes that a socket has taken.
    #[inline]
    pub(crate) fn count_sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }

    /// Counts `now` unsent bytes of a connection, for which `before` were counted so far.
    pub(crate) fn recount_unsent(&self, before: usize, now: usize) {
        self.unsent.set(self.unsent.get() - before + now);
    }

    /// Counts `now` unsent bytes of a connection instead of `before`, unless that would exceed the
    /// limit of all connections: it then returns false.
    #[inline]
    fn try_recount(&self, before: usize, now: usize) -> bool {
        let unsent = self.unsent.get() - before + now;
        let room = unsent <= self.max_unsent_total;
        if room {
            self.unsent.set(unsent);
        }
        room
    }

    /// Counts the unsent bytes of `buffer`, whose next append checks the limits.
    pub(super) fn recount(&self, buffer: &mut WriteBuffer) {
        buffer.clear_fast_limit();
        let unsent = buffer.unsent();
        self.recount_unsent(std::mem::replace(&mut buffer.counted, unsent), unsent);
    }

    /// Counts the unsent bytes of `buffer`, and an allowance on top of them, against the limit of
    /// all connections. Within the allowance an append need not check any limit.
    #[inline]
    pub(super) fn set_fast_limit(&self, buffer: &mut WriteBuffer) {
        let counted = buffer.max.min(buffer.unsent() + self.allowance);
        if buffer.is_run_below(counted) && self.try_recount(buffer.counted, counted) {
            buffer.set_fast_limit(counted);
        } else {
            self.recount(buffer);
        }
    }

    /// Does the same as [`set_fast_limit`](Self::set_fast_limit) for the first bytes of a buffer.
    /// False if the allowance does not fit the limit, and nothing was counted.
    #[inline]
    pub(super) fn set_first_fast_limit(&self, buffer: &mut WriteBuffer) -> bool {
        let counted = self.allowance;
        let is_set = buffer.is_first_run_within(counted) && self.try_recount(0, counted);
        if is_set {
            buffer.set_first_fast_limit(counted);
        }
        is_set
    }

    /// Begins a callback of the connection `id`. Returns the former one, for
    /// [`leave`](Self::leave).
    pub(crate) fn enter(&self, id: Id) -> Option<Id> {
        self.current.replace(Some(id))
    }

    pub(crate) fn leave(&self, previous: Option<Id>) {
        self.current.set(previous);
    }

    /// Lists a connection to be settled. False if it is settled anyway, since its callback is
    /// running.
    pub(crate) fn mark_dirty(&self, id: Id) -> bool {
        let elsewhere = self.current.get() != Some(id);
        if elsewhere {
            self.list(id);
        }
        elsewhere
    }

    /// Lists a connection to be settled, and read from if it can be.
    pub(crate) fn list(&self, id: Id) {
        self.dirty.borrow_mut().push(id);
    }

    /// Lists a connection whose protocol has yielded.
    pub(crate) fn list_yielded(&self, id: Id) {
        self.yielded.borrow_mut().push(id);
    }

    /// Returns the connections whose protocols have yielded since the last call.
    pub(crate) fn take_yielded(&self) -> Vec<Id> {
        self.yielded.take()
    }

    pub(crate) fn has_yielded(&self) -> bool {
        !self.yielded.borrow().is_empty()
    }

    /// Demands that dirty connections be settled without gathering more writes.
    pub(crate) fn flush_now(&self) {
        self.must_flush.set(true);
    }

    pub(crate) fn must_flush_now(&self) -> bool {
        self.must_flush.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.dirty.borrow().len()
    }

    /// Takes the dirty list; connections that become dirty later are on the next one. `emptied`
    /// becomes its memory.
    pub(crate) fn take(&self, emptied: Vec<Id>) -> Vec<Id> {
        debug_assert!(emptied.is_empty());
        self.must_flush.set(false);
        self.dirty.replace(emptied)
    }

    /// Takes a write buffer from the pool, or makes one.
    pub(crate) fn take_buffer(&self) -> Box<WriteBuffer> {
        let spares = &mut *self.spares.borrow_mut();
        let spare = spares.outboxes.pop();
        spares.bytes -= spare.as_ref().map_or(0, |write_buffer| write_buffer.capacity());
        spare.unwrap_or_default()
    }

    /// Returns an empty write buffer to the pool, or frees it.
    pub(crate) fn return_buffer(&self, write_buffer: Box<WriteBuffer>) {
        let spares = &mut *self.spares.borrow_mut();
        let small = write_buffer.capacity() <= SPARE_LEN_MAX;
        if small && spares.bytes + write_buffer.capacity() <= SPARE_BYTES_MAX {
            spares.bytes += write_buffer.capacity();
            spares.outboxes.push(write_buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_buffers_are_counted_in_and_out() {
        let hub = Hub::default();
        for _ in 0..10_000 {
            let mut write_buffer = hub.take_buffer();
            write_buffer.append(&[0; 10_000]);
            write_buffer.consume(10_000);
            hub.return_buffer(write_buffer);
        }
        let kept = hub.take_buffer();
        assert!(kept.capacity() >= 10_000, "the pool still serves");
        assert_eq!(hub.spares.borrow().bytes, 0);
    }

    #[test]
    fn a_large_spare_is_freed() {
        let hub = Hub::default();
        let mut write_buffer = hub.take_buffer();
        write_buffer.append(&[0; SPARE_LEN_MAX + 1]);
        write_buffer.consume(SPARE_LEN_MAX + 1);
        hub.return_buffer(write_buffer);
        assert!(hub.take_buffer().capacity() <= SPARE_LEN_MAX);
    }

    /// Appends and consumes as a connection does.
    #[test]
    fn the_reactor_counts_no_less_than_is_unsent_however_bytes_come_and_go() {
        let hub = Hub::new(0, usize::MAX, 1 << 40, Duration::MAX);
        let (mut write_buffer, mut random) = (WriteBuffer::default(), 1_u64);
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % bound
        };
        for round in 0..100_000 {
            let length = 1 + below(if round % 1000 < 10 { 100_000 } else { 300 });
            if write_buffer.fits_fast_path(length) {
                write_buffer.append(&vec![0; length]);
            } else {
                let first = write_buffer.is_empty();
                write_buffer.append(&vec![0; length]);
                if !first || !hub.set_first_fast_limit(&mut write_buffer) {
                    hub.set_fast_limit(&mut write_buffer);
                }
            }
            assert!(write_buffer.len() <= write_buffer.counted, "{round}");
            assert_eq!(write_buffer.counted, hub.unsent());
            if below(3) == 0 {
                let count = below(write_buffer.len() + 1);
                write_buffer.consume(count);
                if write_buffer.is_empty() {
                    hub.recount_unsent(std::mem::take(&mut write_buffer.counted), 0);
                } else {
                    hub.recount(&mut write_buffer);
                }
            }
        }
    }
}
