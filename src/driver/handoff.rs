//! `Handoff`: an accepted socket on its way to the reactor of another thread.

use super::AnyStream;
use crate::address::Address;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connected socket that no poller knows.
#[derive(Debug)]
pub(crate) enum Handoff {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// A connection of another driver, which resets it when this is dropped.
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only tests have others then"))]
    Other(Box<dyn Any + Send>),
}

impl Handoff {
    /// Resets the connection, as closing a port does with the clients in its backlog: an orderly
    /// close would tell the client that it was served.
    pub(super) fn reset(self) {
        // If this fails, the connection is already gone.
        let _ = match &self {
            Self::Tcp(socket) => socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)),
            // Its close is all that the client ever sees.
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
            Self::Other(_) => Ok(()),
        };
    }
}

/// Makes a stream of a socket that was accepted on another thread.
pub(crate) trait Adopter: fmt::Debug {
    /// Adopts the socket of this peer.
    fn adopt(&self, handoff: Handoff, peer: &Address) -> io::Result<AnyStream>;
}
