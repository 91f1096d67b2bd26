//! How long a connection waits for its peer.

use super::deadlines::Timeouts;
use super::patience::{Outlook, Patience};
use super::readiness::Processing;
use super::wire::Wire;
use super::{Transport, Way};
use crate::reason::{Reason, TimeoutKind};
use std::time::{Duration, Instant};

impl Transport {
    /// Sets how long the peer is waited for; all of it counts from now on, and instead of what was
    /// set before. The protocol hears [`timed_out`](crate::Protocol::timed_out).
    ///
    /// For all connections of a factory there is
    /// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts).
    pub fn set_timeouts(&self, deadlines: Timeouts) {
        self.on_patience(|patience| patience.set(deadlines));
    }

    /// From here on the protocol waits for something of its own, for so long: unless
    /// [`reset_timeout`](Self::reset_timeout) is called before, it hears `timed_out` with
    /// [`TimeoutKind::Protocol`]. `None` waits for nothing any more, nor does `Duration::MAX`; less
    /// than a millisecond counts as one. (`TimeoutMixin.setTimeout`)
    pub fn set_timeout(&self, timeout: impl Into<Option<Duration>>) {
        let timeout = timeout.into();
        self.on_patience(|patience| patience.set_timeout(timeout));
    }

    /// What the protocol waits for has come; its time begins anew. Cheap enough to be called for
    /// each message. (`TimeoutMixin.resetTimeout`)
    pub fn reset_timeout(&self) {
        self.on_patience(Patience::restart_timeout);
    }

    /// What [`Timeouts::handshake`] waits for is done.
    pub fn handshake_done(&self) {
        self.on_patience(Patience::handshake_done);
    }

    pub(crate) fn has_timeouts(&self) -> bool {
        let wire = self.0.wire.borrow();
        let patience = wire.flow.as_ref().and_then(|flow| flow.patience.as_ref());
        patience.is_some_and(|patience| patience.has_timeouts())
    }

    fn on_patience(&self, change: impl FnOnce(&mut Patience)) {
        self.wish(|wire| {
            if wire.state.is_lost() {
                return false;
            }
            change(wire.flow_to_fill().patience.get_or_insert_with(|| Box::new(Patience::new())));
            true
        });
    }

    /// The connection is given up because something did not come in time.
    pub(crate) fn time_out(&self, deadline: TimeoutKind) {
        self.end(Reason::TimedOut(deadline));
    }

    /// Notes the time, and says when to look again.
    pub(crate) fn mind_patience(&self, now: Instant) -> Option<Instant> {
        let outlook = self.outlook();
        let mut wire = self.0.wire.borrow_mut();
        wire.flow.as_mut()?.patience.as_mut()?.mind(now, outlook)
    }

    /// True if something is over, as far as is known.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let outlook = self.outlook();
        let mut wire = self.0.wire.borrow_mut();
        let patience = wire.flow.as_mut().and_then(|flow| flow.patience.as_mut());
        patience.is_some_and(|patience| patience.is_overdue(now, outlook))
    }

    /// What is over, if anything is.
    pub(crate) fn lose_patience(&self, now: Instant) -> Option<TimeoutKind> {
        let outlook = self.outlook();
        let mut wire = self.0.wire.borrow_mut();
        wire.flow.as_mut()?.patience.as_mut()?.verdict(now, outlook)
    }

    /// What it is about; a peer that is not read because a consumer is full is not to blame either.
    fn outlook(&self) -> Outlook {
        let is_held_by_consumer = self.room() == 0;
        let outlook = self.0.wire.borrow().outlook();
        Outlook { paused: outlook.paused || is_held_by_consumer, ..outlook }
    }

    /// Reading begins again: the peer may not have been able to send until now.
    pub(super) fn restart_idleness(&self) {
        self.0.wire.borrow_mut().restart_idleness();
    }
}

impl Wire {
    pub(super) fn restart_idleness(&mut self) {
        if let Some(patience) = self.flow.as_mut().and_then(|flow| flow.patience.as_mut()) {
            patience.sent(0);
        }
    }

    fn is_throttled(&self) -> bool {
        self.is_held_back(Way::In) || self.is_held_back(Way::Out)
    }

    /// What the peer sends is not read, for now.
    fn holds_input(&self) -> bool {
        let unprocessed = self.readiness.processing != Processing::Done;
        self.state.holds_input() || self.readiness.resting || unprocessed
    }

    fn outlook(&self) -> Outlook {
        Outlook {
            unsent: self.unsent() > 0 && !self.is_held_back(Way::Out),
            paused: self.holds_input() || self.is_throttled(),
            closing: !self.state.is_open(),
        }
    }

    /// True if the loop is to look at the time for it.
    pub(super) fn is_to_be_minded(&self) -> bool {
        let patience = self.flow.as_ref().and_then(|flow| flow.patience.as_ref());
        patience.is_some_and(|patience| patience.is_to_be_minded(self.outlook()))
    }
}
