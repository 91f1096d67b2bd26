//! The state of a connection behind its handles: its socket, its life cycle, its write buffer.
//!
//! `read.rs`, `write.rs` and `limits.rs` hold the methods of its two directions and of its limits.
//! The loop calls them, and so do the requests of a [`Transport`](super::Transport). None of them
//! runs user code, so the cell that a handle keeps its connection in is never borrowed twice.

use super::extras::Extras;
use super::hub::Hub;
use super::listener_info::ListenerInfo;
use super::proxied::Proxied;
use super::readiness::{Listed, PeerActivity, Processing, Readiness, Reading, SocketReadiness};
use super::state::{Action, State};
use super::traffic::Traffic;
use super::write_buffer::WriteBuffer;
use crate::address::{Address, PackedAddress};
use crate::arena::Id;
use crate::descriptor::Descriptor;
use crate::driver::{AnyStream, Edges, Stream};
use crate::limits::{Allowance, Direction};
use crate::proxy_protocol::ProxyHeader;
use crate::reason::Reason;
use crate::tls::TlsSide;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The socket of a connection that is over, and what lingering needs to know.
#[derive(Debug)]
pub(crate) struct ClosedStream {
    pub(crate) stream: AnyStream,
    pub(crate) registered: bool,
    /// A read may find something. If not, an edge announces what comes.
    pub(crate) readable: bool,
    pub(crate) peer: PeerActivity,
    /// The peer may have sent bytes that were not read, or may still send some.
    pub(crate) may_send: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) state: State,
    pub(super) readiness: Readiness,
    /// Write buffer: `None` while nothing is unsent, neither here nor in the stream.
    pub(super) write_buffer: Option<Box<WriteBuffer>>,
    /// Optional state, allocated on first use.
    pub(super) extras: Option<Box<Extras>>,
    /// `None` once the connection is lost.
    pub(super) stream: Option<AnyStream>,
    pub(super) peer: PackedAddress,
    /// Shared by all connections of a port, or the connection's own once the socket was asked for
    /// the address of this side.
    pub(super) listener: Rc<ListenerInfo>,
}

impl Connection {
    pub(super) fn new(stream: AnyStream, peer: Address, listener: Rc<ListenerInfo>) -> Self {
        Self {
            state: State::new(),
            readiness: Readiness::new(),
            write_buffer: None,
            extras: None,
            stream: Some(stream),
            peer: peer.into(),
            listener,
        }
    }

    /// Returns an attempt to connect. Without a stream it fails.
    pub(super) fn connecting(
        stream: Option<AnyStream>,
        peer: Address,
        listener: Rc<ListenerInfo>,
    ) -> Self {
        let mut readiness = Readiness::new();
        (readiness.socket.writable, readiness.socket.registered) = (false, true);
        Self {
            state: State::new(),
            readiness,
            write_buffer: None,
            extras: None,
            stream,
            peer: peer.into(),
            listener,
        }
    }

    /// Returns true if the connection is established, false if that is not known yet.
    pub(crate) fn is_established(&mut self) -> io::Result<bool> {
        self.stream.as_mut().map_or(Ok(false), |stream| stream.is_established())
    }

    /// Gives an attempt to connect to a host its stream, and the address that has answered.
    pub(crate) fn begin(&mut self, stream: AnyStream, peer: Address) {
        self.stream = Some(stream);
        self.peer = peer.into();
    }

    /// Returns the delay after which the loop checks an attempt again, if no edge may come for it.
    pub(crate) fn connect_retry_delay(&self) -> Option<Duration> {
        self.stream.as_ref().and_then(|stream| stream.connect_retry_delay())
    }

    /// Returns the number of a simulated connection, if a test's client is at its other end.
    #[cfg(feature = "testing")]
    pub(crate) fn simulated_link(&self) -> Option<u64> {
        self.stream.as_ref().and_then(|stream| stream.simulated_link())
    }

    /// Marks the connection as established. The poller's events so far may have been about the
    /// attempt, so both directions are tried, unless the last read of a handshake has emptied the
    /// socket and no event says that a read finds more than that: its end, say.
    pub(crate) fn established(&mut self) {
        let is_drained = self.stream.as_ref().is_some_and(AnyStream::is_drained);
        let socket = &mut self.readiness.socket;
        (socket.writable, socket.readable) = (true, !is_drained || socket.more_behind);
    }

