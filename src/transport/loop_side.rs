//! What the loop and the framing ask of a transport.

use super::connection::{ClosedStream, Connection};
use super::rate_limiter::Allowance;
use super::read::ReadOutcome;
use super::readiness::Processing;
use super::write::Settled;
use super::{Action, Direction, Inner, ListenerInfo, Traffic, Transport};
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Edges};
use crate::reason::Reason;
use std::cell::RefCell;
use std::io;
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

    /// A connection that is yet to be.
    pub(crate) fn connecting(
        id: Id,
        stream: Option<AnyStream>,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let connection = RefCell::new(Connection::connecting(stream, listener));
        Self(Rc::new(Inner { id, peer: peer.into(), connection }))
    }

    /// Where the reactor finds the connection, as long as it is there.
    #[inline]
    pub(crate) fn slot(&self) -> Id {
        self.0.id
    }

    /// True if the connection stands, false if that is not known yet.
    pub(crate) fn is_established(&self) -> io::Result<bool> {
        self.0.connection.borrow_mut().is_established()
    }

    /// The connection stands.
    pub(crate) fn established(&self) {
        let readiness = &mut self.0.connection.borrow_mut().readiness;
        // What the poller has said of it so far may have been about the attempt.
        (readiness.writable, readiness.readable) = (true, true);
    }

    /// Why an attempt to connect is to be given up, if it is: nothing waits to be sent either.
    pub(crate) fn given_up(&self) -> Option<Reason> {
        let connection = self.0.connection.borrow();
        connection.state.given_up(connection.unsent() == 0 && !connection.has_producer())
    }

    /// True if this side began the connection.
    pub(crate) fn is_outgoing(&self) -> bool {
        self.0.connection.borrow().is_outgoing()
    }

    /// Names the factory of its protocol.
    pub(crate) fn factory(&self) -> Id {
        self.0.connection.borrow().factory()
    }

    /// Sends a line and its end.
    pub(crate) fn write_line(&self, line: &[u8], end: &[u8]) {
        self.on_write(|connection| connection.accept_line(line, end));
    }

    /// False once the connection is to end.
    pub(crate) fn is_open(&self) -> bool {
        self.0.connection.borrow().state.is_open()
    }

    /// False once what has been received is not delivered any more.
    #[inline]
    pub(crate) fn delivers(&self) -> bool {
        self.0.connection.borrow().state.delivers()
    }

    /// True if the peer has not been sent everything, so that it must not see an orderly close.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.0.connection.borrow().is_unfinished()
    }

    pub(crate) fn end(&self, reason: Reason) {
        let mut displaced = None;
        self.wish(|connection| {
            displaced = connection.state.end(reason);
            // An end does not wait for others to be written to.
            connection.hub().flush_now();
            true
        });
        // Only now: it may hold an error of the user's, whose drop is the user's code.
        drop(displaced);
    }

    /// The socket may take more than the poller has said.
    pub(crate) fn try_writing(&self) {
        self.0.connection.borrow_mut().readiness.writable = true;
    }

    /// True if reading was resumed, and the protocol will hear of it.
    pub(crate) fn is_resuming(&self) -> bool {
        self.0.connection.borrow().state.is_resuming()
    }

    /// Offers what is unsent to the socket, and says what comes next.
    pub(crate) fn settle(&self, settled: &mut Settled) -> Action {
        let mut connection = self.0.connection.borrow_mut();
        if connection.extras.is_none() {
            return connection.settle(settled);
        }
        drop(connection);
        self.settle_extras(settled)
    }

    /// Lists the transport to be settled in a later phase, from within its own settling.
    pub(crate) fn settle_later(&self) {
        self.wish(|_| true);
    }

    /// Lists the transport to be settled and served, even if its callback is running.
    pub(super) fn serve_later(&self) {
        let mut connection = self.0.connection.borrow_mut();
        if !std::mem::replace(&mut connection.readiness.dirty, true) {
            connection.hub().list(self.0.id);
        }
    }

    /// The reactor begins to drain: what was heard before is past.
    pub(crate) fn clear_received_since_drain(&self) {
        self.0.connection.borrow_mut().readiness.received_since_drain = false;
    }

    /// Whatever the poller has said, there may be something to read, and room to write. True if it
    /// was not yet listed to be served.
    pub(crate) fn look(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        // A look must not cost a connection its turn at a rate; what the poller has said counts.
        let may_read = match connection.allowance(Direction::Read) {
            Allowance::Bytes(_) => true,
            Allowance::NeedsRefill => !connection.has_shared_rate(Direction::Read),
            Allowance::Blocked => false,
        };
        let ready = &mut connection.readiness;
        ready.readable |= may_read;
        (ready.writable, ready.needs_settle) = (true, true);
        !std::mem::replace(&mut ready.queued, true)
    }

    /// Nothing is read from here on, until [`release_input`](Self::release_input) says so.
    pub(crate) fn hold_input(&self) {
        let ready = &mut self.0.connection.borrow_mut().readiness;
        (ready.processing, ready.traffic) = (Processing::Held, Traffic::Yielding);
    }

    /// True while its protocol holds back what it was given.
    #[cfg(feature = "testing")]
    pub(crate) fn holds_input(&self) -> bool {
        self.0.connection.borrow().readiness.processing == Processing::Held
    }

    /// Its protocol is called again in this turn or the next, if it has held its input back.
    pub(crate) fn release_input(&self) {
        let connection = &mut *self.0.connection.borrow_mut();
        if connection.readiness.processing == Processing::Held {
            connection.readiness.processing = Processing::Yielded;
            connection.hub().list_yielded(self.0.id);
        }
    }

    /// From here on it is noted whether a producer gives anything. False if none is waited for.
    pub(crate) fn watch_producer(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        let is_waited_for = connection.unsent() == 0 && connection.has_producer();
        if let Some(extras) = &mut connection.extras {
            extras.fed = false;
        }
        is_waited_for
    }

    /// A producer has given something since.
    pub(crate) fn was_fed(&self) -> bool {
        self.0.connection.borrow().extras.as_ref().is_some_and(|extras| extras.fed)
    }

    /// The connection that feeds this one, if one does.
    pub(crate) fn producer(&self) -> Option<Self> {
        self.0.connection.borrow().extras.as_ref()?.connection().map(Self)
    }

    /// True if it is listed to be read or settled, or its protocol to be called again.
    pub(crate) fn has_more(&self) -> bool {
        let connection = self.0.connection.borrow();
        let yielded = connection.readiness.processing == Processing::Yielded;
        yielded
            || connection.readiness.queued
                && (connection.readiness.needs_settle || connection.wants_reading())
    }

    /// The agenda no longer lists it.
    pub(crate) fn clear_dirty(&self) {
        self.0.connection.borrow_mut().readiness.dirty = false;
    }

    #[inline(always)]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> ReadOutcome {
        let mut connection = self.0.connection.borrow_mut();
        let mut room = buffer.len();
        if connection.extras.is_some() {
            drop(connection);
            match self.readable(room) {
                Some(readable) => room = readable,
                None => return ReadOutcome::NeedsRefill,
            }
            connection = self.0.connection.borrow_mut();
        }
        connection.receive(&mut buffer[..room])
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&self, edges: Edges) {
        let mut connection = self.0.connection.borrow_mut();
        connection.notice(edges);
        if edges.error {
            drop(connection);
            let room = self.room();
            self.0.connection.borrow_mut().notice_error(room);
        }
    }

    /// True if the transport is to be settled after reading.
    pub(crate) fn take_needs_settle(&self) -> bool {
        std::mem::take(&mut self.0.connection.borrow_mut().readiness.needs_settle)
    }

    /// Reading goes on after a rest.
    pub(crate) fn end_read_backoff(&self) {
        self.0.connection.borrow_mut().end_read_backoff();
    }

    /// True if there may be more to read. If not, others may have what it was granted of a rate.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        let connection = &mut *self.0.connection.borrow_mut();
        let wants_reading = connection.wants_reading();
        if !wants_reading {
            connection.return_read_grant();
        }
        wants_reading
    }

    /// One that wants reading is listed to be served from now on, by its kind of traffic, unless it
    /// is already, or is held back by those that it feeds or by a rate.
    pub(crate) fn queue_readable(&self) -> Option<Traffic> {
        let room = self.room();
        let connection = &mut *self.0.connection.borrow_mut();
        if connection.readiness.queued || room == 0 || connection.is_held_back(Direction::Read) {
            return None;
        }
        connection.readiness.queued = true;
        Some(connection.readiness.traffic)
    }

    /// Its kind of traffic, if it was not yet listed to be served.
    pub(crate) fn queue(&self) -> Option<Traffic> {
        let ready = &mut self.0.connection.borrow_mut().readiness;
        (!std::mem::replace(&mut ready.queued, true)).then_some(ready.traffic)
    }

    /// It is being served: what its traffic was up to now, and whether its protocol has yielded and
    /// is to be called again.
    #[inline]
    pub(crate) fn begin_serving(&self) -> (Traffic, bool) {
        let connection = &mut *self.0.connection.borrow_mut();
        connection.readiness.queued = false;
        (connection.readiness.traffic, connection.take_yield())
    }

    /// True if its protocol has yielded and is to be called again.
    pub(crate) fn take_yield(&self) -> bool {
        self.0.connection.borrow_mut().take_yield()
    }

    /// It was served. True if there is more to read.
    #[inline]
    pub(crate) fn end_serving(&self) -> bool {
        let connection = &mut *self.0.connection.borrow_mut();
        let more = connection.wants_reading();
        let ready = &mut connection.readiness;
        let unprocessed = ready.processing != Processing::Done;
        ready.traffic = ready.traffic.served(more || unprocessed || ready.queued);
        if !more {
            connection.return_read_grant();
        }
        more
    }

    /// True if it has more to send than this, or may soon have.
    pub(crate) fn has_bulk_to_send(&self, share: usize) -> bool {
        let connection = self.0.connection.borrow();
        !connection.state.is_breaking()
            && (connection.unsent() > share || connection.has_producer())
    }

    /// Moves the connection to the bulk queue, to be settled there. True if it was not listed yet.
    pub(crate) fn take_turns(&self) -> bool {
        let ready = &mut self.0.connection.borrow_mut().readiness;
        ready.needs_settle = true;
        ready.traffic = ready.traffic.served(true);
        !std::mem::replace(&mut ready.queued, true)
    }

    pub(crate) fn resumed(&self) {
        self.0.connection.borrow_mut().state.resumed();
        self.restart_idleness();
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn shutdown_write(&self) -> bool {
        self.0.connection.borrow_mut().shutdown_write()
    }

    /// Begins to be watched by the poller, once; an error ends the connection.
    pub(crate) fn watch(&self) {
        if self.0.connection.borrow().readiness.registered {
            return;
        }
        let registered = self.0.connection.borrow_mut().register(self.0.id);
        if let Err(error) = registered {
            self.end(Reason::lost(error));
        }
    }

    pub(crate) fn release(&self) -> Option<ClosedStream> {
        self.0.connection.borrow_mut().release()
    }

    /// Closes the socket with a reset; returns how many bytes were unsent.
    pub(crate) fn reset(&self) -> usize {
        self.0.connection.borrow_mut().reset()
    }

    /// It has what only some connections have.
    #[cfg(test)]
    pub(crate) fn has_extras(&self) -> bool {
        self.0.connection.borrow().extras.is_some()
    }

    /// What is unsent, or unread and wanted, and on none of the loop's lists.
    #[cfg(test)]
    pub(crate) fn overlooked(&self) -> Option<String> {
        let connection = self.0.connection.borrow();
        let ready = connection.readiness;
        let unsent = connection.unsent() > 0
            && connection.state.sends()
            && ready.writable
            && !ready.needs_settle;
        let unread = connection.wants_reading() && !ready.queued && self.room() > 0;
        let unsent = unsent && !connection.is_held_back(Direction::Write);
        let unread = unread && !connection.is_held_back(Direction::Read);
        (!ready.dirty && (unsent || unread)).then(|| format!("{ready:?}"))
    }
}
