//! Peers: the backend of transcripts in memory.

use super::backend::{Backend, Received, Role};
use crate::Factory;
use crate::testing::server::PORT;
use crate::testing::{Client, Host, Listener, Peer, Server, Simulation};
#[cfg(feature = "tls")]
use crate::tls::TlsSide;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// Backend in memory: the clients of a [`Server`], or of a port of a [`Host`]; or the server of a
/// [`Client`], or of whatever connects to a [`Listener`].
///
/// ```
/// use twistor::testing::{Peers, Server, Transcript};
/// # struct Echo;
/// # impl<F> twistor::Protocol<F> for Echo {
/// #     fn data_received(&mut self, cx: &mut twistor::Context<'_, F>, data: &[u8]) {
/// #         cx.transport.write(data);
/// #     }
/// # }
///
/// let server = Server::new(|| Echo);
/// let session = Transcript::parse("C: hello\n S: hello")?;
/// session.play(&mut Peers::of(&server))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// On a host, a server may have several factories and ports:
///
/// ```
/// use twistor::testing::{Peers, Simulation, Transcript};
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
/// Transcript::parse("C: hello\n S: hello")?.play(&mut Peers::on(&server, 8007))?;
/// Transcript::parse("S: Less is more\n is closed")?.play(&mut Peers::on(&server, 8017))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A client that is tested comes to a server that the test plays:
///
/// ```
/// use twistor::testing::{Client, Peers, Transcript};
/// # struct Greeting;
/// # impl<F> twistor::Protocol<F> for Greeting {
/// #     fn connection_made(&mut self, cx: &mut twistor::Context<'_, F>) {
/// #         cx.transport.write("hello\r\n");
/// #     }
/// # }
///
/// let client = Client::new(|| Greeting);
/// Transcript::parse("C: hello\n S: hello")?.play(&mut Peers::of_client(&client))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Peers {
    simulation: Simulation,
    part: Part,
    timeout: Duration,
    #[cfg(feature = "tls")]
    encryption: Option<TlsSide>,
    peers: BTreeMap<String, Peer>,
}

/// How the connections of peers begin.
enum Part {
    Clients {
        server: SocketAddr,
        /// A named client is on the host of its name.
        on_own_hosts: bool,
    },
    Server {
        listener: Listener,
        /// Attempts that were accepted, refused or ignored, or that had come before.
        taken: usize,
    },
}

/// The host of clients without one of their own.
const HOST: &str = "client";

impl Peers {
    /// Creates the backend of a server, without clients yet. All of them are on one host.
    pub fn of<F: Factory>(server: &Server<F>) -> Self {
        let server_address = server.host().address(PORT);
        Self::new(
            server.simulation(),
            Part::Clients { server: server_address, on_own_hosts: false },
        )
    }

    /// Creates the backend of a host's port, without clients yet. Each client is on the host of its
    /// name, which is added if there is none, and the unnamed one on the host `client`: a fault
    /// such as `partition ann server` hits the client `ann`.
    pub fn on<T>(host: &Host<T>, port: u16) -> Self {
        let server = host.address(port);
        Self::new(host.simulation(), Part::Clients { server, on_own_hosts: true })
    }

    /// Creates the backend that is the server of a client, without connections yet.
    pub fn of_client<F: Factory>(client: &Client<F>) -> Self {
        Self::at(client.listener())
    }

    /// Creates the backend that is the server at a listener, without connections yet: for clients
    /// that are no [`Client`]. Attempts that it does not find waiting are none of its transcripts.
    pub fn at(listener: &Listener) -> Self {
        let taken = listener.attempts().len() - listener.waiting();
        Self::new(listener.simulation(), Part::Server { listener: listener.clone(), taken })
    }

    fn new(simulation: &Simulation, part: Part) -> Self {
        Self {
            simulation: simulation.clone(),
            part,
            timeout: Duration::ZERO,
            #[cfg(feature = "tls")]
            encryption: None,
            peers: BTreeMap::new(),
        }
    }

    /// Sets how much virtual time may pass until what a step expects has come: for networks with
    /// latency, and for delays that a client draws at random. Zero by default: it is there at the
    /// same moment, or the session differs.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Encrypts the connections that begin from now on: the same transcripts are played on a port
    /// with TLS, or with clients that use it.
    ///
    /// ```
    /// use twistor::testing::tls::{acceptor, connector};
    /// use twistor::testing::{Peers, Simulation, Transcript};
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
    /// let mut clients = Peers::on(&server, 8443).encrypted(connector().to("localhost")?);
    /// Transcript::parse("C: hello\n S: hello")?.play(&mut clients)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn encrypted(self, side: impl Into<TlsSide>) -> Self {
        Self { encryption: Some(side.into()), ..self }
    }

    /// Returns the peer of the connection with this name, if there is one.
    pub fn peer(&self, client: &str) -> Option<&Peer> {
        self.peers.get(client)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("names", &self.peers.keys()).finish_non_exhaustive()
    }
}

impl Peers {
    /// Waits for an attempt of the client, and calls `answer` with the listener.
    fn take<R>(&mut self, answer: impl FnOnce(&Listener) -> R) -> io::Result<R> {
        let Part::Server { listener, taken } = &mut self.part else {
            return Err(ErrorKind::Unsupported.into());
        };
        if !listener.wait_for_attempt(self.timeout) {
            return Err(io::Error::new(ErrorKind::TimedOut, "the client does not try to connect"));
        }
        *taken += 1;
        Ok(answer(listener))
    }
}

impl Backend for Peers {
    fn role(&self) -> Role {
        match self.part {
            Part::Clients { .. } => Role::Client,
            Part::Server { .. } => Role::Server,
        }
    }

    fn connect(&mut self, client: &str) -> io::Result<()> {
        let peer = match self.part {
            Part::Clients { server, on_own_hosts } => {
                let host = if on_own_hosts && !client.is_empty() { client } else { HOST };
                self.simulation.peer(host, server)
            }
            Part::Server { .. } => self.take(Listener::accept)?,
        };
        #[cfg(feature = "tls")]
        if let Some(side) = &self.encryption {
            peer.start_tls(side.clone())?;
        }
        self.peers.insert(client.to_owned(), peer);
        Ok(())
    }

    fn refuse(&mut self, _: &str) -> io::Result<()> {
        self.take(Listener::refuse)
    }

    fn ignore(&mut self, _: &str) -> io::Result<()> {
        self.take(Listener::ignore)
    }

    fn untaken_attempts(&mut self) -> usize {
        match &self.part {
            Part::Clients { .. } => 0,
            Part::Server { listener, taken } => listener.attempts().len() - taken,
        }
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

    fn resume_reading(&mut self, client: &str) {
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