    /// Returns why an attempt to connect is dropped, if it is: it was aborted, or it was closed
    /// with nothing to send.
    pub(crate) fn given_up(&self) -> Option<Reason> {
        self.state.given_up(self.unsent() == 0 && !self.has_producer())
    }

    /// Removes and returns a descriptor that the peer has sent.
    pub(crate) fn take_descriptor(&mut self) -> Option<Descriptor> {
        self.stream.as_mut()?.take_descriptor()
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.listener.hub
    }

    pub(super) fn stream(&self) -> Option<&dyn Stream> {
        self.stream.as_deref()
    }

    /// Returns the stream of a connection that is not over.
    pub(crate) fn stream_mut(&mut self) -> io::Result<&mut dyn Stream> {
        match &mut self.stream {
            Some(stream) => Ok(&mut **stream),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Puts TLS on the socket, below all that is read and written from now on.
    pub(crate) fn put_tls(&mut self, side: &TlsSide) -> io::Result<()> {
        let session = side.session()?;
        self.begin_tls(session, 0, &[]);
        Ok(())
    }

    /// Continues the handshake of the layers on the socket. Returns true if it is complete.
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        let more_behind = self.readiness.socket.more_behind;
        self.stream.as_mut().map_or(Ok(false), |stream| stream.handshake(more_behind))
    }

    /// Puts layers on the socket, which has carried what comes below them.
    pub(crate) fn put_layers(&mut self, layered: impl FnOnce(AnyStream) -> AnyStream) {
        self.stream = self.stream.take().map(layered);
    }

    /// Gives the connection the addresses of its header. Not once it counts for its peer: what was
    /// counted has to be released.
    pub(crate) fn set_proxied(&mut self, header: ProxyHeader) {
        let proxy = self.peer.unpack();
        if let Some(source) = header.source() {
            self.peer = Address::from(source).into();
        }
        if let Some(destination) = header.destination() {
            let address = Address::from(destination);
            self.listener =
                Rc::new(ListenerInfo { address, ..ListenerInfo::clone(&self.listener) });
        }
        self.extras_mut().proxied = Some(Box::new(Proxied { header: Rc::new(header), proxy }));
    }

    pub(super) fn local_address(&mut self) -> Address {
        self.complete_local_address();
        self.listener.address.clone()
    }

    /// Asks the socket for what the local address lacks, which it cannot tell once it is closed.
    fn complete_local_address(&mut self) {
        // Accepted on a port of all interfaces, or opened from an address that the system
        // completes: only the socket knows it. Asked late, since that is a system call.
        let address = &self.listener.address;
        let everywhere = address.ip().is_some_and(|ip| ip.is_unspecified());
        let incomplete = everywhere || address.port() == Some(0);
        if let (true, Some(stream)) = (incomplete, &self.stream) {
            if let Ok(address) = stream.local_addr() {
                // That of an outgoing connection is its own, and changes in its place.
                Rc::make_mut(&mut self.listener).address = address;
            }
        }
    }

    /// Returns false once the connection is ending.
    pub(crate) fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Returns false once received bytes are no longer delivered.
    #[inline]
    pub(crate) fn delivers(&self) -> bool {
        self.state.delivers()
    }

    /// Returns true if the protocol is still to hear what it was given: not when it has asked to
    /// start TLS.
    #[inline]
    pub(crate) fn delivers_more(&self) -> bool {
        self.state.delivers() && !self.is_handshaking()
    }

    /// Returns true if reading was resumed, and the protocol has not heard of it yet.
    pub(crate) fn is_resuming(&self) -> bool {
        self.state.is_resuming()
    }

    /// Continues reading: the protocol is hearing `reading_resumed`.
    pub(crate) fn resumed(&mut self) {
        self.state.resumed();
        self.restart_idleness();
    }

    /// Forgets what the peer has sent so far: the reactor begins to drain.
    pub(crate) fn clear_sent_since_drain(&mut self) {
        self.readiness.peer.sent_since_drain = false;
    }

    /// Assumes that the socket is writable, whatever the poller has reported.
    pub(crate) fn try_writing(&mut self) {
        self.readiness.socket.writable = true;
    }

    /// Returns the optional state, allocated if there is none yet.
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        if let Some(write_buffer) = &mut self.write_buffer {
            write_buffer.clear_fast_limit();
        }
        let max_unsent = self.listener.hub.max_unsent();
        self.extras.get_or_insert_with(|| Box::new(Extras::new(max_unsent)))
    }

