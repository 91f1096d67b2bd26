//! Where a reactor is between start-up and shutdown, and how far a stop has come. Data only.

use crate::driver::Wake;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The life of a reactor.
#[derive(Debug)]
pub(super) struct Lifecycle {
    pub(super) state: RunState,
    pub(super) stop: Stop,
    pub(super) holds: Arc<Holds>,
    /// Of the stop that is being carried out.
    pub(super) report: ShutdownReport,
}

/// Where a reactor is between start-up and shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// Not started, or stopped. Ports may be open already.
    Idle,
    Running,
    /// Past the triggers *before* shutdown: nothing new can begin.
    Stopping,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// Nobody has asked for one.
    No,
    /// Is to begin in phase 3 of the next turn, and may take so long.
    Requested(Duration),
    /// Everything stands and goes on, until nobody holds the shutdown any more.
    AwaitGuards { until: Instant },
    /// Ports are closed, and the loop reads what had arrived by then; protocols are told after
    /// that. `turns` counts the turns that this has taken.
    LastReads { until: Instant, turns: u32 },
    /// Protocols have been told, and connections end.
    Draining { until: Instant },
}

/// What became of the connections when a reactor stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that closed while the reactor drained, when everything written was handed to the
    /// operating system.
    pub drained: usize,
    /// Connections that ended otherwise while the reactor drained: reset by their peers, timed out,
    /// aborted or failed.
    pub lost: usize,
    /// Connections that the shutdown ended, and attempts to connect that it gave up.
    pub aborted: usize,
    /// Bytes that were written to any of these and that the operating system has not taken.
    pub bytes_lost: u64,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { drained, lost, aborted, bytes_lost } = self;
        write!(
            f,
            "{drained} connections drained, {lost} lost, {aborted} aborted, {bytes_lost} bytes lost"
        )
    }
}

/// Holds a graceful shutdown as long as it lives; see
/// [`Reactor::hold_shutdown`](crate::Reactor::hold_shutdown).
///
/// It may be dropped on any thread.
#[derive(Debug)]
pub struct ShutdownGuard(Arc<Holds>);

/// Who holds the shutdown.
#[derive(Debug)]
pub(super) struct Holds {
    count: AtomicUsize,
    waker: Arc<dyn Wake>,
}

impl Holds {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), waker })
    }

    /// Holds the shutdown until the guard is dropped.
    pub(super) fn hold(self: &Arc<Self>) -> ShutdownGuard {
        self.count.fetch_add(1, Ordering::SeqCst);
        ShutdownGuard(Arc::clone(self))
    }

    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }
}

impl Drop for ShutdownGuard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.waker.wake();
    }
}

impl Lifecycle {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Self {
        let report = ShutdownReport::default();
        Self { state: RunState::Idle, stop: Stop::No, holds: Holds::new(waker), report }
    }

    /// True from the moment in which ports are closed for a graceful stop until it is done.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.stop, Stop::LastReads { .. } | Stop::Draining { .. })
    }

    /// True once nothing new may begin: neither `listen` nor `connect_tcp`.
    pub(super) fn refuses_new(&self) -> bool {
        self.state == RunState::Stopping || self.is_draining()
    }
}
