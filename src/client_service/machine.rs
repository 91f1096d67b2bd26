//! The states of a client service, and what moves it from one to the other. Pure: in go events and
//! the time, out come actions.

use super::state::ServiceState;
use std::time::{Duration, Instant};

/// The longest delay, to which longer ones are cut: that of the reactor's timers.
const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A client service as a value. `C` is a connection, or an attempt to make one.
#[derive(Debug)]
pub(crate) struct Machine<C> {
    state: State<C>,
    /// Failures, and losses, since the service was started, was restarted or was last stable.
    failures: u32,
    /// The delay before the latest attempt.
    delay: Duration,
    /// Lifetime of a connection after which the service is stable, if it is set.
    stable_after: Option<Duration>,
    /// Time for a connection to be prepared, if the service asks for that.
    prepare_timeout: Option<Duration>,
}

/// What a service is doing. It has an attempt, or a connection, or a deadline, or nothing.
#[derive(Debug)]
enum State<C> {
    /// The loop is about to begin an attempt.
    Starting,
    Connecting {
        attempt: C,
    },
    /// The connection is established, and `connection_made` has yet to return.
    Making {
        connection: C,
    },
    Preparing {
        connection: C,
        until: Instant,
    },
    Connected {
        connection: C,
        since: Instant,
    },
    Waiting {
        until: Instant,
    },
    /// It ends with its connection.
    Stopping {
        connection: C,
    },
    /// It connects again when its connection is over.
    Restarting {
        connection: C,
    },
    Stopped,
}

/// What happens to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The connection is established, and its protocol is built; `connection_made` follows.
    Established,
    /// `connection_made` has returned, and the connection stands.
    Made,
    /// The protocol says that the connection is prepared.
    Prepared,
    /// The attempt has failed, or the connection is lost.
    Over,
    /// The deadline may have passed.
    Due,
    /// Requests of the user.
    Stop,
    Abort,
    Restart,
    /// The reactor drains or stops: it ends the connection itself, and the service makes no other.
    Leave,
}

/// What the loop does next for a service. The deadline may have changed as well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<C> {
    Nothing,
    /// Begin an attempt, and report it by [`Machine::began`].
    Connect,
    /// Tell those who wait that the service is connected.
    Announce,
    /// Tell the factory that the next attempt begins after `delay`. `is_failure`: tell those who
    /// wait that there was another failure.
    Retry {
        is_failure: bool,
        failures: u32,
        delay: Duration,
    },
    /// Close the connection gracefully.
    Close(C),
    /// Abort the connection, or give the attempt up.
    Abort(C),
    /// End the connection, which was not prepared in time.
    TimeOut(C),
    /// The service has ended: release what it holds.
    End,
}

impl<C: Clone> Machine<C> {
    /// Returns a service whose first attempt is about to begin.
    pub(crate) fn new(stable_after: Option<Duration>, prepare_timeout: Option<Duration>) -> Self {
        let (failures, delay) = (0, Duration::ZERO);
        Self { state: State::Starting, failures, delay, stable_after, prepare_timeout }
    }

    /// The attempt of [`Action::Connect`] has begun.
    pub(crate) fn began(&mut self, attempt: C) {
        if let State::Starting = self.state {
            self.state = State::Connecting { attempt };
        }
    }

