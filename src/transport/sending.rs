//! How bytes are accepted, and leave.

use super::OverflowPolicy;
use super::broadcast::SHARED_MIN;
use super::outbox::{Outbox, PIECES_MAX};
use super::state::Next;
use super::wire::Wire;
use crate::reason::Reason;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};

/// A write of at least this many bytes, with nothing unsent before it, goes straight to the socket
/// instead of being copied. At 64 bytes deferring costs nothing and joins small writes into one
/// call; at 16 KiB the copy costs 8 % of an echo. Half of that, since a stream cuts messages.
const DIRECT_WRITE_MIN: usize = 8 * 1024;

/// What the loop has to do after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing: the loop knows already that there is something to send.
    Known,
    /// Look at the connection.
    News,
    /// Look at the connection, and all connections together are above their limit.
    TooMuch,
}

/// What came of settling a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    /// The socket took something.
    pub(crate) sent: bool,
    /// The connection has something unsent, and is not listed among those.
    pub(crate) is_behind: bool,
}

impl Wire {
    pub(crate) fn unsent(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// True if bytes can be written: always, or, when the connection is being closed, by a producer
    /// that this waits for.
    #[inline]
    pub(super) fn takes_writes(&self) -> bool {
        self.state.accepts_writes() || (self.has_producer() && self.state.waits_for_producer())
    }

    /// Takes bytes for sending.
    #[inline]
    pub(super) fn accept(&mut self, data: &[u8]) -> Written {
        match &mut self.outbox {
            Some(outbox) if outbox.is_easy(data.len()) && self.state.accepts_writes() => {
                outbox.append(data);
                Written::Known
            }
            _ => self.accept_with_care(data),
        }
    }

    fn accept_with_care(&mut self, data: &[u8]) -> Written {
        if data.is_empty() || !self.takes_writes() {
            return Written::Known;
        }
        let first = self.outbox.is_none();
        if first && data.len() >= DIRECT_WRITE_MIN {
            return self.accept_straight(data);
        }
        if !first && !self.has_room_for(data.len()) {
            return Written::News;
        }
        self.outbox_to_fill().append(data);
        self.tell(data.len(), first)
    }

    /// Takes a large write with nothing before it. The loop has to look even if nothing is left to
    /// send: the write may have failed.
    fn accept_straight(&mut self, data: &[u8]) -> Written {
        let rest = &data[self.send(data)..];
        if !rest.is_empty() && self.takes_writes() {
            self.outbox_to_fill().append(rest);
        }
        self.tell(data.len(), true)
    }

    /// Takes a line and its end, to leave in one piece: never straight out, however long the line.
    #[inline]
    pub(super) fn accept_line(&mut self, line: &[u8], end: &[u8]) -> Written {
        match &mut self.outbox {
            Some(outbox)
                if outbox.is_easy(line.len() + end.len()) && self.state.accepts_writes() =>
            {
                outbox.append_both(line, end);
                Written::Known
            }
            _ => self.accept_line_with_care(line, end),
        }
    }

    fn accept_line_with_care(&mut self, line: &[u8], end: &[u8]) -> Written {
        if !self.takes_writes() {
            return Written::Known;
        }
        let first = self.outbox.is_none();
        let length = line.len() + end.len();
        if !first && !self.has_room_for(length) {
            return Written::News;
        }
        self.outbox_to_fill().append_both(line, end);
        self.tell(length, first)
    }

    /// Takes shared bytes, without copying them if they are many.
    pub(super) fn accept_bytes(&mut self, mut bytes: Bytes) -> Written {
        if bytes.len() < SHARED_MIN {
            return self.accept(&bytes);
        }
        if !self.takes_writes() {
            return Written::Known;
        }
        let first = self.outbox.is_none();
        let length = bytes.len();
        if first {
            bytes.advance(self.send(&bytes));
        } else if !self.has_room_for(length) {
            return Written::News;
        }
        if !bytes.is_empty() && self.takes_writes() {
            self.outbox_to_fill().share(bytes);
        }
        self.tell(length, first)
    }

    #[inline]
    fn outbox_to_fill(&mut self) -> &mut Outbox {
        let Self { outbox, origin, flow, .. } = self;
        outbox.get_or_insert_with(|| {
            let mut outbox = origin.agenda.spare_out();
            let own = flow.as_ref().map(|flow| flow.max_unsent);
            outbox.max = own.unwrap_or(origin.agenda.max_unsent());
            outbox
        })
    }

    /// So many bytes were accepted, and nothing was unsent before, or something, which has the
    /// loop's attention already.
    #[inline]
    fn tell(&mut self, count: usize, first: bool) -> Written {
        let agenda = &self.origin.agenda;
        let mut told = first;
        match (&mut self.outbox, &mut self.flow) {
            (Some(outbox), None) => {
                if first && outbox.ease_first(agenda) {
                    return Written::News;
                }
                outbox.ease(agenda);
            }
            (None, None) => return Written::News,
            (outbox, Some(flow)) => {
                let unsent = outbox.as_mut().map_or(0, |outbox| {
                    outbox.recount(agenda);
                    outbox.len()
                });
                told |= flow.accepted(count, unsent);
            }
        }
        match told {
            _ if agenda.has_too_much() => Written::TooMuch,
            true => Written::News,
            false => Written::Known,
        }
    }

    /// False if so many bytes more are too many: they are not to be taken, and it is seen to what
    /// becomes of that.
    #[inline]
    fn has_room_for(&mut self, length: usize) -> bool {
        let Some(outbox) = &self.outbox else { return true };
        let unknown = (outbox.len() + length).saturating_sub(outbox.counted);
        let room = outbox.has_room_for(length) && self.agenda().has_room_for(unknown);
        room || self.make_room_for(length)
    }

    /// What was written in this callback has not been offered to the socket yet, which may well
    /// take it.
    #[cold]
    fn make_room_for(&mut self, length: usize) -> bool {
        self.offer_now();
        let Some(outbox) = &self.outbox else { return true };
        let is_own_limit = !outbox.has_room_for(length);
        let overflow = self.flow.as_ref().map_or(OverflowPolicy::Close, |flow| flow.overflow);
        match overflow {
            OverflowPolicy::Close if is_own_limit => {
                // What is unsent is discarded, and counted, when the connection is settled.
                drop(self.state.end(Reason::Overflow));
                self.agenda().hurry();
                false
            }
            // Too much on all connections is looked to when it is taken: this may not be the one
            // to pay. Nor may anything be missed of what a producer gives.
            OverflowPolicy::Close => true,
            _ if !is_own_limit && (self.has_producer() || self.agenda().has_room_for(length)) => {
                true
            }
            policy @ (OverflowPolicy::Reject | OverflowPolicy::DropNew) => {
                let flow = self.flow_to_fill();
                flow.dropped += 1;
                flow.refused += usize::from(policy == OverflowPolicy::Reject);
                false
            }
        }
    }

    /// Frees what is unsent, and returns how much that was.
    pub(super) fn discard(&mut self) -> usize {
        let Some(outbox) = self.outbox.take() else { return 0 };
        self.origin.agenda.recount_unsent(outbox.counted, 0);
        outbox.len()
    }

    /// Offers `data` to the socket and returns how much it took.
    #[inline]
    fn send(&mut self, data: &[u8]) -> usize {
        let mut data = data;
        if self.flow.is_some() {
            data = &data[..self.sendable_at_rate().min(data.len())];
        }
        let mut sent = 0;
        while self.readiness.writable && sent < data.len() {
            let Some(stream) = &mut self.stream else { break };
            let taken = stream.write(&data[sent..]);
            sent += self.regard(taken, data.len() - sent);
        }
        sent
    }

    /// The same for what is in several pieces, which are consumed.
    fn send_pieces(&mut self, outbox: &mut Outbox) -> usize {
        let mut sent = 0;
        while self.readiness.writable && !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let slices = outbox.pieces(&mut slices);
            let offered = slices.iter().map(|slice| slice.len()).sum();
            if self.flow.is_some() && self.sendable_at_rate() < offered {
                // Of what has a rate one piece at a time is enough.
                let count = self.send(&slices[0]);
                outbox.consume(count);
                sent += count;
                if count == 0 {
                    break;
                }
                continue;
            }
            let Some(stream) = &mut self.stream else { break };
            let taken = stream.write_vectored(slices);
            let count = self.regard(taken, offered);
            outbox.consume(count);
            sent += count;
        }
        sent
    }

