//! `ConnectOptions`: settings of a client.

use crate::client::Client;
use crate::error::StartError;
use crate::event::Event;
#[cfg(feature = "nkey")]
use crate::nkey::Nkey;
use crate::publish_queue::QueuePolicy;
use crate::server_address::{Credentials, ServerAddress};
#[cfg(feature = "tls")]
use crate::tls_trust::TlsTrust;
use std::fmt;
use std::time::Duration;
use twistor::Reactor;
#[cfg(feature = "tls")]
use twistor::tls::TlsConnector;

/// Called with each event of a client.
pub(crate) type EventCall = Box<dyn FnMut(&mut Reactor, &Event)>;

/// How long a connection may take by default, from the name to the answer to the credentials: as
/// long as a slow network needs, and no longer, since another server may answer sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default time between two `PING`s of the client: a connection that is silently dead is given
/// up after three of them at most. Go's and Rust's other clients wait 2 min and 1 min; the server
/// itself asks every 2 min.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long draining may take by default, as in the other clients.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes may wait for a connection by default: that of Go's client (`ReconnectBufSize`).
const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// The longest delay between two attempts, by default: a server that is back is used again within
/// moments, and thousands of clients do not drown it while it starts.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);

/// Settings of a client. The defaults are those of `async-nats`, where they have a meaning here.
///
/// ```no_run
/// use twistor::Reactor;
/// use twistor_nats::{ConnectOptions, QueuePolicy};
///
/// let mut reactor = Reactor::new()?;
/// let client = ConnectOptions::new("nats://127.0.0.1:4222,127.0.0.1:4223")
///     .name("weather")
///     .user_and_password("ann", "secret")
///     .max_queued(1024 * 1024, QueuePolicy::DropOldest)
///     .on_event(|_reactor, event| log::info!("{event}"))
///     .connect(&mut reactor)?;
/// client.publish("weather.oslo", "4 degrees")?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "options do nothing before `connect`"]
pub struct ConnectOptions {
    servers: String,
    keeps_order: bool,
    pub(crate) on_event: Option<EventCall>,
    pub(crate) settings: Settings,
}

/// What a running client keeps of its options.
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) credentials: Option<Credentials>,
    #[cfg(feature = "nkey")]
    pub(crate) nkey: Option<Nkey>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsTrust>,
    pub(crate) requires_tls: bool,
    pub(crate) echo: bool,
    pub(crate) discovers: bool,
    pub(crate) ping_interval: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) reconnect_delay_max: Duration,
    pub(crate) max_queued: usize,
    pub(crate) queue_policy: QueuePolicy,
    pub(crate) inbox_prefix: String,
}

impl ConnectOptions {
    /// Returns options for the servers of a list such as `nats://user:password@host:port,host2`.
    ///
    /// The scheme is `nats`, or `tls` for servers that must encrypt; the port is 4222 unless it is
    /// given. In a user, a password or a token, `%40` stands for `@`, and so on. A server without
    /// credentials has those of the first that has some.
    pub fn new(servers: impl Into<String>) -> Self {
        let settings = Settings {
            name: None,
            credentials: None,
            #[cfg(feature = "nkey")]
            nkey: None,
            #[cfg(feature = "tls")]
            tls: None,
            requires_tls: false,
            echo: true,
            discovers: true,
            ping_interval: PING_INTERVAL,
            connect_timeout: CONNECT_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            reconnect_delay_max: RECONNECT_DELAY_MAX,
            max_queued: MAX_QUEUED,
            queue_policy: QueuePolicy::default(),
            inbox_prefix: "_INBOX".to_owned(),
        };
        Self { servers: servers.into(), keeps_order: false, on_event: None, settings }
    }