    #[cfg(test)]
    pub(crate) fn has_extras(&self) -> bool {
        self.extras.is_some()
    }

    /// Returns how many bytes a connection that is the producer of this one may read.
    pub(super) fn room(&self) -> usize {
        self.extras.as_ref().map_or(usize::MAX, |extras| extras.feed.room(self.unsent()))
    }

    pub(super) fn has_producer(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.feed.has_producer())
    }

    /// Begins to watch whether the producer writes anything. False if the connection does not wait
    /// for one.
    pub(crate) fn watch_producer(&mut self) -> bool {
        let waits = self.unsent() == 0 && self.has_producer();
        if let Some(extras) = &mut self.extras {
            extras.feed.was_fed = false;
        }
        waits
    }

    /// Returns true if bytes were accepted since [`watch_producer`](Self::watch_producer).
    pub(crate) fn was_fed(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.feed.was_fed)
    }

    /// Returns true if the peer has not been sent everything, so that it must not see a graceful
    /// close: bytes are unsent, or a producer has not finished.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unsent() > 0 || self.extras.as_ref().is_some_and(|extras| extras.feed.is_unfinished())
    }

    /// Returns the loop's next action for the connection, once unsent bytes were offered to the
    /// socket. There is one action at a time: the loop carries it out and asks again.
    #[inline(always)]
    pub(super) fn next_action(&self) -> Action {
        match &self.extras {
            None => self.state.next(self.write_buffer.is_none()),
            Some(extras) => self.next_action_with(extras),
        }
    }

    /// Returns the next action in the order of the list below. Apart, so that connections without
    /// extras pay nothing for it.
    fn next_action_with(&self, extras: &Extras) -> Action {
        // 1. Life cycle: reading resumed, a FIN to send, the end.
        let all_sent = self.write_buffer.is_none() && !extras.feed.has_producer();
        // A layer can say the end of the data only after its handshake, if that still comes.
        let end_waits =
            self.state.is_half_closing() && self.is_handshaking() && self.state.will_read();
        let action = self.state.next(all_sent && !end_waits);
        if !matches!(action, Action::Idle | Action::AwaitSent) {
            return action;
        }
        // 2. Rate limits and timeouts, which need the clock.
        if self.needs_write_refill() {
            return Action::RefillRate;
        }
        if self.needs_update() {
            return Action::UpdateTimeouts;
        }
        // 3. A producer that is paused, resumed or read.
        if let Some(action) = extras.feed.action(self.unsent()) {
            return action;
        }
        // 4. Rejected writes, of which the protocol hears.
        if extras.rejected > 0 { Action::ReportRejected } else { action }
    }

    /// Records events that the poller reports.
    pub(super) fn notice(&mut self, edges: Edges) {
        let Readiness { socket, listed, reading, .. } = &mut self.readiness;
        listed.needs_settle |= edges.writable && !socket.writable;
        socket.readable |= edges.readable;
        socket.more_behind |= edges.read_closed || edges.priority;
        socket.writable |= edges.writable;
        if edges.writable && *reading == Reading::Backoff {
            *reading = Reading::Active;
        }
    }

    /// Records an error that the poller reports. If no read would meet it, because none happens or
    /// because there is no `room` for its bytes, the socket is asked for the error.
    pub(super) fn notice_error(&mut self, room: usize) {
        let is_read = self.readiness.processing != Processing::Held
            && !self.state.ignores_input()
            && !self.is_held_back(Direction::Read)
            && room > 0;
        if is_read {
            return;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        self.readiness.listed.needs_settle = true;
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            drop(self.state.end(Reason::lost(error)));
        }
    }

    pub(super) fn register(&mut self, id: Id) -> io::Result<()> {
        self.readiness.socket.registered = true;
        self.stream.as_mut().map_or(Ok(()), |stream| stream.register(id))
    }

    /// Returns true if the connection is listed to be read or settled, or its protocol to be called
    /// again.
    pub(crate) fn has_more(&self) -> bool {
        let Listed { ready, needs_settle, .. } = self.readiness.listed;
        let yielded = self.readiness.processing == Processing::Yielded;
        yielded || ready && (needs_settle || self.wants_reading())
    }

    /// Lists it as ready. Returns its kind of traffic if it was not listed yet.
    pub(crate) fn queue(&mut self) -> Option<Traffic> {
        let ready = std::mem::replace(&mut self.readiness.listed.ready, true);
        (!ready).then_some(self.readiness.traffic)
    }

    /// Lists it as a bulk connection, to be settled when its turn comes. True if it was not listed
    /// yet.
    pub(crate) fn queue_bulk(&mut self) -> bool {
        let Readiness { listed, traffic, .. } = &mut self.readiness;
        listed.needs_settle = true;
        *traffic = traffic.served(true);
        !std::mem::replace(&mut listed.ready, true)
    }

    /// Begins to serve it: returns its kind of traffic so far, and whether its protocol has yielded
    /// and is called again.
    #[inline]
    pub(crate) fn begin_serving(&mut self) -> (Traffic, bool) {
        self.readiness.listed.ready = false;
        (self.readiness.traffic, self.take_yield())
    }

    /// Ends serving it. True if there may be more to read.
    #[inline]
    pub(crate) fn end_serving(&mut self) -> bool {
        let more = self.has_more_to_read();
        let Readiness { listed, traffic, processing, .. } = &mut self.readiness;
        *traffic = traffic.served(more || *processing != Processing::Done || listed.ready);
        more
    }

    /// Returns true if there may be more to read. If not, its grant of a shared rate goes back to
    /// the others.
    #[inline]
    pub(crate) fn has_more_to_read(&mut self) -> bool {
        let more = self.wants_reading();
        if !more {
            self.return_read_grant();
        }
        more
    }

    /// Returns true if it is settled after reading, and clears that.
    pub(crate) fn take_needs_settle(&mut self) -> bool {
        std::mem::take(&mut self.readiness.listed.needs_settle)
    }

    /// Holds back input: nothing is read until the protocol releases it.
    pub(crate) fn hold_input(&mut self) {
        self.readiness.processing = Processing::Held;
        self.readiness.traffic = Traffic::Yielding;
    }

    /// Returns true while its protocol holds back input.
    #[cfg(feature = "testing")]
    pub(crate) fn holds_input(&self) -> bool {
        self.readiness.processing == Processing::Held
    }

    /// Tries both directions when the connection is served next, since the poller's last report may
    /// be out of date. True if it was not yet listed as ready.
    pub(crate) fn look(&mut self) -> bool {
        // A try must not cost a connection its turn at a shared rate: there the poller's report
        // counts.
        let may_read = match self.allowance(Direction::Read) {
            Allowance::Bytes(_) => true,
            Allowance::NeedsRefill => !self.has_shared_rate(Direction::Read),
            Allowance::Blocked => false,
        };
        let Readiness { socket, listed, .. } = &mut self.readiness;
        socket.readable |= may_read;
        (socket.writable, listed.needs_settle) = (true, true);
        !std::mem::replace(&mut listed.ready, true)
    }

    /// Returns true if it has more than `share` bytes to send, or may soon have.
    pub(crate) fn has_bulk_to_send(&self, share: usize) -> bool {
        !self.state.is_breaking() && (self.unsent() > share || self.has_producer())
    }

    /// Clears the dirty flag: the list of dirty connections was taken.
    pub(crate) fn clear_dirty(&mut self) {
        self.readiness.listed.dirty = false;
    }

    /// Marks the connection as lost and returns its socket, without the layers on it. The protocol
    /// hears `connection_lost` next.
    pub(crate) fn release(&mut self) -> Option<ClosedStream> {
        self.complete_local_address();
        let Readiness { socket: SocketReadiness { readable, registered, .. }, peer, .. } =
            self.readiness;
        let may_send = !peer.finished && (readable || peer.sent_any || !registered);
        // The loop holds the reason as well, so no user's error is dropped within the borrow.
        self.state = State::Lost;
        self.discard();
        let stream = self.stream.take()?.into_socket();
        Some(ClosedStream { stream, registered, readable, peer, may_send })
    }

    /// Closes the socket with a reset, at once; the protocol hears `connection_lost` later. Returns
    /// how many bytes were unsent.
    pub(crate) fn reset(&mut self) -> usize {
        self.complete_local_address();
        let unsent = self.discard();
        if let Some(mut stream) = self.stream.take() {
            stream.set_abortive_close();
        }
        unsent
    }
}
