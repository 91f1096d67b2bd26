//! Resolving: host names and their addresses.

use super::Reactor;
use super::panic::guard;
use super::table::Slot;
use crate::resolver::Resolver;
use std::sync::Arc;

impl Reactor {
    /// Sets the resolver of host names, in place of the operating system's. Names that are being
    /// resolved are not asked again. (`installNameResolver`)
    ///
    /// The operating system is asked by `getaddrinfo(3)`: it reads its hosts file, asks name
    /// servers, and whatever else it is configured to. See [`Resolver`] for an example.
    pub fn set_resolver(&mut self, resolver: impl Resolver) {
        let set = guard(|| self.driver.set_resolver(Arc::new(resolver)));
        if let Err(panic) = set {
            self.report_panic("dropping a resolver panicked", &panic);
        }
    }

    /// Lists the connection that waits for the answer with this packed id.
    pub(super) fn notice_answer(&mut self, token: usize) {
        let Some(id) = self.connections.id_from_bits(token) else { return };
        if let Some(Slot::Arriving(_)) = self.connections.get(id) {
            self.queues.ready.push(id);
        }
    }
}
