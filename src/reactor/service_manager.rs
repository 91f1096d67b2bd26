//! The service manager, such as systemd, that a run of the reactor notifies.

use super::Reactor;
use super::calls::Calls;
use super::lifecycle::{RunState, Stop};
use super::service_notifier::{Reload, ReloadGuard, ServiceNotifier};
use super::timers::TimerAction;
use crate::driver::Notification;
use std::sync::Arc;
use std::time::Instant;

/// A reload that posts a call to the loop when its last guard is dropped, on any thread.
#[derive(Debug)]
struct PostedReload {
    calls: Arc<Calls>,
}

impl Reload for PostedReload {}

impl Drop for PostedReload {
    fn drop(&mut self) {
        self.calls.finish(Reactor::notify_changes);
    }
}

impl Reactor {
    /// Notifies the service manager, such as systemd, of this run: of the next one, or of the one
    /// that is under way. Returns false if there is none, or none that wants to hear: the
    /// environment variable `NOTIFY_SOCKET` is not set, or is invalid, which is logged as a
    /// warning. Nothing is sent then. (sd_notify(3))
    ///
    /// The manager hears:
    ///
    /// - `READY=1`, when start-up is complete: all triggers of start-up, and the closures of
    ///   [`call_when_running`](Self::call_when_running), have been called, so that all ports which
    ///   they open are open. A start-up that requests a stop is never ready.
    /// - `WATCHDOG=1`, at half of the time within which the manager wants to hear from the process
    ///   (`WatchdogSec=`), from a timer of the loop: a turn that does not end gets the process
    ///   killed.
    /// - `RELOADING=1` and `STATUS=`, when the program calls
    ///   [`notify_reloading`](Self::notify_reloading) and [`notify_status`](Self::notify_status).
    /// - `STOPPING=1`, when a stop begins, before the triggers *before* shutdown are called. While
    ///   the reactor drains, `EXTEND_TIMEOUT_USEC=` asks for the time up to its deadline and five
    ///   seconds more, for at most half a minute at a time.
    ///
    /// No notification blocks. The last ones that the manager has no room for are sent again, every
    /// tenth of a second; failures are logged, once in five seconds at most, and have no other
    /// effect.
    ///
    /// A service has one process and one reactor that notify. Processes that the program starts
    /// inherit `NOTIFY_SOCKET`; systemd ignores what they send, unless the unit says otherwise
    /// (`NotifyAccess=`).
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// if !reactor.notify_service_manager() {
    ///     log::info!("started by hand");
    /// }
    /// # reactor.stop();
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_service_manager(&mut self) -> bool {
        if self.service.is_some() {
            return true;
        }
        match self.driver.find_service_manager(self.has_predecessor()) {
            Ok(Some(manager)) => {
                let is_late = self.lifecycle.state != RunState::Idle;
                let changed = is_late.then(|| self.now());
                self.service = Some(Box::new(ServiceNotifier::new(manager, changed)));
                self.set_service_timer();
                true
            }
            Ok(None) => false,
            Err(error) => {
                log::warn!("cannot notify the service manager: {error}");
                false
            }
        }
    }

    /// Sends `STATUS=` to the service manager, a line that `systemctl status` shows. Without
    /// [`notify_service_manager`](Self::notify_service_manager), or when that has returned false,
    /// this does nothing.
    ///
    /// Line breaks and other control characters become blanks, and a status of more than 1024 bytes
    /// is cut.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.notify_service_manager();
    /// reactor.call_every(Duration::from_secs(10), |reactor| {
    ///     reactor.notify_status(&format!("{} clients", reactor.connection_count()));
    ///     ControlFlow::Continue(())
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn notify_status(&mut self, status: &str) {
        if let Some(service) = &mut self.service {
            service.send(Notification::status(status), &mut *self.driver);
            self.set_service_timer();
        }
    }

    /// Tells the service manager that the program reloads its configuration, `RELOADING=1` with the
    /// current time, until the returned guard is dropped: in the next turn at the latest it hears
    /// `READY=1` again. With several guards, that is when the last is dropped.
    ///
    /// A unit of `Type=notify-reload` gets a SIGHUP from `systemctl reload`, which returns when the
    /// service is ready again. Before start-up is complete, during a stop, and without
    /// [`notify_service_manager`](Self::notify_service_manager) nothing is sent.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.notify_service_manager();
    /// reactor.on_signal("SIGHUP", |reactor| {
    ///     let reloading = reactor.notify_reloading();
    ///     let read = || std::fs::read_to_string("/etc/example.conf");
    ///     reactor.defer_to_thread(read, move |_reactor, configuration| {
    ///         log::info!("the configuration: {configuration:?}");
    ///         drop(reloading);
    ///     });
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn notify_reloading(&mut self) -> ReloadGuard {
        let Some(service) = &mut self.service else {
            return ReloadGuard::default();
        };
        let reload = || PostedReload { calls: Arc::clone(&self.calls) };
        let guard = service.begin_reload(reload, &mut *self.driver);
        self.set_service_timer();
        guard
    }

    /// Tells the service manager that the reactor is ready, or stopping, unless it knows.
    pub(super) fn notify_changes(&mut self) {
        if let Some(until) = self.stop_until() {
            return self.notify_stopping(until);
        }
        let is_running = self.is_running() && matches!(self.lifecycle.stop, Stop::No);
        let ready = self.service.as_mut().filter(|service| is_running && service.is_ready());
        if let Some(service) = ready {
            service.notify_ready(&mut *self.driver);
            self.set_service_timer();
        }
    }

    /// Tells the service manager that a stop has begun, which may last until `until`.
    pub(super) fn notify_stopping(&mut self, until: Instant) {
        if let Some(service) = self.service.as_mut().filter(|service| !service.is_stopping()) {
            service.notify_stopping(until, &mut *self.driver);
            self.set_service_timer();
        }
    }

    /// Ends the notifications of a run, whose timers are gone.
    pub(super) fn end_notifications(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.flush(&mut *self.driver);
        }
    }

    /// Tells the service manager that another process is the service from now on, and nothing
    /// after that: what this process does no longer concerns it.
    pub(super) fn notify_handed_over(&mut self, main_process: Option<u32>) {
        if let Some(service) = &mut self.service {
            service.hand_over(main_process, &mut *self.driver);
            self.set_service_timer();
        }
    }

    pub(super) fn service_timer_fired(&mut self) {
        self.notify_changes();
        let until = self.stop_until();
        if let Some(service) = &mut self.service {
            service.timer = None;
            service.send_due(until, &mut *self.driver);
            self.set_service_timer();
        }
    }

    fn set_service_timer(&mut self) {
        let Some(service) = &mut self.service else { return };
        if let Some(timer) = service.timer.take() {
            self.timers.cancel(timer);
        }
        let set = |due| self.timers.set(due, TimerAction::NotifyServiceManager);
        service.timer = service.deadline().map(set);
    }

    /// Returns the deadline of a stop that has begun.
    fn stop_until(&self) -> Option<Instant> {
        match self.lifecycle.stop {
            Stop::No | Stop::Requested(_) => None,
            Stop::AwaitGuards { until }
            | Stop::LastReads { until, .. }
            | Stop::Draining { until } => Some(until),
        }
    }
}
