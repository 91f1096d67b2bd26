//! A rate, as a bucket of tokens. Pure: times in, verdicts out.

use std::time::{Duration, Instant};

/// So many in a span of time, and as many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// The time that one token takes to come.
    interval: Duration,
    /// How far it may be ahead: the time that all tokens but one take.
    tolerance: Duration,
    /// When the bucket is full again.
    full: Option<Instant>,
}

impl Bucket {
    /// With `count` tokens in it, and as many new ones in each `span`. At least one.
    pub(super) fn new(count: u32, span: Duration) -> Self {
        let count = count.max(1);
        let interval = span / count;
        Self { interval, tolerance: interval.saturating_mul(count - 1), full: None }
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full = self.full.map_or(now, |full| full.max(now));
        let ahead = full - now;
        if ahead > self.tolerance {
            return Err(now + (ahead - self.tolerance));
        }
        // A span that no clock reaches is for ever, and so is what comes after the first tokens.
        self.full = full.checked_add(self.interval).or(Some(full));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn as_many_at_once_and_then_one_by_one() {
        let mut bucket = Bucket::new(3, ms(30));
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
        let mut bucket = Bucket::new(7, Duration::from_secs(1));
        let t = Instant::now();
        let taken = (0..100_000).filter(|at| bucket.take(t + ms(*at)).is_ok()).count();
        // Seven at once, and seven in each of the hundred seconds.
        assert!((706..=707).contains(&taken), "{taken}");
    }

    #[test]
    fn odd_rates_do_no_harm() {
        let t = Instant::now();
        let mut endless = Bucket::new(1, Duration::MAX);
        assert!(endless.take(t).is_ok());
        let mut free = Bucket::new(u32::MAX, Duration::ZERO);
        assert!((0..1000).all(|_| free.take(t).is_ok()));
        assert!(Bucket::new(0, ms(1)).take(t).is_ok());
    }
}
