//! Timeouts of a connection: which ones are set, and which one has expired. Pure: times in,
//! decisions out.

use crate::reason::TimeoutKind;
use std::time::{Duration, Instant};

/// Timeouts of a connection. None is set by default. Set with
/// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts) for all new connections of a factory, or
/// with [`Transport::set_timeouts`](crate::Transport::set_timeouts) for one.
///
/// When one expires, the protocol hears [`timed_out`](crate::Protocol::timed_out), which by default
/// ends the connection with [`Reason::TimedOut`](crate::Reason::TimedOut). If a protocol keeps the
/// connection, that timeout starts again.
///
/// All of them start when the connection is made, or when they are set. Less than a millisecond
/// counts as one, zero too; `Duration::MAX` never expires.
///
/// ```
/// use std::time::Duration;
/// use twistor::limits::Timeouts;
///
/// let timeouts = Timeouts::new()
///     .first_byte(Duration::from_secs(10))
///     .idle(Duration::from_secs(60))
///     .min_rate(1000, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    idle: Option<Duration>,
    first_byte: Option<Duration>,
    handshake: Option<Duration>,
    lifetime: Option<Duration>,
    progress: Option<(usize, Duration)>,
}

impl Timeouts {
    /// Returns timeouts of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Idle timeout: the longest time without progress in either direction, in which the peer sends
    /// nothing and takes no unsent bytes. Reported as [`TimeoutKind::Idle`].
    ///
    /// Pausing reading restarts it while nothing is unsent, since the peer cannot be blamed then.
    /// It continues after the peer's FIN, and after `lose_connection` while bytes are unsent.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle: Some(idle), ..self }
    }

    /// First-byte timeout: the longest wait for the peer's first byte. Reported as
    /// [`TimeoutKind::FirstByte`]. The timeout does not run after `lose_connection`.
    #[must_use]
    pub fn first_byte(self, first_byte: Duration) -> Self {
        Self { first_byte: Some(first_byte), ..self }
    }

    /// Handshake timeout: the longest wait until the protocol calls
    /// [`handshake_done`](crate::Transport::handshake_done); the protocol decides what its
    /// handshake is. Reported as [`TimeoutKind::Handshake`]. The timeout does not run after
    /// `lose_connection`.
    ///
    /// Stops peers that send their first request a byte at a time (slowloris).
    #[must_use]
    pub fn handshake(self, handshake: Duration) -> Self {
        Self { handshake: Some(handshake), ..self }
    }

    /// Maximum lifetime: the longest time that the connection may live, whatever it does, closing
    /// included. Reported as [`TimeoutKind::MaxLifetime`].
    #[must_use]
    pub fn max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { lifetime: Some(max_lifetime), ..self }
    }

    /// Minimum transfer rate: the peer must send or take at least `bytes` in each span `within`,
    /// while bytes are unsent or a [`handshake`](Self::handshake) timeout is running. Reported as
    /// [`TimeoutKind::MinRate`], for which the peer is reset by default.
    ///
    /// Stops slow-read attacks: peers that read a byte a second are never idle. It continues after
    /// `lose_connection`, until everything is sent. While reading is paused, a handshake does not
    /// count. Zero `bytes` switch it off; `usize::MAX` can never be met.
    #[must_use]
    pub fn min_rate(self, bytes: usize, within: Duration) -> Self {
        Self { progress: Some((bytes, within)), ..self }
    }
}

/// Timeout bookkeeping for one connection.
///
/// Received and sent bytes only set a flag. The clock is read when the connection is settled, which
/// does not move the connection's one timer: when that is due, the timeouts are checked, and it is
/// set for the time that is left.
#[derive(Debug)]
pub(crate) struct TimeoutTracker {
    timeouts: Timeouts,
    /// The protocol's own timeout.
    timeout: Option<Duration>,
    /// The start of each timeout; `None` until the loop first updates them.
    since: Option<Since>,
    /// Bytes were sent or received since the clock was last read.
    active: bool,
    /// The protocol's own timeout starts again.
    restarted: bool,
    /// The peer has sent its first byte.
    heard: bool,
    /// The protocol has declared the handshake done.
    handshake_done: bool,
    /// The time for a TLS handshake that is not complete, and when it began.
    tls: Option<(Duration, Option<Instant>)>,
    /// Bytes sent and received in the current span of the minimum rate.
    moved: usize,
}

