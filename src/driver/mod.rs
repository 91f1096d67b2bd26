//! The interface to the outside world: the clock, the poller and the sockets.
//!
//! The reactor, its transports and its protocols reach the outside world only through the traits in
//! this file, so that they run unchanged on any [`Driver`]. [`MioDriver`] is the driver for the
//! operating system.
//!
//! The event loop relies on these guarantees of a [`Driver`]:
//!
//! - *Edge-triggered.* [`Driver::wait`] reports a stream when it becomes readable or writable, and
//!   need not repeat it; the loop reads and writes until it gets `WouldBlock` or a short count that
//!   the stream calls final. A FIN or urgent data may share an edge with data, and is then reported
//!   with it.
//! - *Stale reports are harmless.* Ids are never reused; the loop drops reports with unknown ids.
//! - *Time* only moves forward.
//!
//! A [`Stream`] is a socket, or a [`Layer`] on one, as for encryption. A layer may hold bytes in
//! both directions: bytes that `write` took and the socket has not, and bytes that it has read from
//! the socket and not yet returned. The loop relies on these guarantees:
//!
//! - *Held bytes are unsent.* [`Layer::held`] counts them, and [`Layer::flush`] hands them on. They
//!   are bounded: a layer that holds as much as it may answers a write as a full socket does.
//! - *`WouldBlock` is the socket's.* A read says it only when the layer and the socket are both
//!   empty, and a write or a flush only when the socket is full: then an edge is sure to follow.
//! - *Bytes in a layer bring no edge.* After a short count the loop reads on, unless the layer
//!   calls the count final ([`Stream::short_read_is_final`]).

#[cfg(unix)]
mod adopted;
mod any_stream;
#[cfg(unix)]
mod descriptors;
mod handoff;
mod handoff_listener;
mod handoffs;
#[cfg(target_os = "linux")]
mod inherit_error;
#[cfg(target_os = "linux")]
mod inherited;
#[cfg(any(feature = "testing", feature = "tls"))]
mod layer;
mod mio;
mod notification;
mod own_program;
#[cfg(unix)]
mod peer_credentials;
#[cfg(any(test, feature = "testing"))]
#[cfg(feature = "testing")]
mod record_stream;
mod resolver_threads;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(target_os = "linux")]
mod service_manager;
mod signal_name;
#[cfg(all(unix, feature = "signals"))]
mod signals;
#[cfg(unix)]
mod socket_file;
mod tcp_listener;
mod tcp_stream;
mod thread_pool;
#[cfg(feature = "tls")]
mod tls_stream;
#[cfg(unix)]
mod unix_address;
#[cfg(unix)]
mod unix_listener;
#[cfg(unix)]
mod unix_stream;

pub(crate) use self::mio::MioDriver;
pub(crate) use any_stream::AnyStream;
pub(crate) use handoff::{Adopter, Handoff};
pub(crate) use handoff_listener::HandoffListener;
pub(crate) use handoffs::Handoffs;
pub(crate) use notification::Notification;
pub(crate) use own_program::StartedProgram;
#[cfg(any(test, feature = "testing"))]
#[cfg(feature = "testing")]
pub(crate) use record_stream::RecordStream;
pub(crate) use signal_name::{STOPPING, signal_name};
pub(crate) use thread_pool::Work;
#[cfg(feature = "tls")]
pub(crate) use tls_stream::TlsStream;

use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::descriptor::Descriptor;
use crate::endpoint::{ClientCarrier, ServerCarrier};
use crate::resolver::{Answer, Resolver};
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;
use std::fmt::Debug;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock, a poller, and the source of ports, connections, threads and randomness.
pub(crate) trait Driver: Debug {
    fn now(&self) -> Instant;

    /// Returns true if at least `time` has passed since `since`.
    fn is_time_up(&self, since: Instant, time: Duration) -> bool {
        self.now().saturating_duration_since(since) >= time
    }

    /// Returns the seed of the reactor's pseudo-random numbers.
    fn seed(&mut self) -> u64;

    /// Waits until something is ready or `timeout` has passed, and appends what is ready. With
    /// `None` it waits for ever. May return early.
    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()>;

