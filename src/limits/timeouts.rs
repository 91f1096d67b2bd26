//! Timeouts of a connection: which ones are set, and which one is over. Pure: times in, decisions
//! out.

use crate::reason::TimeoutKind;
use std::time::{Duration, Instant};

/// Timeouts of a connection. None is set by default. Set for all new connections of a factory with
/// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts), for one with
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
    idle: Option<Duration>,
    first_byte: Option<Duration>,
    handshake: Option<Duration>,
    lifetime: Option<Duration>,
    progress: Option<(usize, Duration)>,
}

impl Timeouts {
    /// No timeouts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Idle timeout: the longest time without progress in either direction, in which the peer sends
    /// nothing and takes nothing of what is unsent. While reading is paused and nothing is unsent,
    /// the peer cannot be blamed, and the time starts again. It runs on after the peer's FIN, and
    /// while this side closes as long as something is unsent.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle: Some(idle), ..self }
    }

    /// First-byte timeout: the longest time from the beginning of the connection until the peer has
    /// sent something.
    #[must_use]
    pub fn first_byte(self, first_byte: Duration) -> Self {
        Self { first_byte: Some(first_byte), ..self }
    }

    /// Handshake timeout: the longest time from the beginning of the connection until the protocol
    /// calls [`handshake_done`](crate::Transport::handshake_done); what a handshake is, it decides.
    /// Stops peers that send their first request a byte at a time.
    #[must_use]
    pub fn handshake(self, handshake: Duration) -> Self {
        Self { handshake: Some(handshake), ..self }
    }

    /// Maximum lifetime: how long the connection may live, whatever it does.
    #[must_use]
    pub fn max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { lifetime: Some(max_lifetime), ..self }
    }

    /// Minimum transfer rate: at least `bytes` in each span `within`, sent or taken by the peer,
    /// while something is unsent or a handshake is awaited. It holds until everything is sent,
    /// after `lose_connection` as well. Stops peers that read a byte a second, which are never
    /// idle. A count of zero switches this off; `usize::MAX` can never be met.
    #[must_use]
    pub fn min_rate(self, bytes: usize, within: Duration) -> Self {
        Self { progress: Some((bytes, within)), ..self }
    }
}

/// The timeouts of one connection at work.
///
/// A packet only says that something has moved. The clock is read when the connection is settled,
/// and the one timer of a connection is not moved by that: when it is due, it looks, and is set for
/// what is left.
#[derive(Debug)]
pub(crate) struct TimeoutTracker {
    timeouts: Timeouts,
    /// Set by the protocol.
    timeout: Option<Duration>,
    /// Since when each of them counts; nothing counts before the loop has begun to.
    since: Option<Since>,
    /// Bytes have moved since the clock was last read.
    active: bool,
    /// The protocol's timeout begins anew.
    restarted: bool,
    /// The peer has sent something.
    heard: bool,
    /// The handshake is done.
    handshake_done: bool,
    /// Bytes that were moved since the progress was last looked at.
    moved: usize,
}

#[derive(Clone, Copy, Debug)]
struct Since {
    first_byte: Instant,
    handshake: Instant,
    lifetime: Instant,
    idle: Instant,
    timeout: Instant,
    /// Something is outstanding since then.
    progress: Option<Instant>,
}

/// What a connection is doing when its timeouts are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    /// Something is unsent.
    pub(crate) unsent: bool,
    /// Nothing is read, or sent, and the peer is not to blame for it.
    pub(crate) paused: bool,
    /// It is being closed. What the peer is to send counts no longer; what it is to take does, as
    /// long as something is unsent, and so does its lifetime.
    pub(crate) closing: bool,
}

/// Longer than any process runs.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A protocol that keeps its connection is told again and again; the loop is to sleep between.
const SHORTEST: Duration = Duration::from_millis(1);

