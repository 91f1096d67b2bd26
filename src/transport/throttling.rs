//! Moving bytes no faster than was said.

use super::pool::Pool;
use super::rates::RateLimits;
use super::valve::{Pass, Supply, Valve};
use super::wire::Wire;
use super::{Inner, Transport};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Both directions of a connection that has rates.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    reading: Valve,
    writing: Valve,
}

impl Throttle {
    pub(super) fn valve(&self, way: Way) -> &Valve {
        match way {
            Way::In => &self.reading,
            Way::Out => &self.writing,
        }
    }

    pub(super) fn valve_mut(&mut self, way: Way) -> &mut Valve {
        match way {
            Way::In => &mut self.reading,
            Way::Out => &mut self.writing,
        }
    }
}

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
        let RateLimits { read, write } = rates;
        self.on_throttle(rates != RateLimits::new(), |throttle| {
            throttle.reading.set(read) | throttle.writing.set(write)
        });
    }

    /// From here on it shares a rate, or none.
    pub(crate) fn join_pool(&self, way: Way, pool: Option<&Rc<RefCell<Pool>>>) {
        self.on_throttle(pool.is_some(), |throttle| {
            let valve = throttle.valve_mut(way);
            let waited = valve.waits();
            valve.join(pool.cloned());
            waited
        });
    }

    /// Changes the rates, unless there are none and none are set; if that ends a wait, the loop is
    /// to serve the connection.
    fn on_throttle(&self, sets: bool, change: impl FnOnce(&mut Throttle) -> bool) {
        let mut wire = self.0.wire.borrow_mut();
        let has = wire.flow.as_ref().is_some_and(|flow| flow.throttle.is_some());
        if wire.state.is_lost() || !(sets || has) {
            return;
        }
        let ended = change(wire.flow_to_fill().throttle.get_or_insert_default());
        drop(wire);
        if ended {
            self.serve_later();
        }
    }

    /// True if rates of its own were set.
    pub(crate) fn has_rates(&self) -> bool {
        self.0.wire.borrow().flow.as_ref().is_some_and(|flow| flow.throttle.is_some())
    }

    /// From here on it has no rate, nor a share of one.
    pub(crate) fn lift_rates(&self) {
        if let Some(flow) = &mut self.0.wire.borrow_mut().flow {
            flow.throttle = None;
        }
    }

    /// Looks whether more may pass.
    pub(crate) fn ask_for_more(&self, way: Way, now: Instant) -> Supply {
        let Inner { id, wire, .. } = &*self.0;
        match wire.borrow_mut().valve(way) {
            Some(valve) => valve.ask(*id, now),
            None => Supply::More,
        }
    }

    /// The time has come for which it waited.
    pub(crate) fn end_wait_for_rates(&self) {
        let mut wire = self.0.wire.borrow_mut();
        for way in [Way::In, Way::Out] {
            wire.valve(way).map(Valve::end_wait);
        }
    }

    /// It is its turn.
    pub(crate) fn take_grant(&self, way: Way, grant: usize) {
        if let Some(valve) = self.0.wire.borrow_mut().valve(way) {
            valve.take_grant(grant);
        }
    }

    /// How much of so many bytes may be read at once; `None` if the clock has to be looked at.
    pub(super) fn readable(&self, most: usize) -> Option<usize> {
        let room = self.room().min(most);
        let wire = self.0.wire.borrow();
        match wire.pass(Way::In) {
            Pass::Bytes(bytes) => Some(room.min(bytes)),
            Pass::Ask if room > 0 && wire.wants_reading() => None,
            Pass::Ask | Pass::Wait => Some(0),
        }
    }

    /// True if bytes wait for a rate.
    pub(crate) fn is_held_back(&self, way: Way) -> bool {
        self.0.wire.borrow().is_held_back(way)
    }
}

impl Wire {
    fn valve(&mut self, way: Way) -> Option<&mut Valve> {
        let throttle = self.flow.as_mut()?.throttle.as_mut()?;
        Some(throttle.valve_mut(way))
    }

    /// What may pass.
    pub(super) fn pass(&self, way: Way) -> Pass {
        let throttle = self.flow.as_ref().and_then(|flow| flow.throttle.as_ref());
        throttle.map_or(Pass::Bytes(usize::MAX), |throttle| throttle.valve(way).pass())
    }

    /// The same, as a number, of what is offered to the socket. Apart from the path of those that
    /// have no rate.
    #[cold]
    pub(super) fn sendable_at_rate(&self) -> usize {
        match self.pass(Way::Out) {
            Pass::Bytes(bytes) => bytes,
            Pass::Ask | Pass::Wait => 0,
        }
    }

    /// True if it shares a rate, for which others may wait.
    pub(super) fn shares_rate(&self, way: Way) -> bool {
        let throttle = self.flow.as_ref().and_then(|flow| flow.throttle.as_ref());
        throttle.is_some_and(|throttle| throttle.valve(way).shares())
    }

    pub(super) fn is_held_back(&self, way: Way) -> bool {
        self.pass(way) == Pass::Wait
    }

    /// True if more may be sent, or might if the clock were looked at. (What was granted is sent;
    /// what the pool has besides, not yet.)
    pub(super) fn asks_to_send(&self) -> bool {
        let offers = self.readiness.writable && self.state.sends() && self.unsent() > 0;
        offers && !self.is_held_back(Way::Out)
    }

    /// There is nothing to read, for now.
    #[inline]
    pub(super) fn want_nothing(&mut self) {
        if self.flow.is_some() {
            self.give_back(Way::In);
        }
    }

    /// Others may have what the pool has granted, if there is no use for it here.
    pub(super) fn give_back(&mut self, way: Way) {
        if let Some(valve) = self.valve(way) {
            valve.give_back();
        }
    }
}
