//! A connection, as protocols see it.

mod broadcast;
mod connection;
mod extras;
mod flow_control;
mod handle;
mod hub;
mod limits;
mod listener_info;
mod producer;
mod read;
mod readiness;
mod state;
mod total_limit;
mod traffic;
mod write;
mod write_buffer;

#[cfg(test)]
mod instruction_counts;

pub use broadcast::broadcast;
pub use producer::Producer;

pub(crate) use connection::ClosedStream;
pub(crate) use hub::Hub;
pub(crate) use listener_info::ListenerInfo;
pub(crate) use read::ReadOutcome;
pub(crate) use state::Action;
pub(crate) use traffic::Traffic;
pub(crate) use write::Settled;

use crate::address::{Address, PackedAddress};
use crate::arena::Id;
use crate::driver::Stream;
use crate::limits::{OverflowPolicy, RateLimits, TimeoutTracker, Timeouts};
use crate::reason::{Failure, Reason};
use bytes::Bytes;
use connection::Connection;
use producer::{HIGH_MARK, Source};
use readiness::Processing;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The identity of a connection, unique within the process: it is never reused, by this reactor or
/// another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The number of its reactor.
    pub(crate) reactor: usize,
    pub(crate) slot: Id,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({})", self.slot)
    }
}

/// A handle to a connection: write to it, close it, ask who it is.
///
/// A protocol finds its own as [`cx.transport`](crate::Context::transport). Handles may be cloned,
/// which is cheap, and kept: by the factory, by other protocols, by timers. Dropping a handle
/// closes nothing, and a handle that outlives its connection is harmless: every request to it does
/// nothing, and its addresses stay readable.
///
/// No request blocks, fails or calls back. A callback states what it wants, and the loop carries it
/// out when the callback has returned; the one exception is a large write with nothing unsent
/// before it, which the socket is offered at once.
///
/// `write!` works, through [`io::Write`]:
///
/// ```
/// use std::io::Write;
/// use twistor::{Context, Protocol};
///
/// struct Daytime;
///
/// impl<F> Protocol<F> for Daytime {
///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
///         let now = std::time::SystemTime::now();
///         // Never an error: bytes that can no longer be sent are dropped.
///         let _ = write!(cx.transport, "{now:?}\r\n");
///         cx.transport.lose_connection();
///     }
/// }
/// ```
///
/// Twisted's `ITransport` and `ITCPTransport`.
#[derive(Clone)]
pub struct Transport(Rc<Inner>);

struct Inner {
    id: Id,
    peer: PackedAddress,
    connection: RefCell<Connection>,
}

