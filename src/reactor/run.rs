//! Runs the reactor: start-up, turns until a stop, shutdown.

use super::Reactor;
use super::errors::RunError;
use super::lifecycle::RunState;
use super::lifecycle::{ShutdownReport, Stop};
use super::panic::guard;
use super::queues::ReadBackoffs;
use super::succession::Succession;
use super::triggers::{Phase, SystemEvent, TriggerId};
use crate::arena::Id;
use crate::reason::Reason;
use std::ops::ControlFlow;
use std::time::Duration;

impl Reactor {
    /// Runs until [`stop`](Self::stop), [`stop_gracefully`](Self::stop_gracefully), SIGINT or
    /// SIGTERM, then shuts down and reports how the connections ended.
    ///
    /// After it has returned, all ports are closed, all connections lost (with [`Reason::Stopped`])
    /// and all factories stopped; the reactor can be used and run again.
    ///
    /// # Errors
    ///
    /// [`RunError`]: it was called from within a callback, the signal handlers could not be
    /// installed, the poller failed, or a predecessor has not let this process take over. After
    /// that one the reactor has shut down, as after a stop.
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
                Err(error) => break Err(error),
            }
        };
        self.record_exit();
        self.entered = false;
        self.driver.restore_signal_handlers();
        ended
    }

    /// Runs one turn of the loop, to embed it in another: waits for events until `timeout` is over,
    /// for ever if it is `None`, and handles them. Returns `Break` once the reactor has shut down.
    /// With a timeout of zero it does not wait; a timeout of more than a day may end after a day.
    ///
    /// The first turn starts the reactor up. [`next_deadline`](Self::next_deadline) tells when the
    /// next turn is due at the latest; the reactor's descriptor (`AsFd`, on Unix) becomes readable
    /// when there are events. Signal handlers are not installed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.call_later(Duration::from_millis(2), |reactor| reactor.stop());
    /// let mut frames = 0;
    /// while reactor.turn(Some(Duration::from_millis(1)))?.is_continue() {
    ///     frames += 1; // This thread's other work.
    /// }
    /// assert!(frames > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError`]: it was called from within a callback, the poller failed, or a predecessor has
    /// not let this process take over, after which the reactor has shut down.
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
        turned
    }

    /// Requests an immediate stop. Nothing happens within the call; the reactor shuts down in phase
    /// 3 of a turn, of the next one at the latest. Before a run, it makes the run end as soon as it
    /// has begun.
    ///
    /// Connections are cut off; [`stop_gracefully`](Self::stop_gracefully) lets them end.
    pub fn stop(&mut self) {
        self.stop_gracefully(Duration::ZERO);
    }

    /// Stops as a signal demands. SIGINT comes from a person waiting at a terminal: stop at once.
    /// SIGTERM comes from a supervisor: drain first.
    pub(super) fn stop_by_signal(&mut self, name: &str) {
        match name {
            "SIGTERM" => self.stop_gracefully(self.settings.drain_timeout),
            _ => self.stop(),
        }
    }

    /// Returns true from the beginning of start-up until the beginning of shutdown.
    pub fn is_running(&self) -> bool {
        self.lifecycle.state == RunState::Running
    }

    /// Calls `call` in the next timer phase if the reactor is running, or else after it has started
    /// up; during shutdown this means in the next run. (`callWhenRunning`)
    pub fn call_when_running(&mut self, call: impl FnOnce(&mut Self) + 'static) {
        if self.is_running() {
            self.call_later(Duration::ZERO, call);
        } else {
            self.add_system_event_trigger(Phase::After, SystemEvent::Startup, call);
        }
    }

    /// Calls `call` once, when the reactor next starts up or shuts down. Triggers of one phase are
    /// called in the order in which they were added. A trigger that is added while those of its
    /// phase are called waits for the next start-up or shutdown. A panic in one is logged, and the
    /// others are still called.
    /// (`addSystemEventTrigger`)
    pub fn add_system_event_trigger(
        &mut self,
        phase: Phase,
        event: SystemEvent,
        call: impl FnOnce(&mut Self) + 'static,
    ) -> TriggerId {
        TriggerId::new(self.id, self.triggers.add(phase, event, Box::new(call)))
    }

    /// Removes a trigger. Returns false if it was called already, was removed, or belongs to
    /// another reactor. (`removeSystemEventTrigger`)
    pub fn remove_system_event_trigger(&mut self, trigger: TriggerId) -> bool {
        let own = Some(trigger).filter(|trigger| trigger.reactor == self.id);
        let call = own.and_then(|trigger| self.triggers.remove(trigger));
        let removed = call.is_some();
        if let Err(panic) = guard(|| drop(call)) {
            self.report_panic("dropping a trigger panicked", &panic);
        }
        removed
    }

    pub(super) fn fire(&mut self, phase: Phase, event: SystemEvent) {
        // Triggers that are added meanwhile wait for the next event.
        let mark = self.triggers.mark();
        while let Some(call) = self.triggers.next(phase, event, mark) {
            let called = guard(|| call(self));
            self.record_call();
            if let Err(panic) = called {
                self.report_panic(format_args!("a trigger {phase:?} {event:?} panicked"), &panic);
            }
        }
    }

    /// Returns true if triggers, or a service manager, wait for the first turn of a run.
    pub(super) fn is_to_start_up(&self) -> bool {
        self.lifecycle.state == RunState::Idle
            && (self.triggers.wait_for(SystemEvent::Startup)
                || self.service.is_some()
                || self.predecessor.is_some())
    }

    pub(super) fn start_up(&mut self) -> Result<(), RunError> {
        if self.lifecycle.state == RunState::Idle {
            self.lifecycle.state = RunState::Running;
            for phase in Phase::ALL {
                self.fire(phase, SystemEvent::Startup);
            }
            self.succeed()?;
            self.notify_changes();
        }
        Ok(())
    }

    /// Ends everything, in this order: ports, connections, factories, pending calls.
    pub(super) fn shut_down(&mut self) -> ShutdownReport {
        if matches!(self.lifecycle.stop, Stop::No | Stop::Requested(_)) {
            // The reactor was dropped without a request to stop.
            self.notify_stopping(self.now());
            self.fire(Phase::Before, SystemEvent::Shutdown);
        }
        self.lifecycle.state = RunState::Stopping;
        self.close_ports();
        self.release_kept_factories();
        self.end_client_services();
        self.lose_all();
        let factories: Vec<Id> = self.factories.iter().map(|(id, _)| id).collect();
        for factory in factories {
            self.stop_if_unused(factory);
        }
        self.fire(Phase::During, SystemEvent::Shutdown);
        self.fire(Phase::After, SystemEvent::Shutdown);
        self.answer_stopped();
        self.drop_leftovers();
        self.end_notifications();
        self.lifecycle.state = RunState::Idle;
        let report = std::mem::take(&mut self.lifecycle.report);
        log::info!("stopped: {report}");
        report
    }

    fn close_ports(&mut self) {
        let ports: Vec<Id> = self.ports.iter().map(|(id, _)| id).collect();
        for port in ports {
            self.close_port(port);
        }
    }

    /// Ends all connections. Each is offered its unsent bytes once, without waiting.
    fn lose_all(&mut self) {
        let connections: Vec<Id> = self.connections.iter().map(|(id, _)| id).collect();
        for id in connections {
            match self.connections.find(id) {
                Some(connection) => {
                    connection.transport.end(Reason::Stopped);
                    self.settle(&connection);
                }
                None => {
                    self.abort_arriving(id);
                    self.remove_lingering(id);
                }
            }
        }
        // Connections that were aborted before, or by one of these callbacks.
        self.report_aborted();
    }

    /// Drops the work that is left for a next turn: all that it concerned is gone.
    fn drop_leftovers(&mut self) {
        self.lifecycle.stop = Stop::No;
        self.succession = Succession::None;
        self.fan_out.end();
        self.queues.ready.clear();
        self.queues.bulk.clear();
        self.queues.handshakes.clear();
        self.hub.take_yielded();
        self.queues.read_backoffs = ReadBackoffs::default();
        self.queues.overdue.clear();
        self.queues.listeners.clear();
        self.queues.accept_granted.clear();
        self.queues.unused_factories.clear();
        self.hub.take(Vec::new());
        for action in self.timers.take_all() {
            if let Err(panic) = guard(|| drop(action)) {
                self.report_panic("dropping a delayed call panicked", &panic);
            }
        }
        for waiting in std::mem::take(&mut self.stopped_calls) {
            if let Err(panic) = guard(|| drop(waiting)) {
                self.report_panic("dropping a call that waited for a client service", &panic);
            }
        }
        self.drop_repeated_calls();
        self.drop_pending_work();
        self.close_mailboxes();
        for call in self.calls.take_all() {
            if let Err(panic) = guard(|| drop(call)) {
                self.report_panic("dropping a call from another thread panicked", &panic);
            }
        }
    }
}

impl Drop for Reactor {
    /// Shuts down if the reactor is in use, so that every protocol hears of its end.
    fn drop(&mut self) {
        let in_use = self.lifecycle.state == RunState::Running || self.factories.len() > 0;
        if in_use && !std::thread::panicking() {
            self.entered = true;
            self.record_entry();
            self.shut_down();
        }
        self.drop_signal_calls();
        self.close_mailboxes();
        if let Err(panic) = guard(|| self.calls.close()) {
            self.report_panic("dropping a call from another thread panicked", &panic);
        }
    }
}
