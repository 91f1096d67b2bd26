//! What a reactor keeps for a client service. Data only.

use crate::arena::Id;
use crate::client_service::{Machine, NotConnectedError, RetryPolicy};
use crate::endpoint::ClientEndpoint;
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Instant;

/// What a call that waits for a connection is given.
pub(super) type Outcome = Result<Transport, NotConnectedError>;

type Call = dyn FnOnce(&mut Reactor, Outcome);

/// A client service in the reactor.
pub(in crate::reactor) struct ServiceSlot {
    pub(super) endpoint: ClientEndpoint,
    pub(super) factory: Id,
    pub(super) machine: Machine<Transport>,
    pub(super) policy: Box<dyn RetryPolicy>,
    /// Timer of the machine's deadline, and when it is due.
    pub(super) timer: Option<(Id, Instant)>,
    /// Calls that wait for a connection.
    pub(super) waiting: Vec<WaitingCall>,
}

/// A call that waits until a service is connected.
pub(in crate::reactor) struct WaitingCall {
    /// Failures after which it is told of the last of them.
    pub(super) limit: Option<NonZeroU32>,
    /// Failures since it was made.
    pub(super) failures: u32,
    pub(super) call: Box<Call>,
}

impl ServiceSlot {
    /// Counts a failure, and returns the calls for which it is the last that was allowed.
    pub(super) fn count_failure(&mut self) -> Vec<WaitingCall> {
        let counted = self.waiting.drain(..).map(|mut waiting| {
            waiting.failures += 1;
            waiting
        });
        let (failed, waiting) = counted.partition(WaitingCall::has_failed);
        self.waiting = waiting;
        failed
    }
}

impl WaitingCall {
    fn has_failed(&self) -> bool {
        self.limit.is_some_and(|limit| self.failures >= limit.get())
    }
}

impl fmt::Debug for ServiceSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSlot")
            .field("endpoint", &self.endpoint)
            .field("machine", &self.machine)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
