//! Connections that rest from reading, because their peers do not take what they are sent.

use super::Reactor;
use crate::arena::Id;
use std::time::{Duration, Instant};

/// How long a connection rests from reading whose peer takes nothing: what it would be sent in
/// reply would only pile up here, where it is copied and falls out of the cache. Not for ever, for
/// a client may well send all it has before it begins to read. With what is read in one turn this
/// makes a quarter of a gigabyte a second.
const READ_BACKOFF: Duration = Duration::from_millis(1);

/// Those that rest at the moment.
#[derive(Debug, Default)]
pub(super) struct ReadBackoffs {
    connections: Vec<Id>,
    /// When they go on. Set if there are any.
    until: Option<Instant>,
}

impl ReadBackoffs {
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Reactor {
    /// A connection begins to rest: until its peer takes something, or for [`READ_BACKOFF`].
    pub(super) fn rest_from_reading(&mut self, id: Id) {
        let until = self.read_backoffs.until.unwrap_or_else(|| self.due_in(READ_BACKOFF));
        self.read_backoffs.until = Some(until);
        self.read_backoffs.connections.push(id);
    }

    /// Those that have rested for long enough are to be served.
    pub(super) fn end_read_backoffs(&mut self) {
        if self.read_backoffs.until.is_none_or(|until| self.now() < until) {
            return;
        }
        for id in std::mem::take(&mut self.read_backoffs).connections {
            if let Some(connection) = self.connections.find(id) {
                connection.transport.connection().end_read_backoff();
                self.serve_again(&connection);
            }
        }
    }
}
