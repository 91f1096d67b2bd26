//! Errors of requests to a client.

pub use crate::codec::{CodecError, InvalidHeader, InvalidSubject, ServerError};
pub use crate::server_address::AddressError;

use std::error::Error;
use std::fmt;

/// Why a client could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be used.
    Address(AddressError),
    /// TLS is asked for, by a `tls://` address or an option, without the feature `tls` or without
    /// certificates to trust.
    Tls(String),
    /// The reactor takes no more clients, since it is stopping.
    Reactor(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Tls(why) => write!(f, "a NATS client cannot use TLS: {why}"),
            Self::Reactor(error) => write!(f, "a NATS client cannot start: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Reactor(error) => Some(&**error),
            Self::Tls(_) => None,
        }
    }
}

impl From<AddressError> for StartError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

/// Why a message was not published. Nothing of it is sent or queued then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The subject, or the one for replies, cannot be published to.
    InvalidSubject(InvalidSubject),
    /// The payload, headers included, is larger than the server takes, or the last one while there
    /// is no connection.
    MaxPayload {
        /// Its length, in bytes.
        len: usize,
        /// The limit of that server, in bytes.
        max: usize,
    },
    /// The server takes no headers, or the last one while there is no connection.
    HeadersUnsupported,
    /// The client is not connected, or its server takes messages too slowly, and as many bytes wait
    /// as [`max_queued`](crate::ConnectOptions::max_queued) allows.
    QueueFull,
    /// The client has ended, or is about to.
    Closed,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject(error) => error.fmt(f),
            Self::MaxPayload { len, max } => {
                write!(f, "a payload of {len} bytes is larger than the server's limit of {max}")
            }
            Self::HeadersUnsupported => f.write_str("the NATS server takes no headers"),
            Self::QueueFull => f.write_str("too many messages wait for the server"),
            Self::Closed => f.write_str("the NATS client is closed"),
        }
    }
}

impl Error for PublishError {}

impl From<InvalidSubject> for PublishError {
    fn from(error: InvalidSubject) -> Self {
        Self::InvalidSubject(error)
    }
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The subject, or the name of the queue group, cannot be one.
    InvalidSubject(InvalidSubject),
    /// The client has ended, or is about to.
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject(error) => error.fmt(f),
            Self::Closed => f.write_str("the NATS client is closed"),
        }
    }
}

impl Error for SubscribeError {}

impl From<InvalidSubject> for SubscribeError {
    fn from(error: InvalidSubject) -> Self {
        Self::InvalidSubject(error)
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No subscriber listens to the subject (`no_responders`). Servers without headers do not say
    /// so.
    NoResponders,
    /// No answer came in time.
    TimedOut,
    /// The client has ended.
    Closed,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoResponders => "no responders for the subject of the request",
            Self::TimedOut => "no answer came in time",
            Self::Closed => "the NATS client is closed",
        })
    }
}

impl Error for RequestError {}

/// Why a flush does not confirm that the server has processed what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The connection was lost.
    ConnectionLost,
    /// The server has not answered in time, or there was no connection.
    TimedOut,
    /// The server has answered, but some messages that were published before the flush and still
    /// waited when it began were dropped: for want of room, with
    /// [`QueuePolicy::DropOldest`](crate::QueuePolicy::DropOldest), or because the server takes no
    /// payload that large or no headers.
    Dropped,
    /// The client has ended.
    Closed,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionLost => "the connection to the NATS server was lost",
            Self::TimedOut => "the NATS server has not answered in time",
            Self::Dropped => "messages before the flush were dropped",
            Self::Closed => "the NATS client is closed",
        })
    }
}

impl Error for FlushError {}
