//! Write buffer: bytes accepted and not yet sent. Pure.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Write buffer of a connection: a run of bytes, consumed at the front, and behind it pieces, once
/// shared bytes were queued or the run is long.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    bytes: Vec<u8>,
    /// Number of `bytes` that are sent. Less than their length, or both are zero.
    sent: usize,
    behind: VecDeque<Piece>,
    /// The number of bytes in `behind`.
    behind_len: usize,
    /// Fast path: while `bytes` stays within this length, an append need not check capacity, limits
    /// or producer. Zero if that is not known. Without it a hundred short writes in a callback cost
    /// 62 % more instructions, and answering 64 lines a quarter more.
    fast_limit: usize,
    /// Bytes before those of this buffer, which the stream holds: it has taken them, and its socket
    /// has not. They are unsent.
    pub(super) held: usize,
    /// Limit on unsent bytes.
    pub(super) max: usize,
    /// Bytes that the hub counts for this buffer: no less than are unsent.
    pub(super) counted: usize,
    /// Backpressure: with more unsent bytes than this, and a peer that takes nothing, reading backs
    /// off.
    read_ahead: usize,
}

#[derive(Debug)]
enum Piece {
    Copied(Vec<u8>),
    Shared(Bytes),
}

/// Pieces that are offered to the socket in one call: more of them save calls, but more are
/// prepared without use when it takes little. Together they are at least a quarter of a megabyte.
pub(super) const PIECES_MAX: usize = 64;

/// A run with more memory than this, of which little is left, is moved to less: a burst must not
/// keep its memory until the peer has taken the last byte.
const KEPT_LEN: usize = 64 * 1024;

/// Copied bytes are kept in pieces of this length, except for longer writes: a slow consumer's
/// backlog takes hardly more memory than it has bytes, is not moved as it grows, and is freed as it
/// is sent.
const PIECE_LEN: usize = 64 * 1024;

/// Initial `read_ahead`: above it, reading pauses while the socket is full. Without the pause eight
/// echoed streams together are half as fast, since what they buffer falls out of the cache. The
/// socket's buffer is full before the first byte stays here, so the peer has enough to take.
const READ_AHEAD: usize = 64 * 1024;

/// Growth of `read_ahead` after each backoff of reading.
const READ_AHEAD_STEP: usize = 256 * 1024;

/// The capacity of a new buffer: some lines, so that it does not grow with each.
const INITIAL_CAPACITY: usize = 512;

impl Default for WriteBuffer {
    fn default() -> Self {
        Self {
            bytes: Vec::with_capacity(INITIAL_CAPACITY),
            sent: 0,
            behind: VecDeque::new(),
            behind_len: 0,
            fast_limit: 0,
            held: 0,
            max: usize::MAX,
            counted: 0,
            read_ahead: READ_AHEAD,
        }
    }
}

