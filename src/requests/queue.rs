//! `RequestQueue`: the requests of a client, until they are answered. Pure: times in, decisions
//! out.

use super::errors::{QueueFull, UnexpectedReply};
use super::expired::Expired;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Requests under way at most, by default: with one, every server works.
const DEPTH: usize = 1;

/// Default of [`RequestQueue::max_waiting`]. A burst of a program; if this many are waiting, the
/// server does not keep up, and more would only wait for longer.
const MAX_WAITING: usize = 1024;

/// Time for a request, by default: as for an attempt to connect.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest timeout: a hundred years, as for timers, so that adding it to a time does not overflow.
const TIMEOUT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The requests of a client, in order, until they are answered, for protocols in which the replies
/// come in the order of the requests.
///
/// `R` is a request: what to send, and whatever says what to do with the reply: an enum, a closure,
/// a connection that asked. The queue only keeps it, and gives each one back exactly once: answered
/// ([`pop_answered`](Self::pop_answered)), expired ([`pop_expired`](Self::pop_expired)), rejected
/// ([`push`](Self::push)), or when the connection is over
/// ([`connection_lost`](Self::connection_lost)).
///
/// - **Order.** Requests are sent in the order of `push`. A reply belongs to the oldest request
///   under way.
/// - **Pipelining.** At most [`depth`](Self::depth) requests are under way, that is, sent and not
///   answered. The others wait.
/// - **Deadlines.** The time of a request begins when it is pushed, so it covers the wait in the
///   queue and, if requests outlast a connection, the time without one. The queue has no timer:
///   [`next_deadline`](Self::next_deadline) says when to call `pop_expired`.
/// - **Late replies.** A request that expires under way keeps its place, since its reply may still
///   come, before those of younger requests. `pop_answered` returns `Ok(None)` for it. Until
///   then the place counts as under way: a server that answers nothing is sent at most `depth`
///   requests.
/// - **At most once.** A request is sent once. If the connection is lost, it is unknown whether the
///   server has carried out those under way: they come back, and to push one again is the caller's
///   decision. What was never sent stays for the next connection, or is taken out by
///   [`take_waiting`](Self::take_waiting).
///
/// Apart from its `VecDeque`, which grows up to `depth` and [`max_waiting`](Self::max_waiting), it
/// allocates nothing; `connection_lost` and `take_waiting` return a `Vec`.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use twistor::requests::RequestQueue;
/// use twistor::{LineContext, LineReceiver, Lines, testing};
///
/// /// Adds up numbers that it asks for.
/// struct Sum {
///     requests: RequestQueue<&'static str>,
///     sum: u32,
/// }
///
/// impl<F> LineReceiver<F> for Sum {
///     fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
///         for name in ["apples", "pears", "plums"] {
///             let _ = self.requests.push(cx.reactor.now(), name);
///         }
///         while let Some(name) = self.requests.start_next() {
///             cx.send_line(format!("how many {name}?"));
///         }
///     }
///
///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
///         match self.requests.pop_answered() {
///             Ok(Some(_name)) => {
///                 let count = std::str::from_utf8(line).ok().and_then(|it| it.parse().ok());
///                 self.sum += count.unwrap_or(0);
///             }
///             // Its request has expired.
///             Ok(None) => {}
///             Err(error) => cx.transport.fail(error),
///         }
///         while let Some(name) = self.requests.start_next() {
///             cx.send_line(format!("how many {name}?"));
///         }
///     }
/// }
///
/// let server = testing::connect(|| {
///     Lines::new(Sum { requests: RequestQueue::new().depth(2), sum: 0 })
/// });
/// assert_eq!(server.take_received(), b"how many apples?\r\nhow many pears?\r\n");
/// server.send("3\r\n");
/// assert_eq!(server.take_received(), b"how many plums?\r\n");
/// # }
/// ```
///
/// The guide's chapter on requests and replies has timeouts and lost connections as well.
pub struct RequestQueue<R> {
    depth: usize,
    max_waiting: usize,
    timeout: Duration,
    /// Requests under way, the oldest first, and behind them those that wait. No deadline is before
    /// that of an older request.
    requests: VecDeque<Pending<R>>,
    /// How many of `requests` are under way.
    sent: usize,
    /// Replies that are still to come to requests that have expired. Those were older than all of
    /// `requests`.
    overdue: usize,
}

struct Pending<R> {
    request: R,
    deadline: Instant,
}

impl<R> RequestQueue<R> {
    /// Returns an empty queue with the default settings.
    pub fn new() -> Self {
        Self {
            depth: DEPTH,
            max_waiting: MAX_WAITING,
            timeout: TIMEOUT,
            requests: VecDeque::new(),
            sent: 0,
            overdue: 0,
        }
    }

