//! Bytes accepted and not yet sent. Pure.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// What a transport has accepted and the socket has not: a run of bytes, taken off at the front,
/// and what is behind it once a segment was queued that is not copied.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    bytes: Vec<u8>,
    /// How many of `bytes` are sent. Less than their number, or both are zero.
    sent: usize,
    behind: VecDeque<Piece>,
    /// How many bytes that is.
    behind_len: usize,
    /// Up to this length of `bytes` appending asks for nothing else to be looked at: not the room,
    /// nor the limits, nor whoever produces. Zero if that is not known.
    fast_limit: usize,
    /// The most that may be unsent.
    pub(super) max: usize,
    /// What the reactor counts for it: no less than is unsent.
    pub(super) counted: usize,
    /// With more than this unsent, and a peer that takes nothing, reading rests.
    read_ahead: usize,
}

#[derive(Debug)]
enum Piece {
    Copied(Vec<u8>),
    Shared(Bytes),
}

/// Pieces that are offered to the socket in one call: the more, the fewer calls, and the more are
/// prepared for nothing when it takes little. At the least they are a quarter of a megabyte.
pub(super) const PIECES_MAX: usize = 64;

/// A run whose memory is so large, and of which little is left, is moved to where it needs less: a
/// burst must not cost its memory until the peer has read the last byte.
const KEPT_LEN: usize = 64 * 1024;

/// What is copied is kept in pieces of this length, but for longer writes: so what waits for a slow
/// reader takes hardly more memory than it has bytes, is not moved as it grows, and is freed as it
/// is sent.
const PIECE_LEN: usize = 64 * 1024;

/// At first. The socket's buffer is full before the first byte stays here, so the peer has enough
/// to take.
const READ_AHEAD: usize = 64 * 1024;

/// And so much more after each rest.
const READ_AHEAD_STEP: usize = 256 * 1024;

/// The capacity of a new buffer: that of a few lines, lest it grow with each.
const BUFFER_LEN: usize = 512;

impl Default for WriteBuffer {
    fn default() -> Self {
        Self {
            bytes: Vec::with_capacity(BUFFER_LEN),
            sent: 0,
            behind: VecDeque::new(),
            behind_len: 0,
            fast_limit: 0,
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

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.behind_len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// All that is unsent, if that is one run.
    pub(crate) fn run(&self) -> Option<&[u8]> {
        (self.behind_len == 0).then(|| &self.bytes[self.sent..])
    }

    /// What is unsent, from the front, as far as there are slices for it.
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

    /// True if so many bytes can be appended without a look at anything else.
    #[inline]
    pub(super) fn fits_fast_path(&self, length: usize) -> bool {
        self.bytes.len() + length <= self.fast_limit
    }

    /// From now on appending must check capacity, limits and the producer.
    pub(super) fn clear_fast_limit(&mut self) {
        self.fast_limit = 0;
    }

    /// Lets appends go unchecked until `counted` bytes are unsent, which the reactor counts already.
    #[inline]
    pub(super) fn set_fast_limit(&mut self, counted: usize) {
        (self.fast_limit, self.counted) = (self.sent + counted, counted);
    }

    /// True if what is unsent is one run, shorter than `length`.
    #[inline]
    pub(super) fn is_run_below(&self, length: usize) -> bool {
        self.behind_len == 0 && self.len() < length
    }

    /// [`set_fast_limit`](Self::set_fast_limit) for a buffer of which nothing is sent yet.
    #[inline]
    pub(super) fn set_first_fast_limit(&mut self, counted: usize) {
        (self.fast_limit, self.counted) = (counted, counted);
    }

    /// True if the first bytes are one run, no longer than `length`.
    #[inline]
    pub(super) fn is_first_run_within(&self, length: usize) -> bool {
        self.behind_len == 0 && self.bytes.len() <= length
    }

    /// True unless so many bytes more are too many. With nothing unsent they never are.
    #[inline]
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        self.len().saturating_add(length) <= self.max
    }

    /// True if so much is unsent that the peer is not read until it has taken some of it: one that
    /// sends and never reads must not fill this side's memory. A quarter of what may be unsent is
    /// left to answer what has been read already. A client may well send all it has before it
    /// begins to read, so it is not less.
    pub(super) fn is_full(&self) -> bool {
        self.len() > self.max - self.max / 4
    }

    /// True if so much is unsent that more should not be read for now.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.len() > self.read_ahead
    }

