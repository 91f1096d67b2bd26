//! A reactor with one port of probes, and the log of their callbacks.

use super::{Client, Cx, Event, PATIENCE, Probes};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use twistor::{Port, Reactor, Remote, Settings};

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
    pub(crate) fn wait_until(
        &self,
        what: &str,
        question: impl Fn(&mut Reactor) -> bool + Copy + Send + 'static,
    ) {
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
