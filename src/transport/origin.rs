//! What a transport shares with all others of its port, if it comes from one.

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
    /// This side began the connection, and no port did.
    pub(crate) dials: bool,
    /// The address on which the port listens.
    pub(crate) address: Address,
}
