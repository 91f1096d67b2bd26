//! Pseudo-random numbers: the same seed gives the same numbers, for ever.

use crate::random::SplitMix64;
use std::time::Duration;

/// A pseudo-random generator: its numbers are the same on every machine and in every version, so
/// that a seed written into a test keeps its meaning after an update.
///
/// (SplitMix64, by Guy Steele, Doug Lea and Christine Flood.)
///
/// ```
/// use twistor::testing::Random;
///
/// let mut random = Random::new(7);
/// assert_eq!(random.next(), Random::new(7).next());
/// assert!(random.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// Creates the generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }

    /// Returns the next number, of all 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// Returns a number below `bound`, or zero if `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.below_u64(bound as u64) as usize
    }

    pub(crate) fn below_u64(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Returns true in `per_mille` of a thousand cases.
    pub fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.below_u64(1000) < u64::from(per_mille)
    }

    /// Returns a random duration from zero to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        self.0.up_to(most)
    }

    /// Returns one of `all`.
    ///
    /// # Panics
    ///
    /// If `all` is empty.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Shuffles the elements of `all`.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }

    /// Returns an independent generator: how often this one is used later does not change its
    /// numbers.
    pub fn split(&mut self) -> Self {
        Self::new(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        // The first numbers of the reference implementation, for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut random = Random::new(1);
        let mut seen = [0; 3];
        (0..300).for_each(|_| seen[random.below(3)] += 1);
        assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| !random.happens(0) && random.happens(1000)));
        let mut all = [1, 2, 3, 4, 5];
        random.shuffle(&mut all);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        assert!(random.up_to(Duration::MAX) > Duration::ZERO);
    }
}
