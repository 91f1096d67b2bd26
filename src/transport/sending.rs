//! How bytes are accepted, and leave.

use super::outbox::Outbox;
use super::state::Next;
use super::wire::Wire;
use crate::reason::Reason;
use std::io;

/// A write of at least this many bytes, with nothing unsent before it, goes straight to the socket
/// instead of being copied. At 64 bytes deferring costs nothing and joins small writes into one
/// call; at 16 KiB the copy costs 8 % of an echo. Half of that, since a stream cuts messages.
const DIRECT_WRITE_MIN: usize = 8 * 1024;

impl Wire {
    pub(crate) fn unsent(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// Takes bytes for sending. True if the loop has to look at the transport afterwards.
    pub(crate) fn accept(&mut self, data: &[u8]) -> bool {
        if data.is_empty() || !self.state.accepts_writes() {
            return false;
        }
        let first = self.outbox.is_none();
        let mut rest = data;
        if data.len() >= DIRECT_WRITE_MIN && first {
            rest = &data[self.send(data)..];
        }
        if !rest.is_empty() && self.state.accepts_writes() {
            self.outbox_to_fill().append(rest);
        }
        // What was unsent before has the loop's attention already. But even with nothing left to
        // send it has to look: the write may have failed.
        first
    }

    /// Takes a line and its end, to leave in one piece: never straight out, however long the line.
    #[inline]
    pub(crate) fn accept_line(&mut self, line: &[u8], end: &[u8]) -> bool {
        if !self.state.accepts_writes() {
            return false;
        }
        let first = self.outbox.is_none();
        self.outbox_to_fill().append_both(line, end);
        first
    }

    #[inline]
    fn outbox_to_fill(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| self.origin.agenda.spare_out())
    }

    /// Offers `data` to the socket and returns how much it took.
    fn send(&mut self, data: &[u8]) -> usize {
        let Some(stream) = &mut self.stream else {
            return 0;
        };
        let mut sent = 0;
        while self.readiness.writable && sent < data.len() {
            match stream.write(&data[sent..]) {
                Ok(count) => {
                    sent += count;
                    // A short write means that the socket is full; its next edge is sure to come.
                    let more = !stream.short_count_is_last() && count > 0;
                    self.readiness.writable = sent == data.len() || more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) => {
                    drop(self.state.end(Reason::lost(error)));
                    break;
                }
            }
        }
        sent
    }

    /// Offers what is unsent to the socket, and says what comes next. `sent` is set if it took
    /// anything.
    pub(crate) fn settle(&mut self, sent: &mut bool) -> Next {
        if self.readiness.writable && self.state.sends() {
            // The outbox steps aside, for the socket's failure ends the state beside it.
            if let Some(mut outbox) = self.outbox.take() {
                let count = self.send(outbox.unsent());
                outbox.consume(count);
                *sent |= count > 0;
                if outbox.is_empty() {
                    self.origin.agenda.spare_in(outbox);
                } else {
                    self.outbox = Some(outbox);
                }
            }
        }
        self.state.next(self.outbox.is_none())
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn finish_output(&mut self) -> bool {
        let result = self.stream.as_mut().map_or(Ok(()), |stream| stream.finish_output());
        match result {
            // Not connected any more: reading will say why.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                drop(self.state.end(Reason::lost(error)));
                false
            }
            _ => {
                self.state.output_finished();
                true
            }
        }
    }
}
