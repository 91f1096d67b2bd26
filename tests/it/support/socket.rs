//! A blocking stream socket of std, over TCP or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;
use twistor::Address;

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($socket:expr, $inner:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($inner) => $call,
            #[cfg(unix)]
            Socket::Unix($inner) => $call,
        }
    };
}

impl Socket {
    pub(crate) fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpStream::connect(address).map(Self::Tcp),
            #[cfg(target_os = "linux")]
            Address::Unix(address) if address.as_abstract_name().is_some() => {
                use std::os::linux::net::SocketAddrExt;
                let name = address.as_abstract_name().unwrap();
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                UnixStream::connect_addr(&address).map(Self::Unix)
            }
            #[cfg(unix)]
            Address::Unix(address) => {
                UnixStream::connect(address.as_path().unwrap()).map(Self::Unix)
            }
            other => panic!("no client can connect to {other}"),
        }
    }

    pub(crate) fn set_timeouts(&self, timeout: Duration) {
        each!(self, socket => socket.set_read_timeout(Some(timeout)).unwrap());
        each!(self, socket => socket.set_write_timeout(Some(timeout)).unwrap());
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            #[cfg(unix)]
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }

    pub(crate) fn local_address(&self) -> Address {
        match self {
            Self::Tcp(socket) => socket.local_addr().unwrap().into(),
            // None of the tests' clients has a name.
            #[cfg(unix)]
            Self::Unix(_) => twistor::UnixAddress::unnamed().into(),
        }
    }

    /// Closes the sending half.
    pub(crate) fn finish(&self) {
        each!(self, socket => socket.shutdown(Shutdown::Write).unwrap());
    }

    /// Makes the close a reset. A Unix socket has none: its peer sees an error if bytes of the peer
    /// are unread here, and a close otherwise.
    pub(crate) fn set_abortive_close(&self) {
        if let Self::Tcp(socket) = self {
            socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Sends a byte of urgent data.
    pub(crate) fn send_urgent(&self) -> io::Result<()> {
        let sent = each!(self, socket => socket2::SockRef::from(socket).send_out_of_band(b"!"))?;
        assert_eq!(sent, 1);
        Ok(())
    }

    /// Waits until there is something to read, and leaves it there.
    pub(crate) fn wait_for_bytes(&self) {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let count = each!(self, socket => socket2::SockRef::from(socket).peek(&mut byte)).unwrap();
        assert_eq!(count, 1, "closed");
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => socket.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        each!(self, socket => socket.write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
