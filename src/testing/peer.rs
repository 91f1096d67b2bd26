//! Peer: the other end of a protocol's connection, driven by a test.

use super::network::EndId;
use super::observer::{CallbackCounts, Seen};
use super::simulation::Simulation;
use super::tls::Encryption;
use crate::reason::Reason;
#[cfg(feature = "tls")]
use crate::tls::TlsSide;
use crate::transport::Transport;
use std::cell::RefCell;
use std::fmt;
#[cfg(feature = "tls")]
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The other end of a protocol's connection: it sends, receives, ends the connection in every way,
/// and reports which callbacks the protocol received.
///
/// It is a client's end if the protocol is a server's (see [`connect`](super::connect)), and a
/// server's end if the protocol is a client's (see [`accept`](super::accept)).
///
/// Before a method returns, everything that follows from it at the same moment has happened; only
/// time does not move. Dropping a peer closes its socket, as the end of a process does.
///
/// Use it in tests, not in callbacks: most methods panic in a callback that the simulation runs.
///
/// # Panics
///
/// Methods that let things happen panic as [`Simulation::settle`] does, among others if the
/// protocol panics.
///
/// ```
/// use twistor::testing::{self, End};
/// use twistor::{Context, Protocol};
///
/// struct Quote;
///
/// impl<F> Protocol<F> for Quote {
///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
///         cx.transport.write("Less is more\r\n");
///         cx.transport.lose_connection();
///     }
/// }
///
/// let peer = testing::connect(|| Quote);
/// assert_eq!(peer.take_received(), b"Less is more\r\n");
/// assert_eq!(peer.close_kind(), Some(End::Closed));
/// assert!(peer.lost_reason().unwrap().is_done());
/// assert_eq!(peer.calls().connection_lost(), 1);
/// ```
#[must_use = "a peer that is dropped closes its connection"]
pub struct Peer {
    simulation: Simulation,
    end: EndId,
    /// Number of the connection on the network, and the protocol's host, by which it is found.
    link: u64,
    protocol_node: usize,
    address: Option<SocketAddr>,
    encryption: RefCell<Option<Box<Encryption>>>,
}

/// How a connection ended, as the peer saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Graceful close: the other side closed its half (FIN), and this side has read everything
    /// before that.
    Closed,
    /// Reset (RST).
    Reset,
    /// Timeout: no acknowledgement for a quarter of an hour, or the server could not be reached.
    TimedOut,
    /// Refused: no port is open there.
    Refused,
}

/// Virtual time that a handshake of a peer may take: longer than any timeout of a reactor.
#[cfg(feature = "tls")]
const HANDSHAKE_MAX: Duration = Duration::from_secs(3600);

impl Simulation {
    /// Connects a client to a server. The client is on the host `name`, which is added if there is
    /// none of that name.
    ///
    /// # Panics
    ///
    /// If no host has the address, if a new host would be the 256th or its name is not a word, or
    /// if the host has used up its 16 384 port numbers.
    #[track_caller]
    pub fn peer(&self, name: &str, to: SocketAddr) -> Peer {
        let peer = self.late_reader(name, to);
        peer.resume_reading();
        peer
    }

    /// Connects a client that reads nothing until [`resume_reading`](Peer::resume_reading).
    /// Otherwise as [`peer`](Self::peer).
    #[track_caller]
    pub fn late_reader(&self, name: &str, to: SocketAddr) -> Peer {
        let end = {
            let mut network = self.0.network.borrow_mut();
            let node = network.node(name);
            network.connect(node, to, true)
        };
        let peer = Peer::new(self.clone(), end);
        peer.stop_reading();
        self.settle();
        peer
    }
}

impl Peer {
    pub(super) fn new(simulation: Simulation, end: EndId) -> Self {
        let address = simulation.network(|it| it.address_of(end));
        let address = address.and_then(|it| it.socket_addr());
        let (link, protocol_node) = simulation
            .network(|it| it.raw_end_peer(end))
            .expect("the network keeps a connection as long as a test has an end of it");
        Self { simulation, end, link, protocol_node, address, encryption: RefCell::new(None) }
    }

