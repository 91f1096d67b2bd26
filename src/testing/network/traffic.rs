//! Traffic: bytes, FIN and reset, from one end of a connection to the other.

use super::link::{EndId, Finish, Life, Segment};
use super::node::Power;
use super::{Event, Network, nanos};
use crate::driver::Edges;
use std::io;
use std::io::ErrorKind;
use std::time::Duration;

/// The most bytes in a packet. (Networks cut finer; what a program sees is the same.)
const SEGMENT_MAX: usize = 64 * 1024;

/// Delay before a lost packet is retransmitted: the least that Linux waits.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// Retransmission timeout: how long packets are retransmitted before the connection breaks, about
/// what Linux takes for its fifteen attempts.
const RETRANSMIT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The longest time that a socket stays full after an arbitrarily short write.
const SHORT_WRITE_DELAY: Duration = Duration::from_millis(1);

impl Network {
    /// Writes bytes, like `send(2)`.
    pub(in crate::testing) fn write(&mut self, id: EndId, data: &[u8]) -> io::Result<usize> {
        let conditions = self.conditions_of(id);
        let (size, short) = (conditions.send_buffer, conditions.short_writes);
        let used = self.used(id);
        let nobody_reads = self.is_local(id) && !self.is_held(id.other());
        let Some(end) = self.end(id) else { return Err(ErrorKind::NotConnected.into()) };
        if nobody_reads {
            // A Unix socket knows at once, and even before an error.
            return Err(ErrorKind::BrokenPipe.into());
        }
        if let Some(error) = end.error {
            return Err(error.into());
        }
        if end.pipe.finish != Finish::No || end.life != Life::Held {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = size.saturating_sub(used);
        let mut count = room.min(data.len());
        let cut = count > 0 && end.random.happens(short);
        if cut {
            count = end.random.below(count);
        }
        end.pipe.blocked |= count < data.len() && !cut;
        if cut {
            // A short write looks as if the socket had been full for a moment.
            let after = end.random.up_to(SHORT_WRITE_DELAY);
            self.schedule_in(after, Event::Edge(id, Edges::WRITABLE));
        }
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(end) = self.end(id) {
            end.pipe.unsent.push(data[..count].to_vec());
        }
        self.note(id, "writes", count);
        self.trace.note_bytes(&data[..count]);
        self.pump(id);
        Ok(count)
    }

    /// Sends a byte of urgent data, like `send(2)` with `MSG_OOB`.
    pub(in crate::testing) fn write_urgent(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.error.is_none() && end.pipe.finish == Finish::No && end.life == Life::Held {
            end.pipe.unsent.push_mark();
            self.note(id, "writes urgent data", 1);
            self.pump(id);
        }
    }

    /// Closes the sending half, like `shutdown(2)`.
    pub(in crate::testing) fn finish(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.pipe.finish == Finish::No {
            end.pipe.finish = Finish::Queued;
            self.note(id, "finishes", 0);
            self.pump(id);
        }
    }

    fn is_held(&self, id: EndId) -> bool {
        self.links.get(id.link).is_some_and(|link| link.ends[id.side].life == Life::Held)
    }

    /// Returns how many bytes fill the send buffer of an end: those that are not acknowledged. With
    /// a Unix socket they are those that the peer has not read.
    fn used(&self, id: EndId) -> usize {
        let Some(link) = self.links.get(id.link) else { return 0 };
        let pipe = &link.ends[id.side].pipe;
        let unread = || pipe.in_flight + link.ends[1 - id.side].inbox.len();
        pipe.unsent.len() + if link.is_local() { unread() } else { pipe.unconfirmed }
    }

    /// Lets a blocked end write again, as Linux does: not before a third of the buffer is free.
    fn unblock(&mut self, id: EndId) {
        let (used, size) = (self.used(id), self.conditions_of(id).send_buffer);
        let Some(end) = self.end(id) else { return };
        if end.pipe.blocked && used * 3 <= size * 2 {
            end.pipe.blocked = false;
            self.edge(id, Edges::WRITABLE);
        }
    }

    /// Sends what the other end has room for.
    pub(super) fn pump(&mut self, id: EndId) {
        let conditions = self.conditions_of(id).clone();
        loop {
            let Some(link) = self.links.get_mut(id.link) else { return };
            if !link.established && id.side == 0 {
                return;
            }
            let unread = link.ends[1 - id.side].inbox.len();
            let end = &mut link.ends[id.side];
            end.pipe.pump_scheduled = false;
            if end.pipe.unsent.pop_mark() {
                self.send(id, Segment::Urgent);
                continue;
            }
            let window = conditions.receive_buffer.saturating_sub(unread + end.pipe.in_flight);
            let mut count = end.pipe.unsent.len_before_mark().min(window).min(SEGMENT_MAX);
            if count > 0 {
                if end.random.happens(conditions.short_reads) {
                    count = 1 + end.random.below(count);
                }
                let bytes = end.pipe.unsent.take(count);
                end.pipe.in_flight += count;
                end.pipe.unconfirmed += count;
                self.send(id, Segment::Data(bytes));
                continue;
            }
            if end.pipe.unsent.is_empty() && end.pipe.finish == Finish::Queued {
                end.pipe.finish = Finish::Sent;
                self.send(id, Segment::Fin);
            }
            break;
        }
        self.probe(id);
    }

    /// Zero-window probe: so an end that waits for room notices that nothing gets through.
    fn probe(&mut self, id: EndId) {
        let cut_off = self.is_cut_off(id);
        let now = self.now;
        let Some(end) = self.end(id).filter(|end| cut_off && !end.pipe.unsent.is_empty()) else {
            return;
        };
        if end.pipe.segments.is_empty() && end.pipe.stuck_since.is_none() {
            end.pipe.stuck_since = Some(now);
            self.schedule_in(RETRANSMIT_TIMEOUT, Event::GiveUp(id));
        }
    }

    fn send(&mut self, id: EndId, segment: Segment) {
        let Some((own, far)) = self.nodes_of(id) else { return };
        let conditions = self.conditions_of(id).clone();
        let length = if let Segment::Data(bytes) = &segment { bytes.len() } else { 0 };
        let mut at = self.now;
        if let Some(bandwidth) = conditions.bandwidth {
            let free = self.busy.entry((own, far)).or_default();
            let takes = length as u64 * 1_000_000_000 / bandwidth;
            *free = (*free).max(at).saturating_add(takes);
            at = *free;
        }
        let Some(end) = self.end(id) else { return };
        let mut travels = conditions.latency.saturating_add(end.random.up_to(conditions.jitter));
        if end.random.happens(conditions.loss) {
            travels = travels.saturating_add(RETRANSMISSION);
        }
        at = at.saturating_add(nanos(travels));
        // Packets may overtake each other; what a program reads is in order.
        at = at.max(end.pipe.last_arrival);
        end.pipe.last_arrival = at;
        end.pipe.segments.push_back(segment);
        self.schedule(at, Event::Arrive(id.other()));
    }

    /// True if nothing gets from this end to the other.
    fn is_cut_off(&self, id: EndId) -> bool {
        let Some(link) = self.links.get(id.link) else { return true };
        let (own, far) = (link.ends[id.side].node, link.ends[1 - id.side].node);
        link.silent || self.is_cut(own, far) || self.nodes[far].power == Power::Off
    }

    /// Handles the arrival of the first segment of the pipe to `id`.
    pub(super) fn arrive(&mut self, id: EndId) {
        let from = id.other();
        let cut_off = self.is_cut_off(from);
        let now = self.now;
        let Some(sender) = self.end(from) else { return };
        if cut_off {
            if sender.life == Life::Gone || sender.error.is_some() {
                // The sender is gone, and retransmits nothing.
                sender.pipe.lose();
            } else if !sender.pipe.segments.is_empty() {
                sender.pipe.to_retransmit += 1;
                if sender.pipe.stuck_since.is_none() {
                    sender.pipe.stuck_since = Some(now);
                    self.schedule_in(RETRANSMIT_TIMEOUT, Event::GiveUp(from));
                }
            }
            return self.remove_if_over(id);
        }
        sender.pipe.stuck_since = None;
        match sender.pipe.segments.pop_front() {
            Some(Segment::Data(bytes)) => self.deliver(id, bytes),
            Some(Segment::Urgent) => self.deliver_urgent(id),
            Some(Segment::Fin) => self.deliver_fin(id),
            Some(Segment::Reset) => self.break_end(id, ErrorKind::ConnectionReset),
            None => {}
        }
        self.remove_if_over(id);
    }

    fn deliver_fin(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.life == Life::Gone || end.error.is_some() {
            return self.answer_with_reset(id, 0);
        }
        end.ended = true;
        self.note(id, "hears the end", 0);
        self.edge(id, Edges::END);
    }

    /// Forgets this end. A peer waiting for room here finds that out by sending.
    pub(super) fn forget(&mut self, id: EndId) {
        if let Some(end) = self.end(id) {
            end.forget();
        }
        self.announce_room(id);
    }

    /// Answers a segment for a connection that the system has forgotten, although its program may
    /// still have to learn that.
    fn answer_with_reset(&mut self, id: EndId, count: usize) {
        self.note(id, "answers with a reset", count);
        if self.end(id).is_some_and(|end| end.life != Life::Held) {
            self.forget(id);
        }
        self.send(id, Segment::Reset);
    }

    fn deliver_urgent(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.life != Life::Held || end.error.is_some() {
            return self.answer_with_reset(id, 1);
        }
        end.inbox.push_mark();
        self.note(id, "hears urgent data", 1);
        self.edge(id, Edges::URGENT);
    }

    fn deliver(&mut self, id: EndId, bytes: Vec<u8>) {
        let count = bytes.len();
        let from = id.other();
        if let Some(sender) = self.end(from) {
            sender.pipe.in_flight -= count;
        }
        let Some(end) = self.end(id) else { return };
        if end.life != Life::Held || end.error.is_some() {
            // No program is left to read it.
            return self.answer_with_reset(id, count);
        }
        end.inbox.push(bytes);
        self.note(id, "hears bytes", count);
        self.edge(id, Edges::READABLE);
        let latency = self.conditions_of(id).latency;
        self.schedule_in(latency, Event::Confirm(from, count));
    }

    pub(super) fn confirm(&mut self, id: EndId, count: usize) {
        let Some(end) = self.end(id) else { return };
        end.pipe.unconfirmed = end.pipe.unconfirmed.saturating_sub(count);
        self.unblock(id);
        self.pump(id);
        self.remove_if_over(id);
    }

    /// Breaks an end: both its directions are over, and its program gets the error.
    pub(super) fn break_end(&mut self, id: EndId, error: ErrorKind) {
        // Names of our own: the numbers of `ErrorKind` depend on the version of the compiler.
        let what = match error {
            ErrorKind::ConnectionRefused => "is refused",
            ErrorKind::TimedOut => "times out",
            _ => "is reset",
        };
        self.note(id, what, 0);
        let is_local = self.is_local(id);
        let Some(end) = self.end(id).filter(|end| end.error.is_none()) else { return };
        end.error = Some(error);
        end.pipe.discard();
        // Some systems let a program read what arrived before the reset, others do not.
        if error == ErrorKind::ConnectionReset && !is_local && end.random.happens(500) {
            end.inbox.clear();
        }
        if end.life == Life::Orphaned {
            end.life = Life::Gone;
        }
        self.edge(id, Edges::BROKEN);
        self.announce_room(id);
    }

    /// Breaks an end whose segments got no acknowledgement for `RETRANSMIT_TIMEOUT`.
    pub(super) fn give_up(&mut self, id: EndId) {
        let now = self.now;
        let Some(end) = self.end(id) else { return };
        if end
            .pipe
            .stuck_since
            .is_some_and(|since| now >= since.saturating_add(nanos(RETRANSMIT_TIMEOUT)))
        {
            end.pipe.lose();
            self.break_end(id, ErrorKind::TimedOut);
            self.remove_if_over(id);
        }
    }

    /// Retransmits stuck segments, now that they get through.
    pub(super) fn retransmit(&mut self, id: EndId) {
        let latency = self.conditions_of(id).latency;
        let mut at = self.now;
        let Some(end) = self.end(id) else { return };
        end.pipe.stuck_since = None;
        for _ in 0..std::mem::take(&mut end.pipe.to_retransmit) {
            let Some(end) = self.end(id) else { return };
            let again = end.random.up_to(RETRANSMISSION * 2).saturating_add(latency);
            at = at.max(self.time_after(again));
            let Some(end) = self.end(id) else { return };
            end.pipe.last_arrival = end.pipe.last_arrival.max(at);
            self.schedule(at, Event::Arrive(id.other()));
        }
    }

    /// Reads received bytes, like `recv(2)`.
    pub(in crate::testing) fn read(&mut self, id: EndId, buffer: &mut [u8]) -> io::Result<usize> {
        let short = self.conditions_of(id).short_reads;
        let Some(end) = self.end(id) else { return Err(ErrorKind::NotConnected.into()) };
        // A read that begins at a mark skips it.
        while end.inbox.pop_mark() {}
        if end.inbox.is_empty() {
            return match end.error {
                Some(error) => Err(error.into()),
                None if end.ended => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let before_mark = end.inbox.len_before_mark();
        let mut count = buffer.len().min(before_mark);
        if end.random.happens(short) {
            // As if the rest arrived a moment later: so it has an edge of its own.
            count = 1 + end.random.below(count);
        }
        let count = end.inbox.read(&mut buffer[..count]);
        // Bytes behind a mark have none: the edge of the mark announced them.
        if count < before_mark && count < buffer.len() {
            end.edges.add(Edges::READABLE);
            self.list(id);
        }
        self.note(id, "reads", count);
        self.announce_room(id);
        Ok(count)
    }

    /// Reads without taking anything.
    pub(in crate::testing) fn peek(&mut self, id: EndId, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(end) = self.end(id) else { return Err(ErrorKind::NotConnected.into()) };
        let front = end.inbox.front();
        let count = front.len().min(buffer.len());
        buffer[..count].copy_from_slice(&front[..count]);
        match end.error {
            _ if count > 0 => Ok(count),
            Some(error) => Err(error.into()),
            None if end.ended && end.inbox.is_empty() => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Window update: tells the other end that there may be room, if it waits for that.
    pub(super) fn announce_room(&mut self, id: EndId) {
        let latency = self.conditions_of(id).latency;
        if self.is_local(id) {
            return self.unblock(id.other());
        }
        let Some(sender) = self.end(id.other()) else { return };
        if !sender.pipe.unsent.is_empty() && !sender.pipe.pump_scheduled {
            sender.pipe.pump_scheduled = true;
            self.schedule_in(latency, Event::Pump(id.other()));
        }
    }

    /// Closes an end, like `close(2)`: gracefully, unless something is unread.
    pub(in crate::testing) fn close(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.life != Life::Held {
            return;
        }
        if !end.inbox.is_empty() {
            return self.break_off(id);
        }
        if self.is_backlogged(id) {
            self.forget(id);
            return self.remove_if_over(id);
        }
        let Some(end) = self.end(id) else { return };
        end.life = if end.error.is_some() { Life::Gone } else { Life::Orphaned };
        self.note(id, "closes", 0);
        self.finish(id);
        self.remove_if_over(id);
    }

    /// Closes with a reset. A Unix socket has none: it closes.
    pub(in crate::testing) fn reset(&mut self, id: EndId) {
        if self.is_local(id) { self.close(id) } else { self.break_off(id) }
    }

    /// Closes an end so that the other one gets an error.
    pub(super) fn break_off(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.life != Life::Held {
            return;
        }
        let broken = end.error.is_some();
        self.forget(id);
        self.note(id, "resets", 0);
        if !broken {
            self.send(id, Segment::Reset);
        }
        self.remove_if_over(id);
    }

    pub(super) fn nodes_of(&self, id: EndId) -> Option<(usize, usize)> {
        let link = self.links.get(id.link)?;
        Some((link.ends[id.side].node, link.ends[1 - id.side].node))
    }

    /// Removes a link that no program holds and on which nothing is in transit.
    pub(super) fn remove_if_over(&mut self, id: EndId) {
        let Some(link) = self.links.get(id.link) else { return };
        let over = |side: usize| match link.ends[side].life {
            Life::Held => false,
            Life::Orphaned => link.ends[side].pipe.is_empty(),
            Life::Gone => link.ends[side].pipe.segments.is_empty(),
        };
        // A test can ask for received bytes as long as its raw end exists.
        let asked = link.ends.iter().any(|end| end.raw_end.is_some());
        if over(0) && over(1) && !asked {
            self.links.remove(id.link);
        }
    }
}
