//! The door to the world outside: the clock, the poller and the sockets.
//!
//! The reactor, its transports and its protocols reach the machine through the traits of this file
//! and through nothing else, so that they run unchanged on whatever else stands behind the
//! door. [`MioDriver`] is the machine that the process runs on.
//!
//! What a [`Driver`] owes the loop:
//!
//! - *Edges.* [`Driver::wait`] reports a stream as readable or writable when that begins to be so,
//!   and need not repeat it; the loop reads and writes until it meets `WouldBlock` or a short
//!   count that the stream calls final. A FIN or urgent data may share an edge with data, and is
//!   then reported with it.
//! - *Stale reports are harmless.* Ids are never used twice; the loop drops what it does not know.
//! - *Time* only moves forward.

mod any_stream;
mod mio;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(all(unix, feature = "signals"))]
mod signals;
mod tcp_listener;
mod tcp_stream;
mod thread_pool;

pub(crate) use self::mio::MioDriver;
pub(crate) use any_stream::AnyStream;
pub(crate) use thread_pool::Work;

use crate::address::Address;
use crate::arena::Id;
use crate::endpoint::{TcpClientEndpoint, TcpServerEndpoint};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock, a poller, and where ports come from.
pub(crate) trait Driver: Debug {
    fn now(&self) -> Instant;

    /// True if what began at `since` has had its `time`.
    fn is_time_up(&self, since: Instant, time: Duration) -> bool {
        self.now().saturating_duration_since(since) >= time
    }

    /// Waits until something is ready or the time is over, and appends what is ready. `None` waits
    /// for ever. May return early.
    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()>;

    /// True if the last wait handed out as much as it can at once, so that more may be ready. The
    /// next wait fetches it; no loop outside hears of it again.
    fn may_have_more(&self) -> bool;

    /// Opens a port; its events carry `id`.
    fn listen(&mut self, at: &TcpServerEndpoint, id: Id) -> io::Result<Box<dyn Listener>>;

    /// Begins to connect; the stream is watched under `id` from the start, and is reported when
    /// something has come of it.
    fn connect(&mut self, to: &TcpClientEndpoint, id: Id) -> io::Result<AnyStream>;

    /// Does work that may block, on one of at most so many threads. An error is for want of a
    /// thread; the work is dropped.
    fn spawn_blocking(&mut self, work: Work, max_blocking_threads: usize) -> io::Result<()>;

    /// Takes back the work that no thread has begun.
    fn take_waiting_work(&mut self) -> Vec<Work>;

    /// Ends a wait from another thread.
    fn waker(&self) -> Arc<dyn Wake>;

    /// From here on SIGINT and SIGTERM are reported as [`Ready::Signal`].
    fn install_signal_handlers(&mut self) -> io::Result<()>;

    /// Signals do again what they did before [`install_signal_handlers`](Self::install_signal_handlers).
    fn restore_signal_handlers(&mut self);

    /// What another loop can poll to learn that [`wait`](Self::wait) would return.
    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_>;
}

/// What a wait found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    Stream {
        /// The packed id that it is watched under.
        token: usize,
        edges: Edges,
    },
    /// Somebody may wait at the port with this packed id.
    Port(usize),
    /// A signal with this name asks the reactor to stop.
    #[cfg_attr(
        not(all(unix, feature = "signals")),
        allow(dead_code, reason = "only scripted worlds have signals then")
    )]
    Signal(&'static str),
}

/// What the poller reports of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's FIN has arrived, perhaps behind data.
    pub(crate) read_closed: bool,
    /// Urgent data has arrived, perhaps with data behind it.
    pub(crate) priority: bool,
    /// The socket has an error to tell.
    pub(crate) error: bool,
}

/// What simulated streams report.
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
    pub(crate) const WRITABLE: Self = Self { writable: true, ..Self::NONE };
    /// The peer's FIN.
    pub(crate) const END: Self = Self { read_closed: true, ..Self::READABLE };
    /// Urgent data.
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

