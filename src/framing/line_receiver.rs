//! What users implement to receive lines.

use super::delimiter::Delimiter;
use super::line_context::LineContext;
use crate::reactor::TimerId;
use crate::reason::{Reason, TimeoutKind};
use std::io;

/// Receives lines, and raw data in between; [`Lines`](super::Lines) makes a
/// [`Protocol`](crate::Protocol) of it. (`LineReceiver`; where Twisted has `LineOnlyReceiver` for
/// speed, this is as fast.)
///
/// The callbacks are those of a protocol, with the same order and the same promises; only that
/// `data_received` is replaced by [`line_received`](Self::line_received),
/// [`raw_data_received`](Self::raw_data_received) and
/// [`line_length_exceeded`](Self::line_length_exceeded). None of these is called after
/// `lose_connection`, `abort_connection` or `fail`, not even for what has been received already.
///
/// ```
/// use twistor::{Context, LineContext, LineReceiver, Lines, Reactor};
///
/// struct Answer;
///
/// impl<F> LineReceiver<F> for Answer {
///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
///         let answer = match line {
///             b"How are you?" => "Fine",
///             _ => "I don't know what you mean",
///         };
///         cx.send_line(answer);
///     }
/// }
///
/// let mut reactor = Reactor::new()?;
/// reactor.listen("tcp:0:interface=127.0.0.1", || Lines::new(Answer))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait LineReceiver<F> {
    /// What ends a line, for all connections of this type. Default: CR LF.
    const DELIMITER: Delimiter = Delimiter::CRLF;

    /// The longest line that is delivered, for all connections of this type: in bytes, without the
    /// delimiter. Default: 16 384, as in Twisted. With zero only empty lines are delivered;
    /// `usize::MAX` is no limit, and a line that does not end then takes all memory.
    const MAX_LENGTH: usize = 16_384;

    /// The connection is there.
    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// A line, without its delimiter. (`lineReceived`)
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]);

    /// Bytes received in raw mode, at least one, as many as there happened to be.
    /// (`rawDataReceived`)
    fn raw_data_received(&mut self, cx: &mut LineContext<'_, F>, data: &[u8]) {
        let _ = (cx, data);
    }

    /// A line is longer than the limit, whether or not its end has come. `line` is all that has
    /// been received from its beginning on, its end and what follows included, and is taken out of
    /// the buffer. (`lineLengthExceeded`)
    ///
    /// By default this loses the connection. Otherwise the splitting begins anew with what is
    /// received next.
    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        let _ = line;
        cx.transport.lose_connection();
    }

    /// A timer set with [`LineContext::set_timer`] is due.
    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// Reading goes on after a pause; what was held back follows.
    fn reading_resumed(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// The peer was waited for in vain. By default the connection ends with `Reason::TimedOut`.
    fn timed_out(&mut self, cx: &mut LineContext<'_, F>, kind: TimeoutKind) {
        cx.transport.time_out(kind);
    }

    /// The reactor drains before it stops. By default this loses the connection, as
    /// [`Protocol::drain_requested`](crate::Protocol::drain_requested) does.
    fn drain_requested(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.drain();
    }

    /// So much is unsent that this receiver, registered as a push producer, should write no more.
    fn producing_paused(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// This receiver, registered as a producer, may write, or is asked to.
    fn producing_resumed(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// What was read for this connection has come to its end, or to an error. By default an error
    /// fails the connection.
    fn producer_finished(&mut self, cx: &mut LineContext<'_, F>, result: io::Result<u64>) {
        if let Err(error) = result {
            cx.transport.fail(error);
        }
    }

    /// So many writes were refused, because too much is unsent.
    fn write_rejected(&mut self, cx: &mut LineContext<'_, F>, count: usize) {
        let _ = (cx, count);
    }

    /// The peer has closed its sending half; a line without an end may be left in the buffer. By
    /// default this loses the connection.
    fn read_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.follow_peer();
    }

    /// This side's sending half is closed, as it asked.
    fn write_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// The connection is gone; the receiver is dropped next.
    fn connection_lost(&mut self, cx: &mut LineContext<'_, F>, reason: &Reason) {
        let _ = (cx, reason);
    }
}
