//! Deferred flush of a fan-out: waits until its members' next lines have arrived too. Pure.

use std::time::{Duration, Instant};

/// Number of transports written to in one turn above which they are a fan-out. It is worth waiting
/// for more writes to them: each member then gets the lines of several turns in one call.
pub(super) const FAN_OUT: usize = 16;

/// Fewest polls in a row without an event, none of which sleeps, after which a fan-out is flushed.
/// With nothing to gather they cost a microsecond.
const FAN_OUT_POLLS: u32 = 4;

/// Number of transports that add one empty poll to the wait of a wide fan-out: 1000 transports wait
/// for 31 polls. The polls take about a hundredth of the time that sending takes, which is long
/// enough for another shard to pass on what its members say.
const TRANSPORTS_PER_POLL: u32 = 32;

/// Longest wait of a fan-out for each of its transports, if events keep coming: a quarter of the
/// time that sending to it will take.
const FAN_OUT_WAIT: Duration = Duration::from_micros(1);

/// Longest wait of a fan-out, however many transports it has: too short to notice.
const FAN_OUT_WAIT_MAX: Duration = Duration::from_millis(1);

/// The deferred fan-out, if there is one.
#[derive(Debug, Default)]
pub(super) struct FanOut(Option<Deferred>);

#[derive(Clone, Copy, Debug)]
struct Deferred {
    since: Instant,
    /// Polls in a row without an event.
    empty_polls: u32,
}

impl FanOut {
    /// Counts a poll of the loop: `quiet` if it brought no event.
    pub(super) fn record_poll(&mut self, quiet: bool) {
        if let Some(deferred) = &mut self.0 {
            deferred.empty_polls = if quiet { deferred.empty_polls + 1 } else { 0 };
        }
    }

    /// Returns true if a fan-out is deferred and its last poll brought no event. The client or the
    /// shard whose lines it waits for may need this core to run.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.is_some_and(|deferred| deferred.empty_polls > 0)
    }

    /// Returns true if flushing `members` connections waits for another poll.
    pub(super) fn defers(&mut self, members: usize, now: impl FnOnce() -> Instant) -> bool {
        if members <= FAN_OUT {
            self.0 = None;
            return false;
        }
        let now = now();
        let deferred = self.0.take().unwrap_or(Deferred { since: now, empty_polls: 0 });
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let wait = FAN_OUT_WAIT.saturating_mul(members).min(FAN_OUT_WAIT_MAX);
        let polls = FAN_OUT_POLLS.max(members / TRANSPORTS_PER_POLL);
        let defers = deferred.empty_polls < polls && now - deferred.since < wait;
        self.0 = defers.then_some(deferred);
        defers
    }

    /// Ends the deferral: the next flush is not held back.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_out_waits_for_a_few_empty_polls_and_never_for_long() {
        let (mut fan_out, start) = (FanOut::default(), Instant::now());
        assert!(!fan_out.defers(FAN_OUT, || start), "a few members are flushed at once");
        assert!(fan_out.defers(FAN_OUT + 1, || start));
        for _ in 1..FAN_OUT_POLLS {
            fan_out.record_poll(true);
            assert!(fan_out.defers(FAN_OUT + 1, || start));
        }
        fan_out.record_poll(true);
        assert!(fan_out.is_quiet());
        assert!(!fan_out.defers(FAN_OUT + 1, || start), "nothing more comes");
        assert!(!fan_out.is_quiet(), "nothing is deferred");
        assert!(fan_out.defers(100_000, || start));
        fan_out.record_poll(false);
        assert!(fan_out.defers(100_000, || start + FAN_OUT_WAIT_MAX / 2));
        assert!(!fan_out.defers(100_000, || start + FAN_OUT_WAIT_MAX));
    }

    #[test]
    fn a_wide_fan_out_waits_for_more_polls() {
        let (mut fan_out, start) = (FanOut::default(), Instant::now());
        assert!(fan_out.defers(1000, || start));
        for _ in 1..1000 / TRANSPORTS_PER_POLL {
            fan_out.record_poll(true);
            assert!(fan_out.defers(1000, || start));
        }
        fan_out.record_poll(true);
        assert!(!fan_out.defers(1000, || start));
    }
}
