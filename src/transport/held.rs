//! Bytes that a layer on the socket holds: they are unsent, whether the write buffer is empty or
//! not.

use super::connection::Connection;
use super::state::State;
use super::write::AfterWrite;
use super::write_buffer::{PIECES_MAX, WriteBuffer};
use crate::driver::AnyStream;
#[cfg(feature = "tls")]
use crate::driver::TlsStream;
use crate::tls::Session;
use std::io::IoSlice;

impl Connection {
    /// Returns true if there is a layer on the socket, which may hold bytes.
    #[inline]
    pub(super) fn has_layer(&self) -> bool {
        matches!(self.stream, Some(AnyStream::Layer(_)))
    }

    /// Has the connection settled if the layer holds something after a read, such as an answer of
    /// its own, which leaves without a write.
    #[cold]
    pub(super) fn notice_held(&mut self) {
        // After a handshake, also what waited for its end.
        let waits = self.held() > 0 || self.has_layer() && self.write_buffer.is_some();
        self.readiness.listed.needs_settle |= waits;
    }

    /// Puts the TLS of a session on the socket. The first `clear` bytes of the write buffer leave
    /// before its handshake and are not encrypted; `received` has come already.
    #[cfg(feature = "tls")]
    pub(super) fn begin_tls(&mut self, session: Session, clear: usize, received: &[u8]) {
        let encrypted = |socket| TlsStream::new(socket, session, clear, received);
        self.stream =
            self.stream.take().map(|socket| AnyStream::Layer(Box::new(encrypted(socket))));
        // A server's tickets may lie in the socket unread when it is closed. That would be a reset,
        // and destroy what was sent last, unless it lingers.
        self.readiness.peer.sent_any = true;
    }

    /// Never happens: there is no such session.
    #[cfg(not(feature = "tls"))]
    #[allow(clippy::needless_pass_by_ref_mut, reason = "as the one that does happen")]
    pub(super) fn begin_tls(&mut self, session: Session, _clear: usize, _received: &[u8]) {
        match session {}
    }

