//! Link: a connection as the network sees it, with two ends and a pipe from each to the other.

use super::chunks::Chunks;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::Edges;
use crate::testing::random::Random;
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

/// One end of a link: the link, and which of its two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) struct EndId {
    pub(in crate::testing) link: Id,
    pub(in crate::testing) side: usize,
}

impl EndId {
    pub(in crate::testing) fn other(self) -> Self {
        Self { side: 1 - self.side, ..self }
    }
}

#[derive(Debug)]
pub(in crate::testing) struct Link {
    /// A number for the trace; ids would repeat.
    pub(super) number: u64,
    /// The client's end, and the server's.
    pub(super) ends: [End; 2],
    /// When the client began to connect.
    pub(super) began: u64,
    pub(super) syn: Syn,
    /// The client has received the SYN-ACK.
    pub(super) established: bool,
    /// Why connecting failed.
    pub(super) failure: Option<ErrorKind>,
    /// Half-open: nothing passes any more, and neither end is notified.
    pub(super) silent: bool,
}

/// What has become of the client's SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syn {
    /// The server has not received it.
    Sent,
    /// The server has received it, and does not answer yet.
    Held,
    Answered,
}

#[derive(Debug)]
pub(in crate::testing) struct End {
    pub(super) node: usize,
    pub(super) address: Address,
    /// A generator per end, so that its decisions do not depend on what happens to others.
    pub(super) random: Random,
    pub(super) life: Life,
    /// Received bytes that the program has not read.
    pub(super) inbox: Chunks,
    /// The peer's FIN has arrived.
    pub(super) ended: bool,
    /// The error that broke the connection.
    pub(super) error: Option<ErrorKind>,
    pub(super) pipe: Pipe,
    /// The packed id under which the poller reports it.
    pub(super) watched: Option<usize>,
    pub(super) edges: Edges,
    /// True while it is in its node's list of ready ends.
    pub(super) listed: bool,
    /// The raw end that drives it instead of a reactor.
    pub(super) raw_end: Option<RawEnd>,
}

/// Owner of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// A program holds it, or will when it accepts it.
    Held,
    /// Orphaned: its program has closed it; bytes written before are still sent.
    Orphaned,
    /// Gone: arriving segments are answered with a reset.
    Gone,
}

/// The sending direction of an end.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Accepted bytes that wait for room at the other end.
    pub(super) unsent: Chunks,
    pub(super) finish: Finish,
    /// Segments in transit, in order.
    pub(super) segments: VecDeque<Segment>,
    /// Bytes of data among the segments in transit.
    pub(super) in_flight: usize,
    /// Bytes that were sent and not acknowledged.
    pub(super) unconfirmed: usize,
    pub(super) last_arrival: u64,
    /// Since when the first segment cannot get through.
    pub(super) stuck_since: Option<u64>,
    /// Segments to retransmit once the path works again.
    pub(super) to_retransmit: usize,
    /// The last write was short, so that the program waits for an edge when there is room.
    pub(super) blocked: bool,
    pub(super) pump_scheduled: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Finish {
    #[default]
    No,
    Queued,
    Sent,
}

#[derive(Debug)]
pub(super) enum Segment {
    Data(Vec<u8>),
    /// A byte of urgent data.
    Urgent,
    Fin,
    Reset,
}

/// A raw end: a test's side of an end.
#[derive(Debug, Default)]
pub(super) struct RawEnd {
    /// Bytes to be written when there is room.
    pub(super) pending: Chunks,
    /// A FIN follows the pending bytes.
    pub(super) finish: bool,
    pub(super) reading: Reading,
    pub(super) received: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    All,
    Stopped,
    /// Reads at most `bytes`, then nothing for the time `every`.
    Slow {
        bytes: usize,
        every: Duration,
        waiting: bool,
    },
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let established = if self.established { "" } else { ", not connected" };
        let silent = if self.silent { ", silent" } else { "" };
        write!(f, "#{}{established}{silent}", self.number * 2)?;
        self.ends.iter().try_for_each(|End { address, life, inbox, error, pipe, .. }| {
            let (unread, unsent, way) = (inbox.len(), pipe.unsent.len(), pipe.segments.len());
            let finish = pipe.finish;
            write!(f, "; {address} {life:?}: {unread} unread, {unsent} unsent, {way} on the way")?;
            write!(f, ", FIN {finish:?}, {error:?}")
        })
    }
}

impl Link {
    /// True for a connection over a Unix socket.
    pub(super) fn is_local(&self) -> bool {
        self.ends[1].address.unix().is_some()
    }
}

impl End {
    pub(super) fn new(node: usize, address: Address, random: Random) -> Self {
        Self {
            node,
            address,
            random,
            life: Life::Held,
            inbox: Chunks::default(),
            ended: false,
            error: None,
            pipe: Pipe::default(),
            watched: None,
            edges: Edges::default(),
            listed: false,
            raw_end: None,
        }
    }

    /// Forgets everything, and discards what the end held.
    pub(super) fn forget(&mut self) {
        self.life = Life::Gone;
        // A FIN behind unread bytes has not been read either.
        self.ended &= self.inbox.is_empty();
        self.inbox.clear();
        self.pipe.discard();
    }
}

impl Pipe {
    /// Discards what has not left. Segments in transit still arrive, unless they would need to be
    /// retransmitted.
    pub(super) fn discard(&mut self) {
        self.unsent.clear();
        self.finish = Finish::Sent;
        self.unconfirmed = 0;
        if self.stuck_since.is_some() {
            self.lose();
        }
    }

    /// Loses the segments in transit.
    pub(super) fn lose(&mut self) {
        self.segments.clear();
        (self.in_flight, self.stuck_since, self.to_retransmit) = (0, None, 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.segments.is_empty() && self.finish != Finish::Queued
    }
}
