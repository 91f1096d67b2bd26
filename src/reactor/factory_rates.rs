//! The rate limits of a factory: one for each connection, and one that all share. Data only.

use crate::arena::Id;
use crate::limits::{Direction, RateLimits, SharedRateLimiter};
use crate::transport::Transport;
use std::cell::RefCell;
use std::rc::Rc;

/// The rate limits of the connections of a factory.
#[derive(Debug, Default)]
pub(super) struct FactoryRates {
    /// Rate limits of each future connection.
    pub(super) each: RateLimits,
    /// Shared rate limit of reading.
    reading: Option<Shared>,
    /// Shared rate limit of writing.
    writing: Option<Shared>,
    /// Number of times connections of the factory have waited for a rate, their own or a shared
    /// one.
    pub(super) waits: u64,
}

/// A shared rate limit.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limiter: Rc<RefCell<SharedRateLimiter>>,
    /// Timer of the next grant. Set while connections wait.
    pub(super) timer: Option<Id>,
}

impl Shared {
    fn new(rate: u64) -> Self {
        Self { limiter: Rc::new(RefCell::new(SharedRateLimiter::new(rate))), timer: None }
    }
}

impl FactoryRates {
    /// Replaces the shared rates; returns the former ones.
    pub(super) fn share(&mut self, RateLimits { read, write }: RateLimits) -> Self {
        let (reading, writing) = (read.map(Shared::new), write.map(Shared::new));
        let rates = Self { each: self.each, reading, writing, waits: self.waits };
        std::mem::replace(self, rates)
    }

    /// Applies the rate limits to a new connection of the factory.
    pub(super) fn serve(&self, transport: &Transport) {
        if self.each != RateLimits::default() && !transport.has_rates() {
            transport.set_rate_limits(self.each);
        }
        for direction in [Direction::Read, Direction::Write] {
            if let Some(limiter) = self.shared_limiter(direction) {
                transport.join_shared_rate(direction, Some(limiter));
            }
        }
    }

    pub(super) fn shared_limiter(
        &self,
        direction: Direction,
    ) -> Option<&Rc<RefCell<SharedRateLimiter>>> {
        self.shared(direction).map(|shared| &shared.limiter)
    }

    pub(super) fn shared(&self, direction: Direction) -> Option<&Shared> {
        match direction {
            Direction::Read => self.reading.as_ref(),
            Direction::Write => self.writing.as_ref(),
        }
    }

    pub(super) fn shared_mut(&mut self, direction: Direction) -> Option<&mut Shared> {
        match direction {
            Direction::Read => self.reading.as_mut(),
            Direction::Write => self.writing.as_mut(),
        }
    }
}
