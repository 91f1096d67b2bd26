//! Listening sockets that the process has inherited.

use super::description::{Arguments, Problem, write_escaped};
use super::socket_family::Family;
use std::fmt;

/// A listening socket that the program which started this one has opened: by its number, or as
/// systemd or a program like it passes them (socket activation).
///
/// | description | which |
/// |---|---|
/// | `fd:3` | the descriptor with this number |
/// | `systemd:name=web` | the socket with this `FileDescriptorName=` |
/// | `systemd:index=0` | the first socket of `LISTEN_FDS` |
/// | `systemd:domain=INET:index=0` | that one, and an error if it is not IPv4 (`INET6`, `UNIX`) |
///
/// Each can be listened on once. Closing the port closes the descriptor in this process; where
/// another process still has the socket, as systemd does, clients wait in its backlog.
/// (`AdoptedStreamServerEndpoint`, `systemd:`; sd_listen_fds(3))
///
/// ```no_run
/// use twistor::{InheritedEndpoint, Reactor};
/// # use twistor::{Context, Protocol};
/// # struct Echo;
/// # impl<F> Protocol<F> for Echo {}
///
/// let mut reactor = Reactor::new()?;
/// InheritedEndpoint::systemd_name("web").listen(&mut reactor, || Echo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedEndpoint {
    which: Which,
    /// The family that the socket must have.
    family: Option<Family>,
}

/// Which of the inherited descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Descriptor(u32),
    SystemdName(String),
    SystemdIndex(usize),
}

/// Says which of the inherited descriptors is meant.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector<'a> {
    /// The position among them, from 0.
    Index(usize),
    /// The name in `LISTEN_FDNAMES`: of several with one name, the first that is not taken.
    Name(&'a str),
    /// The number of the descriptor, from 3.
    Number(usize),
}

/// The largest number of a descriptor.
const DESCRIPTOR_MAX: u32 = i32::MAX as u32;

impl InheritedEndpoint {
    /// Creates an endpoint from the number of a descriptor.
    pub fn descriptor(number: u32) -> Self {
        Self { which: Which::Descriptor(number), family: None }
    }

    /// Creates an endpoint from the name of a socket of `LISTEN_FDNAMES`. If several have the name,
    /// each use takes the next one.
    pub fn systemd_name(name: impl Into<String>) -> Self {
        Self { which: Which::SystemdName(name.into()), family: None }
    }

    /// Creates an endpoint from the index of a socket in `LISTEN_FDS`, from zero.
    pub fn systemd_index(index: usize) -> Self {
        Self { which: Which::SystemdIndex(index), family: None }
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
    pub(crate) fn selector(&self) -> Selector<'_> {
        match &self.which {
            Which::Descriptor(number) => Selector::Number(*number as usize),
            Which::SystemdIndex(index) => Selector::Index(*index),
            Which::SystemdName(name) => Selector::Name(name),
        }
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux inherits"))]
    pub(crate) fn family(&self) -> Option<Family> {
        self.family
    }

    /// Parses the arguments of `fd`.
    pub(super) fn parse_descriptor(mut arguments: Arguments) -> Result<Self, Problem> {
        let mut number = None;
        while let Some((_, argument)) = arguments.next(&["fileno"])? {
            match argument.number::<u32>("descriptor", DESCRIPTOR_MAX.into())? {
                found if found <= DESCRIPTOR_MAX => number = Some(found),
                _ => {
                    let should_be = format!("a number from 0 to {DESCRIPTOR_MAX}");
                    return argument.error("descriptor", &should_be);
                }
            }
        }
        arguments.require("descriptor", number).map(Self::descriptor)
    }

    /// Parses the arguments of `systemd`.
    pub(super) fn parse_systemd(mut arguments: Arguments) -> Result<Self, Problem> {
        let (mut which, mut family) = (None, None);
        while let Some((name, argument)) = arguments.next(&["domain", "index", "name"])? {
            let found = match name {
                "domain" => {
                    family = match argument.value.as_str() {
                        "INET" => Some(Family::Ipv4),
                        "INET6" => Some(Family::Ipv6),
                        "UNIX" => Some(Family::Unix),
                        _ => return argument.error("domain", "INET, INET6 or UNIX"),
                    };
                    continue;
                }
                "index" => Self::systemd_index(argument.number("index", usize::MAX as u64)?),
                _ => Self::systemd_name(&*argument.value),
            };
            if which.replace(found).is_some() {
                return argument.error(name, "needed: a socket has either a name or an index");
            }
        }
        let which: Self = arguments.require("name or index", which)?;
        Ok(Self { family, ..which })
    }
}

impl fmt::Display for InheritedEndpoint {
    /// Writes a description that [`ServerEndpoint`](super::ServerEndpoint) can parse.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Descriptor(number) => write!(f, "fd:{number}")?,
            Which::SystemdIndex(index) => write!(f, "systemd:index={index}")?,
            Which::SystemdName(name) => {
                f.write_str("systemd:name=")?;
                write_escaped(name, f)?;
            }
        }
        match self.family {
            None => Ok(()),
            Some(Family::Ipv4) => f.write_str(":domain=INET"),
            Some(Family::Ipv6) => f.write_str(":domain=INET6"),
            Some(Family::Unix) => f.write_str(":domain=UNIX"),
        }
    }
}
