//! The other end of a scripted connection.

use super::Script;
use super::end::{Calls, Closed, End, Input};
use crate::driver::Edges;
use std::io;

/// The other end of a connection, for a test to act on.
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

    /// Accepts the connection that the reactor has begun.
    pub(crate) fn answer(&self) {
        self.end(|end| {
            end.established = true;
            end.edges.writable = true;
        });
    }

    /// Refuses the connection that the reactor has begun.
    pub(crate) fn refuse(&self) {
        self.end(|end| {
            end.error = Some(io::ErrorKind::ConnectionRefused);
            end.edges = Edges::BROKEN;
        });
    }

    /// Makes the poller report a spurious edge.
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

    /// From now on the stream returns sent data a record at a time, as an encrypted one would: only
    /// the first record brings an edge.
    pub(crate) fn send_in_records(&self) {
        self.end(|end| end.records = true);
    }

    /// Makes the stream a layer that answers each read which returns data, as encryption does when
    /// the peer changes its key. Before the connection is accepted.
    pub(crate) fn have_reads_answered(&self, answer: &'static [u8]) {
        self.end(|end| end.answer = answer);
    }

    /// Sends a record without data, which the stream only answers.
    pub(crate) fn send_record_without_data(&self) {
        self.end(|end| {
            end.input.push_back(Input::Answered);
            end.edges.readable = true;
        });
    }

    /// Makes the stream a layer that ends with a record of its own, as encryption does. Before the
    /// connection is accepted.
    pub(crate) fn have_farewell(&self, farewell: &'static [u8]) {
        self.end(|end| end.farewell = farewell);
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

    /// Resets after what was sent: a read meets the error.
    pub(crate) fn reset_in_line(&self) {
        self.end(|end| {
            end.input.push_back(Input::Reset);
            end.edges.readable = true;
        });
    }

    /// Resets, and the poller reports it.
    pub(crate) fn reset(&self) {
        self.end(|end| {
            end.input.push_back(Input::Reset);
            end.error = Some(io::ErrorKind::ConnectionReset);
            end.edges = Edges::BROKEN;
        });
    }

    /// Makes all later writes fail, without the poller reporting it.
    pub(crate) fn break_writes(&self) {
        self.end(|end| end.error = Some(io::ErrorKind::BrokenPipe));
    }

    /// Accepts no more than `room` bytes from now on.
    pub(crate) fn set_room(&self, room: usize) {
        self.end(|end| {
            end.edges.writable |= end.room == 0 && room > 0;
            end.room = room;
        });
    }

    /// Accepts no more than `room` bytes from now on, without the poller reporting it.
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

    /// Returns the number of chunks that were sent and have not been read in full.
    pub(crate) fn unread(&self) -> usize {
        self.end(|end| end.input.iter().take_while(|it| matches!(it, Input::Data(_))).count())
    }
}
