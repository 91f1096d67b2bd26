//! Being watched: whoever tests a program learns of every callback, without a change to it. Only
//! with the feature `testing`.

use crate::callback_kind::CallbackKind;
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::fmt::Debug;
use std::io;

/// Something happened to a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening<'a> {
    /// It was built.
    Built(&'a Transport),
    /// A callback is made, other than `connection_lost`.
    Called(CallbackKind),
    /// `connection_lost` is called.
    Lost(&'a Reason),
    /// It will never be: the connection could not be made.
    NotMade(io::ErrorKind),
}

/// Who watches a reactor.
pub(crate) trait Watch: Debug {
    fn happens(&self, connection: ConnectionId, happening: Happening<'_>);
}

/// What a reactor holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenResources {
    /// Open ports.
    pub ports: usize,
    /// Factories that are in use.
    pub factories: usize,
    /// Connections, with those that are yet to be made and those whose protocols are gone and which
    /// linger.
    pub connections: usize,
    /// Timers that are set.
    pub timers: usize,
}
