//! Chunks: bytes in transit, in the pieces in which they were sent.

use std::collections::VecDeque;

/// A queue of bytes, with marks of urgent data.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are consumed.
    start: usize,
    len: usize,
    /// Bytes consumed in total.
    consumed: u64,
    /// Marks of urgent data, each as the offset in the whole stream of the byte behind it.
    marks: VecDeque<u64>,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Appends a mark of urgent data: no read crosses it.
    pub(super) fn push_mark(&mut self) {
        self.marks.push_back(self.consumed + self.len as u64);
    }

    /// Removes a mark from the front, if there is one.
    pub(super) fn pop_mark(&mut self) -> bool {
        let is_next = self.marks.front() == Some(&self.consumed);
        if is_next {
            self.marks.pop_front();
        }
        is_next
    }

    /// Bytes that one read can take: those before the first mark.
    pub(super) fn len_before_mark(&self) -> usize {
        self.marks.front().map_or(self.len, |mark| (mark - self.consumed) as usize)
    }

    /// Moves bytes to the front of `buffer`, as many as there are and fit.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let (mut count, room) = (0, buffer.len().min(self.len_before_mark()));
        while count < room {
            let Some(first) = self.chunks.front() else { break };
            let rest = &first[self.start..];
            let part = rest.len().min(room - count);
            buffer[count..count + part].copy_from_slice(&rest[..part]);
            count += part;
            self.consume(part);
        }
        count
    }

    /// The rest of the first chunk, up to a mark.
    pub(super) fn front(&self) -> &[u8] {
        let front = self.chunks.front().map_or(&[][..], |first| &first[self.start..]);
        &front[..front.len().min(self.len_before_mark())]
    }

    /// Removes bytes of the first chunk.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        self.len -= count;
        self.consumed += count as u64;
        if self.chunks.front().is_some_and(|first| first.len() == self.start) {
            self.chunks.pop_front();
            self.start = 0;
        }
    }

    /// Removes and returns up to `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.len_before_mark());
        if self.start == 0 && self.chunks.front().is_some_and(|first| first.len() == count) {
            self.len -= count;
            self.consumed += count as u64;
            return self.chunks.pop_front().unwrap_or_default();
        }
        let mut bytes = vec![0; count];
        self.read(&mut bytes);
        bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut chunks = Chunks::default();
        for piece in ["one", "", " and ", "two"] {
            chunks.push(piece.into());
        }
        assert_eq!(chunks.len(), 11);
        let mut buffer = [0; 5];
        assert_eq!(chunks.read(&mut buffer), 5);
        assert_eq!(&buffer, b"one a");
        assert_eq!(chunks.front(), b"nd ");
        assert_eq!(chunks.take(3), b"nd ");
        assert_eq!(chunks.take(3), b"two", "whole pieces are not copied");
        assert!(chunks.is_empty() && chunks.take(9).is_empty() && chunks.read(&mut buffer) == 0);
    }

    #[test]
    fn nothing_is_taken_from_both_sides_of_a_mark() {
        let mut chunks = Chunks::default();
        chunks.push("one".into());
        chunks.push_mark();
        chunks.push("two".into());
        chunks.push_mark();
        let mut buffer = [0; 9];
        assert!(!chunks.pop_mark());
        assert_eq!((chunks.read(&mut buffer), chunks.read(&mut buffer)), (3, 0));
        assert!(chunks.pop_mark() && !chunks.pop_mark());
        assert_eq!(chunks.front(), b"two");
        assert_eq!(chunks.take(9), b"two");
        assert!(chunks.is_empty() && chunks.pop_mark() && !chunks.pop_mark());
    }
}
