//! Scheduling state of one connection: what the poller and the socket reported, and which lists of
//! the loop the connection is on. Pure.

use super::traffic::Traffic;

/// How far the protocol has processed the bytes it received. Nothing is read before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    Done,
    /// The protocol yielded, and is called again in the next turn.
    Yielded,
    /// The protocol keeps the unprocessed bytes, and requests its next call itself.
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

/// Readiness as reported by the poller and by calls on the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketReadiness {
    /// A read may find something.
    pub(crate) readable: bool,
    /// A short read is not the last, whatever the stream says: behind it waits the peer's FIN,
    /// which shared an edge with data, or bytes behind urgent data. Until a read would block.
    pub(crate) more_behind: bool,
    /// The socket took all that it was last offered.
    pub(crate) writable: bool,
    /// The socket is registered with the poller.
    pub(crate) registered: bool,
}

/// Which lists of the loop the connection is on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed {
    /// Connections that are served in the next turn.
    pub(crate) ready: bool,
    /// Settled after reading when it is served: it can be written to again, or an error came up.
    pub(crate) needs_settle: bool,
    /// Connections that callbacks have changed, settled at the end of the turn.
    pub(crate) dirty: bool,
    /// Connections that may have unsent bytes.
    pub(crate) unsent: bool,
}

/// Activity of the peer since the connection was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerActivity {
    /// The peer has sent bytes.
    pub(crate) sent_any: bool,
    /// The peer has sent bytes since the reactor began to drain, or since the connection was made.
    pub(crate) sent_since_drain: bool,
    /// The peer's FIN has been read.
    pub(crate) finished: bool,
}

impl Readiness {
    /// Returns the readiness of a new socket: a first write to it may well succeed.
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