    /// Reading goes on for a while nevertheless.
    pub(crate) fn read_on(&mut self) {
        self.read_ahead = self.len() + READ_AHEAD_STEP;
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

    /// The buffer to append `length` bytes to.
    fn end_for(&mut self, length: usize) -> &mut Vec<u8> {
        if self.behind_len == 0 && self.bytes.len() - self.sent < PIECE_LEN {
            // Moving the rest to the front costs as many bytes as were sent at most, so each byte
            // is moved once on average; growing instead would keep the sent ones for ever.
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
            // Of a power of two it grows to just the length of a piece.
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
                // CR LF, as a rule: not worth a call into the C library for each line.
                [one, two] => self.bytes.extend_from_slice(&[one, two]),
                _ => self.bytes.extend_from_slice(second),
            }
        } else {
            let end = self.end_for(first.len() + second.len());
            end.extend_from_slice(first);
            end.extend_from_slice(second);
        }
    }

    /// The first `count` bytes are sent.
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

    /// Each time at most a third of what was sent since the last time is moved.
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
                // It is the run from here on.
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

    /// All that is unsent, in the order in which it would leave.
    fn front(write_buffer: &WriteBuffer, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let pieces = write_buffer.pieces(&mut slices);
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        bytes.truncate(most);
        bytes
    }

    #[test]
    fn segments_and_copies_leave_in_the_order_in_which_they_came() {
        let segment = Bytes::from((0..251).collect::<Vec<u8>>());
        let mut write_buffer = WriteBuffer::default();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        for round in 0..5000_usize {
            if round % 7 < 2 {
                let start = round % segment.len();
                write_buffer.share(segment.slice(start..));
                written.extend_from_slice(&segment[start..]);
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
    fn small_pieces_between_segments_are_copied_together() {
        let mut write_buffer = WriteBuffer::default();
        let segment = Bytes::from(vec![0; 10_000]);
        write_buffer.share(segment.clone());
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
    fn so_does_one_with_something_behind_it() {
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
        for length in [1, 100, 1000, 40_000, 65_536, 100_000] {
            let mut write_buffer = WriteBuffer::default();
            while write_buffer.len() < 20_000_000 {
                write_buffer.append(&vec![1; length]);
            }
            let piece = |piece: &Piece| match piece {
                Piece::Copied(bytes) => bytes.capacity(),
                Piece::Shared(..) => 0,
            };
            let memory = write_buffer.bytes.capacity()
                + write_buffer.behind.iter().map(piece).sum::<usize>();
            // The greatest part of a piece that the next write does not fit into.
            assert!(memory <= 20_000_000 / 100 * 108 + 2 * PIECE_LEN, "{length}: {memory}");
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
    fn an_empty_outbox_has_no_sent_bytes_left() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(b"abc");
        write_buffer.consume(3);
        assert!(write_buffer.is_empty() && write_buffer.sent == 0);
    }

    #[test]
    fn an_outbox_that_ran_empty_is_congested_as_early_as_a_new_one() {
        let mut write_buffer = WriteBuffer::default();
        write_buffer.append(&[0; 1 << 20]);
        write_buffer.read_on();
        assert!(!write_buffer.is_backed_up());
        write_buffer.consume(1 << 20);
        write_buffer.append(&[0; READ_AHEAD]);
        assert!(!write_buffer.is_backed_up());
        write_buffer.append(&[0]);
        assert!(write_buffer.is_backed_up());
    }
}
