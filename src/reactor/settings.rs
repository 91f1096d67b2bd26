//! What can be set for a whole reactor.

use std::time::Duration;

/// See [`Settings::close_timeout`]. Long enough for a peer that lost its network for a moment,
/// short enough not to collect those that never come back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// See [`Settings::threads_max`]. What Twisted has: work that blocks mostly waits, for a disk or
/// for a resolver, and ten that wait cost next to nothing.
const THREADS_MAX: usize = 10;

/// What can be set for a whole reactor; see [`Reactor::with_settings`](crate::Reactor).
///
/// ```
/// use std::time::Duration;
/// use twistor::{Reactor, Settings};
///
/// let settings = Settings::default().close_timeout(Duration::from_secs(5)).handle_signals(false);
/// let reactor = Reactor::with_settings(settings)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) close_timeout: Duration,
    pub(super) handle_signals: bool,
    pub(super) busy_poll: Duration,
    pub(super) threads_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            close_timeout: CLOSE_TIMEOUT,
            handle_signals: true,
            busy_poll: Duration::ZERO,
            threads_max: THREADS_MAX,
        }
    }
}

impl Settings {
    /// How long a connection that is being closed in order waits for its peer to accept the next
    /// byte, before it is aborted. Counted anew whenever the peer accepts something. Default: 60
    /// seconds.
    #[must_use]
    pub fn close_timeout(self, close_timeout: Duration) -> Self {
        Self { close_timeout, ..self }
    }

    /// Whether SIGINT and SIGTERM stop the reactor while it is in
    /// [`run`](crate::Reactor::run). Default: true. Only on Unix, and with the feature `signals`.
    ///
    /// Signals belong to the process: every reactor that listens is stopped. When `run` returns,
    /// signals do again what they did before. While it runs, a second signal does what it does by
    /// default: it ends the process, for the first may wait behind a callback that never returns.
    #[must_use]
    pub fn handle_signals(self, handle_signals: bool) -> Self {
        Self { handle_signals, ..self }
    }

    /// How long the loop goes on asking the system for events, without sleeping, after the last one
    /// came. Default: zero, it sleeps at once.
    ///
    /// To fall asleep and be woken is the greater part of the latency of a lone connection: one
    /// whose next message comes within this time is answered at more than twice the rate. 50
    /// microseconds are a good value, and much less than that is worse than nothing: the poll is
    /// paid for, and the sleep as well. The price is a processor core, which is kept busy for this
    /// long after each event; with nothing else to run on it, a process that has events all the
    /// time uses all of it.
    ///
    /// While it is awake, [`turn`](crate::Reactor::turn) returns before its timeout is over.
    /// [`next_deadline`](crate::Reactor::next_deadline) does not know of this: a loop that sleeps
    /// by itself sleeps.
    #[must_use]
    pub fn busy_poll(self, busy_poll: Duration) -> Self {
        Self { busy_poll, ..self }
    }

    /// On how many threads at most [`defer_to_thread`](crate::Reactor::defer_to_thread) does its
    /// work; what exceeds them waits. At least one. Default: 10, as in Twisted.
    /// (`suggestThreadPoolSize`)
    #[must_use]
    pub fn threads_max(self, threads_max: usize) -> Self {
        Self { threads_max, ..self }
    }
}