    /// Lets other threads that are ready to run on this core run first.
    fn sched_yield(&self);

    /// Returns true if the last wait returned as many events as one wait can, so that more may be
    /// ready. The next wait fetches them; an outer loop gets no further notification of them.
    fn may_have_more(&self) -> bool;

    /// Opens a port, whose events carry `id`.
    fn listen(&mut self, at: &ServerCarrier, id: Id) -> io::Result<Box<dyn Listener>>;

    /// Opens a port on a socket that listens already, whose events carry `id`.
    #[cfg(unix)]
    fn adopt(&mut self, _socket: OwnedFd, _id: Id) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a port on the descriptors of another process's port, whose events carry `id`. That
    /// process owns what the port has besides, until [`Listener::set_owned`].
    fn take_over(
        &mut self,
        _port: PortDescriptors,
        _at: &ServerCarrier,
        _id: Id,
    ) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns true if ports can be taken over from other processes.
    fn takes_over(&self) -> bool {
        false
    }

    /// Starts the program of this process once more.
    fn start_program(&mut self) -> io::Result<StartedProgram> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the user of this process, as [`Stream::peer_credentials`] tells that of a peer;
    /// `None` where peers have no credentials.
    fn user_id(&self) -> Option<u32> {
        None
    }

    /// Returns what makes streams of this driver of the sockets that another reactor has accepted.
    fn adopter(&self) -> Box<dyn Adopter>;

    /// Begins to connect. The stream is registered under `id` at once, and is reported when the
    /// attempt has succeeded or failed.
    fn connect(&mut self, to: &ClientCarrier, id: Id) -> io::Result<AnyStream>;

    /// Asks for the addresses of a host, each with this port number; [`Ready::Resolved`] reports
    /// the answer. Nothing blocks. An id has one question at a time.
    ///
    /// Fails if the question cannot be asked; then there is no answer.
    fn resolve(&mut self, host: &str, port: u16, id: Id) -> io::Result<()>;

    /// Removes and returns the answer to the question with this id, if there is one.
    fn take_answer(&mut self, id: Id) -> Option<Answer>;

    /// Forgets the question with this id, or its answer.
    fn cancel_resolve(&mut self, id: Id);

    /// Asks this resolver from now on, instead of the operating system.
    fn set_resolver(&mut self, resolver: Arc<dyn Resolver>);

    /// Runs work that may block, on one of at most `max_blocking_threads` threads. Fails if no
    /// thread can be started; the work is dropped.
    fn spawn_blocking(&mut self, work: Work, max_blocking_threads: usize) -> io::Result<()>;

    /// Removes and returns the work that no thread has begun.
    fn take_waiting_work(&mut self) -> Vec<Work>;

    /// Returns a handle that ends a wait from another thread.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Installs handlers: from now on SIGINT and SIGTERM are reported as [`Ready::Signal`].
    fn install_signal_handlers(&mut self) -> io::Result<()>;

    /// Restores what signals did before [`install_signal_handlers`](Self::install_signal_handlers).
    fn restore_signal_handlers(&mut self);

    /// Reports another signal as [`Ready::Signal`] from now on, whether `run` or `turn` runs the
    /// loop, until [`unwatch_signal`](Self::unwatch_signal) or the end of the driver.
    fn watch_signal(&mut self, name: &'static str) -> io::Result<()>;

    /// Restores what a signal did before [`watch_signal`](Self::watch_signal).
    fn unwatch_signal(&mut self, name: &'static str);

    /// Finds the service manager that wants to hear from this process, if there is one. As a
    /// successor, the process also answers for what the manager asks of its predecessor.
    fn find_service_manager(&mut self, is_successor: bool) -> io::Result<Option<ServiceManager>>;

    /// Sends a notification to the service manager that was found, without blocking. `WouldBlock`
    /// means that there is no room for it now.
    fn notify_service_manager(&mut self, notification: &Notification) -> io::Result<()>;

    /// Returns a descriptor that is readable when [`wait`](Self::wait) would return, for another
    /// loop to poll.
    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_>;
}

/// What a service manager asks of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceManager {
    /// The longest time between two [`Notification::Watchdog`]s, after which the process is killed.
    pub(crate) watchdog: Option<Duration>,
}

/// An event that a wait reports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    Stream {
        /// The packed id under which the stream is registered.
        token: usize,
        edges: Edges,
    },
    /// Clients may be waiting at the port with this packed id.
    Port(usize),
    /// The question with this packed id has an answer.
    Resolved(usize),
    /// The signal with this name has arrived.
    #[cfg_attr(
        not(all(unix, feature = "signals")),
        allow(dead_code, reason = "only scripted drivers have signals then")
    )]
    Signal(&'static str),
}

