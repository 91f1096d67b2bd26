//! Graceful stop: the reactor drains its connections before it shuts down.

use super::Reactor;
use super::callback::Callback;
use super::lifecycle::RunState;
use super::lifecycle::ShutdownGuard;
use super::lifecycle::ShutdownReport;
use super::lifecycle::Stop;
use super::lifecycle::StopCause;
use super::open_port::OpenPort;
use super::triggers::{Phase, SystemEvent};
use crate::arena::Id;
use crate::reason::Reason;
use std::time::{Duration, Instant};

/// Turns that read what had arrived when ports were closed; one is enough unless each poll was full
/// or bulk connections wait. A peer that does not stop sending must not delay the drain.
const LAST_READS_MAX: u32 = 64;

impl Reactor {
    /// Requests a graceful stop, which drains connections for `deadline` at most.
    ///
    /// Nothing happens within the call. In phase 3 of a turn, of the next one at the latest:
    ///
    /// 1. The triggers *before* shutdown are called. As long as a [`ShutdownGuard`] holds the
    ///    shutdown ([`hold_shutdown`](Self::hold_shutdown)), everything continues.
    /// 2. Clients in the backlogs are accepted, whatever accept rate is set, and ports are closed,
    ///    but those of a [`MetricsPage`](crate::metrics::MetricsPage) or an `Inspector`.
    ///    Attempts to connect are given up, client services make no further ones, and from now on
    ///    `listen` and `connect_tcp` fail. Data that has arrived by now is read.
    /// 3. Each protocol hears [`drain_requested`](crate::Protocol::drain_requested), which by
    ///    default closes its connection gracefully, unless it feeds another one. Reading, writing,
    ///    timers and calls continue.
    /// 4. When no connection is left, or at the deadline, the reactor shuts down as after
    ///    [`stop`](Self::stop). It also waits for a closed connection whose peer has sent something
    ///    since the drain began, until the peer closes or is silent for half a second.
    ///
    /// One of several shards stops them all; see [`Shards`](crate::shards::Shards).
    ///
    /// A deadline of zero equals `stop`, which ends a drain at once; `Duration::MAX` waits for the
    /// last connection, however long that takes. If this is called again during a drain, the sooner
    /// deadline counts. The [`ShutdownReport`] that [`run`](Self::run) returns says how the
    /// connections ended.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.stop_gracefully(Duration::from_secs(5));
    /// let report = reactor.run()?;
    /// assert_eq!(report.aborted, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_gracefully(&mut self, deadline: Duration) {
        self.stop_all(deadline, StopCause::Request);
    }

    /// Requests a stop of this reactor, and of the other shards.
    pub(super) fn stop_all(&mut self, deadline: Duration, cause: StopCause) {
        self.stop_alone(deadline, cause);
        if let Some(relay) = &self.stop_relay {
            relay(self.due_in(deadline), cause);
        }
    }

    /// Passes each request to stop on, with its deadline: the reactor is one of several shards.
    pub(crate) fn set_stop_relay(&mut self, relay: impl Fn(Instant, StopCause) + 'static) {
        self.stop_relay = Some(Box::new(relay));
    }

    /// Requests the stop that another shard has passed on.
    pub(crate) fn stop_with_others(&mut self, until: Instant, cause: StopCause) {
        self.stop_alone(until.saturating_duration_since(self.now()), cause);
    }

    fn stop_alone(&mut self, deadline: Duration, cause: StopCause) {
        if let StopCause::HandOver { process } = cause {
            self.note_handed_over(process);
        }
        let until = self.due_in(deadline);
        match &mut self.lifecycle.stop {
            Stop::No => self.lifecycle.stop = Stop::Requested(deadline),
            Stop::Requested(earlier) => *earlier = deadline.min(*earlier),
            Stop::AwaitGuards { until: earlier }
            | Stop::LastReads { until: earlier, .. }
            | Stop::Draining { until: earlier } => *earlier = until.min(*earlier),
        }
    }

    /// Holds a graceful shutdown, up to its deadline, until the returned guard is dropped: for work
    /// that must finish while all connections are established. Call it in a trigger *before*
    /// shutdown, or at any time earlier. A plain [`stop`](Self::stop) ignores guards. (The Deferred
    /// that a trigger returns.)
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::system_event::{Phase, SystemEvent};
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, |reactor| {
    ///     let hold = reactor.hold_shutdown();
    ///     // Work that takes a while; the shutdown continues when it is done.
    ///     reactor.call_later(Duration::from_millis(1), move |_| drop(hold));
    /// });
    /// reactor.stop_gracefully(Duration::from_secs(5));
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hold_shutdown(&self) -> ShutdownGuard {
        ShutdownGuard::new(&self.lifecycle.holds)
    }

    /// Returns true from the closing of ports for a graceful stop until the stop is done.
    pub fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Returns true once a stop is requested.
    pub(crate) fn is_stop_requested(&self) -> bool {
        !matches!(self.lifecycle.stop, Stop::No)
    }

    /// Advances a requested stop. Returns the report if the reactor has shut down.
    pub(super) fn stop_if_asked(&mut self) -> Option<ShutdownReport> {
        self.is_to_shut_down().then(|| self.shut_down())
    }

    fn is_to_shut_down(&mut self) -> bool {
        if let Stop::Requested(deadline) = self.lifecycle.stop {
            let until = self.due_in(deadline);
            self.lifecycle.stop = Stop::AwaitGuards { until };
            self.notify_stopping(until);
            self.fire(Phase::Before, SystemEvent::Shutdown);
        }
        if let Stop::AwaitGuards { until } = self.lifecycle.stop {
            if self.now() >= until {
                return true;
            }
            if self.lifecycle.holds.any() {
                return false;
            }
            self.lifecycle.stop = Stop::LastReads { until, turns: 0 };
            self.begin_last_reads();
        } else if let Stop::LastReads { until, turns } = self.lifecycle.stop {
            if turns < LAST_READS_MAX && self.may_have_more_to_read() {
                self.lifecycle.stop = Stop::LastReads { until, turns: turns + 1 };
            } else {
                self.lifecycle.stop = Stop::Draining { until };
                self.ask_to_drain();
            }
        }
        match self.lifecycle.stop {
            Stop::LastReads { until, .. } | Stop::Draining { until } => {
                self.is_drained() || self.now() >= until
            }
            _ => false,
        }
    }

    /// Returns true if data that has arrived may not have been delivered yet.
    fn may_have_more_to_read(&self) -> bool {
        self.driver.may_have_more() || !self.queues.bulk.is_empty() || self.hub.has_yielded()
    }

    /// Returns true if the drain has nothing left to wait for.
    fn is_drained(&self) -> bool {
        self.draining_count() == 0 && self.lingerers.sending() == 0
    }

    /// Returns the number of connections that a drain waits for.
    pub(crate) fn draining_count(&self) -> usize {
        self.connection_count() - self.out_of_band_connections
    }

    /// Returns the deadline of a graceful stop that is under way.
    #[cfg(unix)]
    pub(crate) fn drain_deadline(&self) -> Option<Instant> {
        match self.lifecycle.stop {
            Stop::No => None,
            Stop::Requested(deadline) => Some(self.due_in(deadline)),
            Stop::AwaitGuards { until }
            | Stop::LastReads { until, .. }
            | Stop::Draining { until } => Some(until),
        }
    }

    /// Returns the deadline of a drain that a signal begins.
    #[cfg(unix)]
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.settings.drain_timeout
    }

    /// Accepts the clients in the backlogs, closes the ports, ends client services that wait, and
    /// gives up attempts to connect.
    fn begin_last_reads(&mut self) {
        let is_to_close = |it: &(Id, &OpenPort)| !self.is_out_of_band(it.1.factory());
        let ports: Vec<Id> = self.ports.iter().filter(is_to_close).map(|(id, _)| id).collect();
        for port in &ports {
            self.accept_last(*port);
        }
        log::info!("draining {} connections", self.draining_count());
        for port in ports {
            self.close_port(port);
        }
        self.end_client_services();
        let connections: Vec<Id> = self.connections.iter().map(|(id, _)| id).collect();
        for id in connections {
            if !self.is_arriving_out_of_band(id) {
                self.abort_arriving(id);
            }
            if let Some(connection) = self.connections.find(id) {
                connection.transport.connection().clear_sent_since_drain();
                // Read in this turn, whether or not its wait reports what has arrived: a wait may
                // return early.
                let is_newly_listed = connection.transport.connection().look();
                self.queues.ready.extend(is_newly_listed.then_some(id));
            }
        }
        self.clear_received_since_drain();
    }

    /// Calls `drain_requested` for all connections that are not ending already.
    fn ask_to_drain(&mut self) {
        let connections: Vec<Id> = self.connections.iter().map(|(id, _)| id).collect();
        for id in connections {
            if let Some(connection) =
                self.connections.find(id).filter(|it| it.transport.connection().is_open())
            {
                self.call(&connection, Callback::DrainRequested);
            }
        }
    }

    /// Returns when the loop has to check a stop again, if one is requested.
    pub(super) fn stop_deadline(&self) -> Option<Instant> {
        match self.lifecycle.stop {
            Stop::No => None,
            Stop::AwaitGuards { until } if self.lifecycle.holds.any() => Some(until),
            Stop::Draining { until } if !self.is_drained() => Some(until),
            _ => Some(self.now()),
        }
    }

    /// Counts, for the report, a connection that ends with `unsent` bytes unsent.
    pub(super) fn record_for_report(&mut self, reason: &Reason, unsent: usize) {
        if self.lifecycle.state == RunState::Stopping {
            self.lifecycle.report.aborted += 1;
        } else if !self.is_draining() {
            return;
        } else if reason.is_done() {
            self.lifecycle.report.drained += 1;
        } else {
            self.lifecycle.report.lost += 1;
        }
        self.record_bytes_lost(unsent);
    }

    /// Counts, for the report, an attempt to connect that is given up with `unsent` bytes written.
    pub(super) fn record_abandoned(&mut self, unsent: usize) {
        self.lifecycle.report.aborted += 1;
        self.record_bytes_lost(unsent);
    }

    /// Counts, for the report, bytes that were written and will not be sent.
    pub(super) fn record_bytes_lost(&mut self, count: usize) {
        if self.lifecycle.refuses_new() {
            self.lifecycle.report.bytes_lost += count as u64;
        }
    }
}
