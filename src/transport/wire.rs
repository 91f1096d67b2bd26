//! A transport's hold on its socket: what is unsent, what the poller said, what comes next.
//!
//! Everything here is called by the loop, but for [`accept`](Wire::accept) and the wishes, which
//! callbacks call. Nothing here calls back, so the cell that a [`Transport`](super::Transport)
//! keeps its wire in is never borrowed twice.

use super::agenda::Agenda;
use super::origin::Origin;
use super::outbox::Outbox;
use super::state::{Next, State};
use crate::address::Address;
use crate::arena::Id;
use crate::reason::Reason;
use crate::socket::{Carrier, Stream};
use std::io;
use std::rc::Rc;

/// A write of at least this many bytes, with nothing unsent before it, goes straight to the socket
/// instead of being copied. At 64 bytes deferring costs nothing and joins small writes into one
/// call; at 16 KiB the copy costs 8 % of an echo. Half of that, since a stream cuts messages.
const DIRECT_WRITE_MIN: usize = 8 * 1024;

/// A connection with more than this unsent is not read until the peer has taken some of it: a peer
/// that sends and never reads must not fill this side's memory. Generous, because a client may
/// well send all it has before it begins to read.
const UNSENT_MAX: usize = 64 * 1024 * 1024;

/// What the poller and the socket's calls have said, and on which of the loop's lists the transport
/// is. Independent facts, learned one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// There may be something to read.
    pub(crate) readable: bool,
    /// The peer's FIN has arrived: a short read is not the last, since data and FIN share an edge.
    pub(crate) read_closed: bool,
    /// The socket took all that it was last offered.
    pub(crate) writable: bool,
    /// To be settled after reading: it can be written to again, or an error came up.
    pub(crate) due: bool,
    /// Listed among the connections that are to be served in the next turn.
    pub(crate) queued: bool,
    /// On the agenda.
    pub(crate) touched: bool,
    /// The poller watches the socket.
    pub(crate) watched: bool,
    /// Not read for a while, since the peer takes nothing.
    pub(crate) resting: bool,
    /// Has rested: is read once, however much was written to it meanwhile.
    pub(crate) rested: bool,
    /// The peer has sent something.
    pub(crate) spoken: bool,
    /// The peer's FIN has been read.
    pub(crate) ended: bool,
}

/// What is left of a transport whose connection is over.
#[derive(Debug)]
pub(crate) struct ClosedStream {
    pub(crate) stream: Carrier,
    pub(crate) watched: bool,
    pub(crate) spoken: bool,
    /// The peer may have sent bytes that were not read, or may yet send some.
    pub(crate) may_talk: bool,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Data(usize),
    /// The peer's FIN.
    End,
    /// The peer takes nothing of all that it is sent: reading is to rest.
    Congestion,
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) state: State,
    pub(crate) readiness: Readiness,
    /// Nothing is unsent if there is none.
    outbox: Option<Box<Outbox>>,
    /// Gone once the connection is lost.
    stream: Option<Carrier>,
    /// That of the port, which all its connections share, or, once the socket was asked for the
    /// address of this side, its own.
    origin: Rc<Origin>,
}

impl Wire {
    pub(crate) fn new(stream: Carrier, origin: Rc<Origin>) -> Self {
        Self {
            state: State::new(),
            readiness: Readiness {
                readable: false,
                read_closed: false,
                writable: true,
                due: false,
                queued: false,
                touched: false,
                watched: false,
                resting: false,
                rested: false,
                spoken: false,
                ended: false,
            },
            outbox: None,
            stream: Some(stream),
            origin,
        }
    }

    pub(crate) fn stream(&self) -> Option<&dyn Stream> {
        self.stream.as_deref()
    }

    pub(crate) fn watch(&mut self, id: Id) -> io::Result<()> {
        self.readiness.watched = true;
        self.stream.as_mut().map_or(Ok(()), |stream| stream.watch(id))
    }

    pub(crate) fn host(&mut self) -> Address {
        // Accepted on a port of all interfaces: the socket knows better, and costs a call to ask.
        let everywhere = self.origin.address.ip().is_some_and(|ip| ip.is_unspecified());
        if let (true, Some(stream)) = (everywhere, &self.stream) {
            if let Ok(address) = stream.host() {
                self.origin = Rc::new(Origin { address, ..Origin::clone(&self.origin) });
            }
        }
        self.origin.address
    }

    pub(super) fn factory(&self) -> Id {
        self.origin.factory
    }

    pub(super) fn agenda(&self) -> &Agenda {
        &self.origin.agenda
    }

    pub(crate) fn unsent(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// Takes bytes for sending. True if the loop has to look at the transport afterwards.
    pub(crate) fn accept(&mut self, data: &[u8]) -> bool {
        if data.is_empty() || !self.state.accepts_writes() {
            return false;
        }
        let first = self.outbox.is_none();
        let mut rest = data;
        if data.len() >= DIRECT_WRITE_MIN && first {
            rest = &data[self.send(data)..];
        }
        if !rest.is_empty() && self.state.accepts_writes() {
            self.outbox_to_fill().append(rest);
        }
        // What was unsent before has the loop's attention already. But even with nothing left to
        // send it has to look: the write may have failed.
        first
    }

    /// Takes a line and its end, to leave in one piece: never straight out, however long the line.
    #[inline]
    pub(crate) fn accept_line(&mut self, line: &[u8], end: &[u8]) -> bool {
        if !self.state.accepts_writes() {
            return false;
        }
        let first = self.outbox.is_none();
        self.outbox_to_fill().append_both(line, end);
        first
    }

    #[inline]
    fn outbox_to_fill(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| self.origin.agenda.spare_out())
    }

