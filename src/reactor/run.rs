//! Running: start-up, turns until a stop, shutdown.

use super::Reactor;
use super::errors::RunError;
use super::lifecycle::RunState;
use super::lifecycle::{ShutdownReport, Stop};
use super::panic::guard;
use super::queues::ReadBackoffs;
use super::triggers::{Phase, SystemEvent, TriggerId};
use crate::arena::Id;
use crate::reason::Reason;
use std::ops::ControlFlow;
use std::time::Duration;

impl Reactor {
    /// Runs until [`stop`](Self::stop), [`stop_gracefully`](Self::stop_gracefully), SIGINT or
    /// SIGTERM, then shuts down and returns what became of the connections.
    ///
    /// When it has returned, all ports are closed, all connections lost (with [`Reason::Stopped`])
    /// and all factories stopped; the reactor can be used and run again.
    ///
    /// # Errors
    ///
    /// [`RunError`]: it was called from within a callback, or the system refused signals or events.
    pub fn run(&mut self) -> Result<ShutdownReport, RunError> {
        if self.entered {
            return Err(RunError::AlreadyRunning);
        }
        if self.settings.handle_signals {
            self.driver.install_signal_handlers().map_err(RunError::Signals)?;
        }
        self.entered = true;
        self.record_entry();
        let ended = loop {
            match self.one_turn(None) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(report)) => break Ok(report),
                Err(error) => break Err(RunError::Poll(error)),
            }
        };
        self.record_exit();
        self.entered = false;
        self.driver.restore_signal_handlers();
        ended
    }

    /// Runs one turn of the loop, for embedding it in another: waits for events until `timeout` is
    /// over, for ever if it is `None`, and handles them. `Break` once a stop has been carried out.
    /// With a timeout of zero it does not wait; one of more than a day may be over after a day.
    ///
    /// The first turn starts the reactor up. [`next_deadline`](Self::next_deadline) tells when the
    /// next turn is due at the latest; the reactor's descriptor (`AsFd`, on Unix) becomes readable
    /// when there are events. Signals are left alone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.call_later(Duration::from_millis(2), |reactor| reactor.stop());
    /// let mut frames = 0;
    /// while reactor.turn(Some(Duration::from_millis(1)))?.is_continue() {
    ///     frames += 1; // Whatever else this thread does.
    /// }
    /// assert!(frames > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError`]: it was called from within a callback, or the system refused events.
    pub fn turn(
        &mut self,
        timeout: Option<Duration>,
    ) -> Result<ControlFlow<ShutdownReport>, RunError> {
        if self.entered {
            return Err(RunError::AlreadyRunning);
        }
        self.entered = true;
        self.record_entry();
        let turned = self.one_turn(timeout);
        self.record_exit();
        self.entered = false;
        turned.map_err(RunError::Poll)
    }

    /// Asks the reactor to stop. Nothing happens within the call; the reactor shuts down when it
    /// comes to that phase of a turn, in the next one at the latest. Before a run, it makes the run
    /// end as soon as it has begun.
    ///
    /// Connections are cut off; [`stop_gracefully`](Self::stop_gracefully) lets them end.
    pub fn stop(&mut self) {
        self.stop_gracefully(Duration::ZERO);
    }

    /// Who ends a program by its terminal waits for it; whoever else sends a signal gives it time.
    pub(super) fn stop_by_signal(&mut self, name: &str) {
        match name {
            "SIGTERM" => self.stop_gracefully(self.settings.drain_timeout),
            _ => self.stop(),
        }
    }

    /// True from the moment in which start-up begins until shutdown does.
    pub fn is_running(&self) -> bool {
        self.lifecycle.state == RunState::Running
    }

    /// Calls `call` with the timers that are due next if the reactor runs, or else when it has
    /// started up: during shutdown that means in the next run. (`callWhenRunning`)
    pub fn call_when_running(&mut self, call: impl FnOnce(&mut Self) + 'static) {
        if self.is_running() {
            self.call_later(Duration::ZERO, call);
        } else {
            self.add_system_event_trigger(Phase::After, SystemEvent::Startup, call);
        }
    }

    /// Calls `call` once, when the reactor next starts up or shuts down. Triggers of one phase are
    /// called in the order in which they were added. One that is added while those of its phase are
    /// called waits for the next time. A panic in one is logged, and the others are still called.
    /// (`addSystemEventTrigger`)
    pub fn add_system_event_trigger(
        &mut self,
        phase: Phase,
        event: SystemEvent,
        call: impl FnOnce(&mut Self) + 'static,
    ) -> TriggerId {
        TriggerId::new(self.id, self.triggers.add(phase, event, Box::new(call)))
    }

    /// Takes a trigger back. False if it was called already, was removed, or belongs to another
    /// reactor. (`removeSystemEventTrigger`)
    pub fn remove_system_event_trigger(&mut self, trigger: TriggerId) -> bool {
        let own = Some(trigger).filter(|trigger| trigger.reactor == self.id);
        let call = own.and_then(|trigger| self.triggers.remove(trigger));
        let removed = call.is_some();
        if let Err(panic) = guard(|| drop(call)) {
            log::error!("dropping a trigger panicked: {}", panic.0);
        }
        removed
    }

    pub(super) fn fire(&mut self, phase: Phase, event: SystemEvent) {
        // One that is added meanwhile waits for the next time.
        let mark = self.triggers.mark();
        while let Some(call) = self.triggers.next(phase, event, mark) {
            let called = guard(|| call(self));
            self.record_call();
            if let Err(panic) = called {
                log::error!("a trigger {phase:?} {event:?} panicked: {}", panic.0);
            }
        }
    }

    /// True if somebody waits for the first turn.
    pub(super) fn is_to_start_up(&self) -> bool {
        self.lifecycle.state == RunState::Idle && self.triggers.wait_for(SystemEvent::Startup)
    }

    pub(super) fn start_up(&mut self) {
        if self.lifecycle.state == RunState::Idle {
            self.lifecycle.state = RunState::Running;
            for phase in Phase::ALL {
                self.fire(phase, SystemEvent::Startup);
            }
        }
    }

    /// Everything ends, in order: ports, then connections, then factories, then what was to be
    /// called later.
    pub(super) fn shut_down(&mut self) -> ShutdownReport {
        if matches!(self.lifecycle.stop, Stop::No | Stop::Requested(_)) {
            // Dropped, without having been asked to stop.
            self.fire(Phase::Before, SystemEvent::Shutdown);
        }
        self.lifecycle.state = RunState::Stopping;
        self.close_ports();
        self.lose_all();
        let factories: Vec<Id> = self.factories.iter().map(|(id, _)| id).collect();
        for factory in factories {
            self.stop_if_unused(factory);
        }
        self.fire(Phase::During, SystemEvent::Shutdown);
        self.fire(Phase::After, SystemEvent::Shutdown);
        self.forget();
        self.lifecycle.state = RunState::Idle;
        let report = std::mem::take(&mut self.lifecycle.report);
        log::info!("stopped: {report}");
        report
    }

    pub(super) fn close_ports(&mut self) {
        let ports: Vec<Id> = self.ports.iter().map(|(id, _)| id).collect();
        for port in ports {
            self.close_port(port);
        }
    }

    /// Each connection has a last chance to send what is unsent, without waiting.
    fn lose_all(&mut self) {
        let connections: Vec<Id> = self.connections.iter().map(|(id, _)| id).collect();
        for id in connections {
            match self.connections.find(id) {
                Some(connection) => {
                    connection.transport.end(Reason::Stopped);
                    self.settle(&connection);
                }
                None => {
                    self.abort_connecting(id);
                    self.remove_lingering(id);
                }
            }
        }
        // Those who were aborted, before or by one of these callbacks.
        self.report_aborted();
    }

    /// Drops what is left over for a next turn: there is nothing any more that it could concern.
    fn forget(&mut self) {
        self.lifecycle.stop = Stop::No;
        self.fan_out.end();
        self.queues.ready.clear();
        self.queues.bulk.clear();
        self.hub.take_yielded();
        self.queues.read_backoffs = ReadBackoffs::default();
        self.queues.overdue.clear();
        self.queues.listeners.clear();
        self.queues.accept_granted.clear();
        self.queues.unused_factories.clear();
        self.hub.take(Vec::new());
        for job in self.timers.take_all() {
            if let Err(panic) = guard(|| drop(job)) {
                log::error!("dropping a delayed call panicked: {}", panic.0);
            }
        }
        self.forget_work();
        for call in self.calls.take_all() {
            if let Err(panic) = guard(|| drop(call)) {
                log::error!("dropping a call from another thread panicked: {}", panic.0);
            }
        }
    }
}

impl Drop for Reactor {
    /// Shuts down, if there is anything to shut down: a protocol hears of its end in any case.
    fn drop(&mut self) {
        let in_use = self.lifecycle.state == RunState::Running || self.factories.len() > 0;
        if in_use && !std::thread::panicking() {
            self.entered = true;
            self.record_entry();
            self.shut_down();
        }
        if guard(|| self.calls.close()).is_err() {
            log::error!("dropping a call from another thread panicked");
        }
    }
}
