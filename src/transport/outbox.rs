//! Bytes accepted and not yet sent. Pure.

use super::agenda::Agenda;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// What a transport has accepted and the socket has not: a run of bytes, taken off at the front,
/// and what is behind it once a segment was queued that is not copied.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` are sent. Less than their number, or both are zero.
    sent: usize,
    behind: VecDeque<Piece>,
    /// How many bytes that is.
    behind_len: usize,
    /// Up to this length of `bytes` appending asks for nothing else to be looked at: not the room,
    /// nor the limits, nor whoever produces. Zero if that is not known.
    easy: usize,
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

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes: Vec::with_capacity(BUFFER_LEN),
            sent: 0,
            behind: VecDeque::new(),
            behind_len: 0,
            easy: 0,
            max: usize::MAX,
            counted: 0,
            read_ahead: READ_AHEAD,
        }
    }
}

impl Outbox {
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
    pub(super) fn is_easy(&self, length: usize) -> bool {
        self.bytes.len() + length <= self.easy
    }

    /// Counts the unsent bytes, and an allowance on top of them, against the reactor's limit.
    /// Within the allowance an append need not check any limit.
    #[inline]
    pub(super) fn ease(&mut self, agenda: &Agenda) {
        let length = self.len();
        let counted = self.max.min(length + agenda.allowance());
        if self.behind_len == 0 && counted > length && agenda.recount(self.counted, counted) {
            (self.easy, self.counted) = (self.sent + counted, counted);
        } else {
            self.recount(agenda);
        }
    }

    /// [`ease`](Self::ease) for the first bytes. False if the allowance does not fit the limit, and
    /// nothing was counted.
    #[inline]
    pub(super) fn ease_first(&mut self, agenda: &Agenda) -> bool {
        let counted = agenda.allowance();
        let eased =
            self.bytes.len() <= counted && self.behind_len == 0 && agenda.recount(0, counted);
        if eased {
            (self.easy, self.counted) = (counted, counted);
        }
        eased
    }

    /// Whoever appends has to look.
    pub(super) fn harden(&mut self) {
        self.easy = 0;
    }

