//! Moving bytes no faster than was said: the clock and the timers of it.

use super::Reactor;
use super::connections::Party;
use super::delayed::Job;
use super::key::FactoryKey;
use crate::arena::Id;
use crate::transport::{Pool, RateLimits, Supply, Transport, Way};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// What the connections of a factory may move.
#[derive(Debug, Default)]
pub(super) struct Ration {
    /// Of each that is yet to be made.
    each: RateLimits,
    /// Of all together.
    reading: Option<Shared>,
    writing: Option<Shared>,
}

/// A rate that is shared.
#[derive(Debug)]
struct Shared {
    pool: Rc<RefCell<Pool>>,
    /// Set while somebody waits.
    timer: Option<Id>,
}

impl Ration {
    /// A connection of the factory begins.
    pub(super) fn serve(&self, transport: &Transport) {
        if self.each != RateLimits::default() && !transport.has_rates() {
            transport.set_rate_limits(self.each);
        }
        for way in [Way::In, Way::Out] {
            if let Some(shared) = self.shared(way) {
                transport.join_pool(way, Some(&shared.pool));
            }
        }
    }

    fn shared(&self, way: Way) -> Option<&Shared> {
        match way {
            Way::In => self.reading.as_ref(),
            Way::Out => self.writing.as_ref(),
        }
    }

    fn shared_mut(&mut self, way: Way) -> Option<&mut Shared> {
        match way {
            Way::In => self.reading.as_mut(),
            Way::Out => self.writing.as_mut(),
        }
    }
}

impl Reactor {
    /// Sets how many bytes each connection of a factory may read and write in a second: of those
    /// that are made from now on, also those that the factory begins itself.
    /// [`Transport::set_rate_limits`] sets it for one. False if the factory is gone.
    pub fn set_rate_limits<F>(&mut self, key: impl Into<FactoryKey<F>>, rates: RateLimits) -> bool {
        let key = key.into();
        let shelf = self.hosts.get_mut(key.id).filter(|_| key.reactor == self.number);
        shelf.map(|shelf| shelf.ration.each = rates).is_some()
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
        let Some(shelf) = self.hosts.get_mut(key.id).filter(|_| key.reactor == self.number) else {
            return false;
        };
        let share = |rate: Option<u64>| {
            let pool = Rc::new(RefCell::new(Pool::new(rate?)));
            Some(Shared { pool, timer: None })
        };
        let each = shelf.ration.each;
        let ration = Ration { each, reading: share(rates.read), writing: share(rates.write) };
        let former = std::mem::replace(&mut shelf.ration, ration);
        self.end_sharing(&former);
        let Some(ration) = self.hosts.get(key.id).map(|shelf| &shelf.ration) else { return false };
        for (_, live) in self.connections.all_live() {
            if live.party.host() == key.id {
                for way in [Way::In, Way::Out] {
                    let pool = ration.shared(way).map(|shared| &shared.pool);
                    live.party.transport.join_pool(way, pool);
                }
            }
        }
        true
    }

    /// Nobody waits for it any more.
    pub(super) fn end_sharing(&mut self, ration: &Ration) {
        for way in [Way::In, Way::Out] {
            if let Some(timer) = ration.shared(way).and_then(|shared| shared.timer) {
                self.timers.cancel(timer);
            }
        }
    }

    /// Reads the clock for a connection that has used up what it may move. True if there is more;
    /// otherwise it will go on by itself.
    pub(super) fn ask_for_more(&mut self, party: &Party, way: Way) -> bool {
        let now = self.now();
        match party.transport.ask_for_more(way, now) {
            Supply::More => return true,
            Supply::At(due) => self.go_on_at(party.id(), due),
            Supply::InTurn => self.grant_later(party.host(), way),
        }
        if let Some(shelf) = self.hosts.get_mut(party.host()) {
            shelf.door.refusals.waits += 1;
        }
        false
    }

    /// One timer wakes both directions: whoever is woken too early asks again.
    fn go_on_at(&mut self, id: Id, due: Instant) {
        let Some(live) = self.connections.live_mut(id) else { return };
        let timer = live.rate();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((set, _)) => {
                self.timers.reset(set, due);
                *timer = Some((set, due));
            }
            None => *timer = Some((self.timers.set(due, Job::GoOn(id)), due)),
        }
    }

    /// The timer of a connection is due.
    pub(super) fn go_on(&mut self, id: Id) {
        let Some(party) = self.connections.party(id) else { return };
        if let Some(live) = self.connections.live_mut(id) {
            *live.rate() = None;
        }
        party.transport.end_wait_for_rates();
        self.settle(&party);
        self.serve_again(&party);
    }

    /// Sees to it that those go on who wait for a rate that is shared.
    fn grant_later(&mut self, host: Id, way: Way) {
        let shelf = self.hosts.get_mut(host);
        let Some(shared) = shelf.and_then(|shelf| shelf.ration.shared_mut(way)) else { return };
        let next = shared.pool.borrow().next();
        if let (Some(due), None) = (next, shared.timer) {
            shared.timer = Some(self.timers.set(due, Job::Grant(host, way)));
        }
    }

    /// Lets some of those go on.
    pub(super) fn grant(&mut self, host: Id, way: Way) {
        let now = self.now();
        let shelf = self.hosts.get_mut(host);
        let Some(shared) = shelf.and_then(|shelf| shelf.ration.shared_mut(way)) else { return };
        shared.timer = None;
        let (ids, bytes) = shared.pool.borrow_mut().grant(now).unwrap_or_default();
        for id in ids {
            if let Some(party) = self.connections.party(id) {
                party.transport.take_grant(way, bytes);
                self.settle(&party);
                self.serve_again(&party);
            }
        }
        self.grant_later(host, way);
    }
}
