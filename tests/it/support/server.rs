//! A reactor with one port of probes, and the log of their callbacks.

#[cfg(unix)]
use super::Folder;
use super::{Client, Cx, Event, Probes, SIMULATED_TIMEOUT, TIMEOUT};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
#[cfg(unix)]
use twistor::UnixServerEndpoint;
use twistor::proxy_protocol::ProxyHeader;
use twistor::shutdown::ShutdownReport;
use twistor::testing::{Fault, Host, Simulation};
use twistor::{
    Address, ClientEndpoint, HostnameEndpoint, ListeningPort, Reactor, Remote, ServerEndpoint,
    Settings, TcpClientEndpoint, Transport, UnixAddress, UnixClientEndpoint,
};

/// A reactor with one port of probes, in a thread or on a simulated network.
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) port: ListeningPort<Probes>,
    pub(crate) remote: Remote,
    log: Receiver<String>,
    reports: Receiver<ShutdownReport>,
    place: Place,
    /// Each connection to it begins with a PROXY header.
    has_proxies: bool,
    /// Its connections are encrypted.
    is_encrypted: bool,
    /// Its reactor connects to hosts by name.
    dials_by_name: bool,
    /// The loop does nothing for now.
    is_held_up: Cell<bool>,
    /// Where its Unix socket is.
    #[cfg(unix)]
    folder: Option<Folder>,
    /// The reactor still runs when the server is dropped: the test looks after it itself.
    outlives: bool,
}

/// Where a reactor lives.
enum Place {
    /// In a thread of its own; `None` when that has ended.
    Thread(Option<JoinHandle<()>>),
    /// On a simulated network.
    Simulated(Simulation, Host),
}

/// Returns true if each connection to this endpoint begins with a PROXY header.
fn has_proxies(at: &ServerEndpoint) -> bool {
    at.to_string().starts_with("haproxy:")
}

fn is_encrypted(at: &ServerEndpoint) -> bool {
    at.to_string().trim_start_matches("haproxy:").starts_with("ssl:")
}

impl Server {
    /// Creates a server on IPv4 whose protocols act in this way.
    pub(crate) fn new(act: fn(Event<'_>, &mut Cx<'_>)) -> Self {
        Self::with("tcp:0:interface=127.0.0.1".parse().unwrap(), Settings::default(), act)
    }

