//! What a transport shares with all others of its port, if it comes from one.

use super::hub::Hub;
use crate::address::Address;
use crate::arena::Id;
use std::rc::Rc;

/// Where connections come from.
#[derive(Clone, Debug)]
pub(crate) struct ListenerInfo {
    /// The reactor's.
    pub(crate) hub: Rc<Hub>,
    /// Names, to the reactor, the factory that built their protocols.
    pub(crate) factory: Id,
    /// This side began the connection, and no port did.
    pub(crate) is_outgoing: bool,
    /// The address on which the port listens.
    pub(crate) address: Address,
}
