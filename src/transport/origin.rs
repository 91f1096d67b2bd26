//! What a transport shares with all others of its port.

use super::agenda::Agenda;
use crate::address::Address;
use crate::arena::Id;
use std::rc::Rc;

/// Where connections come from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The reactor's.
    pub(crate) agenda: Rc<Agenda>,
    /// Names, to the reactor, the factory that built their protocols.
    pub(crate) factory: Id,
    /// The address on which the port listens.
    pub(crate) address: Address,
}
