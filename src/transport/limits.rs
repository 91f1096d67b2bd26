//! Limits of one connection at work: its timeouts and rate limits, and what they hold back.

use super::connection::Connection;
use super::readiness::{Processing, Reading};
use super::{Inner, Transport};
use crate::limits::{
    Activity, Allowance, Direction, RateLimiter, RateLimiters, Refill, SharedRateLimiter,
    TimeoutTracker,
};
use crate::reason::TimeoutKind;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

impl Transport {
    pub(crate) fn has_timeouts(&self) -> bool {
        self.0.connection.borrow().tracker().is_some_and(TimeoutTracker::has_timeouts)
    }

    /// Changes the timeouts, and lists the connection for the loop to read the clock.
    pub(super) fn change_timeouts(&self, change: impl FnOnce(&mut TimeoutTracker)) {
        self.request(|connection| {
            let is_lost = connection.state.is_lost();
            if !is_lost {
                let tracker = &mut connection.extras_mut().timeouts;
                change(tracker.get_or_insert_with(|| Box::new(TimeoutTracker::new())));
            }
            !is_lost
        });
    }

    /// Updates the timeouts, and returns when to check them again.
    pub(crate) fn update_timeouts(&self, now: Instant) -> Option<Instant> {
        let activity = self.activity();
        self.0.connection.borrow_mut().tracker_mut()?.update(now, activity)
    }

    /// Returns true if a timeout has expired, as far as is known.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let activity = self.activity();
        let mut connection = self.0.connection.borrow_mut();
        connection.tracker_mut().is_some_and(|tracker| tracker.is_overdue(now, activity))
    }

    /// Returns the timeout that has expired, if one has.
    pub(crate) fn expired_timeout(&self, now: Instant) -> Option<TimeoutKind> {
        let activity = self.activity();
        self.0.connection.borrow_mut().tracker_mut()?.expired(now, activity)
    }

    /// Returns what the connection is doing. A peer that is not read because a consumer is full is
    /// not to blame for its silence.
    fn activity(&self) -> Activity {
        let is_held_by_consumer = self.room() == 0;
        let activity = self.0.connection.borrow().activity();
        Activity { paused: activity.paused || is_held_by_consumer, ..activity }
    }

    /// Replaces the rate limit that is shared with other connections; `None` removes it.
    pub(crate) fn join_shared_rate(
        &self,
        direction: Direction,
        shared: Option<&Rc<RefCell<SharedRateLimiter>>>,
    ) {
        self.change_rates(shared.is_some(), |rate_limiters| {
            let limiter = rate_limiters.limiter_mut(direction);
            let waited = limiter.waits();
            limiter.join(shared.cloned());
            waited
        });
    }

    /// Changes the rate limits, unless there are none and the change `sets` none. If that ends a
    /// wait, the loop serves the connection.
    pub(super) fn change_rates(&self, sets: bool, change: impl FnOnce(&mut RateLimiters) -> bool) {
        let mut connection = self.0.connection.borrow_mut();
        if connection.state.is_lost() || !(sets || connection.limiters().is_some()) {
            return;
        }
        let ended = change(connection.extras_mut().rate_limiters.get_or_insert_default());
        drop(connection);
        if ended {
            self.serve_later();
        }
    }

    /// Returns true if rate limits were set.
    pub(crate) fn has_rates(&self) -> bool {
        self.0.connection.borrow().limiters().is_some()
    }

    /// Removes all rate limits, shared ones too.
    pub(crate) fn clear_rates(&self) {
        if let Some(extras) = &mut self.0.connection.borrow_mut().extras {
            extras.rate_limiters = None;
        }
    }

    /// Asks the rate limiter for more bytes.
    pub(crate) fn refill_rate(&self, direction: Direction, now: Instant) -> Refill {
        let Inner { id, connection, .. } = &*self.0;
        match connection.borrow_mut().limiter(direction) {
            Some(limiter) => limiter.ask(*id, now),
            None => Refill::Ready,
        }
    }

    /// Ends a wait for the connection's own rate, when its time has come.
    pub(crate) fn end_rate_wait(&self) {
        let mut connection = self.0.connection.borrow_mut();
        for direction in [Direction::Read, Direction::Write] {
            connection.limiter(direction).map(RateLimiter::end_wait);
        }
    }

    /// Takes a grant of the shared rate, if the connection waits for one.
    pub(crate) fn take_grant(&self, direction: Direction, grant: usize) {
        if let Some(limiter) = self.0.connection.borrow_mut().limiter(direction) {
            limiter.take_grant(grant);
        }
    }

    /// Returns true if bytes wait for a rate limit.
    pub(crate) fn is_held_back(&self, direction: Direction) -> bool {
        self.0.connection.borrow().is_held_back(direction)
    }
}

