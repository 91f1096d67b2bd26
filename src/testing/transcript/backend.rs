//! Backends: where transcripts are played.

use crate::Factory;
use crate::testing::server::PORT;
use crate::testing::{End, Host, Peer, Server, Simulation};
#[cfg(feature = "tls")]
use crate::tls::TlsSide;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Clients of a server, by name, on which a [`Transcript`](super::Transcript) is played.
///
/// [`Clients`] are in memory. A backend over real sockets, to a process for instance, plays the
/// same transcripts. A client is connected before any other call for its name; a second `connect`
/// of the same name replaces its connection, and the old one may be closed.
pub trait Backend {
    /// Connects a client.
    fn connect(&mut self, client: &str) -> io::Result<()>;

    /// Sends all of `data`.
    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()>;

    /// Sends a FIN; the client still receives.
    fn finish(&mut self, client: &str);

    /// Resets the connection.
    fn reset(&mut self, client: &str);

    /// Stops reading, until [`read_on`](Self::read_on).
    fn stop_reading(&mut self, client: &str);

    /// Resumes reading.
    fn read_on(&mut self, client: &str);

    /// Lets `time` pass.
    fn pass(&mut self, time: Duration);

    /// Returns the next event of a client: bytes, if only one, or the end.
    ///
    /// If `awaited`, the transcript expects something: a backend that is not immediate waits for
    /// it, up to a timeout of its own. Otherwise it returns what is there now.
    fn next(&mut self, client: &str, awaited: bool) -> Received;

    /// Returns a remark on a client's connection, to be shown below a difference.
    fn remark(&self, client: &str) -> Option<String> {
        let _ = client;
        None
    }
}

/// Next event of a client of a [`Backend`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Received bytes, at least one.
    Data(Vec<u8>),
    /// The server has ended the connection, and no more bytes will come.
    End(End),
    /// No event.
    Nothing,
}

/// Backend in memory: the clients of a [`Server`], or of a port of a [`Host`].
///
/// ```
/// use twistor::testing::{Clients, Server, Transcript};
/// # struct Echo;
/// # impl<F> twistor::Protocol<F> for Echo {
/// #     fn data_received(&mut self, cx: &mut twistor::Context<'_, F>, data: &[u8]) {
/// #         cx.transport.write(data);
/// #     }
/// # }
///
/// let server = Server::new(|| Echo);
/// let session = Transcript::parse("C: hello\n S: hello")?;
/// session.play(&mut Clients::of(&server))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// On a host, a server may have several factories and ports:
///
/// ```
/// use twistor::testing::{Clients, Simulation, Transcript};
/// # struct Echo;
/// # impl<F> twistor::Protocol<F> for Echo {
/// #     fn data_received(&mut self, cx: &mut twistor::Context<'_, F>, data: &[u8]) {
/// #         cx.transport.write(data);
/// #     }
/// # }
/// # struct Quote;
/// # impl<F> twistor::Protocol<F> for Quote {
/// #     fn connection_made(&mut self, cx: &mut twistor::Context<'_, F>) {
/// #         cx.transport.write("Less is more\r\n");
/// #         cx.transport.lose_connection();
/// #     }
/// # }
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server", |reactor| {
///     reactor.listen_tcp(8007, || Echo)?;
///     reactor.listen_tcp(8017, || Quote)?;
///     Ok(())
/// });
/// Transcript::parse("C: hello\n S: hello")?.play(&mut Clients::on(&server, 8007))?;
/// Transcript::parse("S: Less is more\n is closed")?.play(&mut Clients::on(&server, 8017))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Clients {
    simulation: Simulation,
    server: SocketAddr,
    /// A named client is on the host of its name.
    on_own_hosts: bool,
    timeout: Duration,
    #[cfg(feature = "tls")]
    encryption: Option<TlsSide>,
    peers: BTreeMap<String, Peer>,
}

/// The host of clients without one of their own.
const HOST: &str = "client";

impl Clients {
    /// Creates the backend of a server, without clients yet. All of them are on one host.
    pub fn of<F: Factory>(server: &Server<F>) -> Self {
        Self { on_own_hosts: false, ..Self::on(server.host(), PORT) }
    }

    /// Creates the backend of a host's port, without clients yet. Each client is on the host of its
    /// name, which is added if there is none, and the unnamed one on the host `client`: a fault
    /// such as `partition ann server` hits the client `ann`.
    pub fn on<T>(host: &Host<T>, port: u16) -> Self {
        Self {
            simulation: host.simulation().clone(),
            server: host.address(port),
            on_own_hosts: true,
            timeout: Duration::ZERO,
            #[cfg(feature = "tls")]
            encryption: None,
            peers: BTreeMap::new(),
        }
    }

    /// Sets how much virtual time may pass until what a step expects has come: for networks with
    /// latency. Zero by default: it is there at the same moment, or the session differs.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Encrypts the connections of clients that connect from now on: the same transcripts are
    /// played on a port with TLS.
    ///
    /// ```
    /// use twistor::testing::tls::{acceptor, connector};
    /// use twistor::testing::{Clients, Simulation, Transcript};
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
    /// let mut clients = Clients::on(&server, 8443).encrypted(connector().to("localhost")?);
    /// Transcript::parse("C: hello\n S: hello")?.play(&mut clients)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn encrypted(self, side: impl Into<TlsSide>) -> Self {
        Self { encryption: Some(side.into()), ..self }
    }

    /// Returns the client with this name, if it has connected.
    pub fn peer(&self, client: &str) -> Option<&Peer> {
        self.peers.get(client)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("names", &self.peers.keys()).finish_non_exhaustive()
    }
}

impl Backend for Clients {
    fn connect(&mut self, client: &str) -> io::Result<()> {
        let host = if self.on_own_hosts && !client.is_empty() { client } else { HOST };
        let peer = self.simulation.peer(host, self.server);
        #[cfg(feature = "tls")]
        if let Some(side) = &self.encryption {
            peer.start_tls(side.clone())?;
        }
        self.peers.insert(client.to_owned(), peer);
        Ok(())
    }

    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()> {
        self.peers[client].send(data);
        Ok(())
    }

    fn finish(&mut self, client: &str) {
        self.peers[client].close_write();
    }

    fn reset(&mut self, client: &str) {
        self.peers[client].reset();
    }

    fn stop_reading(&mut self, client: &str) {
        self.peers[client].stop_reading();
    }

    fn read_on(&mut self, client: &str) {
        self.peers[client].resume_reading();
    }

    fn pass(&mut self, time: Duration) {
        self.simulation.run_for(time);
    }

    /// Everything due has happened already, so that there is nothing to wait for without a timeout.
    fn next(&mut self, client: &str, awaited: bool) -> Received {
        let peer = &self.peers[client];
        if awaited && !self.timeout.is_zero() {
            let news = || peer.has_received() || peer.close_kind().is_some();
            self.simulation.run_until(self.timeout, news);
        }
        match (peer.take_received(), peer.close_kind()) {
            (data, _) if !data.is_empty() => Received::Data(data),
            (_, Some(end)) => Received::End(end),
            (_, None) => Received::Nothing,
        }
    }

    fn remark(&self, client: &str) -> Option<String> {
        let reason = self.peers[client].lost_reason().filter(|reason| !reason.is_done())?;
        Some(format!("connection_lost received: {reason}"))
    }
}
