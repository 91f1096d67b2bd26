//! `FirstPanic`: calls of the user's closures of which a panic in one keeps back no other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Makes calls, and keeps the first panic among them until all are made. The reactor then has it,
/// and treats it as that of any callback.
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Calls `call`, and keeps its panic if it is the first one. What the program's panic hook does
    /// has been done for each.
    pub(crate) fn call(&mut self, call: impl FnOnce()) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(call)) else { return };
        if self.0.is_none() {
            self.0 = Some(payload);
        } else {
            // Its drop may panic again.
            std::mem::forget(payload);
        }
    }

    /// Resumes the first panic, if there was one.
    pub(crate) fn resume(self) {
        if let Some(payload) = self.0 {
            resume_unwind(payload);
        }
    }
}
