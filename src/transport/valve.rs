//! What lets the bytes of one connection through, in one direction, at the rates that are set. Pure
//! but for the pool, which it shares.

use super::meter::Meter;
use super::pool::Pool;
use crate::arena::Id;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// One direction of one connection.
#[derive(Debug, Default)]
pub(super) struct Valve {
    /// The connection's own rate.
    own: Option<Meter>,
    /// That of all connections of its factory.
    pool: Option<Rc<RefCell<Pool>>>,
    /// What the pool has granted to this one alone.
    grant: usize,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    No,
    /// For its own rate.
    Own,
    /// For its turn, with a ticket.
    Pool(u64),
}

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// So many bytes, and at least one.
    Bytes(usize),
    /// Nothing before the clock is looked at.
    Ask,
    /// Nothing; the loop will say when.
    Wait,
}

/// What comes of having asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    More,
    /// Not before then.
    At(Instant),
    /// When those have been served who have waited longer.
    InTurn,
}

impl Valve {
    /// From here on the connection has this rate of its own. True if it need not wait any longer
    /// for the former one.
    pub(super) fn set(&mut self, rate: Option<u64>) -> bool {
        self.own = rate.map(Meter::new);
        self.end_wait()
    }

    /// The same for what it shares.
    pub(super) fn join(&mut self, pool: Option<Rc<RefCell<Pool>>>) -> bool {
        self.leave();
        self.pool = pool;
        self.end_wait()
    }

    /// Gives back whatever it has of the pool.
    fn leave(&mut self) {
        self.give_back();
        if let (Wait::Pool(ticket), Some(pool)) = (self.wait, &self.pool) {
            pool.borrow_mut().leave(ticket);
            self.wait = Wait::No;
        }
    }

    pub(super) fn shares(&self) -> bool {
        self.pool.is_some()
    }

    pub(super) fn waits(&self) -> bool {
        self.wait != Wait::No
    }

    pub(super) fn pass(&self) -> Pass {
        let own = self.own.as_ref().map_or(usize::MAX, Meter::left);
        let shared = match &self.pool {
            Some(pool) if self.grant == 0 => pool.borrow().left(),
            Some(_) => self.grant,
            None => usize::MAX,
        };
        match own.min(shared) {
            _ if self.waits() => Pass::Wait,
            0 => Pass::Ask,
            bytes => Pass::Bytes(bytes),
        }
    }

    /// So many bytes have passed, of those that might.
    pub(super) fn spend(&mut self, count: usize) {
        if let Some(own) = &mut self.own {
            own.spend(count);
        }
        match &self.pool {
            Some(pool) if self.grant == 0 => pool.borrow_mut().spend(count),
            Some(_) => self.grant -= count,
            None => {}
        }
    }

    /// Nothing more is wanted for now.
    pub(super) fn give_back(&mut self) {
        if let Some(pool) = &self.pool {
            pool.borrow_mut().give_back(std::mem::take(&mut self.grant));
        }
    }

    /// Looks for more, on behalf of this connection.
    pub(super) fn ask(&mut self, id: Id, now: Instant) -> Supply {
        if let Some(own) = self.own.as_mut().filter(|own| own.left() == 0) {
            if let Err(due) = own.refill(now) {
                self.wait = Wait::Own;
                return Supply::At(due);
            }
        }
        if let Some(pool) = self.pool.as_ref().filter(|_| self.grant == 0) {
            if let Err(ticket) = pool.borrow_mut().ask(id, now) {
                self.wait = Wait::Pool(ticket);
                return Supply::InTurn;
            }
        }
        Supply::More
    }

    /// It is time for its own rate. True if that was waited for.
    pub(super) fn end_wait(&mut self) -> bool {
        let ended = self.wait == Wait::Own;
        if ended {
            self.wait = Wait::No;
        }
        ended
    }

    /// It is its turn.
    pub(super) fn take_grant(&mut self, grant: usize) {
        if let Wait::Pool(_) = self.wait {
            (self.wait, self.grant) = (Wait::No, grant);
        }
    }
}

