//! Settings of a reactor, and their defaults.

use crate::driver::AnyStream;
#[cfg(feature = "testing")]
use crate::driver::RecordStream;
use std::time::Duration;

/// Default of [`Settings::close_timeout`]. Long enough for a peer that lost its network for a
/// moment, short enough not to collect peers that never come back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Shortest close timeout. A closing connection that waits for a rate or its producer is checked
/// this often, and the loop must sleep in between.
const CLOSE_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Default of [`Settings::max_blocking_threads`], as in Twisted: blocking work mostly waits, for a
/// disk or a resolver, and ten waiting threads cost next to nothing.
const THREADS_MAX: usize = 10;

/// Default of [`Settings::max_pending_calls`]. Some megabytes, if the closures hold little, and
/// less than a tenth of a second for the loop to catch up with, if they do little.
const CALLS_MAX: usize = 64 * 1024;

/// Default of [`Settings::slow_callback_duration`]: a delay that people begin to notice.
const SLOW_CALLBACK: Duration = Duration::from_millis(100);

/// Default of [`Settings::max_unsent`]. A client may send all it has before it begins to read the
/// replies; no such client sends more than this.
const UNSENT_MAX: usize = 64 * 1024 * 1024;

/// Default of [`Settings::max_unsent_total`]: memory that a current machine can spare; a small one
/// should have a lower limit.
const UNSENT_TOTAL_MAX: usize = 1024 * 1024 * 1024;

/// Default of [`Settings::drain_timeout`]: half of the ten seconds after which container runtimes
/// kill a process that they have asked to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Default of [`Settings::handshake_timeout`], as in Netty's `SslHandler`. A well-behaved
/// proxy or client needs a few round trips, and a retransmission at worst.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a reactor; see [`Reactor::with_settings`](crate::Reactor::with_settings).
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
    pub(super) handshake_timeout: Duration,
    pub(super) slow_callback_duration: Duration,
    pub(super) max_connections: Option<usize>,
    pub(super) max_unsent: usize,
    pub(super) max_unsent_total: usize,
    /// Length of the records in which a test has all connections move their bytes.
    #[cfg(feature = "testing")]
    record_len: Option<usize>,
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
            handshake_timeout: HANDSHAKE_TIMEOUT,
            slow_callback_duration: SLOW_CALLBACK,
            max_connections: None,
            max_unsent: UNSENT_MAX,
            max_unsent_total: UNSENT_TOTAL_MAX,
            #[cfg(feature = "testing")]
            record_len: None,
        }
    }
}

impl Settings {
    /// Sets the close timeout: the longest time for which a closing connection waits for its peer
    /// to take the next byte, or for a registered producer to give it, before it is reset. Restarts
    /// whenever the peer takes something. Default: 60 seconds. Less than a millisecond counts as
    /// one; `Duration::MAX` waits for ever.
    #[must_use]
    pub fn close_timeout(self, close_timeout: Duration) -> Self {
        Self { close_timeout: close_timeout.max(CLOSE_TIMEOUT_MIN), ..self }
    }

    /// Sets the drain timeout: the time that connections have to end after SIGTERM, which stops the
    /// reactor as [`stop_gracefully`](crate::Reactor::stop_gracefully) does with this deadline.
    /// Zero stops at once, as SIGINT does, which a person waiting at a terminal sends;
    /// `Duration::MAX` waits for the last connection, however long that takes. Default: 5 seconds.
    #[must_use]
    pub fn drain_timeout(self, drain_timeout: Duration) -> Self {
        Self { drain_timeout, ..self }
    }

    /// Returns the time that connections have to end when a supervisor, or a failure elsewhere,
    /// ends the reactor.
    pub(crate) fn drain_time(&self) -> Duration {
        self.drain_timeout
    }

