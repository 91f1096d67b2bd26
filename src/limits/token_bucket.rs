//! A rate, as a bucket of tokens. Pure: times in, verdicts out.

use std::time::{Duration, Instant};

/// A token bucket: a number of tokens for each span of time, and a burst at once.
///
/// Times are in nanoseconds, and counted from the first token: the longest of spans is more than an
/// [`Instant`] can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    /// The time that one token takes to come.
    interval: u128,
    /// How far it may be ahead: the time that all tokens but one take.
    tolerance: u128,
    /// When the first token was taken.
    beginning: Option<Instant>,
    /// When the bucket is full again.
    full: u128,
}

impl TokenBucket {
    /// With `burst` tokens in it, and `count` new ones in each `span`. At least one.
    pub(crate) fn new(count: u32, span: Duration, burst: u32) -> Self {
        let interval = span.as_nanos() / u128::from(count.max(1));
        let tolerance = interval * (u128::from(burst.max(1)) - 1);
        Self { interval, tolerance, beginning: None, full: 0 }
    }

    /// The time at which to ask for a token again; `None` if there is one now.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        Self::clone(self).take(now).err()
    }

    /// Takes a token. The error is the time at which to ask again: when the next token comes, but
    /// no later than in a hundred years.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let beginning = *self.beginning.get_or_insert(now);
        let age = now.saturating_duration_since(beginning).as_nanos();
        let full = self.full.max(age);
        let ahead = full - age;
        if ahead > self.tolerance {
            return Err(now + capped(ahead - self.tolerance));
        }
        self.full = full + self.interval;
        Ok(())
    }
}

/// A wait, or the first hundred years of it, after which every clock still has a time.
fn capped(nanos: u128) -> Duration {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn as_many_at_once_and_then_one_by_one() {
        let mut bucket = TokenBucket::new(3, ms(30), 3);
        let t = Instant::now();
        assert!((0..3).all(|_| bucket.take(t).is_ok()));
        assert_eq!(bucket.take(t), Err(t + ms(10)));
        assert_eq!(bucket.take(t + ms(9)), Err(t + ms(10)));
        assert_eq!(bucket.take(t + ms(10)), Ok(()));
        assert_eq!(bucket.take(t + ms(10)), Err(t + ms(20)));
        // Full, and no more than that, after a long time.
        assert!((0..3).all(|_| bucket.take(t + ms(1000)).is_ok()));
        assert!(bucket.take(t + ms(1000)).is_err());
    }

    #[test]
    fn the_rate_holds_however_often_it_is_asked() {
        let mut bucket = TokenBucket::new(7, Duration::from_secs(1), 7);
        let t = Instant::now();
        let taken = (0..100_000).filter(|at| bucket.take(t + ms(*at)).is_ok()).count();
        // Seven at once, and seven in each of the hundred seconds.
        assert!((706..=707).contains(&taken), "{taken}");
    }

    #[test]
    fn rates_at_their_ends() {
        const NEVER: u64 = u64::MAX;
        const MANY: usize = 10_000;
        // How many at once, and after how many milliseconds there is another.
        for (count, span, at_once, next) in [
            (0, ms(10), 1, 10),
            (1, ms(10), 1, 10),
            (MANY as u32, ms(10_000), MANY, 1),
            (0, Duration::MAX, 1, NEVER),
            (1, Duration::MAX, 1, NEVER),
            (2, Duration::MAX, 2, NEVER),
        ] {
            let (mut bucket, t) = (TokenBucket::new(count, span, count), Instant::now());
            assert!((0..at_once).all(|_| bucket.take(t).is_ok()), "{count}, {span:?}");
            let again = bucket.take(t).unwrap_err();
            if next == NEVER {
                let century = 100 * Duration::from_secs(365 * 24 * 60 * 60);
                assert_eq!(again - t, century, "{count}, {span:?}");
                assert!(bucket.take(again).is_err(), "{count}, {span:?}");
            } else {
                assert_eq!(again - t, ms(next), "{count}, {span:?}");
                assert_eq!(bucket.take(again), Ok(()), "{count}, {span:?}");
            }
        }
        for (count, span) in [
            (0, Duration::ZERO),
            (1, Duration::ZERO),
            (u32::MAX, Duration::ZERO),
            (u32::MAX, ms(1)),
            (u32::MAX, Duration::MAX),
        ] {
            let (mut bucket, t) = (TokenBucket::new(count, span, count), Instant::now());
            assert!((0..MANY).all(|_| bucket.take(t).is_ok()), "{count}, {span:?}");
        }
    }

    #[test]
    fn the_burst_is_apart_from_the_rate() {
        for (burst, expected) in [(0, 101), (1, 101), (10, 110), (100, 200)] {
            let (mut bucket, t) = (TokenBucket::new(100, ms(1000), burst), Instant::now());
            assert_eq!(bucket.next(t), None);
            let at_once = (0..1000).take_while(|_| bucket.take(t).is_ok()).count();
            assert_eq!(at_once, burst.max(1) as usize);
            assert_eq!(bucket.next(t), Some(t + ms(10)));
            // And the others in the first span, its end included.
            let later = (1..=1000).filter(|at| bucket.take(t + ms(*at)).is_ok()).count();
            assert_eq!(at_once + later, expected, "{burst}");
        }
    }
}
