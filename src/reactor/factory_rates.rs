//! The rate limits of a factory: of each of its connections, and shared by all. Data only.

use crate::arena::Id;
use crate::limits::{Direction, RateLimits, SharedRateLimiter};
use crate::transport::Transport;
use std::cell::RefCell;
use std::rc::Rc;

/// The rate limits of the connections of a factory.
#[derive(Debug, Default)]
pub(super) struct FactoryRates {
    /// Of each that is yet to be made.
    pub(super) each: RateLimits,
    /// Of all together.
    reading: Option<Shared>,
    writing: Option<Shared>,
    /// Times a connection of the factory has waited for a rate, its own or a shared one.
    pub(super) waits: u64,
}

/// A rate that connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limiter: Rc<RefCell<SharedRateLimiter>>,
    /// Set while somebody waits.
    pub(super) timer: Option<Id>,
}

impl Shared {
    fn new(rate: u64) -> Self {
        Self { limiter: Rc::new(RefCell::new(SharedRateLimiter::new(rate))), timer: None }
    }
}

impl FactoryRates {
    /// Replaces the rates of all together; the former are returned.
    pub(super) fn share(&mut self, RateLimits { read, write }: RateLimits) -> Self {
        let (reading, writing) = (read.map(Shared::new), write.map(Shared::new));
        let rates = Self { each: self.each, reading, writing, waits: self.waits };
        std::mem::replace(self, rates)
    }

    /// Limits a connection of the factory that begins.
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
