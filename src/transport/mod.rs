//! Transport: the handle through which protocols write to, limit and close a connection.

mod broadcast;
mod connection;
mod descriptor_queue;
mod extras;
mod flow_control;
mod handle;
mod held;
mod hub;
mod limits;
mod listener_info;
mod producer;
mod proxied;
mod read;
mod readiness;
mod state;
#[cfg(feature = "tls")]
mod tls;
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

use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::descriptor::Descriptor;
use crate::driver::Stream;
use crate::limits::{OverflowPolicy, RateLimits, TimeoutTracker, Timeouts};
use crate::proxy_protocol::ProxyHeader;
use crate::reason::{Failure, Reason, TimeoutKind};
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

/// The identity of a connection, unique within the process: ids are never reused, by this reactor
/// or another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The number of the connection's reactor.
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

/// A handle to a connection: writes to it, limits it, closes it, and knows its addresses.
///
/// A protocol finds its own handle as [`cx.transport`](crate::Context::transport). Handles are
/// cheap to clone, and may be kept by the factory, by other protocols and by timers. Dropping a
/// handle closes nothing. A handle may outlive its connection: requests to it then do nothing, and
/// its addresses stay readable.
///
/// No request blocks or calls back, and only the socket options and
/// [`send_descriptor`](Self::send_descriptor) can fail. Requests take effect when the callback has
/// returned. There are two exceptions: a large write to an empty write buffer, and a write at a
/// limit on unsent bytes, are offered to the socket at once.
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
/// A transport belongs to the thread of its reactor. Another thread keeps the connection's
/// [`id`](Self::id) and a [`Remote`](crate::Remote) instead, and reaches the connection from a call
/// on the reactor's thread, by [`with_protocol`](crate::Reactor::with_protocol).
///
/// Twisted's `ITransport` and `ITCPTransport`.
#[derive(Clone)]
pub struct Transport(Rc<Inner>); // Other threads: a `Remote`, and the `id()` of the connection.

struct Inner {
    id: Id,
    connection: RefCell<Connection>,
}

