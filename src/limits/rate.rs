//! Rate limits: how fast one connection may read and write. Pure, but for the rate that connections
//! share.

use super::shared_rate::SharedRateLimiter;
use super::token_bucket::ByteBucket;
use crate::arena::Id;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Rate limits, in bytes per second, for reading and for writing. None is set by default. Set with
/// [`Reactor::set_rate_limits`](crate::Reactor::set_rate_limits) for each new connection of a
/// factory, with [`Reactor::set_shared_rate_limits`](crate::Reactor::set_shared_rate_limits) for
/// all of them together, or with [`Transport::set_rate_limits`](crate::Transport::set_rate_limits)
/// for one.
///
/// Bytes above the rate wait, and no callback tells of it. They wait unread in the operating
/// system, so that in the end the peer cannot send, or in the write buffer, where they count as
/// unsent. [`Reactor::rate_limit_waits`](crate::Reactor::rate_limit_waits) counts these waits.
///
/// This is a token bucket with twenty portions a second, each of at least one byte. At most four
/// portions may be ahead of the rate, which holds over any longer time. A rate of zero counts as
/// one byte per second; `u64::MAX` holds nothing back.
///
/// ```
/// use twistor::limits::RateLimits;
///
/// let rates = RateLimits::new().read(100_000).write(1_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub(crate) read: Option<u64>,
    pub(crate) write: Option<u64>,
}

impl RateLimits {
    /// Returns rate limits of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits reading to `bytes` per second.
    #[must_use]
    pub fn read(self, bytes: u64) -> Self {
        Self { read: Some(bytes), ..self }
    }

    /// Limits writing to `bytes` per second, counted when the operating system takes them.
    #[must_use]
    pub fn write(self, bytes: u64) -> Self {
        Self { write: Some(bytes), ..self }
    }
}

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The rate limiters of one connection.
#[derive(Debug, Default)]
pub(crate) struct RateLimiters {
    reading: RateLimiter,
    writing: RateLimiter,
}

impl RateLimiters {
    /// Replaces the connection's own rates. True if that ends a wait.
    pub(crate) fn set(&mut self, RateLimits { read, write }: RateLimits) -> bool {
        self.reading.set(read) | self.writing.set(write)
    }

    pub(crate) fn limiter(&self, direction: Direction) -> &RateLimiter {
        match direction {
            Direction::Read => &self.reading,
            Direction::Write => &self.writing,
        }
    }

    pub(crate) fn limiter_mut(&mut self, direction: Direction) -> &mut RateLimiter {
        match direction {
            Direction::Read => &mut self.reading,
            Direction::Write => &mut self.writing,
        }
    }
}

/// The rate limiter of one direction of one connection.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    /// The connection's own rate.
    own: Option<ByteBucket>,
    /// The rate of all connections of its factory together.
    shared: Option<Rc<RefCell<SharedRateLimiter>>>,
    /// Bytes that the shared rate has granted to this connection alone.
    grant: usize,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    No,
    /// Waits for its own rate.
    Own,
    /// Waits for its turn at the shared rate, with this ticket.
    Shared(u64),
}

/// How many bytes may be sent or received now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// This many bytes, and at least one.
    Bytes(usize),
    /// None before the clock is read.
    NeedsRefill,
    /// None; the loop ends the wait.
    Blocked,
}

/// The outcome of asking for more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refill {
    Ready,
    /// Not before this time.
    At(Instant),
    /// After the connections that have waited longer.
    Queued,
}

impl RateLimiter {
    /// Replaces the connection's own rate. True if that ends a wait for the former one.
    pub(crate) fn set(&mut self, rate: Option<u64>) -> bool {
        self.own = rate.map(ByteBucket::new);
        self.end_wait()
    }

    /// Replaces the shared rate. True if that ends a wait for the connection's own.
    pub(crate) fn join(&mut self, shared: Option<Rc<RefCell<SharedRateLimiter>>>) -> bool {
        self.leave();
        self.shared = shared;
        self.end_wait()
    }

    /// Leaves the queue of the shared rate, and gives its grant back.
    fn leave(&mut self) {
        self.give_back();
        if let (Wait::Shared(ticket), Some(shared)) = (self.wait, &self.shared) {
            shared.borrow_mut().leave(ticket);
            self.wait = Wait::No;
        }
    }

    pub(crate) fn shares(&self) -> bool {
        self.shared.is_some()
    }

    pub(crate) fn waits(&self) -> bool {
        self.wait != Wait::No
    }

    pub(crate) fn allowance(&self) -> Allowance {
        let own = self.own.as_ref().map_or(usize::MAX, ByteBucket::left);
        let shared = match &self.shared {
            Some(shared) if self.grant == 0 => shared.borrow().left(),
            Some(_) => self.grant,
            None => usize::MAX,
        };
        match own.min(shared) {
            _ if self.waits() => Allowance::Blocked,
            0 => Allowance::NeedsRefill,
            bytes => Allowance::Bytes(bytes),
        }
    }

    /// Counts `count` bytes that were sent or received, of those that were allowed.
    pub(crate) fn spend(&mut self, count: usize) {
        if let Some(own) = &mut self.own {
            own.spend(count);
        }
        match &self.shared {
            Some(shared) if self.grant == 0 => shared.borrow_mut().spend(count),
            Some(_) => self.grant -= count,
            None => {}
        }
    }

    /// Gives back the grant of the shared rate: nothing more is sent or received now.
    pub(crate) fn give_back(&mut self) {
        if let Some(shared) = &self.shared {
            shared.borrow_mut().give_back(std::mem::take(&mut self.grant));
        }
    }

