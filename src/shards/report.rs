//! How all shards ended.

use super::end::ShardEnd;
use crate::shutdown::ShutdownReport;
use std::fmt;

/// How the shards of a server ended; [`Shards::run`](super::Shards::run) returns it.
#[derive(Debug)]
pub struct ShardsReport {
    ends: Vec<ShardEnd>,
}

impl ShardsReport {
    pub(super) fn new(ends: Vec<ShardEnd>) -> Self {
        Self { ends }
    }

    /// Returns how each shard ended, by index.
    pub fn shards(&self) -> &[ShardEnd] {
        &self.ends
    }

    /// Returns the shards that panicked or failed, with their indices.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &ShardEnd)> {
        self.ends.iter().enumerate().filter(|(_, end)| end.is_failure())
    }

    /// Returns the sum of the reports of all shards that were stopped.
    pub fn total(&self) -> ShutdownReport {
        let mut total = ShutdownReport::default();
        for end in &self.ends {
            if let ShardEnd::Stopped(report) = end {
                total += *report;
            }
        }
        total
    }
}

impl fmt::Display for ShardsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shards: {}", self.ends.len(), self.total())?;
        for (index, end) in self.failures() {
            write!(f, "; shard {index} {end}")?;
        }
        Ok(())
    }
}