impl WriteBuffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.behind_len
    }

    /// Returns the number of unsent bytes: those of the buffer, and those that the stream holds.
    #[inline]
    pub(crate) fn unsent(&self) -> usize {
        self.held + self.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.behind_len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns all bytes, if they are one run.
    pub(crate) fn run(&self) -> Option<&[u8]> {
        (self.behind_len == 0).then(|| &self.bytes[self.sent..])
    }

    /// Returns the pieces from the front, at most [`PIECES_MAX`].
    pub(super) fn pieces<'a, 'b>(
        &'a self,
        slices: &'b mut [IoSlice<'a>; PIECES_MAX],
    ) -> &'b [IoSlice<'a>] {
        let run = Some(&self.bytes[self.sent..]).filter(|run| !run.is_empty());
        let pieces = run.into_iter().chain(self.behind.iter().map(Piece::unsent));
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        &slices[..count]
    }

    /// Returns true if `length` bytes can be appended without checking capacity, limits or
    /// producer.
    #[inline]
    pub(super) fn fits_fast_path(&self, length: usize) -> bool {
        self.bytes.len() + length <= self.fast_limit
    }

    /// Ends the fast path: the next append checks capacity, limits and the producer.
    pub(super) fn clear_fast_limit(&mut self) {
        self.fast_limit = 0;
    }

    /// Begins the fast path, until `counted` bytes are unsent, which the hub counts already.
    #[inline]
    pub(super) fn set_fast_limit(&mut self, counted: usize) {
        (self.fast_limit, self.counted) = (self.sent + counted - self.held, counted);
    }

    /// Returns true if the bytes are one run, and with those held fewer than `length`.
    #[inline]
    pub(super) fn is_run_below(&self, length: usize) -> bool {
        self.behind_len == 0 && self.unsent() < length
    }

    /// Begins the fast path for a buffer of which nothing is sent yet; see
    /// [`set_fast_limit`](Self::set_fast_limit).
    #[inline]
    pub(super) fn set_first_fast_limit(&mut self, counted: usize) {
        (self.fast_limit, self.counted) = (counted, counted);
    }

    /// Returns true if the first bytes are one run, no longer than `length`.
    #[inline]
    pub(super) fn is_first_run_within(&self, length: usize) -> bool {
        self.behind_len == 0 && self.bytes.len() <= length
    }

    /// Returns true if `length` more bytes stay within the limit.
    #[inline]
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        self.unsent().saturating_add(length) <= self.max
    }

    /// Returns true if more than three quarters of the limit are unsent. The peer is then not read
    /// until it takes some: one that sends and never reads must not fill this side's memory. The
    /// last quarter is left to answer what has been read already. A client may well send all it has
    /// before it begins to read, so the share is not smaller.
    pub(super) fn is_full(&self) -> bool {
        self.unsent() > self.max - self.max / 4
    }

    /// Returns true if reading should back off, provided that the socket is full as well.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.unsent() > self.read_ahead
    }

    /// Allows reading for a while nevertheless: `read_ahead` grows to a step above what is unsent.
    pub(crate) fn raise_read_ahead(&mut self) {
        self.read_ahead = self.unsent() + READ_AHEAD_STEP;
    }

    /// Queues bytes without copying them.
    pub(super) fn share(&mut self, bytes: Bytes) {
        self.fast_limit = 0;
        self.behind_len += bytes.len();
        self.behind.push_back(Piece::Shared(bytes));
    }

    #[inline]
    pub(crate) fn append(&mut self, data: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        if data.len() <= room && self.behind_len == 0 {
            self.bytes.extend_from_slice(data);
        } else {
            self.append_slow(data);
        }
    }

    #[inline(never)]
    fn append_slow(&mut self, data: &[u8]) {
        self.end_for(data.len()).extend_from_slice(data);
    }

    /// Returns the vector to append `length` bytes to.
    fn end_for(&mut self, length: usize) -> &mut Vec<u8> {
        if self.behind_len == 0 && self.bytes.len() - self.sent < PIECE_LEN {
            // Moving the rest to the front costs at most as many bytes as were sent, so each byte
            // is moved once on average; growing instead would keep the sent ones forever.
            if self.sent >= self.bytes.len() - self.sent {
                self.bytes.drain(..self.sent);
                self.fast_limit = self.fast_limit.saturating_sub(self.sent);
                self.sent = 0;
            }
            self.bytes.reserve(length);
            return &mut self.bytes;
        }
        self.fast_limit = 0;
        self.behind_len += length;
        let fits = |piece: &Piece| match piece {
            Piece::Copied(bytes) => bytes.len() + length <= PIECE_LEN,
            Piece::Shared(..) => false,
        };
        if !self.behind.back().is_some_and(fits) {
            // From a power of two it grows to exactly the length of a piece.
            let small = length <= PIECE_LEN / 2;
            let capacity = if small { length.next_power_of_two() } else { length };
            self.behind.push_back(Piece::Copied(Vec::with_capacity(capacity)));
        }
        match self.behind.back_mut() {
            Some(Piece::Copied(bytes)) => bytes,
            _ => &mut self.bytes,
        }
    }

    #[inline(always)]
    pub(crate) fn append_both(&mut self, first: &[u8], second: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        if first.len() + second.len() <= room && self.behind_len == 0 {
            self.bytes.extend_from_slice(first);
            match *second {
                // Mostly CR LF: not worth a call into the C library for each line.
                [one, two] => self.bytes.extend_from_slice(&[one, two]),
                _ => self.bytes.extend_from_slice(second),
            }
        } else {
            let end = self.end_for(first.len() + second.len());
            end.extend_from_slice(first);
            end.extend_from_slice(second);
        }
    }

    /// Removes the first `count` bytes: they are sent.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.fast_limit = 0;
        if self.behind_len > 0 {
            return self.consume_pieces(count);
        }
        self.sent += count;
        debug_assert!(self.sent <= self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            (self.sent, self.read_ahead) = (0, READ_AHEAD);
        } else {
            self.shrink();
        }
    }

    #[inline]
    fn shrink(&mut self) {
        if self.bytes.capacity() > KEPT_LEN {
            self.give_memory_back();
        }
    }

    /// Moves what is left to less memory: each time at most a third of what was sent since the last
    /// time.
    #[cold]
    fn give_memory_back(&mut self) {
        let left = self.bytes.len() - self.sent;
        if left <= self.bytes.capacity() / 4 {
            self.bytes = self.bytes[self.sent..].to_vec();
            self.sent = 0;
        }
    }

    #[cold]
    fn consume_pieces(&mut self, count: usize) {
        let run = self.bytes.len() - self.sent;
        if count < run {
            self.sent += count;
            return self.shrink();
        }
        let mut count = count - run;
        self.bytes.clear();
        self.sent = 0;
        while let Some(piece) = self.behind.pop_front() {
            let length = piece.unsent().len();
            self.behind_len -= length;
            if count >= length {
                count -= length;
                continue;
            }
            match piece {
                // This piece becomes the run.
                Piece::Copied(bytes) => {
                    (self.bytes, self.sent) = (bytes, count);
                    self.shrink();
                }
                Piece::Shared(mut bytes) => {
                    bytes.advance(count);
                    self.behind_len += bytes.len();
                    self.behind.push_front(Piece::Shared(bytes));
                }
            }
            return;
        }
        self.behind = VecDeque::new();
        self.read_ahead = READ_AHEAD;
    }
}