    /// Asks for more bytes for the connection `id`.
    pub(crate) fn ask(&mut self, id: Id, now: Instant) -> Refill {
        if let Some(own) = self.own.as_mut().filter(|own| own.left() == 0) {
            if let Err(due) = own.refill(now) {
                self.wait = Wait::Own;
                return Refill::At(due);
            }
        }
        if let Some(shared) = self.shared.as_ref().filter(|_| self.grant == 0) {
            if let Err(ticket) = shared.borrow_mut().ask(id, now) {
                self.wait = Wait::Shared(ticket);
                return Refill::Queued;
            }
        }
        Refill::Ready
    }

    /// Ends a wait for the connection's own rate, when its time has come. True if there was one.
    pub(crate) fn end_wait(&mut self) -> bool {
        let ended = self.wait == Wait::Own;
        if ended {
            self.wait = Wait::No;
        }
        ended
    }

    /// Takes a grant of the shared rate, if the connection waits for one.
    pub(crate) fn take_grant(&mut self, grant: usize) {
        if let Wait::Shared(_) = self.wait {
            (self.wait, self.grant) = (Wait::No, grant);
        }
    }
}

/// Leaves the queue: a ticket must not outlive its connection.
impl Drop for RateLimiter {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use std::time::Duration;

    fn id() -> Id {
        Arena::new().insert_with(|_| ())
    }

    fn shared(rate: u64) -> Rc<RefCell<SharedRateLimiter>> {
        Rc::new(RefCell::new(SharedRateLimiter::new(rate)))
    }

    #[test]
    fn without_a_rate_limit_everything_passes() {
        assert_eq!(RateLimiter::default().allowance(), Allowance::Bytes(usize::MAX));
    }

    #[test]
    fn a_rate_of_its_own_lets_a_portion_pass_and_then_waits() {
        let (mut limiter, t) = (RateLimiter::default(), Instant::now());
        limiter.set(Some(20));
        assert_eq!(limiter.allowance(), Allowance::NeedsRefill);
        assert_eq!(
            (limiter.ask(id(), t), limiter.allowance()),
            (Refill::Ready, Allowance::Bytes(1))
        );
        limiter.spend(1);
        let next = t + Duration::from_millis(50);
        assert_eq!(
            (limiter.ask(id(), t), limiter.allowance()),
            (Refill::At(next), Allowance::Blocked)
        );
        assert!(limiter.end_wait());
        assert_eq!(limiter.allowance(), Allowance::NeedsRefill);
        assert_eq!(limiter.ask(id(), next), Refill::Ready);
        assert!(!limiter.end_wait(), "it does not wait");
        limiter.set(None);
        assert_eq!(limiter.allowance(), Allowance::Bytes(usize::MAX));
    }

    #[test]
    fn the_lower_of_both_rates_applies_and_both_are_spent() {
        let (mut limiter, t, shared) = (RateLimiter::default(), Instant::now(), shared(200));
        limiter.set(Some(100));
        limiter.join(Some(Rc::clone(&shared)));
        assert_eq!(
            (limiter.ask(id(), t), limiter.allowance()),
            (Refill::Ready, Allowance::Bytes(5))
        );
        limiter.spend(4);
        assert_eq!((limiter.allowance(), shared.borrow().left()), (Allowance::Bytes(1), 6));
    }

    #[test]
    fn a_grant_belongs_to_one_connection_until_it_is_given_back() {
        let (mut limiter, t, shared) = (RateLimiter::default(), Instant::now(), shared(200));
        limiter.join(Some(Rc::clone(&shared)));
        assert_eq!(limiter.ask(id(), t), Refill::Ready);
        limiter.spend(10);
        assert_eq!(
            (limiter.ask(id(), t), limiter.allowance()),
            (Refill::Queued, Allowance::Blocked)
        );
        let granted = shared.borrow_mut().grant(t + Duration::from_millis(50));
        assert_eq!(granted, Ok((vec![id()], 10)));
        limiter.take_grant(10);
        assert_eq!((limiter.allowance(), shared.borrow().left()), (Allowance::Bytes(10), 0));
        limiter.spend(3);
        assert_eq!(limiter.allowance(), Allowance::Bytes(7));
        limiter.give_back();
        assert_eq!((limiter.allowance(), shared.borrow().left()), (Allowance::Bytes(7), 7));
    }

    #[test]
    fn a_dropped_limiter_leaves_the_queue_and_gives_its_grant_back() {
        let (t, shared) = (Instant::now(), shared(200));
        let join = || {
            let mut limiter = RateLimiter::default();
            limiter.join(Some(Rc::clone(&shared)));
            limiter
        };
        let (mut first, mut second, mut third) = (join(), join(), join());
        assert_eq!(first.ask(id(), t), Refill::Ready);
        first.spend(10);
        assert_eq!(first.ask(id(), t), Refill::Queued);
        assert_eq!(second.ask(id(), t), Refill::Queued);
        drop(first);
        assert!(shared.borrow().next().is_some());
        assert!(!second.join(None));
        assert_eq!(second.allowance(), Allowance::Bytes(usize::MAX), "it waits no more");
        assert_eq!(shared.borrow().next(), None);
        assert_eq!(third.ask(id(), t), Refill::Queued);
        assert!(shared.borrow_mut().grant(t + Duration::from_millis(50)).is_ok());
        third.take_grant(10);
        third.take_grant(20);
        assert_eq!(third.allowance(), Allowance::Bytes(10), "it did not wait for another");
        drop(third);
        assert_eq!(shared.borrow().left(), 10);
    }
}
