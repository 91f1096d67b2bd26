//! How long peers are waited for.

use std::time::Duration;

/// How long peers are waited for, and with what; none of it from the start. For all new connections
/// of a factory by [`Reactor::set_timeouts`](crate::Reactor::set_timeouts), for one by
/// [`Transport::set_timeouts`](crate::Transport::set_timeouts).
///
/// When one is over, the protocol hears [`timed_out`](crate::Protocol::timed_out), which by default
/// ends the connection with [`Reason::TimedOut`](crate::Reason::TimedOut).
///
/// A time of less than a millisecond counts as one, zero too; `Duration::MAX` is never over.
///
/// ```
/// use std::time::Duration;
/// use twistor::limits::Timeouts;
///
/// let deadlines = Timeouts::new()
///     .first_byte(Duration::from_secs(10))
///     .idle(Duration::from_secs(60))
///     .min_rate(1000, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub(super) idle: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) handshake: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
    pub(super) progress: Option<(usize, Duration)>,
}

impl Timeouts {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long nothing may come from the peer, and nothing of what is unsent be taken by it.
    /// While reading is paused and nothing is unsent, the peer cannot be blamed, and the time
    /// starts again. It runs on after the peer's FIN, and while this side closes as long as
    /// something is unsent.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle: Some(idle), ..self }
    }

    /// When the peer must have sent something, from the beginning of the connection on.
    #[must_use]
    pub fn first_byte(self, first_byte: Duration) -> Self {
        Self { first_byte: Some(first_byte), ..self }
    }

    /// When the protocol must have called
    /// [`handshake_done`](crate::Transport::handshake_done), from the beginning of the connection
    /// on: what a handshake is, it decides. Against peers that send their first request a byte at a
    /// time.
    #[must_use]
    pub fn handshake(self, handshake: Duration) -> Self {
        Self { handshake: Some(handshake), ..self }
    }

    /// How long the connection may live, whatever it does.
    #[must_use]
    pub fn max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { lifetime: Some(max_lifetime), ..self }
    }

    /// The minimum number of bytes that the peer must send or take in each span `within`, while
    /// something is unsent or a handshake is awaited: take them, or send them. It holds until
    /// everything is sent, after `lose_connection` as well. Against peers that read a byte a
    /// second, which are never idle. A count of zero switches this off; `usize::MAX` can never be
    /// met.
    #[must_use]
    pub fn min_rate(self, bytes: usize, within: Duration) -> Self {
        Self { progress: Some((bytes, within)), ..self }
    }
}
