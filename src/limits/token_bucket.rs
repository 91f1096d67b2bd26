//! Token buckets: a rate with a burst. Pure: times in, decisions out.

use std::time::{Duration, Instant};

/// A token bucket: a number of tokens for each span of time, and a burst at once.
///
/// This is exactly GCRA, the generic cell rate algorithm of ATM (ITU-T I.371): instead of counting
/// tokens it keeps the time at which the bucket is full again, which a token moves by `interval`,
/// and which may be ahead of now by `tolerance`.
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

    /// The same with a single token in it.
    fn with_one_token(self) -> Self {
        Self { full: self.tolerance, ..self }
    }

    /// The time at which to ask for a token again; `None` if there is one now.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let ahead = self.full.saturating_sub(self.age(now));
        (ahead > self.tolerance).then(|| now + capped(ahead - self.tolerance))
    }

    /// Takes a token. The error is the time at which to ask again: when the next token comes, but
    /// no later than in a hundred years.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(next) = self.next(now) {
            return Err(next);
        }
        self.full = self.full.max(self.age(now)) + self.interval;
        self.beginning.get_or_insert(now);
        Ok(())
    }

    /// When the next token comes, or when it came; `None` if none was taken yet.
    fn due(&self) -> Option<Instant> {
        Some(self.beginning? + capped(self.full.saturating_sub(self.tolerance)))
    }

    fn age(&self, now: Instant) -> u128 {
        self.beginning.map_or(0, |start| now.saturating_duration_since(start).as_nanos())
    }
}

/// A wait, or the first hundred years of it, after which every clock still has a time.
fn capped(nanos: u128) -> Duration {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos).min(LONGEST)
}

/// A rate is given out in so many portions a second: often enough that a stream seems to flow,
/// seldom enough that a connection which always wants more costs next to nothing.
const PORTIONS_PER_SECOND: u64 = 20;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Portions that may be there at once: who asks late is not to lose by it, but no more than this.
const PORTIONS_MAX: u32 = 2;

/// A rate of bytes: a token bucket whose tokens are portions of bytes.
///
/// Bytes that move only count down what is left. The clock is read when nothing is, and then there
/// is another portion, or it is known when: so a rate costs no clock and no timer per packet.
#[derive(Debug)]
pub(crate) struct ByteBucket {
    portions: TokenBucket,
    portion: usize,
    left: usize,
}

impl ByteBucket {
    /// With `rate` bytes a second, and at least one.
    pub(crate) fn new(rate: u64) -> Self {
        let rate = rate.max(1);
        let portion = (rate / PORTIONS_PER_SECOND).max(1);
        // A second at most, which is for a rate of one.
        let nanos = (u128::from(portion) * NANOS_PER_SECOND).div_ceil(u128::from(rate));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self {
            portions: TokenBucket::new(1, interval, PORTIONS_MAX).with_one_token(),
            portion: usize::try_from(portion).unwrap_or(usize::MAX),
            left: 0,
        }
    }

    /// Bytes that may move without a look at the clock.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn spend(&mut self, count: usize) {
        self.left -= count;
    }

    /// `count` bytes have not moved after all.
    pub(crate) fn give_back(&mut self, count: usize) {
        self.left = self.left.saturating_add(count);
    }

    /// When there will be another portion; in the past, or `None`, if there is one now.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.portions.due()
    }

    /// Adds a portion, or says when there will be one. What is left is kept, but no more than two
    /// portions are.
    pub(crate) fn refill(&mut self, now: Instant) -> Result<(), Instant> {
        self.portions.take(now)?;
        let most = self.portion.saturating_mul(PORTIONS_MAX as usize);
        self.left = self.left.saturating_add(self.portion).min(most);
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

    /// Takes all that there is, asking so often; how much in this time.
    fn drink(rate: u64, every: Duration, time: Duration) -> u64 {
        let (mut bucket, start) = (ByteBucket::new(rate), Instant::now());
        let (mut now, mut drunk) = (start, 0);
        while now <= start + time {
            while bucket.refill(now).is_ok() {
                let left = bucket.left();
                bucket.spend(left);
                drunk += left as u64;
            }
            now += every;
        }
        drunk
    }

    #[test]
    fn a_portion_at_once_and_then_one_by_one() {
        let (mut bucket, t) = (ByteBucket::new(20_000), Instant::now());
        assert_eq!(bucket.left(), 0);
        assert_eq!((bucket.refill(t), bucket.left()), (Ok(()), 1000));
        bucket.spend(1000);
        assert_eq!(bucket.refill(t), Err(t + ms(50)));
        assert_eq!(bucket.refill(t + ms(49)), Err(t + ms(50)));
        // Ten milliseconds late, of which nothing is lost.
        assert_eq!(bucket.refill(t + ms(60)), Ok(()));
        assert_eq!(bucket.refill(t + ms(60)), Err(t + ms(100)));
        bucket.spend(999);
        bucket.give_back(9);
        assert_eq!((bucket.refill(t + ms(100)), bucket.left()), (Ok(()), 1010));
        // After a long time there are two, and no more.
        assert_eq!((bucket.refill(t + ms(5000)), bucket.left()), (Ok(()), 2000));
        assert_eq!((bucket.refill(t + ms(5000)), bucket.left()), (Ok(()), 2000));
        assert_eq!(bucket.refill(t + ms(5000)), Err(t + ms(5050)));
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
        let mut none = ByteBucket::new(0);
        assert_eq!((none.refill(t), none.left()), (Ok(()), 1));
        assert_eq!(none.refill(t), Err(t + ms(1000)));
        let mut free = ByteBucket::new(u64::MAX);
        assert!(free.refill(t).is_ok());
        assert!(free.refill(t + ms(500)).is_ok());
        assert!(free.left() > usize::MAX / 100);
    }
}
