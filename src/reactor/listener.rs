//! Listening: opens and closes ports.

use super::Reactor;
use super::errors::ListenError;
use super::factories::sealed::Sealed;
use super::factories::{IntoFactory, StartFailure};
use super::key::FactoryKey;
use super::open_port::OpenPort;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{Driver, Listener};
use crate::endpoint::{InheritedEndpoint, ServerEndpoint, TcpServerEndpoint, UnixServerEndpoint};
use crate::protocol::Factory;
#[cfg(feature = "tls")]
use crate::tls::TlsAcceptor;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::rc::Rc;

/// An open port, and the key of the factory that serves it.
///
/// It can be cloned and sent to other threads, and is accepted wherever a [`FactoryKey`] is.
/// (`IListeningPort`)
pub struct ListeningPort<F> {
    id: Id,
    key: FactoryKey<F>,
    address: Address,
}

/// Identifies a port, whatever its factory's type: to close it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListeningPortId {
    id: Id,
    reactor: usize,
}

impl<F> From<ListeningPort<F>> for ListeningPortId {
    fn from(port: ListeningPort<F>) -> Self {
        port.id()
    }
}

impl<F> From<&ListeningPort<F>> for ListeningPortId {
    fn from(port: &ListeningPort<F>) -> Self {
        port.id()
    }
}

impl<F> ListeningPort<F> {
    /// Returns the id of the port, which does not depend on the factory's type: that of a closure
    /// cannot be written.
    pub fn id(&self) -> ListeningPortId {
        ListeningPortId { id: self.id, reactor: self.key.reactor }
    }

    pub(super) fn slot(&self) -> Id {
        self.id
    }

    /// Returns the address that the port listens on, with the port number that the operating system
    /// chose if it was asked to.
    pub fn local_address(&self) -> Address {
        self.address.clone()
    }

    /// Returns the key of the factory that serves the port.
    pub fn key(&self) -> FactoryKey<F> {
        self.key
    }
}

impl<F> Clone for ListeningPort<F> {
    fn clone(&self) -> Self {
        Self { id: self.id, address: self.address.clone(), key: self.key }
    }
}

impl<F> PartialEq for ListeningPort<F> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<F> Eq for ListeningPort<F> {}

impl<F> Hash for ListeningPort<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<F> From<ListeningPort<F>> for FactoryKey<F> {
    fn from(port: ListeningPort<F>) -> Self {
        port.key
    }
}

impl<F> From<&ListeningPort<F>> for FactoryKey<F> {
    fn from(port: &ListeningPort<F>) -> Self {
        port.key
    }
}

impl<F: Factory> Sealed for ListeningPort<F> {}

impl<F: Factory> Sealed for &ListeningPort<F> {}

impl<F: Factory> IntoFactory for ListeningPort<F> {
    type Factory = F;

    fn into_key(self, _: &mut Reactor) -> FactoryKey<F> {
        self.key
    }
}

impl<F: Factory> IntoFactory for &ListeningPort<F> {
    type Factory = F;

    fn into_key(self, _: &mut Reactor) -> FactoryKey<F> {
        self.key
    }
}

impl<F> fmt::Debug for ListeningPort<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListeningPort")
            .field("address", &self.address)
            .field("key", &self.key)
            .finish()
    }
}

impl Reactor {
    /// Opens the port that a description names, such as `tcp:8007:interface=127.0.0.1`, and serves
    /// it with a factory. [`ServerEndpoint`] explains the syntax;
    /// [`listen_tcp`](Self::listen_tcp) takes a port number. (`serverFromString(..).listen`)
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen<S: IntoFactory>(
        &mut self,
        description: &str,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        self.listen_on(description.parse()?, factory)
    }