    /// Moves the service, and returns what the reactor has to do. `policy` returns the delay after
    /// a number of failures; it is asked when the service begins to wait.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        now: Instant,
        policy: impl FnOnce(u32) -> Duration,
    ) -> Action<C> {
        match event {
            Event::Established => self.established(now),
            Event::Made => self.made(now),
            Event::Prepared => self.prepared(now),
            Event::Over => self.over(now, policy),
            Event::Due => self.due(now),
            Event::Stop => self.stop(Action::Close),
            Event::Abort => self.stop(Action::Abort),
            Event::Restart => self.restart(),
            Event::Leave => self.leave(),
        }
    }

    fn established(&mut self, now: Instant) -> Action<C> {
        if let State::Connecting { attempt } = &self.state {
            let connection = attempt.clone();
            self.state = match self.prepare_timeout {
                Some(timeout) => State::Preparing { connection, until: after(now, timeout) },
                None => State::Making { connection },
            };
        }
        Action::Nothing
    }

    fn made(&mut self, now: Instant) -> Action<C> {
        match &self.state {
            State::Making { connection } => {
                self.state = State::Connected { connection: connection.clone(), since: now };
                Action::Announce
            }
            _ => Action::Nothing,
        }
    }

    fn prepared(&mut self, now: Instant) -> Action<C> {
        match &self.state {
            State::Preparing { connection, .. } => {
                self.state = State::Connected { connection: connection.clone(), since: now };
                Action::Announce
            }
            _ => Action::Nothing,
        }
    }

    fn over(&mut self, now: Instant, policy: impl FnOnce(u32) -> Duration) -> Action<C> {
        let is_failure = match self.state {
            State::Connecting { .. } | State::Making { .. } | State::Preparing { .. } => true,
            State::Connected { since, .. } => {
                let lived = now.saturating_duration_since(since);
                if lived >= self.stable_after.unwrap_or(self.delay) {
                    self.failures = 0;
                }
                false
            }
            State::Stopping { .. } => return self.end(),
            State::Restarting { .. } => return self.connect_at_once(),
            State::Starting | State::Waiting { .. } | State::Stopped => return Action::Nothing,
        };
        self.failures = self.failures.saturating_add(1);
        let (failures, delay) = (self.failures, policy(self.failures).min(DELAY_MAX));
        (self.delay, self.state) = (delay, State::Waiting { until: after(now, delay) });
        Action::Retry { is_failure, failures, delay }
    }

    fn due(&mut self, now: Instant) -> Action<C> {
        match &self.state {
            State::Waiting { until } if now >= *until => {
                self.state = State::Starting;
                Action::Connect
            }
            State::Preparing { connection, until } if now >= *until => {
                Action::TimeOut(connection.clone())
            }
            _ => Action::Nothing,
        }
    }

    fn stop(&mut self, end_connection: fn(C) -> Action<C>) -> Action<C> {
        let connection = match &self.state {
            // Not established yet: there is nothing to close gracefully.
            State::Connecting { attempt } => {
                let attempt = attempt.clone();
                self.state = State::Stopping { connection: attempt.clone() };
                return Action::Abort(attempt);
            }
            State::Making { connection }
            | State::Preparing { connection, .. }
            | State::Connected { connection, .. }
            | State::Stopping { connection }
            | State::Restarting { connection } => connection.clone(),
            State::Starting | State::Waiting { .. } => return self.end(),
            State::Stopped => return Action::Nothing,
        };
        self.state = State::Stopping { connection: connection.clone() };
        end_connection(connection)
    }

    fn restart(&mut self) -> Action<C> {
        let (connection, action) = match &self.state {
            State::Making { connection }
            | State::Preparing { connection, .. }
            | State::Connected { connection, .. } => {
                (connection.clone(), Action::Close(connection.clone()))
            }
            // It is ending already.
            State::Stopping { connection } => (connection.clone(), Action::Nothing),
            State::Waiting { .. } => return self.connect_at_once(),
            State::Starting
            | State::Connecting { .. }
            | State::Restarting { .. }
            | State::Stopped => return Action::Nothing,
        };
        self.state = State::Restarting { connection };
        action
    }

    fn leave(&mut self) -> Action<C> {
        let connection = match &self.state {
            State::Connecting { attempt: connection }
            | State::Making { connection }
            | State::Preparing { connection, .. }
            | State::Connected { connection, .. }
            | State::Stopping { connection }
            | State::Restarting { connection } => connection.clone(),
            State::Starting | State::Waiting { .. } => return self.end(),
            State::Stopped => return Action::Nothing,
        };
        self.state = State::Stopping { connection };
        Action::Nothing
    }

    fn connect_at_once(&mut self) -> Action<C> {
        (self.failures, self.delay, self.state) = (0, Duration::ZERO, State::Starting);
        Action::Connect
    }

    fn end(&mut self) -> Action<C> {
        self.state = State::Stopped;
        Action::End
    }

    /// Returns when [`Event::Due`] is due, if it is.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Preparing { until, .. } | State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// Returns the connection, if the service is connected.
    pub(crate) fn connected(&self) -> Option<&C> {
        match &self.state {
            State::Connected { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// Returns the connection, if it has yet to be prepared.
    pub(crate) fn preparing(&self) -> Option<&C> {
        match &self.state {
            State::Preparing { connection, .. } => Some(connection),
            _ => None,
        }
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn state(&self) -> ServiceState {
        match self.state {
            State::Starting | State::Connecting { .. } | State::Making { .. } => {
                ServiceState::Connecting
            }
            State::Preparing { until, .. } => ServiceState::Preparing { until },
            State::Connected { since, .. } => ServiceState::Connected { since },
            State::Waiting { until } => ServiceState::Waiting { until },
            State::Stopping { .. } => ServiceState::Stopping,
            State::Restarting { .. } => ServiceState::Restarting,
            State::Stopped => ServiceState::Stopped,
        }
    }
}

/// Returns the time after a delay. If the clock ends before that, it is now.
fn after(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay.min(DELAY_MAX)).unwrap_or(now)
}
