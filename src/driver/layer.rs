//! What the layers on a socket have in common.

use super::AnyStream;
use std::io;

/// The methods of a stream that a layer leaves to its field `socket`.
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

pub(super) use leave_to_socket;

/// Hands `held` bytes to the socket. Returns how many it took, and `WouldBlock` if it was full
/// before the last.
pub(super) fn hand_on(socket: &mut AnyStream, held: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    let handed = loop {
        let offered = &held[sent..];
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
    (sent, handed)
}
