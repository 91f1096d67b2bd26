//! The id of a timer. Pure.

use crate::arena::Id;
use std::fmt;

/// Identifies a timer: to cancel it, reset it or recognise it. In another reactor it identifies
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    /// Number of the timer's reactor.
    pub(super) reactor: usize,
    pub(super) id: Id,
}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerId({})", self.id)
    }
}