    pub(crate) fn with(
        at: ServerEndpoint,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> Self {
        let (has_proxies, is_encrypted) = (has_proxies(&at), is_encrypted(&at));
        let open = move |reactor: &mut Reactor, probes| at.listen(reactor, probes).unwrap();
        let mut server = Self::opened_by(open, settings, act);
        (server.has_proxies, server.is_encrypted) = (has_proxies, is_encrypted);
        server
    }

    /// Creates a server on a socket of the test's own.
    #[cfg(unix)]
    pub(crate) fn adopting(
        socket: impl Into<std::os::fd::OwnedFd>,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> Self {
        let socket = socket.into();
        let open = |reactor: &mut Reactor, probes| reactor.adopt_listener(socket, probes).unwrap();
        Self::opened_by(open, settings, act)
    }

    fn opened_by(
        open: impl FnOnce(&mut Reactor, Probes) -> ListeningPort<Probes> + Send + 'static,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> Self {
        let (log_in, log) = channel();
        let (ready_in, ready) = channel();
        let (report_in, reports) = channel();
        let thread = std::thread::spawn(move || {
            let mut reactor = Reactor::with_settings(settings.handle_signals(false)).unwrap();
            let port = open(&mut reactor, Probes::new(act, log_in));
            ready_in.send((port, reactor.remote())).unwrap();
            let _ = report_in.send(reactor.run().unwrap());
            // No connection is left, whatever the test did.
            assert_eq!(reactor.connection_count(), 0);
        });
        let (port, remote) = ready.recv_timeout(TIMEOUT).unwrap();
        let address = port.local_address();
        let place = Place::Thread(Some(thread));
        Self {
            address,
            port,
            remote,
            log,
            reports,
            place,
            outlives: false,
            has_proxies: false,
            is_encrypted: false,
            dials_by_name: false,
            is_held_up: Cell::new(false),
            #[cfg(unix)]
            folder: None,
        }
    }

    /// Lets the reactor connect to a host by its name, which has another address before that of the
    /// host, where nobody listens.
    pub(crate) fn dialling_by_name(mut self) -> Self {
        self.dials_by_name = true;
        let own = self.address.ip().unwrap();
        if let Place::Simulated(simulation, host) = &self.place {
            let gone = simulation.host(&format!("gone-{}", host.address(0).ip()), |_| Ok(()));
            simulation.name(&Self::host_name(&self.address), [gone.address(0).ip(), own]);
        } else {
            self.call(move |reactor| {
                reactor.set_resolver(move |_: &str, port| {
                    Ok(vec![([127, 0, 0, 2], port).into(), (own, port).into()])
                });
            });
        }
        self
    }

    /// Returns the name of the host of a server.
    fn host_name(server: &Address) -> String {
        let ip = server.ip().unwrap().to_string();
        format!("host-{}.test", ip.replace(['.', ':'], "-"))
    }

    /// Creates a server on a Unix socket in a folder of its own.
    #[cfg(unix)]
    pub(crate) fn unix(settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Self {
        let folder = Folder::new();
        let at = UnixServerEndpoint::new(folder.join("server"));
        let mut server = Self::with(at.into(), settings, act);
        server.folder = Some(folder);
        server
    }

    /// Creates a server on a simulated network.
    pub(crate) fn simulated(
        simulation: Simulation,
        at: ServerEndpoint,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> Self {
        Self::on_host(simulation, "server", at, settings, act).0
    }

    /// Creates a server on a host of its own, whose reactor runs on when the server is dropped.
    pub(crate) fn that_outlives(
        simulation: Simulation,
        name: &str,
        at: ServerEndpoint,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> (Self, Host) {
        let (mut server, host) = Self::on_host(simulation, name, at, settings, act);
        server.outlives = true;
        (server, host)
    }

    fn on_host(
        simulation: Simulation,
        name: &str,
        at: ServerEndpoint,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> (Self, Host) {
        let (has_proxies, is_encrypted) = (has_proxies(&at), is_encrypted(&at));
        let (log_in, log) = channel();
        let opened = Rc::new(Cell::new(None));
        let (_, reports) = channel();
        let open = Rc::clone(&opened);
        let host = simulation.host_with(name, settings, move |reactor| {
            let probes = Probes::new(act, log_in.clone()).simulated();
            open.set(Some(at.clone().listen(reactor, probes)?));
            Ok(())
        });
        let port = opened.take().unwrap();
        let (address, remote) = (port.local_address(), host.reactor(|reactor| reactor.remote()));
        let mut server = Self {
            address,
            port,
            remote,
            log,
            reports,
            place: Place::Simulated(simulation, host.clone()),
            outlives: false,
            has_proxies: false,
            is_encrypted: false,
            dials_by_name: false,
            is_held_up: Cell::new(false),
            #[cfg(unix)]
            folder: None,
        };
        (server.has_proxies, server.is_encrypted) = (has_proxies, is_encrypted);
        (server, host)
    }

    pub(crate) fn connect(&self) -> Client {
        // A connection is made when its header has come, and its handshake is complete; a later
        // one must not be made before it.
        let arrives_later = self.has_proxies || self.is_encrypted;
        let waits =
            arrives_later && !self.is_held_up.get() && matches!(self.place, Place::Thread(_));
        let arrived = |reactor: &mut Reactor| {
            let metrics = reactor.metrics();
            metrics.accepted + metrics.rejected
        };
        let before = if waits { self.call(arrived) } else { 0 };
        let mut client = self.connect_plainly();
        if self.has_proxies {
            // A client that is its own proxy.
            let ends = [client.address(), self.address.clone()];
            let [client_end, own] = ends.map(|address| address.socket_addr().unwrap());
            let mut header = Vec::new();
            ProxyHeader::new(client_end, own).encode(&mut header);
            client.send(header);
        }
        if self.is_encrypted {
            client.start_tls();
        }
        if waits {
            let start = Instant::now();
            while self.call(arrived) == before {
                assert!(start.elapsed() < TIMEOUT, "a client does not arrive");
            }
        }
        client
    }

    /// Returns what a client of unknown address sends first.
    pub(crate) fn introduction(&self) -> Vec<u8> {
        let mut header = Vec::new();
        if self.has_proxies {
            ProxyHeader::unspecified().encode(&mut header);
        }
        header
    }

    fn connect_plainly(&self) -> Client {
        match &self.place {
            Place::Thread(_) => Client::connect(self.address.clone()),
            Place::Simulated(simulation, host) => match &self.address {
                Address::Tcp(address) => {
                    let peer = simulation.late_reader("client", *address);
                    let address = peer.address().into();
                    Client::simulated(peer, address)
                }
                Address::Unix(address) => Client::simulated(
                    host.unix_late_reader(address.clone()),
                    UnixAddress::unnamed().into(),
                ),
                other => panic!("no client can connect to {other}"),
            },
        }
    }

    /// Allows panics of the probes, which fail a test on a simulated network otherwise.
    pub(crate) fn allow_panics(&self) {
        if let Place::Simulated(simulation, _) = &self.place {
            simulation.allow_panics();
        }
    }

    /// Makes the reactor begin a connection, with a factory of its own, and do something with it at
    /// once. Returns the log of its callbacks.
    pub(crate) fn dial(
        &self,
        to: Address,
        act: fn(Event<'_>, &mut Cx<'_>),
        then: fn(&Transport),
    ) -> Receiver<String> {
        let (log_in, log) = channel();
        let mut endpoint: ClientEndpoint = match to {
            Address::Tcp(to) if self.dials_by_name => {
                HostnameEndpoint::new(Self::host_name(&to.into()), to.port()).unwrap().into()
            }
            Address::Tcp(to) => TcpClientEndpoint::from(to).into(),
            Address::Unix(to) => UnixClientEndpoint::from(to).into(),
            other => panic!("no client can connect to {other}"),
        };
        if self.has_proxies {
            endpoint = endpoint.proxy_header(ProxyHeader::local());
        }
        if self.is_encrypted {
            endpoint =
                endpoint.encrypted(twistor::testing::tls::connector().to("localhost").unwrap());
        }
        self.call(move |reactor| {
            let connector = endpoint.connect(reactor, Probes::new(act, log_in)).unwrap();
            then(connector.transport());
        });
        log
    }

    /// Expects these callbacks next, of a connection that the reactor has begun.
    #[track_caller]
    pub(crate) fn expect_of(&self, dialled: &Receiver<String>, entries: &[&str]) {
        for entry in entries {
            let next = self.receive(dialled).unwrap_or_else(|| panic!("{entry} does not come"));
            assert_eq!(next, *entry);
        }
    }

    /// Waits for a value from a channel.
    fn receive<T>(&self, channel: &Receiver<T>) -> Option<T> {
        let Place::Simulated(simulation, _) = &self.place else {
            return channel.recv_timeout(TIMEOUT).ok();
        };
        let mut received = None;
        simulation.run_until(SIMULATED_TIMEOUT, || {
            received = channel.try_recv().ok();
            received.is_some()
        });
        received
    }

    /// Returns the next callback.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.receive(&self.log).expect("a callback that does not come")
    }

    /// Expects these callbacks next.
    #[track_caller]
    pub(crate) fn expect(&self, entries: &[&str]) {
        for entry in entries {
            assert_eq!(self.next(), *entry);
        }
    }

    /// Calls `call` on the reactor's thread, and waits until it has returned.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Reactor) -> T + Send + 'static,
    ) -> T {
        let (result_in, result) = channel();
        let send = move |reactor: &mut Reactor| {
            let _ = result_in.send(call(reactor));
        };
        self.remote.call_from_thread(send).unwrap();
        self.receive(&result).expect("a call that does not come")
    }

    /// Acts while the loop is held up for `lasting`, as by a slow callback; `then` is the end of
    /// that callback.
    pub(crate) fn while_held_up(
        &self,
        lasting: Duration,
        act: impl FnOnce(),
        then: impl FnOnce(&mut Reactor) + Send + 'static,
    ) {
        if let Place::Simulated(simulation, host) = &self.place {
            // All hosts: of the others none has a reactor that runs.
            simulation.inject(Fault::Stall { host: "*".to_owned(), lasting });
            act();
            // Data in transit arrives, and waits.
            simulation.run_for(lasting - Duration::from_nanos(1));
            host.reactor(then);
            return simulation.run_for(Duration::from_nanos(1));
        }
        let (release, gate) = channel::<()>();
        let (held_in, held) = channel();
        let hold = move |reactor: &mut Reactor| {
            let _ = held_in.send(());
            // Until the sender is dropped.
            let _ = gate.recv_timeout(TIMEOUT);
            then(reactor);
        };
        self.remote.call_from_thread(hold).unwrap();
        held.recv_timeout(TIMEOUT).expect("the loop is not held up");
        self.is_held_up.set(true);
        act();
        self.is_held_up.set(false);
        std::thread::sleep(lasting);
        drop(release);
    }

    /// Waits until a condition of the reactor is true.
    #[track_caller]
    pub(crate) fn wait_until(
        &self,
        what: &str,
        question: impl Fn(&mut Reactor) -> bool + Copy + Send + 'static,
    ) {
        if let Place::Simulated(simulation, _) = &self.place {
            let came = simulation.run_until(SIMULATED_TIMEOUT, || self.call(question));
            return assert!(came, "{what}, but it does not come");
        }
        let start = Instant::now();
        while !self.call(question) {
            assert!(start.elapsed() < TIMEOUT, "{what}, but it does not come");
            std::thread::yield_now();
        }
    }

    /// Waits until the reactor has stopped by itself, and returns its report.
    #[track_caller]
    pub(crate) fn report(&self) -> ShutdownReport {
        match &self.place {
            Place::Thread(_) => self.reports.recv_timeout(TIMEOUT).expect("it does not stop"),
            Place::Simulated(simulation, host) => {
                assert!(simulation.run_until(SIMULATED_TIMEOUT, || host.has_stopped()));
                host.report().expect("it has stopped")
            }
        }
    }

    /// Stops the reactor; returns the remaining callbacks.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.end();
        self.log.try_iter().collect()
    }

    fn end(&mut self) {
        let _ = self.remote.call_from_thread(Reactor::stop);
        if std::thread::panicking() {
            return;
        }
        match &mut self.place {
            Place::Thread(thread) => {
                let ended = thread.take().map(JoinHandle::join);
                assert!(!matches!(ended, Some(Err(_))), "the server panicked");
            }
            Place::Simulated(simulation, host) => {
                assert!(simulation.run_until(SIMULATED_TIMEOUT, || host.has_stopped()));
                // Nothing is left, whatever the test did.
                let left = host.open_resources();
                assert_eq!(
                    (left.connections, left.timers, left.ports, left.factories),
                    (0, 0, 0, 0)
                );
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.outlives {
            self.end();
        }
    }
}