/// Readiness that the poller reports for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's FIN has arrived, perhaps after data.
    pub(crate) read_closed: bool,
    /// Urgent data has arrived, perhaps with data after it.
    pub(crate) priority: bool,
    /// The socket has a pending error.
    pub(crate) error: bool,
}

/// Combinations that simulated streams report.
#[cfg(any(test, feature = "testing"))]
impl Edges {
    pub(crate) const NONE: Self = Self {
        readable: false,
        writable: false,
        read_closed: false,
        priority: false,
        error: false,
    };
    pub(crate) const READABLE: Self = Self { readable: true, ..Self::NONE };
    #[cfg(feature = "testing")]
    pub(crate) const WRITABLE: Self = Self { writable: true, ..Self::NONE };
    /// The peer has sent a FIN.
    pub(crate) const END: Self = Self { read_closed: true, ..Self::READABLE };
    /// Urgent data has arrived.
    pub(crate) const URGENT: Self = Self { priority: true, ..Self::READABLE };
    /// The connection is broken.
    pub(crate) const BROKEN: Self = Self { writable: true, error: true, ..Self::END };

    pub(crate) fn add(&mut self, more: Self) {
        self.readable |= more.readable;
        self.writable |= more.writable;
        self.read_closed |= more.read_closed;
        self.priority |= more.priority;
        self.error |= more.error;
    }
}

/// Descriptors that come or go with one byte at most, and that wait on one connection to be sent.
/// Programs pass a few at a time: a client's socket, the three of a terminal. A peer can make this
/// process hold this many unasked.
pub(crate) const DESCRIPTORS_MAX: usize = 16;

/// Retry delay of an attempt to connect to a Unix socket that found the server's backlog full: no
/// edge ever comes for it. A server that accepts empties its backlog in a turn or two, of
/// some milliseconds each; a client of one that does not makes a hundred calls in a second.
#[cfg_attr(
    not(any(unix, feature = "testing")),
    allow(dead_code, reason = "the system has no such sockets")
)]
pub(crate) const UNIX_CONNECT_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The error number of a system without buffers for its network, for the model of it.
#[cfg(all(feature = "testing", unix))]
pub(crate) const ENOBUFS: i32 = libc::ENOBUFS;
/// `WSAENOBUFS`.
#[cfg(all(feature = "testing", not(unix)))]
pub(crate) const ENOBUFS: i32 = 10055;

/// Whether a short read means that a socket of the operating system is empty, unless an edge said
/// otherwise (see [`Stream::short_read_is_final`]). Linux reports everything that ends a read
/// early: the peer's FIN and urgent data. Other systems also stop a read at the mark of urgent
/// data, and `mio` has no event for it there, so their sockets are read until a call would block.
const SHORT_READ_IS_FINAL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether a short write means that a socket of the operating system is full, so that an edge is
/// certain to follow. Where `mio` emulates edges, it does so when a call would block; there each
/// socket is written to until then.
const SHORT_WRITE_IS_FINAL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

/// Returns true if accept(2) failed for lack of descriptors or memory, and not because of one
/// client.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    #[cfg(unix)]
    const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    #[cfg(not(unix))]
    const EXHAUSTED: [i32; 0] = [];
    error.raw_os_error().is_some_and(|errno| EXHAUSTED.contains(&errno))
}

