//! Lingering close: closed connections that still read, so that no reset destroys the goodbye.

use super::Reactor;
use super::connections::Connection;
use super::delayed::Job;
use crate::arena::Id;
use crate::socket::{Carrier, Stream};
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

/// Bytes discarded in one call.
const DISCARD_LEN: usize = 16 * 1024;

/// And when a connection closes, only to see whether something has come: every close pays for it.
const GLANCE_LEN: usize = 64;

/// Calls that discard, of one connection in one turn: half a megabyte, so that a peer which never
/// stops sending does not hold up the others.
const DISCARDS_PER_TURN: usize = 32;

/// A socket whose protocol is gone.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: Carrier,
    /// The timer that ends it, which each byte pushes back, but not beyond `until`.
    end: Id,
    until: Instant,
    /// Its peer was sending when it was closed, or has sent since. A drain waits only for these:
    /// to the others everything was sent, and nothing of theirs provokes a reset.
    talks: bool,
}

impl Reactor {
    /// A socket that is closed with unread bytes in it, or that is sent bytes after it was closed,
    /// resets the connection, and its peer loses what was sent last: our goodbye. So if the peer
    /// has ever said anything, this side only sends its FIN, and discards what comes until the peer
    /// closes too, or for [`LINGER_MAX`].
    pub(super) fn linger(&mut self, id: Id, mut closed: ClosedStream) -> Option<Connection> {
        let stream = &mut *closed.stream;
        let talks = match discard(stream, &mut [0; GLANCE_LEN]) {
            Discarded::End => return None,
            Discarded::Nothing if !closed.spoken => return None,
            Discarded::Nothing => closed.talked && self.is_draining(),
            Discarded::Some => true,
        };
        stream.finish_output().ok()?;
        if !closed.watched {
            stream.watch(id).ok()?;
        }
        let end = self.set_job(self.linger_idle(), Job::EndLingering(id));
        self.served.push(id);
        self.talking += usize::from(talks);
        let (stream, until) = (closed.stream, self.due_in(LINGER_MAX));
        Some(Connection::Lingering(Box::new(Lingering { stream, end, until, talks })))
    }

    fn linger_idle(&self) -> Duration {
        if self.is_draining() { LINGER_IDLE_DRAINING } else { LINGER_IDLE }
    }

    /// Out of descriptors: those who are only listened to go first. False if there are none.
    pub(super) fn close_lingering(&mut self) -> bool {
        let lingering = |(id, slot): (Id, &Connection)| match slot {
            Connection::Lingering(lingering) => Some((id, lingering.end)),
            Connection::Live(_) | Connection::Connecting(_) => None,
        };
        let all: Vec<(Id, Id)> = self.connections.iter().filter_map(lingering).collect();
        for &(id, end) in &all {
            self.timers.cancel(end);
            self.remove_lingering(id);
        }
        !all.is_empty()
    }

    /// Closes the socket. Its timer is cancelled, or was due.
    pub(super) fn remove_lingering(&mut self, id: Id) {
        if let Some(Connection::Lingering(lingering)) = self.connections.get(id) {
            self.talking -= usize::from(lingering.talks);
            self.connections.remove(id);
        }
    }

    /// A drain begins: nobody who only lingers has been heard since.
    pub(super) fn forget_talk(&mut self) {
        self.connections.all_lingering_mut().for_each(|lingering| lingering.talks = false);
        self.talking = 0;
    }

    /// Discards what a lingering connection's peer has sent.
    pub(super) fn serve_lingering(&mut self, id: Id) {
        let idle = self.due_in(self.linger_idle());
        let Some(Connection::Lingering(lingering)) = self.connections.get_mut(id) else {
            return;
        };
        let (end, due) = (lingering.end, idle.min(lingering.until));
        let (heard, last) = lingering.discard_all();
        if heard {
            self.talking += usize::from(!std::mem::replace(&mut lingering.talks, true));
            self.timers.reset(end, due);
        }
        match last {
            Discarded::Some => self.served.push(id),
            Discarded::Nothing => {}
            Discarded::End => {
                self.timers.cancel(end);
                self.remove_lingering(id);
            }
        }
    }

    /// Nothing has come for long enough; unless it is the loop that comes late.
    pub(super) fn end_lingering(&mut self, id: Id) {
        let (now, idle) = (self.now(), self.due_in(self.linger_idle()));
        let Some(Connection::Lingering(lingering)) = self.connections.get_mut(id) else {
            return;
        };
        let due = idle.min(lingering.until);
        if lingering.until <= now
            || !matches!(lingering.discard_all(), (true, Discarded::Some | Discarded::Nothing))
        {
            return self.remove_lingering(id);
        }
        lingering.end = self.timers.set(due, Job::EndLingering(id));
        self.served.push(id);
    }
}

impl Lingering {
    /// Discards what has come, up to the budget of a turn: whether there was anything, and what the
    /// last call found.
    fn discard_all(&mut self) -> (bool, Discarded) {
        let mut bytes = [0; DISCARD_LEN];
        let (mut heard, mut last) = (false, Discarded::Some);
        for _ in 0..DISCARDS_PER_TURN {
            last = discard(&mut *self.stream, &mut bytes);
            if last != Discarded::Some {
                break;
            }
            heard = true;
        }
        (heard, last)
    }
}

#[derive(PartialEq, Eq)]
enum Discarded {
    Some,
    Nothing,
    /// No more will come.
    End,
}

fn discard(stream: &mut dyn Stream, bytes: &mut [u8]) -> Discarded {
    match stream.read(bytes) {
        Ok(0) => Discarded::End,
        Ok(_) => Discarded::Some,
        Err(error) => match error.kind() {
            std::io::ErrorKind::WouldBlock => Discarded::Nothing,
            std::io::ErrorKind::Interrupted => Discarded::Some,
            _ => Discarded::End,
        },
    }
}