impl Piece {
    fn unsent(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut write_buffer = WriteBuffer::default();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        for round in 0..2000_usize {
            let piece = vec![round as u8; round % 97];
            write_buffer.append(&piece);
            written.extend(piece);
            let count = write_buffer.len().min(round % 61);
            sent.extend_from_slice(&write_buffer.run().unwrap()[..count]);
            write_buffer.consume(count);
        }
        sent.extend_from_slice(write_buffer.run().unwrap());
        assert!(sent == written);
    }

    /// Returns the first `most` unsent bytes, in the order in which they would leave.
    fn front(write_buffer: &WriteBuffer, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let pieces = write_buffer.pieces(&mut slices);
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        bytes.truncate(most);
        bytes
    }

    #[test]
    fn shared_and_copied_bytes_leave_in_the_order_in_which_they_came() {
        let shared = Bytes::from((0..251).collect::<Vec<u8>>());
        let mut write_buffer = WriteBuffer::default();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        for round in 0..5000_usize {
            if round % 7 < 2 {
                let start = round % shared.len();
                write_buffer.share(shared.slice(start..));
                written.extend_from_slice(&shared[start..]);
            } else {
                let piece = vec![round as u8; 1 + round % 97];
                let (one, two) = piece.split_at(round % piece.len());
                write_buffer.append_both(one, two);
                written.extend(&piece);
            }
            let most = if round % 400 == 0 { usize::MAX } else { round % 83 };
            let count = front(&write_buffer, most.min(write_buffer.len()));
            write_buffer.consume(count.len());
            sent.extend(count);
            assert_eq!(sent.len() + write_buffer.len(), written.len());
            assert_eq!(write_buffer.is_empty(), sent.len() == written.len());
        }
        while !write_buffer.is_empty() {
            let rest = front(&write_buffer, usize::MAX);
            write_buffer.consume(rest.len());
            sent.extend(rest);
        }
        assert!(sent == written);
        assert!(write_buffer.run().is_some_and(<[u8]>::is_empty), "as if it were new");
    }

