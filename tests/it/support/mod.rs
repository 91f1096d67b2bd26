//! A server in a thread, a log of its callbacks, clients on std sockets. Nothing here sleeps for a
//! guessed time: a test waits for what it wants to see, and fails if that does not come.

#[cfg(feature = "signals")]
mod child;
mod probe;

#[cfg(feature = "signals")]
pub(crate) use child::Child;
pub(crate) use probe::{Cx, Event, Probes};

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use twistor::{Port, Reactor, Remote, Settings};

/// How long a test waits for something before it fails. Far longer than anything takes, so that a
/// busy machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Without it, what needs it is not tested, and says so.
pub(crate) fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("skipped: this machine has no [::1]");
    }
    has
}

/// Sends back what it receives, and closes when the client does.
pub(crate) fn echo(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(data) => cx.transport.write(data),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

/// A reactor in a thread of its own, with one port of probes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) port: Port<Probes>,
    pub(crate) remote: Remote,
    log: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server on IPv4 whose protocols act in this way.
    pub(crate) fn new(act: fn(Event<'_>, &mut Cx<'_>)) -> Self {
        Self::with("127.0.0.1:0".parse().unwrap(), Settings::default(), act)
    }

    pub(crate) fn with(
        at: SocketAddr,
        settings: Settings,
        act: fn(Event<'_>, &mut Cx<'_>),
    ) -> Self {
        let (log_in, log) = channel();
        let (ready_in, ready) = channel();
        let thread = std::thread::spawn(move || {
            let mut reactor = Reactor::with_settings(settings.handle_signals(false)).unwrap();
            let port = reactor.listen_tcp(at, Probes::new(act, log_in)).unwrap();
            ready_in.send((port, reactor.remote())).unwrap();
            reactor.run().unwrap();
            // Nobody is left, whatever the test did.
            assert_eq!(reactor.connection_count(), 0);
        });
        let (port, remote) = ready.recv_timeout(PATIENCE).unwrap();
        let address = port.local_address().socket_addr().unwrap();
        Self { address, port, remote, log, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The next callback.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.log.recv_timeout(PATIENCE).expect("a callback that does not come")
    }

    /// The next callbacks are these.
    #[track_caller]
    pub(crate) fn expect(&self, entries: &[&str]) {
        for entry in entries {
            assert_eq!(self.next(), *entry);
        }
    }

    /// Does something on the reactor's thread, and waits until it is done.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Reactor) -> T + Send + 'static,
    ) -> T {
        let (result_in, result) = channel();
        let send = move |reactor: &mut Reactor| {
            let _ = result_in.send(call(reactor));
        };
        self.remote.call_from_thread(send).unwrap();
        result.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until a question to the reactor is answered with yes.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, question: fn(&mut Reactor) -> bool) {
        let start = Instant::now();
        while !self.call(question) {
            assert!(start.elapsed() < PATIENCE, "{what}, but it does not come");
            std::thread::yield_now();
        }
    }

    /// Stops the reactor; returns the callbacks that were not asked for yet.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.end();
        self.log.iter().collect()
    }

    fn end(&mut self) {
        let _ = self.remote.call_from_thread(Reactor::stop);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "the server panicked");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A client that blocks, and whose every wait ends.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, received: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, data: impl AsRef<[u8]>) {
        self.socket.write_all(data.as_ref()).unwrap();
    }

    /// No more from this side.
    pub(crate) fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&self.socket).set_linger(linger).unwrap();
    }

    /// The next bytes are these.
    #[track_caller]
    pub(crate) fn expect(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut got = std::mem::take(&mut self.received);
        let mut buffer = [0; 64 * 1024];
        while got.len() < data.len() {
            let count = self.socket.read(&mut buffer).expect("bytes that do not come");
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&buffer[..count]);
        }
        self.received = got.split_off(data.len());
        assert!(
            got == data,
            "expected {:?}, got {:?}",
            String::from_utf8_lossy(&data[..data.len().min(200)]),
            String::from_utf8_lossy(&got[..got.len().min(200)])
        );
    }

    /// Everything up to the server's orderly close.
    #[track_caller]
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        self.socket.read_to_end(&mut rest).expect("an orderly close");
        rest
    }

    /// The server closes in order, and sends nothing before that.
    #[track_caller]
    pub(crate) fn expect_close(self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "");
    }

    /// The server resets the connection.
    #[track_caller]
    pub(crate) fn expect_reset(mut self) {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("closed in order"),
                Ok(_) => {}
                Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
    }
}
