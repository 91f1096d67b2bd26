//! Connections that rest from reading, because their peers do not take what they are sent.

use super::Reactor;
use crate::arena::Id;
use std::time::{Duration, Instant};

/// How long a connection rests from reading whose peer takes nothing: what it would be sent in
/// reply would only pile up here, where it is copied and falls out of the cache. Not for ever, for
/// a client may well send all it has before it begins to read. With what is read in one turn this
/// makes a quarter of a gigabyte a second.
const REST: Duration = Duration::from_millis(1);

/// Those that rest at the moment.
#[derive(Debug, Default)]
pub(super) struct Resting {
    connections: Vec<Id>,
    /// When they go on. Set if there are any.
    until: Option<Instant>,
}

impl Resting {
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Reactor {
    /// A connection begins to rest: until its peer takes something, or for [`REST`].
    pub(super) fn rest_from_reading(&mut self, id: Id) {
        let until = self.resting.until.unwrap_or_else(|| self.due_in(REST));
        self.resting.until = Some(until);
        self.resting.connections.push(id);
    }

    /// Those that have rested for long enough are to be served.
    pub(super) fn end_rests(&mut self) {
        if self.resting.until.is_none_or(|until| self.now() < until) {
            return;
        }
        for id in std::mem::take(&mut self.resting).connections {
            if let Some(party) = self.connections.party(id) {
                party.transport.end_rest();
                self.serve_again(&party);
            }
        }
    }
}
