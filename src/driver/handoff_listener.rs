//! `HandoffListener`: a port whose clients another reactor accepts.

use super::handoff::Adopter;
use super::handoffs::{Handoffs, Notify};
use super::{AnyStream, Listener};
use crate::address::Address;
use std::io;
use std::sync::Arc;

/// A port whose clients another reactor accepts, and hands over.
#[derive(Debug)]
pub(crate) struct HandoffListener {
    handoffs: Arc<Handoffs>,
    adopter: Box<dyn Adopter>,
    address: Address,
}

impl HandoffListener {
    /// Opens the queue: from now on it takes sockets, and `notify` tells of the first that waits.
    pub(crate) fn open(
        handoffs: Arc<Handoffs>,
        adopter: Box<dyn Adopter>,
        address: Address,
        notify: Notify,
    ) -> io::Result<Self> {
        match handoffs.open(notify) {
            true => Ok(Self { handoffs, adopter, address }),
            false => Err(io::ErrorKind::AddrInUse.into()),
        }
    }
}

impl Drop for HandoffListener {
    fn drop(&mut self) {
        let left = self.handoffs.close();
        // A logger that panics, as the one may have that ends this thread, would end the process.
        if !left.is_empty() && !std::thread::panicking() {
            log::warn!("{}: reset {} clients that were handed over", self.address, left.len());
        }
        left.into_iter().for_each(|(socket, _)| socket.reset());
    }
}

impl Listener for HandoffListener {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let (socket, peer) = self.handoffs.pop().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((self.adopter.adopt(socket, &peer)?, peer))
    }

    /// Accepts without a reserve: a socket that was handed over has its descriptor.
    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        self.accept()
    }

    fn seal(&mut self) {
        self.handoffs.seal();
    }

    fn shed(&mut self, limit: usize) -> usize {
        (0..limit).take_while(|_| self.handoffs.pop().is_some()).count()
    }

    fn refill_reserve(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::handoff::Handoff;
    use super::super::handoffs::WAITING_MAX;
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct NoAdopter;

    impl Adopter for NoAdopter {
        fn adopt(&self, _: Handoff, _: &Address) -> io::Result<AnyStream> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Two ends of a connection, and the address of the client.
    fn connected() -> (Handoff, TcpStream, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        (Handoff::Tcp(socket), client, peer.into())
    }

    fn open(handoffs: &Arc<Handoffs>) -> (HandoffListener, Arc<AtomicUsize>) {
        let notified = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&notified);
        let notify = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let address = Address::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let (handoffs, adopter) = (Arc::clone(handoffs), Box::new(NoAdopter));
        (HandoffListener::open(handoffs, adopter, address, notify).unwrap(), notified)
    }

    #[test]
    fn a_queue_takes_sockets_while_it_is_open_and_gives_them_back_otherwise() {
        let handoffs = Handoffs::new();
        let (mut socket, client, peer) = connected();
        assert!(!handoffs.has_room());
        (socket, _) = handoffs.push(socket, peer.clone()).unwrap_err();
        let (mut listener, notified) = open(&handoffs);
        assert!(handoffs.has_room() && handoffs.load() == 0);
        assert!(listener.accept().is_err_and(|it| it.kind() == io::ErrorKind::WouldBlock));
        handoffs.push(socket, peer.clone()).unwrap();
        let (second, _second_client, _) = connected();
        handoffs.push(second, peer.clone()).unwrap();
        assert_eq!(notified.load(Ordering::SeqCst), 1, "of the first only");
        handoffs.set_open(5);
        assert_eq!((handoffs.load(), handoffs.connections()), (7, 5));

        listener.seal();
        assert!(!handoffs.has_room());
        let (third, _third_client, _) = connected();
        handoffs.push(third, peer).unwrap_err();
        // What waited can still be taken, and an adopter's error is that of one client.
        assert!(listener.accept().is_err_and(|it| it.kind() == io::ErrorKind::Unsupported));
        drop(listener);
        assert!(!handoffs.has_room() && handoffs.connections() == 0);
        drop(client);
    }

    #[test]
    fn a_queue_is_bounded_and_its_end_resets_who_waits() {
        let handoffs = Handoffs::new();
        let (listener, _) = open(&handoffs);
        let (socket, client, peer) = connected();
        let Handoff::Tcp(socket) = socket else { unreachable!() };
        let copies = (0..2).map(|_| socket.try_clone().unwrap());
        copies.for_each(|copy| handoffs.push(Handoff::Tcp(copy), peer.clone()).unwrap());
        let dummy = || Handoff::Other(Box::new(()));
        for _ in 2..WAITING_MAX {
            handoffs.push(dummy(), peer.clone()).unwrap();
        }
        assert!(!handoffs.has_room());
        handoffs.push(dummy(), peer).unwrap_err();
        drop(socket);
        drop(listener);
        let end = io::Read::read(&mut &client, &mut [0]);
        assert!(end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    }
}
