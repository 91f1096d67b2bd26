//! Locks of the queues between threads. The crate in `tests/models/` compiles the queues with
//! loom's in their place.

pub(crate) use std::sync::atomic::AtomicUsize;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::{self, ThreadId};
