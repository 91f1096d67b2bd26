//! Driver faults: what a driver, its ports and its streams need to let one call fail.

use super::call_failure::CallFailure;
use super::injector::Injector;
use super::owed_events::OwedEvents;
use super::system_call::SystemCall;
use crate::address::Address;
use std::rc::Rc;

/// The injector, and what the next wait of this driver owes. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct DriverFaults {
    injector: Rc<Injector>,
    pub(super) events: Rc<OwedEvents>,
    /// Name of the host, for messages.
    host: Rc<str>,
}

impl DriverFaults {
    pub(super) fn new(injector: Rc<Injector>, host: &str) -> Self {
        Self { injector, events: Rc::default(), host: host.into() }
    }

    /// Counts a call, and returns how it fails, if it is the one that does.
    pub(super) fn count(&self, call: SystemCall, peer: Option<&Address>) -> Option<CallFailure> {
        self.injector.count(call, &self.host, peer)
    }

    pub(super) fn note_closed(&self) {
        self.injector.note_closed();
    }
}
