//! What users implement: protocols and factories.

use crate::delegate_callbacks;
use crate::reactor::{Reactor, TimerId};
use crate::reason::{Reason, TimeoutKind};
use crate::transport::Transport;
use std::fmt;
use std::io;
use std::time::Duration;

/// What a protocol may reach while one of its callbacks runs.
///
/// Three fields, so that they can be borrowed apart: `cx.transport.write(&cx.factory.quote)`.
#[non_exhaustive]
pub struct Context<'a, F> {
    /// This connection. Clone it to keep it.
    pub transport: &'a Transport,
    /// The factory that built this protocol, and whatever it holds for all its connections.
    pub factory: &'a mut F,
    /// The reactor: timers, ports, other factories, `stop`.
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

    /// The same context for a protocol whose factory is a part of this one: for factories that wrap
    /// others. (`WrappingFactory`)
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
    /// struct OfNamed<P>(P);
    ///
    /// impl<F: Factory> Protocol<Named<F>> for OfNamed<F::Protocol> {
    ///     delegate_callbacks! {
    ///         Named<F> => |it, cx| (&mut it.0, cx.map_factory(|named| &mut named.inner))
    ///     }
    /// }
    ///
    /// impl<F: Factory> Factory for Named<F> {
    ///     type Protocol = OfNamed<F::Protocol>;
    ///
    ///     fn build_protocol(
    ///         &mut self,
    ///         transport: &Transport,
    ///         reactor: &mut Reactor,
    ///     ) -> Option<Self::Protocol> {
    ///         println!("a client of {}", self.name);
    ///         self.inner.build_protocol(transport, reactor).map(OfNamed)
    ///     }
    /// }
    /// ```
    ///
    /// [`delegate_callbacks!`](crate::delegate_callbacks) has a wrapper that counts connections.
    pub fn map_factory<G>(&mut self, part: impl FnOnce(&mut F) -> &mut G) -> Context<'_, G> {
        Context::new(self.transport, part(self.factory), self.reactor)
    }

    /// Calls this protocol's [`timer_fired`](Protocol::timer_fired) after `delay`, unless the
    /// timer is cancelled or the connection lost before.
    ///
    /// For what needs no protocol there is [`Reactor::call_later`]. Both are cancelled, reset and
    /// asked in the same way, on the reactor.
    pub fn set_timer(&mut self, delay: Duration) -> TimerId {
        self.reactor.set_connection_timer(self.transport, delay)
    }
}

impl<F: fmt::Debug> fmt::Debug for Context<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("transport", self.transport)
            .field("factory", self.factory)
            .finish_non_exhaustive()
    }
}

