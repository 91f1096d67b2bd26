//! The other end of a scripted connection.

use super::Script;
use super::end::{Calls, Closed, End, Input};
use crate::driver::Edges;
use std::io;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    script: Script,
    end: usize,
}

impl Peer {
    pub(super) fn new(script: Script, end: usize) -> Self {
        Self { script, end }
    }

    fn end<R>(&self, change: impl FnOnce(&mut End) -> R) -> R {
        change(&mut self.script.0.borrow_mut().ends[self.end])
    }

    /// Answers whoever has asked for a connection.
    pub(crate) fn answer(&self) {
        self.end(|end| {
            end.established = true;
            end.edges.writable = true;
        });
    }

    /// Refuses whoever has asked for a connection.
    pub(crate) fn refuse(&self) {
        self.end(|end| {
            end.error = Some(io::ErrorKind::ConnectionRefused);
            end.edges = Edges::BROKEN;
        });
    }

    /// The poller says something that means nothing.
    pub(crate) fn nudge(&self) {
        self.end(|end| end.edges.writable = true);
    }

    /// Sends bytes that one read will return.
    pub(crate) fn send(&self, data: impl AsRef<[u8]>) {
        self.end(|end| {
            end.input.push_back(Input::Data(data.as_ref().to_vec()));
            end.edges.readable = true;
        });
    }

    /// From here on the stream hands out what was sent a record at a time, as one would that is
    /// encrypted: what lies behind the first brings no edge.
    pub(crate) fn send_in_records(&self) {
        self.end(|end| end.records = true);
    }

    /// Sends a byte of urgent data, as `send(2)` with `MSG_OOB`.
    pub(crate) fn send_urgent(&self) {
        self.end(|end| {
            end.input.push_back(Input::Mark);
            end.edges.add(Edges::URGENT);
        });
    }

    pub(crate) fn close(&self) {
        self.end(|end| {
            end.input.push_back(Input::End);
            end.edges.add(Edges::END);
        });
    }

    /// Resets behind what was sent: whoever reads meets the error.
    pub(crate) fn reset_in_line(&self) {
        self.end(|end| {
            end.input.push_back(Input::Reset);
            end.edges.readable = true;
        });
    }

    /// Resets; the poller says so.
    pub(crate) fn reset(&self) {
        self.end(|end| {
            end.input.push_back(Input::Reset);
            end.error = Some(io::ErrorKind::ConnectionReset);
            end.edges = Edges::BROKEN;
        });
    }

    /// Whatever is written from here on fails, and the poller does not say so.
    pub(crate) fn break_writes(&self) {
        self.end(|end| end.error = Some(io::ErrorKind::BrokenPipe));
    }

    /// Takes no more than `room` bytes from here on.
    pub(crate) fn set_room(&self, room: usize) {
        self.end(|end| {
            end.edges.writable |= end.room == 0 && room > 0;
            end.room = room;
        });
    }

    /// The same, and the poller does not say so.
    pub(crate) fn set_room_unannounced(&self, room: usize) {
        self.end(|end| end.room = room);
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.end(|end| std::mem::take(&mut end.output))
    }

    pub(crate) fn closed(&self) -> Closed {
        self.end(|end| end.closed)
    }

    pub(crate) fn output_finished(&self) -> bool {
        self.end(|end| end.output_finished)
    }

    pub(crate) fn calls(&self) -> Calls {
        self.end(|end| end.calls)
    }

    /// How many chunks that were sent have not been read in full.
    pub(crate) fn unread(&self) -> usize {
        self.end(|end| end.input.iter().take_while(|it| matches!(it, Input::Data(_))).count())
    }
}
