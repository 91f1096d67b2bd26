//! The key of a client service in a reactor.

use crate::arena::Id;
use crate::reactor::key::FactoryKey;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Identifies a started [`ClientService`](crate::ClientService), stops it, and hands out its
/// connection. (The methods of a running `ClientService`.)
///
/// It can be copied and sent to other threads. `F` is the type of the service's factory, which
/// [`factory_key`](Self::factory_key) reaches; a key that came by way of a transport
/// ([`Reactor::service_of`](crate::Reactor::service_of)) does not know it. A key whose service has
/// ended reaches nothing.
pub struct ServiceKey<F = ()> {
    pub(super) id: Id,
    /// Number of the service's reactor.
    pub(super) reactor: usize,
    factory: FactoryKey<F>,
}

impl<F> ServiceKey<F> {
    pub(super) fn new(id: Id, factory: FactoryKey<F>) -> Self {
        Self { id, reactor: factory.reactor, factory }
    }

    /// Returns the key of the factory.
    pub fn factory_key(self) -> FactoryKey<F> {
        self.factory
    }
}

impl<F> Clone for ServiceKey<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for ServiceKey<F> {}

impl<F, G> PartialEq<ServiceKey<G>> for ServiceKey<F> {
    fn eq(&self, other: &ServiceKey<G>) -> bool {
        (self.reactor, self.id) == (other.reactor, other.id)
    }
}

impl<F> Eq for ServiceKey<F> {}

impl<F> Hash for ServiceKey<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.reactor, self.id).hash(state);
    }
}

impl<F> From<ServiceKey<F>> for FactoryKey<F> {
    fn from(service: ServiceKey<F>) -> Self {
        service.factory
    }
}

impl<F> fmt::Debug for ServiceKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceKey({})", self.id)
    }
}
