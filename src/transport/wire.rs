//! A transport's hold on its socket: what is unsent, what the poller said, what comes next.
//!
//! Its methods are here, in `sending.rs` and in `receiving.rs`. All are called by the loop, but for
//! [`accept`](Wire::accept) and the wishes, which callbacks call. Nothing in them calls back, so
//! the cell that a [`Transport`](super::Transport) keeps its wire in is never borrowed twice.

use super::agenda::Agenda;
use super::flow::Flow;
use super::origin::Origin;
use super::outbox::Outbox;
use super::readiness::{Processing, Readiness};
use super::state::State;
use super::throttling::Way;
use crate::address::Address;
use crate::arena::Id;
use crate::reason::Reason;
use crate::socket::{Carrier, Edges, Stream};
use std::io;
use std::rc::Rc;

/// What is left of a transport whose connection is over.
#[derive(Debug)]
pub(crate) struct ClosedStream {
    pub(crate) stream: Carrier,
    pub(crate) watched: bool,
    pub(crate) spoken: bool,
    pub(crate) talked: bool,
    /// The peer may have sent bytes that were not read, or may yet send some.
    pub(crate) may_talk: bool,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) state: State,
    pub(crate) readiness: Readiness,
    /// Nothing is unsent if there is none.
    pub(super) outbox: Option<Box<Outbox>>,
    /// Most connections have none.
    pub(super) flow: Option<Box<Flow>>,
    /// Gone once the connection is lost.
    pub(super) stream: Option<Carrier>,
    /// That of the port, which all its connections share, or, once the socket was asked for the
    /// address of this side, its own.
    pub(super) origin: Rc<Origin>,
}

impl Wire {
    pub(crate) fn new(stream: Carrier, origin: Rc<Origin>) -> Self {
        Self {
            state: State::new(),
            readiness: Readiness::new(),
            outbox: None,
            flow: None,
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
        // Accepted on a port of all interfaces, or begun from an address that the system completes:
        // the socket knows better, and costs a call to ask.
        let address = &self.origin.address;
        let everywhere = address.ip().is_some_and(|ip| ip.is_unspecified());
        let incomplete = everywhere || address.port() == Some(0);
        if let (true, Some(stream)) = (incomplete, &self.stream) {
            if let Ok(address) = stream.host() {
                self.origin = Rc::new(Origin { address, ..Origin::clone(&self.origin) });
            }
        }
        self.origin.address.clone()
    }

    /// Of a connection that is not there yet. Without a stream it never will be.
    pub(crate) fn connecting(stream: Option<Carrier>, origin: Rc<Origin>) -> Self {
        let readiness = Readiness { writable: false, watched: true, ..Readiness::new() };
        Self { state: State::new(), readiness, outbox: None, flow: None, stream, origin }
    }

    /// True if the connection stands, false if that is not known yet.
    pub(super) fn is_established(&mut self) -> io::Result<bool> {
        self.stream.as_mut().map_or(Ok(false), |stream| stream.is_established())
    }

    pub(super) fn dials(&self) -> bool {
        self.origin.dials
    }

    pub(super) fn factory(&self) -> Id {
        self.origin.factory
    }

    pub(super) fn agenda(&self) -> &Agenda {
        &self.origin.agenda
    }

    pub(super) fn flow_to_fill(&mut self) -> &mut Flow {
        if let Some(outbox) = &mut self.outbox {
            outbox.harden();
        }
        let max_unsent = self.origin.agenda.max_unsent();
        self.flow.get_or_insert_with(|| Box::new(Flow::new(max_unsent)))
    }

    /// How much a connection that feeds this one may read.
    pub(super) fn room(&self) -> usize {
        self.flow.as_ref().map_or(usize::MAX, |flow| flow.room(self.unsent()))
    }

    /// What is unsent already may be more.
    pub(super) fn limit_unsent(&mut self, max: usize) {
        if let Some(outbox) = &mut self.outbox {
            outbox.max = max;
        }
    }

    pub(super) fn has_producer(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.has_producer())
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&mut self, edges: Edges) {
        let ready = &mut self.readiness;
        ready.due |= edges.writable && !ready.writable;
        ready.readable |= edges.readable;
        ready.more_behind |= edges.read_closed || edges.priority;
        ready.writable |= edges.writable;
        ready.resting &= !edges.writable;
    }

    /// The poller reports an error. If nothing is read that would meet it, it has to be asked for.
    /// There is room for so much of what would be read.
    pub(super) fn notice_error(&mut self, room: usize) {
        let held = self.readiness.processing == Processing::Held;
        let waits = held || self.state.is_deaf() || self.is_held_back(Way::In) || room == 0;
        if !waits {
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

    /// Ends the hold on the socket, and gives it back. The protocol is told next.
    pub(crate) fn release(&mut self) -> Option<ClosedStream> {
        self.host();
        let Readiness { readable, watched, spoken, talked, .. } = self.readiness;
        let may_talk = !self.readiness.ended && (readable || spoken || !watched);
        // What it held of a reason, the loop holds as well: nothing of the user's is dropped here.
        self.state = State::Lost;
        self.discard();
        let stream = self.stream.take()?;
        Some(ClosedStream { stream, watched, spoken, talked, may_talk })
    }

    /// Closes the socket with a reset, at once; the protocol hears of it later. Returns how many
    /// bytes were unsent.
    pub(crate) fn reset(&mut self) -> usize {
        self.host();
        let unsent = self.discard();
        if let Some(mut stream) = self.stream.take() {
            stream.reset_on_close();
        }
        unsent
    }

    /// True if the peer has not been sent everything: bytes are unsent, or what was to produce more
    /// has not come to its end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unsent() > 0 || self.flow.as_ref().is_some_and(|flow| flow.is_unfinished())
    }
}
