//! What a connection runs over.

use super::Stream;
use super::tcp_stream::TcpStream;
use std::ops::{Deref, DerefMut};

/// The stream of one connection. TCP stands here itself, for servers have it by the ten thousand,
/// and an allocation for each would be a sixth of what an idle connection costs.
#[derive(Debug)]
pub(crate) enum AnyStream {
    Tcp(TcpStream),
    #[cfg_attr(
        not(any(test, feature = "testing")),
        allow(dead_code, reason = "the machine has TCP only, so far")
    )]
    Other(Box<dyn Stream>),
}

impl Deref for AnyStream {
    type Target = dyn Stream;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &**stream,
        }
    }
}

impl DerefMut for AnyStream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &mut **stream,
        }
    }
}
