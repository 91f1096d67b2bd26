//! Listening Unix sockets of the operating system.

use super::socket_file::{PathLock, SocketFile};
use super::tcp_listener::{Reserve, backlog};
use super::unix_address::{from_system, to_system};
use super::unix_stream::UnixStream;
use super::{AnyStream, Handoff, Listener, PortDescriptors};
use crate::address::{Address, UnixAddress};
use crate::endpoint::{UnixServerEndpoint, UnixSocketError};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as SystemListener;
use std::rc::Rc;

/// A listening Unix socket. The order of the fields is that of closing: the file is removed while
/// the socket still listens, and the lock is released last.
#[derive(Debug)]
pub(super) struct UnixListener {
    /// `None` for an abstract name, and for a socket that another program has bound.
    file: Option<SocketFile>,
    socket: mio::net::UnixListener,
    lock: Option<PathLock>,
    address: Address,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
    /// The mode and backlog of a port that was taken over, until this process owns it.
    unset: Option<Unset>,
}

/// Properties of a port that its endpoint asks for.
#[derive(Debug)]
struct Unset {
    backlog: i32,
    mode: Option<u32>,
}

impl UnixListener {
    pub(super) fn bind(
        at: &UnixServerEndpoint,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        let address = to_system(at.address())?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let (file, lock) = match (at.address().as_path(), at.permissions()) {
            (Some(path), mode) => {
                let lock = PathLock::take(path)?;
                let file = SocketFile::bind(&socket, &address, path)?;
                if let Some(mode) = mode {
                    file.set_mode(mode)?;
                }
                (Some(file), Some(lock))
            }
            (None, None) => match socket.bind(&address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(UnixSocketError::InUse.into());
                }
                bound => bound.map(|()| (None, None))?,
            },
            // Ignoring the mode would open the socket to every program.
            (None, Some(_)) => {
                let why = "an abstract name has no permissions: every program can connect to it";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        socket.listen(backlog(at.backlog_max()))?;
        let socket = mio::net::UnixListener::from_std(socket.into());
        let address = at.address().clone();
        Self::open(file, socket, lock, address, token, registry, reserve)
    }

    /// Takes over a socket that listens already and that another program has bound. It has the file
    /// and the lock, if there are any: neither is touched.
    pub(super) fn adopt(
        socket: SystemListener,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // Connections inherit SO_PASSCRED; the credentials that come with each message then would
        // take the room for descriptors.
        rustix::net::sockopt::set_socket_passcred(&socket, false)?;
        let address = from_system(&socket.local_addr()?);
        let socket = mio::net::UnixListener::from_std(socket);
        Self::open(None, socket, None, address, token, registry, reserve)
    }

    /// Takes over the port of another process, which owns its file and the lock of its path, if it
    /// has them. Mode and backlog are this program's once it owns them: until then the other one
    /// may have to continue.
    pub(super) fn take_over(
        port: PortDescriptors,
        at: &UnixServerEndpoint,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        let socket = Socket::from(port.socket);
        socket.set_nonblocking(true)?;
        let lock = port.lock.map(PathLock::shared);
        let path = at.address().as_path().filter(|_| lock.is_some());
        let file = path.map(SocketFile::shared).transpose()?;
        let socket = mio::net::UnixListener::from_std(socket.into());
        let address = at.address().clone();
        let mut port = Self::open(file, socket, lock, address, token, registry, reserve)?;
        port.unset = Some(Unset { backlog: backlog(at.backlog_max()), mode: at.permissions() });
        Ok(port)
    }

    fn open(
        file: Option<SocketFile>,
        mut socket: mio::net::UnixListener,
        lock: Option<PathLock>,
        address: UnixAddress,
        token: Token,
        registry: Rc<Registry>,
        reserve: Rc<Reserve>,
    ) -> io::Result<Self> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        reserve.refill();
        Ok(Self { file, socket, lock, address: address.into(), registry, reserve, unset: None })
    }
}

