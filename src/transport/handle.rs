//! The handle's side of what the loop asks for: what needs the connection's id, or looks at other
//! connections. All else the loop asks of the [`Connection`] itself.

use super::connection::Connection;
use super::listener_info::ListenerInfo;
use super::read::ReadOutcome;
use super::readiness::Processing;
use super::write::{Settled, Written};
use super::{Action, Inner, Traffic, Transport};
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Edges};
use crate::limits::Direction;
use crate::reason::{Reason, TimeoutKind};
use std::cell::{RefCell, RefMut};
use std::rc::Rc;

impl Transport {
    pub(crate) fn new(
        id: Id,
        stream: AnyStream,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let connection = RefCell::new(Connection::new(stream, listener));
        Self(Rc::new(Inner { id, peer: peer.into(), connection }))
    }

    /// An attempt to connect.
    pub(crate) fn connecting(
        id: Id,
        stream: Option<AnyStream>,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let connection = RefCell::new(Connection::connecting(stream, listener));
        Self(Rc::new(Inner { id, peer: peer.into(), connection }))
    }

    /// The connection itself. The borrow ends before anything calls back: nothing that holds one
    /// may call user code.
    #[inline(always)]
    pub(crate) fn connection(&self) -> RefMut<'_, Connection> {
        self.0.connection.borrow_mut()
    }

    /// Where the reactor finds the connection, as long as it is there.
    #[inline]
    pub(crate) fn slot(&self) -> Id {
        self.0.id
    }

    /// The factory that its protocol lives in.
    pub(crate) fn factory(&self) -> Id {
        self.0.connection.borrow().listener.factory
    }

    /// True if this side began the connection.
    pub(crate) fn is_outgoing(&self) -> bool {
        self.0.connection.borrow().listener.is_outgoing
    }

    /// Writes a line and its end.
    pub(crate) fn write_line(&self, line: &[u8], end: &[u8]) {
        self.on_write(|connection| connection.accept_line(line, end));
    }

    pub(crate) fn end(&self, reason: Reason) {
        let mut displaced = None;
        self.request(|connection| {
            displaced = connection.state.end(reason);
            // An end does not wait for others to be written to.
            connection.hub().flush_now();
            true
        });
        // Only now: it may hold an error of the user's, whose drop is the user's code.
        drop(displaced);
    }

    /// Ends the connection because a timeout expired.
    pub(crate) fn time_out(&self, kind: TimeoutKind) {
        self.end(Reason::TimedOut(kind));
    }

    /// Offers what is unsent to the socket, and says what the loop does next.
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

    /// Lists the connection to be settled and served, even if its callback is running.
    pub(super) fn serve_later(&self) {
        let mut connection = self.connection();
        if !std::mem::replace(&mut connection.readiness.listed.dirty, true) {
            connection.hub().list(self.0.id);
        }
    }

    /// The protocol is called again in this turn or the next, if it has held its input back.
    pub(crate) fn release_input(&self) {
        let connection = &mut *self.connection();
        if connection.readiness.processing == Processing::Held {
            connection.readiness.processing = Processing::Yielded;
            connection.hub().list_yielded(self.0.id);
        }
    }

    /// The connection that feeds this one, if one does.
    pub(crate) fn producer(&self) -> Option<Self> {
        self.0.connection.borrow().extras.as_ref()?.feed.connection().map(Self)
    }

    /// Reads what has arrived, at most a buffer full, and no more than consumers have room for and
    /// rate limits allow.
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

    /// How many of `most` bytes may be read at once; `None` if the clock has to be read first.
    fn readable(&self, most: usize) -> Option<usize> {
        let room = self.room().min(most);
        self.0.connection.borrow().readable(room)
    }

    /// Records what the poller reports.
    pub(crate) fn notice(&self, edges: Edges) {
        self.connection().notice(edges);
        if edges.error {
            let room = self.room();
            self.connection().notice_error(room);
        }
    }

    /// Lists a connection that has something to read, unless it is listed already, or is held back
    /// by its consumers or by a rate limit. Its kind of traffic, if it is to be listed.
    pub(crate) fn queue_readable(&self) -> Option<Traffic> {
        let room = self.room();
        let mut connection = self.connection();
        if room == 0 || connection.is_held_back(Direction::Read) {
            return None;
        }
        connection.queue()
    }

    /// Registers the socket with the poller, once; an error ends the connection.
    pub(crate) fn register(&self) {
        if self.connection().readiness.socket.registered {
            return;
        }
        let registered = self.connection().register(self.0.id);
        if let Err(error) = registered {
            self.end(Reason::lost(error));
        }
    }

    /// What is unsent, or unread and wanted, and on none of the loop's lists.
    #[cfg(test)]
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

    /// Writes, and sees to it that the loop looks at what that asks for.
    #[inline]
    pub(super) fn on_write(&self, accept: impl FnOnce(&mut Connection) -> Written) {
        let mut connection = self.0.connection.borrow_mut();
        match accept(&mut connection) {
            Written::Known => {}
            Written::News => self.mark_dirty(&mut connection),
            Written::TooMuch => {
                self.mark_dirty(&mut connection);
                drop(connection);
                self.shed_unsent();
            }
        }
    }

    /// Lists the transport to be settled, once.
    #[inline]
    pub(super) fn mark_dirty(&self, connection: &mut Connection) {
        if !connection.readiness.listed.dirty {
            connection.readiness.listed.dirty = connection.hub().mark_dirty(self.0.id);
        }
    }
}
