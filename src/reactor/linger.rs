//! Lingering close: closed connections that still read, so that no reset destroys what was sent
//! last.

use super::Reactor;
use super::linger_budget::LINGER_IDLE;
use super::linger_budget::LINGER_IDLE_DRAINING;
use super::linger_budget::LingerReason;
use super::linger_budget::Lingerers;
use super::linger_budget::REJECTED_LINGER_IDLE;
use super::table::Slot;
use super::table::{DrainWait, Lingering};
use super::timers::TimerAction;
use crate::arena::Id;
use crate::driver::Stream;
use crate::transport::{ClosedStream, Transport};
use std::time::Duration;

/// Bytes discarded in one call.
const DISCARD_LEN: usize = 16 * 1024;

/// Bytes read when a connection closes, to see whether something has arrived. Small, since every
/// close pays for it.
const PROBE_LEN: usize = 64;

/// Discarding calls for one connection at a time: 64 KiB together, as for one read of a connection
/// with a protocol. If more has arrived, it takes turns with the bulk connections.
const DISCARDS_PER_TURN: usize = 4;

impl Reactor {
    /// Begins a lingering close, if the peer has ever sent anything; returns the slot for the
    /// lingering socket.
    ///
    /// A socket that is closed with unread bytes in it, or that receives bytes after it was closed,
    /// resets the connection, and the peer may lose what was sent last. So this side only sends its
    /// FIN, and discards input until the peer closes too, or for [`LINGER_MAX`].
    ///
    /// Lingering sockets have a budget of their own, and count against no limit on clients.
    pub(super) fn linger(
        &mut self,
        id: Id,
        mut closed: ClosedStream,
        transport: &Transport,
        reason_to_linger: LingerReason,
    ) -> Option<Slot> {
        let stream = &mut *closed.stream;
        let probe = match closed.readable || !closed.registered {
            true => discard(stream, &mut [0; PROBE_LEN]),
            false => Discarded::Nothing,
        };
        let peer_sends = match probe {
            Discarded::End => return None,
            Discarded::Nothing if !closed.peer.sent_any => return None,
            Discarded::Nothing => closed.peer.sent_since_drain && self.is_draining(),
            Discarded::Some(_) => true,
        };
        stream.shutdown_write().ok()?;
        if !closed.registered {
            stream.register(id).ok()?;
        }
        let peer = transport.peer_network();
        let (place, evicted) = self.lingerers.budget(reason_to_linger).enter(id, peer);
        evicted.into_iter().for_each(|oldest| self.cut_lingering(oldest));
        let end =
            self.set_timer_action(self.linger_idle(reason_to_linger), TimerAction::LingerEnd(id));
        // Otherwise the socket is empty, and an edge announces what comes.
        let queued = matches!(probe, Discarded::Some(_));
        if queued {
            self.queues.ready.push(id);
        }
        let drain_wait = match peer_sends {
            _ if self.is_out_of_band(transport.factory()) => DrainWait::Never,
            true => DrainWait::Waits,
            false => DrainWait::UntilItSends,
        };
        self.lingerers.sending += usize::from(drain_wait == DrainWait::Waits);
        Some(Slot::Lingering(Box::new(Lingering {
            stream: closed.stream,
            reason_to_linger,
            place,
            bytes_left: reason_to_linger.bytes_max(),
            end,
            until: self.due_in(reason_to_linger.time_max()),
            drain_wait,
            queued,
        })))
    }

    fn linger_idle(&self, reason_to_linger: LingerReason) -> Duration {
        match reason_to_linger {
            LingerReason::Rejection => REJECTED_LINGER_IDLE,
            LingerReason::Close if self.is_draining() => LINGER_IDLE_DRAINING,
            LingerReason::Close => LINGER_IDLE,
        }
    }

