//! TLS handshakes of arriving connections, whose work one turn bounds.

use super::Reactor;
use super::recorder::EventKind;
use super::table::Slot;
use crate::arena::Id;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::time::Duration;

/// Time per turn for the work of handshakes; the rest waits for the next turn, in the order in
/// which it came. It bounds what a thousand clients that come at once add to the latency of all
/// other connections: with an RSA key a handshake takes more than a millisecond.
const HANDSHAKE_TIME: Duration = Duration::from_millis(2);

/// The handshakes that wait for their turn, and what those of this turn have taken.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    waiting: VecDeque<Id>,
    /// The turn that `spent` is about.
    turn: u64,
    spent: Duration,
}

impl Handshakes {
    /// Returns true if the next turn has handshakes to continue.
    pub(super) fn any_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn has_time(&self, turn: u64) -> bool {
        self.turn != turn || self.spent < HANDSHAKE_TIME
    }

    fn spend(&mut self, took: Duration, turn: u64) {
        if self.turn != turn {
            (self.turn, self.spent) = (turn, Duration::ZERO);
        }
        self.spent += took;
    }
}

impl Reactor {
    /// Returns true if the handshake of an arriving connection may be continued in this turn. If
    /// not, it is queued.
    pub(super) fn has_time_for_handshake(&mut self, id: Id) -> bool {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return false };
        let handshakes = &mut self.handshakes;
        if !arriving.queued && !handshakes.any_waits() && handshakes.has_time(self.recorder.turn())
        {
            self.record_other();
            return true;
        }
        if !std::mem::replace(&mut arriving.queued, true) {
            handshakes.waiting.push_back(id);
        }
        false
    }

    /// Continues the handshakes that wait for their turn, until its time is over. A turn continues
    /// at least one.
    pub(super) fn continue_handshakes(&mut self) {
        while self.handshakes.has_time(self.recorder.turn()) {
            let Some(id) = self.handshakes.waiting.pop_front() else { return };
            if let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) {
                arriving.queued = false;
                self.record_other();
                self.pass_stages(id);
            }
        }
    }

    /// Records that a handshake was continued, since the clock was last read.
    pub(super) fn record_handshake(&mut self, transport: &Transport) {
        let took = self.record_callback(EventKind::Handshake, transport, 0);
        self.handshakes.spend(took, self.recorder.turn());
    }
}
