//! Write direction of a connection: accepting bytes, and offering them to the socket.

use super::broadcast::SHARED_MIN;
use super::connection::Connection;
use super::readiness::Reading;
use super::write_buffer::{PIECES_MAX, WriteBuffer};
use crate::descriptor::Descriptor;
use crate::driver::DESCRIPTORS_MAX;
use crate::limits::OverflowPolicy;
use crate::reason::Reason;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};

/// A write of at least this many bytes to an empty write buffer goes straight to the socket instead
/// of being copied. At 64 bytes deferring costs nothing and joins small writes into one call; at 16
/// KiB the copy costs 8 % of an echo. Half of that, since a stream cuts messages.
const DIRECT_WRITE_MIN: usize = 8 * 1024;

/// Attention that the loop owes a connection after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterWrite {
    /// No attention: the loop knows already that there is something to send.
    Nothing,
    /// The loop has to settle the connection.
    Settle,
    /// The loop has to settle the connection, and all connections together are above their limit.
    SettleAndShed,
}

/// The outcome of settling a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    /// The socket took at least one byte, of the write buffer or of what the stream holds.
    pub(crate) sent: bool,
    /// The connection has unsent bytes, and is not on the list of those that have.
    pub(crate) is_behind: bool,
}

impl Connection {
    pub(crate) fn unsent(&self) -> usize {
        self.write_buffer.as_ref().map_or(0, |write_buffer| write_buffer.unsent())
    }

    /// Returns true if writes are accepted: while open always, and while closing from a producer
    /// that the close waits for.
    #[inline]
    pub(super) fn takes_writes(&self) -> bool {
        self.state.accepts_writes() || (self.has_producer() && self.state.waits_for_producer())
    }

    /// Accepts bytes for sending, on the fast path if the write buffer allows it.
    #[inline]
    pub(super) fn accept(&mut self, data: &[u8]) -> AfterWrite {
        match &mut self.write_buffer {
            Some(write_buffer)
                if write_buffer.fits_fast_path(data.len()) && self.state.accepts_writes() =>
            {
                write_buffer.append(data);
                AfterWrite::Nothing
            }
            _ => self.accept_slow(data),
        }
    }

    fn accept_slow(&mut self, data: &[u8]) -> AfterWrite {
        if data.is_empty() || !self.takes_writes() {
            return AfterWrite::Nothing;
        }
        let first = self.write_buffer.is_none();
        if first && data.len() >= DIRECT_WRITE_MIN {
            return self.accept_straight(data);
        }
        if !first && !self.has_room_for(data.len()) {
            return AfterWrite::Settle;
        }
        self.write_buffer_mut().append(data);
        self.tell(data.len(), first)
    }

    /// Accepts a large write to an empty write buffer. The loop has to settle the connection even
    /// if nothing is left to send: the write may have failed.
    fn accept_straight(&mut self, data: &[u8]) -> AfterWrite {
        let has_layer = self.has_layer();
        let rest = &data[self.send_straight(data, has_layer)..];
        if !rest.is_empty() && self.takes_writes() {
            self.write_buffer_mut().append(rest);
        }
        if has_layer {
            return self.tell_given(data.len());
        }
        self.tell(data.len(), true)
    }

    /// Accepts a line and its delimiter, to leave in one piece: never straight to the socket,
    /// however long the line.
    #[inline]
    pub(super) fn accept_line(&mut self, line: &[u8], end: &[u8]) -> AfterWrite {
        match &mut self.write_buffer {
            Some(write_buffer)
                if write_buffer.fits_fast_path(line.len() + end.len())
                    && self.state.accepts_writes() =>
            {
                write_buffer.append_both(line, end);
                AfterWrite::Nothing
            }
            _ => self.accept_line_slow(line, end),
        }
    }

    fn accept_line_slow(&mut self, line: &[u8], end: &[u8]) -> AfterWrite {
        if !self.takes_writes() {
            return AfterWrite::Nothing;
        }
        let first = self.write_buffer.is_none();
        let length = line.len() + end.len();
        if !first && !self.has_room_for(length) {
            return AfterWrite::Settle;
        }
        self.write_buffer_mut().append_both(line, end);
        self.tell(length, first)
    }

