//! The PROXY header of a connection, and who sent it.

use crate::address::Address;
use crate::proxy_protocol::ProxyHeader;
use std::rc::Rc;

/// The PROXY header of a connection, and who sent it.
#[derive(Debug)]
pub(super) struct Proxied {
    pub(super) header: Rc<ProxyHeader>,
    pub(super) proxy: Address,
}
