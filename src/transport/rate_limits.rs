//! How fast bytes may move.

/// How many bytes may be read and written in a second; as many as can be, from the start. For all
/// new connections of a factory by [`Reactor::set_rate_limits`](crate::Reactor::set_rate_limits),
/// for all of them together by
/// [`Reactor::set_shared_rate_limits`](crate::Reactor::set_shared_rate_limits), for one by
/// [`Transport::set_rate_limits`](crate::Transport::set_rate_limits).
///
/// What is above the rate waits: unread in the operating systems, so that in the end the peer
/// waits; or unsent. A rate is given out in twenty portions a second, each of a byte at least; four
/// of them may be ahead of it, and over any longer time it is kept. A rate of zero counts as one;
/// `u64::MAX` holds nothing back.
///
/// ```
/// use twistor::limits::RateLimits;
///
/// let rates = RateLimits::new().read(100_000).write(1_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub(crate) read: Option<u64>,
    pub(crate) write: Option<u64>,
}

impl RateLimits {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most bytes that are read in a second.
    #[must_use]
    pub fn read(self, bytes: u64) -> Self {
        Self { read: Some(bytes), ..self }
    }

    /// The most bytes that are handed to the operating system in a second.
    #[must_use]
    pub fn write(self, bytes: u64) -> Self {
        Self { write: Some(bytes), ..self }
    }
}
