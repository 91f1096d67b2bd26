//! How a shard ended.

use crate::error::RunError;
use crate::shutdown::ShutdownReport;
use std::fmt;

/// How one shard ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShardEnd {
    /// Its reactor was stopped, with this report.
    Stopped(ShutdownReport),
    /// Its thread panicked, with this message. Its connections were closed without a callback.
    ///
    /// Panics in callbacks do not end a thread: each ends one connection. What does is a panic in
    /// code that the library calls outside of callbacks, such as a logger's.
    Panicked(String),
    /// Its reactor could not run on.
    Failed(RunError),
}

impl ShardEnd {
    /// Returns true unless the shard was stopped.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Stopped(_))
    }
}

impl fmt::Display for ShardEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(report) => report.fmt(f),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}
