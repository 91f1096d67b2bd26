//! Factories that serve no clients, but operators or a successor: their ports must work when the
//! others are full.

use super::Reactor;
use super::audience::Audience;
use super::key::FactoryKey;
use super::table::Slot;
use crate::arena::Id;
use crate::limits::{ConnectionLimits, Timeouts};

impl Reactor {
    /// Makes a factory out-of-band, for as long as it exists, with limits of its own, which replace
    /// those of the reactor:
    ///
    /// - Its clients do not count against
    ///   [`Settings::max_connections`](crate::Settings::max_connections), and are not rejected for
    ///   it.
    /// - A drain neither closes its ports nor waits for its connections; they end at shutdown, and
    ///   are not in the report. Only bytes that are shed at the limit of all connections are: the
    ///   loop does not know whose they were.
    ///
    /// Both hold from the moment at which a client is accepted, before its PROXY header or its TLS
    /// handshake, until its socket has lingered.
    ///
    /// Called by `start_factory`, before there is a connection.
    pub(crate) fn serve_out_of_band<F>(
        &mut self,
        key: FactoryKey<F>,
        limits: ConnectionLimits,
        timeouts: Timeouts,
    ) {
        self.set_audience(key, Audience::Operators);
        self.set_limits(key, limits);
        self.set_timeouts(key, timeouts);
    }

    /// Returns true if a connection with a protocol is one of an out-of-band factory.
    pub(super) fn is_connection_out_of_band(&self, id: Id) -> bool {
        self.out_of_band_connections > 0
            && self.connections.find(id).is_some_and(|it| self.is_out_of_band(it.factory()))
    }

    /// Counts a client that no longer arrives, if it is one of an out-of-band factory.
    pub(super) fn end_arriving_out_of_band(&mut self, id: Id) {
        if self.out_of_band_arriving > 0 && self.is_arriving_out_of_band(id) {
            self.out_of_band_arriving -= 1;
        }
    }

    /// Returns true if a client of an out-of-band factory is arriving.
    pub(super) fn is_arriving_out_of_band(&self, id: Id) -> bool {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return false };
        !arriving.transport.is_outgoing() && self.is_out_of_band(arriving.transport.factory())
    }

    /// Lets a factory serve the successor of this process, which neither counts against
    /// [`Settings::max_connections`](crate::Settings::max_connections) nor is rejected for it. A
    /// drain closes its ports, and waits for its connections.
    pub(crate) fn serve_successor<F>(&mut self, key: FactoryKey<F>, limits: ConnectionLimits) {
        self.set_audience(key, Audience::Successor);
        self.set_limits(key, limits);
    }

    fn set_audience<F>(&mut self, key: FactoryKey<F>, audience: Audience) {
        let Some(slot) = self.slot_mut(key) else { return };
        let former = std::mem::replace(&mut slot.audience, audience);
        // A factory that starts again may have connections, which are counted already.
        let open = isize::try_from(slot.connections).unwrap_or(isize::MAX);
        self.count_connections(former, -open);
        self.count_connections(audience, open);
    }

    /// Counts connections of those who are no clients.
    pub(super) fn count_connections(&mut self, audience: Audience, change: isize) {
        let count = match audience {
            Audience::Clients => return,
            Audience::Successor => &mut self.successor_connections,
            Audience::Operators => &mut self.out_of_band_connections,
        };
        *count = count.saturating_add_signed(change);
    }

    pub(super) fn is_out_of_band(&self, factory: Id) -> bool {
        self.audience(factory) == Audience::Operators
    }

    pub(super) fn serves_clients(&self, factory: Id) -> bool {
        self.audience(factory) == Audience::Clients
    }

    fn audience(&self, factory: Id) -> Audience {
        self.factories.get(factory).map(|slot| slot.audience).unwrap_or_default()
    }
}
