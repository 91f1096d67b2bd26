//! Observing a reactor: a test learns of every callback, without a change to the program. Only with
//! the feature `testing`.

use crate::callback_kind::CallbackKind;
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::fmt::{Debug, Display};
use std::io;

/// An event in the life of a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening<'a> {
    /// The protocol was built.
    Built(&'a Transport),
    /// A callback other than `connection_lost` is called.
    Called(CallbackKind),
    /// `connection_lost` is called.
    Lost(&'a Reason),
    /// The protocol will never be built: the connection could not be made.
    NotMade(io::ErrorKind),
}

/// Observes a reactor.
pub(crate) trait CallbackObserver: Debug {
    fn observe(&self, connection: ConnectionId, happening: Happening<'_>);

    /// Observes that the reactor has contained a panic of user code: of what, and its message.
    fn observe_panic(&self, what: &dyn Display, message: &str);
}

/// Number of resources that a reactor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenResources {
    /// Open ports.
    pub ports: usize,
    /// Factories that are in use.
    pub factories: usize,
    /// Connections, including attempts to connect and sockets that linger.
    pub connections: usize,
    /// Timers that are set.
    pub timers: usize,
}
