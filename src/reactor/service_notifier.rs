//! The notifications of a run to its service manager: what it knows, and what is due. No sockets.

use crate::arena::Id;
use crate::driver::{Driver, Notification, ServiceManager};
use crate::limits::WarningThrottle;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Shortest time between two watchdog notifications, even if the manager asks for a shorter one:
/// no manager measures time more finely.
const WATCHDOG_MIN: Duration = Duration::from_millis(1);

/// Delay before notifications for which the manager had no room are sent again: short beside its
/// timeouts, long for a manager that is busy.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The most notifications that wait for room; the oldest are dropped. Only reloads would make them
/// more, two for each.
const PENDING_MAX: usize = 16;

/// The longest extension that is requested at a time while the reactor drains. A longer drain
/// asks again while its loop turns; one that hangs is ended after this time.
const EXTENSION_MAX: Duration = Duration::from_secs(30);

/// Time between two such requests: two of three may be lost.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(10);

/// Time that a program has, after the deadline of a drain, to shut down and exit.
const EXIT_TIME: Duration = Duration::from_secs(5);

/// A reload of the configuration, as the service manager sees it, until this is dropped, on any
/// thread; see [`Reactor::notify_reloading`](crate::Reactor::notify_reloading).
#[derive(Debug, Default)]
#[must_use = "a guard that is dropped at once ends the reload: keep it until all is reloaded"]
pub struct ReloadGuard {
    /// `None` if no manager is to hear of it.
    _reload: Option<Arc<dyn Reload>>,
}

/// What the guards of a reload share, and what tells the loop of its end when it is dropped.
pub(super) trait Reload: fmt::Debug + Send + Sync {}

/// The notifications of a run.
#[derive(Debug)]
pub(super) struct ServiceNotifier {
    stage: Stage,
    /// Time between two watchdog notifications.
    watchdog: Option<Duration>,
    /// Notifications that wait for room, in order.
    unsent: VecDeque<Notification>,
    warnings: WarningThrottle,
    /// The reload that the manager has heard of.
    reload: Option<Weak<dyn Reload>>,
    deadlines: Deadlines,
    /// The timer of the first deadline.
    pub(super) timer: Option<Id>,
}

/// What the service manager knows of the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Reloading,
    Stopping,
    /// Another process is the service, and speaks for it.
    HandedOver,
}

/// When notifications are due.
#[derive(Debug, Default)]
struct Deadlines {
    /// When the manager may have to hear of a change.
    changed: Option<Instant>,
    watchdog: Option<Instant>,
    extension: Option<Instant>,
    retry: Option<Instant>,
}

impl ServiceNotifier {
    pub(super) fn new(manager: ServiceManager, changed: Option<Instant>) -> Self {
        Self {
            stage: Stage::Starting,
            watchdog: manager.watchdog.map(|timeout| (timeout / 2).max(WATCHDOG_MIN)),
            unsent: VecDeque::new(),
            warnings: WarningThrottle::default(),
            reload: None,
            deadlines: Deadlines { changed, ..Deadlines::default() },
            timer: None,
        }
    }

