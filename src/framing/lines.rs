//! Lines: splits received bytes into lines and raw data, and calls a receiver.

use super::delimiter::Delimiter;
use super::line_context::LineContext;
use super::line_rate::LineRate;
use super::line_receiver::LineReceiver;
use super::splitter::{Effects, Mode, Piece, SplitterState};
use crate::delegate_callbacks;
use crate::protocol::{Context, Protocol};
use crate::reactor::TimerId;
use std::borrow::Cow;
use std::time::Duration;

/// Turns a [`LineReceiver`] into a [`Protocol`].
///
/// Delimiter and maximum length are those of the receiver's type, unless they are set here for one
/// connection.
///
/// ```
/// use twistor::{LineContext, LineReceiver, Lines};
///
/// struct Quiet;
///
/// impl<F> LineReceiver<F> for Quiet {
///     fn line_received(&mut self, _cx: &mut LineContext<'_, F>, _line: &[u8]) {}
/// }
///
/// let factory = || Lines::new(Quiet).delimiter(b"\0").max_length(512);
/// # let _: Box<dyn twistor::Protocol<()>> = Box::new(factory());
/// ```
///
/// The cost is linear in the bytes received, however they arrive: lines are slices of the read
/// buffer. Only a line that arrives in parts is copied, once, and no part of it is searched twice.
#[derive(Debug)]
pub struct Lines<R> {
    receiver: R,
    splitter: SplitterState,
    /// Bytes received; those from `start` on have not been delivered.
    pending: Vec<u8>,
    /// Less than the length of `pending`, or both are zero. Delivered bytes are not removed each
    /// time, so that a receiver that pauses at every line does not move everything that follows it.
    start: usize,
    /// Number of bytes from `start` on that are known to end no line.
    searched: usize,
    /// Rate limiter of the lines. Boxed, since most connections have none.
    rate: Option<Box<LineRate>>,
}

/// After a burst the buffer shrinks if what is left is no longer than this, in bytes.
const REST_SMALL: usize = 1024;

/// Number of bytes after which `Lines` checks whether it should yield to other connections. First
/// after a line or a few, since each may have been sent to thousands; then after several times as
/// many bytes, since the check costs as much as a very short line. In bytes, since counting lines
/// would cost something for each of them.
const ASK_FIRST: usize = 8;
const ASK_GROWTH: usize = 8;
const ASK_MAX: usize = 512;

/// Outcome of a pass over the input.
enum Pass {
    /// The bytes from `at` on wait for more; those before `searched` are known to end no line.
    Wait { at: usize, searched: usize },
    /// The bytes from `at` on, followed by `extra`, are processed next.
    Splice { at: usize, extra: Vec<u8> },
    /// The requested number of bytes was delivered.
    Enough { at: usize },
}

impl<R> Lines<R> {
    /// Creates the protocol of a receiver, in line mode.
    pub fn new(receiver: R) -> Self {
        let splitter =
            SplitterState { delimiter: None, max_length: None, mode: Mode::Line, paused: false };
        Self { receiver, splitter, pending: Vec::new(), start: 0, searched: 0, rate: None }
    }

