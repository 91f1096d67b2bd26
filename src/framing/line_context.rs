//! The context of a line receiver's callbacks.

use super::delimiter::Delimiter;
use super::line_transport::LineTransport;
use super::splitter::{Effects, SplitterState};
use crate::continuation::Continuation;
use crate::protocol::Context;
use crate::reactor::DeferError;
use crate::reactor::{FactoryKey, Reactor, TimerId};
use crate::transport::Transport;
use std::any::Any;
use std::fmt;
use std::time::Duration;

/// The closure of a receiver's [`Continuation`], which knows the receiver's type.
type Call<F> = Box<dyn FnOnce(&mut dyn Any, &mut LineContext<'_, F>)>;

/// Gives a [`LineReceiver`](super::LineReceiver) access to its connection, its factory and the
/// reactor while one of its callbacks runs: the three fields of a [`Context`], and the lines.
///
/// The fields can be borrowed independently. The methods that send lines and control how the input
/// is split are those of [`cx.lines`](Self::lines), in a short form that borrows the whole context.
#[non_exhaustive]
pub struct LineContext<'a, F> {
    /// The transport of this connection. Clone it to keep it.
    pub transport: &'a Transport,
    /// The factory that built this protocol, and the state that all its connections share.
    pub factory: &'a mut F,
    /// The reactor, for timers, ports, other factories and `stop`.
    pub reactor: &'a mut Reactor,
    /// The lines of this connection: sends lines, and controls how the input is split.
    pub lines: LineTransport<'a>,
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
            lines: LineTransport::new(cx.transport, splitter, effects, end, rest),
        }
    }

    /// Returns the context of a protocol with the three fields of this one, for functions that are
    /// shared by protocols and line receivers.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use twistor::{Context, LineContext, LineReceiver};
    ///
    /// /// Refuses clients that are not on this machine.
    /// fn accept<F>(cx: &mut Context<'_, F>) {
    ///     if !cx.transport.peer_address().ip().is_some_and(|ip| ip.is_loopback()) {
    ///         cx.transport.lose_connection();
    ///     }
    /// }
    ///
    /// struct Local;
    ///
    /// impl<F> LineReceiver<F> for Local {
    ///     fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
    ///         accept(&mut cx.as_context());
    ///     }
    ///
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         cx.send_line(line);
    ///     }
    /// }
    /// # let peer = twistor::testing::connect(|| twistor::Lines::new(Local));
    /// # assert!(peer.close_kind().is_some(), "on another host");
    /// # }
    /// ```
    ///
    /// [`Context::call_later`] and [`Context::defer_to_thread`] of the result are for protocols:
    /// there `this` is the [`Lines`](super::Lines) around the receiver.
    pub fn as_context(&mut self) -> Context<'_, F> {
        Context::new(self.transport, self.factory, self.reactor)
    }

    /// Sends a line followed by the delimiter in use. There is no limit to its length, and its
    /// content is not checked. (`sendLine`)
    ///
    /// While a part of `cx.factory` is borrowed, write
    /// [`cx.lines.send_line(line)`](LineTransport::send_line).
    #[inline]
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.lines.send_line(line);
    }

    /// The key of the factory that this receiver lives in; see [`Context::key`].
    pub fn key(&self) -> FactoryKey<F> {
        self.reactor.key_of_connection(self.transport)
    }

    /// Switches to raw mode: from now on received bytes go to `raw_data_received`, beginning with
    /// those that follow this line; see [`LineTransport::set_raw_mode`]. (`setRawMode`)
    #[inline]
    pub fn set_raw_mode(&mut self) {
        self.lines.set_raw_mode();
    }

    /// Switches to line mode: from now on received bytes are split into lines, `extra` first; see
    /// [`LineTransport::set_line_mode`]. (`setLineMode`)
    #[inline]
    pub fn set_line_mode(&mut self, extra: &[u8]) {
        self.lines.set_line_mode(extra);
    }

    /// Removes and returns the bytes that have been received and not been delivered; see
    /// [`LineTransport::clear_line_buffer`]. (`clearLineBuffer`)
    pub fn clear_line_buffer(&mut self) -> Vec<u8> {
        self.lines.clear_line_buffer()
    }

    /// Pauses delivery and reading: holds back all further lines and raw data, including those
    /// already received; see [`LineTransport::pause_reading`]. (`pauseProducing`)
    #[inline]
    pub fn pause_reading(&mut self) {
        self.lines.pause_reading();
    }

    /// Resumes delivery, beginning with the bytes that were held back, and reading; see
    /// [`LineTransport::resume_reading`]. (`resumeProducing`)
    #[inline]
    pub fn resume_reading(&mut self) {
        self.lines.resume_reading();
    }

    /// Returns the delimiter of this connection.
    #[inline]
    pub fn delimiter(&self) -> &Delimiter {
        self.lines.delimiter()
    }

    /// Sets the delimiter of this connection, from the next line on; see
    /// [`LineTransport::set_delimiter`].
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    pub fn set_delimiter(&mut self, delimiter: impl Into<Delimiter>) {
        self.lines.set_delimiter(delimiter);
    }

    /// Returns the maximum length of a line, in bytes without the delimiter.
    #[inline]
    pub fn max_length(&self) -> usize {
        self.lines.max_length()
    }

    /// Sets the maximum length of a line for this connection, from the next line on, in bytes
    /// without the delimiter; see [`LineTransport::set_max_length`].
    #[inline]
    pub fn set_max_length(&mut self, max_length: usize) {
        self.lines.set_max_length(max_length);
    }

    /// Calls this receiver's `timer_fired` after `delay`; see [`Context::set_timer`].
    ///
    /// While a part of `cx.factory` is borrowed, write [`cx.reactor.set_timer(cx.transport,
    /// delay)`](Reactor::set_timer).
    pub fn set_timer(&mut self, delay: Duration) -> TimerId {
        self.reactor.set_timer(self.transport, delay)
    }

    /// Calls this receiver's `timer_fired` once in each `period`; see [`Context::set_interval`].
    pub fn set_interval(&mut self, period: Duration) -> TimerId {
        self.reactor.set_connection_interval(self.transport, period)
    }
}

