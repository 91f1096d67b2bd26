//! How a factory that lives in a reactor is reached.

use super::type_name::short_name;
use crate::arena::Id;
use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Reaches a factory of type `F` that lives in a reactor; [`Port::key`](crate::ListeningPort::key)
/// gives it.
///
/// It can be copied and sent to other threads. A key whose factory is gone reaches nothing.
pub struct FactoryKey<F> {
    pub(super) id: Id,
    /// The number of its reactor.
    pub(super) reactor: usize,
    factory: PhantomData<fn() -> F>,
}

impl<F> FactoryKey<F> {
    /// The caller knows that a factory of this type has this id.
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