#[derive(Clone, Copy, Debug)]
struct Since {
    first_byte: Instant,
    handshake: Instant,
    lifetime: Instant,
    idle: Instant,
    timeout: Instant,
    /// Start of the current span, in which bytes are unsent or a handshake is awaited.
    progress: Option<Instant>,
}

/// What a connection is doing when its timeouts are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    /// Bytes are unsent, and not held back by a rate limit.
    pub(crate) unsent: bool,
    /// Nothing is read, or sent, and the peer is not to blame for it.
    pub(crate) paused: bool,
    /// The connection is closing. Timeouts for what the peer has to send no longer count, but for
    /// a TLS handshake; those for what it has to take do, as long as bytes are unsent, and so does
    /// the lifetime.
    pub(crate) closing: bool,
    /// No TLS handshake is awaited now: the bytes before it wait for a rate limit, or the
    /// connection closes without one.
    pub(crate) handshake_held: bool,
}

/// Longest timeout: longer than any process runs.
const TIMEOUT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Shortest timeout: a protocol that keeps its connection hears of a timeout again and again, and
/// the loop must sleep in between.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

fn after(since: Instant, time: Duration) -> Option<Instant> {
    since.checked_add(time.clamp(TIMEOUT_MIN, TIMEOUT_MAX))
}

impl TimeoutTracker {
    pub(crate) fn new() -> Self {
        Self {
            timeouts: Timeouts::default(),
            timeout: None,
            since: None,
            active: false,
            restarted: false,
            heard: false,
            handshake_done: false,
            tls: None,
            moved: 0,
        }
    }