    /// Sets how many requests may be under way on the connection. Default: 1, one at a time; zero
    /// counts as one.
    ///
    /// More than one is *pipelining*: a request does not wait for the reply to the one before.
    /// Servers must allow it (SMTP's does, if it offers PIPELINING). If the connection is lost, the
    /// outcome of up to this many requests is unknown.
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth.max(1);
        self
    }

    /// Sets how many requests may wait to be sent. Default: 1024; zero counts as one, since every
    /// request waits before it is sent.
    pub fn max_waiting(mut self, max_waiting: usize) -> Self {
        self.max_waiting = max_waiting.max(1);
        self
    }

    /// Sets the time for a request, from [`push`](Self::push) to its reply. Default: 30 seconds.
    /// More than a hundred years counts as that.
    ///
    /// It is the same for all requests. Those that may rightly take longer, such as a wait for an
    /// event, would hold up the others in any case: give them a connection and a queue of their
    /// own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(TIMEOUT_MAX);
        self
    }

    /// Adds a request, which waits until [`start_next`](Self::start_next) takes its turn. `now` is
    /// [`Reactor::now`](crate::Reactor::now).
    ///
    /// # Errors
    ///
    /// [`QueueFull`], with the request, if [`max_waiting`](Self::max_waiting) requests are waiting
    /// already.
    pub fn push(&mut self, now: Instant, request: R) -> Result<(), QueueFull<R>> {
        let waiting = self.waiting();
        if waiting >= self.max_waiting {
            return Err(QueueFull::new(request, waiting));
        }
        // A clock that cannot represent the deadline: due at once rather than never.
        let deadline = now.checked_add(self.timeout).unwrap_or(now);
        let deadline = self.requests.back().map_or(deadline, |last| deadline.max(last.deadline));
        self.requests.push_back(Pending { request, deadline });
        Ok(())
    }

    /// Marks the oldest waiting request as sent, and lends it to be written to the connection;
    /// `None` if none is waiting, or if as many as may be are under way.
    ///
    /// Call it until it returns `None`, whenever it may have something: when the connection is
    /// made, and after `push`, [`pop_answered`](Self::pop_answered) and
    /// [`pop_expired`](Self::pop_expired). It does not look at deadlines: take out first what has
    /// expired.
    pub fn start_next(&mut self) -> Option<&mut R> {
        if self.under_way() >= self.depth {
            return None;
        }
        let next = self.requests.get_mut(self.sent)?;
        self.sent += 1;
        Some(&mut next.request)
    }

    /// A reply has arrived: takes out the request that it answers, the oldest under way. `Ok(None)`
    /// means that this request has expired: the reply is late, and to be ignored.
    ///
    /// # Errors
    ///
    /// [`UnexpectedReply`] if no request is under way.
    pub fn pop_answered(&mut self) -> Result<Option<R>, UnexpectedReply> {
        if self.overdue > 0 {
            self.overdue -= 1;
            return Ok(None);
        }
        self.sent = self.sent.checked_sub(1).ok_or(UnexpectedReply)?;
        Ok(self.requests.pop_front().map(|it| it.request))
    }

    /// Returns the earliest deadline of all requests, which is that of the oldest one; `None` if
    /// there is none.
    ///
    /// One timer is enough: set it when there is none, for this time; when it fires, take out what
    /// has expired, and set it again. Until then this time only moves forward.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.requests.front().map(|it| it.deadline)
    }

    /// Takes out a request whose deadline is not after `now`, the oldest first; `None` if there is
    /// none. One that was sent keeps its place under way until its reply comes, or
    /// [`connection_lost`](Self::connection_lost) is called.
    pub fn pop_expired(&mut self, now: Instant) -> Option<Expired<R>> {
        if self.next_deadline()? > now {
            return None;
        }
        let expired = self.requests.pop_front()?.request;
        if self.sent == 0 {
            return Some(Expired::Waiting(expired));
        }
        self.sent -= 1;
        self.overdue += 1;
        Some(Expired::Sent(expired))
    }

    /// The connection is over: takes out the requests that were sent and not answered, the oldest
    /// first. No more replies are expected. The others wait for the next connection, with the
    /// deadlines that they have.
    ///
    /// Whether the server has carried out what is returned is unknown. A request that does no harm
    /// if it is carried out twice may be pushed again.
    #[must_use = "these requests have no reply, and the queue has forgotten them"]
    pub fn connection_lost(&mut self) -> Vec<R> {
        self.overdue = 0;
        let sent = self.requests.drain(..std::mem::take(&mut self.sent));
        sent.map(|it| it.request).collect()
    }

    /// Takes out all requests that wait to be sent, the oldest first: for clients that do not
    /// connect again, or are about to close.
    #[must_use = "these requests were not sent, and the queue has forgotten them"]
    pub fn take_waiting(&mut self) -> Vec<R> {
        self.requests.drain(self.sent..).map(|it| it.request).collect()
    }

    /// Returns the number of requests that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.requests.len() - self.sent
    }

    /// Returns the number of requests under way: of replies that are still to come, also to
    /// requests that have expired.
    pub fn under_way(&self) -> usize {
        self.sent + self.overdue
    }

    /// Returns the number of replies that are still to come to requests that have expired. While it
    /// grows, the server answers nothing in time, and a new connection may be better.
    pub fn overdue(&self) -> usize {
        self.overdue
    }

    /// Returns true if no request is waiting or under way.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.overdue == 0
    }
}

impl<R> Default for RequestQueue<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for RequestQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestQueue")
            .field("waiting", &self.waiting())
            .field("under_way", &self.under_way())
            .field("overdue", &self.overdue)
            .finish_non_exhaustive()
    }
}