/// Its place in the queue is not to outlive it.
impl Drop for Valve {
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

    fn pool(rate: u64) -> Rc<RefCell<Pool>> {
        Rc::new(RefCell::new(Pool::new(rate)))
    }

    #[test]
    fn without_a_rate_everything_passes() {
        assert_eq!(Valve::default().pass(), Pass::Bytes(usize::MAX));
    }

    #[test]
    fn its_own_rate_lets_a_portion_pass_and_then_waits() {
        let (mut valve, t) = (Valve::default(), Instant::now());
        valve.set(Some(20));
        assert_eq!(valve.pass(), Pass::Ask);
        assert_eq!((valve.ask(id(), t), valve.pass()), (Supply::More, Pass::Bytes(1)));
        valve.spend(1);
        let next = t + Duration::from_millis(50);
        assert_eq!((valve.ask(id(), t), valve.pass()), (Supply::At(next), Pass::Wait));
        assert!(valve.end_wait());
        assert_eq!(valve.pass(), Pass::Ask);
        assert_eq!(valve.ask(id(), next), Supply::More);
        assert!(!valve.end_wait(), "it does not wait");
        valve.set(None);
        assert_eq!(valve.pass(), Pass::Bytes(usize::MAX));
    }

    #[test]
    fn the_narrower_of_both_rates_counts_and_both_are_spent() {
        let (mut valve, t, pool) = (Valve::default(), Instant::now(), pool(200));
        valve.set(Some(100));
        valve.join(Some(Rc::clone(&pool)));
        assert_eq!((valve.ask(id(), t), valve.pass()), (Supply::More, Pass::Bytes(5)));
        valve.spend(4);
        assert_eq!((valve.pass(), pool.borrow().left()), (Pass::Bytes(1), 6));
    }

    #[test]
    fn a_grant_is_its_own_until_it_is_given_back() {
        let (mut valve, t, pool) = (Valve::default(), Instant::now(), pool(200));
        valve.join(Some(Rc::clone(&pool)));
        assert_eq!(valve.ask(id(), t), Supply::More);
        valve.spend(10);
        assert_eq!((valve.ask(id(), t), valve.pass()), (Supply::InTurn, Pass::Wait));
        let granted = pool.borrow_mut().grant(t + Duration::from_millis(50));
        assert_eq!(granted, Ok((vec![id()], 10)));
        valve.take_grant(10);
        assert_eq!((valve.pass(), pool.borrow().left()), (Pass::Bytes(10), 0));
        valve.spend(3);
        assert_eq!(valve.pass(), Pass::Bytes(7));
        valve.give_back();
        assert_eq!((valve.pass(), pool.borrow().left()), (Pass::Bytes(7), 7));
    }

    #[test]
    fn whoever_goes_leaves_the_queue_and_what_was_granted() {
        let (t, pool) = (Instant::now(), pool(200));
        let join = || {
            let mut valve = Valve::default();
            valve.join(Some(Rc::clone(&pool)));
            valve
        };
        let (mut first, mut second, mut third) = (join(), join(), join());
        assert_eq!(first.ask(id(), t), Supply::More);
        first.spend(10);
        assert_eq!(first.ask(id(), t), Supply::InTurn);
        assert_eq!(second.ask(id(), t), Supply::InTurn);
        drop(first);
        assert!(pool.borrow().next().is_some());
        assert!(!second.join(None));
        assert_eq!(second.pass(), Pass::Bytes(usize::MAX), "it waits no more");
        assert_eq!(pool.borrow().next(), None);
        assert_eq!(third.ask(id(), t), Supply::InTurn);
        assert!(pool.borrow_mut().grant(t + Duration::from_millis(50)).is_ok());
        third.take_grant(10);
        third.take_grant(20);
        assert_eq!(third.pass(), Pass::Bytes(10), "it did not wait for another");
        drop(third);
        assert_eq!(pool.borrow().left(), 10);
    }
}
