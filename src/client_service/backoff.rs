//! `Backoff`: delays that grow with each failure, up to a maximum, and with a random part.

use super::retry_policy::RetryPolicy;
use std::time::Duration;

/// The default first delay: long enough for a server that restarts in a moment not to be asked
/// twice, short enough that a person hardly waits. Twisted's.
const INITIAL: Duration = Duration::from_secs(1);

/// The default factor, Twisted's: some ten attempts within the first minute.
const FACTOR: f64 = 1.5;

/// The default maximum, Twisted's: a server that is back after an hour waits a minute at most for
/// its clients.
const MAXIMUM: Duration = Duration::from_secs(60);

/// The default jitter: half of the delay, so that the clients of one server come back spread over
/// as long a time as the shortest of them waits.
const JITTER: f64 = 0.5;

/// Exponential backoff with jitter: the delay is the initial one after the first failure, grows by
/// a factor with each further one, and stops growing at a maximum. A random part of it is cut off.
/// (The policy that `backoffPolicy` returns.)
///
/// By default the delay begins at 1 s, grows by a factor of 1.5, ends at 60 s, and up to half of it
/// is cut off: 0.5 to 1 s, 0.75 to 1.5 s, 1.1 to 2.25 s, and so on. It is never above the maximum,
/// and huge factors and durations give the maximum.
///
/// ```
/// use std::time::Duration;
/// use twistor::client_service::{Backoff, RetryPolicy};
///
/// let mut backoff = Backoff::new().maximum(Duration::from_secs(5)).jitter(0.0);
/// let delays = (1..=5).map(|failures| backoff.delay(failures, 0.0).as_secs_f64());
/// assert_eq!(delays.collect::<Vec<_>>(), [1.0, 1.5, 2.25, 3.375, 5.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    maximum: Duration,
    jitter: f64,
}

impl Backoff {
    /// Returns a backoff with the defaults.
    pub fn new() -> Self {
        Self { initial: INITIAL, factor: FACTOR, maximum: MAXIMUM, jitter: JITTER }
    }

    /// Sets the delay after the first failure. Default: 1 s.
    #[must_use]
    pub fn initial(self, initial: Duration) -> Self {
        Self { initial, ..self }
    }

    /// Sets the factor by which the delay grows with each failure. Less than 1, and NaN,
    /// count as 1, with which it does not grow. Default: 1.5.
    #[must_use]
    pub fn factor(self, factor: f64) -> Self {
        Self { factor: factor.max(1.0), ..self }
    }

    /// Sets the maximum delay, which holds for the first one as well. Default: 60 s.
    #[must_use]
    pub fn maximum(self, maximum: Duration) -> Self {
        Self { maximum, ..self }
    }

    /// Sets the part of the delay that may be cut off, from 0 to 1: with 0 there is no jitter, with
    /// 1 the delay may be anything between zero and its full length. Numbers outside of that count
    /// as the nearest one, and NaN as the default. Default: 0.5.
    #[must_use]
    pub fn jitter(self, jitter: f64) -> Self {
        let jitter = if jitter.is_nan() { JITTER } else { jitter.clamp(0.0, 1.0) };
        Self { jitter, ..self }
    }

    /// Returns the delay after this many failures, with nothing cut off.
    fn full_delay(&self, failures: u32) -> Duration {
        let seconds = self.initial.as_secs_f64() * power(self.factor, failures.saturating_sub(1));
        let delay = Duration::try_from_secs_f64(seconds).unwrap_or(self.maximum);
        delay.min(self.maximum)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy for Backoff {
    fn delay(&mut self, failures: u32, random: f64) -> Duration {
        let full = self.full_delay(failures);
        let cut = full.as_secs_f64() * self.jitter * random;
        full.saturating_sub(Duration::try_from_secs_f64(cut).unwrap_or(full))
    }
}

/// Raises `base` to a power by multiplication alone, which gives the same bits on every machine;
/// `powi` does not have to.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    const EXTREMES: [Duration; 5] = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_secs(1),
        Duration::from_secs(60),
        Duration::MAX,
    ];

    #[test]
    fn delays_grow_up_to_the_maximum() {
        let mut plain = Backoff::new().jitter(0.0);
        let mut delays: Vec<Duration> = (1..=12).map(|n| plain.delay(n, 0.7)).collect();
        assert_eq!(delays[0], Duration::from_secs(1), "the first one is the initial one");
        assert_eq!(delays[1], Duration::from_millis(1500));
        assert_eq!(delays[11], Duration::from_secs(60));
        assert!(delays.is_sorted());
        delays.dedup();
        assert_eq!(delays.len(), 12, "the eleventh delay is below the maximum still");
        assert_eq!(plain.delay(u32::MAX, 0.0), Duration::from_secs(60));
        assert_eq!(plain.delay(0, 0.0), Duration::from_secs(1), "as after the first");
    }

    #[test]
    fn a_constant_delay_has_the_factor_one() {
        for factor in [1.0, 0.3, 0.0, -5.0, f64::NAN, f64::NEG_INFINITY] {
            let mut constant = Backoff::new().factor(factor).jitter(0.0);
            for failures in [1, 2, 1000, u32::MAX] {
                assert_eq!(constant.delay(failures, 0.9), Duration::from_secs(1), "{factor}");
            }
        }
    }

    #[test]
    fn no_setting_and_no_number_of_failures_exceeds_the_maximum() {
        for initial in EXTREMES {
            for maximum in EXTREMES {
                for factor in [1.0, 1.5, 2.0, 1e300, f64::INFINITY, f64::MAX] {
                    for jitter in [0.0, 0.5, 1.0, 7.0, -1.0, f64::NAN, f64::INFINITY] {
                        let mut backoff = Backoff::new()
                            .initial(initial)
                            .maximum(maximum)
                            .factor(factor)
                            .jitter(jitter);
                        for failures in [0, 1, 2, 3, 50, 1_000, u32::MAX] {
                            for random in [0.0, 0.25, 1.0 - f64::EPSILON] {
                                let delay = backoff.delay(failures, random);
                                assert!(delay <= maximum, "{backoff:?} {failures} {random}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn half_of_the_delay_stays_and_the_rest_is_spread_evenly() {
        let (mut backoff, mut random) = (Backoff::new(), SplitMix64(9));
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let delay = backoff.delay(1, random.fraction());
            assert!(delay > Duration::from_millis(500) && delay <= Duration::from_secs(1));
            tenths[((delay.as_secs_f64() - 0.5) * 20.0).min(9.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1100).contains(count)), "{tenths:?}");
    }
}
