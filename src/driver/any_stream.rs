//! `AnyStream`: the stream of a connection, whatever its type.

use super::Stream;
use super::tcp_stream::TcpStream;
use std::ops::{Deref, DerefMut};

/// The stream of one connection. TCP is stored inline: servers have tens of thousands of them, and
/// an allocation for each would be a sixth of the cost of an idle connection.
#[derive(Debug)]
pub(crate) enum AnyStream {
    Tcp(TcpStream),
    #[cfg_attr(
        not(any(unix, test, feature = "testing")),
        allow(dead_code, reason = "`MioDriver` has TCP only where there are no Unix sockets")
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
