//! Why a connection ended.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The reason why a connection ended, as [`connection_lost`](crate::Protocol::connection_lost)
/// receives it.
///
/// A reason is not an error: [`Reason::Done`] is the normal end of a connection. It is cheap to
/// clone, and it converts into an [`io::Error`] for code that needs one.
///
/// Twisted hands over a `Failure` that holds `ConnectionDone`, `ConnectionLost`,
/// `ConnectionAborted` or the exception that a callback raised.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The connection was closed gracefully, by either side; what this side wrote was handed to the
    /// operating system for delivery. (`ConnectionDone`)
    Done,
    /// This side called [`abort_connection`](crate::Transport::abort_connection); unsent bytes are
    /// discarded. (`ConnectionAborted`)
    Aborted,
    /// The connection broke: reset by the peer, unreachable, or another socket error.
    /// (`ConnectionLost`)
    Lost(Arc<io::Error>),
    /// A timeout expired. For [`TimeoutKind::MinRate`] and [`TimeoutKind::Close`], where the peer
    /// does not read, unsent bytes are discarded.
    TimedOut(TimeoutKind),
    /// Slow consumer: the peer did not keep up, and the unsent bytes would have exceeded the limit
    /// of this connection ([`Settings::max_unsent`](crate::Settings::max_unsent)) or of all
    /// connections together ([`Settings::max_unsent_total`](crate::Settings::max_unsent_total)).
    /// Unsent bytes are discarded.
    Overflow,
    /// A callback ended the connection with [`Transport::fail`](crate::Transport::fail).
    Failed(Arc<Failure>),
    /// A callback of this connection's protocol panicked with this message, or code that its TLS
    /// configuration names, such as a resolver of certificates.
    Panicked(Arc<str>),
    /// The reactor stopped, or was dropped.
    Stopped,
}

/// The kind of timeout that expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// Idle timeout: nothing was received or sent; see
    /// [`Timeouts::idle`](crate::limits::Timeouts::idle).
    Idle,
    /// First-byte timeout: the peer sent nothing; see
    /// [`Timeouts::first_byte`](crate::limits::Timeouts::first_byte).
    FirstByte,
    /// Handshake timeout: the handshake was not completed; see
    /// [`Timeouts::handshake`](crate::limits::Timeouts::handshake).
    Handshake,
    /// Minimum transfer rate: too few bytes were moved; see
    /// [`Timeouts::min_rate`](crate::limits::Timeouts::min_rate).
    MinRate,
    /// Maximum lifetime: the connection did not end by itself; see
    /// [`Timeouts::max_lifetime`](crate::limits::Timeouts::max_lifetime).
    MaxLifetime,
    /// Protocol timeout: the one set with
    /// [`Transport::set_timeout`](crate::Transport::set_timeout).
    Protocol,
    /// Close timeout: while the connection was closing, the peer took no further byte, or a
    /// producer gave none; see [`Settings::close_timeout`](crate::Settings::close_timeout). No
    /// callback reports it before `connection_lost`.
    Close,
}

/// The error that a callback passed to [`Transport::fail`](crate::Transport::fail).
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    pub(crate) fn new(error: Box<dyn Error + Send + Sync>) -> Self {
        Self(error)
    }

    /// Returns the error itself, for inspection or downcasting.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl Reason {
    /// Returns true for a graceful end, [`Reason::Done`]: this side cut nothing off.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Returns true if the connection is reset and unsent bytes are discarded.
    pub(crate) fn is_abortive(&self) -> bool {
        match self {
            Self::Aborted | Self::Overflow => true,
            Self::TimedOut(deadline) => {
                matches!(deadline, TimeoutKind::MinRate | TimeoutKind::Close)
            }
            _ => false,
        }
    }

    /// Returns true if the peer failed to meet a timeout.
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
    /// [`Reason::Lost`] keeps the kind of its error; every other reason gets the closest kind.
    /// [`Reason::Done`] becomes [`io::ErrorKind::UnexpectedEof`], since code that needs an error
    /// did not expect the end.
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
