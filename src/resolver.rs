//! `Resolver`: what finds the addresses of host names, in place of the operating system.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Finds the addresses of host names, in place of the operating system; see
/// [`Reactor::set_resolver`](crate::Reactor::set_resolver).
///
/// A closure `|host: &str, port: u16| -> io::Result<Vec<SocketAddr>>` is a resolver as well.
/// [`resolve`](Self::resolve) may block: it runs on a thread, at most four at the same time. In a
/// simulation it is called on the thread of the test, and answers without delay.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use twistor::{Reactor, Resolver};
///
/// /// Names of a development machine: `web.test` is this machine.
/// struct Local;
///
/// impl Resolver for Local {
///     fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
///         match host.strip_suffix(".test") {
///             Some(_) => Ok(vec![([127, 0, 0, 1], port).into()]),
///             None => Err(io::Error::new(io::ErrorKind::NotFound, "not a name of this machine")),
///         }
///     }
/// }
///
/// let mut reactor = Reactor::new()?;
/// reactor.set_resolver(Local);
/// # Ok::<(), io::Error>(())
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// Returns the addresses of a host, the most preferred first, each with this port number.
    ///
    /// `host` is never an IP address, and is ASCII; a trailing dot is left in place. A panic counts
    /// as an error.
    ///
    /// # Errors
    ///
    /// The host has no address, or its addresses could not be found out. The attempt to connect
    /// fails with this error.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

impl<F> Resolver for F
where
    F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
{
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self(host, port)
    }
}

impl fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// The answer to a question for addresses. Several questions may share an error.
pub(crate) type Answer = Result<Vec<SocketAddr>, Arc<io::Error>>;
