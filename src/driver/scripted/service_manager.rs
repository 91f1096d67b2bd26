//! A service manager that a script plays.

use super::super::{Notification, ServiceManager};
use super::Script;
use std::io;
use std::time::Duration;

/// There is none unless the test says so.
#[derive(Debug, Default)]
pub(super) struct ScriptedManager {
    found: Option<ServiceManager>,
    /// Looking for it fails.
    is_invalid: bool,
    /// Each notification fails like this.
    failure: Option<io::ErrorKind>,
    heard: Vec<String>,
}

/// The time of the monotonic clock.
const MONOTONIC: Duration = Duration::from_micros(1234);

impl ScriptedManager {
    pub(super) fn find(&self) -> io::Result<Option<ServiceManager>> {
        if self.is_invalid { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(self.found) }
    }

    pub(super) fn hear(&mut self, notification: &Notification) -> io::Result<()> {
        match self.failure {
            Some(failure) => Err(failure.into()),
            None => {
                self.heard.push(notification.encode(MONOTONIC));
                Ok(())
            }
        }
    }
}

impl Script {
    /// From now on there is a service manager, perhaps with a watchdog.
    pub(crate) fn set_service_manager(&self, watchdog: Option<Duration>) {
        self.0.borrow_mut().manager.found = Some(ServiceManager { watchdog });
    }

    /// From now on the address of the service manager is invalid.
    pub(crate) fn invalidate_service_manager(&self) {
        self.0.borrow_mut().manager.is_invalid = true;
    }

    /// Makes notifications fail, or no longer.
    pub(crate) fn fail_notifications(&self, failure: Option<io::ErrorKind>) {
        self.0.borrow_mut().manager.failure = failure;
    }

    /// Returns and removes what the service manager has heard.
    pub(crate) fn take_notifications(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().manager.heard)
    }
}
