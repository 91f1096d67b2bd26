//! Timers: delayed calls, and the timers of connections, factories and ports.

mod heap;
mod interval;

pub(super) use heap::Timers;

use super::Reactor;
use super::callback::Callback;
use super::panic::guard;
use super::timer_id::TimerId;
use crate::arena::{Arena, Id};
use crate::continuation::Continuation;
use crate::limits::Direction;
use crate::transport::{ConnectionId, Transport};
use heap::Action;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Longest delay, to which longer ones are cut: longer than any process runs, short enough for
/// every clock.
const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The action of a timer that fires.
pub(super) enum TimerAction {
    /// Call a closure of the user, or one that passes such a closure to a protocol.
    Call(Box<dyn FnOnce(&mut Reactor)>),
    /// Call `timer_fired` of a connection's protocol.
    ProtocolTimer(Id),
    /// Call a closure of [`RepeatedCalls`] once in each period, in nanoseconds. (A box here
    /// would make every other timer cost more.)
    RepeatedCall { call: Id, period: u64 },
    /// Call `timer_fired` of a connection's protocol once in each period, in nanoseconds.
    ProtocolInterval { connection: Id, period: u64 },
    /// In place of one of these two that fires, which stays in the heap: the number of its
    /// deadlines that have passed since it last fired.
    Tick(u64),
    /// Check a closing connection whose peer has taken nothing for the close timeout.
    CloseTimeout(Id),
    /// Check the timeouts of a connection.
    CheckTimeouts(Id),
    /// Check an attempt to connect whose timeout is over.
    ArrivalTimeout(Id),
    /// Check an attempt to connect again that no edge may announce.
    RetryConnect(Id),
    /// Check the deadline of a client service.
    ClientService(Id),
    /// End a lingering close.
    LingerEnd(Id),
    /// Resume a connection that waits for its rate.
    RateRefill(Id),
    /// Grant a factory's shared rate to connections that wait for it.
    SharedRateRefill(Id, Direction),
    /// Retry to accept on a port.
    RetryAccept(Id),
    /// Accept the next client of a factory with an accept rate.
    AcceptNext(Id),
    /// Send the notifications to the service manager that are due.
    NotifyServiceManager,
}

/// Closures that are called once in each period; `None` while one is running.
pub(super) type RepeatedCalls = Arena<Option<RepeatedCall>>;

type RepeatedCall = Box<dyn FnMut(&mut Reactor) -> ControlFlow<()>>;

impl Action for TimerAction {
    fn period(&self) -> Option<u64> {
        match *self {
            Self::RepeatedCall { period, .. } | Self::ProtocolInterval { period, .. } => {
                Some(period)
            }
            _ => None,
        }
    }

    fn tick(count: u64) -> Self {
        Self::Tick(count)
    }
}

impl fmt::Debug for TimerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(_) => f.write_str("Call"),
            Self::ProtocolTimer(id) => write!(f, "ProtocolTimer({id})"),
            Self::RepeatedCall { call, .. } => write!(f, "RepeatedCall({call})"),
            Self::ProtocolInterval { connection, .. } => {
                write!(f, "ProtocolInterval({connection})")
            }
            Self::Tick(count) => write!(f, "Tick({count})"),
            Self::CloseTimeout(id) => write!(f, "CloseTimeout({id})"),
            Self::CheckTimeouts(id) => write!(f, "CheckTimeouts({id})"),
            Self::ArrivalTimeout(id) => write!(f, "ArrivalTimeout({id})"),
            Self::RetryConnect(id) => write!(f, "RetryConnect({id})"),
            Self::ClientService(id) => write!(f, "ClientService({id})"),
            Self::LingerEnd(id) => write!(f, "LingerEnd({id})"),
            Self::RateRefill(id) => write!(f, "RateRefill({id})"),
            Self::SharedRateRefill(id, direction) => {
                write!(f, "SharedRateRefill({id}, {direction:?})")
            }
            Self::RetryAccept(id) => write!(f, "RetryAccept({id})"),
            Self::AcceptNext(id) => write!(f, "AcceptNext({id})"),
            Self::NotifyServiceManager => f.write_str("NotifyServiceManager"),
        }
    }
}