    /// What the socket has said to being offered so many bytes; how many it took.
    #[inline]
    fn regard(&mut self, taken: io::Result<usize>, offered: usize) -> usize {
        if let Ok(count) = taken {
            self.origin.agenda.count_sent(count);
            if let Some(flow) = &mut self.flow {
                flow.sent(count);
            }
        }
        match taken {
            Ok(count) if count == offered => count,
            Ok(count) => {
                // A short write means that the socket is full; its next edge is sure to come.
                let true_edges = self.stream.as_ref().is_some_and(|it| it.short_write_is_final());
                self.readiness.writable = !true_edges && count > 0;
                count
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.writable = false;
                0
            }
            Err(error) => {
                self.sever(error);
                0
            }
        }
    }

    /// The sending half has failed. What has arrived is read out before the connection ends,
    /// whatever the poller has said of it.
    fn sever(&mut self, error: io::Error) {
        let ready = &mut self.readiness;
        (ready.writable, ready.resting) = (false, false);
        // Until a read would block: no edge may follow that says so.
        (ready.readable, ready.more_behind) = (true, true);
        self.state.sever(Reason::lost(error));
    }

    /// Offers what is unsent to the socket before the callback has returned.
    pub(super) fn offer_now(&mut self) {
        self.offer();
        if let Some(outbox) = &mut self.outbox {
            outbox.recount(&self.origin.agenda);
        }
    }

    /// Offers what is unsent to the socket. True if it took anything.
    fn offer(&mut self) -> bool {
        if !self.readiness.writable || !self.state.sends() {
            return false;
        }
        // The outbox steps aside, for the socket's failure ends the state beside it.
        let Some(mut outbox) = self.outbox.take() else { return false };
        let count = match outbox.run() {
            Some(run) => {
                let count = self.send(run);
                outbox.consume(count);
                count
            }
            None => self.send_pieces(&mut outbox),
        };
        if outbox.is_empty() {
            let agenda = &self.origin.agenda;
            agenda.recount_unsent(std::mem::take(&mut outbox.counted), 0);
            agenda.spare_in(outbox);
        } else {
            self.outbox = Some(outbox);
        }
        count > 0
    }

    /// Offers what is unsent to the socket, and says what comes next.
    pub(crate) fn settle(&mut self, settled: &mut Settled) -> Next {
        settled.sent |= self.offer();
        let empty = self.outbox.is_none();
        if let Some(outbox) = &mut self.outbox {
            outbox.recount(&self.origin.agenda);
            settled.is_behind = !self.readiness.backlogged;
        }
        self.state.next(empty && !self.has_producer())
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn finish_output(&mut self) -> bool {
        let result = self.stream.as_mut().map_or(Ok(()), |stream| stream.finish_output());
        match result {
            // Not connected any more: reading will say why.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                self.sever(error);
                false
            }
            _ => {
                self.state.output_finished();
                true
            }
        }
    }
}