impl<F: 'static> LineContext<'_, F> {
    /// Calls `call` with this receiver and its context after `delay`, unless the timer is cancelled
    /// or the connection is lost before that; see [`Context::call_later`].
    /// (`reactor.callLater(delay, self.method)`)
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use twistor::{LineContext, LineReceiver, Lines};
    ///
    /// struct Slow;
    ///
    /// impl<F: 'static> LineReceiver<F> for Slow {
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         cx.send_line(line);
    ///         cx.pause_reading();
    ///         cx.call_later(Duration::from_secs(1), |_this: &mut Self, cx| cx.resume_reading());
    ///     }
    /// }
    /// # let peer = twistor::testing::connect(|| Lines::new(Slow));
    /// # peer.send("a\r\nb\r\n");
    /// # assert_eq!(peer.take_received(), b"a\r\n");
    /// # peer.advance(Duration::from_secs(1));
    /// # assert_eq!(peer.take_received(), b"b\r\n");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// The call panics if `R` is not the type of the receiver, nor of one that it wraps.
    pub fn call_later<R: 'static>(
        &mut self,
        delay: Duration,
        call: impl FnOnce(&mut R, &mut LineContext<'_, F>) + 'static,
    ) -> TimerId {
        self.reactor.continue_later(self.transport, delay, continuation(call))
    }

    /// Runs `work`, which blocks or takes long, on another thread, and then calls `then` with this
    /// receiver, its context and the result, unless the connection is lost before that; see
    /// [`Context::defer_to_thread`]. (`deferToThread(work).addCallback(self.method)`)
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use twistor::{LineContext, LineReceiver, Lines};
    ///
    /// /// Answers a path with the content of the file.
    /// struct Files;
    ///
    /// impl<F: 'static> LineReceiver<F> for Files {
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         let path = String::from_utf8_lossy(line).into_owned();
    ///         cx.defer_to_thread(
    ///             move || std::fs::read(path),
    ///             |_this: &mut Self, cx, content| match content {
    ///                 Ok(Ok(content)) => cx.send_line(content),
    ///                 Ok(Err(_)) => cx.send_line("no such file"),
    ///                 Err(panic) => cx.transport.fail(panic),
    ///             },
    ///         );
    ///     }
    /// }
    /// # let peer = twistor::testing::connect(|| Lines::new(Files));
    /// # peer.send("/no such file\r\n");
    /// # assert_eq!(peer.take_received(), b"no such file\r\n");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `then` is called with a [`DeferError`](crate::error::DeferError) if the work panicked, or if
    /// no thread could be started.
    ///
    /// # Panics
    ///
    /// `then` panics if `R` is not the type of the receiver, nor of one that it wraps.
    pub fn defer_to_thread<R: 'static, T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut R, &mut LineContext<'_, F>, Result<T, DeferError>) + 'static,
    ) {
        self.reactor.defer_and_continue(self.transport, work, |result| {
            continuation(move |this: &mut R, cx: &mut LineContext<'_, F>| then(this, cx, result))
        });
    }

    /// Calls a continuation with `this`, if it is one of `this` and of this factory; see
    /// [`Context::call_continuation`].
    ///
    /// # Errors
    ///
    /// Returns the continuation if it is not: it is one of the wrapped receiver.
    pub fn call_continuation(
        &mut self,
        this: &mut dyn Any,
        continuation: Continuation,
    ) -> Result<(), Continuation> {
        let call: Call<F> = continuation.into_call(this)?;
        call(this, self);
        Ok(())
    }
}

fn continuation<F: 'static, R: 'static>(
    call: impl FnOnce(&mut R, &mut LineContext<'_, F>) + 'static,
) -> Continuation {
    let call: Call<F> = Box::new(move |this, cx| {
        if let Some(this) = this.downcast_mut() {
            call(this, cx);
        }
    });
    Continuation::new::<R>(call)
}

impl<F: fmt::Debug> fmt::Debug for LineContext<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineContext")
            .field("transport", self.transport)
            .field("factory", self.factory)
            .field("delimiter", self.delimiter())
            .finish_non_exhaustive()
    }
}
