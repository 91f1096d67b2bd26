//! A stretch of operations: when it ends, and what has happened in it. Pure but for its beginning.

use crate::histogram::Histogram;
use std::time::{Duration, Instant};

/// How long a phase is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Time(Duration),
    Operations(u64),
}

impl Limit {
    /// That part of it, at least one operation; nothing if it is a part of zero.
    pub fn part(self, fraction: f64) -> Self {
        match self {
            Self::Time(length) => Self::Time(length.mul_f64(fraction)),
            Self::Operations(count) => Self::Operations((count as f64 * fraction).ceil() as u64),
        }
    }
}

/// Operations that begin until a deadline or a number is reached, and then end one by one.
#[derive(Debug)]
pub struct Phase {
    limit: Limit,
    start: Instant,
    /// When the last operation ended.
    end: Instant,
    begun: u64,
    ended: u64,
    latencies: Histogram,
}

impl Phase {
    pub fn new(limit: Limit) -> Self {
        let start = Instant::now();
        Self { limit, start, end: start, begun: 0, ended: 0, latencies: Histogram::new() }
    }

    /// Begins `operations` that belong together, unless the phase is over.
    pub fn begin(&mut self, operations: u64, now: Instant) -> bool {
        let more = match self.limit {
            Limit::Time(length) => now - self.start < length,
            Limit::Operations(count) => self.begun < count,
        };
        if more {
            self.begun += operations;
        }
        more
    }

    pub fn end(&mut self, operations: u64, begun: Instant, now: Instant) {
        self.ended += operations;
        self.end = now;
        self.latencies.record((now - begun).as_nanos() as u64);
    }

    /// Nothing that has begun has yet to end.
    pub fn is_quiet(&self) -> bool {
        self.begun == self.ended
    }

    pub fn operations(&self) -> u64 {
        self.ended
    }

    /// From the beginning to the end of the last operation.
    pub fn elapsed(&self) -> Duration {
        self.end - self.start
    }

    pub fn latencies(&self) -> &Histogram {
        &self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_operations_is_begun_and_no_more() {
        let mut phase = Phase::new(Limit::Operations(5));
        let now = Instant::now();
        assert!(phase.begin(3, now) && phase.begin(3, now));
        // What belongs together is not cut.
        assert!(!phase.begin(3, now));
        phase.end(3, now, now);
        assert!(!phase.is_quiet());
        phase.end(3, now, now + Duration::from_micros(7));
        assert!(phase.is_quiet());
        assert_eq!((phase.operations(), phase.latencies().max()), (6, 7000));
    }

    #[test]
    fn time_ends_the_beginning_and_the_last_operation_ends_the_phase() {
        let mut phase = Phase::new(Limit::Time(Duration::from_secs(1)));
        let at = |millis| phase.start + Duration::from_millis(millis);
        let [early, late, end] = [at(999), at(1000), at(1500)];
        assert!(phase.begin(1, early) && !phase.begin(1, late));
        phase.end(1, early, end);
        assert_eq!(phase.elapsed(), Duration::from_millis(1500));
    }

    #[test]
    fn parts() {
        assert_eq!(Limit::Operations(11).part(0.2), Limit::Operations(3));
        assert_eq!(Limit::Operations(11).part(0.0), Limit::Operations(0));
        let second = Limit::Time(Duration::from_secs(1));
        assert_eq!(second.part(0.25), Limit::Time(Duration::from_millis(250)));
    }
}