impl Transport {
    /// Sends bytes, after all that was written before.
    ///
    /// Everything that a callback writes leaves together when the callback has returned. What is
    /// written after [`lose_connection`](Self::lose_connection),
    /// [`lose_write_connection`](Self::lose_write_connection),
    /// [`abort_connection`](Self::abort_connection) or the connection's loss is dropped; but while
    /// a registered producer is waited for, it is taken. [`accepts_writes`](Self::accepts_writes)
    /// tells which.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        // The user's code, and so not to be called while the wire is held.
        let data = data.as_ref();
        self.on_write(|connection| connection.accept(data));
    }

    /// Sends shared bytes, after all that was written before. Large ones are not copied: the write
    /// buffer holds a reference to what the socket does not take at once. [`broadcast`] does this
    /// for many connections.
    ///
    /// ```
    /// use twistor::{Bytes, Transport};
    ///
    /// fn send_logo(transport: &Transport) {
    ///     transport.write_bytes(Bytes::from_static(&[0; 100_000]));
    /// }
    /// ```
    pub fn write_bytes(&self, bytes: impl Into<Bytes>) {
        // The user's code, and so not to be called while the wire is held.
        let bytes = bytes.into();
        self.on_write(|connection| connection.accept_bytes(bytes));
    }

    /// Sends several pieces, one after the other, each like a [`write`](Self::write) of its own.
    pub fn write_sequence<D: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = D>) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// Closes the connection in order: stops reading, sends all that was written, waits for a
    /// registered producer, then closes (FIN).
    ///
    /// The protocol hears `connection_lost` with [`Reason::Done`] when the last byte was handed to
    /// the operating system. If for the [`close_timeout`](crate::Settings::close_timeout) the peer
    /// accepts no byte, or the producer that is waited for gives none, the connection is reset,
    /// with [`Reason::TimedOut`] and [`TimeoutKind::Close`](crate::limits::TimeoutKind::Close).
    pub fn lose_connection(&self) {
        self.request(|connection| connection.state.lose());
    }

    /// Closes the connection at once: discards what is unsent and resets it (RST).
    ///
    /// The protocol hears `connection_lost` with [`Reason::Aborted`] later, never within the
    /// callback that asked, and in the next turn at the latest.
    pub fn abort_connection(&self) {
        self.end(Reason::Aborted);
    }

    /// Gives the connection up because of an error: it is lost with [`Reason::Failed`] when the
    /// callback returns. What was written is sent as far as the socket takes it at once; if that is
    /// not everything, or a producer is registered, the peer sees a reset (RST) and otherwise a
    /// close (FIN).
    ///
    /// Where Twisted's protocols raise an exception. A panic in a callback does the same, with
    /// [`Reason::Panicked`].
    pub fn fail(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.end(Reason::Failed(Arc::new(Failure::new(error.into()))));
    }

    /// Closes the sending half once all that was written is sent (FIN); reading goes on. The
    /// protocol then hears `write_connection_lost`.
    ///
    /// When the peer closes its half as well, the connection ends by itself with [`Reason::Done`].
    pub fn lose_write_connection(&self) {
        self.request(|connection| connection.state.lose_write());
    }

    /// Stops reading until [`resume_reading`](Self::resume_reading): the peer's bytes wait in the
    /// operating system, and in the end the peer. Writing goes on, and an error of the connection
    /// is still noticed; the peer's orderly close is not, for it comes after its bytes.
    ///
    /// Twisted's `pauseProducing` of a transport.
    pub fn pause_reading(&self) {
        self.request(|connection| {
            connection.state.pause();
            false
        });
    }

    /// Goes on reading. The protocol first hears `reading_resumed`. Does nothing unless reading is
    /// paused.
    ///
    /// Twisted's `resumeProducing` of a transport.
    pub fn resume_reading(&self) {
        self.request(|connection| connection.state.resume());
    }

    /// Cooperative yielding: returns control to the event loop before the protocol has processed
    /// everything it received. `data_received` is called again in a later turn, with no bytes,
    /// before anything else is read. The protocol keeps the unprocessed bytes itself.
    ///
    /// For protocols that split their input, when
    /// [`Reactor::should_yield`](crate::Reactor::should_yield) returns true. Does nothing once the
    /// connection is closing.
    ///
    /// ```
    /// use std::collections::VecDeque;
    /// use twistor::{Context, Protocol};
    ///
    /// /// Works for a while on each byte.
    /// struct Digits(VecDeque<u8>);
    ///
    /// impl<F> Protocol<F> for Digits {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         self.0.extend(data);
    ///         while let Some(byte) = self.0.pop_front() {
    ///             cx.transport.write(byte.to_string());
    ///             if cx.reactor.should_yield() {
    ///                 return cx.transport.yield_now();
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// [`Lines`](crate::Lines) does this by itself.
    pub fn yield_now(&self) {
        let connection = &mut *self.0.connection.borrow_mut();
        if connection.state.delivers() && connection.readiness.processing == Processing::Done {
            connection.readiness.processing = Processing::Yielded;
            connection.readiness.traffic = Traffic::Yielding;
            connection.hub().list_yielded(self.0.id);
        }
    }

    /// True while reading is paused.
    pub fn is_paused(&self) -> bool {
        self.0.connection.borrow().state.is_paused()
    }

    /// The address of the other side.
    pub fn peer_address(&self) -> Address {
        self.0.peer.unpack()
    }

    /// The address of this side.
    pub fn local_address(&self) -> Address {
        self.0.connection.borrow_mut().local_address()
    }

    /// The name of the connection.
    pub fn id(&self) -> ConnectionId {
        let reactor = self.0.connection.borrow().hub().reactor();
        ConnectionId { reactor, slot: self.slot() }
    }

    /// False from the moment in which the protocol is told `connection_lost`.
    pub fn is_connected(&self) -> bool {
        !self.0.connection.borrow().state.is_lost()
    }

    /// True once the connection is to end, by any of the requests or by an error, and until it has.
    ///
    /// Nothing is read any more, and what is written is dropped unless a producer is waited for:
    /// [`accepts_writes`](Self::accepts_writes) tells. After a write has failed, the connection
    /// first reads what has arrived, and is not disconnecting before that.
    pub fn is_disconnecting(&self) -> bool {
        self.0.connection.borrow().state.is_disconnecting()
    }

    /// True if what is written now is taken, false if it is dropped: because this side's half is
    /// closed or to be closed and no registered producer is waited for, or because the connection
    /// ends. What the limits say comes on top of this; see
    /// [`set_max_unsent`](Self::set_max_unsent).
    pub fn accepts_writes(&self) -> bool {
        self.0.connection.borrow().takes_writes()
    }

    /// Sets how many bytes may be unsent, and what becomes of a write that would bring them above
    /// that: all of it, not only what is too much. What is written while nothing is unsent is taken
    /// however long it is. Default: [`Settings::max_unsent`](crate::Settings::max_unsent), and the
    /// connection is lost. `None` is no limit. With zero a write is taken only when all before it
    /// is sent.
    pub fn set_max_unsent(&self, max_unsent: impl Into<Option<usize>>, overflow: OverflowPolicy) {
        let max_unsent = max_unsent.into().unwrap_or(usize::MAX);
        self.request(|connection| {
            let unsent = connection.unsent();
            let extras = connection.extras_mut();
            extras.overflow = overflow;
            extras.feed.set_max_unsent(max_unsent);
            // The marks may be lower now.
            extras.feed.accepted(0, unsent);
            if let Some(write_buffer) = &mut connection.write_buffer {
                write_buffer.max = max_unsent;
            }
            false
        });
        // Reading may go on that stopped at the former limit, whichever callback is running.
        self.serve_later();
    }

    /// Sets the rate limits of this connection: how many bytes are read and written in a second,
    /// from now on. They replace what was set before.
    /// [`lose_connection`](Self::lose_connection) still sends everything, at this rate. While bytes
    /// are held back here, the peer is neither idle nor too slow, and a close is not given up; the
    /// other timeouts run on.
    ///
    /// For all connections of a factory there is
    /// [`Reactor::set_rate_limits`](crate::Reactor::set_rate_limits), and for all of them together
    /// [`Reactor::set_shared_rate_limits`](crate::Reactor::set_shared_rate_limits), which counts as
    /// well.
    pub fn set_rate_limits(&self, rates: RateLimits) {
        self.change_rates(rates != RateLimits::new(), |limiters| limiters.set(rates));
    }

    /// Sets the timeouts of this connection. All of them start now, and replace what was set
    /// before. When one is over, the protocol hears [`timed_out`](crate::Protocol::timed_out).
    ///
    /// For all connections of a factory there is
    /// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts).
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.change_timeouts(|tracker| tracker.set(timeouts));
    }

    /// Sets the protocol's own timeout: unless [`reset_timeout`](Self::reset_timeout) is called
    /// within `timeout`, the protocol hears `timed_out` with
    /// [`TimeoutKind::Protocol`](crate::limits::TimeoutKind::Protocol). `None` ends it, and
    /// `Duration::MAX` is never over; less than a millisecond counts as one.
    /// (`TimeoutMixin.setTimeout`)
    pub fn set_timeout(&self, timeout: impl Into<Option<Duration>>) {
        let timeout = timeout.into();
        self.change_timeouts(|tracker| tracker.set_timeout(timeout));
    }

    /// Restarts the timeout of [`set_timeout`](Self::set_timeout). Cheap enough to be called for
    /// each message. (`TimeoutMixin.resetTimeout`)
    pub fn reset_timeout(&self) {
        self.change_timeouts(TimeoutTracker::restart_timeout);
    }

    /// Ends the timeout of [`Timeouts::handshake`]: the handshake is done.
    pub fn handshake_done(&self) {
        self.change_timeouts(TimeoutTracker::handshake_done);
    }

    /// How many writes were refused or dropped because too much was unsent; see
    /// [`set_max_unsent`](Self::set_max_unsent). Zero once the connection is lost.
    pub fn dropped_writes(&self) -> u64 {
        self.0.connection.borrow().extras.as_ref().map_or(0, |extras| extras.dropped)
    }

    /// How many written bytes the operating system has not yet taken.
    pub fn unsent(&self) -> usize {
        self.0.connection.borrow().unsent()
    }

    /// Lets something feed this connection only as fast as the peer takes it: it is paused when
    /// so much is unsent as the high-water mark says, and resumed when no more is than the
    /// low-water mark says; once each. (`registerProducer`)
    ///
    /// The producer is one of:
    ///
    /// - another connection, `&Transport`, whose protocol writes here what it receives. It is not
    ///   read while it is paused, and never more of it at once than there is room for, so that a
    ///   proxy which passes bytes on as they are never holds more than the high-water mark. When
    ///   its input has ended, or it is lost, it is unregistered. A connection may feed several
    ///   others, and reads as fast as the slowest of them; it may also feed itself.
    /// - this connection's own protocol, [`Producer::push`] or [`Producer::pull`].
    /// - something to be read, [`Producer::reader`].
    ///
    /// While a producer is registered, [`lose_connection`](Self::lose_connection) and
    /// [`lose_write_connection`](Self::lose_write_connection) wait for it to be unregistered, and
    /// what is written meanwhile is accepted. A connection that is closing waits for its next bytes
    /// no longer than the [`close_timeout`](crate::Settings::close_timeout).
    ///
    /// When the peer closes, and the protocol keeps the default
    /// [`read_connection_lost`](crate::Protocol::read_connection_lost), only a reader is waited
    /// for: other producers are stopped, since they might never come to an end.
    ///
    /// A connection that ends otherwise than by a close, and one whose producer has broken off (a
    /// reader that failed, a connection that was lost before its peer's FIN), is reset if its peer
    /// has not been sent everything, so that the peer does not take a part for the whole.
    ///
    /// When this connection is lost or aborted first, the producer is stopped: a connection loses
    /// its connection, in order; a reader is dropped; a protocol hears `connection_lost` in any
    /// case. So is a producer that is registered with a connection which is lost or closing.
    /// (`stopProducing`)
    ///
    /// A connection has one producer. A second one is a mistake, and fails the connection: see
    /// [`fail`](Self::fail).
    ///
    /// ```
    /// use twistor::{Context, Protocol, Transport};
    ///
    /// /// One half of a proxy.
    /// struct Passing {
    ///     other: Transport,
    /// }
    ///
    /// impl<F> Protocol<F> for Passing {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         self.other.register_producer(cx.transport);
    ///     }
    ///
    ///     fn data_received(&mut self, _cx: &mut Context<'_, F>, data: &[u8]) {
    ///         self.other.write(data);
    ///     }
    ///
    ///     fn read_connection_lost(&mut self, _cx: &mut Context<'_, F>) {
    ///         self.other.lose_write_connection();
    ///     }
    /// }
    /// ```
    pub fn register_producer(&self, producer: impl Into<Producer>) {
        match producer.into().0 {
            Source::Connection(producer) => self.register_connection(&producer),
            source => {
                self.register_source(source);
            }
        }
    }

    /// Takes the producer's promise that nothing more will come. A connection that is being lost
    /// goes on with that. Does nothing if there is none. (`unregisterProducer`)
    ///
    /// Connections and readers that have come to their end are unregistered without being asked. A
    /// protocol that has told its peer of a reader's error, and keeps the connection, calls this to
    /// say that nothing is missing any more.
    pub fn unregister_producer(&self) {
        let source = self.take_source();
        // Whatever a former one has left out, the protocol has taken care of it.
        self.on_extras(|extras| extras.feed.broken_off = false);
        if let Some(Source::Connection(producer)) = &source {
            if let Some(producer) = producer.upgrade().map(Self) {
                producer.remove_consumer(self);
                producer.serve_later();
            }
        }
    }

    /// Whether a registered producer should write more now: false once as much was written since
    /// the callback began, or is unsent, as the high-water mark says, and when nothing is accepted
    /// any more. Without a producer it only tells whether less is unsent than the mark says.
    ///
    /// This is how a producer that writes in a loop knows when to stop:
    /// [`unsent`](Self::unsent) does not tell, since large writes may go to the operating system at
    /// once. A producer that was registered with [`Producer::push`] and is told no hears
    /// `producing_resumed` as soon as there is room, without `producing_paused` before; so it can
    /// rely on being called again. For one that was registered with [`Producer::pull`] the next
    /// `producing_resumed` follows anyway. (Netty's `Channel.isWritable`.)
    ///
    /// ```
    /// use twistor::{Context, Producer, Protocol};
    ///
    /// /// Sends the numbers up to a million, a line each.
    /// struct Numbers(u32);
    ///
    /// impl Numbers {
    ///     fn produce<F>(&mut self, cx: &mut Context<'_, F>) {
    ///         while self.0 < 1_000_000 {
    ///             if !cx.transport.may_produce() {
    ///                 return; // Until `producing_resumed`.
    ///             }
    ///             self.0 += 1;
    ///             cx.transport.write(format!("{}\r\n", self.0));
    ///         }
    ///         cx.transport.unregister_producer();
    ///         cx.transport.lose_connection();
    ///     }
    /// }
    ///
    /// impl<F> Protocol<F> for Numbers {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.transport.register_producer(Producer::push());
    ///         self.produce(cx);
    ///     }
    ///
    ///     fn producing_resumed(&mut self, cx: &mut Context<'_, F>) {
    ///         self.produce(cx);
    ///     }
    /// }
    /// ```
    pub fn may_produce(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        let unsent = connection.unsent();
        connection.takes_writes()
            && match &mut connection.extras {
                Some(extras) => extras.feed.may_produce(unsent),
                None => unsent < HIGH_MARK,
            }
    }

    /// Sets the marks between which a producer is paused and resumed: with at least `high` bytes
    /// unsent it is paused, with at most `low` bytes it is resumed. Default: 64 KiB, and a quarter
    /// of it. A `low` that is not below `high` is brought there, and so is a `high` that is above
    /// what may be unsent ([`set_max_unsent`](Self::set_max_unsent)), such as `usize::MAX`. A
    /// `high` of zero counts as one.
    pub fn set_water_marks(&self, high: usize, low: usize) {
        self.request(|connection| {
            let unsent = connection.unsent();
            let extras = connection.extras_mut();
            extras.feed.set_marks(high, low);
            extras.feed.accepted(0, unsent);
            true
        });
    }

    /// Whether small segments are sent at once (`TCP_NODELAY`). On from the start, for what a
    /// callback writes leaves in one piece anyway; Twisted leaves it off.
    ///
    /// Does nothing on a connection that is lost.
    pub fn set_tcp_no_delay(&self, on: bool) -> io::Result<()> {
        self.on_stream(|stream| stream.set_no_delay(on))
    }

    /// Whether the operating system probes an idle peer (`SO_KEEPALIVE`), at its own intervals. Off
    /// from the start.
    ///
    /// Does nothing on a connection that is lost.
    pub fn set_tcp_keep_alive(&self, on: bool) -> io::Result<()> {
        self.on_stream(|stream| stream.set_keep_alive(on))
    }

    fn on_stream(&self, call: impl FnOnce(&dyn Stream) -> io::Result<()>) -> io::Result<()> {
        match self.0.connection.borrow().stream() {
            Some(stream) => call(stream),
            None => Ok(()),
        }
    }
}

impl Write for &Transport {
    /// [`Transport::write`]: accepts everything, always.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Transport::write(self, data);
        Ok(data.len())
    }

    /// Does nothing: the loop sends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Transport {
    /// [`Transport::write`]: accepts everything, always.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Self::write(self, data);
        Ok(data.len())
    }

    /// Does nothing: the loop sends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two handles are equal if they are of the same connection.
impl PartialEq for Transport {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Transport {}

impl Hash for Transport {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.0.connection.borrow();
        f.debug_struct("Transport")
            .field("id", &self.0.id)
            .field("peer", &self.peer_address())
            .field("state", &connection.state.name())
            .field("unsent", &connection.unsent())
            .finish_non_exhaustive()
    }
}