    /// Returns when the first of the deadlines is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Deadlines { changed, watchdog, extension, retry } = self.deadlines;
        [changed, watchdog, extension, retry].into_iter().flatten().min()
    }

    /// Returns true if start-up or a reload is complete and the manager has not heard of it, given
    /// that the reactor has started up.
    pub(super) fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Starting => true,
            Stage::Reloading => self.running_reload().is_none(),
            Stage::Ready | Stage::Stopping | Stage::HandedOver => false,
        }
    }

    /// Returns true if the manager need not hear that this process stops.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.stage, Stage::Stopping | Stage::HandedOver)
    }

    /// Says that another process is the service from now on, if its id is known.
    pub(super) fn hand_over(&mut self, main_process: Option<u32>, driver: &mut dyn Driver) {
        if let Some(process) = main_process {
            self.send(Notification::MainProcess(process), driver);
        }
        self.stage = Stage::HandedOver;
        self.watchdog = None;
        self.deadlines.watchdog = None;
    }

    /// Says that start-up, or a reload, is complete.
    pub(super) fn notify_ready(&mut self, driver: &mut dyn Driver) {
        if self.stage == Stage::Starting {
            let now = driver.now();
            self.deadlines.watchdog = self.watchdog.and_then(|it| now.checked_add(it));
        }
        self.stage = Stage::Ready;
        self.send(Notification::Ready, driver);
    }

    /// Begins a reload; the manager hears of it if it takes the reactor for ready.
    pub(super) fn begin_reload<R: Reload + 'static>(
        &mut self,
        new: impl FnOnce() -> R,
        driver: &mut dyn Driver,
    ) -> ReloadGuard {
        if !matches!(self.stage, Stage::Ready | Stage::Reloading) {
            return ReloadGuard::default();
        }
        self.stage = Stage::Reloading;
        self.send(Notification::Reloading, driver);
        let reload = self.running_reload().unwrap_or_else(|| {
            let reload: Arc<dyn Reload> = Arc::new(new());
            self.reload = Some(Arc::downgrade(&reload));
            reload
        });
        ReloadGuard { _reload: Some(reload) }
    }

    fn running_reload(&self) -> Option<Arc<dyn Reload>> {
        self.reload.as_ref()?.upgrade()
    }

    /// Says that a stop has begun, which may last until `until`.
    pub(super) fn notify_stopping(&mut self, until: Instant, driver: &mut dyn Driver) {
        let now = driver.now();
        self.stage = Stage::Stopping;
        let extension = self.extend(now, until);
        self.send(Notification::Stopping { extension }, driver);
    }

    /// Sends what is due by now, in a stop that lasts until `until`.
    pub(super) fn send_due(&mut self, until: Option<Instant>, driver: &mut dyn Driver) {
        let now = driver.now();
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        self.deadlines.changed = self.deadlines.changed.filter(|due| *due > now);
        if is_due(self.deadlines.retry) {
            self.flush(driver);
        }
        if is_due(self.deadlines.watchdog) {
            // From now on: a loop that was late does not make it up.
            self.deadlines.watchdog = self.watchdog.and_then(|it| now.checked_add(it));
            self.send(Notification::Watchdog, driver);
        }
        if is_due(self.deadlines.extension) {
            let extension = until.and_then(|until| self.extend(now, until));
            if let Some(time) = extension {
                self.send(Notification::ExtendTimeout(time), driver);
            }
        }
    }

    /// Returns the time to ask for in a stop that lasts until `until`, if that is not over, and
    /// sets the time to ask again.
    fn extend(&mut self, now: Instant, until: Instant) -> Option<Duration> {
        let rest = until.saturating_duration_since(now);
        let extension = (!rest.is_zero()).then(|| (rest + EXIT_TIME).min(EXTENSION_MAX));
        self.deadlines.extension = extension.and(now.checked_add(EXTENSION_INTERVAL));
        extension
    }

    pub(super) fn send(&mut self, notification: Notification, driver: &mut dyn Driver) {
        if self.stage == Stage::HandedOver {
            return;
        }
        self.unsent.retain(|earlier| !notification.replaces(earlier));
        self.unsent.push_back(notification);
        self.flush(driver);
        while self.unsent.len() > PENDING_MAX {
            self.unsent.pop_front();
        }
    }

    /// Sends what waits, as far as the manager has room.
    pub(super) fn flush(&mut self, driver: &mut dyn Driver) {
        self.deadlines.retry = None;
        while let Some(notification) = self.unsent.front() {
            let Err(error) = driver.notify_service_manager(notification) else {
                self.unsent.pop_front();
                continue;
            };
            let now = driver.now();
            self.warnings.count(1);
            if let Some(count) = self.warnings.warn(now) {
                log::warn!("cannot notify the service manager: {error}; {count} attempts failed");
            }
            if error.kind() == io::ErrorKind::WouldBlock {
                self.deadlines.retry = now.checked_add(RETRY_DELAY);
                return;
            }
            self.unsent.pop_front();
        }
    }
}
