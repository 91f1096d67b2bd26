//! TLS handshakes of arriving connections, whose work one turn bounds.

use super::Reactor;
use super::recorder::EventKind;
use super::table::{Queued, Slot};
use crate::arena::Id;
use crate::transport::Transport;
use std::time::Duration;

impl Reactor {
    /// Returns true if the handshake of an arriving connection may be continued in this turn. If
    /// not, it is queued.
    pub(super) fn has_time_for_handshake(&mut self, id: Id) -> bool {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return false };
        let handshakes = &mut self.queues.handshakes;
        let is_queued = arriving.queued != Queued::No;
        if !is_queued && !handshakes.any_waits() && handshakes.has_time(self.recorder.turn()) {
            self.record_other();
            return true;
        }
        if !is_queued {
            arriving.queued = Queued::Yes;
            handshakes.push(id);
        }
        false
    }

    /// Continues the handshakes that wait for their turn, until its time is over. A turn continues
    /// at least one.
    pub(super) fn continue_handshakes(&mut self) {
        while self.queues.handshakes.has_time(self.recorder.turn()) {
            let Some(id) = self.queues.handshakes.pop() else { return };
            if let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) {
                let queued = std::mem::replace(&mut arriving.queued, Queued::No);
                let transport = arriving.transport.clone();
                if self.end_given_up(id, &transport) {
                    continue;
                }
                self.record_other();
                self.pass_stages(id, &transport);
                if queued == Queued::Overdue {
                    self.fail_overdue_arriving(id);
                }
            }
        }
    }

    /// Records that a handshake was continued, since the clock was last read.
    pub(super) fn record_handshake(&mut self, transport: &Transport) {
        let nanos = self.record_callback(EventKind::Handshake, transport, 0);
        let took = Duration::from_nanos(nanos);
        self.queues.handshakes.spend(took, self.recorder.turn());
    }
}
