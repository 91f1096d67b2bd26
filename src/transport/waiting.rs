//! How long a connection waits for its peer.

use super::Transport;
use super::connection::Connection;
use super::readiness::{Processing, Reading};
use crate::limits::{Activity, Direction, TimeoutTracker, Timeouts};
use crate::reason::TimeoutKind;
use std::time::{Duration, Instant};

impl Transport {
    /// Sets how long the peer is waited for; all of it counts from now on, and instead of what was
    /// set before. The protocol hears [`timed_out`](crate::Protocol::timed_out).
    ///
    /// For all connections of a factory there is
    /// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts).
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.on_patience(|patience| patience.set(timeouts));
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
        self.on_patience(TimeoutTracker::restart_timeout);
    }

    /// What [`Timeouts::handshake`] waits for is done.
    pub fn handshake_done(&self) {
        self.on_patience(TimeoutTracker::handshake_done);
    }

    pub(crate) fn has_timeouts(&self) -> bool {
        let connection = self.0.connection.borrow();
        let patience = connection.extras.as_ref().and_then(|extras| extras.timeouts.as_ref());
        patience.is_some_and(|patience| patience.has_timeouts())
    }

    fn on_patience(&self, change: impl FnOnce(&mut TimeoutTracker)) {
        self.request(|connection| {
            if connection.state.is_lost() {
                return false;
            }
            change(
                connection
                    .extras_mut()
                    .timeouts
                    .get_or_insert_with(|| Box::new(TimeoutTracker::new())),
            );
            true
        });
    }

    /// Notes the time, and says when to look again.
    pub(crate) fn update_timeouts(&self, now: Instant) -> Option<Instant> {
        let activity = self.activity();
        let mut connection = self.0.connection.borrow_mut();
        connection.extras.as_mut()?.timeouts.as_mut()?.update(now, activity)
    }

    /// True if something is over, as far as is known.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let activity = self.activity();
        let mut connection = self.0.connection.borrow_mut();
        let patience = connection.extras.as_mut().and_then(|extras| extras.timeouts.as_mut());
        patience.is_some_and(|patience| patience.is_overdue(now, activity))
    }

    /// What is over, if anything is.
    pub(crate) fn expired_timeout(&self, now: Instant) -> Option<TimeoutKind> {
        let activity = self.activity();
        let mut connection = self.0.connection.borrow_mut();
        connection.extras.as_mut()?.timeouts.as_mut()?.expired(now, activity)
    }

    /// What it is about; a peer that is not read because a consumer is full is not to blame either.
    fn activity(&self) -> Activity {
        let is_held_by_consumer = self.room() == 0;
        let activity = self.0.connection.borrow().activity();
        Activity { paused: activity.paused || is_held_by_consumer, ..activity }
    }
}

impl Connection {
    pub(super) fn restart_idleness(&mut self) {
        if let Some(patience) = self.extras.as_mut().and_then(|extras| extras.timeouts.as_mut()) {
            patience.sent(0);
        }
    }

    fn is_throttled(&self) -> bool {
        self.is_held_back(Direction::Read) || self.is_held_back(Direction::Write)
    }

    /// What the peer sends is not read, for now.
    fn is_input_held(&self) -> bool {
        let unprocessed = self.readiness.processing != Processing::Done;
        self.state.holds_input() || self.readiness.reading == Reading::Backoff || unprocessed
    }

    fn activity(&self) -> Activity {
        Activity {
            unsent: self.unsent() > 0 && !self.is_held_back(Direction::Write),
            paused: self.is_input_held() || self.is_throttled(),
            closing: !self.state.is_open(),
        }
    }

    /// True if the loop is to look at the time for it.
    pub(super) fn needs_update(&self) -> bool {
        let patience = self.extras.as_ref().and_then(|extras| extras.timeouts.as_ref());
        patience.is_some_and(|patience| patience.needs_update(self.activity()))
    }
}
