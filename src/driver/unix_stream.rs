//! Connections over Unix sockets of the operating system.

use super::peer_credentials::peer_credentials;
use super::tcp_stream::{INTEREST, NO_SIGNAL};
use super::unix_address::{from_system, to_system};
use super::{SHORT_READ_IS_FINAL, SHORT_WRITE_IS_FINAL, Stream, UNIX_CONNECT_RETRY_DELAY};
use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::endpoint::UnixClientEndpoint;
use mio::{Registry, Token};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

/// Descriptors received with one message at most.
const DESCRIPTORS_MAX: usize = 16;

/// Room for the descriptors that come with a read.
const CONTROL_LEN: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Received descriptors are not inherited by the programs that this one starts. (Apple's systems
/// have no such flag.)
#[cfg(not(target_vendor = "apple"))]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

#[derive(Debug)]
pub(super) struct UnixStream {
    socket: mio::net::UnixStream,
    registry: Rc<Registry>,
    /// Where an attempt to connect goes that found the backlog full. `None` once connected.
    backlogged: Option<Box<SockAddr>>,
    /// The last read ended where descriptors were attached, and more bytes may be behind.
    is_cut: bool,
}

impl UnixStream {
    pub(super) fn new(socket: mio::net::UnixStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry, backlogged: None, is_cut: false }
    }

    pub(super) fn connect(
        to: &UnixClientEndpoint,
        id: Id,
        registry: Rc<Registry>,
    ) -> io::Result<Self> {
        let address = to_system(to.address())?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let backlogged = match socket.connect(&address) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Box::new(address)),
            Err(error) => return Err(error),
        };
        let socket = mio::net::UnixStream::from_std(socket.into());
        let mut stream = Self { socket, registry, backlogged, is_cut: false };
        stream.register(id)?;
        Ok(stream)
    }
}

impl Stream for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); CONTROL_LEN];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, RECEIVE_FLAGS)?;
        // A read stops behind the bytes that descriptors came with, and no edge announces the next.
        self.is_cut = received.flags.contains(ReturnFlags::CTRUNC);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.is_cut = true;
                // Nobody takes them.
                drop(descriptors);
            }
        }
        Ok(received.bytes)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.socket).send_with_flags(data, NO_SIGNAL)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(&self.socket).send_vectored_with_flags(pieces, NO_SIGNAL)
    }

    fn short_read_is_final(&self) -> bool {
        SHORT_READ_IS_FINAL && !self.is_cut
    }

    fn short_write_is_final(&self) -> bool {
        SHORT_WRITE_IS_FINAL
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Does nothing: Unix sockets have no reset. The peer reads what was sent, and then sees the
    /// close, or an error if something of what it has sent was not read here.
    fn set_abortive_close(&mut self) {}

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn is_established(&mut self) -> io::Result<bool> {
        let Some(address) = &self.backlogged else {
            return self.socket.take_error()?.map_or(Ok(true), Err);
        };
        match SockRef::from(&self.socket).connect(address) {
            Ok(()) => {
                self.backlogged = None;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn connect_retry_delay(&self) -> Option<Duration> {
        self.backlogged.as_ref().map(|_| UNIX_CONNECT_RETRY_DELAY)
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        self.registry.register(&mut self.socket, Token(id.to_bits()), INTEREST)
    }

    fn local_addr(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| from_system(&address).into())
    }

    fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        peer_credentials(&self.socket).map(Some)
    }

    /// Does nothing: without segments there is no delay.
    fn set_no_delay(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: the end of the peer is always noticed.
    fn set_keep_alive(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }
}
