//! `AnyStream`: the stream of a connection, whatever its type.

use super::tcp_stream::TcpStream;
use super::{Layer, Stream};
use std::io;
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
    /// A layer on a socket.
    #[cfg_attr(
        not(any(test, feature = "testing", feature = "tls")),
        allow(dead_code, reason = "only tests have layers then")
    )]
    Layer(Box<dyn Layer>),
}

impl AnyStream {
    /// Returns how many bytes the stream holds for its socket; see [`Layer::held`]. A socket holds
    /// none, and is not asked.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Other(_) => 0,
            Self::Layer(layer) => layer.held(),
        }
    }

    /// Returns how many held bytes are of a handshake; see [`Layer::held_of_handshake`].
    pub(crate) fn held_of_handshake(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Other(_) => 0,
            Self::Layer(layer) => layer.held_of_handshake(),
        }
    }

    /// Hands all held bytes to the socket; see [`Layer::flush`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Other(_) => Ok(()),
            Self::Layer(layer) => layer.flush(),
        }
    }

    /// Continues the handshake of a layer; see [`Layer::handshake`].
    pub(crate) fn handshake(&mut self, more_behind: bool) -> io::Result<bool> {
        match self {
            Self::Tcp(_) | Self::Other(_) => Ok(true),
            Self::Layer(layer) => layer.handshake(more_behind),
        }
    }

    /// Returns true if a layer's last read has emptied the socket and the layer; see
    /// [`Stream::short_read_is_final`]. Of a socket only its reader knows.
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Other(_) => false,
            Self::Layer(layer) => layer.short_read_is_final(),
        }
    }

    /// Returns the socket alone; see [`Layer::into_socket`].
    #[inline]
    pub(crate) fn into_socket(self) -> Self {
        match self {
            Self::Tcp(_) | Self::Other(_) => self,
            Self::Layer(layer) => layer.into_socket(),
        }
    }
}

impl Deref for AnyStream {
    type Target = dyn Stream;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &**stream,
            Self::Layer(layer) => layer.as_stream(),
        }
    }
}

impl DerefMut for AnyStream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &mut **stream,
            Self::Layer(layer) => layer.as_stream_mut(),
        }
    }
}
