//! `Event`: what happens to a client's connection.

use crate::codec::ServerError;
use std::fmt;
use twistor::Reason;

/// What happens to a client's connection, for the closure of
/// [`ConnectOptions::on_event`](crate::ConnectOptions::on_event).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client is connected and authenticated, its subscriptions are made, and what was queued
    /// is on its way.
    #[non_exhaustive]
    Connected {
        /// The server's address.
        server: String,
        /// True if the client was connected before: messages may have been missed in between.
        is_reconnect: bool,
    },
    /// The connection is lost, and the client connects again. Messages that were published and had
    /// not left yet are lost, and so is what others publish until the next
    /// [`Connected`](Self::Connected).
    ///
    /// nats-server closes the connection of a subscriber that reads too slowly (a slow consumer)
    /// without a word: all that a client sees of it is this event. The server's log says
    /// `Slow Consumer Detected`, and its monitoring counts them (`slow_consumers` in `/varz`).
    #[non_exhaustive]
    Disconnected {
        /// The server's address.
        server: String,
        /// Why.
        reason: Reason,
    },
    /// An attempt to connect has failed: the server cannot be reached, or the connection was lost
    /// before it was ready. The client tries again.
    #[non_exhaustive]
    ConnectFailed {
        /// The server's address.
        server: String,
        /// Why.
        error: String,
    },
    /// The server reports an error, such as missing permissions.
    ServerError(ServerError),
    /// The server is about to shut down, and closes its connections one by one; the client will
    /// connect to another one.
    LameDuckMode,
    /// The client has ended, and connects no more.
    Closed,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { server, is_reconnect: false } => write!(f, "connected to {server}"),
            Self::Connected { server, .. } => write!(f, "connected again, to {server}"),
            Self::Disconnected { server, reason } => {
                write!(f, "the connection to {server} is lost: {reason}")
            }
            Self::ConnectFailed { server, error } => {
                write!(f, "cannot connect to {server}: {error}")
            }
            Self::ServerError(error) => write!(f, "the server says: {error}"),
            Self::LameDuckMode => f.write_str("the server is about to shut down"),
            Self::Closed => f.write_str("the client is closed"),
        }
    }
}
