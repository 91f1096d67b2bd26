//! What a line receiver may reach while one of its callbacks runs.

use super::delimiter::Delimiter;
use super::splitter::{Effects, Mode, SplitterState};
use crate::protocol::Context;
use crate::reactor::{Reactor, TimerId};
use crate::transport::Transport;
use std::fmt;
use std::time::Duration;

/// What a [`LineReceiver`](super::LineReceiver) may reach while one of its callbacks runs: the same
/// three fields as a [`Context`], and the state of the splitting.
#[non_exhaustive]
pub struct LineContext<'a, F> {
    /// This connection. Clone it to keep it.
    pub transport: &'a Transport,
    /// The factory that built this protocol.
    pub factory: &'a mut F,
    /// The reactor.
    pub reactor: &'a mut Reactor,
    pub(super) splitter: &'a mut SplitterState,
    pub(super) effects: &'a mut Effects,
    /// The end of the input, if that is what this callback is about.
    pub(super) end: &'a [u8],
    /// What has been received and not been looked at.
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

    /// Sends a line, and the delimiter that splits the lines. There is no limit to its length, and
    /// what stands in it is not looked at. (`sendLine`)
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.transport.write_line(line.as_ref(), self.splitter.delimiter().as_bytes());
    }

    /// From here on what is received goes to `raw_data_received`, beginning with what follows this
    /// line. (`setRawMode`)
    pub fn set_raw_mode(&mut self) {
        self.splitter.mode = Mode::Raw;
    }

    /// From here on what is received is lines again. `extra` is split into lines first: what of
    /// the raw data belongs to them already. (`setLineMode`)
    ///
    /// However often the mode changes, the splitting neither recurses nor copies, as long as
    /// `extra` is the end of the raw data that `raw_data_received` was given.
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

    /// Takes out what has been received and not been delivered. (`clearLineBuffer`)
    pub fn clear_line_buffer(&mut self) -> Vec<u8> {
        self.effects.untail(self.end);
        let extra = std::mem::take(&mut self.effects.extra);
        if std::mem::replace(&mut self.effects.cleared, true) {
            return extra;
        }
        [self.rest, &extra].concat()
    }

    /// Holds back all further lines and raw data, also those that have been received already, and
    /// stops reading, until reading is resumed: by
    /// [`resume_reading`](Self::resume_reading), or on the transport. (`pauseProducing`)
    ///
    /// Pausing the *transport* instead stops the reading, but lets the lines come that have been
    /// received.
    pub fn pause_reading(&mut self) {
        self.splitter.paused = true;
        self.transport.pause_reading();
    }

    /// Goes on with what was held back, and with reading. (`resumeProducing`)
    pub fn resume_reading(&mut self) {
        self.splitter.paused = false;
        self.transport.resume_reading();
    }

    /// What ends a line, for this connection.
    pub fn delimiter(&self) -> &Delimiter {
        self.splitter.delimiter()
    }

    /// Changes what ends a line, for this connection and from the next line on.
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    pub fn set_delimiter(&mut self, delimiter: impl Into<Delimiter>) {
        self.splitter.delimiter = Some(delimiter.into().checked());
        self.effects.search_anew = true;
    }

    /// The longest line that is delivered, in bytes without the delimiter.
    pub fn max_length(&self) -> usize {
        self.splitter.max_length()
    }

    /// Changes the longest line that is delivered, for this connection and from the next line on.
    /// With zero only empty lines are; `usize::MAX` is no limit.
    pub fn set_max_length(&mut self, max_length: usize) {
        self.splitter.max_length = Some(max_length);
    }

    /// Calls this receiver's `timer_fired` after `delay`; see [`Context::set_timer`].
    pub fn set_timer(&mut self, delay: Duration) -> TimerId {
        self.reactor.set_connection_timer(self.transport, delay)
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