/// Ends a wait from another thread; see [`Driver::waker`].
pub(crate) trait Wake: Debug + Send + Sync {
    fn wake(&self);
}

/// Does nothing, for drivers that never sleep.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct NoWake;

#[cfg(test)]
impl Wake for NoWake {
    fn wake(&self) {}
}

/// A listening port. Dropping it closes it.
pub(crate) trait Listener: Debug {
    /// Returns the address that it listens on, with the port that the system chose if it was asked
    /// to.
    fn address(&self) -> Address;

    /// Accepts a client, like `accept(2)`, which on Linux fails for lack of descriptors before it
    /// checks whether a client is waiting.
    fn accept(&mut self) -> io::Result<(AnyStream, Address)>;

    /// Accepts a client for the reactor of another thread. Otherwise as [`accept`](Self::accept).
    fn accept_handoff(&mut self) -> io::Result<(Handoff, Address)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lets no further client wait, as far as that is possible; those that wait already can still
    /// be accepted. Called before the last ones are.
    fn seal(&mut self) {}

    /// Accepts a client, when out of descriptors, with the descriptor held in reserve, which is
    /// then used up. `WouldBlock` means that no client is waiting, and any other error that there
    /// is no reserve.
    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)>;

    /// Sheds up to `limit` waiting clients, so that they see a close and do not hang, and returns
    /// their number.
    fn shed(&mut self, limit: usize) -> usize;

    /// Opens the descriptor held in reserve, unless it is open.
    fn refill_reserve(&mut self);

    /// Returns duplicates of the port's descriptors, for another process to take it over. All of
    /// them share one queue of waiting clients. `None` if the port has no socket of its own.
    fn share(&self) -> io::Result<Option<PortDescriptors>> {
        Ok(None)
    }

    /// Says whether this process owns what the port has besides its socket, which closing it then
    /// removes: the file of a Unix socket and the lock on its path. A port that was taken over gets
    /// the backlog, and the mode of its file, from the process that owns it.
    fn set_owned(&mut self, _is_owned: bool) {}
}

/// The descriptors of a listening port.
#[derive(Debug)]
pub(crate) struct PortDescriptors {
    pub(crate) socket: Descriptor,
    /// The lock on the path, of a Unix socket that has a file of its process's own.
    pub(crate) lock: Option<Descriptor>,
}

