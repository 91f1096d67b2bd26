//! Sockets that listen already, and that the driver takes over.

use super::tcp_listener::{Reserve, TcpListener};
use super::unix_listener::UnixListener;
use super::{Listener, PortDescriptors};
use crate::endpoint::{Family, ServerCarrier};
use mio::{Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// Why a certain descriptor cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
    Taken,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
    NotInherited,
    NotASocket,
    NotAStream,
    NotListening,
    UnknownFamily,
    /// Its process has called it by the address of another family.
    OtherFamily(Family),
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
    WrongFamily {
        expected: Family,
        found: Family,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("is taken already: each can be taken once"),
            Self::NotInherited => {
                f.write_str("was not inherited, though LISTEN_FDS counts it: check who sets that")
            }
            Self::NotASocket => f.write_str("is not a socket"),
            Self::NotAStream => f.write_str("is not a stream socket (ListenStream=)"),
            Self::NotListening => {
                f.write_str("does not listen; with Accept=yes, systemd passes connections instead")
            }
            Self::UnknownFamily => f.write_str("is neither a TCP nor a Unix socket"),
            Self::OtherFamily(found) => write!(f, "is of {found}, though its address is not"),
            Self::WrongFamily { expected, found } => write!(f, "is of {found}, not of {expected}"),
        }
    }
}

/// Returns the family of a socket that listens for streams.
pub(super) fn family_of(descriptor: &OwnedFd) -> Result<Family, Problem> {
    let socket = SockRef::from(descriptor);
    // Anything that is no socket fails here.
    let kind = socket.r#type().map_err(|_| Problem::NotASocket)?;
    if kind != Type::STREAM {
        return Err(Problem::NotAStream);
    }
    let address = socket.local_addr().map_err(|_| Problem::NotASocket)?;
    if !listens(&socket) {
        return Err(Problem::NotListening);
    }
    match address.domain() {
        Domain::IPV4 => Ok(Family::Ipv4),
        Domain::IPV6 => Ok(Family::Ipv6),
        Domain::UNIX => Ok(Family::Unix),
        _ => Err(Problem::UnknownFamily),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &SockRef<'_>) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// Other systems do not tell; there, accepting fails.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(_: &SockRef<'_>) -> bool {
    true
}

/// Accepts on a socket that a program hands over, and owns it from now on.
pub(super) fn adopt(
    socket: OwnedFd,
    token: Token,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
) -> io::Result<Box<dyn Listener>> {
    let family = family_of(&socket).map_err(|problem| {
        let error = format!("the descriptor {} {problem}", socket.as_raw_fd());
        io::Error::new(io::ErrorKind::InvalidInput, error)
    })?;
    listen(family, socket.into(), token, registry, reserve)
}

/// Accepts on the port of another process, which has sent its descriptors.
pub(super) fn take_over(
    port: PortDescriptors,
    at: &ServerCarrier,
    token: Token,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
) -> io::Result<Box<dyn Listener>> {
    let wrong = |problem: Problem| {
        let error = format!("the descriptor from the predecessor {problem}");
        io::Error::new(io::ErrorKind::InvalidInput, error)
    };
    let found = family_of(&port.socket).map_err(wrong)?;
    match (at, found) {
        (ServerCarrier::Tcp(at), Family::Ipv4 | Family::Ipv6) => {
            Ok(Box::new(TcpListener::take_over(port.socket.into(), at, token, registry, reserve)?))
        }
        (ServerCarrier::Unix(at), Family::Unix) => {
            Ok(Box::new(UnixListener::take_over(port, at, token, registry, reserve)?))
        }
        (ServerCarrier::Inherited(_), _) => {
            listen(found, port.socket.into(), token, registry, reserve)
        }
        (ServerCarrier::Tcp(_), Family::Unix) => Err(wrong(Problem::OtherFamily(found))),
        (ServerCarrier::Unix(_), _) => Err(wrong(Problem::OtherFamily(found))),
    }
}

/// Accepts on a listening socket of this family.
pub(super) fn listen(
    family: Family,
    socket: Socket,
    token: Token,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
) -> io::Result<Box<dyn Listener>> {
    Ok(match family {
        Family::Ipv4 | Family::Ipv6 => {
            Box::new(TcpListener::adopt(socket, token, registry, reserve)?)
        }
        Family::Unix => Box::new(UnixListener::adopt(socket.into(), token, registry, reserve)?),
    })
}
