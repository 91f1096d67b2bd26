//! The transport of lines: sends lines, and controls how the input is split.

use super::delimiter::Delimiter;
use super::splitter::{Effects, Mode, SplitterState};
use crate::transport::Transport;
use std::fmt;

/// The lines of a connection: sends lines, and controls how the input is split.
///
/// It is the field [`lines`](super::LineContext::lines) of a line receiver's context, and apart
/// from the other fields, so that it can be used while a part of the factory is borrowed. The
/// context has the same methods, as short forms.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::collections::HashMap;
/// use twistor::{ConnectionId, Factory, LineContext, LineReceiver, Lines, Reactor, Transport};
///
/// #[derive(Default)]
/// struct Chat {
///     members: HashMap<ConnectionId, Member>,
/// }
///
/// #[derive(Default)]
/// struct Member {
///     lines: usize,
/// }
///
/// struct Chatter;
///
/// impl LineReceiver<Chat> for Chatter {
///     fn line_received(&mut self, cx: &mut LineContext<'_, Chat>, _line: &[u8]) {
///         let member = cx.factory.members.entry(cx.transport.id()).or_default();
///         cx.lines.send_line(format!("You have said {} lines.", member.lines));
///         member.lines += 1;
///     }
/// }
/// #
/// # impl Factory for Chat {
/// #     type Protocol = Lines<Chatter>;
/// #     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Chatter>> {
/// #         Some(Lines::new(Chatter))
/// #     }
/// # }
/// # let peer = twistor::testing::connect(Chat::default());
/// # peer.send("x\r\n");
/// # assert_eq!(peer.take_received(), b"You have said 0 lines.\r\n");
/// # }
/// ```
pub struct LineTransport<'a> {
    transport: &'a Transport,
    pub(super) splitter: &'a mut SplitterState,
    pub(super) effects: &'a mut Effects,
    /// The data of this callback if it reaches to the end of the input, else empty.
    pub(super) end: &'a [u8],
    /// Bytes received and not yet processed.
    pub(super) rest: &'a [u8],
}

impl<'a> LineTransport<'a> {
    #[inline]
    pub(super) fn new(
        transport: &'a Transport,
        splitter: &'a mut SplitterState,
        effects: &'a mut Effects,
        end: &'a [u8],
        rest: &'a [u8],
    ) -> Self {
        Self { transport, splitter, effects, end, rest }
    }

    /// Sends a line followed by the delimiter in use. There is no limit to its length, and its
    /// content is not checked. (`sendLine`)
    #[inline]
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.transport.write_line(line.as_ref(), self.splitter.delimiter().as_bytes());
    }

    /// Switches to raw mode: from now on received bytes go to `raw_data_received`, beginning with
    /// those that follow this line. (`setRawMode`)
    #[inline]
    pub fn set_raw_mode(&mut self) {
        self.splitter.mode = Mode::Raw;
    }

    /// Switches to line mode: from now on received bytes are split into lines. `extra` is split
    /// first: the part of the raw data that already belongs to the lines. (`setLineMode`)
    ///
    /// Changing the mode is cheap: however often it changes, the splitting neither recurses nor
    /// copies, as long as `extra` is the end of the raw data that `raw_data_received` got.
    #[inline]
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
    #[inline]
    pub fn pause_reading(&mut self) {
        self.splitter.paused = true;
        self.transport.pause_reading();
    }

    /// Resumes delivery, beginning with the bytes that were held back, and reading.
    /// (`resumeProducing`)
    #[inline]
    pub fn resume_reading(&mut self) {
        self.splitter.paused = false;
        self.transport.resume_reading();
    }

    /// Returns the delimiter of this connection.
    #[inline]
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
        self.effects.search_again = true;
    }

    /// Returns the maximum length of a line, in bytes without the delimiter.
    #[inline]
    pub fn max_length(&self) -> usize {
        self.splitter.max_length()
    }

    /// Sets the maximum length of a line for this connection, from the next line on, in bytes
    /// without the delimiter. With zero only empty lines are delivered; `usize::MAX` means no
    /// limit.
    #[inline]
    pub fn set_max_length(&mut self, max_length: usize) {
        self.splitter.max_length = Some(max_length);
    }
}

impl fmt::Debug for LineTransport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineTransport")
            .field("delimiter", self.splitter.delimiter())
            .finish_non_exhaustive()
    }
}