fn after(since: Instant, time: Duration) -> Option<Instant> {
    since.checked_add(time.clamp(SHORTEST, LONGEST))
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
            moved: 0,
        }
    }

    /// Replaces the timeouts, which all start anew; a byte or a handshake that has come counts on.
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

    /// True if the loop is to read the clock for it.
    pub(crate) fn needs_update(&self, activity: Activity) -> bool {
        let begins = |since: Since| {
            since.progress.is_none()
                && self.timeouts.progress.is_some()
                && self.is_outstanding(activity)
        };
        self.active || self.restarted || self.since.is_none_or(begins)
    }

    /// Notes the time, and returns when it is to be looked at again at the latest.
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
        if !outstanding {
            since.progress = None;
        } else if since.progress.is_none() {
            since.progress = Some(now);
            self.moved = 0;
        }
        self.all(activity).into_iter().filter_map(|(due, _)| due).min()
    }

    /// True if a timeout is over, as far as is known of the bytes that have moved.
    pub(crate) fn is_overdue(&mut self, now: Instant, activity: Activity) -> bool {
        self.update(now, activity).is_some_and(|due| due <= now)
    }

    /// The timeout that is over, if one is; it then starts anew.
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
            TimeoutKind::Handshake => since.handshake = now,
            TimeoutKind::MaxLifetime => since.lifetime = now,
            TimeoutKind::Idle => since.idle = now,
            TimeoutKind::Protocol => since.timeout = now,
            TimeoutKind::MinRate | TimeoutKind::Close => {}
        }
        expired
    }

    /// When each timeout is over, the most significant ones first.
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
                TimeoutKind::FirstByte | TimeoutKind::Handshake | TimeoutKind::Protocol
                    if activity.closing =>
                {
                    None
                }
                TimeoutKind::Handshake if self.handshake_done => None,
                TimeoutKind::Handshake => after(since.handshake, set.handshake?),
                TimeoutKind::FirstByte if self.heard => None,
                TimeoutKind::FirstByte => after(since.first_byte, set.first_byte?),
                TimeoutKind::Protocol => after(since.timeout, self.timeout?),
                TimeoutKind::MinRate => {
                    // No bytes are always enough.
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

    const QUIET: Activity = Activity { unsent: false, paused: false, closing: false };
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
    fn packets_push_idleness_back_and_nothing_else() {
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
        assert_eq!(tracker.expired(t + s(29), QUIET), None, "counts anew");
        assert_eq!(tracker.expired(t + s(38), QUIET), Some(TimeoutKind::Idle));
    }

    #[test]
    fn a_pause_is_no_idleness() {
        let (mut tracker, t) = begin(Timeouts::new().idle(s(10)), QUIET);
        let paused = Activity { paused: true, ..QUIET };
        assert_eq!(tracker.expired(t + s(10), paused), None);
        assert_eq!(tracker.expired(t + s(19), QUIET), None);
        assert_eq!(tracker.expired(t + s(20), QUIET), Some(TimeoutKind::Idle));
        // Reading is often paused because the peer takes nothing, which it can be blamed for.
        let both = Activity { unsent: true, ..paused };
        assert_eq!(tracker.expired(t + s(29), both), None);
        assert_eq!(tracker.expired(t + s(30), both), Some(TimeoutKind::Idle));
    }

    #[test]
    fn the_first_byte_and_the_handshake_are_waited_for_once() {
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
    fn progress_counts_while_something_is_unsent_and_in_each_span_anew() {
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
        // What was unsent for a while and has been taken was not too slow, however little it was.
        let (mut few, t) = begin(Timeouts::new().min_rate(100, s(10)), UNSENT);
        few.sent(10);
        assert_eq!(few.update(t + s(1), QUIET), None);
        assert_eq!(few.expired(t + s(10), QUIET), None);
        assert_eq!(
            few.update(t + s(20), UNSENT),
            Some(t + s(30)),
            "and what comes later counts anew"
        );
        // What was slow and is sent is no matter any more.
        tracker.sent(1000);
        assert_eq!(tracker.expired(t + s(80), QUIET), None);
        assert_eq!(tracker.update(t + s(80), QUIET), None);
    }

    #[test]
    fn a_handshake_in_small_pieces_is_no_progress() {
        let timeouts = Timeouts::new().handshake(s(100)).min_rate(10, s(10));
        let (mut tracker, t) = begin(timeouts, QUIET);
        for second in 1..10 {
            tracker.received(1);
            assert_eq!(tracker.expired(t + s(second), QUIET), None);
        }
        assert_eq!(tracker.expired(t + s(10), QUIET), Some(TimeoutKind::MinRate));
    }

    #[test]
    fn a_timeout_is_the_protocol_s_own_and_packets_do_not_move_it() {
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
    fn a_closing_connection_waits_for_nothing_to_be_sent() {
        let timeouts = Timeouts::new().first_byte(s(1)).handshake(s(1)).max_lifetime(s(5));
        let (mut tracker, t) = begin(timeouts.idle(s(1)).min_rate(1, s(1)), QUIET);
        tracker.set_timeout(Some(s(1)));
        let closing = Activity { closing: true, ..QUIET };
        assert_eq!(tracker.expired(t + s(4), closing), None);
        assert_eq!(tracker.expired(t + s(5), closing), Some(TimeoutKind::MaxLifetime));
    }

    #[test]
    fn a_closing_connection_waits_for_its_peer_to_take_what_is_unsent() {
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
    fn times_without_end_and_without_length() {
        let (mut tracker, t) = begin(Timeouts::new().idle(Duration::MAX), QUIET);
        assert_eq!(tracker.expired(t + s(1_000_000), QUIET), None);
        let (mut tracker, t) = begin(Timeouts::new().idle(Duration::ZERO), QUIET);
        assert_eq!(tracker.expired(t, QUIET), None);
        assert_eq!(tracker.expired(t + SHORTEST, QUIET), Some(TimeoutKind::Idle));
        assert_eq!(tracker.expired(t + SHORTEST, QUIET), None, "and not twice at once");
    }

    #[test]
    fn no_bytes_and_all_bytes() {
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
