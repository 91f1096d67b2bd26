//! Life cycle of a reactor: its run state, the progress of a stop, and the report. Data only.

use crate::driver::Wake;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The life cycle of a reactor.
#[derive(Debug)]
pub(super) struct Lifecycle {
    pub(super) state: RunState,
    pub(super) stop: Stop,
    pub(super) holds: Arc<Holds>,
    /// Report of the current stop.
    pub(super) report: ShutdownReport,
}

/// The state of a reactor between start-up and shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// Not started, or stopped. Ports may be open already.
    Idle,
    Running,
    /// Past the triggers *before* shutdown: no port may be opened, no connection begun.
    Stopping,
}

/// Why a stop is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// The program, a signal or another thread asks for it.
    Request,
    /// A successor has taken over: the process with this id, if that is known.
    HandOver { process: Option<u32> },
}

/// Progress of a stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// No stop is requested.
    No,
    /// The stop begins in the next phase 3, and may drain for this long.
    Requested(Duration),
    /// Everything continues until no guard holds the shutdown.
    AwaitGuards { until: Instant },
    /// Ports are closed, and the loop reads what had arrived by then; `drain_requested` follows.
    /// `turns` counts the turns that this has taken.
    LastReads { until: Instant, turns: u32 },
    /// `drain_requested` was called, and connections end.
    Draining { until: Instant },
}

/// How the connections of a reactor ended when it stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that closed while the reactor drained, with everything written handed to the
    /// operating system.
    pub drained: usize,
    /// Connections that ended in another way while the reactor drained: reset by their peers, timed
    /// out, aborted or failed.
    pub lost: usize,
    /// Connections that the shutdown ended, and attempts to connect that it gave up.
    pub aborted: usize,
    /// Bytes written to any of these that the operating system has not taken.
    pub bytes_lost: u64,
}

impl AddAssign for ShutdownReport {
    fn add_assign(&mut self, more: Self) {
        self.drained += more.drained;
        self.lost += more.lost;
        self.aborted += more.aborted;
        self.bytes_lost += more.bytes_lost;
    }
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

/// Holds a graceful shutdown until it is dropped, on any thread; see
/// [`Reactor::hold_shutdown`](crate::Reactor::hold_shutdown).
#[derive(Debug)]
#[must_use = "a guard that is dropped at once holds nothing: keep it until the work is done"]
pub struct ShutdownGuard {
    _hold: Hold,
}

impl ShutdownGuard {
    pub(super) fn new(holds: &Arc<Holds>) -> Self {
        Self { _hold: holds.hold() }
    }
}

/// One of [`Holds`], until it is dropped.
#[derive(Debug)]
pub(super) struct Hold(Arc<Holds>);

/// Counts the guards that hold something back in the loop, such as the shutdown.
#[derive(Debug)]
pub(super) struct Holds {
    count: AtomicUsize,
    waker: Arc<dyn Wake>,
}

impl Holds {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), waker })
    }

    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.count.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(self))
    }

    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Hold {
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

    /// Returns true from the closing of ports for a graceful stop until the stop is done.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.stop, Stop::LastReads { .. } | Stop::Draining { .. })
    }

    /// Returns true once `listen` and `connect_tcp` must fail.
    pub(super) fn refuses_new(&self) -> bool {
        self.state == RunState::Stopping || self.is_draining()
    }
}
