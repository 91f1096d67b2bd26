//! A reactor that sleeps until it is woken.

use loom::sync::{Condvar, Mutex};

/// A reactor's sleep: it lasts until somebody wakes the reactor, and not longer.
#[derive(Debug, Default)]
pub(crate) struct Sleep {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Sleep {
    pub(crate) fn wake(&self) {
        *self.is_woken.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// A wake-up that is lost leaves the model without a thread that can run, which loom reports.
    pub(crate) fn sleep(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.changed.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}
