//! Raw ends: ends that a test drives without a reactor, as a program drives a socket.

use super::link::{EndId, Life, RawEnd, Reading};
use super::{Event, Network};
use crate::testing::peer::End;
use std::io::ErrorKind;
use std::time::Duration;

impl Network {
    fn raw_end(&mut self, id: EndId) -> Option<&mut RawEnd> {
        self.end(id).and_then(|end| end.raw_end.as_mut())
    }

    /// Returns the number of the connection, if its other end is a raw one.
    pub(in crate::testing) fn raw_end_link(&self, id: EndId) -> Option<u64> {
        let link = self.links.get(id.link)?;
        link.ends[1 - id.side].raw_end.is_some().then_some(link.number)
    }

    /// Returns the number of the connection of an end, and the host at the other end.
    pub(in crate::testing) fn raw_end_peer(&self, id: EndId) -> Option<(u64, usize)> {
        let link = self.links.get(id.link)?;
        Some((link.number, link.ends[1 - id.side].node))
    }

    /// Queues bytes to be sent, as soon as there is room.
    pub(in crate::testing) fn raw_end_send(&mut self, id: EndId, data: &[u8]) {
        let Some(client) = self.raw_end(id).filter(|client| !client.finish) else { return };
        client.pending.push(data.to_vec());
        self.serve_raw_end(id);
    }

    /// Queues a byte of urgent data behind the bytes queued so far.
    pub(in crate::testing) fn raw_end_send_urgent(&mut self, id: EndId) {
        let Some(client) = self.raw_end(id).filter(|client| !client.finish) else { return };
        client.pending.push_mark();
        self.serve_raw_end(id);
    }

    /// Queues a FIN behind the bytes queued so far.
    pub(in crate::testing) fn raw_end_close_write(&mut self, id: EndId) {
        if let Some(client) = self.raw_end(id) {
            client.finish = true;
            self.serve_raw_end(id);
        }
    }

    /// Closes the end, and discards received bytes that the test has not taken.
    pub(in crate::testing) fn close_raw_end(&mut self, id: EndId) {
        if let Some(end) = self.end(id) {
            let works = end.life == Life::Held && end.error.is_none();
            if let Some(client) = end.raw_end.take().filter(|_| works) {
                // The test's pending bytes count as handed to the system, which still sends them.
                let mut pending = client.pending;
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

    pub(in crate::testing) fn raw_end_stop_reading(&mut self, id: EndId) {
        if let Some(client) = self.raw_end(id) {
            client.reading = Reading::Stopped;
        }
    }

    pub(in crate::testing) fn raw_end_resume_reading(&mut self, id: EndId) {
        if let Some(client) = self.raw_end(id) {
            client.reading = Reading::All;
            self.serve_raw_end(id);
        }
    }

    pub(in crate::testing) fn raw_end_read_slowly(
        &mut self,
        id: EndId,
        bytes: usize,
        every: Duration,
    ) {
        // With a period of zero, time would never move on.
        let every = every.max(Duration::from_nanos(1));
        if let Some(client) = self.raw_end(id) {
            client.reading = Reading::Slow { bytes, every, waiting: false };
            self.serve_raw_end(id);
        }
    }

    pub(in crate::testing) fn raw_end_received(&mut self, id: EndId) -> Vec<u8> {
        self.raw_end(id).map_or(Vec::new(), |client| client.received.clone())
    }

    pub(in crate::testing) fn raw_end_has_received(&mut self, id: EndId) -> bool {
        self.raw_end(id).is_some_and(|client| !client.received.is_empty())
    }

    pub(in crate::testing) fn raw_end_take_received(&mut self, id: EndId) -> Vec<u8> {
        self.raw_end(id).map_or(Vec::new(), |client| std::mem::take(&mut client.received))
    }

    /// Returns the number of bytes that were queued and not yet accepted by `write`.
    pub(in crate::testing) fn raw_end_unsent(&mut self, id: EndId) -> usize {
        self.raw_end(id).map_or(0, |client| client.pending.len())
    }

    /// Returns how this end learned of its end: only after it has read everything before.
    pub(in crate::testing) fn raw_end_close_kind(&mut self, id: EndId) -> Option<End> {
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

    /// Reads and writes as much as possible.
    pub(super) fn serve_raw_end(&mut self, id: EndId) {
        self.read_raw_end(id);
        // One byte more than ever fits, so that `write` sees that there is more. Copying all that
        // is left at each edge would be too slow: a test may send many megabytes.
        let most = self.conditions_of(id).send_buffer.saturating_add(1);
        loop {
            // A server may send as soon as it has accepted.
            let established =
                self.links.get(id.link).is_some_and(|link| link.established || id.side == 1);
            let Some(client) = self.raw_end(id).filter(|_| established) else { return };
            if client.pending.pop_mark() {
                self.write_urgent(id);
                continue;
            }
            let front = client.pending.front();
            let chunk = front[..front.len().min(most)].to_vec();
            if chunk.is_empty() {
                if std::mem::take(&mut client.finish) {
                    // Everything is sent, and `finish` queues the FIN in the pipe.
                    self.finish(id);
                }
                return;
            }
            match self.write(id, &chunk) {
                Ok(count) => self.raw_end(id).into_iter().for_each(|it| it.pending.consume(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.raw_end(id).into_iter().for_each(|it| it.pending.clear()),
            }
        }
    }

    fn read_raw_end(&mut self, id: EndId) {
        let Some(end) = self.end(id).filter(|end| end.life == Life::Held) else { return };
        let Some(client) = &mut end.raw_end else { return };
        // As a reactor, a raw end does not read urgent data.
        while end.inbox.pop_mark() {}
        let count = match &mut client.reading {
            Reading::All => end.inbox.len(),
            Reading::Stopped => 0,
            Reading::Slow { waiting: true, .. } => 0,
            Reading::Slow { bytes, .. } => end.inbox.len().min(*bytes),
        };
        if count == 0 {
            return;
        }
        let wait = match &mut client.reading {
            Reading::Slow { every, waiting, .. } => {
                *waiting = true;
                Some(*every)
            }
            _ => None,
        };
        client.received.extend_from_slice(&end.inbox.take(count));
        self.note(id, "reads", count);
        self.announce_room(id);
        if let Some(every) = wait {
            self.schedule_in(every, Event::SlowRead(id));
        }
    }

    pub(super) fn resume_slow_read(&mut self, id: EndId) {
        if let Some(Reading::Slow { waiting, .. }) =
            self.raw_end(id).map(|client| &mut client.reading)
        {
            *waiting = false;
            self.serve_raw_end(id);
        }
    }
}
