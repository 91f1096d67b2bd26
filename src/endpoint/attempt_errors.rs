//! The errors of connecting to a host by its name.

use crate::address::HostnameAddress;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why none of the addresses of a host could be connected to: each address, the most preferred
/// first, with its own error.
///
/// The [`io::Error`] that [`connection_failed`](crate::Factory::connection_failed) receives holds
/// it. The kind of that error is the
/// kind of the first address, or [`TimedOut`](io::ErrorKind::TimedOut) if the connect timeout ended
/// the attempts.
///
/// ```
/// use std::io;
/// use twistor::error::AttemptErrors;
///
/// fn refused(error: &io::Error) -> usize {
///     let errors = error.get_ref().and_then(|inner| inner.downcast_ref::<AttemptErrors>());
///     let attempts = errors.map_or(&[][..], AttemptErrors::attempts);
///     attempts.iter().filter(|(_, it)| it.kind() == io::ErrorKind::ConnectionRefused).count()
/// }
/// # assert_eq!(refused(&io::ErrorKind::TimedOut.into()), 0);
/// ```
///
/// Displayed and debugged as the same sentence.
pub struct AttemptErrors {
    host: HostnameAddress,
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl AttemptErrors {
    pub(super) fn new(host: HostnameAddress, attempts: Vec<(SocketAddr, io::Error)>) -> Self {
        Self { host, attempts }
    }

    /// Returns the host and the port number.
    pub fn host(&self) -> &HostnameAddress {
        &self.host
    }

    /// Returns the addresses of the host, each with its error.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }
}

impl fmt::Display for AttemptErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.attempts.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "; " })?;
            write!(f, "{address}: {error}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for AttemptErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for AttemptErrors {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.attempts.first().map(|(_, error)| error as _)
    }
}

/// Why the addresses of a host could not be found out. (`DNSLookupError`)
///
/// The [`io::Error`] that [`connection_failed`](crate::Factory::connection_failed) receives holds
/// it, with the kind of the
/// resolver's error; [`NotFound`](io::ErrorKind::NotFound) if the host has no address, and
/// [`TimedOut`](io::ErrorKind::TimedOut) if the connect timeout was over before the resolver
/// answered.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone)]
pub struct ResolveError {
    host: HostnameAddress,
    error: Arc<io::Error>,
}

impl ResolveError {
    /// Returns the host and the port number.
    pub fn host(&self) -> &HostnameAddress {
        &self.host
    }

    /// Returns the error of a connection that failed for this reason.
    pub(crate) fn failure(host: &HostnameAddress, error: Arc<io::Error>) -> io::Error {
        io::Error::new(error.kind(), Self { host: host.clone(), error })
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve {}: {}", self.host.name(), self.error)
    }
}

impl fmt::Debug for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}