/// One connection's behaviour. `F` is the factory that it lives in: `impl<F> Protocol<F> for Echo`
/// does not mind which, `impl Protocol<Chat> for Chatter` lives in a chat.
///
/// The callbacks of a connection come in this order, one at a time:
///
/// ```text
/// connection_made
///   ( data_received | timer_fired | reading_resumed
///     | producing_paused | producing_resumed | producer_finished | write_rejected
///     | drain_requested | timed_out )*
///   [ read_connection_lost ]  [ write_connection_lost ]    in either order, the above between
/// connection_lost                                          exactly once, and last
/// ```
///
/// No callback happens while another one runs, not even another connection's. A callback that
/// panics ends its own connection, with [`Reason::Panicked`], and nothing else; `connection_lost`
/// is still delivered. (Where panics abort the process, they do.)
///
/// All callbacks do nothing by default, but for
/// [`read_connection_lost`](Self::read_connection_lost),
/// [`drain_requested`](Self::drain_requested), [`timed_out`](Self::timed_out) and
/// [`producer_finished`](Self::producer_finished).
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
pub trait Protocol<F> {
    /// The connection is there. (`connectionMade`)
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// Bytes have arrived, at least one, as many as there happened to be. (`dataReceived`)
    ///
    /// Not called after `pause_reading`, `lose_connection`, `abort_connection` or `fail`.
    ///
    /// A byte of TCP urgent data (`MSG_OOB`, which a telnet client sends for Ctrl-C) is taken out
    /// of the stream and dropped; everything before and behind it arrives. Of several that come
    /// before the loop reads, Linux takes out the last and leaves the others where they are.
    /// Twisted does the same.
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        let _ = (cx, data);
    }

    /// A timer set with [`Context::set_timer`] is due.
    fn timer_fired(&mut self, cx: &mut Context<'_, F>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// Reading goes on after a pause. For a protocol that holds received bytes back itself, as
    /// [`Lines`](crate::Lines) does; `data_received` follows if more has arrived.
    fn reading_resumed(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// A timeout expired: one of [`Timeouts`](crate::limits::Timeouts) or
    /// [`Transport::set_timeout`] say. (`timeoutConnection`)
    ///
    /// By default the connection ends with [`Reason::TimedOut`]: what was written is sent as far as
    /// the socket takes it at once; for [`TimeoutKind::MinRate`] the peer is reset, since it takes
    /// nothing. A protocol that overrides it may say goodbye and close, or let the connection live:
    /// the deadline then counts anew.
    fn timed_out(&mut self, cx: &mut Context<'_, F>, kind: TimeoutKind) {
        cx.transport.time_out(kind);
    }

    /// The reactor drains: it stops, but lets connections end; see
    /// [`Reactor::stop_gracefully`]. Called once, and not if the connection is ending already.
    ///
    /// By default this loses the connection in an orderly way, unless it feeds another one as its
    /// producer: what it still has to give would be missing there, so that one comes to its own
    /// end. A protocol with something to finish overrides it, and closes when that is done; at the
    /// deadline the connection is cut off.
    fn drain_requested(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.drain();
    }

    /// So much is unsent that this protocol, registered with
    /// [`Producer::push`](crate::Producer::push), should write no more for now.
    /// (`pauseProducing`)
    fn producing_paused(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// This protocol, registered as a producer, may write again; one registered with
    /// [`Producer::pull`](crate::Producer::pull) is asked to. (`resumeProducing`)
    fn producing_resumed(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// What was registered with [`Producer::reader`](crate::Producer::reader) has come to its end,
    /// after so many bytes, or to an error, and is unregistered. What was read has been written,
    /// and perhaps not yet sent. Not called if the connection is lost before.
    ///
    /// By default an error fails the connection.
    fn producer_finished(&mut self, cx: &mut Context<'_, F>, result: io::Result<u64>) {
        if let Err(error) = result {
            cx.transport.fail(error);
        }
    }

    /// So many writes were refused since this was last called, because too much is unsent; see
    /// [`OverflowPolicy::Reject`](crate::limits::OverflowPolicy::Reject).
    fn write_rejected(&mut self, cx: &mut Context<'_, F>, count: usize) {
        let _ = (cx, count);
    }

    /// The peer has closed its sending half (FIN): no more data will come.
    /// (`IHalfCloseableProtocol.readConnectionLost`)
    ///
    /// By default this loses the connection: what was written is still sent, and what a registered
    /// [`Producer::reader`](crate::Producer::reader) gives, then this side closes as well. Any
    /// other producer is stopped instead of waited for. A protocol that overrides it can
    /// write more, and has to close in the end.
    fn read_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.follow_peer();
    }

    /// This side's sending half is closed, as
    /// [`lose_write_connection`](Transport::lose_write_connection) asked.
    /// (`IHalfCloseableProtocol.writeConnectionLost`)
    fn write_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        let _ = cx;
    }

    /// The connection is gone; the protocol is dropped next. (`connectionLost`)
    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &Reason) {
        let _ = (cx, reason);
    }
}

impl<F, P: Protocol<F> + ?Sized> Protocol<F> for Box<P> {
    delegate_callbacks! { F => |boxed, cx| (&mut **boxed, cx) }
}

/// Builds a protocol for each connection, and holds what they share.
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
/// For different protocols behind one port, let `Protocol` be `Box<dyn Protocol<Self>>`. (A closure
/// cannot return such boxes: its own type would be a part of itself.)
pub trait Factory: Sized + 'static {
    /// What it builds.
    type Protocol: Protocol<Self>;

    /// Builds the protocol for a new connection, or refuses it with `None`: the client sees a
    /// close. A panic refuses as well. (`buildProtocol`)
    ///
    /// [`connection_made`](Protocol::connection_made) follows.
    fn build_protocol(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Option<Self::Protocol>;

    /// A connection that [`connect_tcp`](Reactor::connect_tcp) was asked for could not be made: the
    /// peer refused, did not answer in time ([`io::ErrorKind::TimedOut`]), or it was given up
    /// ([`io::ErrorKind::ConnectionAborted`]). The transport is the one that was handed out, and is
    /// as one that is lost. (`clientConnectionFailed`)
    ///
    /// Does nothing by default. To try again, connect again with
    /// [`Connector::key`](crate::Connector::key).
    fn connection_failed(
        &mut self,
        transport: &Transport,
        error: &io::Error,
        reactor: &mut Reactor,
    ) {
        let _ = (transport, error, reactor);
    }

    /// The factory begins to be used: its first port is bound, or its first connection begun.
    /// (`startFactory`)
    ///
    /// An error, or a panic, fails the `listen` or `connect_tcp` that caused it; the port is closed
    /// again.
    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        let _ = reactor;
        Ok(())
    }

    /// The factory's last port is closed, and the last connection that it has begun is over.
    /// (`stopFactory`)
    ///
    /// Connections that were accepted then go on, except when the reactor stops: then they were
    /// lost before. If the factory is listened with again, it is started again.
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
