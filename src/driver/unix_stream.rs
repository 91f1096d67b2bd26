//! Connections over Unix sockets of the operating system.

use super::descriptors::{Descriptors, receive, send};
use super::peer_credentials::peer_credentials;
use super::tcp_stream::{INTEREST, NO_SIGNAL};
use super::unix_address::{from_system, to_system};
use super::{SHORT_READ_IS_FINAL, SHORT_WRITE_IS_FINAL, Stream, UNIX_CONNECT_RETRY_DELAY};
use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::descriptor::Descriptor;
use crate::endpoint::UnixClientEndpoint;
use mio::{Registry, Token};
use rustix::net::RecvFlags;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct UnixStream {
    socket: mio::net::UnixStream,
    registry: Rc<Registry>,
    /// Where an attempt to connect goes that found the backlog full. `None` once connected.
    backlogged: Option<Box<SockAddr>>,
    /// The last read ended where descriptors were attached, and more bytes may be behind.
    is_cut: bool,
    /// Allocated when the first one comes or goes: few connections carry any.
    descriptors: Option<Box<Descriptors>>,
}

impl UnixStream {
    pub(super) fn new(socket: mio::net::UnixStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry, backlogged: None, is_cut: false, descriptors: None }
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
        let mut stream = Self { socket, registry, backlogged, is_cut: false, descriptors: None };
        stream.register(id)?;
        Ok(stream)
    }
}

impl Stream for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(descriptors) = &mut self.descriptors {
            if !descriptors.received.is_empty() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if !descriptors.bytes.is_empty() {
                return descriptors.bytes.read(buffer);
            }
        }
        let (count, received) = receive(&self.socket, buffer)?;
        // A read stops behind the bytes that descriptors came with, and no edge announces the next.
        self.is_cut = !received.is_empty();
        if self.is_cut {
            let descriptors = self.descriptors.get_or_insert_default();
            descriptors.received = received;
            descriptors.bytes.extend(&buffer[..count]);
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(count)
    }

    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(descriptors) = &self.descriptors {
            let (bytes, _) = descriptors.bytes.as_slices();
            if !bytes.is_empty() {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                return Ok(count);
            }
        }
        let (count, _) = rustix::net::recv(&self.socket, buffer, RecvFlags::PEEK)?;
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.descriptors {
            Some(descriptors) if !descriptors.attached.is_empty() => {
                let sent = send(&self.socket, data, &descriptors.attached, NO_SIGNAL)?;
                // The peer has them now.
                descriptors.attached.clear();
                Ok(sent)
            }
            _ => SockRef::from(&self.socket).send_with_flags(data, NO_SIGNAL),
        }
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

    fn carries_descriptors(&self) -> bool {
        true
    }

    fn attach(&mut self, descriptor: Descriptor) {
        self.descriptors.get_or_insert_default().attached.push(descriptor);
    }

    fn has_descriptor(&self) -> bool {
        self.descriptors.as_ref().is_some_and(|descriptors| !descriptors.received.is_empty())
    }

    fn take_descriptor(&mut self) -> Option<Descriptor> {
        self.descriptors.as_mut()?.received.pop_front()
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