impl Connection {
    fn tracker(&self) -> Option<&TimeoutTracker> {
        self.extras.as_ref()?.timeouts.as_deref()
    }

    /// Ends the timeout of a TLS handshake in mid-connection.
    pub(super) fn handshake_completed(&mut self) {
        if let Some(tracker) = self.tracker_mut() {
            tracker.tls_completed();
        }
    }

    fn tracker_mut(&mut self) -> Option<&mut TimeoutTracker> {
        self.extras.as_mut()?.timeouts.as_deref_mut()
    }

    /// Restarts the idle timeout: reading begins again, and the peer may not have been able to send
    /// until now.
    pub(super) fn restart_idleness(&mut self) {
        if let Some(tracker) = self.tracker_mut() {
            tracker.sent(0);
        }
    }

    fn is_throttled(&self) -> bool {
        self.is_held_back(Direction::Read) || self.is_held_back(Direction::Write)
    }

    /// Returns true if nothing is read now, whatever the peer sends.
    fn is_input_held(&self) -> bool {
        let unprocessed = self.readiness.processing != Processing::Done;
        self.state.holds_input() || self.readiness.reading == Reading::Backoff || unprocessed
    }

    fn activity(&self) -> Activity {
        let closing = !self.state.is_open();
        let is_write_held = self.is_held_back(Direction::Write);
        Activity {
            unsent: self.unsent() > 0 && !is_write_held,
            paused: self.is_input_held() || self.is_throttled(),
            closing,
            handshake_held: self.clear_left() > 0 && is_write_held
                || closing && !self.closes_after_handshake(),
        }
    }

    /// Returns true if the loop has to read the clock for the timeouts.
    pub(super) fn needs_update(&self) -> bool {
        self.tracker().is_some_and(|tracker| tracker.needs_update(self.activity()))
    }

    fn limiters(&self) -> Option<&RateLimiters> {
        self.extras.as_ref()?.rate_limiters.as_deref()
    }

    fn limiter(&mut self, direction: Direction) -> Option<&mut RateLimiter> {
        Some(self.extras.as_mut()?.rate_limiters.as_mut()?.limiter_mut(direction))
    }

    /// Returns how many of `most` bytes may be read at once; `None` if the clock has to be read
    /// first.
    pub(super) fn readable(&self, most: usize) -> Option<usize> {
        match self.allowance(Direction::Read) {
            Allowance::Bytes(bytes) => Some(most.min(bytes)),
            Allowance::NeedsRefill if most > 0 && self.wants_reading() => None,
            Allowance::NeedsRefill | Allowance::Blocked => Some(0),
        }
    }

    /// Returns how many bytes the rate limits allow.
    pub(super) fn allowance(&self, direction: Direction) -> Allowance {
        let unlimited = Allowance::Bytes(usize::MAX);
        self.limiters().map_or(unlimited, |limiters| limiters.limiter(direction).allowance())
    }

    /// Returns how many bytes may be offered to the socket. Cold, so that connections without a
    /// rate limit do not pay for it.
    #[cold]
    pub(super) fn write_allowance(&self) -> usize {
        match self.allowance(Direction::Write) {
            Allowance::Bytes(bytes) => bytes,
            Allowance::NeedsRefill | Allowance::Blocked => 0,
        }
    }

    /// Returns true if the connection shares a rate, for which others may wait.
    pub(super) fn has_shared_rate(&self, direction: Direction) -> bool {
        self.limiters().is_some_and(|limiters| limiters.limiter(direction).shares())
    }

    pub(super) fn is_held_back(&self, direction: Direction) -> bool {
        self.allowance(direction) == Allowance::Blocked
    }

    /// Returns true if more might be sent after a look at the clock. (A grant is sent without one;
    /// the shared rate may have more.)
    pub(super) fn needs_write_refill(&self) -> bool {
        let offers = self.readiness.socket.writable && self.state.sends() && self.unsent() > 0;
        // What waits for the end of a handshake does not wait for a rate.
        let may_send = !self.is_handshaking() || self.clear_left() > 0;
        offers && !self.is_held_back(Direction::Write) && may_send
    }

    /// Gives back the grant for reading: there is nothing to read now.
    #[inline]
    pub(super) fn return_read_grant(&mut self) {
        if self.extras.is_some() {
            self.give_back(Direction::Read);
        }
    }

    /// Gives back the grant of a shared rate, so that others may have it.
    pub(super) fn give_back(&mut self, direction: Direction) {
        if let Some(limiter) = self.limiter(direction) {
            limiter.give_back();
        }
    }
}
