//! Protocols and factories: the traits that users implement, and the context of their callbacks.

use crate::continuation::{Continuation, Continue};
use crate::delegate_callbacks;
use crate::descriptor::Descriptor;
use crate::reactor::{DeferError, FactoryKey, Reactor, TimerId};
use crate::reason::{Reason, TimeoutKind};
use crate::transport::Transport;
use std::any::Any;
use std::fmt;
use std::io;
use std::time::Duration;

/// The closure of a protocol's [`Continuation`], which knows the protocol's type.
type Call<F> = Box<dyn FnOnce(&mut dyn Any, &mut Context<'_, F>)>;

/// Gives a protocol access to its connection, its factory and the reactor while one of its
/// callbacks runs.
///
/// The three fields can be borrowed independently: `cx.transport.write(&cx.factory.quote)`.
#[non_exhaustive]
pub struct Context<'a, F> {
    /// The transport of this connection. Clone it to keep it.
    pub transport: &'a Transport,
    /// The factory that built this protocol, and the state that all its connections share.
    pub factory: &'a mut F,
    /// The reactor, for timers, ports, other factories and `stop`.
    pub reactor: &'a mut Reactor,
}

impl<'a, F> Context<'a, F> {
    pub(crate) fn new(
        transport: &'a Transport,
        factory: &'a mut F,
        reactor: &'a mut Reactor,
    ) -> Self {
        Self { transport, factory, reactor }
    }

    /// Returns this context for a protocol whose factory is a part of this one, for factories that
    /// wrap others. (`WrappingFactory`)
    ///
    /// ```
    /// use twistor::{Factory, Protocol, Reactor, Transport, delegate_callbacks};
    ///
    /// /// Names any other factory.
    /// struct Named<F> {
    ///     inner: F,
    ///     name: &'static str,
    /// }
    ///
    /// struct NamedProtocol<P>(P);
    ///
    /// impl<F: Factory> Protocol<Named<F>> for NamedProtocol<F::Protocol> {
    ///     delegate_callbacks! {
    ///         Named<F> => |it, cx| (&mut it.0, cx.map_factory(|named| &mut named.inner))
    ///     }
    /// }
    ///
    /// impl<F: Factory> Factory for Named<F> {
    ///     type Protocol = NamedProtocol<F::Protocol>;
    ///
    ///     fn build_protocol(
    ///         &mut self,
    ///         transport: &Transport,
    ///         reactor: &mut Reactor,
    ///     ) -> Option<Self::Protocol> {
    ///         println!("a client of {}", self.name);
    ///         self.inner.build_protocol(transport, reactor).map(NamedProtocol)
    ///     }
    /// }
    /// ```
    ///
    /// The documentation of [`delegate_callbacks!`](crate::delegate_callbacks) has a wrapper that
    /// counts connections.
    pub fn map_factory<G>(&mut self, part: impl FnOnce(&mut F) -> &mut G) -> Context<'_, G> {
        Context::new(self.transport, part(self.factory), self.reactor)
    }

    /// The key of the factory that this protocol lives in: to reach it, or this protocol, from a
    /// timer, from work on another thread, or from another factory. In a context that
    /// [`map_factory`](Self::map_factory) made, it reaches nothing: a part of a factory has no key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::{Context, Factory, Protocol};
    ///
    /// struct Late;
    ///
    /// impl<F: Factory> Protocol<F> for Late {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         let (key, id) = (cx.key(), cx.transport.id());
    ///         cx.reactor.call_later(Duration::from_secs(1), move |reactor| {
    ///             // The connection may be gone by then.
    ///             let _ = reactor.with_protocol(key, id, |_late, cx| cx.transport.write("hello"));
    ///         });
    ///     }
    /// }
    /// ```
    pub fn key(&self) -> FactoryKey<F> {
        self.reactor.key_of_connection(self.transport)
    }

    /// Calls this protocol's [`timer_fired`](Protocol::timer_fired) after `delay`, unless the timer
    /// is cancelled or the connection is lost before that.
    ///
    /// [`call_later`](Self::call_later) calls a closure instead, and [`Reactor::call_later`] one
    /// that needs no protocol. Methods of the reactor cancel, reset and query all these timers.
    ///
    /// While a part of `cx.factory` is borrowed, write [`cx.reactor.set_timer(cx.transport,
    /// delay)`](Reactor::set_timer).
    pub fn set_timer(&mut self, delay: Duration) -> TimerId {
        self.reactor.set_timer(self.transport, delay)
    }

    /// Calls this protocol's [`timer_fired`](Protocol::timer_fired) once in each `period`, with the
    /// [`TimerId`] that this returns, until the timer is cancelled or the connection is lost.
    /// (`LoopingCall` of a method of the protocol)
    ///
    /// The first call comes after one period. Deadlines and missed ones are as for
    /// [`Reactor::call_every`], and [`Reactor::elapsed_periods`] counts them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::{Context, Protocol, TimerId};
    ///
    /// struct Ticker;
    ///
    /// impl<F> Protocol<F> for Ticker {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.set_interval(Duration::from_secs(1));
    ///     }
    ///
    ///     fn timer_fired(&mut self, cx: &mut Context<'_, F>, _timer: TimerId) {
    ///         cx.transport.write("tick\r\n");
    ///     }
    /// }
    /// # #[cfg(feature = "testing")] {
    /// let peer = twistor::testing::connect(|| Ticker);
    /// peer.advance(Duration::from_secs(2));
    /// assert_eq!(peer.take_received(), b"tick\r\ntick\r\n");
    /// # }
    /// ```
    pub fn set_interval(&mut self, period: Duration) -> TimerId {
        self.reactor.set_connection_interval(self.transport, period)
    }
}

