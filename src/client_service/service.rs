//! `ClientService`: a client that stays connected, before it is started.

use super::backoff::Backoff;
use super::machine::Machine;
use super::retry_policy::RetryPolicy;
use crate::endpoint::ClientEndpoint;
use std::fmt;
use std::time::Duration;

/// A client that stays connected: it connects to an endpoint, and connects again when an attempt
/// fails or the connection is lost, until it is stopped. (`ClientService`)
///
/// There is one connection at a time. Its protocol is built by the factory, as by
/// [`Reactor::connect_tcp`](crate::Reactor::connect_tcp), and the factory hears of failures as
/// there. Before each pause it hears [`retrying`](crate::Factory::retrying) besides. The pauses
/// grow as [`retry`](Self::retry) says, and shrink again once a connection has lived for a while.
///
/// [`start`](Self::start) returns a [`ServiceKey`](crate::ServiceKey), which stops the service,
/// tells its state, and hands out its connection.
///
/// ```no_run
/// use std::time::Duration;
/// use twistor::client_service::Backoff;
/// use twistor::{ClientService, Context, HostnameEndpoint, Protocol, Reactor};
///
/// struct Ticker;
///
/// impl<F> Protocol<F> for Ticker {
///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
///         cx.transport.write("SUBSCRIBE ticks\r\n");
///     }
/// }
///
/// let mut reactor = Reactor::new()?;
/// let endpoint = HostnameEndpoint::new("ticks.example", 8123)?;
/// ClientService::new(endpoint, || Ticker)
///     .retry(Backoff::new().maximum(Duration::from_secs(30)))
///     .start(&mut reactor)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a service does nothing before it is started"]
pub struct ClientService<S> {
    pub(crate) endpoint: ClientEndpoint,
    pub(crate) factory: S,
    pub(crate) policy: Box<dyn RetryPolicy>,
    stable_after: Option<Duration>,
    prepare_timeout: Option<Duration>,
}

impl<S> ClientService<S> {
    /// Creates a service that connects to an endpoint. The factory is a closure that returns a
    /// protocol, a [`Factory`](crate::Factory), or the [`FactoryKey`](crate::FactoryKey) of one.
    pub fn new(endpoint: impl Into<ClientEndpoint>, factory: S) -> Self {
        Self {
            endpoint: endpoint.into(),
            factory,
            policy: Box::new(Backoff::new()),
            stable_after: None,
            prepare_timeout: None,
        }
    }

    /// Sets how long the service waits before it connects again. Default: [`Backoff::new`].
    /// (`retryPolicy`)
    pub fn retry(self, policy: impl RetryPolicy) -> Self {
        Self { policy: Box::new(policy), ..self }
    }

    /// Sets how long a connection has to live for the count of failures to begin again. Default: as
    /// long as the service waited before it, so that with a server that accepts and closes at once
    /// the pauses grow as with one that refuses.
    ///
    /// A connection's life begins when it is made, or prepared if the service asks for that. With
    /// `Duration::ZERO` every connection counts; Twisted's services do so.
    pub fn stable_after(self, lifetime: Duration) -> Self {
        Self { stable_after: Some(lifetime), ..self }
    }

    /// Lets a connection count only when its protocol has called
    /// [`Reactor::set_prepared`](crate::Reactor::set_prepared): when it has logged in, say. One
    /// that is lost before that is a failure; so a server that accepts, refuses the login and
    /// closes is asked ever more rarely. (`prepareConnection`)
    ///
    /// A connection that is not prepared `timeout` after it was made is ended, with
    /// [`Reason::TimedOut`](crate::Reason::TimedOut) and
    /// [`TimeoutKind::Handshake`](crate::limits::TimeoutKind::Handshake). What had arrived by then
    /// is read first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::{ClientService, Context, LineContext, LineReceiver, Lines};
    ///
    /// struct Login;
    ///
    /// impl<F> LineReceiver<F> for Login {
    ///     fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
    ///         cx.send_line("LOGIN ann secret");
    ///     }
    ///
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         match line {
    ///             b"OK" => drop(cx.reactor.set_prepared(cx.transport)),
    ///             _ => cx.transport.lose_connection(),
    ///         }
    ///     }
    /// }
    /// # let endpoint: twistor::ClientEndpoint = "tcp:127.0.0.1:7".parse().unwrap();
    ///
    /// let service = ClientService::new(endpoint, || Lines::new(Login))
    ///     .prepared_by_protocol(Duration::from_secs(10));
    /// ```
    pub fn prepared_by_protocol(self, timeout: Duration) -> Self {
        Self { prepare_timeout: Some(timeout), ..self }
    }

    /// Returns the machine of the service.
    pub(crate) fn machine<C: Clone>(&self) -> Machine<C> {
        Machine::new(self.stable_after, self.prepare_timeout)
    }
}

impl<S> fmt::Debug for ClientService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService")
            .field("endpoint", &self.endpoint)
            .field("stable_after", &self.stable_after)
            .field("prepare_timeout", &self.prepare_timeout)
            .finish_non_exhaustive()
    }
}