impl UnixListener {
    /// From now on clients see the credentials of this process, too.
    fn set(&self, unset: &Unset) -> io::Result<()> {
        let mode = match (&self.file, unset.mode) {
            (Some(file), Some(mode)) => file.set_mode(mode),
            _ => Ok(()),
        };
        let backlog = SockRef::from(&self.socket).listen(unset.backlog);
        mode.and(backlog)
    }
}

impl Listener for UnixListener {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let (socket, peer) = self.socket.accept()?;
        let stream = UnixStream::new(socket, Rc::clone(&self.registry));
        Ok((AnyStream::Other(Box::new(stream)), from_system(&peer).into()))
    }

    fn accept_handoff(&mut self) -> io::Result<(Handoff, Address)> {
        let (socket, peer) = self.socket.accept()?;
        let socket = std::os::fd::OwnedFd::from(socket);
        Ok((Handoff::Unix(socket.into()), from_system(&peer).into()))
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        let reserve = Rc::clone(&self.reserve);
        reserve.lend(|| self.accept())
    }

    fn shed(&mut self, limit: usize) -> usize {
        let mut shed = 0;
        // Each client is closed before the next is accepted: one descriptor serves them all.
        while shed < limit && self.socket.accept().is_ok() {
            shed += 1;
        }
        shed
    }

    fn refill_reserve(&mut self) {
        self.reserve.refill();
    }

    fn share(&self) -> io::Result<Option<PortDescriptors>> {
        let lock = self.lock.as_ref().map(PathLock::share).transpose()?;
        Ok(Some(PortDescriptors { socket: self.socket.as_fd().try_clone_to_owned()?, lock }))
    }

    fn set_owned(&mut self, is_owned: bool) {
        if let Some(file) = &mut self.file {
            file.set_owned(is_owned);
        }
        if let Some(lock) = &mut self.lock {
            lock.set_owned(is_owned);
        }
        if let Some(unset) = self.unset.take_if(|_| is_owned) {
            if let Err(error) = self.set(&unset) {
                log::warn!("{}: its mode or backlog cannot be set: {error}", self.address);
            }
        }
    }
}

impl Drop for UnixListener {
    /// Ends the events of the socket: a close does not while another process shares it.
    fn drop(&mut self) {
        let _ = self.registry.deregister(&mut self.socket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Poll;
    use std::io::{Read, Write};
    use std::path::PathBuf;

    fn registry() -> (Poll, Rc<Registry>) {
        let poll = Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        (poll, registry)
    }

    #[test]
    fn an_inherited_socket_is_served_and_its_file_is_left_alone() {
        let name = format!("twistor-inherited-{}", std::process::id());
        let path: PathBuf = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let inherited = SystemListener::bind(&path).unwrap();
        let (_poll, registry) = registry();
        let mut listener =
            UnixListener::adopt(inherited, Token(0), registry, Rc::default()).unwrap();
        assert_eq!(listener.address(), UnixAddress::path(&path).into());
        let client = std::os::unix::net::UnixStream::connect(&path);
        (&client.unwrap()).write_all(b"hello").unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        assert_eq!(peer, UnixAddress::unnamed().into());
        let mut bytes = [0; 8];
        assert_eq!(stream.read(&mut bytes).unwrap(), 5);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(listener);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn waiting_clients_are_shed_one_after_the_other() {
        let (_poll, registry) = registry();
        let path = std::env::temp_dir().join(format!("twistor-shed-{}", std::process::id()));
        let at = UnixServerEndpoint::new(&path);
        let mut listener = UnixListener::bind(&at, Token(0), registry, Rc::default()).unwrap();
        let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
        let mut clients: Vec<_> = (0..3).map(|_| connect()).collect();
        assert_eq!(listener.shed(2), 2);
        assert!(listener.accept_with_reserve().is_ok());
        assert_eq!(listener.shed(2), 0);
        assert_eq!(clients[0].read(&mut [0]).unwrap(), 0);
        drop(listener);
        let lock = path.with_file_name(format!("twistor-shed-{}.lock", std::process::id()));
        std::fs::remove_file(lock).unwrap();
    }
}
