//! Token buckets: a rate with a burst. Pure: times in, decisions out.

use std::time::{Duration, Instant};

/// A token bucket: a number of tokens for each span of time, and a burst at once.
///
/// This is exactly GCRA, the generic cell rate algorithm of ATM (ITU-T I.371): instead of counting
/// tokens it keeps the time at which the bucket is full again, which a token moves by `interval`,
/// and which may be ahead of now by `tolerance`.
///
/// Times are in nanoseconds, and counted from the first token: the longest span is more than an
/// [`Instant`] can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    /// Time between two tokens.
    interval: u128,
    /// Burst tolerance: the time that all tokens but one take.
    tolerance: u128,
    /// The time at which the first token was taken.
    beginning: Option<Instant>,
    /// The time at which the bucket is full again, since `beginning`.
    full: u128,
}

impl TokenBucket {
    /// Returns a bucket with `burst` tokens in it, and `count` new ones in each `span`; zero counts
    /// as one.
    pub(crate) fn new(count: u32, span: Duration, burst: u32) -> Self {
        let interval = span.as_nanos() / u128::from(count.max(1));
        let tolerance = interval * (u128::from(burst.max(1)) - 1);
        Self { interval, tolerance, beginning: None, full: 0 }
    }

    /// Returns this bucket with a single token in it.
    fn with_one_token(self) -> Self {
        Self { full: self.tolerance, ..self }
    }

    /// Returns the time at which to ask for a token again; `None` if there is one now.
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

    /// Returns when the next token comes, or came; `None` if none was taken yet.
    fn due(&self) -> Option<Instant> {
        Some(self.beginning? + capped(self.full.saturating_sub(self.tolerance)))
    }

    fn age(&self, now: Instant) -> u128 {
        self.beginning.map_or(0, |start| now.saturating_duration_since(start).as_nanos())
    }
}

/// Returns a wait of `nanos`, but at most a hundred years, after which every clock still has a
/// time.
fn capped(nanos: u128) -> Duration {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos).min(LONGEST)
}

/// Portions of a rate per second: often enough that a stream seems to flow, seldom enough that a
/// connection which always wants more costs next to nothing.
const PORTIONS_PER_SECOND: u64 = 20;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Portions that may accumulate: a connection that asks late does not lose by it, but no more than
/// this.
const PORTIONS_MAX: u32 = 2;

/// A token bucket for bytes, whose tokens are portions of a rate.
///
/// Bytes that are sent or received only count down what is left. The clock is read when nothing is;
/// then there is another portion, or it is known when. So a rate costs no clock and no timer per
/// packet.
#[derive(Debug)]
pub(crate) struct ByteBucket {
    portions: TokenBucket,
    portion: usize,
    left: usize,
}

impl ByteBucket {
    /// Returns a bucket of `rate` bytes per second; zero counts as one.
    pub(crate) fn new(rate: u64) -> Self {
        let rate = rate.max(1);
        let portion = (rate / PORTIONS_PER_SECOND).max(1);
        // At most a second, for a rate of one.
        let nanos = (u128::from(portion) * NANOS_PER_SECOND).div_ceil(u128::from(rate));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self {
            portions: TokenBucket::new(1, interval, PORTIONS_MAX).with_one_token(),
            portion: usize::try_from(portion).unwrap_or(usize::MAX),
            left: 0,
        }
    }

    /// Returns how many bytes may be sent or received without reading the clock.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn spend(&mut self, count: usize) {
        self.left -= count;
    }

    /// Gives back `count` bytes that were not sent or received after all.
    pub(crate) fn give_back(&mut self, count: usize) {
        self.left = self.left.saturating_add(count);
    }

    /// Returns when another portion comes; a past time, or `None`, if there is one now.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.portions.due()
    }

    /// Adds a portion. Bytes that are left are kept, up to two portions. The error is the time at
    /// which to ask again.
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
    fn a_burst_at_once_and_then_one_token_per_interval() {
        let mut bucket = TokenBucket::new(3, ms(30), 3);
        let t = Instant::now();
        assert!((0..3).all(|_| bucket.take(t).is_ok()));
        assert_eq!(bucket.take(t), Err(t + ms(10)));
        assert_eq!(bucket.take(t + ms(9)), Err(t + ms(10)));
        assert_eq!(bucket.take(t + ms(10)), Ok(()));
        assert_eq!(bucket.take(t + ms(10)), Err(t + ms(20)));
        // After a long time the bucket is full, and no more than that.
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
    fn rates_of_zero_and_of_max() {
        const NEVER: u64 = u64::MAX;
        const MANY: usize = 10_000;
        // Tokens at once, and milliseconds until the next one.
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
    fn the_burst_comes_on_top_of_the_rate() {
        for (burst, expected) in [(0, 101), (1, 101), (10, 110), (100, 200)] {
            let (mut bucket, t) = (TokenBucket::new(100, ms(1000), burst), Instant::now());
            assert_eq!(bucket.next(t), None);
            let at_once = (0..1000).take_while(|_| bucket.take(t).is_ok()).count();
            assert_eq!(at_once, burst.max(1) as usize);
            assert_eq!(bucket.next(t), Some(t + ms(10)));
            // The others come in the first span, its end included.
            let later = (1..=1000).filter(|at| bucket.take(t + ms(*at)).is_ok()).count();
            assert_eq!(at_once + later, expected, "{burst}");
        }
    }

    /// Takes everything that is left, once in each `every`; returns how many bytes that is in
    /// `time`.
    fn take_all(rate: u64, every: Duration, time: Duration) -> u64 {
        let (mut bucket, start) = (ByteBucket::new(rate), Instant::now());
        let (mut now, mut taken) = (start, 0);
        while now <= start + time {
            while bucket.refill(now).is_ok() {
                let left = bucket.left();
                bucket.spend(left);
                taken += left as u64;
            }
            now += every;
        }
        taken
    }

    #[test]
    fn a_portion_at_once_and_then_one_by_one() {
        let (mut bucket, t) = (ByteBucket::new(20_000), Instant::now());
        assert_eq!(bucket.left(), 0);
        assert_eq!((bucket.refill(t), bucket.left()), (Ok(()), 1000));
        bucket.spend(1000);
        assert_eq!(bucket.refill(t), Err(t + ms(50)));
        assert_eq!(bucket.refill(t + ms(49)), Err(t + ms(50)));
        // Ten milliseconds late, which costs nothing.
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
    fn every_rate_is_kept_and_used_up_however_often_it_is_asked() {
        const SECONDS: u64 = 100;
        for rate in [1, 2, 19, 21, 1000, 99_999, 123_456_789, u64::from(u32::MAX) * 1000] {
            for every in [ms(1), ms(13), ms(40)] {
                let taken = take_all(rate, every, Duration::from_secs(SECONDS));
                let most = rate * SECONDS + rate / 5 + 2;
                assert!(taken <= most, "{rate}, {every:?}: {taken} of {most}");
                assert!(taken >= rate * SECONDS / 100 * 98, "{rate}, {every:?}: {taken}");
            }
        }
    }

    #[test]
    fn a_rate_of_zero_is_one_and_of_max_unlimited() {
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
