//! System call: the kinds of calls of a reactor on the system.

use super::call_failure::CallFailure;
use std::fmt;

macro_rules! define_calls {
    ($($(#[$doc:meta])* $name:ident $text:literal [$($failure:ident)*],)*) => {
        /// A kind of call of a reactor on the system: on the poller, a port or a socket.
        ///
        /// Calls that no program has to see fail are not counted: the clock, closing, and handlers
        /// of signals, which a simulation delivers itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum SystemCall {
            $($(#[$doc])* $name,)*
        }

        impl SystemCall {
            /// All kinds of calls.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the ways in which it can fail.
            pub fn failures(self) -> &'static [CallFailure] {
                match self {
                    $(Self::$name => &[$(CallFailure::$failure,)*],)*
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

define_calls! {
    /// Waits for events, as `epoll_wait(2)`. (It fails only if the program has closed the poller,
    /// and the driver returns early when a signal interrupts it.)
    Wait "wait" [EmptyWait PartialWait ReorderedEvents SpuriousEvents],
    /// Opens a port, as `socket(2)`, `bind(2)` and `listen(2)`. It is counted and does not fail:
    /// the program gets the error at once, and mostly ends.
    Listen "listen" [],
    /// Begins to connect, as `socket(2)` and `connect(2)`.
    Connect "connect" [ConnectionRefused OutOfDescriptors OutOfMemory OutOfBuffers],
    /// Accepts a client, as `accept(2)`.
    Accept "accept"
        [Interrupted WouldBlock ConnectionAborted OutOfDescriptors OutOfMemory OutOfBuffers],
    /// Accepts a client with the descriptor held in reserve.
    AcceptWithReserve "accept with reserve" [WouldBlock OutOfDescriptors],
    /// Reads, as `recv(2)`.
    Read "read" [Interrupted WouldBlock ShortCount ConnectionReset OutOfMemory OutOfBuffers],
    /// Reads without taking anything, as `recv(2)` with `MSG_PEEK`.
    Peek "peek" [Interrupted WouldBlock ConnectionReset OutOfMemory],
    /// Writes, as `send(2)`.
    Write "write"
        [Interrupted WouldBlock ShortCount ConnectionReset BrokenPipe OutOfMemory OutOfBuffers],
    /// Writes several pieces, as `writev(2)`.
    WriteVectored "vectored write"
        [Interrupted WouldBlock ShortCount ConnectionReset BrokenPipe OutOfMemory OutOfBuffers],
    /// Sends a FIN, as `shutdown(2)`.
    ShutdownWrite "shutdown" [NotConnected ConnectionReset],
    /// Asks for the pending error of a socket, as `getsockopt(2)` with `SO_ERROR`.
    TakeError "take error" [ConnectionReset],
    /// Asks whether an attempt to connect has succeeded. `EAGAIN` means not yet.
    IsEstablished "is established" [WouldBlock ConnectionRefused],
    /// Registers a socket with the poller, as `epoll_ctl(2)`.
    Register "register" [OutOfMemory],
    /// Asks for the local address, as `getsockname(2)`.
    LocalAddress "local address" [OutOfMemory],
    /// Sets a socket option, as `setsockopt(2)`.
    SetOption "set option" [OutOfMemory OutOfBuffers],
    /// Asks for the addresses of a host name, as `getaddrinfo(3)` on another thread. `EAI_AGAIN` is
    /// the answer; the others mean that the question could not be asked.
    Resolve "resolve" [NameFailure OutOfMemory],
    /// Starts a thread for blocking work.
    SpawnThread "spawn thread" [OutOfMemory],
}

impl fmt::Display for SystemCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