    /// Sets the handshake timeout: the longest time from accepting a connection until its protocol
    /// can be built, on a port that expects a PROXY header (see
    /// [`ServerEndpoint::proxy_protocol`](crate::ServerEndpoint::proxy_protocol)) or a TLS
    /// handshake. It covers both of them together, however slowly they come; a client that is late
    /// is rejected. Default: 10 seconds; `Duration::MAX` waits for ever.
    ///
    /// It is also the longest time that a handshake of
    /// [`Transport::start_tls`](crate::Transport::start_tls) may take, on either side.
    ///
    /// The handshake of a protocol has a timeout of its own,
    /// [`Timeouts::handshake`](crate::limits::Timeouts::handshake).
    #[must_use]
    pub fn handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }

    /// Sets whether SIGINT and SIGTERM stop the reactor while it is in
    /// [`run`](crate::Reactor::run). Default: true. Only on Unix, and with the feature `signals`.
    ///
    /// Signals belong to the process: they stop every reactor that handles them. When `run`
    /// returns, the former handlers are restored. While it runs, a second signal has its default
    /// effect and ends the process: the first may wait behind a callback that never returns.
    ///
    /// A signal that is ignored when `run` begins stays ignored, and does not stop the reactor:
    /// SIGINT, for example, in a job that a script has started in the background. (On Linux only,
    /// where a program can see this.)
    ///
    /// With false the program may handle the two itself, with
    /// [`Reactor::on_signal`](crate::Reactor::on_signal).
    #[must_use]
    pub fn handle_signals(self, handle_signals: bool) -> Self {
        Self { handle_signals, ..self }
    }

    /// Sets the busy polling time: the loop keeps polling for events, without sleeping, for this
    /// long after the last event. Default: zero, so that it sleeps at once.
    ///
    /// Falling asleep and waking up are the greater part of the latency of a lone connection: one
    /// whose next message comes within this time is answered at more than twice the rate. 50
    /// microseconds are a good value; much less is worse than nothing, since it costs both the
    /// polling and the sleep. The price is a processor core, which is kept busy for this long after
    /// each event; a process that has events all the time uses the whole core.
    ///
    /// While the loop is busy polling, [`turn`](crate::Reactor::turn) returns before its timeout is
    /// over. [`next_deadline`](crate::Reactor::next_deadline) does not reflect busy polling: an
    /// outer loop that sleeps by itself sleeps. With `Duration::MAX` the loop never sleeps again
    /// after the first event.
    #[must_use]
    pub fn busy_poll(self, busy_poll: Duration) -> Self {
        Self { busy_poll, ..self }
    }

    /// Sets the maximum number of threads on which
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread) runs work; further work waits. Zero
    /// counts as one; with `usize::MAX` no work waits, unless the operating system has no more
    /// threads. Default: 10, as in Twisted. (`suggestThreadPoolSize`)
    #[must_use]
    pub fn max_blocking_threads(self, max_blocking_threads: usize) -> Self {
        Self { max_blocking_threads, ..self }
    }

    /// Sets the maximum number of calls from other threads that may wait for the reactor; see
    /// [`Remote::call_from_thread`](crate::Remote::call_from_thread). Each thread may have one call
    /// waiting beyond this limit, and results of
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread) are always accepted. With zero each
    /// thread has one at a time. Default: 65 536.
    #[must_use]
    pub fn max_pending_calls(self, max_pending_calls: usize) -> Self {
        Self { max_pending_calls, ..self }
    }

    /// Sets the duration from which a callback is slow, and logged as a warning with the last
    /// events of the loop: all other connections wait meanwhile. Default: 100 milliseconds. The
    /// events are logged once in five seconds at most. With zero every callback is slow, with
    /// `Duration::MAX` none.
    #[must_use]
    pub fn slow_callback_duration(self, slow_callback_duration: Duration) -> Self {
        Self { slow_callback_duration, ..self }
    }

    /// Sets the maximum number of connections of all factories; further clients are rejected, with
    /// zero all of them. Outgoing connections count, and are never rejected; those of a
    /// [`MetricsPage`](crate::metrics::MetricsPage), of an `Inspector` or of a successor
    /// ([`hand_over`](crate::Reactor::hand_over)) neither count nor are rejected for it. `None`,
    /// the default, sets no limit: the operating system limits descriptors, and the reactor
    /// survives their exhaustion.
    #[must_use]
    pub fn max_connections(self, max_connections: impl Into<Option<usize>>) -> Self {
        Self { max_connections: max_connections.into(), ..self }
    }

    /// Sets the maximum number of unsent bytes in a connection's write buffer; above it the
    /// connection is lost with [`Reason::Overflow`](crate::Reason::Overflow). `None` is no limit.
    /// Default: 64 MiB. [`Transport::set_max_unsent`](crate::Transport::set_max_unsent) overrides
    /// it for one connection.
    ///
    /// A write while nothing is unsent is accepted whatever its length. Backpressure: with more
    /// than three quarters of the limit unsent, a connection is not read until its peer has taken
    /// something. With zero a connection accepts one write at a time, when all before it is sent.
    #[must_use]
    pub fn max_unsent(self, max_unsent: impl Into<Option<usize>>) -> Self {
        Self { max_unsent: max_unsent.into().unwrap_or(usize::MAX), ..self }
    }

    /// Sets the maximum number of unsent bytes of all connections together; `None` is no limit.
    /// Default: 1 GiB.
    ///
    /// The limit holds at every moment, within callbacks too. A write above it is first offered to
    /// its socket. If the socket does not take it, the slowest consumers are lost at once, with
    /// [`Reason::Overflow`](crate::Reason::Overflow), and their unsent bytes are freed, until three
    /// quarters of the limit are left. Candidates are the connections that had something unsent
    /// before this callback, and the one written to. Connections that keep up never pay for slow
    /// ones. If the connection written to already has something unsent, and its
    /// [`OverflowPolicy`](crate::limits::OverflowPolicy) is to reject or drop writes, that happens
    /// to this write, and no connection is lost.
    ///
    /// While a callback runs, a connection counts with up to a kilobyte more than it has unsent (at
    /// most a millionth of the limit), so that small writes need not be counted one by one.
    #[must_use]
    pub fn max_unsent_total(self, max_unsent_total: impl Into<Option<usize>>) -> Self {
        Self { max_unsent_total: max_unsent_total.into().unwrap_or(usize::MAX), ..self }
    }

    /// Sets a record layer, for tests: all connections move their bytes in records of at most
    /// `record_len` bytes, as encrypted connections do. Default: none. Zero counts as one.
    ///
    /// The layer changes no byte, so peers need no layer of their own, and a protocol that works
    /// without it must work with it. The protocol sees two differences:
    ///
    /// - `data_received` gets a record at a time, however much has arrived, in the same turn or in
    ///   the following ones.
    /// - Some records stay in the layer while the peer takes nothing. They count as unsent.
    ///
    /// ```
    /// use twistor::testing::Server;
    /// use twistor::{Context, Protocol, Settings};
    ///
    /// struct Echo;
    ///
    /// impl<F> Protocol<F> for Echo {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         assert!(data.len() <= 3);
    ///         cx.transport.write(data);
    ///     }
    /// }
    ///
    /// let server = Server::with_settings(Settings::default().record_layer(3), || Echo);
    /// let peer = server.connect();
    /// peer.send("a long message");
    /// assert_eq!(peer.take_received(), b"a long message");
    /// ```
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn record_layer(self, record_len: usize) -> Self {
        Self { record_len: Some(record_len.max(1)), ..self }
    }

    /// Puts the layers of these settings on the socket of a new connection.
    #[cfg(feature = "testing")]
    pub(super) fn layered(&self, socket: AnyStream) -> AnyStream {
        match self.record_len {
            Some(record_len) => AnyStream::Layer(Box::new(RecordStream::new(socket, record_len))),
            None => socket,
        }
    }

    /// Returns the socket of a new connection: without the feature `testing` there are no layers.
    #[cfg(not(feature = "testing"))]
    pub(super) fn layered(&self, socket: AnyStream) -> AnyStream {
        socket
    }
}
