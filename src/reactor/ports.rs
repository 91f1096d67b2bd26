//! Listening: ports, and accepting on them.

use super::delayed::Job;
use super::errors::ListenError;
use super::hosting::{Callback, IntoKey, Key};
use super::{Life, Reactor};
use crate::address::Address;
use crate::arena::Id;
use crate::endpoint::{ServerEndpoint, TcpServerEndpoint};
use crate::protocol::Factory;
use crate::reactor::connections::{Connection, Live};
use crate::socket::{Listener, Stream};
use crate::transport::Transport;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Connections accepted on one port in one turn: enough that a burst costs few turns, few enough
/// that those who are connected already wait for some milliseconds at most.
const ACCEPTS_PER_TURN: usize = 256;

/// How long a port rests that could not accept, for want of descriptors or memory. Long enough not
/// to spin, short enough that a client hardly notices. Ranch and Thousand Island take the same.
const REST: Duration = Duration::from_millis(100);

/// While a port cannot accept, it says so this often and no oftener.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// An open port, and the key of the factory behind it.
///
/// It can be copied and sent to other threads, and stands for its factory wherever a [`Key`] does.
/// (`IListeningPort`)
pub struct Port<F> {
    id: Id,
    key: Key<F>,
    address: Address,
}

impl<F> Port<F> {
    /// Where it listens: with the port number that the system chose, if it was asked to choose.
    pub fn local_address(&self) -> Address {
        self.address
    }

    /// The factory behind it.
    pub fn key(&self) -> Key<F> {
        self.key
    }
}

impl<F> Clone for Port<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Port<F> {}

impl<F> From<Port<F>> for Key<F> {
    fn from(port: Port<F>) -> Self {
        port.key
    }
}

impl<F: Factory> IntoKey for Port<F> {
    type Factory = F;

    fn into_key(self, _: &mut Reactor) -> Key<F> {
        self.key
    }
}

impl<F> fmt::Debug for Port<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("address", &self.address).field("key", &self.key).finish()
    }
}

/// A port as the loop sees it.
#[derive(Debug)]
pub(super) struct OpenPort {
    listener: Box<dyn Listener>,
    host: Id,
    accepting: Accepting,
    /// When it last said that it cannot accept, and how many it has turned away since.
    warned: Option<(Instant, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    /// Until the poller says otherwise, nobody waits.
    Idle,
    /// On the list of ports on which somebody may wait.
    Listed,
    /// Could not accept; a timer tries again.
    Resting,
}

impl Reactor {
    /// Opens the port that a description names, such as `tcp:8007:interface=127.0.0.1`, and serves
    /// it with a factory. [`ServerEndpoint`] explains the language; [`listen_tcp`](Self::listen_tcp)
    /// takes numbers. (`serverFromString(..).listen`)
    ///
    /// # Errors
    ///
    /// [`ListenError`]; nothing is left behind, and a factory that was moved in is dropped.
    pub fn listen<S: IntoKey>(
        &mut self,
        description: &str,
        factory: S,
    ) -> Result<Port<S::Factory>, ListenError> {
        match description.parse()? {
            ServerEndpoint::Tcp(endpoint) => self.listen_tcp(endpoint, factory),
        }
    }

    /// Opens a TCP port and serves it with a factory: a closure that returns a protocol, a
    /// [`Factory`], or the [`Key`] or a [`Port`] of a factory that already serves another.
    ///
    /// The endpoint is a port number, which means all IPv4 interfaces; or an address, a pair of
    /// address and number, or a [`TcpServerEndpoint`]. (`listenTCP`)
    ///
    /// Clients can connect when this returns; they are accepted while the reactor runs. Before it
    /// returns, the factory's `start_factory` is called, if this is its first port.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use twistor::{Context, Protocol, Reactor};
    ///
    /// struct Echo;
    ///
    /// impl<F> Protocol<F> for Echo {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         cx.transport.write(data);
    ///     }
    /// }
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo)?;
    /// // The same factory, on a second port.
    /// reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), port)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListenError`]; nothing is left behind, and a factory that was moved in is dropped.
    pub fn listen_tcp<S: IntoKey>(
        &mut self,
        endpoint: impl Into<TcpServerEndpoint>,
        factory: S,
    ) -> Result<Port<S::Factory>, ListenError> {
        let endpoint = endpoint.into();
        let key = factory.into_key(self);
        let opened = self.open_port(&endpoint, key.id);
        if opened.is_err() {
            // A factory that was only moved in for this goes again.
            self.retire(key.id);
        }
        let (id, address) = opened?;
        Ok(Port { id, key, address })
    }

