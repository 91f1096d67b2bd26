//! What the loop and the framing ask of a transport.

use super::readiness::Processing;
use super::receiving::Received;
use super::sending::Settled;
use super::valve::Pass;
use super::wire::{ClosedStream, Wire};
use super::{Inner, Next, Origin, Traffic, Transport, Way};
use crate::address::Address;
use crate::arena::Id;
use crate::reason::Reason;
use crate::socket::{Carrier, Edges};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

impl Transport {
    pub(crate) fn new(id: Id, stream: Carrier, peer: Address, origin: Rc<Origin>) -> Self {
        let wire = RefCell::new(Wire::new(stream, origin));
        Self(Rc::new(Inner { id, peer: peer.into(), wire }))
    }

    /// A connection that is yet to be.
    pub(crate) fn connecting(
        id: Id,
        stream: Option<Carrier>,
        peer: Address,
        origin: Rc<Origin>,
    ) -> Self {
        let wire = RefCell::new(Wire::connecting(stream, origin));
        Self(Rc::new(Inner { id, peer: peer.into(), wire }))
    }

    /// Where the reactor finds the connection, as long as it is there.
    #[inline]
    pub(crate) fn slot(&self) -> Id {
        self.0.id
    }

    /// True if the connection stands, false if that is not known yet.
    pub(crate) fn is_established(&self) -> io::Result<bool> {
        self.0.wire.borrow_mut().is_established()
    }

    /// The connection stands.
    pub(crate) fn established(&self) {
        let readiness = &mut self.0.wire.borrow_mut().readiness;
        // What the poller has said of it so far may have been about the attempt.
        (readiness.writable, readiness.readable) = (true, true);
    }

    /// Why an attempt to connect is to be given up, if it is: nothing waits to be sent either.
    pub(crate) fn given_up(&self) -> Option<Reason> {
        let wire = self.0.wire.borrow();
        wire.state.given_up(wire.unsent() == 0 && !wire.has_producer())
    }

    /// True if this side began the connection.
    pub(crate) fn dials(&self) -> bool {
        self.0.wire.borrow().dials()
    }

    /// Names the factory of its protocol.
    pub(crate) fn factory(&self) -> Id {
        self.0.wire.borrow().factory()
    }

    /// Sends a line and its end.
    pub(crate) fn write_line(&self, line: &[u8], end: &[u8]) {
        self.on_write(|wire| wire.accept_line(line, end));
    }

    /// False once the connection is to end.
    pub(crate) fn is_open(&self) -> bool {
        self.0.wire.borrow().state.is_open()
    }

    /// False once what has been received is not delivered any more.
    #[inline]
    pub(crate) fn delivers(&self) -> bool {
        self.0.wire.borrow().state.delivers()
    }

