//! `LineReceiver`: the trait that users implement to receive lines.

use super::delimiter::Delimiter;
use super::line_context::LineContext;
use crate::continuation::{Continuation, Continue};
use crate::descriptor::Descriptor;
use crate::reactor::TimerId;
use crate::reason::{Reason, TimeoutKind};
use std::io;

/// Receives lines, and raw data in between. [`Lines`](super::Lines) turns it into a
/// [`Protocol`](crate::Protocol). (`LineReceiver`; it is as fast as Twisted's `LineOnlyReceiver`,
/// which therefore has no counterpart here.)
///
/// The callbacks are those of a [`Protocol`](crate::Protocol), with the same order and the same
/// guarantees, except that `data_received` is replaced by [`line_received`](Self::line_received),
/// [`raw_data_received`](Self::raw_data_received) and
/// [`line_length_exceeded`](Self::line_length_exceeded). None of these three is called after
/// `lose_connection`, `abort_connection` or `fail`, not even for bytes already received.
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not receive lines on connections of the factory `{F}`",
    label = "not a `LineReceiver` of its factory",
    note = "`Lines` turns a `LineReceiver` into a `Protocol`; what is a `Protocol` already needs \
            no `Lines`"
)]
pub trait LineReceiver<F>: Continue {
    /// The delimiter for all connections of this type. Default: CR LF.
    const DELIMITER: Delimiter = Delimiter::CRLF;

    /// The maximum length of a line for all connections of this type, in bytes without the
    /// delimiter. Default: 16 384, as in Twisted. With zero only empty lines are delivered;
    /// `usize::MAX` means no limit, and a line that does not end then takes all memory.
    const MAX_LENGTH: usize = 16_384;

    /// The connection is established.
    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// A line has arrived; `line` does not include the delimiter. (`lineReceived`)
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]);

    /// Bytes have arrived in raw mode, in pieces of any size: at least one byte.
    /// (`rawDataReceived`)
    fn raw_data_received(&mut self, cx: &mut LineContext<'_, F>, data: &[u8]) {
        let _ = (cx, data);
    }

    /// A line is longer than the maximum length, whether or not its end has arrived. `line` is
    /// everything that has been received from its beginning on, including its end and what follows,
    /// and is removed from the buffer. (`lineLengthExceeded`)
    ///
    /// By default this closes the connection gracefully. Otherwise the splitting starts again with
    /// the bytes that are received next.
    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        let _ = line;
        cx.transport.lose_connection();
    }

    /// A descriptor has arrived over a Unix socket, before the line or the bytes that it was sent
    /// with; see [`Protocol::descriptor_received`](crate::Protocol::descriptor_received). By
    /// default it is closed.
    fn descriptor_received(&mut self, cx: &mut LineContext<'_, F>, descriptor: Descriptor) {
        let _ = (cx, descriptor);
    }

    /// The TLS handshake that `start_tls` began is complete; see
    /// [`Protocol::handshake_completed`](crate::Protocol::handshake_completed).
    fn handshake_completed(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// A timer set with [`LineContext::set_timer`] has expired.
    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// The delay of a [`LineContext::call_later`] is over, or the work of a
    /// [`LineContext::defer_to_thread`] is done. By default this calls the closure that was given
    /// there; only wrappers override it, as
    /// [`Protocol::continued`](crate::Protocol::continued) says.
    fn continued(&mut self, cx: &mut LineContext<'_, F>, continuation: Continuation)
    where
        F: 'static,
    {
        if let Err(continuation) = cx.call_continuation(self.as_continued(), continuation) {
            continuation.reject::<Self>();
        }
    }

    /// Reading continues after a pause; the bytes that were held back follow.
    fn reading_resumed(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// A timeout expired. By default this ends the connection with `Reason::TimedOut`, with
    /// [`Transport::time_out`](crate::Transport::time_out), as
    /// [`Protocol::timed_out`](crate::Protocol::timed_out) does.
    fn timed_out(&mut self, cx: &mut LineContext<'_, F>, kind: TimeoutKind) {
        cx.transport.time_out(kind);
    }

    /// Graceful shutdown: the reactor drains before it stops. By default this closes the connection
    /// gracefully, with [`Transport::drain`](crate::Transport::drain), as
    /// [`Protocol::drain_requested`](crate::Protocol::drain_requested) does.
    fn drain_requested(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.drain();
    }

    /// Backpressure: the write buffer has reached the high-water mark. This receiver, registered as
    /// a push producer, should stop writing until [`producing_resumed`](Self::producing_resumed).
    fn producing_paused(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// Backpressure has ended: this receiver, registered as a producer, may write again. For a pull
    /// producer this is a request to write.
    fn producing_resumed(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// A reader registered as this connection's producer has finished: `result` is the number of
    /// bytes read, or the error that ended it. By default an error fails the connection, with
    /// [`Transport::fail`](crate::Transport::fail).
    fn producer_finished(&mut self, cx: &mut LineContext<'_, F>, result: io::Result<u64>) {
        if let Err(error) = result {
            cx.transport.fail(error);
        }
    }

    /// `count` writes were rejected since the last call, because too much is unsent.
    fn write_rejected(&mut self, cx: &mut LineContext<'_, F>, count: usize) {
        let _ = (cx, count);
    }

    /// Half-close: the peer has closed its sending half (FIN). A line without an end may be left in
    /// the buffer. By default this closes the connection gracefully, with
    /// [`Transport::close_passively`](crate::Transport::close_passively).
    fn read_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.close_passively();
    }

    /// Half-close: this side's sending half is closed, as requested.
    fn write_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        let _ = cx;
    }

    /// The connection is closed; the receiver is dropped next.
    fn connection_lost(&mut self, cx: &mut LineContext<'_, F>, reason: &Reason) {
        let _ = (cx, reason);
    }
}
