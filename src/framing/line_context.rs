//! The context of a line receiver's callbacks.

use super::delimiter::Delimiter;
use super::splitter::{Effects, Mode, SplitterState};
use crate::protocol::Context;
use crate::reactor::{FactoryKey, Reactor, TimerId};
use crate::transport::Transport;
use std::fmt;
use std::time::Duration;

/// Gives a [`LineReceiver`](super::LineReceiver) access to its connection, its factory and the
/// reactor while one of its callbacks runs: the three fields of a [`Context`], and methods that
/// send lines and control how the input is split.
#[non_exhaustive]
pub struct LineContext<'a, F> {
    /// The transport of this connection. Clone it to keep it.
    pub transport: &'a Transport,
    /// The factory that built this protocol, and the state that all its connections share.
    pub factory: &'a mut F,
    /// The reactor, for timers, ports, other factories and `stop`.
    pub reactor: &'a mut Reactor,
    pub(super) splitter: &'a mut SplitterState,
    pub(super) effects: &'a mut Effects,
    /// The data of this callback if it reaches to the end of the input, else empty.
    pub(super) end: &'a [u8],
    /// Bytes received and not yet processed.
    pub(super) rest: &'a [u8],
}

impl<'a, F> LineContext<'a, F> {
    pub(super) fn new(
        cx: &'a mut Context<'_, F>,
        splitter: &'a mut SplitterState,
        effects: &'a mut Effects,
        end: &'a [u8],
        rest: &'a [u8],
    ) -> Self {
        Self {
            transport: cx.transport,
            factory: cx.factory,
            reactor: cx.reactor,
            splitter,
            effects,
            end,
            rest,
        }
    }

    /// Sends a line followed by the delimiter in use. There is no limit to its length, and its
    /// content is not checked. (`sendLine`)
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.transport.write_line(line.as_ref(), self.splitter.delimiter().as_bytes());
    }

    /// The key of the factory that this receiver lives in; see [`Context::key`].
    pub fn key(&self) -> FactoryKey<F> {
        self.reactor.key_of_connection(self.transport)
    }

    /// Switches to raw mode: from now on received bytes go to `raw_data_received`, beginning with
    /// those that follow this line. (`setRawMode`)
    pub fn set_raw_mode(&mut self) {
        self.splitter.mode = Mode::Raw;
    }

    /// Switches to line mode: from now on received bytes are split into lines. `extra` is split
    /// first: the part of the raw data that already belongs to the lines. (`setLineMode`)
    ///
    /// Changing the mode is cheap: however often it changes, the splitting neither recurses nor
    /// copies, as long as `extra` is the end of the raw data that `raw_data_received` got.
    pub fn set_line_mode(&mut self, extra: &[u8]) {
        self.splitter.mode = Mode::Line;
        if extra.is_empty() {
            return;
        }
        if self.effects.is_empty()
            && extra.len() <= self.end.len()
            && extra.as_ptr_range().end == self.end.as_ptr_range().end
        {
            self.effects.tail = extra.len();
        } else {
            self.effects.untail(self.end);
            self.effects.extra.extend_from_slice(extra);
        }
    }

    /// Removes and returns the bytes that have been received and not been delivered.
    /// (`clearLineBuffer`)
    pub fn clear_line_buffer(&mut self) -> Vec<u8> {
        self.effects.untail(self.end);
        let extra = std::mem::take(&mut self.effects.extra);
        if std::mem::replace(&mut self.effects.cleared, true) {
            return extra;
        }
        [self.rest, &extra].concat()
    }

    /// Pauses delivery and reading: holds back all further lines and raw data, including those
    /// already received, until reading is resumed, with [`resume_reading`](Self::resume_reading) or
    /// on the transport. (`pauseProducing`)
    ///
    /// Pausing the *transport* instead stops only the reading: lines already received are still
    /// delivered.
    pub fn pause_reading(&mut self) {
        self.splitter.paused = true;
        self.transport.pause_reading();
    }

    /// Resumes delivery, beginning with the bytes that were held back, and reading.
    /// (`resumeProducing`)
    pub fn resume_reading(&mut self) {
        self.splitter.paused = false;
        self.transport.resume_reading();
    }

    /// Returns the delimiter of this connection.
    pub fn delimiter(&self) -> &Delimiter {
        self.splitter.delimiter()
    }

    /// Sets the delimiter of this connection, from the next line on.
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    pub fn set_delimiter(&mut self, delimiter: impl Into<Delimiter>) {
        self.splitter.delimiter = Some(delimiter.into().checked());
        self.effects.search_anew = true;
    }

    /// Returns the maximum length of a line, in bytes without the delimiter.
    pub fn max_length(&self) -> usize {
        self.splitter.max_length()
    }

    /// Sets the maximum length of a line for this connection, from the next line on, in bytes
    /// without the delimiter. With zero only empty lines are delivered; `usize::MAX` means no
    /// limit.
    pub fn set_max_length(&mut self, max_length: usize) {
        self.splitter.max_length = Some(max_length);
    }

    /// Calls this receiver's `timer_fired` after `delay`; see [`Context::set_timer`].
    pub fn set_timer(&mut self, delay: Duration) -> TimerId {
        self.reactor.set_connection_timer(self.transport, delay)
    }

    /// Calls this receiver's `timer_fired` once in each `period`; see [`Context::set_interval`].
    pub fn set_interval(&mut self, period: Duration) -> TimerId {
        self.reactor.set_connection_interval(self.transport, period)
    }
}

impl<F: fmt::Debug> fmt::Debug for LineContext<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineContext")
            .field("transport", self.transport)
            .field("factory", self.factory)
            .field("delimiter", self.splitter.delimiter())
            .finish_non_exhaustive()
    }
}