    #[test]
    fn small_pieces_between_shared_ones_are_copied_together() {
        let mut write_buffer = WriteBuffer::default();
        let shared = Bytes::from(vec![0; 10_000]);
        write_buffer.share(shared.clone());
        for _ in 0..100 {
            write_buffer.append(b"line");
        }
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        assert_eq!(write_buffer.pieces(&mut slices).len(), 2);
    }

    #[test]
    fn a_burst_gives_its_memory_back_before_the_last_byte_is_sent() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(&vec![1; 10 << 20]);
        while write_buffer.len() > 1000 {
            write_buffer.consume(1000);
        }
        assert!(write_buffer.capacity() <= KEPT_LEN, "{}", write_buffer.capacity());
        assert_eq!(write_buffer.run().unwrap(), vec![1; write_buffer.len()]);
    }

    #[test]
    fn a_burst_with_pieces_behind_it_gives_its_memory_back_as_early() {
        for first in [&b""[..], b"first"] {
            let mut write_buffer = WriteBuffer::default();
            write_buffer.append(&vec![2; first.len() * PIECE_LEN]);
            write_buffer.append(&vec![1; 10 << 20]);
            write_buffer.append(b"trailer");
            while write_buffer.len() > 1000 {
                write_buffer.consume(1000.min(write_buffer.len() - 7));
            }
            let (memory, left) = (write_buffer.capacity(), write_buffer.len());
            assert!(memory <= KEPT_LEN, "{memory} for {left}");
        }
    }

    #[test]
    fn a_backlog_takes_hardly_more_memory_than_it_has_bytes() {
        const BACKLOG: usize = 4_000_000;
        for length in [1, 100, 1000, 40_000, 65_536, 100_000] {
            let mut write_buffer = WriteBuffer::default();
            let message = vec![1; length];
            while write_buffer.len() < BACKLOG {
                write_buffer.append(&message);
            }
            let piece = |piece: &Piece| match piece {
                Piece::Copied(bytes) => bytes.capacity(),
                Piece::Shared(..) => 0,
            };
            let memory = write_buffer.bytes.capacity()
                + write_buffer.behind.iter().map(piece).sum::<usize>();
            // The largest part of a piece that the next write does not fit into.
            assert!(memory <= BACKLOG / 100 * 108 + 2 * PIECE_LEN, "{length}: {memory}");
        }
    }

    #[test]
    fn a_steady_backlog_does_not_grow_the_buffer() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(&[0; 1000]);
        for _ in 0..10_000 {
            write_buffer.append(&[0; 100]);
            write_buffer.consume(100);
        }
        assert_eq!(write_buffer.len(), 1000);
        assert!(write_buffer.capacity() < 8000, "{}", write_buffer.capacity());
    }

    #[test]
    fn an_empty_buffer_keeps_no_sent_bytes() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(b"abc");
        write_buffer.consume(3);
        assert!(write_buffer.is_empty() && write_buffer.sent == 0);
    }

    #[test]
    fn a_buffer_that_ran_empty_is_backed_up_as_early_as_a_new_one() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(&[0; 1 << 20]);
        write_buffer.raise_read_ahead();
        assert!(!write_buffer.is_backed_up());
        write_buffer.consume(1 << 20);
        write_buffer.append(&[0; READ_AHEAD]);
        assert!(!write_buffer.is_backed_up());
        write_buffer.append(&[0]);
        assert!(write_buffer.is_backed_up());
    }
}
