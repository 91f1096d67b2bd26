//! Timers that repeat: calls once in each period, without drift.

use super::{DELAY_MAX, RepeatedCall, TimerAction};
use crate::arena::Id;
use crate::reactor::callback::Callback;
use crate::reactor::panic::guard;
use crate::reactor::recorder::nanos;
use crate::reactor::{Reactor, TimerId};
use crate::transport::Transport;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

impl Reactor {
    /// Calls `call` once in each `period`, first after one period, until it returns
    /// [`ControlFlow::Break`] or the timer is [cancelled](Self::cancel). (`LoopingCall.start`, with
    /// `now=False`)
    ///
    /// Calls do not drift: their deadlines are whole periods after the start, however late or long
    /// a call is. A deadline that has passed when the next one has, too, is missed: there is one
    /// call for all of them, and [`elapsed_periods`](Self::elapsed_periods) counts them.
    ///
    /// With a period of zero it is called once in each turn. The loop then never sleeps, but still
    /// serves everything else in between; under virtual time, where a turn takes no time, a test of
    /// it never ends. Periods are cut to a hundred years, as delays are. A panic in `call` is
    /// logged and ends the repetition. Like all timers it is dropped when the reactor stops.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let mut left = 3;
    /// reactor.call_every(Duration::from_millis(1), move |reactor| {
    ///     left -= 1;
    ///     if left > 0 {
    ///         return ControlFlow::Continue(());
    ///     }
    ///     reactor.stop();
    ///     ControlFlow::Break(())
    /// });
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_every(
        &mut self,
        period: Duration,
        call: impl FnMut(&mut Self) -> ControlFlow<()> + 'static,
    ) -> TimerId {
        let first = self.due_in(period);
        self.call_every_from(first, period, call)
    }

    /// Calls `call` at `first`, and then once in each `period` after it; otherwise as
    /// [`call_every`](Self::call_every). With `reactor.now()` the first call comes in the next
    /// turn. (`LoopingCall.start`, with `now=True`)
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let now = reactor.now();
    /// reactor.call_every_from(now, Duration::from_secs(3600), |reactor| {
    ///     reactor.stop();
    ///     ControlFlow::Continue(())
    /// });
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_every_from(
        &mut self,
        first: Instant,
        period: Duration,
        call: impl FnMut(&mut Self) -> ControlFlow<()> + 'static,
    ) -> TimerId {
        let call = self.repeated_calls.insert_with(|_| Some(Box::new(call)));
        let period = nanos(period.min(DELAY_MAX));
        let id = self.timers.set(first, TimerAction::RepeatedCall { call, period });
        self.public_timer(id)
    }

    /// Returns the number of deadlines of the repeating timer that is firing which have passed
    /// since it last fired, or was set: 1 if the loop was in time, and more if it was late, since
    /// missed calls are not made up for. Zero outside of a call of
    /// [`call_every`](Self::call_every) and a `timer_fired` of
    /// [`Context::set_interval`](crate::Context::set_interval). (`LoopingCall.withCount`)
    ///
    /// All counts of a timer together are the number of its periods, so a clock that adds them up
    /// is right.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let mut uptime = 0;
    /// reactor.call_every(Duration::from_millis(1), move |reactor| {
    ///     uptime += reactor.elapsed_periods();
    ///     if uptime >= 3 {
    ///         reactor.stop();
    ///     }
    ///     ControlFlow::Continue(())
    /// });
    /// reactor.run()?;
    /// assert_eq!(reactor.elapsed_periods(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn elapsed_periods(&self) -> u64 {
        self.elapsed_periods
    }

    pub(crate) fn set_connection_interval(
        &mut self,
        transport: &Transport,
        period: Duration,
    ) -> TimerId {
        let (connection, nanos) = (transport.slot(), nanos(period.min(DELAY_MAX)));
        let action = TimerAction::ProtocolInterval { connection, period: nanos };
        self.set_connection_action(transport, period, action)
    }

    /// Fires a timer that repeats, `count` of whose deadlines have passed. It stays in the heap
    /// meanwhile, with its next deadline, so that the call may cancel or reset it.
    pub(super) fn tick(&mut self, id: Id, count: u64) {
        self.elapsed_periods = count;
        match self.timers.get(id) {
            Some(&TimerAction::RepeatedCall { call, .. }) => self.call_again(id, call),
            Some(&TimerAction::ProtocolInterval { connection, .. }) => {
                if let Some(connection) = self.connections.find(connection) {
                    let timer = self.public_timer(id);
                    self.call(&connection, Callback::TimerFired(timer));
                }
            }
            _ => {}
        }
        self.elapsed_periods = 0;
    }

    fn call_again(&mut self, timer: Id, id: Id) {
        let waiting = self.repeated_calls.get_mut(id);
        let Some(mut call) = waiting.and_then(Option::take) else { return };
        let called = guard(|| call(self));
        self.record_call();
        let ends = called.as_ref().map_or(true, ControlFlow::is_break);
        if let Err(panic) = called {
            self.report_panic("a repeated call panicked, and is not repeated", &panic);
            self.record_panic("a panic in a repeated call");
        }
        if ends {
            self.timers.cancel(timer);
            self.repeated_calls.remove(id);
        }
        match self.repeated_calls.get_mut(id) {
            Some(waiting) => *waiting = Some(call),
            None => self.drop_repeated_call(call),
        }
    }

    pub(in crate::reactor) fn drop_repeated_calls(&mut self) {
        for call in self.repeated_calls.take_all().flatten().collect::<Vec<_>>() {
            self.drop_repeated_call(call);
        }
    }

    fn drop_repeated_call(&self, call: RepeatedCall) {
        if let Err(panic) = guard(|| drop(call)) {
            self.report_panic("dropping a repeated call panicked", &panic);
        }
    }
}