    /// Tells the reactor how much is unsent now.
    pub(super) fn recount(&mut self, agenda: &Agenda) {
        self.easy = 0;
        let unsent = self.len();
        agenda.recount_unsent(std::mem::replace(&mut self.counted, unsent), unsent);
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
    pub(crate) fn is_congested(&self) -> bool {
        self.len() > self.read_ahead
    }

    /// Reading goes on for a while nevertheless.
    pub(crate) fn read_on(&mut self) {
        self.read_ahead = self.len() + READ_AHEAD_STEP;
    }

    /// Queues bytes without copying them.
    pub(super) fn share(&mut self, bytes: Bytes) {
        self.easy = 0;
        self.behind_len += bytes.len();
        self.behind.push_back(Piece::Shared(bytes));
    }

    #[inline]
    pub(crate) fn append(&mut self, data: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        if data.len() <= room && self.behind_len == 0 {
            self.bytes.extend_from_slice(data);
        } else {
            self.append_with_care(data);
        }
    }

    #[inline(never)]
    fn append_with_care(&mut self, data: &[u8]) {
        self.end_for(data.len()).extend_from_slice(data);
    }

    /// The buffer to append `length` bytes to.
    fn end_for(&mut self, length: usize) -> &mut Vec<u8> {
        if self.behind_len == 0 && self.bytes.len() - self.sent < PIECE_LEN {
            // Moving the rest to the front costs as many bytes as were sent at most, so each byte
            // is moved once on average; growing instead would keep the sent ones for ever.
            if self.sent >= self.bytes.len() - self.sent {
                self.bytes.drain(..self.sent);
                self.easy = self.easy.saturating_sub(self.sent);
                self.sent = 0;
            }
            self.bytes.reserve(length);
            return &mut self.bytes;
        }
        self.easy = 0;
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
        self.easy = 0;
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
        let mut outbox = Outbox::default();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        for round in 0..2000_usize {
            let piece = vec![round as u8; round % 97];
            outbox.append(&piece);
            written.extend(piece);
            let count = outbox.len().min(round % 61);
            sent.extend_from_slice(&outbox.run().unwrap()[..count]);
            outbox.consume(count);
        }
        sent.extend_from_slice(outbox.run().unwrap());
        assert!(sent == written);
    }

    /// All that is unsent, in the order in which it would leave.
    fn front(outbox: &Outbox, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let pieces = outbox.pieces(&mut slices);
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        bytes.truncate(most);
        bytes
    }

    #[test]
    fn segments_and_copies_leave_in_the_order_in_which_they_came() {
        let segment = Bytes::from((0..251).collect::<Vec<u8>>());
        let mut outbox = Outbox::default();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        for round in 0..5000_usize {
            if round % 7 < 2 {
                let start = round % segment.len();
                outbox.share(segment.slice(start..));
                written.extend_from_slice(&segment[start..]);
            } else {
                let piece = vec![round as u8; 1 + round % 97];
                let (one, two) = piece.split_at(round % piece.len());
                outbox.append_both(one, two);
                written.extend(&piece);
            }
            let most = if round % 400 == 0 { usize::MAX } else { round % 83 };
            let count = front(&outbox, most.min(outbox.len()));
            outbox.consume(count.len());
            sent.extend(count);
            assert_eq!(sent.len() + outbox.len(), written.len());
            assert_eq!(outbox.is_empty(), sent.len() == written.len());
        }
        while !outbox.is_empty() {
            let rest = front(&outbox, usize::MAX);
            outbox.consume(rest.len());
            sent.extend(rest);
        }
        assert!(sent == written);
        assert!(outbox.run().is_some_and(<[u8]>::is_empty), "as if it were new");
    }

    #[test]
    fn small_pieces_between_segments_are_copied_together() {
        let mut outbox = Outbox::default();
        let segment = Bytes::from(vec![0; 10_000]);
        outbox.share(segment.clone());
        for _ in 0..100 {
            outbox.append(b"line");
        }
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        assert_eq!(outbox.pieces(&mut slices).len(), 2);
    }

    #[test]
    fn a_burst_gives_its_memory_back_before_the_last_byte_is_sent() {
        let mut outbox = Outbox::default();
        outbox.append(&vec![1; 10 << 20]);
        while outbox.len() > 1000 {
            outbox.consume(1000);
        }
        assert!(outbox.capacity() <= KEPT_LEN, "{}", outbox.capacity());
        assert_eq!(outbox.run().unwrap(), vec![1; outbox.len()]);
    }

    #[test]
    fn so_does_one_with_something_behind_it() {
        for first in [&b""[..], b"first"] {
            let mut outbox = Outbox::default();
            outbox.append(&vec![2; first.len() * PIECE_LEN]);
            outbox.append(&vec![1; 10 << 20]);
            outbox.append(b"trailer");
            while outbox.len() > 1000 {
                outbox.consume(1000.min(outbox.len() - 7));
            }
            let (memory, left) = (outbox.capacity(), outbox.len());
            assert!(memory <= KEPT_LEN, "{memory} for {left}");
        }
    }

    #[test]
    fn a_backlog_takes_hardly_more_memory_than_it_has_bytes() {
        for length in [1, 100, 1000, 40_000, 65_536, 100_000] {
            let mut outbox = Outbox::default();
            while outbox.len() < 20_000_000 {
                outbox.append(&vec![1; length]);
            }
            let piece = |piece: &Piece| match piece {
                Piece::Copied(bytes) => bytes.capacity(),
                Piece::Shared(..) => 0,
            };
            let memory = outbox.bytes.capacity() + outbox.behind.iter().map(piece).sum::<usize>();
            // The greatest part of a piece that the next write does not fit into.
            assert!(memory <= 20_000_000 / 100 * 108 + 2 * PIECE_LEN, "{length}: {memory}");
        }
    }

    #[test]
    fn a_steady_backlog_does_not_grow_the_buffer() {
        let mut outbox = Outbox::default();
        outbox.append(&[0; 1000]);
        for _ in 0..10_000 {
            outbox.append(&[0; 100]);
            outbox.consume(100);
        }
        assert_eq!(outbox.len(), 1000);
        assert!(outbox.capacity() < 8000, "{}", outbox.capacity());
    }

    #[test]
    fn an_empty_outbox_has_no_sent_bytes_left() {
        let mut outbox = Outbox::default();
        outbox.append(b"abc");
        outbox.consume(3);
        assert!(outbox.is_empty() && outbox.sent == 0);
    }

    #[test]
    fn an_outbox_that_ran_empty_is_congested_as_early_as_a_new_one() {
        let mut outbox = Outbox::default();
        outbox.append(&[0; 1 << 20]);
        outbox.read_on();
        assert!(!outbox.is_congested());
        outbox.consume(1 << 20);
        outbox.append(&[0; READ_AHEAD]);
        assert!(!outbox.is_congested());
        outbox.append(&[0]);
        assert!(outbox.is_congested());
    }
}