    /// Opens a TCP port and serves it with a factory: a closure that returns a protocol, a
    /// [`Factory`], or the [`FactoryKey`] or a [`ListeningPort`] of a factory that already serves
    /// another port.
    ///
    /// The endpoint is a port number, which means all IPv4 interfaces; or an address, a pair of
    /// address and number, or a [`TcpServerEndpoint`]. (`listenTCP`)
    ///
    /// Clients can connect when this returns; the reactor accepts them while it runs. Before this
    /// returns, the factory's `start_factory` is called, if the factory is not in use.
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
    /// // A second port for this factory.
    /// reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), &port)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen_tcp<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<TcpServerEndpoint>,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        self.listen_on(endpoint.into().into(), factory)
    }

    /// Listens on a TCP port whose connections are encrypted: a port number for all IPv4
    /// interfaces, or a [`TcpServerEndpoint`]. (`listenSSL`)
    ///
    /// Their protocols are built when the handshake is complete, and
    /// [`Transport::tls`](crate::Transport::tls) says what it has negotiated. A client that has not
    /// completed it within [`Settings::handshake_timeout`](crate::Settings::handshake_timeout) is
    /// dropped. [`ServerEndpoint::encrypted`] does the same for other kinds of ports.
    ///
    /// ```no_run
    /// use twistor::tls::{Certificates, TlsAcceptor};
    /// use twistor::{Factory, Protocol, Reactor};
    ///
    /// struct Echo;
    ///
    /// impl<F> Protocol<F> for Echo {}
    ///
    /// let certificates = Certificates::from_files("chain.pem", "key.pem")?;
    /// let acceptor = TlsAcceptor::builder(&certificates).build();
    /// let mut reactor = Reactor::new()?;
    /// reactor.listen_tls(8443, &acceptor, || Echo)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`listen_tcp`](Self::listen_tcp).
    #[cfg(feature = "tls")]
    pub fn listen_tls<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<TcpServerEndpoint>,
        acceptor: &TlsAcceptor,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        self.listen_on(ServerEndpoint::from(endpoint.into()).encrypted(acceptor), factory)
    }

    /// Opens a Unix socket and serves it with a factory, as [`listen_tcp`](Self::listen_tcp) does
    /// with a TCP port. The endpoint is a path, or a [`UnixServerEndpoint`]. (`listenUNIX`)
    ///
    /// ```no_run
    /// use twistor::Reactor;
    /// # struct Echo;
    /// # impl<F> twistor::Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.listen_unix("/run/web.sock", || Echo)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped. Where the path
    /// is to blame, the source of [`ListenError::Bind`] holds a
    /// [`UnixSocketError`](crate::error::UnixSocketError).
    pub fn listen_unix<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<UnixServerEndpoint>,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        self.listen_on(endpoint.into().into(), factory)
    }

    /// Serves, with a factory, a socket that the program has opened itself: a listener of the
    /// standard library, or any descriptor of a TCP or Unix socket that listens. The reactor owns
    /// it from now on, and it no longer blocks, for all processes that share it. A Unix socket
    /// keeps its file when the port is closed. (`adoptStreamPort`)
    ///
    /// The descriptions `fd:3` and `systemd:name=web` of [`listen`](Self::listen) take sockets that
    /// the process has inherited.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use twistor::Reactor;
    /// # struct Echo;
    /// # impl<F> twistor::Protocol<F> for Echo {}
    ///
    /// let socket = TcpListener::bind("127.0.0.1:0")?;
    /// let mut reactor = Reactor::new()?;
    /// reactor.adopt_listener(socket, || Echo)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListenError`]: the socket is closed, and a factory that was moved in is dropped. With
    /// [`ListenError::Bind`] the descriptor is of another kind.
    #[cfg(unix)]
    pub fn adopt_listener<S: IntoFactory>(
        &mut self,
        socket: impl Into<std::os::fd::OwnedFd>,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        use std::os::fd::AsRawFd;
        let socket = socket.into();
        let number = socket.as_raw_fd().unsigned_abs();
        let endpoint = InheritedEndpoint::descriptor(number).into();
        self.listen_with(endpoint, factory, |driver, id| driver.adopt(socket, id))
    }

    fn listen_on<S: IntoFactory>(
        &mut self,
        endpoint: ServerEndpoint,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        let carrier = endpoint.carrier().clone();
        let name = carrier.name();
        let passed = self.take_passed(&name);
        let number = passed.as_ref().map(|passed| passed.number);
        let open = |driver: &mut dyn Driver, id| match passed {
            Some(passed) => driver.take_over(passed.descriptors, &carrier, id),
            None => driver.listen(&carrier, id),
        };
        let port = self.listen_with(endpoint, factory, open)?;
        if let Some(open) = self.ports.get_mut(port.id) {
            open.requested = Some(name);
            open.taken_over = number;
        }
        Ok(port)
    }

    pub(super) fn listen_with<S: IntoFactory>(
        &mut self,
        endpoint: ServerEndpoint,
        factory: S,
        open: impl FnOnce(&mut dyn Driver, Id) -> io::Result<Box<dyn Listener>>,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        let key = factory.into_key(self);
        let opened = self.open_port(endpoint, key, open);
        if opened.is_err() && self.slot(key).is_some() {
            self.drop_if_unused(key.id);
        }
        let (id, address) = opened?;
        Ok(ListeningPort { id, key, address })
    }

    fn open_port<F>(
        &mut self,
        endpoint: ServerEndpoint,
        key: FactoryKey<F>,
        open: impl FnOnce(&mut dyn Driver, Id) -> io::Result<Box<dyn Listener>>,
    ) -> Result<(Id, Address), ListenError> {
        let factory = key.id;
        if self.lifecycle.refuses_new() {
            return Err(ListenError::Stopping { endpoint });
        }
        if self.slot(key).is_none() {
            return Err(ListenError::NoFactory { endpoint });
        }
        let mut address = None;
        let opened = self.ports.try_insert_with(|id| {
            let listener = open(&mut *self.driver, id)?;
            let port = OpenPort::new(listener, &endpoint, factory, Rc::clone(&self.hub));
            address = Some(port.address());
            Ok(port)
        });
        let (id, address) = match (opened, address) {
            (Ok(id), Some(address)) => (id, address),
            (Err(source), _) => return Err(ListenError::Bind { endpoint, source }),
            (Ok(_), None) => return Err(ListenError::NoFactory { endpoint }),
        };
        // Counted before: while it starts, the factory may open and close ports of its own.
        self.change_use_count(factory, 1);
        let Err(failure) = self.start_factory(factory) else {
            log::info!("{} starting on {address}", self.protocol_name(factory));
            return Ok((id, address));
        };
        self.ports.remove(id);
        self.change_use_count(factory, -1);
        Err(match failure {
            StartFailure::Failed(source) => ListenError::StartFactory { endpoint, source },
            StartFailure::Busy => ListenError::FactoryBusy { endpoint },
            StartFailure::Gone => ListenError::NoFactory { endpoint },
        })
    }

    pub(super) fn change_use_count(&mut self, factory: Id, change: isize) {
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.use_count = slot.use_count.saturating_add_signed(change);
        }
    }

    /// Closes a port at once; its established connections continue. Returns false if the port is
    /// closed already. When this returns, the address can be listened on again.
    ///
    /// If it was the factory's last use, `stop_factory` is called at the end of this turn or of the
    /// next one, never from within this. (`stopListening`)
    pub fn stop_listening(&mut self, port: impl Into<ListeningPortId>) -> bool {
        let port = port.into();
        port.reactor == self.id && self.close_port(port.id)
    }

    pub(super) fn close_port(&mut self, id: Id) -> bool {
        let Some(port) = self.ports.remove(id) else {
            return false;
        };
        let (factory, address) = (port.factory(), port.address());
        self.end_accepting(id, &port);
        drop(port);
        log::info!("{} stopped listening on {address}", self.protocol_name(factory));
        self.change_use_count(factory, -1);
        self.queues.unused_factories.push(factory);
        true
    }
}

impl TcpServerEndpoint {
    /// Opens this endpoint, as [`Reactor::listen_tcp`] does.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        reactor.listen_tcp(self, factory)
    }
}

impl ServerEndpoint {
    /// Opens this endpoint, as [`Reactor::listen`] does.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        reactor.listen_on(self, factory)
    }
}

impl UnixServerEndpoint {
    /// Opens this endpoint, as [`Reactor::listen_unix`] does.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        reactor.listen_unix(self, factory)
    }
}

impl InheritedEndpoint {
    /// Listens on this endpoint, as [`Reactor::listen`] does.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no port is open, and a factory that was moved in is dropped.
    pub fn listen<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        reactor.listen_on(self.into(), factory)
    }
}
