//! `Layer`: a stream on top of another.

use super::{AnyStream, Stream};
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;
use std::io;

/// A stream on top of another, which may hold bytes for it; see the module's documentation.
pub(crate) trait Layer: Stream {
    /// Returns how many bytes the layer holds for the socket: those that `write` took and the
    /// socket has not, and any that the layer adds, such as an answer to what it has read.
    fn held(&self) -> usize;

    /// Hands all held bytes to the socket. `WouldBlock` means that the socket was full before the
    /// last.
    fn flush(&mut self) -> io::Result<()>;

    /// Returns true while the layer cannot be written to, since the two sides have not agreed yet.
    /// Reads continue the handshake.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// Continues the handshake as far as possible without waiting. Returns true if it is complete.
    fn handshake(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Returns true once after a handshake is complete that reads have made. Such a read is
    /// `Interrupted`: the bytes behind the handshake come with the next one.
    fn take_completion(&mut self) -> bool {
        false
    }

    /// Ends this side's data in the way of the layer: what says so is held, as bytes are. Called
    /// before a graceful close, once all bytes are written, and perhaps again.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns what a TLS handshake has negotiated.
    #[cfg(feature = "tls")]
    fn tls_info(&self) -> Option<TlsInfo> {
        None
    }

    /// Returns the socket alone, and drops what the layers on it hold. A lingering close discards
    /// the peer's bytes from it: they are not decrypted for a protocol that is gone.
    fn into_socket(self: Box<Self>) -> AnyStream;

    /// Returns itself as a stream. (Rust 1.86 does this by itself.)
    fn as_stream(&self) -> &(dyn Stream + 'static);

    /// Returns itself as a stream.
    fn as_stream_mut(&mut self) -> &mut (dyn Stream + 'static);
}

/// The methods of a stream that a layer leaves to its field `socket`.
#[cfg(any(feature = "testing", feature = "tls"))]
macro_rules! leave_to_socket {
    () => {
        fn set_abortive_close(&mut self) {
            self.socket.set_abortive_close();
        }

        fn take_error(&mut self) -> io::Result<Option<io::Error>> {
            self.socket.take_error()
        }

        fn is_established(&mut self) -> io::Result<bool> {
            self.socket.is_established()
        }

        fn connect_retry_delay(&self) -> Option<std::time::Duration> {
            self.socket.connect_retry_delay()
        }

        fn peer_credentials(&self) -> io::Result<Option<crate::address::PeerCredentials>> {
            self.socket.peer_credentials()
        }

        // A layer sends no descriptors, since a byte that it holds may be another one than that of
        // the socket; but those that come have to be taken, or no byte behind them can be read.

        fn has_descriptor(&self) -> bool {
            self.socket.has_descriptor()
        }

        fn take_descriptor(&mut self) -> Option<crate::descriptor::Descriptor> {
            self.socket.take_descriptor()
        }

        #[cfg(feature = "testing")]
        fn simulated_link(&self) -> Option<u64> {
            self.socket.simulated_link()
        }

        fn register(&mut self, id: crate::arena::Id) -> io::Result<()> {
            self.socket.register(id)
        }

        fn local_addr(&self) -> io::Result<crate::address::Address> {
            self.socket.local_addr()
        }

        fn set_no_delay(&self, on: bool) -> io::Result<()> {
            self.socket.set_no_delay(on)
        }

        fn set_keep_alive(&self, on: bool) -> io::Result<()> {
            self.socket.set_keep_alive(on)
        }
    };
}

#[cfg(any(feature = "testing", feature = "tls"))]
pub(super) use leave_to_socket;

/// Hands the first `end` bytes of `held` to the socket, and removes those that it took.
/// `WouldBlock` means that it was full before the last.
#[cfg(any(feature = "testing", feature = "tls"))]
pub(super) fn hand_on(socket: &mut AnyStream, held: &mut Vec<u8>, end: usize) -> io::Result<()> {
    let mut sent = 0;
    let handed = loop {
        let offered = &held[sent..end];
        if offered.is_empty() {
            break Ok(());
        }
        match socket.write(offered) {
            Ok(count) => {
                sent += count;
                let is_short = count < offered.len();
                // An edge is sure to follow: another call would only say so.
                if is_short && (count == 0 || socket.short_write_is_final()) {
                    break Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    held.drain(..sent);
    handed
}