    /// Sets the delimiter of this connection, instead of [`LineReceiver::DELIMITER`].
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Delimiter>) -> Self {
        self.splitter.delimiter = Some(delimiter.into().checked());
        self
    }

    /// Sets the maximum length of a line of this connection, instead of
    /// [`LineReceiver::MAX_LENGTH`]: in bytes, without the delimiter. With zero only empty lines
    /// are delivered; `usize::MAX` means no limit, and a line that does not end then takes all
    /// memory.
    #[must_use]
    pub fn max_length(mut self, max_length: usize) -> Self {
        self.splitter.max_length = Some(max_length);
        self
    }

    /// Rate limit: delivers at most `count` lines per `span`, with a burst of `count` (a token
    /// bucket; at least one). Lines over the limit wait in the line buffer and in the socket, so
    /// that the peer gets backpressure; meanwhile the peer does not count as idle. Raw data is not
    /// counted.
    ///
    /// Use it for lines that are expensive, such as those broadcast to thousands of members.
    /// Combine it with [`RateLimits::read`](crate::limits::RateLimits::read), which limits bytes.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use twistor::{LineContext, LineReceiver, Lines, testing};
    ///
    /// struct Echo;
    ///
    /// impl<F> LineReceiver<F> for Echo {
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         cx.send_line(line);
    ///     }
    /// }
    ///
    /// let peer = testing::connect(|| Lines::new(Echo).line_rate(2, Duration::from_secs(1)));
    /// peer.send("one\r\ntwo\r\nthree\r\n");
    /// assert_eq!(peer.take_received(), b"one\r\ntwo\r\n");
    /// peer.advance(Duration::from_millis(500));
    /// assert_eq!(peer.take_received(), b"three\r\n");
    /// # }
    /// ```
    #[must_use]
    pub fn line_rate(mut self, count: u32, span: Duration) -> Self {
        self.rate = Some(Box::new(LineRate::new(count, span)));
        self
    }

    /// Returns the receiver.
    pub fn receiver(&self) -> &R {
        &self.receiver
    }

    /// Calls `call` with the receiver and its context, as if it were one of its callbacks. Use it
    /// inside [`Reactor::with_protocol`](crate::Reactor::with_protocol).
    pub fn with_receiver<F, T>(
        &mut self,
        cx: &mut Context<'_, F>,
        call: impl FnOnce(&mut R, &mut LineContext<'_, F>) -> T,
    ) -> T
    where
        R: LineReceiver<F>,
    {
        let mut effects = Effects::default();
        let was_paused = self.splitter.paused;
        let Self { receiver, splitter, pending, start, .. } = self;
        let mut line_cx = LineContext::new(cx, splitter, &mut effects, &[], &pending[*start..]);
        let result = call(receiver, &mut line_cx);
        if effects.search_again {
            self.searched = 0;
        }
        if effects.cleared {
            self.pending = Vec::new();
            (self.start, self.searched) = (0, 0);
        }
        self.pending.extend_from_slice(&effects.extra);
        // A change of mode or delimiter alone takes effect with the next bytes received; and if the
        // transport was paused as well, `reading_resumed` comes first.
        let resumed =
            was_paused && !self.splitter.paused && !cx.transport.connection().is_resuming();
        if !effects.extra.is_empty() || resumed {
            self.split_pending(cx);
        }
        self.reject_plaintext_early(cx);
        result
    }

    /// Fails a connection that has received more before TLS than the request to start it: anyone on
    /// the way may have added that, and after the handshake it would pass for encrypted. Returns
    /// true if it has.
    fn reject_plaintext<F>(&mut self, cx: &Context<'_, F>) -> bool {
        let has_plaintext = !self.pending.is_empty();
        if has_plaintext {
            self.pending = Vec::new();
            (self.start, self.searched) = (0, 0);
            cx.transport.fail("bytes that are not encrypted follow the request to start TLS");
        }
        has_plaintext
    }

    /// Fails the connection if a callback has started TLS with bytes in clear left.
    fn reject_plaintext_early<F>(&mut self, cx: &Context<'_, F>) {
        if cx.transport.connection().is_handshaking() {
            self.reject_plaintext(cx);
        }
    }

    fn split_pending<F>(&mut self, cx: &mut Context<'_, F>)
    where
        R: LineReceiver<F>,
    {
        // Takes all three, since a receiver that panics leaves them as they are here.
        let pending = std::mem::take(&mut self.pending);
        let start = std::mem::take(&mut self.start);
        let searched = std::mem::take(&mut self.searched);
        self.split(cx, Cow::Owned(pending), start, start + searched);
    }

    /// Delivers what can be delivered from `at` on, and keeps the rest.
    fn split<F>(
        &mut self,
        cx: &mut Context<'_, F>,
        mut input: Cow<'_, [u8]>,
        mut at: usize,
        mut searched: usize,
    ) where
        R: LineReceiver<F>,
    {
        if self.rate.as_ref().is_some_and(|rate| rate.is_holding()) {
            self.searched = searched - at;
            return self.keep(input, at);
        }
        let mut step = if self.rate.is_some() { 1 } else { ASK_FIRST };
        loop {
            let (begin, mode) = (at, self.splitter.mode);
            let (mut is_last, mut delivered) = (false, true);
            match self.pass(cx, &input, at, searched, step) {
                Pass::Enough { at: end } => (at, searched) = (end, end),
                Pass::Wait { at: end, searched: known } => {
                    (at, searched, is_last) = (end, known, true);
                    delivered = at != begin;
                }
                Pass::Splice { at: end, extra } => {
                    input = Cow::Owned([&input[end..], &extra].concat());
                    (at, searched) = (0, 0);
                }
            }
            let is_held = match &mut self.rate {
                Some(rate) => delivered && mode == Mode::Line && rate.delivered(cx),
                None => {
                    step = (step * ASK_GROWTH).min(ASK_MAX);
                    false
                }
            };
            if !is_last && !is_held && cx.reactor.should_yield() {
                cx.transport.yield_now();
                is_last = true;
            }
            if is_last || is_held {
                self.searched = searched - at;
                self.keep(input, at);
                return self.reject_plaintext_early(cx);
            }
        }
    }

    fn pass<F>(
        &mut self,
        cx: &mut Context<'_, F>,
        input: &[u8],
        mut at: usize,
        mut searched: usize,
        step: usize,
    ) -> Pass
    where
        R: LineReceiver<F>,
    {
        let Self { receiver, splitter, pending, .. } = self;
        let (transport, mut effects) = (cx.transport, Effects::default());
        let mut cx = LineContext::new(cx, splitter, &mut effects, &[], &[]);
        let stop = input.len().min(at + step);
        while at < stop && !cx.lines.splitter.paused && transport.connection().delivers_more() {
            let left = &input[at..];
            let Some(piece) = cx.lines.splitter.next_piece(left, searched - at) else {
                return Pass::Wait { at, searched: input.len() };
            };
            let too_long = matches!(piece, Piece::TooLong);
            // The field is public: a callback may have replaced it.
            cx.transport = transport;
            at += deliver(receiver, &mut cx, left, piece);
            searched = at;
            if too_long || cx.lines.effects.any() {
                let Effects { cleared, tail, extra, .. } = std::mem::take(cx.lines.effects);
                at = if cleared { input.len() } else { at } - tail;
                searched = at;
                if too_long {
                    // The splitting starts again with the bytes received next, and `extra` waits
                    // for them too.
                    *pending = extra;
                    return Pass::Wait { at, searched };
                }
                if !extra.is_empty() {
                    return Pass::Splice { at, extra };
                }
            }
        }
        match at < stop || at == input.len() {
            true => Pass::Wait { at, searched },
            false => Pass::Enough { at },
        }
    }

    /// Keeps the bytes from `at` on, and the memory only if there is something to keep.
    fn keep(&mut self, input: Cow<'_, [u8]>, at: usize) {
        let waiting = std::mem::take(&mut self.pending);
        match input {
            _ if at == input.len() => {}
            Cow::Borrowed(bytes) => self.pending = bytes[at..].to_vec(),
            Cow::Owned(mut bytes) => {
                // Moves at most as many bytes as were delivered since the last move.
                if at >= bytes.len() - at {
                    bytes.drain(..at);
                    if bytes.len() <= REST_SMALL && bytes.capacity() > 4 * REST_SMALL {
                        bytes.shrink_to_fit();
                    }
                } else {
                    self.start = at;
                }
                self.pending = bytes;
            }
        }
        self.pending.extend_from_slice(&waiting);
    }
}

/// Calls the receiver; returns the number of bytes of `input` that this consumed.
fn deliver<'a, F, R: LineReceiver<F>>(
    receiver: &mut R,
    cx: &mut LineContext<'a, F>,
    input: &'a [u8],
    piece: Piece,
) -> usize {
    // The end of a line is not the end of the input: it cannot be handed back in place.
    let (given, end, taken) = match piece {
        Piece::Line(found) => (&input[..found.line], &input[..0], found.next),
        Piece::Raw | Piece::TooLong => (input, input, input.len()),
    };
    (cx.lines.end, cx.lines.rest) = (end, &input[taken..]);
    match piece {
        Piece::Line(_) => receiver.line_received(cx, given),
        Piece::Raw => receiver.raw_data_received(cx, given),
        Piece::TooLong => receiver.line_length_exceeded(cx, given),
    }
    taken
}

