//! Inspection: summaries of what is in a reactor, a few slots of its tables at a time.

use super::Reactor;
use super::open_port::Accepting;
use super::table::{Established, Slot};
use super::type_name::short_name;
use crate::address::Address;
use crate::arena::{Arena, Id};
use crate::limits::RejectionStats;
use crate::transport::{ConnectionId, Transport};
use std::ops::Range;
use std::time::Duration;

/// Slots of a table that one call looks at. Full of connections they take some twenty microseconds,
/// and the lines of a session about sixty more: a listing of any length delays no connection by
/// more than a tenth of a millisecond.
const SLOTS_PER_CALL: usize = 256;

/// A position in a table of a reactor: how far a listing has come. A new one is at the beginning.
///
/// See [`Reactor::next_connections`].
#[derive(Clone, Debug, Default)]
pub struct InspectionCursor {
    next: usize,
    /// End of the table when the listing began. So a listing ends, however fast the table grows.
    end: Option<usize>,
}

impl InspectionCursor {
    /// Returns the slots to look at now; `None` at the end.
    fn advance<T>(&mut self, table: &Arena<T>) -> Option<Range<usize>> {
        let end = *self.end.get_or_insert_with(|| table.slots_end());
        let begin = self.next;
        self.next = end.min(begin.saturating_add(SLOTS_PER_CALL));
        (begin < end).then_some(begin..self.next)
    }
}

/// A connection that has a protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSummary {
    /// The identity of the connection.
    pub id: ConnectionId,
    /// The protocol's type.
    pub protocol: String,
    /// The peer's address.
    pub peer: Address,
    /// True if this side opened the connection.
    pub is_outgoing: bool,
    /// The state of its life cycle: `open`; `closing`, while unsent bytes still leave; or `ending`,
    /// if the next turn reports the loss.
    pub state: &'static str,
    /// True while its protocol has paused reading.
    pub is_paused: bool,
    /// Bytes written, and not yet taken by the operating system.
    pub unsent: usize,
}

/// A factory in a reactor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FactorySummary {
    /// The type of its protocols.
    pub protocol: String,
    /// Connections that have a protocol.
    pub connections: usize,
    /// Open ports and outgoing connections that are not over, and one more if the reactor
    /// [keeps](Reactor::add_factory) the factory.
    pub uses: usize,
    /// True from `start_factory` to `stop_factory`.
    pub is_started: bool,
    /// Rejected clients, by cause.
    pub rejections: RejectionStats,
}

/// An open port.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PortSummary {
    /// The address that it listens on.
    pub address: Address,
    /// The type of its factory's protocols.
    pub protocol: String,
    /// True while it does not accept: it waits for the accept rate, or for descriptors.
    pub is_waiting: bool,
}

/// The timers that are set in a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimerSummary {
    /// Number of timers.
    pub count: usize,
    /// Time until the next one is due: zero if it is overdue, `None` without timers.
    pub next: Option<Duration>,
}

impl Reactor {
    /// Returns summaries of the connections in the next slots of the table, some hundreds at most;
    /// `None` at the end. To list very many without stopping the loop, call it once in a turn.
    ///
    /// The table may change between calls. A connection that has a protocol from the first call
    /// until the last is listed exactly once, and no other is listed twice; one that is made or
    /// lost meanwhile is listed or not. A summary is that of the moment of its call.
    ///
    /// ```
    /// use twistor::Reactor;
    /// use twistor::inspection::InspectionCursor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// # struct Echo;
    /// # impl<F> twistor::Protocol<F> for Echo {}
    /// let mut cursor = InspectionCursor::default();
    /// while let Some(connections) = reactor.next_connections(&mut cursor) {
    ///     connections.iter().for_each(|it| println!("{} of {}", it.protocol, it.peer));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_connections(
        &self,
        cursor: &mut InspectionCursor,
    ) -> Option<Vec<ConnectionSummary>> {
        let slots = cursor.advance(&self.connections)?;
        let summary = |(_, slot): (Id, &Slot)| match slot {
            Slot::Established(Established { connection, .. }) if connection.has_protocol() => {
                Some(self.summary_of(&connection.transport))
            }
            _ => None,
        };
        Some(self.connections.slots(slots).filter_map(summary).collect())
    }

    fn summary_of(&self, transport: &Transport) -> ConnectionSummary {
        ConnectionSummary {
            id: transport.id(),
            protocol: self.protocol_name(transport.factory()),
            peer: transport.peer_address(),
            is_outgoing: transport.is_outgoing(),
            state: transport.state_name(),
            is_paused: transport.is_paused(),
            unsent: transport.unsent(),
        }
    }

    /// Returns summaries of the next factories, as [`next_connections`](Self::next_connections)
    /// does of connections; with a cursor of their own.
    pub fn next_factories(&self, cursor: &mut InspectionCursor) -> Option<Vec<FactorySummary>> {
        let slots = self.factories.slots(cursor.advance(&self.factories)?);
        let summaries = slots.map(|(_, slot)| FactorySummary {
            protocol: short_name(slot.protocol),
            connections: slot.connections,
            uses: slot.use_count,
            is_started: slot.started,
            rejections: slot.admission.rejections,
        });
        Some(summaries.collect())
    }

    /// Returns summaries of the next open ports, as [`next_connections`](Self::next_connections)
    /// does of connections; with a cursor of their own.
    pub fn next_ports(&self, cursor: &mut InspectionCursor) -> Option<Vec<PortSummary>> {
        let slots = self.ports.slots(cursor.advance(&self.ports)?);
        let summaries = slots.map(|(_, port)| PortSummary {
            address: port.address(),
            protocol: self.protocol_name(port.factory()),
            is_waiting: matches!(port.accepting, Accepting::RetryLater(_) | Accepting::Queued),
        });
        Some(summaries.collect())
    }

    /// Returns how many timers are set, those of the loop itself included, and when the next one is
    /// due.
    pub fn timers(&mut self) -> TimerSummary {
        let next = self.timers.next();
        let now = self.now();
        let next = next.map(|due| due.saturating_duration_since(now));
        TimerSummary { count: self.timers.len(), next }
    }

    /// Returns the handle of a connection that has a protocol; `None` if it is over, or belongs to
    /// another reactor.
    ///
    /// ```
    /// use twistor::{ConnectionId, Reactor};
    ///
    /// fn close(reactor: &Reactor, id: ConnectionId) -> bool {
    ///     reactor.transport(id).map(|transport| transport.lose_connection()).is_some()
    /// }
    /// ```
    pub fn transport(&self, id: ConnectionId) -> Option<Transport> {
        let connection = self.connections.find(id.slot).filter(|_| id.reactor == self.id)?;
        Some(connection.transport)
    }

    /// Returns the id of a connection of this reactor that is displayed as `text`, as in the log;
    /// `None` if there is no such connection, or it is over.
    pub fn parse_connection_id(&self, text: &str) -> Option<ConnectionId> {
        let slot = self.connections.parse(text)?;
        self.connections.established(slot)?;
        Some(ConnectionId { reactor: self.id, slot })
    }
}