    /// Returns true while a layer takes no bytes, since its handshake is not complete.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.stream {
            Some(AnyStream::Layer(layer)) => layer.is_handshaking(),
            _ => false,
        }
    }

    /// Returns how many of the first bytes of the write buffer leave as they are, before the
    /// handshake of the layer.
    #[inline]
    pub(super) fn clear_left(&self) -> usize {
        match &self.stream {
            Some(AnyStream::Layer(layer)) => layer.clear_left(),
            _ => 0,
        }
    }

    /// Offers the socket the bytes that leave before the handshake, and consumes what it took.
    /// Returns how many bytes that was.
    fn send_clear(&mut self, write_buffer: &mut WriteBuffer) -> usize {
        let mut sent = 0;
        while self.clear_left() > 0 {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let Some(piece) = write_buffer.pieces(&mut slices).first() else { break };
            let count = self.send(&piece[..piece.len().min(self.clear_left())]);
            write_buffer.consume(count);
            sent += count;
            if count == 0 {
                break;
            }
        }
        sent
    }

    /// Returns true if a graceful close waits for the handshake, behind which there is something to
    /// send. Only reading ends it, and brings nothing for the protocol.
    #[cold]
    pub(super) fn closes_after_handshake(&self) -> bool {
        let clear = self.clear_left();
        let has_written = self.write_buffer.as_ref().is_some_and(|it| it.len() > clear);
        let waits = has_written || self.has_producer();
        waits && matches!(self.state, State::Closing) && self.is_handshaking()
    }

    /// Returns true once after a handshake in mid-connection is complete.
    pub(super) fn take_completion(&mut self) -> bool {
        let Some(AnyStream::Layer(layer)) = &mut self.stream else { return false };
        let is_complete = layer.take_completion();
        if is_complete {
            self.handshake_completed();
            self.readiness.listed.needs_settle = true;
        }
        is_complete
    }

    /// Has the layer say that nothing more comes, if the connection closes gracefully and
    /// everything else is with it.
    fn finish_layer(&mut self) {
        let ends = self.state.is_disconnecting() && self.state.sends() && !self.has_producer();
        // The peer must not take a truncated stream for a complete one.
        let is_cut_short = self.extras.as_ref().is_some_and(|extras| extras.feed.is_unfinished());
        let stream = self.stream.as_mut().filter(|_| ends && !is_cut_short);
        let Some(AnyStream::Layer(layer)) = stream else { return };
        if let Err(error) = layer.finish() {
            self.record_write_error(error);
        }
    }

    /// Returns true if the layer holds the end of its handshake, which leaves without a write.
    pub(crate) fn holds_handshake(&self) -> bool {
        self.held_of_handshake() > 0
    }

    fn held_of_handshake(&self) -> usize {
        self.stream.as_ref().map_or(0, AnyStream::held_of_handshake)
    }

    fn held(&self) -> usize {
        self.stream.as_ref().map_or(0, AnyStream::held)
    }

    /// Counts what the layer holds as unsent, also if it does not come from a write.
    pub(super) fn recount_held(&mut self) {
        // What an end discards has been counted already.
        if !self.state.sends() {
            return;
        }
        match (self.held(), &mut self.write_buffer) {
            (0, None) => {}
            (held, Some(write_buffer)) => write_buffer.held = held,
            (held, None) => self.write_buffer_mut().held = held,
        }
    }

    /// Offers `data` to the layer, with nothing unsent before it, and returns how many bytes it
    /// took. It is flushed when the connection is settled.
    #[cold]
    pub(super) fn give_straight(&mut self, data: &[u8]) -> usize {
        if self.is_handshaking() {
            return 0;
        }
        let given = self.send(data);
        let held = self.held();
        self.count_sent(given.saturating_sub(held));
        if held > 0 {
            self.write_buffer_mut().held = held;
        }
        given
    }

    /// Reports a write that was offered to the layer at once, as [`tell`](Self::tell) does. The
    /// write buffer counts already what the layer holds of it.
    #[cold]
    pub(super) fn tell_given(&mut self, count: usize) -> AfterWrite {
        match self.tell(count, false) {
            // Even if nothing is left: the write may have failed.
            AfterWrite::Nothing => AfterWrite::Settle,
            told => told,
        }
    }

    /// Offers unsent bytes to the layer and flushes it, also if the write buffer is empty. True if
    /// any have left it.
    #[cold]
    pub(super) fn offer_to_layer(&mut self) -> bool {
        if self.write_buffer.as_ref().is_none_or(|write_buffer| write_buffer.is_empty()) {
            self.finish_layer();
        }
        self.recount_held();
        if !self.readiness.socket.writable || !self.state.sends() {
            return false;
        }
        // Taken out, since a failure of the socket changes the rest of the connection.
        let Some(mut write_buffer) = self.write_buffer.take() else { return false };
        let given = match self.is_handshaking() {
            true => self.send_clear(&mut write_buffer),
            false => self.send_buffer(&mut write_buffer),
        };
        if given > 0 && write_buffer.is_empty() {
            self.finish_layer();
        }
        let left = self.flush(&mut write_buffer, given);
        if write_buffer.unsent() == 0 {
            self.spare(write_buffer);
        } else {
            self.write_buffer = Some(write_buffer);
        }
        left > 0
    }

    /// Flushes the layer, which was given `given` bytes from the front of the write buffer. Returns
    /// how many have left it.
    fn flush(&mut self, write_buffer: &mut WriteBuffer, given: usize) -> usize {
        let of_handshake = self.held_of_handshake();
        while self.readiness.socket.writable && self.held() > 0 {
            let Some(stream) = &mut self.stream else { break };
            match stream.flush() {
                Ok(()) => break,
                Err(error) => self.record_write_error(error),
            }
        }
        let before = std::mem::replace(&mut write_buffer.held, self.held());
        // A record is longer than what is in it, so the first of a few bytes may seem not to leave.
        let left = (before + given).saturating_sub(write_buffer.held);
        let left = left.saturating_sub(of_handshake - self.held_of_handshake());
        self.count_sent(left);
        left
    }
}