    fn open_port(
        &mut self,
        endpoint: &TcpServerEndpoint,
        host: Id,
    ) -> Result<(Id, Address), ListenError> {
        let address = endpoint.address().into();
        if self.life == Life::Stopping {
            return Err(ListenError::Stopping { address });
        }
        if self.hosts.get(host).is_none() {
            return Err(ListenError::NoFactory { address });
        }
        let opened = self.ports.try_insert_with(|id| {
            self.world.listen(endpoint, id).map(|listener| OpenPort {
                listener,
                host,
                accepting: Accepting::Idle,
                warned: None,
            })
        });
        let id = opened.map_err(|source| ListenError::Bind { address, source })?;
        let address = self.ports.get(id).map_or(address, |port| port.listener.address());
        if let Err(error) = self.start_factory(host, address) {
            self.ports.remove(id);
            return Err(error);
        }
        if let Some(shelf) = self.hosts.get_mut(host) {
            shelf.ports += 1;
        }
        log::info!("{} starting on {address}", self.protocol_name(host));
        Ok((id, address))
    }

    /// Calls `start_factory`, if the factory is not started.
    fn start_factory(&mut self, host: Id, address: Address) -> Result<(), ListenError> {
        if self.hosts.get(host).is_some_and(|shelf| shelf.started) {
            return Ok(());
        }
        let source = match self.on_host(host, |host, reactor| host.start(reactor)) {
            None => return Err(ListenError::NoFactory { address }),
            Some(Ok(Ok(()))) => {
                if let Some(shelf) = self.hosts.get_mut(host) {
                    shelf.started = true;
                }
                return Ok(());
            }
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => io::Error::other(format!("start_factory panicked: {}", panic.0)),
        };
        Err(ListenError::StartFactory { address, source })
    }

    /// Closes a port, at once; its established connections go on. False if it is closed already.
    ///
    /// If it was the factory's last, `stop_factory` is called in the next turn, never from within
    /// this. (`stopListening`)
    pub fn stop_listening<F>(&mut self, port: Port<F>) -> bool {
        self.close_port(port.id)
    }

    pub(super) fn close_port(&mut self, id: Id) -> bool {
        let Some(port) = self.ports.remove(id) else {
            return false;
        };
        let address = port.listener.address();
        drop(port.listener);
        log::info!("{} stopped listening on {address}", self.protocol_name(port.host));
        if let Some(shelf) = self.hosts.get_mut(port.host) {
            shelf.ports -= 1;
        }
        self.retiring.push(port.host);
        true
    }

