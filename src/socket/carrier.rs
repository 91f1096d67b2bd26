//! What a connection runs over.

use super::tcp::TcpStream;
use super::{EDGES_ARE_TRUE, Stream};
use std::ops::{Deref, DerefMut};

/// The stream of one connection. TCP stands here itself, for servers have it by the ten thousand,
/// and an allocation for each would be a sixth of what an idle connection costs.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tcp(TcpStream),
    #[cfg_attr(
        not(any(test, feature = "testing")),
        allow(dead_code, reason = "the machine has TCP only, so far")
    )]
    Other(Box<dyn Stream>),
}

impl Carrier {
    /// Whether a short count is the stream's last word, and the next edge is sure to come. What is
    /// simulated behaves the same on every machine.
    pub(crate) fn short_count_is_last(&self) -> bool {
        match self {
            Self::Tcp(_) => EDGES_ARE_TRUE,
            Self::Other(_) => true,
        }
    }
}

impl Deref for Carrier {
    type Target = dyn Stream;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &**stream,
        }
    }
}

impl DerefMut for Carrier {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &mut **stream,
        }
    }
}
