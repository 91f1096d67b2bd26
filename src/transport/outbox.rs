//! Bytes accepted and not yet sent. Pure.

/// What a transport has accepted and the socket has not: one run of bytes, taken off at the front.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` are sent. Less than their number, or both are zero.
    sent: usize,
    /// With more than this unsent, and a peer that takes nothing, reading rests.
    read_ahead: usize,
}

/// At first. The socket's buffer is full before the first byte stays here, so the peer has enough
/// to take.
const READ_AHEAD: usize = 64 * 1024;

/// And so much more after each rest.
const READ_AHEAD_STEP: usize = 256 * 1024;

/// The capacity of a new buffer: that of a few lines, lest it grow with each.
const BUFFER_LEN: usize = 512;

impl Default for Outbox {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(BUFFER_LEN), sent: 0, read_ahead: READ_AHEAD }
    }
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// True if so much is unsent that more should not be read for now.
    pub(crate) fn is_congested(&self) -> bool {
        self.len() > self.read_ahead
    }

    /// Reading goes on for a while nevertheless.
    pub(crate) fn read_on(&mut self) {
        self.read_ahead = self.len() + READ_AHEAD_STEP;
    }

    pub(crate) fn append(&mut self, data: &[u8]) {
        let full = self.bytes.capacity() - self.bytes.len() < data.len();
        // Moving the rest to the front costs as many bytes as were sent at most, so each byte is
        // moved once on average; growing instead would keep the sent ones for ever.
        if full && self.sent >= self.bytes.len() - self.sent {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    #[inline]
    pub(crate) fn append_both(&mut self, first: &[u8], second: &[u8]) {
        if first.len() + second.len() <= self.bytes.capacity() - self.bytes.len() {
            self.bytes.extend_from_slice(first);
            match *second {
                // CR LF, as a rule: not worth a call into the C library for each line.
                [one, two] => self.bytes.extend_from_slice(&[one, two]),
                _ => self.bytes.extend_from_slice(second),
            }
        } else {
            self.append(first);
            self.append(second);
        }
    }

    /// The first `count` bytes are sent.
    pub(crate) fn consume(&mut self, count: usize) {
        self.sent += count;
        debug_assert!(self.sent <= self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            (self.sent, self.read_ahead) = (0, READ_AHEAD);
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
            sent.extend_from_slice(&outbox.unsent()[..count]);
            outbox.consume(count);
        }
        sent.extend_from_slice(outbox.unsent());
        assert!(sent == written);
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
