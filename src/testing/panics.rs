//! Panics of user code that the reactors of a simulation have contained.

use std::cell::{Cell, RefCell};

/// The panics of one simulation.
#[derive(Debug, Default)]
pub(super) struct Panics {
    allowed: Cell<bool>,
    messages: RefCell<Vec<String>>,
}

impl Panics {
    /// Makes panics no failures from now on.
    pub(super) fn allow(&self) {
        self.allowed.set(true);
    }

    pub(super) fn note(&self, message: String) {
        self.messages.borrow_mut().push(message);
    }

    /// Returns and removes the messages of the panics so far.
    pub(super) fn take(&self) -> Vec<String> {
        self.messages.take()
    }

    /// Panics if there has been a panic that is not allowed.
    #[track_caller]
    pub(super) fn check(&self) {
        // A second panic while a test fails already would end the process.
        if self.allowed.get() || std::thread::panicking() || self.messages.borrow().is_empty() {
            return;
        }
        let messages = self.take().join("\n");
        panic!("{messages}\n\n(a test that expects panics calls allow_panics before)");
    }
}
