//! Moving bytes no faster than was said.

use super::connection::Connection;
use super::{Inner, Transport};
use crate::limits::{
    Allowance, Direction, RateLimiter, RateLimiters, RateLimits, Refill, SharedRateLimiter,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

impl Transport {
    /// Sets how many bytes are read and written in a second, from now on, and instead of what was
    /// set before. [`lose_connection`](Self::lose_connection) still sends everything, at this rate.
    /// What is held back here is neither idleness nor slow progress of the peer, and no reason to
    /// give up a close; the other deadlines count on.
    ///
    /// For all connections of a factory there is
    /// [`Reactor::set_rate_limits`](crate::Reactor::set_rate_limits), and for all of them together
    /// [`Reactor::set_shared_rate_limits`](crate::Reactor::set_shared_rate_limits), which counts as
    /// well.
    pub fn set_rate_limits(&self, rates: RateLimits) {
        self.on_throttle(rates != RateLimits::new(), |rate_limiters| rate_limiters.set(rates));
    }

    /// From here on it shares a rate, or none.
    pub(crate) fn join_shared_rate(
        &self,
        direction: Direction,
        shared: Option<&Rc<RefCell<SharedRateLimiter>>>,
    ) {
        self.on_throttle(shared.is_some(), |rate_limiters| {
            let limiter = rate_limiters.limiter_mut(direction);
            let waited = limiter.waits();
            limiter.join(shared.cloned());
            waited
        });
    }

    /// Changes the rates, unless there are none and none are set; if that ends a wait, the loop is
    /// to serve the connection.
    fn on_throttle(&self, sets: bool, change: impl FnOnce(&mut RateLimiters) -> bool) {
        let mut connection = self.0.connection.borrow_mut();
        let has = connection.extras.as_ref().is_some_and(|extras| extras.rate_limiters.is_some());
        if connection.state.is_lost() || !(sets || has) {
            return;
        }
        let ended = change(connection.extras_mut().rate_limiters.get_or_insert_default());
        drop(connection);
        if ended {
            self.serve_later();
        }
    }

    /// True if rates of its own were set.
    pub(crate) fn has_rates(&self) -> bool {
        self.0
            .connection
            .borrow()
            .extras
            .as_ref()
            .is_some_and(|extras| extras.rate_limiters.is_some())
    }

    /// From here on it has no rate, nor a share of one.
    pub(crate) fn clear_rates(&self) {
        if let Some(extras) = &mut self.0.connection.borrow_mut().extras {
            extras.rate_limiters = None;
        }
    }

    /// Looks whether more may pass.
    pub(crate) fn refill_rate(&self, direction: Direction, now: Instant) -> Refill {
        let Inner { id, connection, .. } = &*self.0;
        match connection.borrow_mut().limiter(direction) {
            Some(limiter) => limiter.ask(*id, now),
            None => Refill::Ready,
        }
    }

    /// The time has come for which it waited.
    pub(crate) fn end_rate_wait(&self) {
        let mut connection = self.0.connection.borrow_mut();
        for direction in [Direction::Read, Direction::Write] {
            connection.limiter(direction).map(RateLimiter::end_wait);
        }
    }

    /// It is its turn.
    pub(crate) fn take_grant(&self, direction: Direction, grant: usize) {
        if let Some(limiter) = self.0.connection.borrow_mut().limiter(direction) {
            limiter.take_grant(grant);
        }
    }

    /// True if bytes wait for a rate.
    pub(crate) fn is_held_back(&self, direction: Direction) -> bool {
        self.0.connection.borrow().is_held_back(direction)
    }
}

impl Connection {
    /// How many of `most` bytes may be read at once; `None` if the clock has to be read first.
    pub(super) fn readable(&self, most: usize) -> Option<usize> {
        match self.allowance(Direction::Read) {
            Allowance::Bytes(bytes) => Some(most.min(bytes)),
            Allowance::NeedsRefill if most > 0 && self.wants_reading() => None,
            Allowance::NeedsRefill | Allowance::Blocked => Some(0),
        }
    }

    fn limiter(&mut self, direction: Direction) -> Option<&mut RateLimiter> {
        let rate_limiters = self.extras.as_mut()?.rate_limiters.as_mut()?;
        Some(rate_limiters.limiter_mut(direction))
    }

    /// What may pass.
    pub(super) fn allowance(&self, direction: Direction) -> Allowance {
        let rate_limiters = self.extras.as_ref().and_then(|extras| extras.rate_limiters.as_ref());
        rate_limiters.map_or(Allowance::Bytes(usize::MAX), |rate_limiters| {
            rate_limiters.limiter(direction).allowance()
        })
    }

    /// The same, as a number, of what is offered to the socket. Apart from the path of those that
    /// have no rate.
    #[cold]
    pub(super) fn write_allowance(&self) -> usize {
        match self.allowance(Direction::Write) {
            Allowance::Bytes(bytes) => bytes,
            Allowance::NeedsRefill | Allowance::Blocked => 0,
        }
    }

    /// True if it shares a rate, for which others may wait.
    pub(super) fn has_shared_rate(&self, direction: Direction) -> bool {
        let rate_limiters = self.extras.as_ref().and_then(|extras| extras.rate_limiters.as_ref());
        rate_limiters.is_some_and(|rate_limiters| rate_limiters.limiter(direction).shares())
    }

    pub(super) fn is_held_back(&self, direction: Direction) -> bool {
        self.allowance(direction) == Allowance::Blocked
    }

    /// True if more may be sent, or might if the clock were looked at. (What was granted is sent;
    /// what the shared has besides, not yet.)
    pub(super) fn needs_write_refill(&self) -> bool {
        let offers = self.readiness.socket.writable && self.state.sends() && self.unsent() > 0;
        offers && !self.is_held_back(Direction::Write)
    }

    /// There is nothing to read, for now.
    #[inline]
    pub(super) fn return_read_grant(&mut self) {
        if self.extras.is_some() {
            self.give_back(Direction::Read);
        }
    }

    /// Others may have what the shared has granted, if there is no use for it here.
    pub(super) fn give_back(&mut self, direction: Direction) {
        if let Some(limiter) = self.limiter(direction) {
            limiter.give_back();
        }
    }
}
