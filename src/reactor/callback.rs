//! What a protocol is told.

use super::metrics::What;
use super::timers::TimerId;
use crate::reason::TimeoutKind;
use std::io;

/// A callback to make.
#[derive(Debug)]
pub(super) enum Callback<'a> {
    Made,
    Data(&'a [u8]),
    Timer(TimerId),
    Resumed,
    TimedOut(TimeoutKind),
    Drain,
    ProducingPaused,
    ProducingResumed,
    /// (Taken out; a callback that owned it would have to be dropped, each time.)
    ProducerFinished(&'a mut Option<io::Result<u64>>),
    WriteRejected(usize),
    ReadLost,
    WriteLost,
}

impl Callback<'_> {
    /// For the recorder: which it is, and how much.
    pub(super) fn what(&self) -> (What, usize) {
        let what = match self {
            Self::Data(data) => return (What::Data, data.len()),
            Self::WriteRejected(count) => return (What::WriteRejected, *count),
            Self::Made => What::Made,
            Self::Timer(_) => What::Timer,
            Self::Resumed => What::Resumed,
            Self::TimedOut(_) => What::TimedOut,
            Self::Drain => What::Drain,
            Self::ProducingPaused | Self::ProducingResumed | Self::ProducerFinished(_) => {
                What::Producing
            }
            Self::ReadLost => What::ReadLost,
            Self::WriteLost => What::WriteLost,
        };
        (what, 0)
    }
}
