//! Closed connections that go on listening, lest a reset takes the goodbye with it.

use super::Reactor;
use super::connections::Connection;
use super::delayed::Job;
use crate::arena::Id;
use crate::socket::{Carrier, Stream};
use crate::transport::ClosedStream;
use std::time::{Duration, Instant};

/// How long a closed connection goes on discarding what its peer still sends (see
/// [`Reactor::linger`]). What nginx takes for the same purpose.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// And how long at most without its peer sending anything: it holds a descriptor.
const LINGER_IDLE: Duration = Duration::from_secs(5);

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
}

impl Reactor {
    /// A socket that is closed with unread bytes in it, or that is sent bytes after it was closed,
    /// resets the connection, and its peer loses what was sent last: our goodbye. So if the peer
    /// has ever said anything, this side only sends its FIN, and discards what comes until the peer
    /// closes too, or for [`LINGER_MAX`].
    pub(super) fn linger(&mut self, id: Id, mut closed: ClosedStream) -> Option<Connection> {
        let stream = &mut *closed.stream;
        match discard(stream, &mut [0; GLANCE_LEN]) {
            Discarded::End => return None,
            Discarded::Nothing if !closed.spoken => return None,
            Discarded::Nothing | Discarded::Some => stream.finish_output().ok()?,
        }
        if !closed.watched {
            stream.watch(id).ok()?;
        }
        let end = self.set_job(LINGER_IDLE, Job::EndLingering(id));
        self.served.push(id);
        let until = self.due_in(LINGER_MAX);
        Some(Connection::Lingering(Box::new(Lingering { stream: closed.stream, end, until })))
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
            self.connections.remove(id);
        }
        !all.is_empty()
    }

    /// Discards what a lingering connection's peer has sent.
    pub(super) fn serve_lingering(&mut self, id: Id) {
        let idle = self.due_in(LINGER_IDLE);
        let Some(Connection::Lingering(lingering)) = self.connections.get_mut(id) else {
            return;
        };
        let (end, due) = (lingering.end, idle.min(lingering.until));
        let mut bytes = [0; DISCARD_LEN];
        let mut last = Discarded::Some;
        for discarded in 0..DISCARDS_PER_TURN {
            last = discard(&mut *lingering.stream, &mut bytes);
            match last {
                Discarded::Some if discarded == 0 => drop(self.timers.reset(end, due)),
                Discarded::Some => {}
                Discarded::Nothing | Discarded::End => break,
            }
        }
        match last {
            Discarded::Some => self.served.push(id),
            Discarded::Nothing => {}
            Discarded::End => {
                self.timers.cancel(end);
                self.connections.remove(id);
            }
        }
    }

    pub(super) fn end_lingering(&mut self, id: Id) {
        if let Some(Connection::Lingering(_)) = self.connections.get(id) {
            self.connections.remove(id);
        }
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
