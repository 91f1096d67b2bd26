//! TCP: ports and connections of the operating system.

use super::{AnyStream, Listener, SHORT_READ_IS_FINAL, SHORT_WRITE_IS_FINAL, Stream};
use crate::address::Address;
use crate::arena::Id;
use crate::endpoint::{TcpClientEndpoint, TcpServerEndpoint};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// A descriptor kept for the moment when there is no other, shared by the ports of a reactor.
#[derive(Debug, Default)]
pub(super) struct Reserve(RefCell<Option<File>>);

/// Opens without side effects on every Unix. (Elsewhere there is no reserve, and nothing is shed.)
const RESERVE_PATH: &str = "/dev/null";

impl Reserve {
    pub(super) fn refill(&self) {
        let mut reserve = self.0.borrow_mut();
        if cfg!(unix) && reserve.is_none() {
            *reserve = File::open(RESERVE_PATH).ok();
        }
    }

    fn release(&self) {
        self.0.take();
    }
}

#[derive(Debug)]
pub(super) struct TcpListener {
    socket: mio::net::TcpListener,
    address: Address,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
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
            // Systems differ in what `::` means; here it is IPv4 as well, everywhere.
            socket.set_only_v6(false)?;
        }
        // A port whose last connections are in TIME_WAIT can be opened again at once. (On Windows
        // the option means that anyone may take the port, and the first half holds without it.)
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        // Accepted connections inherit it: one call in all. What a callback writes leaves in one
        // piece, so Nagle's algorithm has nothing to gather, and would wait for delayed ACKs.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Some systems take zero for as many as there may be.
        socket.listen(at.backlog_max().max(1).try_into().unwrap_or(i32::MAX))?;
        let mut socket = mio::net::TcpListener::from_std(socket.into());
        let address = socket.local_addr()?.into();
        registry.register(&mut socket, token, Interest::READABLE)?;
        reserve.refill();
        Ok(Self { socket, address, registry, reserve })
    }

    fn accept_socket(&self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        self.socket.accept()
    }
}

impl Listener for TcpListener {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let (socket, peer) = self.accept_socket()?;
        let stream = TcpStream { socket, registry: Rc::clone(&self.registry) };
        Ok((AnyStream::Tcp(stream), peer.into()))
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        self.reserve.release();
        let accepted = self.accept();
        if accepted.is_err() {
            // Unless another thread of the process has taken the descriptor meanwhile; then the
            // next attempt tries again.
            self.reserve.refill();
        }
        accepted
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
}

/// Both directions, and urgent data: a read stops at its mark, with more behind it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// With it, to send on a connection that is gone is an error, and no SIGPIPE: that would end a
/// program in which the signal has its default action, as in one that is written in C.
#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;

/// On Apple's systems the sockets themselves say so: `socket2` makes them with SO_NOSIGPIPE, and
/// those that are accepted inherit it. On Windows there is no such signal.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const NO_SIGNAL: i32 = 0;

#[derive(Debug)]
pub(crate) struct TcpStream {
    socket: mio::net::TcpStream,
    registry: Rc<Registry>,
}

impl TcpStream {
    pub(super) fn connect(
        to: &TcpClientEndpoint,
        id: Id,
        registry: Rc<Registry>,
    ) -> io::Result<Self> {
        let address = to.address();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        if let Some(local) = to.local() {
            // A port of the program's choice can be used again at once, as one that listens can.
            // (Of those that the system chooses it is to choose none that is in use.)
            if cfg!(unix) && local.port() != 0 {
                socket.set_reuse_address(true)?;
            }
            socket.bind(&local.into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !is_under_way(&error) => return Err(error),
            _ => {}
        }
        let socket = mio::net::TcpStream::from_std(socket.into());
        let mut stream = Self { socket, registry };
        stream.register(id)?;
        Ok(stream)
    }
}

/// A socket that does not block says so of a connection that it has begun.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    let in_progress = error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    let in_progress = false;
    in_progress || error.kind() == io::ErrorKind::WouldBlock
}

impl Stream for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.write(data)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // Not writev(2), by which the socket's own `write_vectored` goes: that knows no flags.
        let socket = SockRef::from(&self.socket);
        self.socket.try_io(|| socket.send_vectored_with_flags(pieces, NO_SIGNAL))
    }

    fn short_read_is_final(&self) -> bool {
        SHORT_READ_IS_FINAL
    }

    fn short_write_is_final(&self) -> bool {
        SHORT_WRITE_IS_FINAL
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn set_abortive_close(&mut self) {
        // Zero seconds of lingering: close(2) discards what is unsent and sends RST. If it fails,
        // the connection is already gone.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn is_established(&mut self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            // A port of this machine on which nobody listens may be the one that the system chose
            // for this side: TCP then connects the socket with itself.
            Ok(peer) if self.socket.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        // Both directions at once and never again: edges cost nothing until they come.
        self.registry.register(&mut self.socket, Token(id.to_bits()), INTEREST)
    }

    fn local_addr(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::from)
    }

    fn set_no_delay(&self, on: bool) -> io::Result<()> {
        self.socket.set_nodelay(on)
    }

    fn set_keep_alive(&self, on: bool) -> io::Result<()> {
        SockRef::from(&self.socket).set_keepalive(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_the_options_that_they_should() {
        let poll = mio::Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        let at = TcpServerEndpoint::new(0).interface([127, 0, 0, 1]);
        let listener = TcpListener::bind(&at, Token(0), registry, Rc::default()).unwrap();
        if cfg!(unix) {
            assert!(SockRef::from(&listener.socket).reuse_address().unwrap());
        }
        let _client = std::net::TcpStream::connect(listener.address.socket_addr().unwrap());
        let accepted = loop {
            match listener.accept_socket() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.unwrap().0,
            }
        };
        assert!(accepted.nodelay().unwrap());
        let stream = TcpStream { socket: accepted, registry: listener.registry };
        for on in [true, false] {
            stream.set_keep_alive(on).unwrap();
            stream.set_no_delay(on).unwrap();
            assert_eq!(SockRef::from(&stream.socket).keepalive().unwrap(), on);
            assert_eq!(stream.socket.nodelay().unwrap(), on);
        }
    }
}
