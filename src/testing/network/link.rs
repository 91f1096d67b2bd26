//! A connection as the network sees it: two ends, and a pipe from each to the other.

use super::chunks::Chunks;
use crate::arena::Id;
use crate::driver::Edges;
use crate::testing::random::Random;
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
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
    /// For the trace; ids would repeat.
    pub(super) number: u64,
    /// The client's end, and the server's.
    pub(super) ends: [End; 2],
    /// When the client set out to connect.
    pub(super) began: u64,
    /// The client has heard that it is connected.
    pub(super) established: bool,
    /// Why it never will be.
    pub(super) failure: Option<ErrorKind>,
    /// Nothing passes any more, and nobody is told.
    pub(super) silent: bool,
}

#[derive(Debug)]
pub(in crate::testing) struct End {
    pub(super) node: usize,
    pub(super) address: SocketAddr,
    /// Decisions about this end do not change with what happens to others.
    pub(super) random: Random,
    pub(super) life: Life,
    /// Arrived, and not read.
    pub(super) inbox: Chunks,
    /// The peer's FIN has arrived.
    pub(super) ended: bool,
    /// The connection is broken.
    pub(super) error: Option<ErrorKind>,
    pub(super) pipe: Pipe,
    /// The packed id that it is watched under.
    pub(super) watched: Option<usize>,
    pub(super) edges: Edges,
    /// Its node's list of what is ready names it.
    pub(super) listed: bool,
    /// Driven by a test, and not by a reactor.
    pub(super) raw_client: Option<RawClient>,
}

/// Whose an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Somebody holds it, or will when it is accepted.
    Held,
    /// Closed by its holder; what it had written still goes out.
    Orphaned,
    /// Nobody remembers it: what arrives is answered with a reset.
    Gone,
}

/// What an end sends.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Accepted, and waiting for room at the other end.
    pub(super) unsent: Chunks,
    pub(super) finish: Finish,
    /// On their way, in order.
    pub(super) segments: VecDeque<Segment>,
    /// Bytes of data among them.
    pub(super) in_flight: usize,
    /// Bytes that were sent and not confirmed.
    pub(super) unconfirmed: usize,
    pub(super) last_arrival: u64,
    /// Since when the first segment cannot get through.
    pub(super) stuck_since: Option<u64>,
    /// How many segments are to be sent again when it can.
    pub(super) to_retransmit: usize,
    /// The writer was told to wait, and is to hear when there is room.
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

/// The holder of an end that a test drives.
#[derive(Debug, Default)]
pub(super) struct RawClient {
    /// To be written, when there is room.
    pub(super) pending: Chunks,
    /// And then a FIN.
    pub(super) finish: bool,
    pub(super) reading: Reading,
    pub(super) received: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    All,
    Stopped,
    /// So many bytes, and then none for a time.
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

impl End {
    pub(super) fn new(node: usize, address: SocketAddr, random: Random) -> Self {
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
            raw_client: None,
        }
    }

    /// Nothing is left of it: what it held is discarded.
    pub(super) fn forget(&mut self) {
        self.life = Life::Gone;
        // Nobody has read an end that came behind bytes which nobody has read.
        self.ended &= self.inbox.is_empty();
        self.inbox.clear();
        self.pipe.discard();
    }
}

impl Pipe {
    /// What has not left is discarded; what is on its way arrives, unless it would have to be sent
    /// again.
    pub(super) fn discard(&mut self) {
        self.unsent.clear();
        self.finish = Finish::Sent;
        self.unconfirmed = 0;
        if self.stuck_since.is_some() {
            self.lose();
        }
    }

    /// What is on its way does not arrive.
    pub(super) fn lose(&mut self) {
        self.segments.clear();
        (self.in_flight, self.stuck_since, self.to_retransmit) = (0, None, 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.segments.is_empty() && self.finish != Finish::Queued
    }
}