/// A connected byte stream that never blocks. Dropping it closes it gracefully.
pub(crate) trait Stream: Debug {
    /// Reads like `recv(2)`: zero is the peer's FIN.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads like `recv(2)` with `MSG_PEEK`: what it returns is read again. `WouldBlock` if nothing
    /// has arrived, or the stream cannot tell.
    fn peek(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Writes like `send(2)`: a short count means that the socket is full, if
    /// [`short_write_is_final`](Self::short_write_is_final).
    fn write(&mut self, data: &[u8]) -> io::Result<usize>;

    /// Returns true if a read that returned less than it had room for has emptied the stream, so
    /// that the next bytes bring an edge of their own. A stream that returns records, or holds
    /// bytes back, returns false while there may be more. In any case the loop reads until a call
    /// would block after an edge with `read_closed` or `priority`.
    ///
    /// A layer may return true only if that same read has found the socket empty. The edge of bytes
    /// that arrived after an earlier read of the socket may have been reported already, and does
    /// not come again.
    fn short_read_is_final(&self) -> bool {
        true
    }

    /// Asked after a write that took less than it was given: whether the stream is full, so that an
    /// edge is sure to follow.
    fn short_write_is_final(&self) -> bool {
        true
    }

    /// Writes like `writev(2)`. By default it writes the pieces one after another.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        // Not every stream handles an empty write.
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            match self.write(piece) {
                Ok(count) if count == piece.len() => written += count,
                Ok(count) => return Ok(written + count),
                // The next call returns the error again.
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Sends a FIN, and continues reading. The loop calls it when a layer holds nothing. A layer
    /// that ends with a record of its own may hold that afterwards.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes a later drop reset the connection.
    fn set_abortive_close(&mut self);

    /// Returns the pending error of the socket, if there is one.
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;

    /// Returns the state of an attempt to connect: true if the connection is established, false if
    /// it is still pending.
    fn is_established(&mut self) -> io::Result<bool>;

    /// Returns the delay after which the loop checks a pending attempt to connect again, if no edge
    /// may come for it.
    fn connect_retry_delay(&self) -> Option<Duration> {
        None
    }

    /// Registers the stream under `id`, until the end of its life or
    /// [`reregister`](Self::reregister).
    fn register(&mut self, id: Id) -> io::Result<()>;

    /// Registers the stream under another id. What is ready by now is reported again. Only a stream
    /// over TCP is asked to.
    fn reregister(&mut self, id: Id) -> io::Result<()> {
        self.register(id)
    }

    /// Returns the local address.
    fn local_addr(&self) -> io::Result<Address>;

    /// Returns the credentials of the peer; `None` if the stream has none.
    fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        Ok(None)
    }

    /// Returns true if the stream carries descriptors.
    fn carries_descriptors(&self) -> bool {
        false
    }

    /// Attaches a descriptor to the next byte that is written.
    fn attach(&mut self, descriptor: Descriptor) {
        drop(descriptor);
    }

    /// Returns true if a descriptor was received and not taken. Reads are `Interrupted` then: it
    /// comes before the bytes.
    fn has_descriptor(&self) -> bool {
        false
    }

    /// Removes and returns a descriptor that was received.
    fn take_descriptor(&mut self) -> Option<Descriptor> {
        None
    }

    /// Returns the number of a simulated connection, if a test's client is at its other end.
    #[cfg(feature = "testing")]
    fn simulated_link(&self) -> Option<u64> {
        None
    }

    fn set_no_delay(&self, on: bool) -> io::Result<()>;

    fn set_keep_alive(&self, on: bool) -> io::Result<()>;
}

/// A stream on top of another, which may hold bytes for it; see the module's documentation.
pub(crate) trait Layer: Stream {
    /// Returns how many bytes the layer holds for the socket: those that `write` took and the
    /// socket has not, and any that the layer adds, such as an answer to what it has read.
    fn held(&self) -> usize;

    /// Hands all held bytes to the socket. `WouldBlock` means that the socket was full before the
    /// last.
    fn flush(&mut self) -> io::Result<()>;

    /// Returns how many of the first held bytes are the layer's own, from the end of its handshake.
    fn held_of_handshake(&self) -> usize {
        0
    }

    /// Returns how many of the bytes that are written next leave as they are, before all that the
    /// layer holds: they were accepted before it was put on the socket. It takes them at any time.
    fn clear_left(&self) -> usize {
        0
    }

    /// Returns true while the layer cannot be written to, since the two sides have not agreed yet.
    /// Reads continue the handshake.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// Continues the handshake as far as possible without waiting. Returns true if it is complete;
    /// its last bytes may then be held, to leave with the first of a write. With `more_behind` a
    /// short read is not final (see [`Stream::short_read_is_final`]).
    fn handshake(&mut self, more_behind: bool) -> io::Result<bool> {
        let _ = more_behind;
        Ok(true)
    }

    /// Returns true once after reads have completed a handshake. Such a read is
    /// `Interrupted`: the bytes behind the handshake come with the next one.
    fn take_completion(&mut self) -> bool {
        false
    }

    /// Ends this side's data in the way of the layer: what says so is held, as bytes are. Called
    /// before a graceful close, once all bytes are written, and perhaps again.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns what a TLS handshake has negotiated.
    #[cfg(feature = "tls")]
    fn tls_info(&self) -> Option<TlsInfo> {
        None
    }

    /// Returns the socket alone, and drops what the layers on it hold. A lingering close discards
    /// the peer's bytes from it: they are not decrypted for a protocol that is gone.
    fn into_socket(self: Box<Self>) -> AnyStream;

    /// Returns itself as a stream. (Rust 1.86 does this by itself.)
    fn as_stream(&self) -> &(dyn Stream + 'static);

    /// Returns itself as a stream.
    fn as_stream_mut(&mut self) -> &mut (dyn Stream + 'static);
}
