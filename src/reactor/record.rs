//! Records what the loop does, and how long it takes.

use super::Reactor;
use super::metrics::{Metrics, SlowestCallback};
use super::panic::Panic;
use super::recorder::{EventKind, LOG_INTERVAL, nanos};
use crate::arena::Id;
use crate::transport::Transport;
use std::fmt;
use std::io;
use std::time::Duration;

impl Reactor {
    /// Returns counters and times of the reactor since it was created. Recording is always on; this
    /// sums it up. The result is displayed on several lines.
    ///
    /// The reactor reads the clock once after each callback, and the time since the reading before
    /// counts for that callback. So a callback's time covers reading its input, and sending what
    /// the callback before it wrote to its own connection.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.stop();
    /// reactor.run()?;
    /// let metrics = reactor.metrics();
    /// assert_eq!((metrics.accepted, metrics.panics), (0, 0));
    /// println!("{metrics}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics {
            age: self.now().saturating_duration_since(self.recorder.began),
            bytes_sent: self.hub.sent(),
            unsent: self.hub.unsent(),
            timers: self.timers.len(),
            turns: self.recorder.busy.calls,
            busy: self.recorder.busy.into(),
            closures: self.recorder.closures.into(),
            flushes: self.recorder.flushes.into(),
            other: self.recorder.other.into(),
            ..self.recorder.totals.clone()
        };
        self.recorder.sum_up(&mut metrics);
        metrics.open = metrics.connections.values().map(|it| it.open).sum();
        metrics
    }

    /// Returns the last 128 events of the loop as text, a line each, the newest at the end: the
    /// flight recorder, which is also logged with slow callbacks and panics. An event has its age,
    /// its kind, its connection, and for `data_received` the number of bytes.
    ///
    /// `reactor.on_signal("SIGUSR1", |reactor| log::info!("{}", reactor.last_events()))` logs them
    /// whenever an operator asks.
    pub fn last_events(&self) -> String {
        self.recorder.last_events()
    }

    /// Records the end of a wait that brought `ready` events.
    pub(super) fn record_wait(&mut self, ready: usize) {
        self.elapsed();
        let recorder = &mut self.recorder;
        recorder.woken = recorder.age;
        recorder.totals.events += ready as u64;
        recorder.remember(EventKind::Turn, None, ready);
    }

    /// Records the end of a turn's work: the loop is about to wait, or has stopped.
    pub(super) fn record_turn(&mut self) {
        let took = self.elapsed();
        let recorder = &mut self.recorder;
        recorder.other.add(took);
        recorder.busy.add(recorder.age - recorder.woken);
        recorder.woken = recorder.age;
    }

    /// Records what the loop itself has done since the clock was last read.
    pub(super) fn record_other(&mut self) {
        let took = self.elapsed();
        self.recorder.other.total += took;
    }

    /// Records that transports were flushed.
    pub(super) fn record_flush(&mut self) {
        let took = self.elapsed();
        self.recorder.flushes.add(took);
    }

    /// Records the beginning of `run` or `turn`. The time since the last exit was the caller's.
    pub(super) fn record_entry(&mut self) {
        let passed = self.elapsed();
        self.recorder.woken += passed;
    }

    /// Records the end of `run` or `turn`.
    pub(super) fn record_exit(&mut self) {
        self.record_other();
    }

    /// Records that a callback or a reader has returned. Returns how long it took, in nanoseconds.
    pub(super) fn record_callback(
        &mut self,
        kind: EventKind,
        transport: &Transport,
        amount: usize,
    ) -> u64 {
        let took = self.elapsed();
        self.recorder.remember(kind, Some(transport.slot()), amount);
        let factory = transport.factory();
        if let Some(slot) = self.factories.get(factory) {
            self.recorder.totals_mut(slot.totals).calls.add(took);
        }
        if took > self.recorder.slowest {
            self.record_slowest(kind, transport, took);
        }
        if took >= self.recorder.slow {
            let (name, peer) = (self.protocol_name(factory), transport.peer_address());
            let (kind, took) = (kind.name(), Duration::from_nanos(took));
            self.log_events(&format!("{name} of {peer} took {took:?} ({kind})"));
        }
        took
    }

    #[cold]
    fn record_slowest(&mut self, kind: EventKind, transport: &Transport, took: u64) {
        self.recorder.slowest = took;
        let took = Duration::from_nanos(took);
        self.recorder.totals.slowest = Some(SlowestCallback {
            protocol: self.protocol_name(transport.factory()),
            callback: kind.name().to_owned(),
            connection: transport.id(),
            peer: transport.peer_address(),
            took,
        });
    }

    /// Records that a closure has returned.
    pub(super) fn record_call(&mut self) {
        let took = self.elapsed();
        self.recorder.remember(EventKind::Closure, None, 0);
        self.recorder.closures.add(took);
        if took >= self.recorder.slow {
            self.log_events(&format!("a closure took {:?}", Duration::from_nanos(took)));
        }
    }

    /// Records that a connection has got a protocol.
    pub(super) fn record_established(&mut self, transport: &Transport) {
        let is_outgoing = transport.is_outgoing();
        let (accepted, connected) = (u64::from(!is_outgoing), u64::from(is_outgoing));
        self.recorder.totals.accepted += accepted;
        self.recorder.totals.connected += connected;
        if let Some(slot) = self.factories.get(transport.factory()) {
            let totals = &mut self.recorder.totals_mut(slot.totals).connections;
            totals.accepted += accepted;
            totals.connected += connected;
        }
        let kind = if is_outgoing { EventKind::Connected } else { EventKind::Accepted };
        self.record_event(kind, transport.slot());
    }

    /// Records an event without a callback.
    pub(super) fn record_event(&mut self, kind: EventKind, connection: Id) {
        self.recorder.remember(kind, Some(connection), 0);
    }

    /// Reads the clock; returns the nanoseconds since it was last read.
    #[inline]
    fn elapsed(&mut self) -> u64 {
        let now = self.now();
        let recorder = &mut self.recorder;
        let took = nanos(now.saturating_duration_since(recorder.mark));
        recorder.mark = now;
        recorder.age += took;
        took
    }

    /// Logs a panic of user code, and tells a test's observer of it. `what` names the callback, the
    /// protocol and the peer.
    #[cold]
    pub(super) fn report_panic(&self, what: impl fmt::Display, panic: &Panic) {
        log::error!("{what}: {}", panic.0);
        #[cfg(feature = "testing")]
        if let Some(observer) = &self.observer {
            observer.observe_panic(&what, &panic.0);
        }
    }

    /// Reports and counts a panic of code that TLS has called for a connection, if `error` holds
    /// one: its stream has contained it.
    pub(super) fn report_tls_panic(
        &mut self,
        transport: &Transport,
        error: &io::Error,
    ) -> Option<Panic> {
        let panic = Panic::within(error)?.clone();
        let protocol = self.protocol_name(transport.factory());
        let peer = transport.peer_address();
        self.report_panic(format_args!("the TLS of {protocol} of {peer} panicked"), &panic);
        self.record_panic(&format!("a panic in the TLS of {protocol}"));
        Some(panic)
    }

    /// Counts a panic of user code, and logs the last events.
    #[cold]
    pub(super) fn record_panic(&mut self, what: &str) {
        self.recorder.totals.panics += 1;
        self.log_events(what);
    }

    #[cold]
    fn log_events(&mut self, why: &str) {
        let recorder = &mut self.recorder;
        let now = recorder.mark;
        if recorder.logged.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            recorder.logged = Some(now);
            log::warn!("{why}; the last events:\n{}", recorder.last_events());
        } else {
            log::warn!("{why}");
        }
    }
}
