//! Shards, over real sockets: each test has two or three of them in threads.

mod ending;
mod mailboxes;
#[cfg(all(unix, feature = "signals"))]
mod processes;
mod serving;
mod simulated;

use crate::support::{Client, TIMEOUT};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use twistor::shards::{
    Balance, Shard, ShardEnd, Shards, ShardsError, ShardsHandle, ShardsReport, SharedPort,
};
use twistor::{
    Address, Context, Factory, ListeningPort, Protocol, Reactor, Settings, build_protocol,
};

/// Says which shard serves the client, and sends back what it receives.
struct Greeter {
    index: usize,
}

/// The greeters of one shard.
struct Greeters {
    index: usize,
}

impl Factory for Greeters {
    build_protocol!(Greeter, |greeters| Greeter { index: greeters.index });
}

impl<F> Protocol<F> for Greeter {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(format!("{}\n", self.index));
    }

    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// Shards with a shared port, in threads of their own.
struct Running {
    address: Address,
    handle: ShardsHandle,
    thread: JoinHandle<Result<ShardsReport, ShardsError>>,
}

fn shards(count: usize) -> Shards {
    Shards::new(count).settings(Settings::default().handle_signals(false))
}

fn any() -> twistor::ServerEndpoint {
    "tcp:0:interface=127.0.0.1".parse().unwrap()
}

/// The ways to share a port that this system has.
fn ways() -> Vec<SharedPort> {
    let mut ways = vec![
        SharedPort::acceptor(any(), Balance::RoundRobin),
        SharedPort::acceptor(any(), Balance::LeastConnections),
    ];
    if cfg!(any(target_os = "linux", target_os = "freebsd")) {
        ways.push(SharedPort::reuse_port(any()));
    }
    ways
}

impl Running {
    /// Starts shards that serve a port with greeters.
    fn start(count: usize, port: SharedPort) -> Self {
        Self::start_with(shards(count), port, |_, _, _| {})
    }

    /// Starts shards that serve a port with greeters; `set_up` adds to the set-up of each.
    fn start_with(
        shards: Shards,
        port: SharedPort,
        set_up: impl Fn(&mut Reactor, &Shard, &ListeningPort<Greeters>) + Send + Sync + 'static,
    ) -> Self {
        let handle = shards.handle();
        let (address_in, address) = channel();
        let address_in = Mutex::new(address_in);
        let thread = std::thread::spawn(move || {
            shards.run(|reactor, shard| {
                let port = port.listen(reactor, shard, Greeters { index: shard.index() })?;
                set_up(reactor, shard, &port);
                address_in.lock().unwrap().send(port.local_address())?;
                Ok(())
            })
        });
        // In the order of their indices; all are the same.
        let addresses: Vec<Address> = (0..handle.count()).map(|_| receive(&address)).collect();
        Self { address: addresses[0].clone(), handle, thread }
    }

    /// Connects a client, and returns it with the index of its shard.
    fn connect(&self) -> (Client, usize) {
        let mut client = Client::connect(self.address.clone());
        let index = client.line().parse().unwrap();
        (client, index)
    }

    /// Holds up all loops until the returned function is called.
    fn hold_up(&self) -> impl FnOnce() + use<> {
        let count = self.handle.count();
        let (held, released) =
            (Arc::new(Barrier::new(count + 1)), Arc::new(Barrier::new(count + 1)));
        for index in 0..count {
            let (held, released) = (Arc::clone(&held), Arc::clone(&released));
            let hold_up = move |_: &mut Reactor| {
                held.wait();
                released.wait();
            };
            self.remote(index).call_from_thread(hold_up).unwrap();
        }
        held.wait();
        move || {
            released.wait();
        }
    }

    fn remote(&self, index: usize) -> twistor::Remote {
        self.handle.remote(index).unwrap()
    }

    fn join(self) -> Result<ShardsReport, ShardsError> {
        self.thread.join().unwrap()
    }
}

fn receive<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(TIMEOUT).unwrap()
}

fn is_stopped(end: &ShardEnd) -> bool {
    matches!(end, ShardEnd::Stopped(_))
}
