//! A transport's hold on its socket: what is unsent, what the poller said, what comes next.
//!
//! Its methods are here, in `sending.rs` and in `receiving.rs`. All are called by the loop, but for
//! [`accept`](Connection::accept) and the wishes, which callbacks call. Nothing in them calls back, so
//! the cell that a [`Transport`](super::Transport) keeps its wire in is never borrowed twice.

use super::extras::Extras;
use super::hub::Hub;
use super::listener_info::ListenerInfo;
use super::readiness::{Processing, Readiness};
use super::state::State;
use super::throttling::Direction;
use super::write_buffer::WriteBuffer;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Edges, Stream};
use crate::reason::Reason;
use std::io;
use std::rc::Rc;

/// What is left of a transport whose connection is over.
#[derive(Debug)]
pub(crate) struct ClosedStream {
    pub(crate) stream: AnyStream,
    pub(crate) registered: bool,
    pub(crate) received_any: bool,
    pub(crate) received_since_drain: bool,
    /// The peer may have sent bytes that were not read, or may yet send some.
    pub(crate) may_send: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: State,
    pub(crate) readiness: Readiness,
    /// Nothing is unsent if there is none.
    pub(super) write_buffer: Option<Box<WriteBuffer>>,
    /// Most connections have none.
    pub(super) extras: Option<Box<Extras>>,
    /// Gone once the connection is lost.
    pub(super) stream: Option<AnyStream>,
    /// That of the port, which all its connections share, or, once the socket was asked for the
    /// address of this side, its own.
    pub(super) listener: Rc<ListenerInfo>,
}

impl Connection {
    pub(crate) fn new(stream: AnyStream, listener: Rc<ListenerInfo>) -> Self {
        Self {
            state: State::new(),
            readiness: Readiness::new(),
            write_buffer: None,
            extras: None,
            stream: Some(stream),
            listener,
        }
    }

    pub(crate) fn stream(&self) -> Option<&dyn Stream> {
        self.stream.as_deref()
    }

    pub(crate) fn register(&mut self, id: Id) -> io::Result<()> {
        self.readiness.registered = true;
        self.stream.as_mut().map_or(Ok(()), |stream| stream.register(id))
    }

    pub(crate) fn host(&mut self) -> Address {
        // Accepted on a port of all interfaces, or begun from an address that the system completes:
        // the socket knows better, and costs a call to ask.
        let address = &self.listener.address;
        let everywhere = address.ip().is_some_and(|ip| ip.is_unspecified());
        let incomplete = everywhere || address.port() == Some(0);
        if let (true, Some(stream)) = (incomplete, &self.stream) {
            if let Ok(address) = stream.local_addr() {
                self.listener =
                    Rc::new(ListenerInfo { address, ..ListenerInfo::clone(&self.listener) });
            }
        }
        self.listener.address.clone()
    }

    /// Of a connection that is not there yet. Without a stream it never will be.
    pub(crate) fn connecting(stream: Option<AnyStream>, listener: Rc<ListenerInfo>) -> Self {
        let readiness = Readiness { writable: false, registered: true, ..Readiness::new() };
        Self { state: State::new(), readiness, write_buffer: None, extras: None, stream, listener }
    }

    /// True if the connection stands, false if that is not known yet.
    pub(super) fn is_established(&mut self) -> io::Result<bool> {
        self.stream.as_mut().map_or(Ok(false), |stream| stream.is_established())
    }

    pub(super) fn is_outgoing(&self) -> bool {
        self.listener.is_outgoing
    }

    pub(super) fn factory(&self) -> Id {
        self.listener.factory
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.listener.hub
    }

    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        if let Some(write_buffer) = &mut self.write_buffer {
            write_buffer.clear_fast_limit();
        }
        let max_unsent = self.listener.hub.max_unsent();
        self.extras.get_or_insert_with(|| Box::new(Extras::new(max_unsent)))
    }

    /// How much a connection that feeds this one may read.
    pub(super) fn room(&self) -> usize {
        self.extras.as_ref().map_or(usize::MAX, |extras| extras.room(self.unsent()))
    }

    /// What is unsent already may be more.
    pub(super) fn limit_unsent(&mut self, max: usize) {
        if let Some(write_buffer) = &mut self.write_buffer {
            write_buffer.max = max;
        }
    }

    pub(super) fn has_producer(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.has_producer())
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&mut self, edges: Edges) {
        let ready = &mut self.readiness;
        ready.needs_settle |= edges.writable && !ready.writable;
        ready.readable |= edges.readable;
        ready.more_behind |= edges.read_closed || edges.priority;
        ready.writable |= edges.writable;
        ready.resting &= !edges.writable;
    }

    /// The poller reports an error. If nothing is read that would meet it, it has to be asked for.
    /// There is room for so much of what would be read.
    pub(super) fn notice_error(&mut self, room: usize) {
        let held = self.readiness.processing == Processing::Held;
        let waits =
            held || self.state.ignores_input() || self.is_held_back(Direction::Read) || room == 0;
        if !waits {
            return;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        self.readiness.needs_settle = true;
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            drop(self.state.end(Reason::lost(error)));
        }
    }

    /// Ends the hold on the socket, and gives it back. The protocol is told next.
    pub(crate) fn release(&mut self) -> Option<ClosedStream> {
        self.host();
        let Readiness { readable, registered, received_any, received_since_drain, .. } =
            self.readiness;
        let may_send = !self.readiness.ended && (readable || received_any || !registered);
        // What it held of a reason, the loop holds as well: nothing of the user's is dropped here.
        self.state = State::Lost;
        self.discard();
        let stream = self.stream.take()?;
        Some(ClosedStream { stream, registered, received_any, received_since_drain, may_send })
    }

    /// Closes the socket with a reset, at once; the protocol hears of it later. Returns how many
    /// bytes were unsent.
    pub(crate) fn reset(&mut self) -> usize {
        self.host();
        let unsent = self.discard();
        if let Some(mut stream) = self.stream.take() {
            stream.set_abortive_close();
        }
        unsent
    }

    /// True if the peer has not been sent everything: bytes are unsent, or what was to produce more
    /// has not come to its end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unsent() > 0 || self.extras.as_ref().is_some_and(|extras| extras.is_unfinished())
    }
}
