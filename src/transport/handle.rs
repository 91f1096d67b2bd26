//! The loop's side of the handle: requests that need the connection's id, or look at other
//! connections. For everything else the loop asks the [`Connection`] itself.

use super::connection::Connection;
use super::listener_info::ListenerInfo;
use super::read::ReadOutcome;
use super::readiness::Processing;
use super::write::{AfterWrite, Settled};
use super::{Action, Inner, Traffic, Transport};
use crate::address::{Address, Network};
use crate::arena::Id;
use crate::driver::{AnyStream, Edges};
use crate::limits::Direction;
use crate::reason::Reason;
use std::cell::{RefCell, RefMut};
use std::rc::Rc;

impl Transport {
    pub(crate) fn new(
        id: Id,
        stream: AnyStream,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let connection = RefCell::new(Connection::new(stream, peer, listener));
        Self(Rc::new(Inner { id, connection }))
    }

    /// Returns the handle of an attempt to connect. Without a stream, the attempt fails.
    pub(crate) fn connecting(
        id: Id,
        stream: Option<AnyStream>,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let connection = RefCell::new(Connection::connecting(stream, peer, listener));
        Self(Rc::new(Inner { id, connection }))
    }

    /// Borrows the connection. User code must not run before the borrow ends: it may use this
    /// handle.
    #[inline(always)]
    pub(crate) fn connection(&self) -> RefMut<'_, Connection> {
        self.0.connection.borrow_mut()
    }

    /// Returns the connection's slot in the reactor's table, which is empty once it is over.
    #[inline]
    pub(crate) fn slot(&self) -> Id {
        self.0.id
    }

    /// Returns the slot of the factory that its protocol lives in.
    pub(crate) fn factory(&self) -> Id {
        self.0.connection.borrow().listener.factory
    }

    /// Returns the name of the state that the connection's life cycle is in.
    pub(crate) fn state_name(&self) -> &'static str {
        self.0.connection.borrow().state.name()
    }

    /// Returns the network that the peer counts as, if it counts.
    pub(crate) fn peer_network(&self) -> Option<Network> {
        self.0.connection.borrow().peer.network()
    }

    /// Returns true if this side opened the connection.
    pub(crate) fn is_outgoing(&self) -> bool {
        self.0.connection.borrow().listener.is_outgoing
    }

    /// Returns the slot of the client service that opened the connection, if one did.
    pub(crate) fn service(&self) -> Option<Id> {
        self.0.connection.borrow().listener.service
    }

    /// Writes a line and its delimiter.
    pub(crate) fn write_line(&self, line: &[u8], end: &[u8]) {
        self.on_write(|connection| connection.accept_line(line, end));
    }

    pub(crate) fn end(&self, reason: Reason) {
        let mut displaced = None;
        self.request(|connection| {
            displaced = connection.state.end(reason);
            // A reset must not be delayed by a flush that gathers writes to others.
            connection.hub().flush_now();
            true
        });
        // After the borrow: a displaced reason may hold a user's error, whose drop is user code.
        drop(displaced);
    }

    /// Offers unsent bytes to the socket, and returns the loop's next action for the connection.
    pub(crate) fn settle(&self, settled: &mut Settled) -> Action {
        let mut connection = self.connection();
        if connection.extras.is_none() {
            connection.send_unsent(settled);
            return connection.next_action();
        }
        drop(connection);
        self.settle_extras(settled)
    }

    /// Lists the connection to be settled in a later phase, from within its own settling.
    pub(crate) fn settle_later(&self) {
        self.request(|_| true);
    }

    /// Lists the connection to be settled and served, even while its callback is running.
    pub(super) fn serve_later(&self) {
        let mut connection = self.connection();
        if !std::mem::replace(&mut connection.readiness.listed.dirty, true) {
            connection.hub().list(self.0.id);
        }
    }

    /// Releases held-back input: its protocol is called again in this turn or the next.
    pub(crate) fn release_input(&self) {
        let connection = &mut *self.connection();
        if connection.readiness.processing == Processing::Held {
            connection.readiness.processing = Processing::Yielded;
            connection.hub().list_yielded(self.0.id);
        }
    }

    /// Returns the connection that is the producer of this one, if any.
    pub(crate) fn producer(&self) -> Option<Self> {
        self.0.connection.borrow().extras.as_ref()?.feed.connection().map(Self)
    }

    /// Reads at most a buffer full, and no more than consumers have room for and rate limits allow.
    #[inline(always)]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> ReadOutcome {
        let mut connection = self.connection();
        let mut room = buffer.len();
        if connection.extras.is_some() {
            drop(connection);
            match self.readable(room) {
                Some(readable) => room = readable,
                None => return ReadOutcome::NeedsRefill,
            }
            connection = self.connection();
        }
        connection.receive(&mut buffer[..room])
    }

    /// Returns how many of `most` bytes may be read at once; `None` if the clock has to be read
    /// first.
    fn readable(&self, most: usize) -> Option<usize> {
        let room = self.room().min(most);
        self.0.connection.borrow().readable(room)
    }

    /// Records events that the poller reports.
    pub(crate) fn notice(&self, edges: Edges) {
        self.connection().notice(edges);
        if edges.error {
            let room = self.room();
            self.connection().notice_error(room);
        }
    }

    /// Lists a connection that has something to read, unless it is listed, or held back by its
    /// consumers or by a rate limit. Returns its kind of traffic if it is newly listed.
    pub(crate) fn queue_readable(&self) -> Option<Traffic> {
        let room = self.room();
        let mut connection = self.connection();
        if room == 0 || connection.is_held_back(Direction::Read) {
            return None;
        }
        connection.queue()
    }

    /// Registers the socket with the poller, once. An error ends the connection.
    pub(crate) fn register(&self) {
        if self.connection().readiness.socket.registered {
            return;
        }
        let registered = self.connection().register(self.0.id);
        if let Err(error) = registered {
            self.end(Reason::lost(error));
        }
    }

    /// Describes a connection that the loop has overlooked: it has something to send or to read,
    /// and is on none of the loop's lists.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn overlooked(&self) -> Option<String> {
        let connection = self.0.connection.borrow();
        let super::readiness::Readiness { socket, listed, .. } = connection.readiness;
        let unsent = connection.unsent() > 0
            && connection.state.sends()
            && socket.writable
            && !listed.needs_settle;
        let unread = connection.wants_reading() && !listed.ready && self.room() > 0;
        let unsent = unsent && !connection.is_held_back(Direction::Write);
        let unread = unread && !connection.is_held_back(Direction::Read);
        (!listed.dirty && (unsent || unread)).then(|| format!("{:?}", connection.readiness))
    }

    /// Changes the connection, and lists it to be settled if `change` returns true.
    pub(super) fn request(&self, change: impl FnOnce(&mut Connection) -> bool) {
        let mut connection = self.0.connection.borrow_mut();
        if change(&mut connection) {
            self.mark_dirty(&mut connection);
        }
    }

    /// Writes, and lists the connection for the loop if the write asks for that.
    #[inline]
    pub(super) fn on_write(&self, accept: impl FnOnce(&mut Connection) -> AfterWrite) {
        let mut connection = self.0.connection.borrow_mut();
        match accept(&mut connection) {
            AfterWrite::Nothing => {}
            AfterWrite::Settle => self.mark_dirty(&mut connection),
            AfterWrite::SettleAndShed => {
                self.mark_dirty(&mut connection);
                drop(connection);
                self.shed_unsent();
            }
        }
    }

    /// Lists the connection to be settled, once.
    #[inline]
    pub(super) fn mark_dirty(&self, connection: &mut Connection) {
        if !connection.readiness.listed.dirty {
            connection.readiness.listed.dirty = connection.hub().mark_dirty(self.0.id);
        }
    }
}
