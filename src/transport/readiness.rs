//! What the poller and the socket's calls have said, and on which of the loop's lists a transport
//! is.

use super::traffic::Traffic;

/// What a protocol does with what it was given. Nothing is read before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    Done,
    /// It has yielded, and is called again in the next turn.
    Yielded,
    /// It holds back what is left, and will say when it is to be called again.
    Held,
}

/// Independent facts, learned one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// There may be something to read.
    pub(crate) readable: bool,
    /// A short read is not the last, whatever the stream says: behind it the peer's FIN waits,
    /// which shared an edge with data, or what lies behind urgent data. Until a read would block.
    pub(crate) more_behind: bool,
    /// The socket took all that it was last offered.
    pub(crate) writable: bool,
    /// To be settled after reading: it can be written to again, or an error came up.
    pub(crate) needs_settle: bool,
    /// Listed among the connections that are to be served in the next turn.
    pub(crate) queued: bool,
    /// What kind of traffic it carries.
    pub(crate) traffic: Traffic,
    /// What its protocol does with what it was given.
    pub(crate) processing: Processing,
    /// On the list of those that may have something unsent.
    pub(crate) listed_unsent: bool,
    /// On the agenda.
    pub(crate) dirty: bool,
    /// The poller watches the socket.
    pub(crate) registered: bool,
    /// Not read for a while, since the peer takes nothing.
    pub(crate) resting: bool,
    /// Has rested: is read once, however much was written to it meanwhile.
    pub(crate) rested: bool,
    /// The peer has sent something.
    pub(crate) received_any: bool,
    /// The peer has sent something since the reactor began to drain, or since it connected.
    pub(crate) received_since_drain: bool,
    /// The peer's FIN has been read.
    pub(crate) ended: bool,
}

impl Readiness {
    /// Of a socket of which nothing has been heard: what is written to it may well go.
    pub(super) fn new() -> Self {
        Self {
            readable: false,
            more_behind: false,
            writable: true,
            needs_settle: false,
            queued: false,
            traffic: Traffic::Sparse,
            processing: Processing::Done,
            listed_unsent: false,
            dirty: false,
            registered: false,
            resting: false,
            rested: false,
            received_any: false,
            received_since_drain: false,
            ended: false,
        }
    }
}