impl Transport {
    /// Writes bytes: appends them to the write buffer, after everything that was written before.
    ///
    /// What a callback writes leaves together when the callback has returned; a write of at least 8
    /// KiB to an empty write buffer is offered to the socket at once. [`unsent`](Self::unsent)
    /// tells how many bytes wait, [`set_max_unsent`](Self::set_max_unsent) limits them, and
    /// [`register_producer`](Self::register_producer) writes no faster than the peer reads.
    ///
    /// Writes are dropped after [`lose_connection`](Self::lose_connection),
    /// [`lose_write_connection`](Self::lose_write_connection),
    /// [`abort_connection`](Self::abort_connection), [`fail`](Self::fail) and the loss of the
    /// connection. While a close waits for a registered producer, they are still accepted.
    /// [`accepts_writes`](Self::accepts_writes) tells which.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        // `as_ref` is user code: it must not run while the connection is borrowed.
        let data = data.as_ref();
        self.on_write(|connection| connection.accept(data));
    }

    /// Writes shared bytes without copying them, after everything that was written before. The
    /// write buffer keeps a reference to what the socket does not take; with an empty one, the
    /// bytes are offered to the socket at once. Fewer than 4 KiB are copied, as by
    /// [`write`](Self::write). [`broadcast`] does this for many connections.
    ///
    /// ```
    /// use twistor::{Bytes, Transport};
    ///
    /// fn send_logo(transport: &Transport) {
    ///     transport.write_bytes(Bytes::from_static(&[0; 100_000]));
    /// }
    /// ```
    pub fn write_bytes(&self, bytes: impl Into<Bytes>) {
        // `into` is user code: it must not run while the connection is borrowed.
        let bytes = bytes.into();
        self.on_write(|connection| connection.accept_bytes(bytes));
    }

    /// Sends a descriptor over a Unix socket, with the next byte that is written: the peer receives
    /// it after everything that was written before, and no later than that byte. This process's
    /// copy is closed when it has been sent, or with the connection. (`sendFileDescriptor`)
    ///
    /// A descriptor after which nothing is written is not sent. At most sixteen may wait, on one
    /// connection.
    ///
    /// ```no_run
    /// use std::fs::File;
    /// use std::io;
    /// use twistor::Transport;
    ///
    /// fn hand_over(log: File, transport: &Transport) -> io::Result<()> {
    ///     transport.send_descriptor(log)?;
    ///     transport.write("log\r\n");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The descriptor is closed, and not sent: [`Unsupported`](io::ErrorKind::Unsupported) if the
    /// connection is not one over a Unix socket of the operating system,
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if [writes are not
    /// accepted](Self::accepts_writes), [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if sixteen
    /// wait.
    pub fn send_descriptor(&self, descriptor: impl Into<Descriptor>) -> io::Result<()> {
        // `into` is user code: it must not run while the connection is borrowed.
        let descriptor = descriptor.into();
        self.0.connection.borrow_mut().accept_descriptor(descriptor)
    }

    /// Writes several pieces in order, with one [`write`](Self::write) for each. (`writeSequence`)
    pub fn write_sequence<D: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = D>) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// Closes the connection gracefully: stops reading, sends everything that was written, waits
    /// for a registered producer, then closes (FIN).
    ///
    /// What was written after [`start_tls`](Self::start_tls) waits for the end of the handshake,
    /// and so does the close: the protocol still hears `handshake_completed`, or that the handshake
    /// timeout has expired.
    ///
    /// The protocol hears `connection_lost` with [`Reason::Done`] when the operating system has
    /// taken the last byte. (`loseConnection`)
    ///
    /// Close timeout: if the peer accepts no byte for the
    /// [`close_timeout`](crate::Settings::close_timeout) (60 seconds by default), or the producer
    /// gives none, the connection is reset. The reason is then [`Reason::TimedOut`] with
    /// [`TimeoutKind::Close`](crate::limits::TimeoutKind::Close).
    pub fn lose_connection(&self) {
        self.request(|connection| connection.state.lose());
    }

    /// Aborts the connection: discards the write buffer and resets the connection (RST).
    ///
    /// The protocol hears `connection_lost` with [`Reason::Aborted`] later: never within the
    /// callback that asked, and in the next turn at the latest. (`abortConnection`)
    pub fn abort_connection(&self) {
        self.end(Reason::Aborted);
    }

    /// Fails the connection: it ends with [`Reason::Failed`] when the callback has returned.
    ///
    /// What was written is still offered to the socket, without waiting. If the socket does not
    /// take all of it, or a producer has not finished, the peer sees a reset (RST), otherwise a
    /// close (FIN).
    ///
    /// Twisted's protocols raise an exception instead. A panic in a callback does the same as this,
    /// with [`Reason::Panicked`].
    pub fn fail(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.end(Reason::Failed(Arc::new(Failure::new(error.into()))));
    }

    /// Times the connection out: it ends with [`Reason::TimedOut`] when the callback has returned.
    ///
    /// Written bytes are sent on a best-effort basis, without waiting, as with
    /// [`fail`](Self::fail); for [`TimeoutKind::MinRate`] the connection is reset, since the peer
    /// takes nothing.
    ///
    /// This is what [`timed_out`](crate::Protocol::timed_out) does by default; an override calls it
    /// for the kinds that it does not treat itself.
    pub fn time_out(&self, kind: TimeoutKind) {
        self.end(Reason::TimedOut(kind));
    }

    /// Drains the connection: closes it gracefully, as [`lose_connection`](Self::lose_connection)
    /// does, unless it is the producer of another one. That one would miss what this one still has
    /// to deliver, so this one runs to its own end.
    ///
    /// This is what [`drain_requested`](crate::Protocol::drain_requested) does by default; an
    /// override calls it when it has finished.
    pub fn drain(&self) {
        if !self.feeds_another() {
            self.lose_connection();
        }
    }

    /// Passive close: closes gracefully after the peer has. This side sends everything that was
    /// written, and everything that a registered [`Producer::reader`](crate::Producer::reader)
    /// still has, and then closes as well. Any other producer is stopped.
    ///
    /// [`lose_connection`](Self::lose_connection) waits for every producer instead, even for one
    /// that never ends.
    ///
    /// This is what [`read_connection_lost`](crate::Protocol::read_connection_lost) does by
    /// default; an override calls it when it has written what it has to say.
    pub fn close_passively(&self) {
        self.lose_connection();
        self.stop_endless_producer();
    }

    /// Half-closes the connection: closes the sending half (FIN) once everything that was written
    /// is sent, and a registered producer has finished. Reading continues. The protocol then hears
    /// `write_connection_lost`. (`loseWriteConnection`)
    ///
    /// During the handshake of [`start_tls`](Self::start_tls) this waits until it is complete.
    ///
    /// When the peer closes its half as well, the connection ends by itself with [`Reason::Done`].
    /// If it has done so already, the [`close_timeout`](crate::Settings::close_timeout) applies, as
    /// for [`lose_connection`](Self::lose_connection).
    pub fn lose_write_connection(&self) {
        self.request(|connection| connection.state.lose_write());
    }

    /// Pauses reading until [`resume_reading`](Self::resume_reading). Backpressure: the peer's
    /// bytes wait in the operating system, and when its buffers are full, the peer can send no
    /// more.
    ///
    /// Writing continues. Meanwhile an error of the connection is still noticed; the peer's FIN is
    /// not, since it comes after its bytes.
    ///
    /// Twisted's `pauseProducing` of a transport.
    pub fn pause_reading(&self) {
        self.request(|connection| {
            connection.state.pause();
            false
        });
    }

    /// Resumes reading after [`pause_reading`](Self::pause_reading). The protocol hears
    /// `reading_resumed` before anything is read. Does nothing unless reading is paused.
    ///
    /// Twisted's `resumeProducing` of a transport.
    pub fn resume_reading(&self) {
        self.request(|connection| connection.state.resume());
    }

    /// Yields cooperatively: returns control to the event loop before the protocol has processed
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

    /// Returns true while reading is paused: from [`pause_reading`](Self::pause_reading) until
    /// [`resume_reading`](Self::resume_reading).
    pub fn is_paused(&self) -> bool {
        self.0.connection.borrow().state.is_paused()
    }

    /// Returns the peer's address, which stays readable when the connection is lost. (`getPeer`)
    pub fn peer_address(&self) -> Address {
        self.0.connection.borrow().peer.unpack()
    }

    /// Returns the PROXY header that the connection began with, if its port expects one (see
    /// [`ServerEndpoint::proxy_protocol`](crate::ServerEndpoint::proxy_protocol)), until the
    /// connection is lost.
    ///
    /// Its addresses are [`peer_address`](Self::peer_address) and
    /// [`local_address`](Self::local_address) already; the rest may be the host name that the
    /// client asked for, or an id for logs.
    pub fn proxy_header(&self) -> Option<Rc<ProxyHeader>> {
        let connection = self.0.connection.borrow();
        let proxied = connection.extras.as_ref()?.proxied.as_ref()?;
        Some(Rc::clone(&proxied.header))
    }

    /// Returns the address of the proxy that sent the [`proxy_header`](Self::proxy_header).
    pub fn proxy_address(&self) -> Option<Address> {
        let connection = self.0.connection.borrow();
        Some(connection.extras.as_ref()?.proxied.as_ref()?.proxy.clone())
    }

    /// Returns the credentials of the peer of a Unix socket; `None` over TCP. (tokio's `peer_cred`;
    /// unix(7), SO_PEERCRED, getpeereid(3))
    ///
    /// ```
    /// use twistor::{Context, Protocol};
    ///
    /// struct Control;
    ///
    /// impl<F> Protocol<F> for Control {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         match cx.transport.peer_credentials() {
    ///             Ok(Some(peer)) if peer.user_id() == 0 => cx.transport.write("welcome\r\n"),
    ///             _ => cx.transport.abort_connection(),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the connection is lost;
    /// [`Unsupported`](io::ErrorKind::Unsupported) where the system does not tell.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        let connection = self.0.connection.borrow();
        match connection.stream() {
            Some(stream) => stream.peer_credentials(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Returns the address of this side, which stays readable when the connection is lost.
    /// (`getHost`)
    pub fn local_address(&self) -> Address {
        self.0.connection.borrow_mut().local_address()
    }

    /// Returns the identity of the connection, which no other connection ever has.
    pub fn id(&self) -> ConnectionId {
        let reactor = self.0.connection.borrow().hub().reactor();
        ConnectionId { reactor, slot: self.slot() }
    }

    /// Returns true until the protocol hears `connection_lost`. An attempt to connect counts as
    /// connected.
    pub fn is_connected(&self) -> bool {
        !self.0.connection.borrow().state.is_lost()
    }

    /// Returns true while the connection is ending: from
    /// [`lose_connection`](Self::lose_connection), [`abort_connection`](Self::abort_connection),
    /// [`fail`](Self::fail) or an error until it is lost.
    /// [`lose_write_connection`](Self::lose_write_connection) does not count.
    ///
    /// Nothing is read any more, and writes are dropped unless the close waits for a producer:
    /// [`accepts_writes`](Self::accepts_writes) tells. A failed write does not end the connection
    /// before everything that has arrived is read; until then this is false. (`disconnecting`)
    pub fn is_disconnecting(&self) -> bool {
        self.0.connection.borrow().state.is_disconnecting()
    }

    /// Returns true if a write is accepted now, false if it is dropped: because this side's half is
    /// closing or closed, without a producer that the close waits for, or because the connection
    /// ends. A limit on unsent bytes applies in addition; see
    /// [`set_max_unsent`](Self::set_max_unsent).
    pub fn accepts_writes(&self) -> bool {
        self.0.connection.borrow().takes_writes()
    }

    /// Limits the write buffer to `max_unsent` bytes, and sets the policy for slow consumers: what
    /// happens to a write that would exceed the limit. `None` sets no limit. Default:
    /// [`Settings::max_unsent`](crate::Settings::max_unsent), which is 64 MiB, and
    /// [`OverflowPolicy::Close`].
    ///
    /// The policy applies to the whole write, not to its excess, and only if the socket does not
    /// take enough of the earlier bytes first. A write to an empty write buffer is accepted,
    /// however long it is. With zero a write is accepted only when everything before it is sent.
    ///
    /// The peer is not read while more than three quarters of `max_unsent` are unsent, so that one
    /// that sends and never reads cannot fill memory.
    /// [`Settings::max_unsent_total`](crate::Settings::max_unsent_total) limits all connections
    /// together.
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
        // Reading that stopped at the former limit may continue, whichever callback is running.
        self.serve_later();
    }

    /// Sets the rate limits of this connection, in bytes per second, from now on. They replace
    /// those that were set before. Default: none.
    ///
    /// Bytes above the rate wait: unread in the operating system, or in the write buffer. Meanwhile
    /// the peer is neither idle nor too slow, and the close timeout does not expire; the other
    /// timeouts continue. [`lose_connection`](Self::lose_connection) still sends everything, at
    /// this rate.
    ///
    /// [`Reactor::set_rate_limits`](crate::Reactor::set_rate_limits) sets them for all new
    /// connections of a factory.
    /// [`Reactor::set_shared_rate_limits`](crate::Reactor::set_shared_rate_limits) limits all of
    /// them together, in addition to this.
    pub fn set_rate_limits(&self, rates: RateLimits) {
        self.change_rates(rates != RateLimits::new(), |limiters| limiters.set(rates));
    }

    /// Sets the timeouts of this connection, which start now. They replace those that were set
    /// before. Default: none.
    ///
    /// When one expires, the protocol hears [`timed_out`](crate::Protocol::timed_out). A first byte
    /// that has arrived and a handshake that is done still count. The timeout of
    /// [`set_timeout`](Self::set_timeout) is kept, and starts again.
    ///
    /// [`Reactor::set_timeouts`](crate::Reactor::set_timeouts) sets them for all new connections of
    /// a factory.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.change_timeouts(|tracker| tracker.set(timeouts));
    }

    /// Sets the protocol's own timeout: unless [`reset_timeout`](Self::reset_timeout) is called
    /// within `timeout`, the protocol hears [`timed_out`](crate::Protocol::timed_out) with
    /// [`TimeoutKind::Protocol`](crate::limits::TimeoutKind::Protocol). Received and sent bytes do
    /// not restart it.
    ///
    /// `None` removes it, as by default. Less than a millisecond counts as one; `Duration::MAX`
    /// never expires. It has no effect while the connection is closing. (`TimeoutMixin.setTimeout`)
    pub fn set_timeout(&self, timeout: impl Into<Option<Duration>>) {
        let timeout = timeout.into();
        self.change_timeouts(|tracker| tracker.set_timeout(timeout));
    }

    /// Restarts the timeout of [`set_timeout`](Self::set_timeout). Cheap enough to be called for
    /// each message. (`TimeoutMixin.resetTimeout`)
    pub fn reset_timeout(&self) {
        self.change_timeouts(TimeoutTracker::restart_timeout);
    }

    /// Declares the handshake done, which ends the handshake timeout; see [`Timeouts::handshake`].
    pub fn handshake_done(&self) {
        self.change_timeouts(TimeoutTracker::handshake_done);
    }

    /// Returns how many writes were rejected or dropped because the write buffer was at its limit;
    /// see [`set_max_unsent`](Self::set_max_unsent). Zero once the connection is lost.
    pub fn dropped_writes(&self) -> u64 {
        self.0.connection.borrow().extras.as_ref().map_or(0, |extras| extras.dropped)
    }

    /// Returns the number of unsent bytes: written, and not yet taken by the operating system.
    pub fn unsent(&self) -> usize {
        self.0.connection.borrow().unsent()
    }

    /// Registers a producer, which feeds this connection no faster than the peer reads.
    /// Backpressure: the producer is paused at the high-water mark, 64 KiB unsent by default, and
    /// resumed at the low-water mark, 16 KiB; once each. [`set_water_marks`](Self::set_water_marks)
    /// sets others. (`registerProducer`)
    ///
    /// The producer is one of these:
    ///
    /// - Another connection, `&Transport`, whose protocol writes here what it receives. It is not
    ///   read while it is paused, and otherwise no more is read than there is room for: a proxy
    ///   that passes bytes on unchanged never holds more than the high-water mark. It is
    ///   unregistered when its input ends, or it is lost. A connection may feed several others, and
    ///   then reads as fast as the slowest of them; it may also feed itself.
    /// - This connection's own protocol, [`Producer::push`] or [`Producer::pull`].
    /// - Something to be read, such as a file: [`Producer::reader`].
    ///
    /// Closing waits for the producer: after [`lose_connection`](Self::lose_connection) or
    /// [`lose_write_connection`](Self::lose_write_connection), writes are accepted until it is
    /// unregistered. A connection that is closing waits for its next bytes no longer than the
    /// [`close_timeout`](crate::Settings::close_timeout).
    ///
    /// When the peer closes, the default
    /// [`read_connection_lost`](crate::Protocol::read_connection_lost) waits only for a reader.
    /// Other producers are stopped, since they might never finish.
    ///
    /// A part is never taken for the whole. The peer sees a reset instead of a FIN if the
    /// connection ends otherwise than by a close before everything was sent, or if it is closing
    /// and its producer breaks off. A producer breaks off if it is a reader that fails, or a
    /// connection that is lost before its peer's FIN.
    ///
    /// When this connection is lost or aborted first, the producer is stopped: a connection is
    /// closed gracefully, a reader is dropped, and a protocol hears `connection_lost` in any case.
    /// A producer that is registered with a lost or closing connection is stopped likewise.
    /// (`stopProducing`)
    ///
    /// A connection has one producer. Registering a second one is a mistake, and
    /// [fails](Self::fail) the connection.
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

    /// Unregisters the producer: nothing more will come from it. A close that waits for it
    /// continues. Does nothing without a producer. (`unregisterProducer`)
    ///
    /// Connections and readers that have finished are unregistered by themselves. After a producer
    /// broke off, a protocol that keeps the connection calls this to declare that nothing is
    /// missing any more.
    pub fn unregister_producer(&self) {
        let source = self.take_source();
        // If an earlier producer broke off, the protocol has made up for it.
        self.on_extras(|extras| extras.feed.broken_off = false);
        if let Some(Source::Connection(producer)) = &source {
            if let Some(producer) = producer.upgrade().map(Self) {
                producer.remove_consumer(self);
                producer.serve_later();
            }
        }
    }

    /// Returns true if a producer should write more now. False once the high-water mark is reached,
    /// by the bytes written since the callback began or by those unsent, and when writes are not
    /// accepted any more. Without a producer only the unsent bytes count.
    ///
    /// A producer that writes in a loop asks this to know when to stop; [`unsent`](Self::unsent)
    /// does not tell, since large writes may go to the socket at once. After a false, a
    /// [`Producer::push`] hears `producing_resumed` as soon as there is room, without
    /// `producing_paused` before, so it can rely on being called again. For a [`Producer::pull`]
    /// the next `producing_resumed` follows anyway. (Netty's `Channel.isWritable`.)
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
    #[must_use = "the answer says whether to write more now, or to wait for `producing_resumed`"]
    pub fn may_produce(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        let unsent = connection.unsent();
        connection.takes_writes()
            && match &mut connection.extras {
                Some(extras) => extras.feed.may_produce(unsent),
                None => unsent < HIGH_MARK,
            }
    }

    /// Sets the water marks, in unsent bytes: a producer is paused at `high` or more, and resumed
    /// at `low` or fewer. Default: 64 KiB and 16 KiB.
    ///
    /// A `low` that is not below `high` is lowered to one below it. A `high` above the limit of
    /// [`set_max_unsent`](Self::set_max_unsent), such as `usize::MAX`, is lowered to that limit. A
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

    /// Sets `TCP_NODELAY`: whether small segments are sent at once. On by default, since what a
    /// callback writes leaves in one piece anyway; Twisted leaves it off. (`setTcpNoDelay`)
    ///
    /// Returns the operating system's error. Does nothing on a lost connection.
    pub fn set_tcp_no_delay(&self, on: bool) -> io::Result<()> {
        self.on_stream(|stream| stream.set_no_delay(on))
    }

    /// Sets `SO_KEEPALIVE`: whether the operating system probes an idle peer, at its own intervals.
    /// Off by default. (`setTcpKeepAlive`)
    ///
    /// Returns the operating system's error. Does nothing on a lost connection.
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
    /// Calls [`Transport::write`], and never fails: it returns `data.len()`.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Transport::write(self, data);
        Ok(data.len())
    }

    /// Does nothing: the event loop sends when the callback has returned.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Transport {
    /// Calls [`Transport::write`], and never fails: it returns `data.len()`.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Self::write(self, data);
        Ok(data.len())
    }

    /// Does nothing: the event loop sends when the callback has returned.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two handles are equal if they belong to the same connection.
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
