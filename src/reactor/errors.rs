//! What can go wrong with a reactor.

use crate::address::Address;
use crate::endpoint::ParseEndpointError;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a port could not be opened.
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum ListenError {
    /// The description is not an endpoint.
    Endpoint(ParseEndpointError),
    /// The system refused: the address is in use or not this machine's, or the port is reserved.
    /// (`CannotListenError`)
    Bind {
        /// Where it was to listen.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The factory's `start_factory` failed, or panicked. The port is closed again.
    StartFactory {
        /// Where it was to listen.
        address: Address,
        /// What the factory said.
        source: io::Error,
    },
    /// The key is of a factory that is gone, or that is not started and is at this moment running
    /// a callback, so that it cannot be started.
    NoFactory {
        /// Where it was to listen.
        address: Address,
    },
    /// The reactor is shutting down, or drains before that.
    Stopping {
        /// Where it was to listen.
        address: Address,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::Bind { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::StartFactory { address, source } => {
                write!(f, "cannot listen on {address}: the factory did not start: {source}")
            }
            Self::NoFactory { address } => {
                write!(f, "cannot listen on {address}: there is no such factory, or it is busy")
            }
            Self::Stopping { address } => {
                write!(f, "cannot listen on {address}: the reactor is stopping")
            }
        }
    }
}

impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Endpoint(error) => Some(error),
            Self::Bind { source, .. } | Self::StartFactory { source, .. } => Some(source),
            Self::NoFactory { .. } | Self::Stopping { .. } => None,
        }
    }
}

impl From<ParseEndpointError> for ListenError {
    fn from(error: ParseEndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// Why an attempt to connect was not begun. That it did not succeed is told to the factory instead:
/// see [`connection_failed`](crate::Factory::connection_failed).
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum ConnectError {
    /// The factory's `start_factory` failed, or panicked.
    StartFactory {
        /// Where it was to connect to.
        address: Address,
        /// What the factory said.
        source: io::Error,
    },
    /// The key is of a factory that is gone, or that is not started and is at this moment running
    /// a callback, so that it cannot be started.
    NoFactory {
        /// Where it was to connect to.
        address: Address,
    },
    /// The reactor is shutting down, or drains before that.
    Stopping {
        /// Where it was to connect to.
        address: Address,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::StartFactory { address, .. }
        | Self::NoFactory { address }
        | Self::Stopping { address }) = self;
        write!(f, "cannot connect to {address}: ")?;
        match self {
            Self::StartFactory { source, .. } => write!(f, "the factory did not start: {source}"),
            Self::NoFactory { .. } => f.write_str("there is no such factory, or it is busy"),
            Self::Stopping { .. } => f.write_str("the reactor is stopping"),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::StartFactory { source, .. } => Some(source),
            Self::NoFactory { .. } | Self::Stopping { .. } => None,
        }
    }
}

/// Why a reactor could not run.
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum RunError {
    /// It is running already: `run` or `turn` was called from within a callback.
    /// (`ReactorAlreadyRunning`)
    AlreadyRunning,
    /// SIGINT and SIGTERM could not be taken.
    Signals(io::Error),
    /// The poller failed.
    Poll(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => {
                f.write_str("the reactor is running already: run or turn was called in a callback")
            }
            Self::Signals(error) => write!(f, "cannot take SIGINT and SIGTERM: {error}"),
            Self::Poll(error) => write!(f, "cannot wait for events: {error}"),
        }
    }
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyRunning => None,
            Self::Signals(error) | Self::Poll(error) => Some(error),
        }
    }
}

/// Why a call from another thread was not taken; see
/// [`Remote::call_from_thread`](crate::Remote::call_from_thread). The call is handed back.
///
/// Displayed and debugged as a sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallError<C> {
    /// As many calls wait as [`Settings::max_pending_calls`](crate::Settings::max_pending_calls)
    /// says.
    QueueFull(C),
    /// The reactor was dropped.
    ReactorGone(C),
}

impl<C> CallError<C> {
    /// The call, to be tried again or dropped.
    pub fn into_call(self) -> C {
        let (Self::QueueFull(call) | Self::ReactorGone(call)) = self;
        call
    }
}

impl<C> fmt::Display for CallError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull(_) => "too many calls wait for the reactor",
            Self::ReactorGone(_) => "the reactor is gone",
        })
    }
}

impl<C> fmt::Debug for CallError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<C> Error for CallError<C> {}
