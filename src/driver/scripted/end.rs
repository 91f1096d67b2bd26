//! This side's end of a scripted connection.

use crate::arena::Id;
use crate::driver::Edges;
use std::collections::VecDeque;
use std::io;

/// The address of every peer that has no other.
pub(super) const END_IP: [u8; 4] = [192, 0, 2, 1];

const ANY_ROOM: usize = usize::MAX / 2;

/// Socket state, as the operating system would keep it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) id: Option<Id>,
    /// The IP address of the peer.
    pub(super) ip: [u8; 4],
    pub(super) input: VecDeque<Input>,
    pub(super) output: Vec<u8>,
    /// Number of bytes that the socket still accepts.
    pub(super) room: usize,
    pub(super) edges: Edges,
    pub(super) error: Option<io::ErrorKind>,
    pub(super) closed: Closed,
    pub(super) output_finished: bool,
    pub(super) calls: Calls,
    /// Each read returns one record; only the first record brings an edge.
    pub(super) records: bool,
    /// Bytes that the stream holds for its socket. It holds only its own.
    pub(super) held: Vec<u8>,
    /// What the stream adds to `held` when it has read something.
    pub(super) answer: &'static [u8],
    /// What the stream adds to `held` when its sending half is closed.
    pub(super) farewell: &'static [u8],
    /// The connection is established.
    pub(super) established: bool,
}

impl End {
    /// Returns true if the stream may hold bytes.
    pub(super) fn is_layer(&self) -> bool {
        !self.answer.is_empty() || !self.farewell.is_empty()
    }

    /// Writes to the socket.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.calls.writes += 1;
        if self.error.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = data.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.output.extend_from_slice(&data[..count]);
        Ok(count)
    }

    /// Hands to the socket what the stream holds.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let taken = self.write(&held);
            self.held = held[*taken.as_ref().unwrap_or(&0)..].to_vec();
            taken?;
        }
        Ok(())
    }

    /// Reports what is ready, once more.
    pub(super) fn report_again(&mut self) {
        if self.input.iter().any(|input| matches!(input, Input::End)) {
            self.edges.add(Edges::END);
        }
    }

    pub(super) fn new(established: bool) -> Self {
        Self {
            id: None,
            ip: END_IP,
            input: VecDeque::new(),
            output: Vec::new(),
            room: ANY_ROOM,
            edges: Edges::default(),
            error: None,
            closed: Closed::No,
            output_finished: false,
            calls: Calls::default(),
            records: false,
            held: Vec::new(),
            answer: b"",
            farewell: b"",
            established,
        }
    }
}

#[derive(Debug)]
pub(super) enum Input {
    Data(Vec<u8>),
    /// The mark of urgent data: no read goes past it together with the bytes before it.
    Mark,
    /// A record without data, which the stream only answers.
    Answered,
    End,
    Reset,
}

/// How this side's socket was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    No,
    WillReset,
    InOrder,
    Reset,
}

/// Numbers of system calls made on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}
