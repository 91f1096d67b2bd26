//! Access of the test kit to a reactor. Only with the feature `testing`.

use super::Reactor;
use super::lifecycle::RunState;
use super::observer::{CallbackObserver, Happening, OpenResources};
use super::panic::guard;
use crate::arena::Arena;
use crate::transport::Transport;
use std::rc::Rc;

impl Reactor {
    /// Installs an observer, which from now on learns of every callback before it is made.
    pub(crate) fn set_observer(&mut self, observer: Rc<dyn CallbackObserver>) {
        self.observer = Some(observer);
    }

    pub(super) fn notify_observer(&self, transport: &Transport, happening: Happening<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(transport.id(), happening);
        }
    }

    /// Simulates a power failure of the machine: everything is gone, without a callback.
    pub(crate) fn crash(mut self) {
        self.lifecycle.state = RunState::Idle;
        let factories = std::mem::replace(&mut self.factories, Arena::new());
        if let Err(panic) = guard(|| drop(factories)) {
            self.report_panic("dropping a factory panicked", &panic);
        }
    }

    /// Returns true if calls of other threads wait.
    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(crate) fn open_resources(&self) -> OpenResources {
        OpenResources {
            ports: self.ports.len(),
            factories: self.factories.len(),
            connections: self.connections.len(),
            timers: self.timers.len(),
        }
    }
}