    /// Sets the name of the client, which the server's log and monitoring show.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Authenticates as a user, on servers whose address has no credentials.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        let (user, password) = (user.into(), password.into());
        self.settings.credentials = Some(Credentials::User { user, password });
        self
    }

    /// Authenticates by a token, on servers whose address has no credentials.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.credentials = Some(Credentials::Token(token.into()));
        self
    }

    /// Authenticates by an nkey, whose seed signs what the server asks.
    #[cfg(feature = "nkey")]
    pub fn nkey(mut self, nkey: Nkey) -> Self {
        self.settings.nkey = Some(nkey);
        self
    }

    /// Sets the certificates that TLS trusts, and what it shows. With it, a server that asks for
    /// TLS gets it; [`require_tls`](Self::require_tls) and `tls://` make it a condition. Default:
    /// the system's certificates, if an address is `tls://`.
    ///
    /// A server's certificate must be valid for its host in the list. What a server says before TLS
    /// is not authenticated, other servers' addresses included
    /// ([`ignore_discovered_servers`](Self::ignore_discovered_servers)): with a connector, one that
    /// was told of by name must have a certificate for that name, so it should trust authorities
    /// that certify only servers of your own. By default it must have one for the host in the list,
    /// since the system's authorities certify anyone's host. One that was told of by IP address
    /// needs one for the host in the list in both cases.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: TlsConnector) -> Self {
        self.settings.tls = Some(TlsTrust::Chosen(connector));
        self
    }

    /// Accepts no server that does not encrypt. Otherwise somebody between the client and a server
    /// could keep them from it.
    #[cfg(feature = "tls")]
    pub fn require_tls(mut self) -> Self {
        self.settings.requires_tls = true;
        self
    }

    /// Sets whether messages that the client publishes reach its own subscriptions. Default: true.
    pub fn echo(mut self, echo: bool) -> Self {
        self.settings.echo = echo;
        self
    }

    /// Connects to the servers in the order of the list. Default: in a random order, so that
    /// clients spread over them. Those that servers tell of come after them, always in a random
    /// order.
    pub fn retain_servers_order(mut self) -> Self {
        self.keeps_order = true;
        self
    }

    /// Uses only the servers of the list, and none that they tell of. These are told of before TLS,
    /// so anyone on the way can add to them: see [`tls`](Self#method.tls) for what keeps the
    /// client's credentials from such a server.
    pub fn ignore_discovered_servers(mut self) -> Self {
        self.settings.discovers = false;
        self
    }

    /// Sets the time between two `PING`s of the client. If two of them are unanswered when the next
    /// is due, the connection is given up. Default: 20 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.settings.ping_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how long an attempt may take to connect, and then to be authenticated. Default: 5 s
    /// each.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets how long [`Client::drain`] may take, after which the connection is aborted. Default: 30
    /// s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// Sets the longest delay between two attempts. The servers of the list, and up to eight that
    /// servers have told of, are tried once at short intervals; then the delay grows from 200 ms
    /// on, and up to half of it is cut off at random. Default: 5 s.
    pub fn reconnect_delay_max(mut self, delay: Duration) -> Self {
        self.settings.reconnect_delay_max = delay;
        self
    }

    /// Sets how many bytes of messages may wait while there is no connection, or while the server
    /// takes them too slowly, and what happens to one that does not fit. Default: 8 MiB and
    /// [`QueuePolicy::Reject`].
    pub fn max_queued(mut self, bytes: usize, policy: QueuePolicy) -> Self {
        (self.settings.max_queued, self.settings.queue_policy) = (bytes, policy);
        self
    }

    /// Sets the beginning of the subjects on which answers to requests arrive. Default: `_INBOX`.
    /// Users with few permissions may need their own. One that is no subject counts as the default.
    pub fn inbox_prefix(mut self, prefix: &str) -> Self {
        if crate::codec::check_subject(prefix).is_ok() {
            self.settings.inbox_prefix = prefix.to_owned();
        }
        self
    }

    /// Calls `call` with each event: when the client is connected or no longer, and when a server
    /// reports an error. A panic in it ends the connection.
    pub fn on_event(mut self, call: impl FnMut(&mut Reactor, &Event) + 'static) -> Self {
        self.on_event = Some(Box::new(call));
        self
    }

    /// Starts a client with these options. It connects in the background, and again whenever its
    /// connection is lost, until it is closed; what it is told to publish before waits.
    ///
    /// # Errors
    ///
    /// [`StartError`]: an address cannot be used, TLS cannot be, or the reactor is stopping. That a
    /// server cannot be reached is no error but an [`Event`].
    pub fn connect(self, reactor: &mut Reactor) -> Result<Client, StartError> {
        let mut options = self;
        let mut servers = ServerAddress::parse_list(&options.servers)?;
        for server in &mut servers {
            server.requires_tls |= options.settings.requires_tls;
            let own = &options.settings.credentials;
            server.credentials = server.credentials.take().or_else(|| own.clone());
        }
        if servers.iter().any(|server| server.requires_tls) {
            options.settings = options.settings.with_tls()?;
        }
        let keeps_order = options.keeps_order;
        Client::start(options, servers, keeps_order, reactor)
    }
}

impl Settings {
    /// Returns true if the name of a server that others tell of may stand for itself in TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn believes_names(&self) -> bool {
        self.tls.as_ref().is_none_or(TlsTrust::believes_names)
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn believes_names(&self) -> bool {
        true
    }

    #[cfg(feature = "tls")]
    fn with_tls(mut self) -> Result<Self, StartError> {
        if self.tls.is_none() {
            let connector = TlsConnector::with_system_roots();
            let connector = connector.map_err(|error| StartError::Tls(error.to_string()))?;
            self.tls = Some(TlsTrust::System(connector));
        }
        Ok(self)
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(self) -> Result<Self, StartError> {
        Err(StartError::Tls("enable the feature `tls` of twistor-nats".to_owned()))
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.servers.split(',').map(|it| it.rsplit('@').next().unwrap_or_default());
        f.debug_struct("ConnectOptions")
            .field("servers", &hidden.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
