//! Contains panics of user code.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The message of a panic.
#[derive(Clone, Debug)]
pub(crate) struct Panic(pub(crate) Arc<str>);

impl Panic {
    /// Returns the panic that an error of a stream holds: one of code that TLS has called.
    pub(crate) fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user code panicked: {}", self.0)
    }
}

impl Error for Panic {}

/// Calls user code, and returns a panic as a value.
///
/// The values that the code had borrowed stay as the panic left them: its own protocol, which is
/// dropped next; its factory, which must cope; and the reactor, which calls no user code half-way
/// through a change of its own.
pub(crate) fn guard<R>(call: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = message_of(&*payload);
        // A payload is the user's too, and may panic when it is dropped; so may the payload of that
        // panic.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        Panic(message)
    })
}

fn message_of(payload: &(dyn Any + Send)) -> Arc<str> {
    if let Some(message) = payload.downcast_ref::<&str>() {
        Arc::from(*message)
    } else if let Some(message) = payload.downcast_ref::<String>() {
        Arc::from(message.as_str())
    } else {
        Arc::from("a payload that is not text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(guard(|| 7).unwrap(), 7);
        let panic = guard(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(&*panic.0, "no luck");
        let odd = guard(|| std::panic::panic_any(7_u8)).unwrap_err();
        assert_eq!(&*odd.0, "a payload that is not text");
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(guard(|| std::panic::panic_any(Bomb)).is_err());
    }
}
