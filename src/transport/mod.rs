//! A connection, as protocols see it.

mod agenda;
mod outbox;
mod state;
mod wire;

pub(crate) use agenda::Agenda;
pub(crate) use state::Next;
pub(crate) use wire::Received;

use crate::address::Address;
use crate::arena::Id;
use crate::reason::{Failure, Reason};
use crate::socket::Stream;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use wire::Wire;

/// Names one connection of a reactor, for ever: no later connection has the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) Id);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({})", self.0)
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
///     fn connection_made(&mut self, mut cx: &mut Context<'_, F>) {
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
    peer: Address,
    agenda: Rc<Agenda>,
    wire: RefCell<Wire>,
}

impl Transport {
    pub(crate) fn new(
        id: Id,
        stream: Box<dyn Stream>,
        peer: Address,
        port: Address,
        agenda: Rc<Agenda>,
    ) -> Self {
        let wire = RefCell::new(Wire::new(stream, port));
        Self(Rc::new(Inner { id, peer, agenda, wire }))
    }

    /// Sends bytes, after all that was written before.
    ///
    /// Everything that a callback writes leaves together when the callback has returned. What is
    /// written after [`lose_connection`](Self::lose_connection),
    /// [`lose_write_connection`](Self::lose_write_connection),
    /// [`abort_connection`](Self::abort_connection) or the connection's loss is dropped.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.wish(|wire| wire.accept(data.as_ref(), &self.0.agenda));
    }

    /// Sends several pieces, one after the other.
    pub fn write_sequence<D: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = D>) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// Closes the connection in order: stops reading, sends all that was written, then closes.
    ///
    /// The protocol hears `connection_lost` with [`Reason::Done`] when the last byte was handed to
    /// the operating system. A peer that accepts no byte for the
    /// [`close_timeout`](crate::Settings::close_timeout) is aborted, with [`Reason::TimedOut`].
    pub fn lose_connection(&self) {
        self.wish(|wire| wire.state.lose());
    }

    /// Closes the connection at once: discards what is unsent and resets it (RST).
    ///
    /// The protocol hears `connection_lost` with [`Reason::Aborted`] in the next turn.
    pub fn abort_connection(&self) {
        self.end(Reason::Aborted);
    }

    /// Gives the connection up because of an error: it is lost with [`Reason::Failed`] when the
    /// callback returns. What was written is sent as far as the socket takes it at once.
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
        self.wish(|wire| wire.state.lose_write());
    }

    /// Stops reading until [`resume_reading`](Self::resume_reading): the peer's bytes wait in the
    /// operating system, and in the end the peer. Writing goes on, and an error of the connection
    /// is still noticed; the peer's orderly close is not, for it comes after its bytes.
    ///
    /// Twisted's `pauseProducing` of a transport.
    pub fn pause_reading(&self) {
        self.wish(|wire| {
            wire.state.pause();
            false
        });
    }

    /// Goes on reading. The protocol first hears `reading_resumed`. Does nothing unless reading is
    /// paused.
    ///
    /// Twisted's `resumeProducing` of a transport.
    pub fn resume_reading(&self) {
        self.wish(|wire| wire.state.resume());
    }

    /// True while reading is paused.
    pub fn is_paused(&self) -> bool {
        self.0.wire.borrow().state.is_paused()
    }

    /// The address of the other side.
    pub fn peer(&self) -> Address {
        self.0.peer
    }

    /// The address of this side.
    pub fn host(&self) -> Address {
        self.0.wire.borrow_mut().host()
    }

    /// The name of the connection.
    pub fn id(&self) -> ConnectionId {
        ConnectionId(self.0.id)
    }

    /// False from the moment in which the protocol is told `connection_lost`.
    pub fn is_connected(&self) -> bool {
        !self.0.wire.borrow().state.is_lost()
    }

    /// True once the connection is to end, by any of the requests or by an error, and until it has.
    ///
    /// Nothing is read any more, and nothing more is accepted for sending.
    pub fn is_disconnecting(&self) -> bool {
        self.0.wire.borrow().state.is_disconnecting()
    }

    /// How many written bytes the operating system has not yet taken.
    pub fn unsent(&self) -> usize {
        self.0.wire.borrow().unsent()
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
        match self.0.wire.borrow().stream() {
            Some(stream) => call(stream),
            None => Ok(()),
        }
    }

    /// Changes the wire, and lists the transport to be settled if that asks for it.
    fn wish(&self, change: impl FnOnce(&mut Wire) -> bool) {
        let mut wire = self.0.wire.borrow_mut();
        if change(&mut wire) && !wire.readiness.touched {
            wire.readiness.touched = self.0.agenda.touch(self.0.id);
        }
    }

    // From here on, what the loop and the framing ask.

    /// Sends two pieces, one after the other.
    pub(crate) fn write_pair(&self, first: &[u8], second: &[u8]) {
        self.wish(|wire| {
            let agenda = &self.0.agenda;
            wire.accept_beside(first, second)
                || wire.accept(first, agenda) | wire.accept(second, agenda)
        });
    }

    /// False once the connection is to end: nothing is delivered any more.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.wire.borrow().state.is_open()
    }

    pub(crate) fn end(&self, reason: Reason) {
        self.wish(|wire| {
            wire.state.end(reason);
            true
        });
    }

    /// Offers what is unsent to the socket, and says what comes next. `sent` is set if it took
    /// anything.
    pub(crate) fn settle(&self, sent: &mut bool) -> Next {
        self.0.wire.borrow_mut().settle(&self.0.agenda, sent)
    }

    /// Lists the transport to be settled in a later phase, from within its own settling.
    pub(crate) fn settle_later(&self) {
        self.wish(|_| true);
    }

    /// The agenda no longer lists it.
    pub(crate) fn untouch(&self) {
        self.0.wire.borrow_mut().readiness.touched = false;
    }

    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        self.0.wire.borrow_mut().receive(buffer)
    }

    /// Notes what the poller reports.
    pub(crate) fn notice(&self, readable: bool, writable: bool, read_closed: bool, error: bool) {
        let mut wire = self.0.wire.borrow_mut();
        wire.notice(readable, writable, read_closed);
        if error {
            wire.notice_error();
        }
    }

    /// True if the transport is to be settled after reading.
    pub(crate) fn take_due(&self) -> bool {
        std::mem::take(&mut self.0.wire.borrow_mut().readiness.due)
    }

    /// True if the connection is to be served in the next turn and is not yet listed for it.
    pub(crate) fn queue_if_readable(&self) -> bool {
        let mut wire = self.0.wire.borrow_mut();
        let queue = wire.wants_reading() && !wire.readiness.queued;
        wire.readiness.queued |= queue;
        queue
    }

    /// True if it was not yet listed to be served.
    pub(crate) fn queue(&self) -> bool {
        !std::mem::replace(&mut self.0.wire.borrow_mut().readiness.queued, true)
    }

    pub(crate) fn unqueue(&self) {
        self.0.wire.borrow_mut().readiness.queued = false;
    }

    pub(crate) fn resumed(&self) {
        self.0.wire.borrow_mut().state.resumed();
    }

    /// Sends our FIN. False if the connection turns out to be broken.
    pub(crate) fn finish_output(&self) -> bool {
        self.0.wire.borrow_mut().finish_output()
    }

    /// Begins to be watched by the poller, once; an error ends the connection.
    pub(crate) fn watch(&self) {
        if self.is_watched() {
            return;
        }
        let watched = self.0.wire.borrow_mut().watch(self.0.id);
        if let Err(error) = watched {
            self.end(Reason::lost(error));
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.wire.borrow().readiness.watched
    }

    /// True if the peer may have sent bytes that were never read.
    pub(crate) fn may_have_unread(&self) -> bool {
        let wire = self.0.wire.borrow();
        !wire.state.input_ended() && (wire.readiness.readable || !wire.readiness.watched)
    }

    pub(crate) fn release(&self) -> Option<Box<dyn Stream>> {
        self.0.wire.borrow_mut().release()
    }

    pub(crate) fn reset(&self) {
        self.0.wire.borrow_mut().reset();
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
        let wire = self.0.wire.borrow();
        f.debug_struct("Transport")
            .field("id", &self.0.id)
            .field("peer", &self.0.peer)
            .field("state", &wire.state)
            .field("unsent", &wire.unsent())
            .finish_non_exhaustive()
    }
}