    /// Accepts shared bytes, without copying those of at least [`SHARED_MIN`].
    pub(super) fn accept_bytes(&mut self, mut bytes: Bytes) -> AfterWrite {
        if bytes.len() < SHARED_MIN {
            return self.accept(&bytes);
        }
        if !self.takes_writes() {
            return AfterWrite::Nothing;
        }
        let first = self.write_buffer.is_none();
        let length = bytes.len();
        let has_layer = self.has_layer();
        if first {
            bytes.advance(self.send_straight(&bytes, has_layer));
        } else if !self.has_room_for(length) {
            return AfterWrite::Settle;
        }
        if !bytes.is_empty() && self.takes_writes() {
            self.write_buffer_mut().share(bytes);
        }
        if first && has_layer {
            return self.tell_given(length);
        }
        self.tell(length, first)
    }

    #[inline(always)]
    pub(super) fn write_buffer_mut(&mut self) -> &mut WriteBuffer {
        let Self { write_buffer, listener, extras, .. } = self;
        match write_buffer {
            Some(write_buffer) => write_buffer,
            none => {
                let mut write_buffer = listener.hub.take_buffer();
                let own = extras.as_ref().map(|extras| extras.feed.max_unsent());
                write_buffer.max = own.unwrap_or(listener.hub.max_unsent());
                none.insert(write_buffer)
            }
        }
    }

    /// Tells the producer's water marks and the hub that `count` bytes were accepted. `first` means
    /// that nothing was unsent before; otherwise the loop knows of the connection already.
    #[inline]
    pub(super) fn tell(&mut self, count: usize, first: bool) -> AfterWrite {
        let hub = &self.listener.hub;
        let mut told = first;
        match (&mut self.write_buffer, &mut self.extras) {
            (Some(write_buffer), None) => {
                if first && hub.set_first_fast_limit(write_buffer) {
                    return AfterWrite::Settle;
                }
                hub.set_fast_limit(write_buffer);
            }
            (None, None) => return AfterWrite::Settle,
            (write_buffer, Some(extras)) => {
                let unsent = write_buffer.as_mut().map_or(0, |write_buffer| {
                    hub.recount(write_buffer);
                    write_buffer.unsent()
                });
                told |= extras.feed.accepted(count, unsent);
            }
        }
        match told {
            _ if hub.has_too_much() => AfterWrite::SettleAndShed,
            true => AfterWrite::Settle,
            false => AfterWrite::Nothing,
        }
    }

    /// Returns false if `length` more bytes exceed a limit: the caller drops them, and the overflow
    /// policy has been applied.
    #[inline]
    fn has_room_for(&mut self, length: usize) -> bool {
        let Some(write_buffer) = &self.write_buffer else { return true };
        let unknown = (write_buffer.unsent() + length).saturating_sub(write_buffer.counted);
        let room = write_buffer.has_room_for(length) && self.hub().has_room_for(unknown);
        room || self.make_room_for(length)
    }

    /// Offers unsent bytes to the socket, which may well take what was written in this callback,
    /// and applies the overflow policy if that does not make room for `length` bytes.
    #[cold]
    fn make_room_for(&mut self, length: usize) -> bool {
        self.offer_now();
        let Some(write_buffer) = &self.write_buffer else { return true };
        let is_own_limit = !write_buffer.has_room_for(length);
        let overflow = self.extras.as_ref().map_or(OverflowPolicy::Close, |extras| extras.overflow);
        match overflow {
            OverflowPolicy::Close if is_own_limit => {
                // Unsent bytes are discarded, and counted, when the connection is settled.
                drop(self.state.end(Reason::Overflow));
                self.hub().flush_now();
                false
            }
            // At the limit of all connections the write is accepted, and the slowest consumers are
            // closed then: this may not be one of them. Nor may a producer's bytes be missing.
            OverflowPolicy::Close => true,
            _ if !is_own_limit && (self.has_producer() || self.hub().has_room_for(length)) => true,
            policy @ (OverflowPolicy::Reject | OverflowPolicy::DropNew) => {
                let extras = self.extras_mut();
                extras.dropped += 1;
                extras.rejected += usize::from(policy == OverflowPolicy::Reject);
                false
            }
        }
    }