    /// Ends a lingering close early.
    fn cut_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get(id) {
            self.timers.cancel(lingering.end);
            self.remove_lingering(id);
        }
    }

    /// Closes all lingering sockets, to free descriptors. Returns false if there are none.
    pub(super) fn close_lingering(&mut self) -> bool {
        if self.lingerers.len() == 0 {
            return false;
        }
        let Lingerers { closed, rejected, .. } = &self.lingerers;
        let all: Vec<Id> = closed.ids().chain(rejected.ids()).collect();
        all.into_iter().for_each(|id| self.cut_lingering(id));
        true
    }

    /// Closes a lingering socket, whose timer is cancelled or has fired.
    pub(super) fn remove_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get(id) {
            self.lingerers.sending -= usize::from(lingering.drain_wait == DrainWait::Waits);
            self.lingerers.budget(lingering.reason_to_linger).leave(lingering.place);
            self.connections.remove(id);
        }
    }

    /// Forgets which lingering peers have sent something: the reactor begins to drain.
    pub(super) fn clear_received_since_drain(&mut self) {
        for lingering in self.connections.all_lingering_mut() {
            if lingering.drain_wait == DrainWait::Waits {
                lingering.drain_wait = DrainWait::UntilItSends;
            }
        }
        self.lingerers.sending = 0;
    }

    /// Discards input of a lingering connection.
    pub(super) fn serve_lingering(&mut self, id: Id) {
        let Some(Slot::Lingering(lingering)) = self.connections.get(id) else { return };
        let idle = self.due_in(self.linger_idle(lingering.reason_to_linger));
        let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) else { return };
        let (end, due) = (lingering.end, idle.min(lingering.until));
        lingering.queued = false;
        let (heard, last) = lingering.discard_all(&mut self.scratch.buffer[..DISCARD_LEN]);
        if heard {
            self.lingerers.sending += usize::from(lingering.record_input());
            self.timers.reset(end, due);
        }
        match last {
            Discarded::Some(_) => {
                lingering.queued = true;
                self.queues.bulk.push_back(id);
            }
            Discarded::Nothing => {}
            Discarded::End => {
                self.timers.cancel(end);
                self.remove_lingering(id);
            }
        }
    }

    /// Ends a lingering close whose timer has fired, unless the loop is late and bytes have
    /// arrived.
    pub(super) fn end_linger(&mut self, id: Id) {
        let Some(Slot::Lingering(lingering)) = self.connections.get(id) else { return };
        let idle = self.due_in(self.linger_idle(lingering.reason_to_linger));
        let now = self.now();
        let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) else { return };
        let due = idle.min(lingering.until);
        if lingering.until <= now
            || !matches!(
                lingering.discard_all(&mut self.scratch.buffer[..DISCARD_LEN]),
                (true, Discarded::Some(_) | Discarded::Nothing)
            )
        {
            return self.remove_lingering(id);
        }
        self.lingerers.sending += usize::from(lingering.record_input());
        lingering.end = self.timers.set(due, TimerAction::LingerEnd(id));
        self.queue_lingering(id);
    }

    /// Queues a lingering connection to be served, unless it is queued already.
    pub(super) fn queue_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) {
            if !std::mem::replace(&mut lingering.queued, true) {
                self.queues.ready.push(id);
            }
        }
    }
}

impl Lingering {
    /// Discards input up to the budget of a turn. Returns whether there was any, and the outcome of
    /// the last call.
    fn discard_all(&mut self, bytes: &mut [u8]) -> (bool, Discarded) {
        let (mut heard, mut last) = (false, Discarded::Some(0));
        for _ in 0..DISCARDS_PER_TURN {
            last = discard(&mut *self.stream, bytes);
            let Discarded::Some(count) = last else { break };
            heard = true;
            self.bytes_left = self.bytes_left.saturating_sub(count);
            if self.bytes_left == 0 {
                return (heard, Discarded::End);
            }
        }
        (heard, last)
    }
}

#[derive(PartialEq, Eq)]
enum Discarded {
    Some(usize),
    Nothing,
    /// The peer has closed, or the socket has failed.
    End,
}

fn discard(stream: &mut dyn Stream, bytes: &mut [u8]) -> Discarded {
    match stream.read(bytes) {
        Ok(0) => Discarded::End,
        Ok(count) => Discarded::Some(count),
        Err(error) => match error.kind() {
            std::io::ErrorKind::WouldBlock => Discarded::Nothing,
            std::io::ErrorKind::Interrupted => {
                // Descriptors are discarded as well.
                while stream.take_descriptor().is_some() {}
                Discarded::Some(0)
            }
            _ => Discarded::End,
        },
    }
}
