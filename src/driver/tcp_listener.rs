//! Listening TCP ports of the operating system.

use super::tcp_stream::TcpStream;
use super::{AnyStream, Handoff, Listener};
use crate::address::Address;
use crate::endpoint::TcpServerEndpoint;
use mio::{Interest, Registry, Token};
#[cfg(unix)]
use socket2::SockRef;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

/// A descriptor kept for when no other is left, shared by the ports of a reactor.
#[derive(Debug, Default)]
pub(super) struct Reserve(RefCell<Option<File>>);

/// A path that opens without side effects on every Unix. (Elsewhere there is no reserve, and
/// nothing is shed.)
const RESERVE_PATH: &str = "/dev/null";

impl Reserve {
    pub(super) fn refill(&self) {
        let mut reserve = self.0.borrow_mut();
        if cfg!(unix) && reserve.is_none() {
            *reserve = File::open(RESERVE_PATH).ok();
        }
    }

    /// Accepts with the descriptor held in reserve, which is used up if that succeeds.
    pub(super) fn lend<T>(&self, accept: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.0.take();
        let accepted = accept();
        if accepted.is_err() {
            // Fails if another thread of the process has taken the descriptor meanwhile. The
            // reactor tries again before it accepts next.
            self.refill();
        }
        accepted
    }
}

#[derive(Debug)]
pub(super) struct TcpListener {
    socket: mio::net::TcpListener,
    address: Address,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
    /// Clients may be waiting that connected before the socket had TCP_NODELAY, and that did not
    /// inherit it.
    has_older_clients: bool,
    /// The backlog to be set once the port, which was taken over, is this process's own.
    #[cfg(unix)]
    backlog: Option<i32>,
}

/// Returns the backlog for listen(2). Some systems read zero as the largest possible one.
pub(super) fn backlog(max: u32) -> i32 {
    max.max(1).try_into().unwrap_or(i32::MAX)
}

impl TcpListener {
    pub(super) fn bind(
        at: &TcpServerEndpoint,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        let address = at.address();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // Systems differ in what `::` means; here it includes IPv4, everywhere.
            socket.set_only_v6(false)?;
        }
        // A port whose last connections are in TIME_WAIT can be opened again at once. (On Windows
        // the option would let any program take the port, and reopening works without it.)
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        if at.reuses_port() {
            share_port(&socket)?;
        }
        // Accepted connections inherit it, which saves a call for each. Everything a callback
        // writes is sent in one piece, so Nagle's algorithm has nothing to combine, and would wait
        // for delayed ACKs.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog(at.backlog_max()))?;
        Self::new(socket, false, token, registry, reserve)
    }

    /// Accepts on a TCP socket that is listening already, and owns it from now on.
    ///
    /// The socket no longer blocks, for all processes that share it.
    #[cfg(unix)]
    pub(super) fn adopt(
        socket: Socket,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        // It may be of a protocol that lacks the option, such as Multipath TCP on older systems.
        let has_no_delay = socket.set_tcp_nodelay(true).is_ok();
        Self::new(socket, has_no_delay, token, registry, reserve)
    }

    /// Takes over the port of another process: as [`adopt`](Self::adopt), and the backlog is this
    /// program's once it owns the port. Until then the other one may have to continue.
    #[cfg(unix)]
    pub(super) fn take_over(
        socket: Socket,
        at: &TcpServerEndpoint,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        let mut adopted = Self::adopt(socket, token, registry, reserve)?;
        adopted.backlog = Some(backlog(at.backlog_max()));
        Ok(adopted)
    }

    fn new(
        socket: Socket,
        has_older_clients: bool,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpListener::from_std(socket.into());
        let address = socket.local_addr()?.into();
        registry.register(&mut socket, token, Interest::READABLE)?;
        reserve.refill();
        Ok(Self {
            socket,
            address,
            registry,
            reserve,
            has_older_clients,
            #[cfg(unix)]
            backlog: None,
        })
    }

    fn accept_socket(&mut self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        let accepted = self.socket.accept();
        if self.has_older_clients {
            match &accepted {
                // Fails only if the connection is gone.
                Ok((socket, _)) => drop(socket.set_nodelay(true)),
                Err(error) => self.has_older_clients = error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        accepted
    }
}

impl Listener for TcpListener {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let (socket, peer) = self.accept_socket()?;
        let stream = TcpStream::new(socket, Rc::clone(&self.registry));
        Ok((AnyStream::Tcp(stream), peer.into()))
    }

    fn accept_handoff(&mut self) -> io::Result<(Handoff, Address)> {
        let (socket, peer) = self.accept_socket()?;
        Ok((Handoff::Tcp(socket.into()), peer.into()))
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        let reserve = Rc::clone(&self.reserve);
        reserve.lend(|| self.accept())
    }

    fn shed(&mut self, limit: usize) -> usize {
        let mut shed = 0;
        // Each client is closed before the next is accepted: one descriptor serves them all.
        while shed < limit && self.accept_socket().is_ok() {
            shed += 1;
        }
        shed
    }

    fn refill_reserve(&mut self) {
        self.reserve.refill();
    }

    #[cfg(unix)]
    fn share(&self) -> io::Result<Option<super::PortDescriptors>> {
        use std::os::fd::AsFd;
        let socket = self.socket.as_fd().try_clone_to_owned()?;
        Ok(Some(super::PortDescriptors { socket, lock: None }))
    }

    #[cfg(unix)]
    fn set_owned(&mut self, is_owned: bool) {
        if let Some(backlog) = self.backlog.take_if(|_| is_owned) {
            if let Err(error) = SockRef::from(&self.socket).listen(backlog) {
                log::warn!("{}: its backlog cannot be set: {error}", self.address);
            }
        }
    }
}