    /// Accepts a descriptor, to be sent with the byte that is accepted next.
    pub(super) fn accept_descriptor(&mut self, descriptor: Descriptor) -> io::Result<()> {
        if !self.takes_writes() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.stream.as_ref().is_some_and(|stream| stream.carries_descriptors()) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let ahead = self.unsent();
        let descriptors = &mut self.extras_mut().descriptors;
        if descriptors.len() >= DESCRIPTORS_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        descriptors.push(ahead, descriptor);
        Ok(())
    }

    /// Discards the unsent bytes, and returns how many they were.
    pub(super) fn discard(&mut self) -> usize {
        let Some(write_buffer) = self.write_buffer.take() else { return 0 };
        self.listener.hub.recount_unsent(write_buffer.counted, 0);
        write_buffer.unsent()
    }

    /// Offers `data` to the socket, with nothing unsent before it, and returns how many bytes it
    /// took.
    #[inline(always)]
    fn send_straight(&mut self, data: &[u8], has_layer: bool) -> usize {
        if has_layer {
            return self.give_straight(data);
        }
        let count = self.send(data);
        self.count_sent(count);
        count
    }

    /// Offers `data` to the socket and returns how many bytes it took. Inlined, since nearly every
    /// answer passes here once.
    #[inline(always)]
    pub(super) fn send(&mut self, data: &[u8]) -> usize {
        if self.extras.is_some() {
            return self.send_with_extras(data);
        }
        self.send_all(data)
    }

    /// Offers no more of `data` than rates allow, and no byte before its descriptors.
    #[inline(never)]
    fn send_with_extras(&mut self, data: &[u8]) -> usize {
        let data = &data[..self.write_allowance().min(data.len())];
        if self.has_descriptors() {
            return self.send_with_descriptors(data);
        }
        self.send_all(data)
    }

    #[inline(always)]
    fn send_all(&mut self, data: &[u8]) -> usize {
        let mut sent = 0;
        while self.readiness.socket.writable && sent < data.len() {
            let Some(stream) = &mut self.stream else { break };
            let taken = stream.write(&data[sent..]);
            sent += self.record_write(taken, data.len() - sent);
        }
        sent
    }

