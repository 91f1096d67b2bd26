//! Why shards did not run, or not to their end.

use super::report::ShardsReport;
use std::error::Error;
use std::fmt;

/// Why shards did not run, or ended otherwise than by a stop.
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum ShardsError {
    /// A shard could not be set up; those before it did not run.
    #[non_exhaustive]
    SetUp {
        /// The index of the shard.
        shard: usize,
        /// The error of its set-up, or of the system, which has no threads or descriptors left.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The set-up of a shard panicked; those before it did not run.
    #[non_exhaustive]
    SetUpPanicked {
        /// The index of the shard.
        shard: usize,
        /// The message of the panic.
        message: String,
    },
    /// A shard panicked or failed while it ran, and all others were stopped gracefully. The report
    /// says which, and how the others ended.
    ShardFailed(ShardsReport),
}

impl fmt::Display for ShardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetUp { shard, source } => write!(f, "cannot set up shard {shard}: {source}"),
            Self::SetUpPanicked { shard, message } => {
                write!(f, "cannot set up shard {shard}: its set-up panicked: {message}")
            }
            Self::ShardFailed(report) => report.fmt(f),
        }
    }
}

impl fmt::Debug for ShardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ShardsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::SetUp { source, .. } => Some(&**source),
            Self::SetUpPanicked { .. } | Self::ShardFailed(_) => None,
        }
    }
}
