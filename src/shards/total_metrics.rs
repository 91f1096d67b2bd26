//! Metrics of all shards.

use crate::metrics::Metrics;
use crate::reactor::Remote;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The metrics of all shards; see [`ShardsHandle::metrics`](super::ShardsHandle::metrics).
#[derive(Clone, Debug, Default)]
pub struct ShardsMetrics {
    shards: Vec<Option<Metrics>>,
}

/// The answers that have come so far.
struct Answers {
    metrics: Vec<Option<Metrics>>,
    /// Shards that may still answer.
    pending: usize,
}

type Collected = Arc<(Mutex<Answers>, Condvar)>;

/// The question to one shard. Its drop says that no answer will come.
struct Question(Collected);

impl Drop for Question {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).pending -= 1;
        self.0.1.notify_one();
    }
}

impl ShardsMetrics {
    pub(super) fn ask(remotes: &[Option<Remote>], timeout: Duration) -> Self {
        let pending = remotes.iter().flatten().count();
        let answers = Answers { metrics: vec![None; remotes.len()], pending };
        let collected: Collected = Arc::new((Mutex::new(answers), Condvar::new()));
        for (index, remote) in remotes.iter().enumerate() {
            let Some(remote) = remote else { continue };
            let question = Question(Arc::clone(&collected));
            remote.post(move |reactor| {
                let metrics = reactor.metrics();
                let mut answers = question.0.0.lock().unwrap_or_else(PoisonError::into_inner);
                answers.metrics[index] = Some(metrics);
                drop(answers);
            });
        }
        let answers = collected.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = collected.1.wait_timeout_while(answers, timeout, |it| it.pending > 0);
        let mut answers = waited.unwrap_or_else(PoisonError::into_inner).0;
        Self { shards: std::mem::take(&mut answers.metrics) }
    }

    /// Returns the metrics of each shard, by index; `None` for those that gave no answer.
    pub fn shards(&self) -> &[Option<Metrics>] {
        &self.shards
    }

    /// Returns the sum over all shards that gave an answer; the age is that of the oldest, and the
    /// slowest callback that of all. Without an answer of each the counters go back, which a
    /// monitoring system takes for a restart: see [`shards`](Self::shards) whether one is missing.
    pub fn total(&self) -> Metrics {
        let mut total = Metrics::default();
        self.shards.iter().flatten().for_each(|metrics| total += metrics);
        total
    }
}

impl fmt::Display for ShardsMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, metrics) in self.shards.iter().enumerate() {
            match metrics {
                Some(metrics) => writeln!(f, "shard {index}:\n{metrics}")?,
                None => writeln!(f, "shard {index}: no answer")?,
            }
        }
        write!(f, "all shards:\n{}", self.total())
    }
}