    /// Offers `data` to the socket and returns how much it took.
    fn send(&mut self, data: &[u8]) -> usize {
        let Some(stream) = &mut self.stream else {
            return 0;
        };
        let mut sent = 0;
        while self.readiness.writable && sent < data.len() {
            match stream.write(&data[sent..]) {
                Ok(count) => {
                    sent += count;
                    // A short write means that the socket is full; its next edge is sure to come.
                    let more = !stream.short_count_is_last() && count > 0;
                    self.readiness.writable = sent == data.len() || more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) => {
                    drop(self.state.end(Reason::lost(error)));
                    break;
                }
            }
        }
        sent
    }

    /// Offers what is unsent to the socket, and says what comes next. `sent` is set if it took
    /// anything.
    pub(crate) fn settle(&mut self, sent: &mut bool) -> Next {
        if self.readiness.writable && self.state.sends() {
            // The outbox steps aside, for the socket's failure ends the state beside it.
            if let Some(mut outbox) = self.outbox.take() {
                let count = self.send(outbox.unsent());
                outbox.consume(count);
                *sent |= count > 0;
                if outbox.is_empty() {
                    self.origin.agenda.spare_in(outbox);
                } else {
                    self.outbox = Some(outbox);
                }
            }
        }
        self.state.next(self.outbox.is_none())
    }

    /// True if there may be something to read and it is wanted.
    pub(crate) fn wants_reading(&self) -> bool {
        let Readiness { readable, resting, .. } = self.readiness;
        readable && !resting && self.state.reads() && self.unsent() <= UNSENT_MAX
    }

    fn is_congested(&self) -> bool {
        let outbox = self.outbox.as_ref().filter(|_| !self.readiness.writable);
        outbox.is_some_and(|outbox| outbox.is_congested())
    }

    /// Reading goes on after a rest.
    pub(crate) fn end_rest(&mut self) {
        self.readiness.rested |= std::mem::take(&mut self.readiness.resting);
    }

    /// Reads what has arrived, at most a buffer full.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        if !self.wants_reading() {
            return Received::Nothing;
        }
        if std::mem::take(&mut self.readiness.rested) {
            if let Some(outbox) = &mut self.outbox {
                outbox.read_on();
            }
        } else if self.is_congested() {
            self.readiness.resting = true;
            return Received::Congestion;
        }
        let Some(stream) = &mut self.stream else {
            return Received::Nothing;
        };
        loop {
            match stream.read(buffer) {
                Ok(0) => {
                    self.readiness.readable = false;
                    self.readiness.ended = true;
                    self.state.end_input();
                    return Received::End;
                }
                Ok(count) => {
                    self.readiness.spoken = true;
                    let last = stream.short_count_is_last() && !self.readiness.read_closed;
                    if last && count < buffer.len() {
                        self.readiness.readable = false;
                    }
                    return Received::Data(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.readiness.readable = false;
                    if error.kind() != io::ErrorKind::WouldBlock {
                        drop(self.state.end(Reason::lost(error)));
                        self.readiness.due = true;
                    }
                    return Received::Nothing;
                }
            }
        }
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&mut self, readable: bool, writable: bool, read_closed: bool) {
        let ready = &mut self.readiness;
        ready.due |= writable && !ready.writable;
        ready.readable |= readable;
        ready.read_closed |= read_closed;
        ready.writable |= writable;
        ready.resting &= !writable;
    }

    /// The poller reports an error. If nothing is read that would meet it, it has to be asked for.
    pub(crate) fn notice_error(&mut self) {
        if !self.state.is_deaf() {
            return;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        self.readiness.due = true;
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            drop(self.state.end(Reason::lost(error)));
        }
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn finish_output(&mut self) -> bool {
        let result = self.stream.as_mut().map_or(Ok(()), |stream| stream.finish_output());
        match result {
            // Not connected any more: reading will say why.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                drop(self.state.end(Reason::lost(error)));
                false
            }
            _ => {
                self.state.output_finished();
                true
            }
        }
    }

    /// Ends the hold on the socket, and gives it back. The protocol is told next.
    pub(crate) fn release(&mut self) -> Option<ClosedStream> {
        self.host();
        let Readiness { readable, watched, spoken, .. } = self.readiness;
        let may_talk = !self.readiness.ended && (readable || spoken || !watched);
        // What it held of a reason, the loop holds as well: nothing of the user's is dropped here.
        self.state = State::Lost;
        self.outbox = None;
        let stream = self.stream.take()?;
        Some(ClosedStream { stream, watched, spoken, may_talk })
    }

    /// Closes the socket with a reset, at once; the protocol hears of it later.
    pub(crate) fn reset(&mut self) {
        self.host();
        self.outbox = None;
        if let Some(mut stream) = self.stream.take() {
            stream.reset_on_close();
        }
    }
}