impl Reactor {
    /// Calls `call` once, after `delay`. (`callLater`)
    ///
    /// It is called never before `delay` is over by a monotonic clock, and at most about a
    /// millisecond late while the loop is not busy. Timers with equal deadlines fire in the order
    /// in which they were set; one that is set while timers fire waits for the next turn, even with
    /// no delay. A delay of more than a hundred years, such as `Duration::MAX`, is cut to that. A
    /// panic in `call` is logged, and affects nothing else. Timers that are not due when the
    /// reactor stops are dropped.
    ///
    /// To come back to a protocol, use [`Context::call_later`](crate::Context::call_later).
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let never = reactor.call_later(Duration::MAX, |_| unreachable!());
    /// reactor.call_later(Duration::from_millis(5), move |reactor| {
    ///     reactor.cancel(never);
    ///     reactor.stop();
    /// });
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_later(
        &mut self,
        delay: Duration,
        call: impl FnOnce(&mut Self) + 'static,
    ) -> TimerId {
        let id = self.set_timer_action(delay, TimerAction::Call(Box::new(call)));
        self.public_timer(id)
    }

    /// Calls `call` once, at `deadline` instead of after a delay; in all else it is
    /// [`call_later`](Self::call_later). A deadline in the past is due in the next turn.
    ///
    /// For calls at a steady rate see [`call_every`](Self::call_every).
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let deadline = reactor.now() + Duration::from_millis(5);
    /// reactor.call_at(deadline, Reactor::stop);
    /// reactor.run()?;
    /// assert!(reactor.now() >= deadline);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_at(
        &mut self,
        deadline: Instant,
        call: impl FnOnce(&mut Self) + 'static,
    ) -> TimerId {
        let id = self.timers.set(deadline, TimerAction::Call(Box::new(call)));
        self.public_timer(id)
    }

    fn public_timer(&self, id: Id) -> TimerId {
        TimerId { reactor: self.id, id }
    }

    /// Returns the id in this reactor; `None` for a timer of another one.
    fn private_timer(&self, timer: TimerId) -> Option<Id> {
        Some(timer.id).filter(|_| timer.reactor == self.id)
    }

    /// Cancels a timer, and drops its closure. Returns false if it has fired, is firing, was
    /// cancelled, or belongs to another reactor. (`IDelayedCall.cancel`)
    ///
    /// A timer that repeats ([`call_every`](Self::call_every),
    /// [`Context::set_interval`](crate::Context::set_interval)) can be cancelled for its whole
    /// life, also by the call that it is making; that call's closure is dropped when it has
    /// returned. (`LoopingCall.stop`)
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        let action = self.private_timer(timer).and_then(|id| self.timers.cancel(id));
        let cancelled = action.is_some();
        self.drop_action(action);
        cancelled
    }

    /// Drops the action of a cancelled timer, whose closure is the user's.
    pub(super) fn drop_action(&mut self, action: Option<TimerAction>) {
        let repeated = match action {
            Some(TimerAction::RepeatedCall { call, .. }) => self.repeated_calls.remove(call),
            _ => None,
        };
        if let Err(panic) = guard(|| drop((action, repeated))) {
            self.report_panic("dropping a cancelled call panicked", &panic);
        }
    }

    /// Resets a timer to fire `delay` from now, sooner or later than before. Returns false if it
    /// has fired, is firing, was cancelled, or belongs to another reactor. Delays are as for
    /// [`call_later`](Self::call_later). (`IDelayedCall.reset`)
    ///
    /// A timer that repeats fires next at that time, and then once in each period after it.
    /// (`LoopingCall.reset`)
    pub fn reset(&mut self, timer: TimerId, delay: Duration) -> bool {
        let due = self.due_in(delay);
        self.reset_at(timer, due)
    }

    /// Resets a timer to fire at `deadline`; otherwise as [`reset`](Self::reset). To push back many
    /// timers, read the clock once and use this.
    pub fn reset_at(&mut self, timer: TimerId, deadline: Instant) -> bool {
        self.private_timer(timer).is_some_and(|id| self.timers.reset(id, deadline))
    }

    /// Returns the time until a timer fires: zero if it is due, `None` if it has fired, is firing,
    /// was cancelled, or belongs to another reactor. For a timer that repeats it is the time until
    /// it fires next, also while it is firing. (`IDelayedCall.getTime` and `active`)
    pub fn remaining(&self, timer: TimerId) -> Option<Duration> {
        let due = self.timers.due(self.private_timer(timer)?)?;
        Some(due.saturating_duration_since(self.now()))
    }

    /// Returns the current time of the clock that timers use. (`reactor.seconds`)
    pub fn now(&self) -> Instant {
        self.driver.now()
    }

    /// Sets a timer of a connection's protocol: calls
    /// [`timer_fired`](crate::Protocol::timer_fired) with the returned id after `delay`, unless the
    /// timer is cancelled or the connection is lost before that.
    ///
    /// Delays are as for [`call_later`](Self::call_later). A transport without a protocol gets no
    /// timer: one that is still connecting, was lost, or belongs to another reactor. The returned
    /// id is then that of a cancelled timer.
    ///
    /// Within a callback, [`Context::set_timer`](crate::Context::set_timer) is the short form of
    /// `cx.reactor.set_timer(cx.transport, delay)`, which can be called while a part of
    /// `cx.factory` is borrowed:
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::time::Duration;
    /// use twistor::{ConnectionId, Context, Factory, Protocol, Reactor, TimerId, Transport};
    ///
    /// #[derive(Default)]
    /// struct Games {
    ///     players: HashMap<ConnectionId, Player>,
    /// }
    ///
    /// #[derive(Default)]
    /// struct Player {
    ///     turn: Option<TimerId>,
    /// }
    ///
    /// struct Game;
    ///
    /// impl Protocol<Games> for Game {
    ///     fn data_received(&mut self, cx: &mut Context<'_, Games>, _data: &[u8]) {
    ///         let player = cx.factory.players.entry(cx.transport.id()).or_default();
    ///         player.turn = Some(cx.reactor.set_timer(cx.transport, Duration::from_secs(30)));
    ///     }
    /// }
    /// #
    /// # impl Factory for Games {
    /// #     type Protocol = Game;
    /// #     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Game> {
    /// #         Some(Game)
    /// #     }
    /// # }
    /// ```
    pub fn set_timer(&mut self, transport: &Transport, delay: Duration) -> TimerId {
        self.set_connection_action(transport, delay, TimerAction::ProtocolTimer(transport.slot()))
    }

    /// Calls a continuation of a connection's protocol after `delay`, unless the timer is cancelled
    /// or the connection is lost before that: then the continuation is dropped.
    pub(crate) fn continue_later(
        &mut self,
        transport: &Transport,
        delay: Duration,
        continuation: Continuation,
    ) -> TimerId {
        let connection = transport.slot();
        let call = move |reactor: &mut Self| reactor.call_continuation(connection, continuation);
        self.set_connection_action(transport, delay, TimerAction::Call(Box::new(call)))
    }

    /// Sets a timer that is cancelled with a connection.
    pub(super) fn set_connection_action(
        &mut self,
        transport: &Transport,
        delay: Duration,
        action: TimerAction,
    ) -> TimerId {
        let timer = self.set_timer_action(delay, action);
        let ConnectionId { slot, reactor } = transport.id();
        let established = self.connections.established_mut(slot).filter(|_| reactor == self.id);
        match established {
            Some(established) => established.add_timer(timer, |timer| self.timers.contains(timer)),
            // Such as in `connection_lost`: the protocol will be gone.
            None => {
                let action = self.timers.cancel(timer);
                self.drop_action(action);
            }
        }
        self.public_timer(timer)
    }

    pub(super) fn set_timer_action(&mut self, delay: Duration, action: TimerAction) -> Id {
        let due = self.due_in(delay);
        self.timers.set(due, action)
    }

    pub(super) fn due_in(&self, delay: Duration) -> Instant {
        let now = self.now();
        // If the clock ends within a hundred years, such a timer is due at once rather than never:
        // this is noticed, and the timer can be set again.
        now.checked_add(delay.min(DELAY_MAX)).unwrap_or(now)
    }

    pub(super) fn run_timer_action(&mut self, id: Id, action: TimerAction) {
        match action {
            TimerAction::Call(call) => {
                let called = guard(|| call(self));
                self.record_call();
                if let Err(panic) = called {
                    self.report_panic("a delayed call panicked", &panic);
                    self.record_panic("a panic in a delayed call");
                }
            }
            TimerAction::ProtocolTimer(connection) => {
                if let Some(connection) = self.connections.find(connection) {
                    let timer = self.public_timer(id);
                    self.call(&connection, Callback::TimerFired(timer));
                }
            }
            TimerAction::Tick(count) => self.tick(id, count),
            // The heap keeps it, and returns a tick.
            TimerAction::RepeatedCall { .. } | TimerAction::ProtocolInterval { .. } => {}
            TimerAction::CloseTimeout(connection) => self.close_timeout_fired(connection),
            TimerAction::CheckTimeouts(connection) => self.check_timeouts(connection),
            TimerAction::ArrivalTimeout(connection) => self.arrival_timed_out(connection),
            TimerAction::RetryConnect(connection) => self.retry_connecting(connection),
            TimerAction::ClientService(service) => self.client_service_due(service),
            TimerAction::LingerEnd(connection) => self.end_linger(connection),
            TimerAction::RateRefill(connection) => self.rate_timer_fired(connection),
            TimerAction::SharedRateRefill(factory, direction) => {
                self.grant_shared_rate(factory, direction)
            }
            TimerAction::RetryAccept(port) => self.retry_accept(port),
            TimerAction::AcceptNext(factory) => self.grant_accept(factory),
            TimerAction::NotifyServiceManager => self.service_timer_fired(),
        }
    }
}
