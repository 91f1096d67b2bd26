//! The predecessor of this process, until this one is ready, and the listening sockets that it has
//! passed.

use crate::driver::PortDescriptors;
use crate::hand_over::TakeOverError;
use std::fmt;

/// A listening socket of the predecessor.
#[derive(Debug)]
pub(crate) struct PassedSocket {
    /// Its number among the ports of the predecessor.
    pub(crate) number: usize,
    /// The name that the predecessor asked for it by; empty if it did not.
    pub(crate) requested: String,
    /// The name of its address.
    pub(crate) bound: String,
    pub(crate) descriptors: PortDescriptors,
}

/// Tells the predecessor that this process is ready, and has taken the ports with these numbers.
/// When this returns, they are this process's own.
pub(crate) type TellReady = Box<dyn FnOnce(&[usize]) -> Result<(), TakeOverError>>;

/// The predecessor of this process, which serves until this one is ready.
pub(crate) struct Predecessor {
    /// The sockets that were not listened on, in the order of the predecessor.
    pub(crate) sockets: Vec<PassedSocket>,
    pub(crate) tell_ready: TellReady,
}

impl Predecessor {
    /// Removes and returns the socket with this name: of several, the first one.
    pub(super) fn take(&mut self, name: &str) -> Option<PassedSocket> {
        // A port number that the system chose is found by both.
        let asked = self.sockets.iter().position(|socket| socket.requested == name);
        let bound = || self.sockets.iter().position(|socket| socket.bound == name);
        asked.or_else(bound).map(|index| self.sockets.remove(index))
    }
}

impl fmt::Debug for Predecessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predecessor").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}
