//! The name of a timer. Pure.

use crate::arena::Id;
use std::fmt;

/// Names a timer: to cancel it, to reset it, to recognise it. To other reactors than its own it
/// names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    /// The number of its reactor.
    pub(super) reactor: usize,
    pub(super) id: Id,
}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerId({})", self.id)
    }
}
