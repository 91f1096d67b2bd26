//! TCP connections of the operating system.

use super::{SHORT_READ_IS_FINAL, SHORT_WRITE_IS_FINAL, Stream};
use crate::address::Address;
use crate::arena::Id;
use crate::endpoint::TcpClientEndpoint;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

/// Both directions, and urgent data: a read stops at its mark, with more data after it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const INTEREST: Interest =
    Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// With this flag, sending on a closed connection is an error and raises no SIGPIPE: that would end
/// a program in which the signal has its default action, such as one written in C.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(super) const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;

/// On Apple's systems the sockets themselves have this option: `socket2` creates them with
/// SO_NOSIGPIPE, and accepted sockets inherit it. Windows has no such signal.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub(super) const NO_SIGNAL: i32 = 0;

#[derive(Debug)]
pub(crate) struct TcpStream {
    socket: mio::net::TcpStream,
    registry: Rc<Registry>,
}

impl TcpStream {
    pub(super) fn new(socket: mio::net::TcpStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry }
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &mio::net::TcpStream {
        &self.socket
    }

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
            // A port that the program chose can be reused at once, like a listening one. (Among
            // ports that the system chooses, it should choose one that is not in use.)
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

/// Returns true for the error with which a non-blocking socket reports a connection under way.
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

    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.write(data)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // Not writev(2), which the socket's own `write_vectored` uses: it takes no flags.
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
        // Zero seconds of lingering: close(2) discards unsent bytes and sends RST. If this fails,
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
            // Self-connect: the system may choose for this side the very port of this machine that
            // it connects to, if no program listens there. TCP then connects the socket with
            // itself.
            Ok(peer) if self.socket.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        // Both directions, once: edges cost nothing until they come.
        self.registry.register(&mut self.socket, Token(id.to_bits()), INTEREST)
    }

    fn reregister(&mut self, id: Id) -> io::Result<()> {
        self.registry.reregister(&mut self.socket, Token(id.to_bits()), INTEREST)
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