    /// The poller says that somebody waits.
    pub(super) fn notice_waiting(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            if port.accepting == Accepting::Idle {
                port.accepting = Accepting::Listed;
                self.acceptable.push(id);
            }
        }
    }

    /// A port has rested.
    pub(super) fn accept_again(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.accepting = Accepting::Idle;
            self.notice_waiting(id);
        }
    }

    /// Accepts who waits on a port, up to the budget of a turn.
    pub(super) fn accept(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(id) else {
            return;
        };
        port.accepting = Accepting::Idle;
        for _ in 0..ACCEPTS_PER_TURN {
            // Asked each time: building a protocol may close the port.
            let Some(port) = self.ports.get_mut(id) else {
                return;
            };
            let host = port.host;
            match port.listener.accept() {
                Ok((stream, peer)) => {
                    let address = port.listener.address();
                    self.welcome(host, stream, peer, address);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // That client is gone, or a firewall took it; the next may be there.
                Err(error) if concerns_one_client(&error) => {
                    log::debug!("a client was gone before it was accepted: {error}");
                }
                Err(error) => return self.rest(id, &error),
            }
        }
        self.notice_waiting(id);
    }

    /// Out of descriptors or memory: turns away who waits, and lets the port rest. The poller will
    /// not report those again who wait already, so a timer has to.
    fn rest(&mut self, id: Id, error: &io::Error) {
        let now = self.now();
        let Some(port) = self.ports.get_mut(id) else {
            return;
        };
        port.accepting = Accepting::Resting;
        let shed = port.listener.shed(ACCEPTS_PER_TURN);
        let (since, total) =
            port.warned.map_or((None, shed), |(at, count)| (Some(at), count + shed));
        if since.is_none_or(|at| now.duration_since(at) >= WARNING_INTERVAL) {
            let address = port.listener.address();
            log::warn!(
                "cannot accept on {address}: {error}; {total} waiting clients were turned away; \
                 trying again every {REST:?}"
            );
            port.warned = Some((now, 0));
        } else {
            port.warned = Some((since.unwrap_or(now), total));
        }
        self.set_job(REST, Job::Accept(id));
    }

    /// A client has connected: builds its protocol and introduces them.
    fn welcome(&mut self, host: Id, stream: Box<dyn Stream>, peer: Address, port: Address) {
        let agenda = Rc::clone(&self.agenda);
        let id = self.connections.insert_with(|id| {
            let transport = Transport::new(id, stream, peer, port, agenda);
            Connection::Live(Live::new(host, transport))
        });
        let Some(mut party) = self.connections.party(id) else { return };
        let transport = party.transport.clone();
        let previous = self.agenda.enter(id);
        let built = self.on_host(host, |host, reactor| host.build(&transport, reactor));
        self.agenda.leave(previous);
        let seat = match built {
            Some(Ok(seat)) => seat,
            Some(Err(panic)) => {
                let name = self.protocol_name(host);
                log::error!("{peer} is refused: building {name} panicked: {}", panic.0);
                None
            }
            None => None,
        };
        let (Some(seat), Some(live)) = (seat, self.connections.live_mut(id)) else {
            return self.refuse(id, &transport);
        };
        live.party.take_seat(seat);
        party.take_seat(seat);
        if let Some(shelf) = self.hosts.get_mut(host) {
            shelf.connections += 1;
        }
        log::debug!("{} of {peer}: connected", self.protocol_name(host));
        self.call(&party, Callback::Made);
        // Only now: a connection that is closed in its first callback is never watched.
        if transport.is_connected() {
            transport.watch();
        }
    }

    /// The factory does not want the client. What it wrote, such as the reason, is sent as far as
    /// the socket takes it at once.
    fn refuse(&mut self, id: Id, transport: &Transport) {
        log::debug!("{} is refused", transport.peer());
        transport.settle(&mut false);
        self.connections.remove(id);
        drop(transport.release());
    }
}

impl TcpServerEndpoint {
    /// Listens here; the same as [`Reactor::listen_tcp`].
    ///
    /// # Errors
    ///
    /// [`ListenError`]; nothing is left behind.
    pub fn listen<S: IntoKey>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Port<S::Factory>, ListenError> {
        reactor.listen_tcp(self, factory)
    }
}

impl ServerEndpoint {
    /// Listens here.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; nothing is left behind.
    pub fn listen<S: IntoKey>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Port<S::Factory>, ListenError> {
        match self {
            Self::Tcp(endpoint) => reactor.listen_tcp(endpoint, factory),
        }
    }
}

/// True for what accept(2) reports of a connection rather than of the port: those errors are passed
/// on from the network on Linux, and say nothing about the next client.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::TimedOut
    )
}
