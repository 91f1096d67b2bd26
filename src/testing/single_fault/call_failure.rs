//! Call failure: a way in which a system call fails, or does less than it could.

use crate::driver::ENOBUFS;
use crate::testing::fault::ParseFaultError;
use std::fmt;
use std::io;
use std::str::FromStr;

/// `EMFILE` and `ENOMEM`, which have no portable [`io::ErrorKind`] or none that `accept` is asked
/// for. The numbers are those of every Unix.
const EMFILE: i32 = 24;
const ENOMEM: i32 = 12;

macro_rules! define_failures {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// A way in which a [`SystemCall`](super::SystemCall) fails, or does less than it could.
        ///
        /// `ENFILE` is not among them: the reactor treats it as `EMFILE`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum CallFailure {
            $($(#[$doc])* $name,)*
        }

        impl CallFailure {
            /// All failures.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

define_failures! {
    /// `EINTR`: a signal interrupted the call before it did anything.
    Interrupted "EINTR",
    /// `EAGAIN` although the call could be carried out. As an edge-triggered poller promises, an
    /// edge follows: the next wait reports it.
    WouldBlock "EAGAIN",
    /// Short count: a read or write moves one byte. An edge follows for the rest.
    ShortCount "short",
    /// `ECONNABORTED`: a client is gone before it is accepted. The others still wait.
    ConnectionAborted "ECONNABORTED",
    /// The wait returns early, with nothing. What is ready is reported by the next one.
    EmptyWait "empty",
    /// The wait returns one of the events that are ready, and the next one returns the rest.
    PartialWait "partial",
    /// The events of the wait come in the reverse order.
    ReorderedEvents "reordered",
    /// The wait reports every open port, every registered stream and one that is gone as ready,
    /// whether they are or not.
    SpuriousEvents "spurious",
    /// `ECONNRESET`: the connection is broken at both ends.
    ConnectionReset "ECONNRESET",
    /// `EPIPE`: the connection is broken at both ends; what has arrived can still be read.
    BrokenPipe "EPIPE",
    /// `ENOTCONN`: the connection is broken at both ends, and reading reports it.
    NotConnected "ENOTCONN",
    /// `ECONNREFUSED`: no server listens there.
    ConnectionRefused "ECONNREFUSED",
    /// `EAI_AGAIN`: no name server answers, for now.
    NameFailure "EAI_AGAIN",
    /// `EMFILE`: the process has no descriptor left.
    OutOfDescriptors "EMFILE",
    /// `ENOMEM`: the system has no memory left for the call. The socket stays as it is.
    OutOfMemory "ENOMEM",
    /// `ENOBUFS`: the network stack has no buffer left for the call. The socket stays as it is.
    OutOfBuffers "ENOBUFS",
}

impl CallFailure {
    /// Returns true if the program must not notice: the call is repeated, or continued by the next
    /// one, and no byte, client or event is lost.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Interrupted
            | Self::WouldBlock
            | Self::ShortCount
            | Self::ConnectionAborted
            | Self::EmptyWait
            | Self::PartialWait
            | Self::ReorderedEvents
            | Self::SpuriousEvents => true,
            Self::ConnectionReset
            | Self::BrokenPipe
            | Self::NotConnected
            | Self::ConnectionRefused
            | Self::NameFailure
            | Self::OutOfDescriptors
            | Self::OutOfMemory
            | Self::OutOfBuffers => false,
        }
    }

    /// Returns the error of the call.
    pub(super) fn error(self) -> io::Error {
        let kind = match self {
            Self::Interrupted => io::ErrorKind::Interrupted,
            Self::ConnectionAborted => io::ErrorKind::ConnectionAborted,
            Self::ConnectionReset => io::ErrorKind::ConnectionReset,
            Self::BrokenPipe => io::ErrorKind::BrokenPipe,
            Self::NotConnected => io::ErrorKind::NotConnected,
            Self::ConnectionRefused => io::ErrorKind::ConnectionRefused,
            Self::NameFailure => return io::Error::other("temporary failure in name resolution"),
            Self::OutOfDescriptors => return io::Error::from_raw_os_error(EMFILE),
            Self::OutOfMemory => return io::Error::from_raw_os_error(ENOMEM),
            Self::OutOfBuffers => return io::Error::from_raw_os_error(ENOBUFS),
            // A wait that returns less than it could has no error: it never gets here.
            Self::WouldBlock
            | Self::ShortCount
            | Self::EmptyWait
            | Self::PartialWait
            | Self::ReorderedEvents
            | Self::SpuriousEvents => io::ErrorKind::WouldBlock,
        };
        kind.into()
    }
}

/// Writes the name of the error, such as `EINTR`, or a word for a call that only does less.
impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for CallFailure {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        let found = Self::ALL.iter().copied().find(|failure| failure.text() == text);
        found.ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|failure| failure.text()).collect();
            ParseFaultError::new(format!(
                "{text:?} is not a failure of a call: expected one of {}",
                all.join(", ")
            ))
        })
    }
}
