//! Bytes on their way, in the pieces in which they came.

use std::collections::VecDeque;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first is gone.
    start: usize,
    len: usize,
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

    /// Moves bytes to the front of `buffer`, as many as there are and fit.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buffer.len() {
            let Some(first) = self.chunks.front() else { break };
            let rest = &first[self.start..];
            let part = rest.len().min(buffer.len() - count);
            buffer[count..count + part].copy_from_slice(&rest[..part]);
            count += part;
            self.consume(part);
        }
        count
    }

    /// The first piece, or as much of it as is left.
    pub(super) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |first| &first[self.start..])
    }

    /// Takes away bytes of the first piece.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        self.len -= count;
        if self.chunks.front().is_some_and(|first| first.len() == self.start) {
            self.chunks.pop_front();
            self.start = 0;
        }
    }

    /// Takes up to `count` bytes out.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        if self.start == 0 && self.chunks.front().is_some_and(|first| first.len() == count) {
            self.len -= count;
            return self.chunks.pop_front().unwrap_or_default();
        }
        let mut bytes = vec![0; count.min(self.len)];
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
}