    /// Encrypts the connection, as a client with a connector's side, as a server with an acceptor;
    /// what is sent and received from now on is plaintext to the test. Returns when the handshake
    /// is complete.
    ///
    /// Closing the writing half then says so by `close_notify`, and
    /// [`close_kind`](Self::close_kind) is [`End::Closed`] when the other side has said so; without
    /// that an end of the connection counts as [`End::Reset`].
    ///
    /// ```
    /// use twistor::testing::Simulation;
    /// use twistor::testing::tls::{acceptor, connector};
    /// # struct Echo;
    /// # impl<F> twistor::Protocol<F> for Echo {
    /// #     fn data_received(&mut self, cx: &mut twistor::Context<'_, F>, data: &[u8]) {
    /// #         cx.transport.write(data);
    /// #     }
    /// # }
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("server", |reactor| {
    ///     reactor.listen_tls(8443, &acceptor(), || Echo)?;
    ///     Ok(())
    /// });
    /// let peer = simulation.peer("client", server.address(8443));
    /// peer.start_tls(connector().to("localhost")?)?;
    /// peer.send("hello");
    /// assert_eq!(peer.take_received(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The handshake has failed, or the other side has ended the connection.
    #[cfg(feature = "tls")]
    #[track_caller]
    pub fn start_tls(&self, side: impl Into<TlsSide>) -> io::Result<()> {
        let mut encryption = Box::new(Encryption::begin(&side.into())?);
        loop {
            let outgoing = encryption.take_outgoing();
            if !outgoing.is_empty() {
                self.raw_send(&outgoing);
            }
            if !encryption.is_handshaking() {
                *self.encryption.borrow_mut() = Some(encryption);
                return Ok(());
            }
            let news = || self.has_raw() || self.raw_close_kind().is_some();
            self.simulation.run_until(HANDSHAKE_MAX, news);
            let received = self.simulation.network(|it| it.raw_end_take_received(self.end));
            if received.is_empty() {
                let how = self.raw_close_kind();
                let what = format!("the other side has not completed the handshake: {how:?}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            let decrypted = encryption.receive(&received);
            if decrypted.is_err() {
                self.raw_send(&encryption.take_outgoing());
            }
            decrypted?;
        }
    }

    fn raw_send(&self, data: &[u8]) {
        self.simulation.network(|it| it.raw_end_send(self.end, data));
        self.simulation.settle();
    }

    fn has_raw(&self) -> bool {
        self.simulation.network(|it| it.raw_end_has_received(self.end))
    }

    fn raw_close_kind(&self) -> Option<End> {
        self.simulation.network(|it| it.raw_end_close_kind(self.end))
    }

    /// Calls `call` with the peer's TLS, if it has any, which has decrypted all that has come.
    fn with_encryption<R>(&self, call: impl FnOnce(&mut Encryption) -> R) -> Option<R> {
        let mut encryption = self.encryption.borrow_mut();
        let encryption = encryption.as_mut()?;
        let received = self.simulation.network(|it| it.raw_end_take_received(self.end));
        if let Err(error) = encryption.receive(&received) {
            panic!("the other side sends what is no TLS: {error}");
        }
        let result = call(encryption);
        let outgoing = encryption.take_outgoing();
        if !outgoing.is_empty() {
            self.simulation.network(|it| it.raw_end_send(self.end, &outgoing));
        }
        Some(result)
    }

    fn seen(&self) -> Option<Seen> {
        let observers = self.simulation.observers_at(self.protocol_node);
        observers.iter().find_map(|observer| observer.linked(self.link))
    }

    /// True once the connection is established: the machine of the server has answered, whether or
    /// not its reactor has accepted yet, and the answer has reached the client.
    pub fn is_connected(&self) -> bool {
        self.simulation.network(|it| it.outcome(self.end)) == Some(Ok(()))
    }

    /// Sends bytes. Bytes that the network does not accept yet wait here, without limit; after
    /// [`close_write`](Self::close_write) they are discarded.
    #[track_caller]
    pub fn send(&self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        match self.with_encryption(|encryption| encryption.send(data)) {
            Some(()) => self.simulation.settle(),
            None => self.raw_send(data),
        }
    }

    /// Sends a byte of urgent data after everything sent so far, as a telnet client does for
    /// Ctrl-C. No callback reports it; see [`data_received`](crate::Protocol::data_received).
    #[track_caller]
    pub fn send_urgent(&self) {
        self.simulation.network(|it| it.raw_end_send_urgent(self.end));
        self.simulation.settle();
    }

    /// Number of bytes that the network has not accepted yet.
    pub fn unsent(&self) -> usize {
        self.simulation.network(|it| it.raw_end_unsent(self.end))
    }

    /// Returns the received bytes without taking them.
    pub fn received(&self) -> Vec<u8> {
        let plaintext = self.with_encryption(|encryption| encryption.received().to_vec());
        plaintext.unwrap_or_else(|| self.simulation.network(|it| it.raw_end_received(self.end)))
    }

    pub(super) fn has_received(&self) -> bool {
        let has_plaintext = self.with_encryption(|encryption| !encryption.received().is_empty());
        has_plaintext.unwrap_or_else(|| self.has_raw())
    }

    /// Returns the received bytes and removes them.
    pub fn take_received(&self) -> Vec<u8> {
        let plaintext = self.with_encryption(|encryption| encryption.take_received());
        let raw = || self.simulation.network(|it| it.raw_end_take_received(self.end));
        plaintext.unwrap_or_else(raw)
    }

    /// Half-close: sends a FIN after everything sent so far. This side still receives.
    #[track_caller]
    pub fn close_write(&self) {
        if self.with_encryption(|encryption| encryption.close()).is_none() {
            self.simulation.network(|it| it.raw_end_close_write(self.end));
        }
        self.simulation.settle();
    }

    /// Resets the connection.
    #[track_caller]
    pub fn reset(&self) {
        self.simulation.network(|it| it.reset(self.end));
        self.simulation.settle();
    }

    /// Stops reading: bytes fill this side's receive buffer, then the send buffer of the other
    /// side, then the protocol's write buffer.
    pub fn stop_reading(&self) {
        self.simulation.network(|it| it.raw_end_stop_reading(self.end));
    }

    /// Resumes reading.
    #[track_caller]
    pub fn resume_reading(&self) {
        self.simulation.network(|it| it.raw_end_resume_reading(self.end));
        self.simulation.settle();
    }

    /// Reads at most `bytes` at a time, and waits for `every` before the next read: a slow
    /// consumer.
    #[track_caller]
    pub fn read_slowly(&self, bytes: usize, every: Duration) {
        self.simulation.network(|it| it.raw_end_read_slowly(self.end, bytes, every));
        self.simulation.settle();
    }

    /// Returns how the connection ended, once everything before that has been read. A host that has
    /// crashed learns of no end.
    pub fn close_kind(&self) -> Option<End> {
        match (self.with_encryption(|encryption| encryption.has_ended()), self.raw_close_kind()) {
            (Some(true), _) => Some(End::Closed),
            // Anyone on the way can end the connection.
            (Some(false), Some(End::Closed)) => Some(End::Reset),
            (_, kind) => kind,
        }
    }

    /// Returns the protocol's transport, for queries such as `is_paused`, `unsent`,
    /// `is_disconnecting`. `None` until the protocol has been built.
    pub fn transport(&self) -> Option<Transport> {
        self.seen().map(|seen| seen.transport)
    }

    /// Returns the reason that `connection_lost` received; `None` before that.
    pub fn lost_reason(&self) -> Option<Reason> {
        self.seen()?.lost
    }

    /// Returns how often each callback of the protocol has run.
    pub fn calls(&self) -> CallbackCounts {
        self.seen().map_or(CallbackCounts::default(), |seen| seen.calls)
    }

    /// Advances the virtual time by `by`, and runs everything that becomes due.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.simulation.run_for(by);
    }

    /// Returns the address of this side.
    ///
    /// # Panics
    ///
    /// Over a Unix socket, where a client has none, and a server a path.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("an end of a connection over a Unix socket has no such address")
    }

    /// Returns the simulation of this peer.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(encryption) = self.encryption.get_mut() {
            encryption.close();
            let last = encryption.take_outgoing();
            self.simulation.network(|it| it.raw_end_send(self.end, &last));
        }
        self.simulation.network(|it| it.close_raw_end(self.end));
        if !std::thread::panicking() && !self.simulation.is_running() {
            self.simulation.settle();
        }
        for observer in self.simulation.observers_at(self.protocol_node) {
            observer.unlink(self.link);
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.simulation.network(|it| it.address_of(self.end));
        f.debug_struct("Peer")
            .field("address", &address)
            .field("end", &self.close_kind())
            .finish_non_exhaustive()
    }
}
