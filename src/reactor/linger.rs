//! Lingering close: closed connections that still read, so that no reset destroys the goodbye.

use super::Reactor;
use super::connection::Slot;
use super::linger_budget::{LingerBudget, Place};
use super::timers::TimerAction;
use crate::address::Network;
use crate::arena::Id;
use crate::driver::{AnyStream, Stream};
use crate::transport::ClosedStream;
use std::time::{Duration, Instant};

/// How long a closed connection discards what its peer still sends (see [`Reactor::linger`]). What
/// nginx takes for the same purpose.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// And how long at most without its peer sending anything: it holds a descriptor.
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// The same while the reactor drains and waits for it: longer than a round trip around the world,
/// so that a peer which was sending has heard of the close, and short beside any drain's deadline.
const LINGER_IDLE_DRAINING: Duration = Duration::from_millis(500);

/// Bytes that are discarded of one connection: more than a client sends before it looks at the
/// answer. Who sends more is reset.
const LINGER_BYTES_MAX: usize = 64 << 20;

/// Connections that linger at once: each holds a descriptor and some hundred bytes, and the oldest
/// makes room for the next.
const LINGERING_MAX: usize = 1024;

/// The same of one peer, so that one who lingers on purpose costs others nothing.
const LINGERING_PER_PEER_MAX: usize = 64;

/// The same for clients that were refused and are told so: they get the line in any case, and the
/// rest is a courtesy to those who were about to speak.
const REFUSED_MAX: Duration = Duration::from_secs(2);
const REFUSED_IDLE: Duration = Duration::from_millis(500);
const REFUSED_BYTES_MAX: usize = 64 * 1024;
const REFUSED_LINGERING_MAX: usize = 64;
const REFUSED_PER_PEER_MAX: usize = 4;

/// Bytes discarded in one call.
const DISCARD_LEN: usize = 16 * 1024;

/// And when a connection closes, only to see whether something has come: every close pays for it.
const GLANCE_LEN: usize = 64;

/// Calls that discard, of one connection at a time: 64 KiB, as much as one read of those that have
/// a protocol, with whom it takes turns if there is more.
const DISCARDS_PER_TURN: usize = 4;

/// Why a connection lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LingerReason {
    /// Its protocol has ended it.
    Close,
    /// No protocol has ever had it.
    Refusal,
}

impl LingerReason {
    fn time_max(self) -> Duration {
        match self {
            Self::Close => LINGER_MAX,
            Self::Refusal => REFUSED_MAX,
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Close => LINGER_BYTES_MAX,
            Self::Refusal => REFUSED_BYTES_MAX,
        }
    }
}

/// All connections that linger: closed ones, and refused ones apart.
#[derive(Debug)]
pub(super) struct Lingerers {
    closed: LingerBudget,
    rejected: LingerBudget,
    /// How many of them have peers that still send.
    sending: usize,
}

impl Default for Lingerers {
    fn default() -> Self {
        Self {
            closed: LingerBudget::new(LINGERING_MAX, LINGERING_PER_PEER_MAX),
            rejected: LingerBudget::new(REFUSED_LINGERING_MAX, REFUSED_PER_PEER_MAX),
            sending: 0,
        }
    }
}

impl Lingerers {
    pub(super) fn len(&self) -> usize {
        self.closed.len() + self.rejected.len()
    }

    /// How many of them have peers that still send.
    pub(super) fn sending(&self) -> usize {
        self.sending
    }

    fn budget(&mut self, reason_to_linger: LingerReason) -> &mut LingerBudget {
        match reason_to_linger {
            LingerReason::Close => &mut self.closed,
            LingerReason::Refusal => &mut self.rejected,
        }
    }
}

/// A socket whose protocol is gone.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: AnyStream,
    reason_to_linger: LingerReason,
    place: Place,
    /// Bytes that may still be discarded.
    bytes_left: usize,
    /// The timer that ends it, which each byte pushes back, but not beyond `until`.
    end: Id,
    until: Instant,
    /// Its peer was sending when it was closed, or has sent since. A drain waits only for these:
    /// to the others everything was sent, and nothing of theirs provokes a reset.
    talks: bool,
    /// Listed to be served.
    queued: bool,
}

impl Reactor {
    /// A socket that is closed with unread bytes in it, or that is sent bytes after it was closed,
    /// resets the connection, and its peer loses what was sent last: our goodbye. So if the peer
    /// has ever said anything, this side only sends its FIN, and discards what comes until the peer
    /// closes too, or for [`LINGER_MAX`].
    ///
    /// It is a courtesy with a budget of its own, which counts against nobody who connects.
    pub(super) fn linger(
        &mut self,
        id: Id,
        mut closed: ClosedStream,
        peer: Network,
        reason_to_linger: LingerReason,
    ) -> Option<Slot> {
        let stream = &mut *closed.stream;
        let talks = match discard(stream, &mut [0; GLANCE_LEN]) {
            Discarded::End => return None,
            Discarded::Nothing if !closed.peer.sent_any => return None,
            Discarded::Nothing => closed.peer.sent_since_drain && self.is_draining(),
            Discarded::Some(_) => true,
        };
        stream.shutdown_write().ok()?;
        if !closed.registered {
            stream.register(id).ok()?;
        }
        let (place, evicted) = self.lingerers.budget(reason_to_linger).enter(id, peer);
        evicted.into_iter().for_each(|oldest| self.cut_lingering(oldest));
        let end =
            self.set_timer_action(self.linger_idle(reason_to_linger), TimerAction::LingerEnd(id));
        self.ready_connections.push(id);
        self.lingerers.sending += usize::from(talks);
        Some(Slot::Lingering(Box::new(Lingering {
            stream: closed.stream,
            reason_to_linger,
            place,
            bytes_left: reason_to_linger.bytes_max(),
            end,
            until: self.due_in(reason_to_linger.time_max()),
            talks,
            queued: true,
        })))
    }