impl Drop for TcpListener {
    /// Ends the events of the socket: a close does not while another process shares it.
    fn drop(&mut self) {
        let _ = self.registry.deregister(&mut self.socket);
    }
}

/// Lets other sockets listen on the port of this one, with the clients shared between them.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "dragonfly"))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(target_os = "freebsd")]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port_lb(true)
}

/// On Apple's systems, NetBSD and OpenBSD SO_REUSEPORT gives all clients to one of the sockets.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd"
)))]
fn share_port(_: &Socket) -> io::Result<()> {
    let why = "this system does not share the clients of a port between several sockets \
               (SO_REUSEPORT): let one shard accept for all";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Stream;
    use socket2::SockRef;

    fn accept(listener: &mut TcpListener) -> mio::net::TcpStream {
        loop {
            match listener.accept_socket() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => return accepted.unwrap().0,
            }
        }
    }

    #[test]
    fn clients_of_an_adopted_socket_have_no_delay_also_those_that_were_waiting() {
        let poll = mio::Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let _waiting = [connect(), connect()];
        let (socket, reserve) = (Socket::from(listening), Rc::default());
        let mut listener = TcpListener::adopt(socket, Token(0), registry, reserve).unwrap();
        for _ in 0..2 {
            assert!(accept(&mut listener).nodelay().unwrap());
        }
        // From now on no call is needed for each.
        let _ = listener.accept_socket().unwrap_err();
        assert!(!listener.has_older_clients);
        let _later = connect();
        assert!(accept(&mut listener).nodelay().unwrap());
    }

    #[test]
    fn sockets_have_the_expected_options() {
        let poll = mio::Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        let at = TcpServerEndpoint::new(0).interface([127, 0, 0, 1]);
        let mut listener = TcpListener::bind(&at, Token(0), registry, Rc::default()).unwrap();
        if cfg!(unix) {
            assert!(SockRef::from(&listener.socket).reuse_address().unwrap());
        }
        let accepted = listener.accept_socket();
        assert!(accepted.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        let _client = std::net::TcpStream::connect(listener.address.socket_addr().unwrap());
        let accepted = accept(&mut listener);
        assert!(accepted.nodelay().unwrap());
        let stream = TcpStream::new(accepted, Rc::clone(&listener.registry));
        for on in [true, false] {
            stream.set_keep_alive(on).unwrap();
            stream.set_no_delay(on).unwrap();
            assert_eq!(SockRef::from(stream.socket()).keepalive().unwrap(), on);
            assert_eq!(stream.socket().nodelay().unwrap(), on);
        }
    }
}
