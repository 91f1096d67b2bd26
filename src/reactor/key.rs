//! The key of a factory in a reactor.

use super::type_name::short_name;
use crate::arena::Id;
use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Identifies a factory of type `F` in a reactor; [`ListeningPort::key`](crate::ListeningPort::key)
/// returns it.
///
/// It can be copied and sent to other threads. A key whose factory is gone reaches nothing.
pub struct FactoryKey<F> {
    pub(super) id: Id,
    /// Number of the factory's reactor.
    pub(super) reactor: usize,
    factory: PhantomData<fn() -> F>,
}

impl<F> FactoryKey<F> {
    /// Creates a key. The caller guarantees that the factory with this id has this type.
    pub(super) fn new(id: Id, reactor: usize) -> Self {
        Self { id, reactor, factory: PhantomData }
    }
}

impl<F> Clone for FactoryKey<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for FactoryKey<F> {}

impl<F> PartialEq for FactoryKey<F> {
    fn eq(&self, other: &Self) -> bool {
        (self.reactor, self.id) == (other.reactor, other.id)
    }
}

impl<F> Eq for FactoryKey<F> {}

impl<F> Hash for FactoryKey<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.reactor, self.id).hash(state);
    }
}

impl<F> fmt::Debug for FactoryKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactoryKey<{}>({})", short_name(type_name::<F>()), self.id)
    }
}
