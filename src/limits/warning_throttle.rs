//! Warning throttle: repeated warnings are logged once in a while, with a count of those in
//! between. Pure: times in, decisions out.

use std::time::{Duration, Instant};

/// Time between two warnings about the same thing, so that the log is not flooded.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// Throttles one warning, and counts the events that it is about.
#[derive(Debug, Default)]
pub(crate) struct WarningThrottle {
    last: Option<Instant>,
    /// Events since the last warning.
    suppressed: u64,
}

impl WarningThrottle {
    /// Counts `count` more events for the next warning.
    pub(crate) fn count(&mut self, count: u64) {
        self.suppressed += count;
    }

    /// Returns the events since the last warning, if the next one may be logged `now`; it then
    /// counts as logged.
    pub(crate) fn warn(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_warning_is_immediate_and_the_next_counts_those_in_between() {
        let (mut throttle, t) = (WarningThrottle::default(), Instant::now());
        throttle.count(1);
        assert_eq!(throttle.warn(t), Some(1));
        throttle.count(2);
        assert_eq!(throttle.warn(t + Duration::from_secs(4)), None);
        throttle.count(3);
        assert_eq!(throttle.warn(t + WARNING_INTERVAL), Some(5));
        assert_eq!(throttle.warn(t + 2 * WARNING_INTERVAL), Some(0), "a warning may tell nothing");
    }
}
