//! A rate of bytes, given out in portions. Pure: times in, bytes out.
//!
//! Bytes that move only count down what is left. The clock is read when nothing is, and then there
//! is another portion, or it is known when: so a rate costs no clock and no timer per packet.

use std::time::{Duration, Instant};

/// A rate is given out in so many portions a second: often enough that a stream seems to flow,
/// seldom enough that a connection which always wants more costs next to nothing.
const PORTIONS_PER_SECOND: u64 = 20;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// One rate.
#[derive(Debug)]
pub(crate) struct Meter {
    portion: usize,
    /// In which a portion grows.
    interval: Duration,
    left: usize,
    /// Before that there is no other portion.
    next: Option<Instant>,
}

impl Meter {
    /// With so many bytes a second, and at least one.
    pub(crate) fn new(rate: u64) -> Self {
        let rate = rate.max(1);
        let portion = (rate / PORTIONS_PER_SECOND).max(1);
        // A second at most, which is for a rate of one.
        let nanos = (u128::from(portion) * NANOS_PER_SECOND).div_ceil(u128::from(rate));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self {
            portion: usize::try_from(portion).unwrap_or(usize::MAX),
            interval,
            left: 0,
            next: None,
        }
    }

    /// Bytes that may move without a look at the clock.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn spend(&mut self, count: usize) {
        self.left -= count;
    }

    /// So many have not moved after all.
    pub(crate) fn give_back(&mut self, count: usize) {
        self.left = self.left.saturating_add(count);
    }

    /// When there will be another portion; in the past, or `None`, if there is one now.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Another portion, or when there will be one. What is left is kept, but no more than two are.
    pub(crate) fn refill(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.next.unwrap_or(now);
        if now < due {
            return Err(due);
        }
        // Whoever asks late is not to lose by it; but not for more than one portion.
        let late = (now - due).min(self.interval);
        self.next = Some(now - late + self.interval);
        self.left = self.left.saturating_add(self.portion).min(self.portion.saturating_mul(2));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Takes all that there is, asking so often; how much in this time.
    fn drink(rate: u64, every: Duration, time: Duration) -> u64 {
        let (mut meter, start) = (Meter::new(rate), Instant::now());
        let (mut now, mut drunk) = (start, 0);
        while now <= start + time {
            while meter.refill(now).is_ok() {
                let left = meter.left();
                meter.spend(left);
                drunk += left as u64;
            }
            now += every;
        }
        drunk
    }

    #[test]
    fn a_portion_at_once_and_then_one_by_one() {
        let (mut meter, t) = (Meter::new(20_000), Instant::now());
        assert_eq!(meter.left(), 0);
        assert_eq!((meter.refill(t), meter.left()), (Ok(()), 1000));
        meter.spend(1000);
        assert_eq!(meter.refill(t), Err(t + ms(50)));
        assert_eq!(meter.refill(t + ms(49)), Err(t + ms(50)));
        // Ten milliseconds late, of which nothing is lost.
        assert_eq!(meter.refill(t + ms(60)), Ok(()));
        assert_eq!(meter.refill(t + ms(60)), Err(t + ms(100)));
        meter.spend(999);
        meter.give_back(9);
        assert_eq!((meter.refill(t + ms(100)), meter.left()), (Ok(()), 1010));
        // After a long time there are two, and no more.
        assert_eq!((meter.refill(t + ms(5000)), meter.left()), (Ok(()), 2000));
        assert_eq!((meter.refill(t + ms(5000)), meter.left()), (Ok(()), 2000));
        assert_eq!(meter.refill(t + ms(5000)), Err(t + ms(5050)));
    }

    #[test]
    fn every_rate_is_kept_and_used_however_often_it_is_asked() {
        const SECONDS: u64 = 100;
        for rate in [1, 2, 19, 21, 1000, 99_999, 123_456_789, u64::from(u32::MAX) * 1000] {
            for every in [ms(1), ms(13), ms(40)] {
                let drunk = drink(rate, every, Duration::from_secs(SECONDS));
                let most = rate * SECONDS + rate / 5 + 2;
                assert!(drunk <= most, "{rate}, {every:?}: {drunk} of {most}");
                assert!(drunk >= rate * SECONDS / 100 * 98, "{rate}, {every:?}: {drunk}");
            }
        }
    }

    #[test]
    fn odd_rates_do_no_harm() {
        let t = Instant::now();
        let mut none = Meter::new(0);
        assert_eq!((none.refill(t), none.left()), (Ok(()), 1));
        assert_eq!(none.refill(t), Err(t + ms(1000)));
        let mut free = Meter::new(u64::MAX);
        assert!(free.refill(t).is_ok());
        assert!(free.refill(t + ms(500)).is_ok());
        assert!(free.left() > usize::MAX / 100);
    }
}