/// Whether a short read has emptied a socket of the system, unless an edge said otherwise (see
/// [`Stream::short_read_is_final`]). Linux reports everything that ends a read early: the peer's
/// FIN and urgent data. Other systems stop a read at the mark of urgent data as well, and `mio` has
/// no event for it there, so their sockets are read until a call would block.
const SHORT_READ_IS_FINAL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether a short write has filled a socket of the system, so that an edge is sure to follow.
/// Where `mio` makes edges up, it does so when a call would block, and each socket is written to
/// until then.
const SHORT_WRITE_IS_FINAL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

/// True if accept(2) failed for want of descriptors or memory, and not because of one client.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    #[cfg(unix)]
    const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    #[cfg(not(unix))]
    const EXHAUSTED: [i32; 0] = [];
    error.raw_os_error().is_some_and(|errno| EXHAUSTED.contains(&errno))
}

/// See [`Driver::waker`].
pub(crate) trait Wake: Debug + Send + Sync {
    fn wake(&self);
}

/// For drivers that never sleep.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub(crate) struct NoWake;

#[cfg(any(test, feature = "testing"))]
impl Wake for NoWake {
    fn wake(&self) {}
}

/// A port that clients connect to. Dropping it closes it.
pub(crate) trait Listener: Debug {
    /// Where it listens: the port that the system chose, if it was asked to.
    fn address(&self) -> Address;

    /// As `accept(2)`, which on Linux fails for want of descriptors before it looks whether anybody
    /// waits.
    fn accept(&mut self) -> io::Result<(AnyStream, Address)>;

    /// Out of descriptors: accepts with the one that is held in reserve, which is then used up.
    /// `WouldBlock` means that nobody waits, and any other error that there is no reserve.
    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)>;

    /// Turns away up to `limit` waiting clients, so that they see a close and not a hang, and
    /// returns how many.
    fn shed(&mut self, limit: usize) -> usize;

    /// Opens the descriptor that is held in reserve, unless it is open.
    fn refill_reserve(&mut self);
}

/// A connected stream of bytes that never blocks. Dropping it closes it in order.
pub(crate) trait Stream: Debug {
    /// As `recv(2)`: zero is the peer's FIN.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// As `send(2)`: a short count means that the socket is full, if
    /// [`short_write_is_final`](Self::short_write_is_final).
    fn write(&mut self, data: &[u8]) -> io::Result<usize>;

    /// Asked after a read that returned less than it had room for: whether that has emptied the
    /// stream, so that the next bytes bring an edge of their own. A stream that hands out records,
    /// or holds bytes back, says no while there may be more. Whatever it says, the loop reads
    /// until a call would block after an edge with `read_closed` or `priority`.
    fn short_read_is_final(&self) -> bool {
        true
    }

    /// Asked after a write that took less than it was given: whether the stream is full, so that an
    /// edge is sure to follow.
    fn short_write_is_final(&self) -> bool {
        true
    }

    /// As `writev(2)`. Those who have nothing better write the pieces one after the other.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        // To write nothing is no question that every stream answers.
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            match self.write(piece) {
                Ok(count) if count == piece.len() => written += count,
                Ok(count) => return Ok(written + count),
                // The next call says so again.
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Sends a FIN, and goes on reading.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// From here on a drop resets the connection.
    fn set_abortive_close(&mut self);

    /// The error that the poller hinted at, if there is one.
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;

    /// What has come of connecting: true if the connection stands, false if nothing yet.
    fn is_established(&mut self) -> io::Result<bool>;

    /// Begins to report edges under `id`, for the rest of its life.
    fn register(&mut self, id: Id) -> io::Result<()>;

    /// The address of this side.
    fn local_addr(&self) -> io::Result<Address>;

    fn set_no_delay(&self, on: bool) -> io::Result<()>;

    fn set_keep_alive(&self, on: bool) -> io::Result<()>;
}
