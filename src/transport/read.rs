//! Read direction of a connection: receiving bytes, and when none are wanted.

use super::connection::Connection;
use super::readiness::{Processing, Readiness, Reading};
use crate::reason::Reason;
use std::io;

/// The outcome of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Data {
        count: usize,
        /// The socket has nothing more to read.
        last: bool,
    },
    /// The peer's FIN.
    End,
    /// Backpressure: the peer takes nothing of what it is sent, so reading backs off.
    Backpressure,
    /// The rate limit is used up, unless the clock says otherwise.
    NeedsRefill,
    /// A descriptor has arrived, which comes before the bytes.
    Descriptor,
    /// The TLS handshake that `start_tls` has begun is complete.
    HandshakeCompleted,
    Nothing,
}

impl Connection {
    /// Returns true if there may be something to read and it is wanted. Inlined, since each turn
    /// asks several times for each connection.
    #[inline(always)]
    pub(super) fn wants_reading(&self) -> bool {
        let Readiness { socket, reading, processing, .. } = self.readiness;
        socket.readable
            && reading != Reading::Backoff
            && (processing == Processing::Done && self.state.reads()
                || self.closes_after_handshake())
            && !self.is_full()
    }

    /// Bytes that can no longer be sent do not count.
    fn is_full(&self) -> bool {
        let write_buffer = self.write_buffer.as_ref().filter(|_| self.state.sends());
        // Only reading ends a handshake, behind which the bytes wait.
        write_buffer.is_some_and(|write_buffer| write_buffer.is_full()) && !self.is_handshaking()
    }

    fn is_backed_up(&self) -> bool {
        let waits = !self.readiness.socket.writable && self.state.sends();
        let write_buffer = self.write_buffer.as_ref().filter(|_| waits);
        write_buffer.is_some_and(|write_buffer| write_buffer.is_backed_up())
    }

    /// Returns true if its protocol has yielded and needs another call, and clears that.
    #[inline]
    pub(crate) fn take_yield(&mut self) -> bool {
        let yielded = self.readiness.processing == Processing::Yielded;
        if yielded {
            self.readiness.processing = Processing::Done;
            self.restart_idleness();
        }
        yielded && self.state.delivers()
    }

    /// Ends a read backoff, if there is one: the next read happens.
    pub(crate) fn end_read_backoff(&mut self) {
        if self.readiness.reading == Reading::Backoff {
            self.readiness.reading = Reading::OneMoreRead;
        }
    }

    /// Reads at most a buffer full.
    #[inline(always)]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        if buffer.is_empty() || !self.wants_reading() {
            return ReadOutcome::Nothing;
        }
        if self.readiness.reading == Reading::OneMoreRead {
            self.readiness.reading = Reading::Active;
            if let Some(write_buffer) = &mut self.write_buffer {
                write_buffer.raise_read_ahead();
            }
        } else if self.is_backed_up() {
            self.readiness.reading = Reading::Backoff;
            return ReadOutcome::Backpressure;
        }
        loop {
            let Some(stream) = &mut self.stream else {
                return ReadOutcome::Nothing;
            };
            match stream.read(buffer) {
                // Not a FIN: a socket whose error a write has consumed reads as ended as well.
                Ok(0) if self.state.read_out() => {
                    self.readiness.socket.readable = false;
                    self.readiness.listed.needs_settle = true;
                    return ReadOutcome::Nothing;
                }
                Ok(0) => {
                    self.readiness.socket.readable = false;
                    self.readiness.peer.finished = true;
                    self.state.end_input();
                    return ReadOutcome::End;
                }
                Ok(count) => {
                    if let Some(extras) = &mut self.extras {
                        extras.received(count);
                    }
                    (self.readiness.peer.sent_any, self.readiness.peer.sent_since_drain) =
                        (true, true);
                    let short = count < buffer.len() && !self.readiness.socket.more_behind;
                    let last = short && stream.short_read_is_final();
                    self.readiness.socket.readable = !last;
                    return ReadOutcome::Data { count, last };
                }
                Err(error) => {
                    if let Some(outcome) = self.read_failed(error) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Records that a read has failed. Returns `None` if the loop tries it again.
    fn read_failed(&mut self, error: io::Error) -> Option<ReadOutcome> {
        let would_block = error.kind() == io::ErrorKind::WouldBlock;
        if error.kind() == io::ErrorKind::Interrupted {
            if self.stream.as_ref().is_some_and(|stream| stream.has_descriptor()) {
                return Some(ReadOutcome::Descriptor);
            }
            return self.take_completion().then_some(ReadOutcome::HandshakeCompleted);
        }
        // Once more: at the mark of urgent data Linux reports this for a read that a signal
        // interrupts.
        if would_block && std::mem::take(&mut self.readiness.socket.more_behind) {
            return None;
        }
        self.readiness.socket.readable = false;
        self.readiness.socket.more_behind = false;
        if !would_block {
            drop(self.state.end(Reason::lost(error)));
            self.readiness.listed.needs_settle = true;
        } else if self.state.read_out() {
            self.readiness.listed.needs_settle = true;
        }
        self.notice_held();
        Some(ReadOutcome::Nothing)
    }
}
