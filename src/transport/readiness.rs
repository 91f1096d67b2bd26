//! Scheduling state of one connection: what the poller and the socket said, and which lists of the
//! loop the connection is on. Pure.

use super::traffic::Traffic;

/// How far the protocol is with the bytes it received. Nothing is read before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    Done,
    /// The protocol yielded, and is called again in the next turn.
    Yielded,
    /// The protocol keeps what is left, and says when it wants to be called again.
    Held,
}

/// Backpressure on reading: whether the connection is read while the peer takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Active,
    /// Not read for a while: the socket is full, and replies would pile up in memory.
    Backoff,
    /// The backoff is over: one read, however much was written meanwhile.
    OneMoreRead,
}

/// Poller readiness and scheduling flags of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) socket: SocketReadiness,
    pub(crate) listed: Listed,
    pub(crate) peer: PeerActivity,
    pub(crate) reading: Reading,
    pub(crate) traffic: Traffic,
    pub(crate) processing: Processing,
}

/// What the poller and the calls on the socket have said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketReadiness {
    /// There may be something to read.
    pub(crate) readable: bool,
    /// A short read is not the last, whatever the stream says: behind it the peer's FIN waits,
    /// which shared an edge with data, or what lies behind urgent data. Until a read would block.
    pub(crate) more_behind: bool,
    /// The socket took all that it was last offered.
    pub(crate) writable: bool,
    /// The poller reports events of the socket.
    pub(crate) registered: bool,
}

/// Which lists of the loop the connection is on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed {
    /// Connections that are served in the next turn.
    pub(crate) ready: bool,
    /// When it is served, it is settled after reading: it can be written to again, or an error came
    /// up.
    pub(crate) needs_settle: bool,
    /// Connections that callbacks have changed, settled at the end of the turn.
    pub(crate) dirty: bool,
    /// Connections that may have unsent bytes.
    pub(crate) unsent: bool,
}

/// What has ever come from the peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerActivity {
    /// Bytes.
    pub(crate) sent_any: bool,
    /// Bytes since the reactor began to drain, or since the connection was made.
    pub(crate) sent_since_drain: bool,
    /// The FIN has been read.
    pub(crate) finished: bool,
}

impl Readiness {
    /// A socket of which nothing is known yet: a write to it may well succeed.
    pub(super) fn new() -> Self {
        Self {
            socket: SocketReadiness {
                readable: false,
                more_behind: false,
                writable: true,
                registered: false,
            },
            listed: Listed::default(),
            peer: PeerActivity::default(),
            reading: Reading::Active,
            traffic: Traffic::Sparse,
            processing: Processing::Done,
        }
    }
}
