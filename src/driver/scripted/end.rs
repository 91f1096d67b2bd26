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
    /// The connection is established.
    pub(super) established: bool,
}

impl End {
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
            established,
        }
    }
}

#[derive(Debug)]
pub(super) enum Input {
    Data(Vec<u8>),
    /// The mark of urgent data: no read goes past it together with the bytes before it.
    Mark,
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
