//! Shared port: one port, whose clients are spread over the shards.

use super::handle::ShardsHandle;
use super::shard::Shard;
use crate::address::Address;
use crate::driver::Handoffs;
use crate::endpoint::ServerEndpoint;
use crate::error::ListenError;
use crate::reactor::{Balance, IntoFactory, ListeningPort, Reactor};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A port whose clients are spread over the shards of a server, in one of two ways.
///
/// | | [`reuse_port`](Self::reuse_port) | [`acceptor`](Self::acceptor) |
/// |---|---|---|
/// | who accepts | each shard, on a socket of its own | the first shard, for all |
/// | who chooses | the system, by a hash of the addresses | a [`Balance`] |
/// | spread | even with many clients only | even with few, too |
/// | kind of port | TCP | any |
/// | systems | Linux, Android, FreeBSD, DragonFly | all |
///
/// Create it outside of the set-up, and [`listen`](Self::listen) in that of each shard.
/// With port 0 the system chooses a number for the first shard, and the others use the same.
#[derive(Debug)]
pub struct SharedPort {
    endpoint: ServerEndpoint,
    way: Way,
    /// What the first shard has opened, for the others.
    opened: Mutex<Option<Opened>>,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    ReusePort,
    Acceptor(Balance),
}

#[derive(Clone, Debug)]
struct Opened {
    by: ShardsHandle,
    address: Address,
    /// The queues of the shards, by index; empty if each accepts for itself.
    queues: Arc<[Arc<Handoffs>]>,
}

impl SharedPort {
    /// Creates a port on which each shard listens by a socket of its own (SO_REUSEPORT).
    ///
    /// It costs nothing beyond what a port costs, and no shard depends on another. But the system
    /// spreads clients by chance: of eight long connections on two shards, three and five is
    /// normal. And a client waits for its shard even if another one is idle.
    ///
    /// The endpoint is a TCP port, with or without TLS and PROXY headers.
    pub fn reuse_port(endpoint: ServerEndpoint) -> Self {
        Self { endpoint, way: Way::ReusePort, opened: Mutex::new(None) }
    }

    /// Creates a port on which the first shard listens, and hands accepted sockets over to the
    /// others.
    ///
    /// Admission happens on the receiving shard: connection limits, PROXY headers, TLS handshakes
    /// and `build_protocol`. A shard that is stuck or at its accept rate gets no more than 1024
    /// sockets that wait. A client for which no shard has room is served by the first shard, or
    /// waits in the backlog if that is at its own accept rate.
    pub fn acceptor(endpoint: ServerEndpoint, balance: Balance) -> Self {
        Self { endpoint, way: Way::Acceptor(balance), opened: Mutex::new(None) }
    }

    /// Serves the clients of the port that come to this shard with a factory. The first shard has
    /// to listen before the others, which it does if each set-up does: they come in order.
    ///
    /// A shard that does not listen gets no clients. When the first shard stops listening on a port
    /// that it accepts for all, nobody can connect; connections that are established, or were
    /// handed over, remain. It may listen again, at the port number that it had: then the others,
    /// which listen still, get clients as before.
    ///
    /// # Errors
    ///
    /// [`ListenError`], as [`Reactor::listen_tcp`] returns. [`ListenError::Bind`] of the kind
    /// [`Unsupported`](io::ErrorKind::Unsupported): the way to share is `reuse_port`, and the
    /// endpoint is no TCP port, or the system cannot share it; of the kind
    /// [`NotConnected`](io::ErrorKind::NotConnected): the first shard has not listened yet; of the
    /// kind [`AddrInUse`](io::ErrorKind::AddrInUse): the way is `acceptor`, and this shard listens
    /// already.
    pub fn listen<S: IntoFactory>(
        &self,
        reactor: &mut Reactor,
        shard: &Shard,
        factory: S,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        let by = shard.handle().clone();
        // A port may serve one run after another, each with shards of its own.
        let opened = self.lock().clone().filter(|it| it.by.is_of_same_shards(&by));
        match (shard.index(), self.way) {
            (0, Way::ReusePort) => {
                let endpoint = self.sharing(opened.and_then(|it| it.address.port()))?;
                let port = endpoint.listen(reactor, factory)?;
                let (address, queues) = (port.local_address(), Arc::new([]));
                *self.lock() = Some(Opened { by, address, queues });
                Ok(port)
            }
            (0, Way::Acceptor(balance)) => {
                // The others listen at the queues and the address of the first time.
                let (endpoint, queues) = match opened {
                    Some(Opened { address, queues, .. }) => {
                        (self.endpoint.at_port(&address), queues)
                    }
                    None => {
                        let queues = (0..shard.count()).map(|_| Handoffs::new()).collect();
                        (self.endpoint.clone(), queues)
                    }
                };
                let shards = Arc::clone(&queues);
                let port = reactor.listen_for_shards(endpoint, factory, shards, balance)?;
                shard.set_led();
                *self.lock() = Some(Opened { by, address: port.local_address(), queues });
                Ok(port)
            }
            (index, _) => {
                let Some(Opened { address, queues, .. }) = opened else {
                    let why = "the first shard has to listen on a shared port before the others";
                    return Err(self.error(io::Error::new(io::ErrorKind::NotConnected, why)));
                };
                match queues.get(index) {
                    None => self.sharing(address.port())?.listen(reactor, factory),
                    Some(queue) => {
                        reactor.listen_to_shard(self.endpoint.clone(), factory, queue, address)
                    }
                }
            }
        }
    }

    /// Returns the endpoint of one of the sockets that share the port.
    fn sharing(&self, port: Option<u16>) -> Result<ServerEndpoint, ListenError> {
        self.endpoint.shared(port).ok_or_else(|| {
            let why = "only TCP ports can be shared by reuse_port: let one shard accept for all";
            self.error(io::Error::new(io::ErrorKind::Unsupported, why))
        })
    }

    fn error(&self, source: io::Error) -> ListenError {
        ListenError::Bind { endpoint: self.endpoint.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