    fn has_descriptors(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.descriptors.is_empty())
    }

    /// Offers `data` to the socket up to the next descriptor, and then from it on: a descriptor
    /// goes with the byte that was written after it.
    #[cold]
    fn send_with_descriptors(&mut self, data: &[u8]) -> usize {
        let mut sent = 0;
        while self.readiness.socket.writable && sent < data.len() {
            let (Some(stream), Some(extras)) = (&mut self.stream, &mut self.extras) else { break };
            while let Some(descriptor) = extras.descriptors.take_due() {
                stream.attach(descriptor);
            }
            let offered = extras.descriptors.ahead().min(data.len() - sent);
            let taken = stream.write(&data[sent..sent + offered]);
            sent += self.record_write(taken, offered);
        }
        sent
    }

    /// Offers the pieces of a write buffer to the socket, consumes what it took, and returns how
    /// many bytes that was.
    fn send_pieces(&mut self, write_buffer: &mut WriteBuffer) -> usize {
        let mut sent = 0;
        while self.readiness.socket.writable && !write_buffer.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let slices = write_buffer.pieces(&mut slices);
            let offered = slices.iter().map(|slice| slice.len()).sum();
            if self.extras.is_some() && (self.write_allowance() < offered || self.has_descriptors())
            {
                // With a rate limit or descriptors one piece at a time is enough.
                let count = self.send(&slices[0]);
                write_buffer.consume(count);
                sent += count;
                if count == 0 {
                    break;
                }
                continue;
            }
            let Some(stream) = &mut self.stream else { break };
            let taken = stream.write_vectored(slices);
            let count = self.record_write(taken, offered);
            write_buffer.consume(count);
            sent += count;
        }
        sent
    }

    /// Records the socket's answer to `offered` bytes, and returns how many it took.
    #[inline]
    fn record_write(&mut self, taken: io::Result<usize>, offered: usize) -> usize {
        match taken {
            Ok(count) => {
                if let Some(extras) = &mut self.extras {
                    extras.taken(count);
                }
                if count == offered {
                    return count;
                }
                // A short write means that the socket is full; its next edge is sure to come.
                let true_edges = self.stream.as_ref().is_some_and(|it| it.short_write_is_final());
                self.readiness.socket.writable = !true_edges && count > 0;
                count
            }
            Err(error) => {
                self.record_write_error(error);
                0
            }
        }
    }

    /// Counts `count` bytes that have reached the socket.
    #[inline]
    pub(super) fn count_sent(&mut self, count: usize) {
        self.listener.hub.count_sent(count);
        if let Some(extras) = self.extras.as_mut().filter(|_| count > 0) {
            extras.sent(count);
        }
    }

    pub(super) fn record_write_error(&mut self, error: io::Error) {
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => self.readiness.socket.writable = false,
            _ => self.sever(error),
        }
    }

    /// Ends the sending half after an error. Bytes that have arrived are read before the connection
    /// ends, whatever the poller has reported of them.
    fn sever(&mut self, error: io::Error) {
        let ready = &mut self.readiness;
        ready.socket.writable = false;
        ready.reading = Reading::Active;
        // Until a read would block: no further edge may announce these bytes.
        (ready.socket.readable, ready.socket.more_behind) = (true, true);
        self.state.sever(Reason::lost(error));
    }

    /// Offers unsent bytes to the socket before the callback has returned.
    pub(super) fn offer_now(&mut self) {
        self.offer();
        if let Some(write_buffer) = &mut self.write_buffer {
            self.listener.hub.recount(write_buffer);
        }
    }

    /// Offers unsent bytes to the socket. True if it took any.
    fn offer(&mut self) -> bool {
        if self.has_layer() {
            return self.offer_to_layer();
        }
        if !self.readiness.socket.writable || !self.state.sends() {
            return false;
        }
        // Taken out, since a failure of the socket changes the rest of the connection.
        let Some(mut write_buffer) = self.write_buffer.take() else { return false };
        let count = self.send_buffer(&mut write_buffer);
        self.count_sent(count);
        if write_buffer.is_empty() {
            self.spare(write_buffer);
        } else {
            self.write_buffer = Some(write_buffer);
        }
        count > 0
    }

    /// Offers a write buffer to the socket, consumes what it took, and returns how many bytes that
    /// was.
    #[inline(always)]
    pub(super) fn send_buffer(&mut self, write_buffer: &mut WriteBuffer) -> usize {
        match write_buffer.run() {
            Some(run) => {
                let count = self.send(run);
                write_buffer.consume(count);
                count
            }
            None => self.send_pieces(write_buffer),
        }
    }

    /// Returns a write buffer to the pool: nothing is unsent any more.
    #[inline]
    pub(super) fn spare(&self, mut write_buffer: Box<WriteBuffer>) {
        let hub = &self.listener.hub;
        hub.recount_unsent(std::mem::take(&mut write_buffer.counted), 0);
        hub.return_buffer(write_buffer);
    }

    /// Offers unsent bytes to the socket while the connection is settled.
    #[inline]
    pub(super) fn send_unsent(&mut self, settled: &mut Settled) {
        settled.sent |= self.offer();
        if let Some(write_buffer) = &mut self.write_buffer {
            self.listener.hub.recount(write_buffer);
            settled.is_behind = !self.readiness.listed.unsent;
        }
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn shutdown_write(&mut self) -> bool {
        let result = self.stream.as_mut().map_or(Ok(()), |stream| stream.shutdown_write());
        match result {
            // Not connected any more: reading will report why.
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