impl<F: 'static> Context<'_, F> {
    /// Calls `call` with this protocol and its context after `delay`. (`reactor.callLater(delay,
    /// self.method)`)
    ///
    /// The call is a callback of the connection, [`continued`](Protocol::continued): none comes
    /// before it is over, a panic ends the connection with [`Reason::Panicked`], and what it
    /// requests is carried out when it returns. If the connection is lost before, or the timer is
    /// cancelled, `call` is dropped without being called; so it is in `connection_lost`. Delays,
    /// order and [`cancel`](Reactor::cancel) are as for [`Reactor::call_later`].
    ///
    /// `this` is the protocol whose callback calls this. Its type has to be named, as in
    /// `|this: &mut Self, cx|` or by a method, `Self::expire`; and a protocol for any factory needs
    /// `F: 'static`. Protocols that wrap this one forward the call, as every callback.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use twistor::{Context, Protocol};
    ///
    /// #[derive(Default)]
    /// struct Slow {
    ///     answered: usize,
    /// }
    ///
    /// impl<F: 'static> Protocol<F> for Slow {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         let data = data.to_vec();
    ///         cx.call_later(Duration::from_secs(1), move |this: &mut Self, cx| {
    ///             this.answered += 1;
    ///             cx.transport.write(data);
    ///         });
    ///     }
    /// }
    /// # let peer = twistor::testing::connect(Slow::default);
    /// # peer.send("x");
    /// # assert_eq!(peer.take_received(), b"");
    /// # peer.advance(Duration::from_secs(1));
    /// # assert_eq!(peer.take_received(), b"x");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// The call panics if `P` is not the type of the protocol, nor of one that it wraps.
    pub fn call_later<P: 'static>(
        &mut self,
        delay: Duration,
        call: impl FnOnce(&mut P, &mut Context<'_, F>) + 'static,
    ) -> TimerId {
        self.reactor.continue_later(self.transport, delay, continuation(call))
    }

