//! What can be set for a whole reactor.

use std::time::Duration;

/// See [`Settings::close_timeout`]. Long enough for a peer that lost its network for a moment,
/// short enough not to collect those that never come back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that waits for a rate or for its producer is looked at so often: the loop is to
/// sleep between.
const CLOSE_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// See [`Settings::max_blocking_threads`]. What Twisted has: work that blocks mostly waits, for a
/// disk or for a resolver, and ten that wait cost next to nothing.
const THREADS_MAX: usize = 10;

/// See [`Settings::max_pending_calls`]. Some megabytes, if the closures hold little, and less than
/// a tenth of a second for the loop to catch up with, if they do little.
const CALLS_MAX: usize = 64 * 1024;

/// See [`Settings::slow_callback_duration`]. What people begin to notice.
const SLOW_CALLBACK: Duration = Duration::from_millis(100);

/// See [`Settings::max_unsent`]. A client may well send all it has before it begins to read, and
/// has it sent back; more than this is no such client.
const UNSENT_MAX: usize = 64 * 1024 * 1024;

/// See [`Settings::max_unsent_total`]. What a machine of these days has to spare; a small one
/// should be told less.
const UNSENT_TOTAL_MAX: usize = 1024 * 1024 * 1024;

/// See [`Settings::drain_timeout`]. Half of the ten seconds after which container runtimes kill
/// what they have asked to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

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
    pub(super) max_blocking_threads: usize,
    pub(super) max_pending_calls: usize,
    pub(super) drain_timeout: Duration,
    pub(super) slow_callback_duration: Duration,
    pub(super) max_connections: Option<usize>,
    pub(super) max_unsent: usize,
    pub(super) max_unsent_total: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            close_timeout: CLOSE_TIMEOUT,
            handle_signals: true,
            busy_poll: Duration::ZERO,
            max_blocking_threads: THREADS_MAX,
            max_pending_calls: CALLS_MAX,
            drain_timeout: DRAIN_TIMEOUT,
            slow_callback_duration: SLOW_CALLBACK,
            max_connections: None,
            max_unsent: UNSENT_MAX,
            max_unsent_total: UNSENT_TOTAL_MAX,
        }
    }
}

impl Settings {
    /// How long a connection that is being closed waits for its peer to accept the next byte, or
    /// for a registered producer to give it, before the connection is reset. Counted again whenever
    /// the peer accepts something. Default: 60 seconds. Less than a millisecond counts as one;
    /// `Duration::MAX` waits for ever.
    #[must_use]
    pub fn close_timeout(self, close_timeout: Duration) -> Self {
        Self { close_timeout: close_timeout.max(CLOSE_TIMEOUT_MIN), ..self }
    }

    /// How long SIGTERM lets connections end before they are cut off: it does what
    /// [`stop_gracefully`](crate::Reactor::stop_gracefully) does, with this deadline. Zero stops at
    /// once, as SIGINT does, which is sent by somebody who waits; `Duration::MAX` waits for the
    /// last connection, however long that takes. Default: 5 seconds.
    #[must_use]
    pub fn drain_timeout(self, drain_timeout: Duration) -> Self {
        Self { drain_timeout, ..self }
    }

    /// Whether SIGINT and SIGTERM stop the reactor while it is in
    /// [`run`](crate::Reactor::run). Default: true. Only on Unix, and with the feature `signals`.
    ///
    /// Signals belong to the process: every reactor that listens is stopped. When `run` returns,
    /// signals do again what they did before. While it runs, a second signal does what it does by
    /// default: it ends the process, for the first may wait behind a callback that never returns.
    ///
    /// A signal that is ignored when `run` begins stays ignored, and does not stop the reactor:
    /// SIGINT, for example, in a job that a script has started in the background. (On Linux only,
    /// where a program can see that.)
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
    /// by itself sleeps. With `Duration::MAX` it never sleeps again after the first event.
    #[must_use]
    pub fn busy_poll(self, busy_poll: Duration) -> Self {
        Self { busy_poll, ..self }
    }

    /// On how many threads at most [`defer_to_thread`](crate::Reactor::defer_to_thread) does its
    /// work; what exceeds them waits. Zero counts as one; with `usize::MAX` nothing waits, unless
    /// the system has no more threads. Default: 10, as in Twisted. (`suggestThreadPoolSize`)
    #[must_use]
    pub fn max_blocking_threads(self, max_blocking_threads: usize) -> Self {
        Self { max_blocking_threads, ..self }
    }

    /// How many calls from other threads may wait for the reactor; see
    /// [`Remote::call_from_thread`](crate::Remote::call_from_thread). Beside them each thread may
    /// have one, however many there are, and results of
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread) are always taken. With zero each thread
    /// has one at a time. Default: 65 536.
    #[must_use]
    pub fn max_pending_calls(self, max_pending_calls: usize) -> Self {
        Self { max_pending_calls, ..self }
    }

    /// How long a callback may take before it is logged as a warning, with the last events of the
    /// loop; everybody else waits meanwhile. Default: 100 milliseconds. The events are logged once
    /// in five seconds at most. With zero every callback is slow, with `Duration::MAX` none.
    #[must_use]
    pub fn slow_callback_duration(self, slow_callback_duration: Duration) -> Self {
        Self { slow_callback_duration, ..self }
    }

    /// How many connections the reactor holds at most, of all factories; further clients are
    /// refused, and with zero all of them. Connections that the reactor begins itself are never
    /// refused. `None`, the default, is no limit of its own: the system has one, for descriptors,
    /// and its exhaustion is survived.
    #[must_use]
    pub fn max_connections(self, max_connections: impl Into<Option<usize>>) -> Self {
        Self { max_connections: max_connections.into(), ..self }
    }

    /// How many bytes a connection may have unsent before it is lost with
    /// [`Reason::Overflow`](crate::Reason::Overflow); `None` is no limit. Default: 64 MiB. For one
    /// connection [`Transport::set_max_unsent`](crate::Transport::set_max_unsent) says otherwise.
    ///
    /// What is written while nothing is unsent is taken however long it is. With three quarters of
    /// the limit unsent, a connection is not read until its peer has taken something. With zero a
    /// connection takes no write but one at a time, when all before it is sent.
    #[must_use]
    pub fn max_unsent(self, max_unsent: impl Into<Option<usize>>) -> Self {
        Self { max_unsent: max_unsent.into().unwrap_or(usize::MAX), ..self }
    }

    /// How many bytes all connections together may have unsent; `None` is no limit. Default: 1 GiB.
    ///
    /// The limit holds at every moment, within callbacks too. A write above it is first offered to
    /// its socket. If the socket does not take it, the slowest consumers are lost at once, with
    /// [`Reason::Overflow`](crate::Reason::Overflow), and their unsent bytes are freed, until three
    /// quarters of the limit are left. Candidates are the connections that had something unsent
    /// before this callback, and the one written to. Connections that keep up never pay for slow
    /// ones. If the connection written to already has something unsent, and its
    /// [`OverflowPolicy`](crate::limits::OverflowPolicy) is to refuse or drop, that happens to the
    /// write, and no connection is lost.
    ///
    /// While a callback runs, a connection counts with up to a kilobyte more than it has unsent (at
    /// most a millionth of the limit), so that small writes need not be counted one by one.
    #[must_use]
    pub fn max_unsent_total(self, max_unsent_total: impl Into<Option<usize>>) -> Self {
        Self { max_unsent_total: max_unsent_total.into().unwrap_or(usize::MAX), ..self }
    }
}
