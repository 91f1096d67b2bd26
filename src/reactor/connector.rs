//! Connecting: outgoing connections.

use super::Reactor;
use super::errors::ConnectError;
use super::factories::{IntoFactory, StartFailure};
use super::key::FactoryKey;
use super::lifecycle::RunState;
use super::table::{Arriving, Slot, Stage};
use super::timers::TimerAction;
use crate::arena::Id;
use crate::driver::{AnyStream, Driver};
use crate::endpoint::{
    ClientEndpoint, Destination, HostnameEndpoint, TcpClientEndpoint, UnixClientEndpoint,
};
#[cfg(feature = "tls")]
use crate::tls::TlsSide;
use crate::transport::{ListenerInfo, Transport};
use std::fmt;
use std::rc::Rc;

/// An attempt to connect, and the key of the factory that builds its protocol. (`IConnector`)
pub struct Connector<F> {
    transport: Transport,
    key: FactoryKey<F>,
}

impl<F> Connector<F> {
    /// Returns the connection. Bytes written to it wait until it is established;
    /// `abort_connection` gives the attempt up. (`stopConnecting`)
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Returns the key of the factory.
    pub fn key(&self) -> FactoryKey<F> {
        self.key
    }
}

impl<F> Clone for Connector<F> {
    fn clone(&self) -> Self {
        Self { transport: self.transport.clone(), key: self.key }
    }
}

impl<F> From<&Connector<F>> for FactoryKey<F> {
    fn from(connector: &Connector<F>) -> Self {
        connector.key
    }
}

impl<F> fmt::Debug for Connector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("transport", &self.transport)
            .field("key", &self.key)
            .finish()
    }
}