    /// Runs `work`, which blocks or takes long, on another thread, and then calls `then` with this
    /// protocol, its context and the result. (`deferToThread(work).addCallback(self.method)`)
    ///
    /// `work` runs as [`Reactor::defer_to_thread`] says. `then` is a callback of the connection, as
    /// the closure of [`call_later`](Self::call_later) is, and `this` is named as there. If the
    /// connection is lost before, the work continues, and then its result and `then` are dropped;
    /// when the reactor stops, they are dropped at once.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use twistor::error::DeferError;
    /// use twistor::{Context, Protocol};
    ///
    /// /// Answers a path with the size of the file, and counts the bytes of all of them.
    /// #[derive(Default)]
    /// struct Sizes {
    ///     total: u64,
    /// }
    ///
    /// impl<F: 'static> Protocol<F> for Sizes {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         let path = String::from_utf8_lossy(data).trim().to_owned();
    ///         cx.defer_to_thread(
    ///             move || std::fs::metadata(path).map_or(0, |file| file.len()),
    ///             |this: &mut Self, cx, size| match size {
    ///                 Ok(size) => {
    ///                     this.total += size;
    ///                     cx.transport.write(format!("{size}, {} in all\r\n", this.total));
    ///                 }
    ///                 Err(panic) => cx.transport.fail(panic),
    ///             },
    ///         );
    ///     }
    /// }
    /// # let peer = twistor::testing::connect(Sizes::default);
    /// # peer.send("/no such file");
    /// # assert_eq!(peer.take_received(), b"0, 0 in all\r\n");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `then` is called with a [`DeferError`] if the work panicked, or if no thread could be
    /// started.
    ///
    /// # Panics
    ///
    /// `then` panics if `P` is not the type of the protocol, nor of one that it wraps.
    pub fn defer_to_thread<P: 'static, T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut P, &mut Context<'_, F>, Result<T, DeferError>) + 'static,
    ) {
        self.reactor.defer_and_continue(self.transport, work, |result| {
            continuation(move |this: &mut P, cx: &mut Context<'_, F>| then(this, cx, result))
        });
    }

    /// Calls a continuation with `this`, if it is one of `this` and of this factory.
    ///
    /// Use it in a wrapper that is written without
    /// [`delegate_callbacks!`](crate::delegate_callbacks) and has continuations of its own.
    ///
    /// # Errors
    ///
    /// Returns the continuation if it is not: it is one of the wrapped protocol.
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

/// Returns the continuation that calls `call`.
pub(crate) fn continuation<F: 'static, P: 'static>(
    call: impl FnOnce(&mut P, &mut Context<'_, F>) + 'static,
) -> Continuation {
    let call: Call<F> = Box::new(move |this, cx| {
        if let Some(this) = this.downcast_mut() {
            call(this, cx);
        }
    });
    Continuation::new::<P>(call)
}

impl<F: fmt::Debug> fmt::Debug for Context<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("transport", self.transport)
            .field("factory", self.factory)
            .finish_non_exhaustive()
    }
}

