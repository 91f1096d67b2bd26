//! `ServiceState`: what a client service is doing, for those who look at it.

use std::fmt;
use std::time::Instant;

/// The state of a [`ClientService`](crate::ClientService), as
/// [`ServiceKey::state`](crate::ServiceKey::state) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceState {
    /// An attempt to connect is under way.
    Connecting,
    /// The connection is made, and its protocol has yet to say that it is prepared.
    #[non_exhaustive]
    Preparing {
        /// The end of the time for that.
        until: Instant,
    },
    /// The connection is made, and prepared if the service asks for that.
    #[non_exhaustive]
    Connected {
        /// Since when.
        since: Instant,
    },
    /// The service waits before it connects again.
    #[non_exhaustive]
    Waiting {
        /// When the next attempt begins.
        until: Instant,
    },
    /// The service was stopped, or the reactor drains, and its connection is ending.
    Stopping,
    /// The service was restarted, and connects when its connection has ended.
    Restarting,
    /// The service has ended.
    Stopped,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Preparing { .. } => "preparing",
            Self::Connected { .. } => "connected",
            Self::Waiting { .. } => "waiting",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
        })
    }
}