impl<F, R: LineReceiver<F>> Protocol<F> for Lines<R> {
    delegate_callbacks! {
        F => Self::with_receiver,
        except connection_made, data_received, handshake_completed, timer_fired, reading_resumed
    }

    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        self.splitter.delimiter.get_or_insert_with(|| R::DELIMITER.checked());
        self.splitter.max_length.get_or_insert(R::MAX_LENGTH);
        self.with_receiver(cx, |receiver, cx| receiver.connection_made(cx));
    }

    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        if self.pending.is_empty() {
            self.split(cx, Cow::Borrowed(data), 0, 0);
        } else {
            self.pending.extend_from_slice(data);
            self.split_pending(cx);
        }
    }

    fn handshake_completed(&mut self, cx: &mut Context<'_, F>) {
        // A handle may have started TLS outside of the callbacks.
        if !self.reject_plaintext(cx) {
            self.with_receiver(cx, |receiver, cx| receiver.handshake_completed(cx));
        }
    }

    fn timer_fired(&mut self, cx: &mut Context<'_, F>, timer: TimerId) {
        if self.rate.as_mut().is_some_and(|rate| rate.end_hold(timer)) {
            return cx.transport.release_input();
        }
        self.with_receiver(cx, |receiver, cx| receiver.timer_fired(cx, timer));
    }

    fn reading_resumed(&mut self, cx: &mut Context<'_, F>) {
        self.splitter.paused = false;
        self.with_receiver(cx, |receiver, cx| receiver.reading_resumed(cx));
        self.split_pending(cx);
    }
}