impl Reactor {
    /// Begins to connect over TCP; the factory builds a protocol when the connection is
    /// established. The factory may be a closure that returns a protocol, a
    /// [`Factory`](crate::Factory), or the [`FactoryKey`] or a
    /// [`ListeningPort`](crate::ListeningPort) of one. (`connectTCP`)
    ///
    /// The endpoint is an address, a pair of IP address and port number, or a
    /// [`TcpClientEndpoint`], which has a timeout. Before this returns, only `start_factory` is
    /// called, if the factory is not in use. A later turn calls either `build_protocol` and
    /// `connection_made`, or [`connection_failed`](crate::Factory::connection_failed). The factory
    /// is in use until the connection is lost or has failed; with its last use it is stopped.
    ///
    /// Bytes written to the transport before it is connected are sent when it is. If there are any,
    /// [`lose_connection`](Transport::lose_connection) also waits: the connection is made, the
    /// bytes are sent, and the connection closes. With nothing to send, or by
    /// [`abort_connection`](Transport::abort_connection), the attempt is given up; so is every
    /// attempt when the reactor begins to drain, or stops.
    ///
    /// ```no_run
    /// use std::net::Ipv4Addr;
    /// use twistor::{Context, Protocol, Reactor};
    ///
    /// struct Greeting;
    ///
    /// impl<F> Protocol<F> for Greeting {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.transport.write("hello\r\n");
    ///     }
    /// }
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8007), || Greeting)?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped. A failure
    /// to connect is reported to the factory instead.
    pub fn connect_tcp<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<TcpClientEndpoint>,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        self.connect_to(endpoint.into().into(), factory)
    }

    /// Connects to a server and encrypts the connection. (`connectSSL`)
    ///
    /// The protocol is built when the handshake is complete and the server's certificate has been
    /// verified for the name of `side`; if that fails,
    /// [`connection_failed`](crate::Factory::connection_failed) hears why. All of it has to happen
    /// within the connect timeout.
    ///
    /// ```no_run
    /// use twistor::tls::TlsConnector;
    /// use twistor::{HostnameEndpoint, Protocol, Reactor};
    ///
    /// struct Ask;
    ///
    /// impl<F> Protocol<F> for Ask {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let side = TlsConnector::with_system_roots()?.to("example.org")?;
    /// reactor.connect_tls(HostnameEndpoint::new("example.org", 443)?, side, || Ask)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`connect_tcp`](Self::connect_tcp).
    #[cfg(feature = "tls")]
    pub fn connect_tls<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<ClientEndpoint>,
        side: TlsSide,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        self.connect_to(endpoint.into().encrypted(side), factory)
    }

    /// Begins to connect to a Unix socket, as [`connect_tcp`](Self::connect_tcp) does over TCP. The
    /// endpoint is a path, or a [`UnixClientEndpoint`]. (`connectUNIX`)
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect_unix<S: IntoFactory>(
        &mut self,
        endpoint: impl Into<UnixClientEndpoint>,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        self.connect_to(endpoint.into().into(), factory)
    }

    /// Begins to connect to the endpoint that a description names, such as `tcp:127.0.0.1:8007`.
    /// [`ClientEndpoint`] explains the syntax; [`connect_tcp`](Self::connect_tcp) says what
    /// follows. (`clientFromString(..).connect`)
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect<S: IntoFactory>(
        &mut self,
        description: &str,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        self.connect_to(description.parse()?, factory)
    }

    fn connect_to<S: IntoFactory>(
        &mut self,
        endpoint: ClientEndpoint,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        let key = factory.into_key(self);
        if let Err(error) = self.use_factory(&endpoint, key) {
            self.drop_unused_factory(key);
            return Err(error);
        }
        match self.insert_attempt(&endpoint, key.id, None) {
            Some(transport) => Ok(Connector { transport, key }),
            None => Err(ConnectError::NoFactory { endpoint }),
        }
    }

    /// Drops a factory that was moved in for a connection which has not begun.
    pub(super) fn drop_unused_factory<F>(&mut self, key: FactoryKey<F>) {
        if self.slot(key).is_some() {
            self.drop_if_unused(key.id);
        }
    }

    /// Counts a use of a factory, and starts it if that is the first.
    pub(super) fn use_factory<F>(
        &mut self,
        endpoint: &ClientEndpoint,
        key: FactoryKey<F>,
    ) -> Result<(), ConnectError> {
        let endpoint = || endpoint.clone();
        if self.lifecycle.refuses_new() {
            return Err(ConnectError::Stopping { endpoint: endpoint() });
        }
        if self.slot(key).is_none() {
            return Err(ConnectError::NoFactory { endpoint: endpoint() });
        }
        self.change_use_count(key.id, 1);
        self.start_factory(key.id).map_err(|failure| {
            self.change_use_count(key.id, -1);
            let endpoint = endpoint();
            match failure {
                StartFailure::Failed(source) => ConnectError::StartFactory { endpoint, source },
                StartFailure::Busy => ConnectError::FactoryBusy { endpoint },
                StartFailure::Gone => ConnectError::NoFactory { endpoint },
            }
        })
    }

    /// Begins an attempt, which is a use of its factory that is counted already.
    pub(super) fn insert_attempt(
        &mut self,
        endpoint: &ClientEndpoint,
        factory: Id,
        service: Option<Id>,
    ) -> Option<Transport> {
        let hub = Rc::clone(&self.hub);
        let address = endpoint.address();
        let listener_info = Rc::new(ListenerInfo {
            hub,
            factory,
            address: endpoint.local_address(),
            is_outgoing: true,
            service,
        });
        log::debug!("{} connecting to {address}", self.protocol_name(factory));
        let due = self.due_in(endpoint.connect_timeout());
        let mut begun = None;
        self.connections.insert_with(|id| {
            let (stage, stream) = Stage::begin(endpoint, &mut *self.driver, id);
            let retries = stream.as_ref().and_then(|stream| stream.connect_retry_delay()).is_some();
            if matches!(stage, Stage::Failed(_)) || retries {
                self.queues.ready.push(id);
            }
            let transport = Transport::connecting(id, stream, address, listener_info);
            let timeout = self.timers.set(due, TimerAction::ArrivalTimeout(id));
            begun = Some(transport.clone());
            let tls = endpoint.tls().cloned();
            Slot::Arriving(Arriving::boxed(transport, timeout, stage, tls, None))
        });
        begun
    }

    /// Releases the factory of a connection that is over, or was never made. An outgoing connection
    /// counts as a use of its factory, an accepted one does not.
    pub(super) fn release_factory(&mut self, transport: &Transport) {
        let factory = transport.factory();
        if transport.is_outgoing() {
            self.change_use_count(factory, -1);
        }
        // Shutdown stops factories after all connections are lost.
        if self.lifecycle.state != RunState::Stopping {
            self.stop_if_unused(factory);
        }
    }
}

impl Stage {
    /// Returns the first stage of an attempt to connect, and its stream if it has one already.
    fn begin(
        endpoint: &ClientEndpoint,
        driver: &mut dyn Driver,
        id: Id,
    ) -> (Self, Option<AnyStream>) {
        let header = endpoint.encoded_proxy_header();
        match endpoint.destination() {
            Destination::Address(carrier) => match driver.connect(carrier, id) {
                Ok(stream) => (Self::Connecting { header }, Some(stream)),
                Err(error) => (Self::Failed(error), None),
            },
            Destination::Host(endpoint) => (Self::resolve(endpoint, header, driver, id), None),
        }
    }
}

impl TcpClientEndpoint {
    /// Begins to connect to this endpoint, as [`Reactor::connect_tcp`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        reactor.connect_tcp(self, factory)
    }
}

impl HostnameEndpoint {
    /// Begins to connect to this endpoint, as [`Reactor::connect_tcp`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        reactor.connect_to(self.into(), factory)
    }
}

impl UnixClientEndpoint {
    /// Begins to connect to this endpoint, as [`Reactor::connect_unix`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        reactor.connect_unix(self, factory)
    }
}

impl ClientEndpoint {
    /// Begins to connect to this endpoint, as [`Reactor::connect`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped.
    pub fn connect<S: IntoFactory>(
        self,
        reactor: &mut Reactor,
        factory: S,
    ) -> Result<Connector<S::Factory>, ConnectError> {
        reactor.connect_to(self, factory)
    }
}