    /// Records that a TLS handshake begins, which may take this time.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_begun(&mut self, time: Duration) {
        self.tls = Some((time, None));
    }

    /// Records that the TLS handshake is complete.
    pub(crate) fn tls_completed(&mut self) {
        self.tls = None;
    }

    /// Replaces the timeouts, which all start again; a first byte or a handshake that is done still
    /// counts.
    pub(crate) fn set(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
        self.since = None;
        self.moved = 0;
    }

    pub(crate) fn has_timeouts(&self) -> bool {
        self.timeouts != Timeouts::default()
    }

    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
        self.restarted = true;
    }

    pub(crate) fn restart_timeout(&mut self) {
        self.restarted = true;
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.heard = true;
        self.sent(count);
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.active = true;
        self.moved = self.moved.saturating_add(count);
    }

    pub(crate) fn handshake_done(&mut self) {
        self.handshake_done = true;
    }

    fn is_outstanding(&self, activity: Activity) -> bool {
        let held = activity.paused || activity.closing;
        let awaited = self.timeouts.handshake.is_some() && !self.handshake_done && !held;
        activity.unsent || awaited
    }

    /// Returns true if the loop has to read the clock for it.
    pub(crate) fn needs_update(&self, activity: Activity) -> bool {
        let begins = |since: Since| {
            since.progress.is_none()
                && self.timeouts.progress.is_some()
                && self.is_outstanding(activity)
        };
        let begins_tls = matches!(self.tls, Some((_, None)));
        self.active || self.restarted || begins_tls || self.since.is_none_or(begins)
    }

    /// Updates the starts of the timeouts, and returns when to check again at the latest.
    pub(crate) fn update(&mut self, now: Instant, activity: Activity) -> Option<Instant> {
        let outstanding = self.is_outstanding(activity);
        let since = self.since.get_or_insert(Since {
            first_byte: now,
            handshake: now,
            lifetime: now,
            idle: now,
            timeout: now,
            progress: None,
        });
        if std::mem::take(&mut self.active) || (activity.paused && !activity.unsent) {
            since.idle = now;
        }
        if std::mem::take(&mut self.restarted) {
            since.timeout = now;
        }
        if let Some((_, begun)) = &mut self.tls {
            match activity.handshake_held {
                true => *begun = Some(now),
                false => drop(begun.get_or_insert(now)),
            }
        }
        if !outstanding {
            since.progress = None;
        } else if since.progress.is_none() {
            since.progress = Some(now);
            self.moved = 0;
        }
        self.all(activity).into_iter().filter_map(|(due, _)| due).min()
    }

    /// Returns true if a timeout has expired, as far as is known of the bytes that were sent and
    /// received.
    pub(crate) fn is_overdue(&mut self, now: Instant, activity: Activity) -> bool {
        self.update(now, activity).is_some_and(|due| due <= now)
    }

    /// Returns the timeout that has expired, if one has; it then starts again.
    pub(crate) fn expired(&mut self, now: Instant, activity: Activity) -> Option<TimeoutKind> {
        self.update(now, activity);
        let over = |(due, which): (Option<Instant>, TimeoutKind)| (due? <= now).then_some(which);
        let mut expired = self.all(activity).into_iter().find_map(over);
        let since = self.since.as_mut()?;
        if expired == Some(TimeoutKind::MinRate) {
            let enough = self.timeouts.progress.is_some_and(|(bytes, _)| self.moved >= bytes);
            self.moved = 0;
            since.progress = Some(now);
            if enough {
                expired = None;
            }
        }
        match expired? {
            TimeoutKind::FirstByte => since.first_byte = now,
            TimeoutKind::Handshake => {
                since.handshake = now;
                self.tls = self.tls.map(|(time, _)| (time, Some(now)));
            }
            TimeoutKind::MaxLifetime => since.lifetime = now,
            TimeoutKind::Idle => since.idle = now,
            TimeoutKind::Protocol => since.timeout = now,
            TimeoutKind::MinRate | TimeoutKind::Close => {}
        }
        expired
    }

    /// Returns when each timeout expires, the most significant ones first.
    fn all(&self, activity: Activity) -> [(Option<Instant>, TimeoutKind); 6] {
        let set = &self.timeouts;
        let due = |which: TimeoutKind| {
            let since = self.since?;
            match which {
                TimeoutKind::MaxLifetime => after(since.lifetime, set.lifetime?),
                TimeoutKind::MinRate | TimeoutKind::Idle
                    if activity.closing && !activity.unsent =>
                {
                    None
                }
                TimeoutKind::FirstByte | TimeoutKind::Protocol if activity.closing => None,
                TimeoutKind::Handshake => {
                    // What was written before a close may wait for a TLS handshake.
                    let own = set.handshake.filter(|_| !self.handshake_done && !activity.closing);
                    let own = own.and_then(|time| after(since.handshake, time));
                    let tls = self.tls.and_then(|(time, begun)| after(begun?, time));
                    own.into_iter().chain(tls).min()
                }
                TimeoutKind::FirstByte if self.heard => None,
                TimeoutKind::FirstByte => after(since.first_byte, set.first_byte?),
                TimeoutKind::Protocol => after(since.timeout, self.timeout?),
                TimeoutKind::MinRate => {
                    // Zero bytes switch it off.
                    let (_, within) = set.progress.filter(|(bytes, _)| *bytes > 0)?;
                    after(since.progress?, within)
                }
                TimeoutKind::Idle => after(since.idle, set.idle?),
                TimeoutKind::Close => None,
            }
        };
        [
            TimeoutKind::MaxLifetime,
            TimeoutKind::FirstByte,
            TimeoutKind::Handshake,
            TimeoutKind::Protocol,
            TimeoutKind::MinRate,
            TimeoutKind::Idle,
        ]
        .map(|which| (due(which), which))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Activity =
        Activity { unsent: false, paused: false, closing: false, handshake_held: false };
    const UNSENT: Activity = Activity { unsent: true, ..QUIET };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn begin(timeouts: Timeouts, activity: Activity) -> (TimeoutTracker, Instant) {
        let mut tracker = TimeoutTracker::new();
        tracker.set(timeouts);
        let now = Instant::now();
        assert!(tracker.needs_update(activity));
        tracker.update(now, activity);
        assert!(!tracker.needs_update(activity));
        (tracker, now)
    }

    #[test]
    fn received_bytes_restart_the_idle_timeout_only() {
        let (mut tracker, t) = begin(Timeouts::new().idle(s(10)).max_lifetime(s(25)), QUIET);
        for second in [9, 18] {
            tracker.received(1);
            assert!(tracker.needs_update(QUIET));
            assert_eq!(tracker.update(t + s(second), QUIET), Some(t + s(second + 10).min(s(25))));
            assert_eq!(tracker.expired(t + s(second), QUIET), None);
        }
        assert_eq!(tracker.expired(t + s(24), QUIET), None);
        assert_eq!(tracker.expired(t + s(25), QUIET), Some(TimeoutKind::MaxLifetime));
        assert_eq!(tracker.expired(t + s(28), QUIET), Some(TimeoutKind::Idle));
        assert_eq!(tracker.expired(t + s(29), QUIET), None, "starts again");
        assert_eq!(tracker.expired(t + s(38), QUIET), Some(TimeoutKind::Idle));
    }

    #[test]
    fn a_paused_peer_is_not_idle() {
        let (mut tracker, t) = begin(Timeouts::new().idle(s(10)), QUIET);
        let paused = Activity { paused: true, ..QUIET };
        assert_eq!(tracker.expired(t + s(10), paused), None);
        assert_eq!(tracker.expired(t + s(19), QUIET), None);
        assert_eq!(tracker.expired(t + s(20), QUIET), Some(TimeoutKind::Idle));
        // Reading is often paused because the peer takes nothing, for which it can be blamed.
        let both = Activity { unsent: true, ..paused };
        assert_eq!(tracker.expired(t + s(29), both), None);
        assert_eq!(tracker.expired(t + s(30), both), Some(TimeoutKind::Idle));
    }

    #[test]
    fn the_first_byte_and_the_handshake_end_their_timeouts() {
        let timeouts = Timeouts::new().first_byte(s(5)).handshake(s(8));
        let (mut tracker, t) = begin(timeouts, QUIET);
        assert_eq!(tracker.expired(t + s(5), QUIET), Some(TimeoutKind::FirstByte));
        tracker.received(1);
        assert_eq!(tracker.expired(t + s(8), QUIET), Some(TimeoutKind::Handshake));
        tracker.handshake_done();
        assert_eq!(tracker.update(t + s(9), QUIET), None);
        assert_eq!(tracker.expired(t + s(1000), QUIET), None);
    }

    #[test]
    fn the_minimum_rate_holds_in_each_span_with_unsent_bytes() {
        let (mut tracker, t) = begin(Timeouts::new().min_rate(100, s(10)), QUIET);
        assert_eq!(tracker.update(t, QUIET), None);
        assert!(tracker.needs_update(UNSENT));
        assert_eq!(tracker.update(t + s(50), UNSENT), Some(t + s(60)));
        tracker.sent(99);
        tracker.received(1);
        assert_eq!(tracker.expired(t + s(60), UNSENT), None, "enough");
        tracker.sent(99);
        assert_eq!(tracker.expired(t + s(69), UNSENT), None, "not yet over");
        assert_eq!(tracker.expired(t + s(70), UNSENT), Some(TimeoutKind::MinRate));
        // Bytes that were taken within the span were not too slow, however few they were.
        let (mut few, t) = begin(Timeouts::new().min_rate(100, s(10)), UNSENT);
        few.sent(10);
        assert_eq!(few.update(t + s(1), QUIET), None);
        assert_eq!(few.expired(t + s(10), QUIET), None);
        assert_eq!(few.update(t + s(20), UNSENT), Some(t + s(30)), "later bytes start a new span");
        // Once everything is sent, it no longer matters how slow it was.
        tracker.sent(1000);
        assert_eq!(tracker.expired(t + s(80), QUIET), None);
        assert_eq!(tracker.update(t + s(80), QUIET), None);
    }

    #[test]
    fn a_handshake_in_small_pieces_is_below_the_minimum_rate() {
        let timeouts = Timeouts::new().handshake(s(100)).min_rate(10, s(10));
        let (mut tracker, t) = begin(timeouts, QUIET);
        for second in 1..10 {
            tracker.received(1);
            assert_eq!(tracker.expired(t + s(second), QUIET), None);
        }
        assert_eq!(tracker.expired(t + s(10), QUIET), Some(TimeoutKind::MinRate));
    }

    #[test]
    fn received_bytes_do_not_restart_the_protocol_s_own_timeout() {
        let (mut tracker, t) = begin(Timeouts::new(), QUIET);
        tracker.set_timeout(Some(s(10)));
        assert_eq!(tracker.update(t + s(1), QUIET), Some(t + s(11)));
        tracker.received(1);
        assert_eq!(tracker.update(t + s(9), QUIET), Some(t + s(11)));
        tracker.restart_timeout();
        assert_eq!(tracker.update(t + s(9), QUIET), Some(t + s(19)));
        assert_eq!(tracker.expired(t + s(19), QUIET), Some(TimeoutKind::Protocol));
        tracker.set_timeout(None);
        assert_eq!(tracker.update(t + s(20), QUIET), None);
    }

    #[test]
    fn closing_with_nothing_unsent_leaves_only_the_maximum_lifetime() {
        let timeouts = Timeouts::new().first_byte(s(1)).handshake(s(1)).max_lifetime(s(5));
        let (mut tracker, t) = begin(timeouts.idle(s(1)).min_rate(1, s(1)), QUIET);
        tracker.set_timeout(Some(s(1)));
        let closing = Activity { closing: true, ..QUIET };
        assert_eq!(tracker.expired(t + s(4), closing), None);
        assert_eq!(tracker.expired(t + s(5), closing), Some(TimeoutKind::MaxLifetime));
    }

    #[test]
    fn a_closing_peer_that_takes_too_little_times_out() {
        let closing = Activity { closing: true, ..UNSENT };
        let (mut tracker, t) = begin(Timeouts::new().min_rate(10, s(2)), closing);
        for second in [2, 4] {
            tracker.sent(10);
            assert_eq!(tracker.expired(t + s(second), closing), None);
        }
        tracker.sent(9);
        assert_eq!(tracker.expired(t + s(6), closing), Some(TimeoutKind::MinRate));
        let (mut tracker, t) = begin(Timeouts::new().idle(s(2)), closing);
        tracker.sent(1);
        assert_eq!(tracker.expired(t + s(1), closing), None);
        assert_eq!(tracker.expired(t + s(3), closing), Some(TimeoutKind::Idle));
    }

    #[test]
    fn an_endless_timeout_never_expires_and_zero_is_a_millisecond() {
        let (mut tracker, t) = begin(Timeouts::new().idle(Duration::MAX), QUIET);
        assert_eq!(tracker.expired(t + s(1_000_000), QUIET), None);
        let (mut tracker, t) = begin(Timeouts::new().idle(Duration::ZERO), QUIET);
        assert_eq!(tracker.expired(t, QUIET), None);
        assert_eq!(tracker.expired(t + TIMEOUT_MIN, QUIET), Some(TimeoutKind::Idle));
        assert_eq!(tracker.expired(t + TIMEOUT_MIN, QUIET), None, "and not twice at once");
    }

    #[test]
    fn a_minimum_rate_of_zero_always_holds_and_of_max_never() {
        for (bytes, within, expired) in [
            (0, Duration::ZERO, None),
            (0, s(10), None),
            (usize::MAX, s(10), Some(TimeoutKind::MinRate)),
            (usize::MAX, Duration::MAX, None),
        ] {
            let (mut tracker, t) = begin(Timeouts::new().min_rate(bytes, within), UNSENT);
            tracker.sent(usize::MAX - 1);
            tracker.received(0);
            assert_eq!(tracker.expired(t + s(10), UNSENT), expired, "{bytes}, {within:?}");
        }
        let (mut tracker, t) = begin(Timeouts::new().min_rate(usize::MAX, s(10)), UNSENT);
        (0..3).for_each(|_| tracker.sent(usize::MAX / 2));
        assert_eq!(tracker.expired(t + s(10), UNSENT), None, "more than can be counted");
    }
}
