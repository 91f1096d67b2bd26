//! Why a connection ended.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Who ended a connection, and why: what [`connection_lost`](crate::Protocol::connection_lost) is
/// told.
///
/// A reason is not an error: [`Reason::Done`] is how a connection ought to end. It is cheap to
/// clone, and it converts into an [`io::Error`] for code that wants one.
///
/// Twisted hands over a `Failure` that holds `ConnectionDone`, `ConnectionLost`,
/// `ConnectionAborted` or the exception that a callback raised.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Closed in order, by either side; what this side wrote was handed to the operating system
    /// for delivery. (`ConnectionDone`)
    Done,
    /// This side called [`abort_connection`](crate::Transport::abort_connection); what was still
    /// unsent is discarded. (`ConnectionAborted`)
    Aborted,
    /// The connection broke: reset by the peer, unreachable, or another error of the socket.
    /// (`ConnectionLost`)
    Lost(Arc<io::Error>),
    /// A timeout expired. For [`TimeoutKind::MinRate`] and [`TimeoutKind::Close`],
    /// when the peer would not hear a goodbye, what is unsent is discarded.
    TimedOut(TimeoutKind),
    /// The peer did not keep up: more would have been unsent than is allowed, on this connection
    /// ([`Settings::max_unsent`](crate::Settings::max_unsent)) or on all of them together
    /// ([`Settings::max_unsent_total`](crate::Settings::max_unsent_total)); what is unsent is
    /// discarded.
    Overflow,
    /// A callback gave the connection up with [`Transport::fail`](crate::Transport::fail).
    Failed(Arc<Failure>),
    /// A callback of this connection's protocol panicked with this message.
    Panicked(Arc<str>),
    /// The reactor stopped, or was dropped.
    Stopped,
}

/// What a connection was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// Anything; see [`Timeouts::idle`](crate::limits::Timeouts::idle).
    Idle,
    /// The first byte; see [`Timeouts::first_byte`](crate::limits::Timeouts::first_byte).
    FirstByte,
    /// The end of a handshake; see [`Timeouts::handshake`](crate::limits::Timeouts::handshake).
    Handshake,
    /// Enough bytes; see [`Timeouts::min_rate`](crate::limits::Timeouts::min_rate).
    MinRate,
    /// Its end; see [`Timeouts::max_lifetime`](crate::limits::Timeouts::max_lifetime).
    MaxLifetime,
    /// What the protocol waits for; see
    /// [`Transport::set_timeout`](crate::Transport::set_timeout).
    Protocol,
    /// That the peer takes the next byte, or a producer gives it, while the connection is closing;
    /// see
    /// [`Settings::close_timeout`](crate::Settings::close_timeout). No callback tells of it.
    Close,
}

/// The error that a callback handed to [`Transport::fail`](crate::Transport::fail).
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    pub(crate) fn new(error: Box<dyn Error + Send + Sync>) -> Self {
        Self(error)
    }

    /// The error itself, to look at or to downcast.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl Reason {
    /// True for an end in order, [`Reason::Done`]: nothing was cut off by this side.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// True if the peer is reset, and what is unsent discarded.
    pub(crate) fn is_abortive(&self) -> bool {
        match self {
            Self::Aborted | Self::Overflow => true,
            Self::TimedOut(deadline) => {
                matches!(deadline, TimeoutKind::MinRate | TimeoutKind::Close)
            }
            _ => false,
        }
    }

    /// True if the peer was waited for, and did not do what it was waited for.
    pub(crate) fn blames_peer(&self) -> bool {
        matches!(self, Self::TimedOut(deadline) if *deadline != TimeoutKind::MaxLifetime)
    }

    pub(crate) fn lost(error: io::Error) -> Self {
        Self::Lost(Arc::new(error))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("connection closed gracefully"),
            Self::Aborted => f.write_str("connection aborted by this side"),
            Self::Lost(error) => write!(f, "connection lost: {error}"),
            Self::TimedOut(deadline) => deadline.fmt(f),
            Self::Overflow => f.write_str("slow consumer: too many unsent bytes"),
            Self::Failed(failure) => write!(f, "failed: {}", failure.0),
            Self::Panicked(message) => write!(f, "a callback panicked: {message}"),
            Self::Stopped => f.write_str("reactor stopped"),
        }
    }
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle timeout",
            Self::FirstByte => "timeout waiting for the first byte",
            Self::Handshake => "handshake timeout",
            Self::MinRate => "below the minimum transfer rate",
            Self::MaxLifetime => "maximum lifetime reached",
            Self::Protocol => "protocol timeout",
            Self::Close => "close timeout: the last bytes were not sent in time",
        })
    }
}

impl From<&Reason> for io::Error {
    /// [`Reason::Lost`] keeps the kind of its error; every other reason gets the nearest kind.
    /// [`Reason::Done`] becomes [`io::ErrorKind::UnexpectedEof`], since whoever converts it did not
    /// expect the end.
    fn from(reason: &Reason) -> Self {
        let kind = match reason {
            Reason::Done => io::ErrorKind::UnexpectedEof,
            Reason::Aborted | Reason::Overflow | Reason::Stopped => {
                io::ErrorKind::ConnectionAborted
            }
            Reason::Lost(error) => error.kind(),
            Reason::TimedOut(_) => io::ErrorKind::TimedOut,
            Reason::Failed(_) | Reason::Panicked(_) => io::ErrorKind::Other,
        };
        Self::new(kind, reason.to_string())
    }
}

impl From<Reason> for io::Error {
    fn from(reason: Reason) -> Self {
        Self::from(&reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_keeps_the_kind_and_says_why() {
        let reset = Reason::lost(io::ErrorKind::ConnectionReset.into());
        let error = io::Error::from(reset.clone());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(error.to_string().starts_with("connection lost: "));
        assert_eq!(
            io::Error::from(Reason::TimedOut(TimeoutKind::Close)).kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(io::Error::from(Reason::Done).kind(), io::ErrorKind::UnexpectedEof);
        assert!(Reason::Done.is_done() && !reset.is_done());
    }

    #[test]
    fn a_failure_can_be_downcast() {
        let reason = Reason::Failed(Arc::new(Failure::new("no such room".into())));
        assert_eq!(reason.to_string(), "failed: no such room");
        let parse = Failure::new(Box::new("x".parse::<u8>().unwrap_err()));
        assert!(parse.error().downcast_ref::<std::num::ParseIntError>().is_some());
    }
}
