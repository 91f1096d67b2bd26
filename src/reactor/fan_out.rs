//! Holding back a fan-out until its members' next lines are there too. Pure.

use std::time::{Duration, Instant};

/// More transports than this touched in one turn are a fan-out, which is worth waiting for more of
/// the same: each member then gets the lines of several turns in one call.
pub(super) const FAN_OUT: usize = 16;

/// A fan-out waits until so many polls in a row, none of which sleeps, have brought nothing. With
/// nothing to gather they cost a microsecond.
const FAN_OUT_POLLS: u32 = 4;

/// And for at most this long for each of its transports, if something always comes: a quarter of
/// what sending to it will take.
const FAN_OUT_WAIT: Duration = Duration::from_micros(1);

/// And for no longer than this, however many they are: nobody should notice.
const FAN_OUT_WAIT_MAX: Duration = Duration::from_millis(1);

/// The fan-out that is held back, if one is.
#[derive(Debug, Default)]
pub(super) struct FanOut(Option<Deferred>);

#[derive(Clone, Copy, Debug)]
struct Deferred {
    since: Instant,
    /// Polls in a row that brought nothing.
    empty_polls: u32,
}

impl FanOut {
    /// The loop has polled, and something was ready or not.
    pub(super) fn record_poll(&mut self, quiet: bool) {
        if let Some(deferred) = &mut self.0 {
            deferred.empty_polls = if quiet { deferred.empty_polls + 1 } else { 0 };
        }
    }

    /// True if flushing `members` connections waits for another poll.
    pub(super) fn defers(&mut self, members: usize, now: impl FnOnce() -> Instant) -> bool {
        if members <= FAN_OUT {
            self.0 = None;
            return false;
        }
        let now = now();
        let deferred = self.0.take().unwrap_or(Deferred { since: now, empty_polls: 0 });
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let wait = FAN_OUT_WAIT.saturating_mul(members).min(FAN_OUT_WAIT_MAX);
        let defers = deferred.empty_polls < FAN_OUT_POLLS && now - deferred.since < wait;
        self.0 = defers.then_some(deferred);
        defers
    }

    /// Flushes what is held back now.
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
        assert!(!fan_out.defers(FAN_OUT + 1, || start), "nothing more comes");
        assert!(fan_out.defers(100_000, || start));
        fan_out.record_poll(false);
        assert!(fan_out.defers(100_000, || start + FAN_OUT_WAIT_MAX / 2));
        assert!(!fan_out.defers(100_000, || start + FAN_OUT_WAIT_MAX));
    }
}
