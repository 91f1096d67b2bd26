//! Pseudo-random numbers: SplitMix64, by Guy Steele, Doug Lea and Christine Flood. Pure.

use std::time::Duration;

/// A pseudo-random generator: a counter, whose values [`mix`] spreads. Each seed gives all 2^64
/// numbers once, in an order of its own; none of them is a secret once another is known.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    /// Returns the next number, of all 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Returns a number below `bound`, or zero if `bound` is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns a number from zero to one, one excluded: as many bits as an `f64` holds exactly.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a duration up to `max`, which is cut to nearly six hundred years.
    pub(crate) fn up_to(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }
}

/// Spreads the bits of a number over all of it.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_reach_both_bounds() {
        let mut random = SplitMix64(1);
        let mut seen = [0; 3];
        let nanos = |max: u64, random: &mut SplitMix64| {
            random.up_to(Duration::from_nanos(max)).as_nanos() as usize
        };
        (0..300).for_each(|_| seen[nanos(2, &mut random)] += 1);
        assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
        assert!(random.up_to(Duration::MAX) > Duration::from_secs(3600));
    }
}