    fn linger_idle(&self, reason_to_linger: LingerReason) -> Duration {
        match reason_to_linger {
            LingerReason::Refusal => REFUSED_IDLE,
            LingerReason::Close if self.is_draining() => LINGER_IDLE_DRAINING,
            LingerReason::Close => LINGER_IDLE,
        }
    }

    /// Ends a lingering close before its time.
    fn cut_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get(id) {
            self.timers.cancel(lingering.end);
            self.remove_lingering(id);
        }
    }

    /// Out of descriptors: those who are only listened to go first. False if there are none.
    pub(super) fn close_lingering(&mut self) -> bool {
        if self.lingerers.len() == 0 {
            return false;
        }
        let Lingerers { closed, rejected, .. } = &self.lingerers;
        let all: Vec<Id> = closed.ids().chain(rejected.ids()).collect();
        all.into_iter().for_each(|id| self.cut_lingering(id));
        true
    }

    /// Closes the socket. Its timer is cancelled, or was due.
    pub(super) fn remove_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get(id) {
            self.lingerers.sending -= usize::from(lingering.talks);
            self.lingerers.budget(lingering.reason_to_linger).release_admission(lingering.place);
            self.connections.remove(id);
        }
    }

    /// A drain begins: nobody who only lingers has been heard since.
    pub(super) fn clear_received_since_drain(&mut self) {
        self.connections.all_lingering_mut().for_each(|lingering| lingering.talks = false);
        self.lingerers.sending = 0;
    }

    /// Discards what a lingering connection's peer has sent.
    pub(super) fn serve_lingering(&mut self, id: Id) {
        let Some(Slot::Lingering(lingering)) = self.connections.get(id) else { return };
        let idle = self.due_in(self.linger_idle(lingering.reason_to_linger));
        let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) else { return };
        let (end, due) = (lingering.end, idle.min(lingering.until));
        lingering.queued = false;
        let (heard, last) = lingering.discard_all();
        if heard {
            let received_since_drain = std::mem::replace(&mut lingering.talks, true);
            self.lingerers.sending += usize::from(!received_since_drain);
            self.timers.reset(end, due);
        }
        match last {
            Discarded::Some(_) => {
                lingering.queued = true;
                self.bulk.push_back(id);
            }
            Discarded::Nothing => {}
            Discarded::End => {
                self.timers.cancel(end);
                self.remove_lingering(id);
            }
        }
    }

    /// Nothing has come for long enough; unless it is the loop that comes late.
    pub(super) fn end_linger(&mut self, id: Id) {
        let Some(Slot::Lingering(lingering)) = self.connections.get(id) else { return };
        let idle = self.due_in(self.linger_idle(lingering.reason_to_linger));
        let now = self.now();
        let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) else { return };
        let due = idle.min(lingering.until);
        if lingering.until <= now
            || !matches!(lingering.discard_all(), (true, Discarded::Some(_) | Discarded::Nothing))
        {
            return self.remove_lingering(id);
        }
        let received_since_drain = std::mem::replace(&mut lingering.talks, true);
        self.lingerers.sending += usize::from(!received_since_drain);
        lingering.end = self.timers.set(due, TimerAction::LingerEnd(id));
        self.queue_lingering(id);
    }

    /// Lists it to be served, once.
    pub(super) fn queue_lingering(&mut self, id: Id) {
        if let Some(Slot::Lingering(lingering)) = self.connections.get_mut(id) {
            if !std::mem::replace(&mut lingering.queued, true) {
                self.ready_connections.push(id);
            }
        }
    }
}

impl Lingering {
    /// Discards what has come, up to the budget of a turn: whether there was anything, and what the
    /// last call found.
    fn discard_all(&mut self) -> (bool, Discarded) {
        let mut bytes = [0; DISCARD_LEN];
        let (mut heard, mut last) = (false, Discarded::Some(0));
        for _ in 0..DISCARDS_PER_TURN {
            last = discard(&mut *self.stream, &mut bytes);
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
    /// No more will come.
    End,
}

fn discard(stream: &mut dyn Stream, bytes: &mut [u8]) -> Discarded {
    match stream.read(bytes) {
        Ok(0) => Discarded::End,
        Ok(count) => Discarded::Some(count),
        Err(error) => match error.kind() {
            std::io::ErrorKind::WouldBlock => Discarded::Nothing,
            std::io::ErrorKind::Interrupted => Discarded::Some(0),
            _ => Discarded::End,
        },
    }
}
