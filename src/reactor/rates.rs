//! Moving bytes no faster than was said: the clock and the timers of it.

use super::Reactor;
use super::connection::ConnectionRef;
use super::key::FactoryKey;
use super::timers::TimerAction;
use crate::arena::Id;
use crate::limits::{Direction, RateLimits, Refill, SharedRateLimiter};
use crate::transport::Transport;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// What the connections of a factory may move.
#[derive(Debug, Default)]
pub(super) struct FactoryRates {
    /// Of each that is yet to be made.
    each: RateLimits,
    /// Of all together.
    reading: Option<Shared>,
    writing: Option<Shared>,
    /// Times a connection of the factory has waited for a rate, its own or a shared one.
    waits: u64,
}

/// A rate that is shared.
#[derive(Debug)]
struct Shared {
    limiter: Rc<RefCell<SharedRateLimiter>>,
    /// Set while somebody waits.
    timer: Option<Id>,
}

impl FactoryRates {
    /// A connection of the factory begins.
    pub(super) fn serve(&self, transport: &Transport) {
        if self.each != RateLimits::default() && !transport.has_rates() {
            transport.set_rate_limits(self.each);
        }
        for direction in [Direction::Read, Direction::Write] {
            if let Some(shared) = self.shared(direction) {
                transport.join_shared_rate(direction, Some(&shared.limiter));
            }
        }
    }

    fn shared(&self, direction: Direction) -> Option<&Shared> {
        match direction {
            Direction::Read => self.reading.as_ref(),
            Direction::Write => self.writing.as_ref(),
        }
    }

    fn shared_mut(&mut self, direction: Direction) -> Option<&mut Shared> {
        match direction {
            Direction::Read => self.reading.as_mut(),
            Direction::Write => self.writing.as_mut(),
        }
    }
}

impl Reactor {
    /// How often connections of a factory have waited because of [`RateLimits`], their own or
    /// shared ones, since the factory was created. `None` if the factory is gone.
    pub fn rate_limit_waits<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<u64> {
        self.slot(key).map(|slot| slot.rates.waits)
    }

    /// Sets how many bytes each connection of a factory may read and write in a second: of those
    /// that are made from now on, also those that the factory begins itself.
    /// [`Transport::set_rate_limits`] sets it for one. False if the factory is gone.
    pub fn set_rate_limits<F>(&mut self, key: impl Into<FactoryKey<F>>, rates: RateLimits) -> bool {
        self.slot_mut(key).map(|slot| slot.rates.each = rates).is_some()
    }

    /// Sets how many bytes all connections of a factory together may read and write in a second,
    /// from now on; those that are there already, too. False if the factory is gone.
    ///
    /// Those that want more than there is wait, and in turn get the same. (Twisted's
    /// `ThrottlingFactory`, which pauses everybody for as long as the last second was too fast.)
    ///
    /// ```
    /// use twistor::limits::RateLimits;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// // A megabyte a second for each of them, and ten for all.
    /// reactor.set_rate_limits(&port, RateLimits::new().read(1_000_000).write(1_000_000));
    /// reactor.set_shared_rate_limits(&port, RateLimits::new().read(10_000_000).write(10_000_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_shared_rate_limits<F>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        rates: RateLimits,
    ) -> bool {
        let key = key.into();
        let Some(slot) = self.slot_mut(key) else { return false };
        let share = |rate: Option<u64>| {
            let limiter = Rc::new(RefCell::new(SharedRateLimiter::new(rate?)));
            Some(Shared { limiter, timer: None })
        };
        let FactoryRates { each, waits, .. } = slot.rates;
        let (reading, writing) = (share(rates.read), share(rates.write));
        let rates = FactoryRates { each, reading, writing, waits };
        let former = std::mem::replace(&mut slot.rates, rates);
        self.end_sharing(&former);
        let Some(rates) = self.factories.get(key.id).map(|slot| &slot.rates) else { return false };
        for (_, established) in self.connections.all_established() {
            if established.connection.factory() == key.id {
                for direction in [Direction::Read, Direction::Write] {
                    let limiter = rates.shared(direction).map(|shared| &shared.limiter);
                    established.connection.transport.join_shared_rate(direction, limiter);
                }
            }
        }
        true
    }

    /// Nobody waits for it any more.
    pub(super) fn end_sharing(&mut self, rates: &FactoryRates) {
        for direction in [Direction::Read, Direction::Write] {
            if let Some(timer) = rates.shared(direction).and_then(|shared| shared.timer) {
                self.timers.cancel(timer);
            }
        }
    }

    /// Reads the clock for a connection that has used up what it may move. True if there is more;
    /// otherwise it will go on by itself.
    pub(super) fn refill_rate(&mut self, connection: &ConnectionRef, direction: Direction) -> bool {
        let now = self.now();
        match connection.transport.refill_rate(direction, now) {
            Refill::Ready => return true,
            Refill::At(due) => self.go_on_at(connection.id(), due),
            Refill::Queued => self.schedule_shared_grant(connection.factory(), direction),
        }
        if let Some(slot) = self.factories.get_mut(connection.factory()) {
            slot.rates.waits += 1;
        }
        false
    }

    /// One timer wakes both directions: whoever is woken too early asks again.
    fn go_on_at(&mut self, id: Id, due: Instant) {
        let Some(established) = self.connections.established_mut(id) else { return };
        let timer = established.rate();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((set, _)) => {
                self.timers.reset(set, due);
                *timer = Some((set, due));
            }
            None => *timer = Some((self.timers.set(due, TimerAction::RateRefill(id)), due)),
        }
    }

    /// The timer of a connection is due.
    pub(super) fn rate_timer_fired(&mut self, id: Id) {
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(established) = self.connections.established_mut(id) {
            *established.rate() = None;
        }
        connection.transport.end_rate_wait();
        self.settle(&connection);
        self.serve_again(&connection);
    }

    /// Sees to it that those go on who wait for a rate that is shared.
    fn schedule_shared_grant(&mut self, factory: Id, direction: Direction) {
        let slot = self.factories.get_mut(factory);
        let Some(shared) = slot.and_then(|slot| slot.rates.shared_mut(direction)) else { return };
        let next = shared.limiter.borrow().next();
        if let (Some(due), None) = (next, shared.timer) {
            shared.timer =
                Some(self.timers.set(due, TimerAction::SharedRateRefill(factory, direction)));
        }
    }

    /// Lets some of those go on.
    pub(super) fn grant_shared_rate(&mut self, factory: Id, direction: Direction) {
        let now = self.now();
        let slot = self.factories.get_mut(factory);
        let Some(shared) = slot.and_then(|slot| slot.rates.shared_mut(direction)) else { return };
        shared.timer = None;
        let (ids, bytes) = shared.limiter.borrow_mut().grant(now).unwrap_or_default();
        for id in ids {
            if let Some(connection) = self.connections.find(id) {
                connection.transport.take_grant(direction, bytes);
                self.settle(&connection);
                self.serve_again(&connection);
            }
        }
        self.schedule_shared_grant(factory, direction);
    }
}