    /// True if the peer has not been sent everything, so that it must not see an orderly close.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.0.wire.borrow().is_unfinished()
    }

    pub(crate) fn end(&self, reason: Reason) {
        let mut displaced = None;
        self.wish(|wire| {
            displaced = wire.state.end(reason);
            // An end does not wait for others to be written to.
            wire.agenda().hurry();
            true
        });
        // Only now: it may hold an error of the user's, whose drop is the user's code.
        drop(displaced);
    }

    /// The socket may take more than the poller has said.
    pub(crate) fn try_writing(&self) {
        self.0.wire.borrow_mut().readiness.writable = true;
    }

    /// True if reading was resumed, and the protocol will hear of it.
    pub(crate) fn is_resuming(&self) -> bool {
        self.0.wire.borrow().state.is_resuming()
    }

    /// Offers what is unsent to the socket, and says what comes next.
    pub(crate) fn settle(&self, settled: &mut Settled) -> Next {
        let mut wire = self.0.wire.borrow_mut();
        if wire.flow.is_none() {
            return wire.settle(settled);
        }
        drop(wire);
        self.settle_flow(settled)
    }

    /// Lists the transport to be settled in a later phase, from within its own settling.
    pub(crate) fn settle_later(&self) {
        self.wish(|_| true);
    }

    /// Lists the transport to be settled and served, even if its callback is running.
    pub(super) fn serve_later(&self) {
        let mut wire = self.0.wire.borrow_mut();
        if !std::mem::replace(&mut wire.readiness.touched, true) {
            wire.agenda().list(self.0.id);
        }
    }

    /// The reactor begins to drain: what was heard before is past.
    pub(crate) fn forget_talk(&self) {
        self.0.wire.borrow_mut().readiness.talked = false;
    }

    /// Whatever the poller has said, there may be something to read, and room to write. True if it
    /// was not yet listed to be served.
    pub(crate) fn look(&self) -> bool {
        let mut wire = self.0.wire.borrow_mut();
        // A look must not cost a connection its turn at a rate; what the poller has said counts.
        let may_read = match wire.pass(Way::In) {
            Pass::Bytes(_) => true,
            Pass::Ask => !wire.shares_rate(Way::In),
            Pass::Wait => false,
        };
        let ready = &mut wire.readiness;
        ready.readable |= may_read;
        (ready.writable, ready.due) = (true, true);
        !std::mem::replace(&mut ready.queued, true)
    }

    /// Nothing is read from here on, until [`release_input`](Self::release_input) says so.
    pub(crate) fn hold_input(&self) {
        let ready = &mut self.0.wire.borrow_mut().readiness;
        (ready.processing, ready.traffic) = (Processing::Held, Traffic::Yielding);
    }

    /// True while its protocol holds back what it was given.
    #[cfg(feature = "testing")]
    pub(crate) fn holds_input(&self) -> bool {
        self.0.wire.borrow().readiness.processing == Processing::Held
    }

    /// Its protocol is called again in this turn or the next, if it has held its input back.
    pub(crate) fn release_input(&self) {
        let wire = &mut *self.0.wire.borrow_mut();
        if wire.readiness.processing == Processing::Held {
            wire.readiness.processing = Processing::Yielded;
            wire.agenda().list_yielded(self.0.id);
        }
    }

    /// From here on it is noted whether a producer gives anything. False if none is waited for.
    pub(crate) fn watch_producer(&self) -> bool {
        let mut wire = self.0.wire.borrow_mut();
        let is_waited_for = wire.unsent() == 0 && wire.has_producer();
        if let Some(flow) = &mut wire.flow {
            flow.fed = false;
        }
        is_waited_for
    }

    /// A producer has given something since.
    pub(crate) fn was_fed(&self) -> bool {
        self.0.wire.borrow().flow.as_ref().is_some_and(|flow| flow.fed)
    }

    /// The connection that feeds this one, if one does.
    pub(crate) fn producer(&self) -> Option<Self> {
        self.0.wire.borrow().flow.as_ref()?.connection().map(Self)
    }

    /// True if it is listed to be read or settled, or its protocol to be called again.
    pub(crate) fn has_more(&self) -> bool {
        let wire = self.0.wire.borrow();
        let yielded = wire.readiness.processing == Processing::Yielded;
        yielded || wire.readiness.queued && (wire.readiness.due || wire.wants_reading())
    }

    /// The agenda no longer lists it.
    pub(crate) fn untouch(&self) {
        self.0.wire.borrow_mut().readiness.touched = false;
    }

    #[inline(always)]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        let mut wire = self.0.wire.borrow_mut();
        let mut room = buffer.len();
        if wire.flow.is_some() {
            drop(wire);
            match self.readable(room) {
                Some(readable) => room = readable,
                None => return Received::Asks,
            }
            wire = self.0.wire.borrow_mut();
        }
        wire.receive(&mut buffer[..room])
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&self, edges: Edges) {
        let mut wire = self.0.wire.borrow_mut();
        wire.notice(edges);
        if edges.error {
            drop(wire);
            let room = self.room();
            self.0.wire.borrow_mut().notice_error(room);
        }
    }

    /// True if the transport is to be settled after reading.
    pub(crate) fn take_due(&self) -> bool {
        std::mem::take(&mut self.0.wire.borrow_mut().readiness.due)
    }

    /// Reading goes on after a rest.
    pub(crate) fn end_rest(&self) {
        self.0.wire.borrow_mut().end_rest();
    }

    /// True if there may be more to read. If not, others may have what it was granted of a rate.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        let wire = &mut *self.0.wire.borrow_mut();
        let wants_reading = wire.wants_reading();
        if !wants_reading {
            wire.want_nothing();
        }
        wants_reading
    }

    /// One that wants reading is listed to be served from now on, by its kind of traffic, unless it
    /// is already, or is held back by those that it feeds or by a rate.
    pub(crate) fn queue_readable(&self) -> Option<Traffic> {
        let room = self.room();
        let wire = &mut *self.0.wire.borrow_mut();
        if wire.readiness.queued || room == 0 || wire.is_held_back(Way::In) {
            return None;
        }
        wire.readiness.queued = true;
        Some(wire.readiness.traffic)
    }

    /// Its kind of traffic, if it was not yet listed to be served.
    pub(crate) fn queue(&self) -> Option<Traffic> {
        let ready = &mut self.0.wire.borrow_mut().readiness;
        (!std::mem::replace(&mut ready.queued, true)).then_some(ready.traffic)
    }

    /// It is being served: what its traffic was up to now, and whether its protocol has yielded and
    /// is to be called again.
    #[inline]
    pub(crate) fn begin_serving(&self) -> (Traffic, bool) {
        let wire = &mut *self.0.wire.borrow_mut();
        wire.readiness.queued = false;
        (wire.readiness.traffic, wire.take_yield())
    }

    /// True if its protocol has yielded and is to be called again.
    pub(crate) fn take_yield(&self) -> bool {
        self.0.wire.borrow_mut().take_yield()
    }

    /// It was served. True if there is more to read.
    #[inline]
    pub(crate) fn end_serving(&self) -> bool {
        let wire = &mut *self.0.wire.borrow_mut();
        let more = wire.wants_reading();
        let ready = &mut wire.readiness;
        let unprocessed = ready.processing != Processing::Done;
        ready.traffic = ready.traffic.served(more || unprocessed || ready.queued);
        if !more {
            wire.want_nothing();
        }
        more
    }

    /// True if it has more to send than this, or may soon have.
    pub(crate) fn has_much_to_send(&self, share: usize) -> bool {
        let wire = self.0.wire.borrow();
        !wire.state.is_breaking() && (wire.unsent() > share || wire.has_producer())
    }

    /// Moves the connection to the bulk queue, to be settled there. True if it was not listed yet.
    pub(crate) fn take_turns(&self) -> bool {
        let ready = &mut self.0.wire.borrow_mut().readiness;
        ready.due = true;
        ready.traffic = ready.traffic.served(true);
        !std::mem::replace(&mut ready.queued, true)
    }

    pub(crate) fn resumed(&self) {
        self.0.wire.borrow_mut().state.resumed();
        self.restart_idleness();
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn finish_output(&self) -> bool {
        self.0.wire.borrow_mut().finish_output()
    }

    /// Begins to be watched by the poller, once; an error ends the connection.
    pub(crate) fn watch(&self) {
        if self.0.wire.borrow().readiness.watched {
            return;
        }
        let watched = self.0.wire.borrow_mut().watch(self.0.id);
        if let Err(error) = watched {
            self.end(Reason::lost(error));
        }
    }

    pub(crate) fn release(&self) -> Option<ClosedStream> {
        self.0.wire.borrow_mut().release()
    }

    /// Closes the socket with a reset; returns how many bytes were unsent.
    pub(crate) fn reset(&self) -> usize {
        self.0.wire.borrow_mut().reset()
    }

    /// It has what only some connections have.
    #[cfg(test)]
    pub(crate) fn has_flow(&self) -> bool {
        self.0.wire.borrow().flow.is_some()
    }

    /// What is unsent, or unread and wanted, and on none of the loop's lists.
    #[cfg(test)]
    pub(crate) fn forgotten(&self) -> Option<String> {
        let wire = self.0.wire.borrow();
        let ready = wire.readiness;
        let unsent = wire.unsent() > 0 && wire.state.sends() && ready.writable && !ready.due;
        let unread = wire.wants_reading() && !ready.queued && self.room() > 0;
        let unsent = unsent && !wire.is_held_back(Way::Out);
        let unread = unread && !wire.is_held_back(Way::In);
        (!ready.touched && (unsent || unread)).then(|| format!("{ready:?}"))
    }
}