/// The behaviour of one connection. `F` is the type of its factory: `impl<F> Protocol<F> for Echo`
/// works with any factory, `impl Protocol<Chat> for Chatter` only with `Chat`.
///
/// The callbacks of a connection come one at a time, in this order:
///
/// ```text
/// connection_made
///   ( data_received | descriptor_received | handshake_completed | timer_fired | continued
///     | reading_resumed | producing_paused | producing_resumed | producer_finished
///     | write_rejected | drain_requested | timed_out )*
///   [ read_connection_lost ]  [ write_connection_lost ]    in either order, others in between
/// connection_lost                                          exactly once, at the end
/// ```
///
/// No callback runs while another one runs, not even one of another connection. A panic in a
/// callback ends only its own connection, with [`Reason::Panicked`]; `connection_lost` still
/// follows. (With `panic = "abort"`, a panic ends the process.)
///
/// By default callbacks do nothing, except [`read_connection_lost`](Self::read_connection_lost),
/// [`drain_requested`](Self::drain_requested), [`timed_out`](Self::timed_out) and
/// [`producer_finished`](Self::producer_finished), whose defaults are methods of the transport that
/// an override can call, and [`continued`](Self::continued). A protocol borrows nothing: its type
/// is `'static`.
///
/// ```
/// use twistor::{Context, Protocol};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol for connections of the factory `{F}`",
    label = "not a `Protocol` of its factory",
    note = "a `LineReceiver` needs an adapter: return `Lines::new(receiver)` from the factory",
    note = "a protocol of one factory type, `impl Protocol<Chat> for ..`, needs that factory: pass \
            the `Chat` itself, not a closure",
    note = "a closure cannot return `Box<dyn Protocol<_>>`, since its own type would be a part of \
            itself: declare a type, and implement `Factory` with \
            `type Protocol = Box<dyn Protocol<Self>>`"
)]
pub trait Protocol<F>: Continue {
    /// The connection is established. (`connectionMade`)
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// Bytes have arrived, in pieces of any size: at least one byte, except in the call that
    /// follows [`Transport::yield_now`], which has none. (`dataReceived`)
    ///
    /// Not called after `pause_reading`, `lose_connection`, `abort_connection` or `fail`.
    ///
    /// Urgent data: a byte of TCP urgent data (`MSG_OOB`, which a telnet client sends for Ctrl-C)
    /// is removed from the stream and dropped; everything before and after it arrives. If several
    /// come before the loop reads, Linux removes the last one and leaves the others in the stream.
    /// Twisted does the same.
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        let _ = (cx, data);
    }

    /// A descriptor has arrived over a Unix socket, before the byte that it was sent with. By
    /// default it is closed. (`fileDescriptorReceived`)
    ///
    /// Programs that this one starts do not inherit it. Bytes that were sent just before it may
    /// follow it, if the system has joined them to the same read. While reading is paused the
    /// descriptor waits; if the connection ends meanwhile, it is closed.
    ///
    /// A peer that sends more than sixteen descriptors at once ends the connection with
    /// [`Reason::Lost`], and so does one for which this process has no number left. What it leads
    /// to is the peer's choice, and the peer may still have it too: a read of it may block.
    fn descriptor_received(&mut self, cx: &mut Context<'_, F>, descriptor: Descriptor) {
        let _ = (cx, descriptor);
    }

    /// The TLS handshake that [`Transport::start_tls`](crate::Transport::start_tls) began is
    /// complete: what is received and sent from now on is encrypted, and
    /// [`Transport::tls`](crate::Transport::tls) says how. (`handshakeCompleted`)
    ///
    /// It comes before the first encrypted bytes. A connection behind an endpoint with TLS does not
    /// hear it: there `connection_made` says the same.
    fn handshake_completed(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// A timer set with [`Context::set_timer`] or [`Reactor::set_timer`] has expired, or a period
    /// of one set with [`Context::set_interval`] is over.
    fn timer_fired(&mut self, cx: &mut Context<'_, F>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// The delay of a [`Context::call_later`] is over, or the work of a
    /// [`Context::defer_to_thread`] is done.
    ///
    /// By default this calls the continuation, that is the closure that was given there. Only
    /// wrappers override it, as [`delegate_callbacks!`](crate::delegate_callbacks) does: they
    /// forward it to the wrapped protocol, but for continuations of their own, which
    /// [`Context::call_continuation`] calls.
    ///
    /// # Panics
    ///
    /// By default, if the continuation is one of another protocol or another factory.
    fn continued(&mut self, cx: &mut Context<'_, F>, continuation: Continuation)
    where
        F: 'static,
    {
        if let Err(continuation) = cx.call_continuation(self.as_continued(), continuation) {
            continuation.reject::<Self>();
        }
    }

    /// Reading continues after a pause. For protocols that hold back received bytes themselves, as
    /// [`Lines`](crate::Lines) does; `data_received` follows if more has arrived.
    fn reading_resumed(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// A timeout expired: one of [`Timeouts`](crate::limits::Timeouts), or the one set with
    /// [`Transport::set_timeout`]. (`timeoutConnection`)
    ///
    /// By default this calls [`Transport::time_out`], which ends the connection with
    /// [`Reason::TimedOut`]. Written bytes are sent on a best-effort basis, without waiting; for
    /// [`TimeoutKind::MinRate`] the connection is reset, since the peer takes nothing. An override
    /// may say goodbye and close, or keep the connection: the timeout then starts again.
    fn timed_out(&mut self, cx: &mut Context<'_, F>, kind: TimeoutKind) {
        cx.transport.time_out(kind);
    }

    /// Graceful shutdown: the reactor stops, but lets connections finish; see
    /// [`Reactor::stop_gracefully`]. Called once, and not if the connection is already closing.
    ///
    /// By default this calls [`Transport::drain`], which closes the connection gracefully, unless
    /// the connection feeds another one as its producer: the other connection would miss what this
    /// one still has to deliver, so this one runs to its own end. A protocol with something to
    /// finish overrides this, and closes when it has finished. At the deadline of the shutdown the
    /// connection is cut off.
    fn drain_requested(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.drain();
    }

    /// Backpressure: the write buffer has reached the high-water mark. This protocol, registered
    /// with [`Producer::push`](crate::Producer::push), should stop writing until
    /// [`producing_resumed`](Self::producing_resumed). (`pauseProducing`)
    fn producing_paused(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// Backpressure has ended: this protocol, registered as a producer, may write again. With
    /// [`Producer::pull`](crate::Producer::pull) this is a request to write. (`resumeProducing`)
    fn producing_resumed(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// A reader registered with [`Producer::reader`](crate::Producer::reader) has finished:
    /// `result` is the number of bytes read, or the error that ended it. It is already
    /// unregistered. The bytes read have been written, but perhaps not yet sent. Not called if the
    /// connection is lost before.
    ///
    /// By default an error fails the connection, with [`Transport::fail`].
    fn producer_finished(&mut self, cx: &mut Context<'_, F>, result: io::Result<u64>) {
        if let Err(error) = result {
            cx.transport.fail(error);
        }
    }

    /// `count` writes were rejected since the last call, because too much is unsent; see
    /// [`OverflowPolicy::Reject`](crate::limits::OverflowPolicy::Reject).
    fn write_rejected(&mut self, cx: &mut Context<'_, F>, count: usize) {
        let _ = (cx, count);
    }

    /// Half-close: the peer has closed its sending half (FIN), and no more data will come.
    /// (`IHalfCloseableProtocol.readConnectionLost`)
    ///
    /// By default this calls [`Transport::close_passively`]: this side sends everything that was
    /// written, and everything that a registered [`Producer::reader`](crate::Producer::reader)
    /// still has, and then closes as well. Any other producer is stopped. An override can write
    /// more, and has to close in the end.
    fn read_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.close_passively();
    }

    /// Half-close: this side's sending half is closed, as
    /// [`lose_write_connection`](Transport::lose_write_connection) requested.
    /// (`IHalfCloseableProtocol.writeConnectionLost`)
    fn write_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// The connection is closed; the protocol is dropped next. (`connectionLost`)
    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &Reason) {
        let _ = (cx, reason);
    }
}

impl<F, P: Protocol<F> + ?Sized> Protocol<F> for Box<P> {
    delegate_callbacks! { F => |boxed, cx| (&mut **boxed, cx) }
}

/// Builds a protocol for each connection, and holds the state that they share.
///
/// A closure that returns a protocol is a factory (Twisted's `Factory.forProtocol`):
/// `reactor.listen_tcp(8007, || Echo)`. A factory with state of its own is a type:
///
/// ```
/// use twistor::{Context, Factory, Protocol, Reactor, Transport};
///
/// struct Qotd {
///     quote: String,
/// }
///
/// struct Quoting;
///
/// impl Protocol<Qotd> for Quoting {
///     fn connection_made(&mut self, cx: &mut Context<'_, Qotd>) {
///         cx.transport.write(&cx.factory.quote);
///         cx.transport.lose_connection();
///     }
/// }
///
/// impl Factory for Qotd {
///     type Protocol = Quoting;
///
///     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Quoting> {
///         Some(Quoting)
///     }
/// }
/// ```
///
/// For different protocols on one port, let `Protocol` be `Box<dyn Protocol<Self>>`. (A closure
/// cannot return such boxes: its own type would be part of itself.)
///
/// ```
/// use twistor::{Factory, Protocol, Reactor, Transport};
/// # struct Echo;
/// # impl<F> Protocol<F> for Echo {}
/// # struct Discard;
/// # impl<F> Protocol<F> for Discard {}
///
/// struct EchoOrDiscard {
///     echo: bool,
/// }
///
/// impl Factory for EchoOrDiscard {
///     type Protocol = Box<dyn Protocol<Self>>;
///
///     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Self::Protocol> {
///         Some(if self.echo { Box::new(Echo) } else { Box::new(Discard) })
///     }
/// }
/// ```
pub trait Factory: Sized + 'static {
    /// The protocol type that the factory builds.
    type Protocol: Protocol<Self>;

    /// Builds the protocol for a new connection, or rejects the connection with `None`: the client
    /// sees a close. A panic also rejects it. (`buildProtocol`)
    ///
    /// [`connection_made`](Protocol::connection_made) follows.
    fn build_protocol(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Option<Self::Protocol>;

    /// An attempt to connect with [`connect_tcp`](Reactor::connect_tcp) has failed: the peer
    /// refused, did not answer in time ([`io::ErrorKind::TimedOut`]), or the attempt was cancelled,
    /// by a close of its transport or because the reactor drains or stops
    /// ([`io::ErrorKind::ConnectionAborted`]). An attempt by name holds an
    /// [`AttemptErrors`](crate::error::AttemptErrors) or a
    /// [`ResolveError`](crate::error::ResolveError). `transport` is the one that `connect_tcp`
    /// handed out; it behaves like that of a lost connection. (`clientConnectionFailed`)
    ///
    /// By default it logs a warning, unless the attempt was cancelled or is one of a
    /// [`ClientService`](crate::ClientService), which tries again by itself; to do so by hand,
    /// connect again with [`Connector::key`](crate::Connector::key).
    fn connection_failed(
        &mut self,
        transport: &Transport,
        error: &io::Error,
        reactor: &mut Reactor,
    ) {
        let is_expected = error.kind() == io::ErrorKind::ConnectionAborted;
        if !is_expected && reactor.service_of(transport).is_none() {
            log::warn!("cannot connect to {}: {error}", transport.peer_address());
        }
    }

    /// A [`ClientService`](crate::ClientService) of this factory will connect again after `delay`:
    /// an attempt has failed, or its connection was lost, as
    /// [`connection_failed`](Self::connection_failed) or
    /// [`connection_lost`](Protocol::connection_lost) has told just before. `transport` is that of
    /// this attempt or connection. `failures` counts the failures and losses since the service was
    /// started or was last connected for long.
    ///
    /// Does nothing by default. [`Reactor::service_of`] with `transport` returns the service, for a
    /// program that stops it after some failures.
    fn retrying(
        &mut self,
        transport: &Transport,
        delay: Duration,
        failures: u32,
        reactor: &mut Reactor,
    ) {
        let _ = (transport, delay, failures, reactor);
    }

    /// The factory comes into use: its first port is bound, its first connection attempt has begun,
    /// its first [`ClientService`](crate::ClientService) starts, or [`Reactor::add_factory`] keeps
    /// it. (`startFactory`)
    ///
    /// An error or a panic makes the `listen`, `connect_tcp`, `start` or `add_factory` that caused
    /// it fail; a port is closed again.
    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        let _ = reactor;
        Ok(())
    }

    /// The factory is no longer in use: its last port is closed, its last outgoing connection is
    /// over, its last client service has ended, and [`Reactor::add_factory`] does not keep it.
    /// (`stopFactory`)
    ///
    /// Accepted connections continue, except when the reactor stops: then they were lost before
    /// this call. If the factory comes into use again, it is started again.
    fn stop_factory(&mut self, reactor: &mut Reactor) {
        let _ = reactor;
    }
}

impl<C, P> Factory for C
where
    C: FnMut() -> P + 'static,
    P: Protocol<C> + 'static,
{
    type Protocol = P;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<P> {
        Some(self())
    }
}
