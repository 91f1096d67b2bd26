//! `Histogram`: latencies, counted in steps that grow with them. Pure, and of a fixed size.

use std::time::Duration;

/// Steps of each power of two, as a power of two: a latency is told at most a 64th too high.
const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;

/// Values below `STEPS` have a slot each, and each power of two above has `STEPS`.
const SLOTS: usize = (64 - STEP_BITS as usize + 1) * STEPS;

#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; SLOTS], max: 0 }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[slot(nanoseconds)] += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// Returns what `per_mille` of a thousand latencies do not exceed; zero if there are none.
    pub(crate) fn quantile(&self, per_mille: u64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        let rank = (u128::from(total) * u128::from(per_mille)).div_ceil(1000);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += u128::from(*count);
            seen >= rank
        };
        let slot = self.counts.iter().position(reaches).unwrap_or(0);
        Duration::from_nanos(highest(slot).min(self.max))
    }
}

fn slot(value: u64) -> usize {
    // The highest `STEP_BITS + 1` bits, and how many are below them.
    let below = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    below as usize * STEPS + (value >> below) as usize
}

/// Returns the highest value of a slot.
fn highest(slot: usize) -> u64 {
    let below = (slot / STEPS).saturating_sub(1);
    let bits = (slot - below * STEPS) as u64;
    (bits << below) | ((1 << below) - 1)
}
