//! Handing over: accepted connections that go from one reactor of a host to another.

use super::Network;
use super::link::EndId;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that were dropped on their way.
pub(in crate::testing) type Abandoned = Arc<Mutex<Vec<EndId>>>;

impl Network {
    /// Returns where connections are put that are dropped on their way.
    pub(in crate::testing) fn abandoned(&self) -> Abandoned {
        Arc::clone(&self.abandoned)
    }

    /// Gives an accepted connection to another reactor of its host.
    pub(in crate::testing) fn move_to(&mut self, id: EndId, node: usize) {
        self.note(id, "is handed over", node);
        if let Some(end) = self.end(id) {
            end.node = node;
        }
    }

    /// Resets the connections that were dropped on their way; true if there were any.
    pub(super) fn reset_abandoned(&mut self) -> bool {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = std::mem::take(&mut *abandoned);
        drop(abandoned);
        ends.iter().for_each(|&end| self.reset(end));
        !ends.is_empty()
    }
}
