//! Latencies, counted. Pure, and of a fixed size.

/// Steps of an octave, as a power of two: 128, so that what is read is at most 0.8 % too high.
const STEP_BITS: u32 = 7;
const STEPS: usize = 1 << STEP_BITS;
/// Values below `STEPS` have a slot each, and each octave above has `STEPS`.
const SLOTS: usize = (64 - STEP_BITS as usize + 1) * STEPS;

/// How often each duration came up, in steps that grow with it.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; SLOTS].into_boxed_slice(), total: 0, max: 0 }
    }

    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[slot(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// What at least `per_mille` of a thousand values do not exceed; 0 if there are none.
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(slot).min(self.max);
            }
        }
        self.max
    }
}

fn slot(value: u64) -> usize {
    // The highest `STEP_BITS + 1` bits, and how many there are below them.
    let below = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    below as usize * STEPS + (value >> below) as usize
}

/// The highest value of a slot.
fn highest(slot: usize) -> u64 {
    let below = (slot / STEPS).saturating_sub(1);
    let bits = (slot - below * STEPS) as u64;
    (bits << below) | ((1 << below) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_slot_whose_highest_value_is_close() {
        let around = |power: u32| [(1_u64 << power) - 1, 1 << power, (1 << power) + 1];
        for value in (0..63).flat_map(around).chain([u64::MAX, 123_456_789]) {
            let highest = highest(slot(value));
            assert!(highest >= value, "{value} {highest}");
            assert!(highest - value <= value / STEPS as u64, "{value} {highest}");
        }
        assert_eq!(slot(u64::MAX), SLOTS - 1);
    }

    #[test]
    fn slots_follow_one_another() {
        for at in 1..SLOTS {
            assert_eq!(slot(highest(at - 1) + 1), at);
        }
    }

    #[test]
    fn quantiles_of_a_hundred_values() {
        let mut histogram = Histogram::new();
        (1..=100).rev().for_each(|value| histogram.record(value));
        assert_eq!([500, 990, 999].map(|at| histogram.quantile(at)), [50, 99, 100]);
        assert_eq!(histogram.max(), 100);
    }

    #[test]
    fn a_quantile_is_never_above_the_highest_value() {
        let mut histogram = Histogram::new();
        histogram.record(1_000_000_000);
        assert_eq!(histogram.quantile(500), 1_000_000_000);
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Histogram::new().quantile(500), 0);
    }
}
