//! Ends that a test drives: what its client would do with a socket.

use super::link::{Bare, EndId, Life, Reading};
use super::{Event, Network};
use crate::testing::peer::End;
use std::io::ErrorKind;
use std::time::Duration;

impl Network {
    fn bare(&mut self, id: EndId) -> Option<&mut Bare> {
        self.end(id).and_then(|end| end.bare.as_mut())
    }

    /// Bytes to be sent, as soon as there is room.
    pub(in crate::testing) fn bare_send(&mut self, id: EndId, data: &[u8]) {
        let Some(bare) = self.bare(id).filter(|bare| !bare.finish) else { return };
        bare.pending.push(data.to_vec());
        self.serve_bare(id);
    }

    /// And behind them a byte of urgent data.
    pub(in crate::testing) fn bare_send_urgent(&mut self, id: EndId) {
        let Some(bare) = self.bare(id).filter(|bare| !bare.finish) else { return };
        bare.pending.push_mark();
        self.serve_bare(id);
    }

    /// And behind them a FIN.
    pub(in crate::testing) fn bare_finish(&mut self, id: EndId) {
        if let Some(bare) = self.bare(id) {
            bare.finish = true;
            self.serve_bare(id);
        }
    }

    /// Closes, and throws away what came and was not asked for.
    pub(in crate::testing) fn close_bare(&mut self, id: EndId) {
        if let Some(end) = self.end(id) {
            let works = end.life == Life::Held && end.error.is_none();
            if let Some(bare) = end.bare.take().filter(|_| works) {
                // What the test has sent is with the system, which sends it still.
                let mut pending = bare.pending;
                while !pending.is_empty() {
                    pending.pop_mark();
                    let chunk = pending.front().to_vec();
                    pending.consume(chunk.len());
                    end.pipe.unsent.push(chunk);
                }
            }
        }
        self.close(id);
        self.remove_if_over(id);
    }

    pub(in crate::testing) fn bare_stop_reading(&mut self, id: EndId) {
        if let Some(bare) = self.bare(id) {
            bare.reading = Reading::Stopped;
        }
    }

    pub(in crate::testing) fn bare_read_on(&mut self, id: EndId) {
        if let Some(bare) = self.bare(id) {
            bare.reading = Reading::All;
            self.serve_bare(id);
        }
    }

    pub(in crate::testing) fn bare_read_slowly(
        &mut self,
        id: EndId,
        bytes: usize,
        every: Duration,
    ) {
        // No time at all would let time stand still.
        let every = every.max(Duration::from_nanos(1));
        if let Some(bare) = self.bare(id) {
            bare.reading = Reading::Slow { bytes, every, resting: false };
            self.serve_bare(id);
        }
    }

    pub(in crate::testing) fn bare_received(&mut self, id: EndId) -> Vec<u8> {
        self.bare(id).map_or(Vec::new(), |bare| bare.received.clone())
    }

    pub(in crate::testing) fn bare_take(&mut self, id: EndId) -> Vec<u8> {
        self.bare(id).map_or(Vec::new(), |bare| std::mem::take(&mut bare.received))
    }

    /// Bytes that were given for sending, and have not gone.
    pub(in crate::testing) fn bare_pending(&mut self, id: EndId) -> usize {
        self.bare(id).map_or(0, |bare| bare.pending.len())
    }

    /// How this end learned that it is over: not before it has read what came before.
    pub(in crate::testing) fn bare_end(&mut self, id: EndId) -> Option<End> {
        let end = self.end(id)?;
        if !end.inbox.is_empty() {
            return None;
        }
        match end.error {
            Some(ErrorKind::TimedOut) => Some(End::TimedOut),
            Some(ErrorKind::ConnectionRefused) => Some(End::Refused),
            Some(_) => Some(End::Reset),
            None if end.ended => Some(End::Closed),
            None => None,
        }
    }

    /// Reads and writes as far as it goes.
    pub(super) fn serve_bare(&mut self, id: EndId) {
        self.bare_read(id);
        let Some((own, far)) = self.nodes_of(id) else { return };
        // One byte more than ever fits, so that `write` sees that there is more. All that is left
        // would be copied at each edge otherwise, and a test may send many megabytes.
        let most = self.conditions_of(own, far).send_buffer.saturating_add(1);
        loop {
            let established = self.links.get(id.link).is_some_and(|link| link.established);
            let Some(bare) = self.bare(id).filter(|_| established) else { return };
            if bare.pending.pop_mark() {
                self.write_urgent(id);
                continue;
            }
            let front = bare.pending.front();
            let chunk = front[..front.len().min(most)].to_vec();
            if chunk.is_empty() {
                if std::mem::take(&mut bare.finish) {
                    // Nothing is sent any more, and `finish` says so to the pipe.
                    self.finish(id);
                }
                return;
            }
            match self.write(id, &chunk) {
                Ok(count) => self.bare(id).into_iter().for_each(|it| it.pending.consume(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.bare(id).into_iter().for_each(|it| it.pending.clear()),
            }
        }
    }

    fn bare_read(&mut self, id: EndId) {
        let Some(end) = self.end(id).filter(|end| end.life == Life::Held) else { return };
        let Some(bare) = &mut end.bare else { return };
        // A test's client reads what is urgent no more than a server does.
        while end.inbox.pop_mark() {}
        let count = match &mut bare.reading {
            Reading::All => end.inbox.len(),
            Reading::Stopped => 0,
            Reading::Slow { resting: true, .. } => 0,
            Reading::Slow { bytes, .. } => end.inbox.len().min(*bytes),
        };
        if count == 0 {
            return;
        }
        let rests = match &mut bare.reading {
            Reading::Slow { every, resting, .. } => {
                *resting = true;
                Some(*every)
            }
            _ => None,
        };
        bare.received.extend_from_slice(&end.inbox.take(count));
        self.note(id, "reads", count);
        self.tell_of_room(id);
        if let Some(every) = rests {
            self.schedule_in(every, Event::Sip(id));
        }
    }

    pub(super) fn sip(&mut self, id: EndId) {
        if let Some(Reading::Slow { resting, .. }) = self.bare(id).map(|bare| &mut bare.reading) {
            *resting = false;
            self.serve_bare(id);
        }
    }
}
