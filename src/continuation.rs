//! `Continuation`: a call that comes back to a protocol, with its type erased on the way.

use std::any::{Any, TypeId, type_name};
use std::fmt;

/// The second half of something that a protocol began with
/// [`Context::call_later`](crate::Context::call_later) or
/// [`Context::defer_to_thread`](crate::Context::defer_to_thread), or a receiver with the methods of
/// the same names of [`LineContext`](crate::LineContext): the closure to call with the protocol.
///
/// The reactor passes it to [`Protocol::continued`](crate::Protocol::continued). Only a wrapper
/// that is written without [`delegate_callbacks!`](crate::delegate_callbacks) has to do with it: it
/// forwards `continued`, like any other callback.
pub struct Continuation {
    /// The type of the protocol or receiver that the closure takes.
    target: TypeId,
    target_name: &'static str,
    /// A boxed closure; its type names the context, and so the factory, that it takes as well.
    call: Box<dyn Any>,
}

impl Continuation {
    /// Creates a continuation of a `P` from a boxed closure.
    pub(crate) fn new<P: 'static>(call: impl Any) -> Self {
        Self { target: TypeId::of::<P>(), target_name: type_name::<P>(), call: Box::new(call) }
    }

    /// Returns the closure if it takes `this`, and has the type `C`; otherwise the continuation.
    pub(crate) fn into_call<C: 'static>(self, this: &dyn Any) -> Result<C, Self> {
        if this.type_id() != self.target {
            return Err(self);
        }
        match self.call.downcast() {
            Ok(call) => Ok(*call),
            Err(call) => Err(Self { call, ..self }),
        }
    }

    /// Panics, since the continuation has come to `P`, which has no use for it.
    pub(crate) fn reject<P: ?Sized>(self) -> ! {
        let target = self.target_name;
        // Now, and not while the panic unwinds: the closure's drop is user code.
        drop(self);
        panic!("a continuation of {target} came to {}, and no further", type_name::<P>());
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Continuation({})", self.target_name)
    }
}

/// Shows a protocol to a [`Continuation`] as a value of its own type. Every type without borrowed
/// parts implements it.
pub trait Continue: 'static {
    #[doc(hidden)]
    fn as_continued(&mut self) -> &mut dyn Any;
}

impl<T: 'static> Continue for T {
    fn as_continued(&mut self) -> &mut dyn Any {
        self
    }
}
