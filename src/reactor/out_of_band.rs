//! Out-of-band factories: the ports of operators, which must work when the others are full or
//! draining.

use super::Reactor;
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
    ///   are not in the report.
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
        if let Some(slot) = self.slot_mut(key) {
            // A factory that starts again may have connections, which are counted already.
            if !std::mem::replace(&mut slot.is_out_of_band, true) {
                let open = slot.connections;
                self.out_of_band_connections += open;
            }
        }
        self.set_limits(key, limits);
        self.set_timeouts(key, timeouts);
    }

    /// Returns true if a connection with a protocol is one of an out-of-band factory.
    pub(super) fn is_connection_out_of_band(&self, id: Id) -> bool {
        self.out_of_band_connections > 0
            && self.connections.find(id).is_some_and(|it| self.is_out_of_band(it.factory()))
    }

    /// Returns true if a client of an out-of-band factory is arriving.
    pub(super) fn is_arriving_out_of_band(&self, id: Id) -> bool {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return false };
        !arriving.transport.is_outgoing() && self.is_out_of_band(arriving.transport.factory())
    }

    pub(super) fn is_out_of_band(&self, factory: Id) -> bool {
        self.factories.get(factory).is_some_and(|slot| slot.is_out_of_band)
    }
}
