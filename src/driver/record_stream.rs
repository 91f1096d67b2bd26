//! `RecordStream`: a layer that moves bytes in records, as encryption does, and changes none of
//! them. For tests: it holds bytes in both directions.

use super::layer::{hand_on, leave_to_socket};
use super::{AnyStream, Layer, Stream};
use std::io;

/// Bytes read from the socket at once. Many records, so that most of them lie in the layer while
/// the socket is empty.
const CHUNK_LEN: usize = 64 * 1024;

/// Records that the layer holds before it refuses more. Several, so that a socket which takes a
/// part of a record leaves others behind it.
const RECORDS_MAX: usize = 4;

/// A layer on a stream that takes a record at most in each write, holds it until the record is full
/// or the loop flushes, and returns a record at most from each read.
#[derive(Debug)]
pub(crate) struct RecordStream {
    socket: AnyStream,
    record_len: usize,
    /// Held: taken by `write`, and not yet by the socket.
    outgoing: Vec<u8>,
    /// Length of the last record so far; zero if it is full, or was flushed.
    unfinished: usize,
    /// Read from the socket. The first `returned` of them have been returned.
    incoming: Vec<u8>,
    returned: usize,
    /// The last read has found the socket empty, and has returned all there was.
    is_drained: bool,
}

impl RecordStream {
    /// Returns a layer on `socket` with records of `record_len` bytes, which is not zero.
    pub(crate) fn new(socket: AnyStream, record_len: usize) -> Self {
        Self {
            socket,
            record_len,
            outgoing: Vec::new(),
            unfinished: 0,
            incoming: Vec::new(),
            returned: 0,
            is_drained: false,
        }
    }

    /// Hands bytes to the socket until no more than `rest` are held.
    fn hand_on(&mut self, rest: usize) -> io::Result<()> {
        let end = self.outgoing.len().saturating_sub(rest);
        let (sent, handed) = hand_on(&mut self.socket, &self.outgoing[..end]);
        self.outgoing.drain(..sent);
        handed
    }

    /// Reads a chunk from the socket. Returns true if the socket is empty after it.
    fn fill(&mut self) -> io::Result<bool> {
        // Not `resize`, which fills byte by byte in a debug build: that was a fifth of the time of
        // random sessions.
        self.incoming = vec![0; CHUNK_LEN];
        self.returned = 0;
        let read = self.socket.read(&mut self.incoming);
        self.incoming.truncate(*read.as_ref().unwrap_or(&0));
        self.incoming.shrink_to_fit();
        Ok(read? < CHUNK_LEN && self.socket.short_read_is_final())
    }
}

impl Stream for RecordStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_drained = false;
        let is_empty = self.returned == self.incoming.len() && self.fill()?;
        let unread = &self.incoming[self.returned..];
        let count = unread.len().min(buffer.len()).min(self.record_len);
        buffer[..count].copy_from_slice(&unread[..count]);
        self.is_drained = is_empty && count == unread.len();
        self.returned += count;
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.hand_on(self.unfinished) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            handed => handed?,
        }
        let room = RECORDS_MAX * self.record_len - self.held();
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = data.len().min(room).min(self.record_len - self.unfinished);
        self.outgoing.extend_from_slice(&data[..count]);
        self.unfinished = (self.unfinished + count) % self.record_len;
        Ok(count)
    }

    fn short_read_is_final(&self) -> bool {
        self.is_drained
    }

    /// A short write is the end of a record, or of the room for it: the next one tells.
    fn short_write_is_final(&self) -> bool {
        false
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    leave_to_socket!();
}

impl Layer for RecordStream {
    fn held(&self) -> usize {
        self.outgoing.len()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unfinished = 0;
        self.hand_on(0)
    }

    fn into_socket(self: Box<Self>) -> AnyStream {
        self.socket.into_socket()
    }

    fn as_stream(&self) -> &(dyn Stream + 'static) {
        self
    }

    fn as_stream_mut(&mut self) -> &mut (dyn Stream + 'static) {
        self
    }
}
