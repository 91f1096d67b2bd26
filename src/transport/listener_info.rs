//! Listener information: what a connection shares with all others of its port, if it comes from
//! one.

use super::hub::Hub;
use crate::address::Address;
use crate::arena::Id;
use std::rc::Rc;

/// The origin of connections: a port, or an attempt to connect.
#[derive(Clone, Debug)]
pub(crate) struct ListenerInfo {
    /// The hub of the reactor.
    pub(crate) hub: Rc<Hub>,
    /// The slot of the factory that built their protocols.
    pub(crate) factory: Id,
    /// This side opened the connection, and no port did.
    pub(crate) is_outgoing: bool,
    /// The client service that opened the connection, if one did.
    pub(crate) service: Option<Id>,
    /// The address on which the port listens.
    pub(crate) address: Address,
}
