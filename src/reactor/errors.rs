//! The errors of a reactor.

use crate::endpoint::{ClientEndpoint, ParseEndpointError, ServerEndpoint};
use crate::hand_over::TakeOverError;
use std::error::Error;
use std::fmt;
use std::io;

/// What a factory says that is asked to start within one of its own callbacks.
const FACTORY_BUSY: &str =
    "the factory is running a callback, and can only be started after it: try again in a timer";

/// Why a port could not be opened.
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum ListenError {
    /// The description is not an endpoint.
    Endpoint(ParseEndpointError),
    /// The operating system refused: the address is in use or not local, or the port is reserved.
    /// (`CannotListenError`)
    #[non_exhaustive]
    Bind {
        /// Where to listen.
        endpoint: ServerEndpoint,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The factory's `start_factory` failed or panicked. The port is closed again.
    #[non_exhaustive]
    StartFactory {
        /// Where to listen.
        endpoint: ServerEndpoint,
        /// The error of the factory.
        source: io::Error,
    },
    /// The factory of the key is gone, or belongs to another reactor.
    #[non_exhaustive]
    NoFactory {
        /// Where to listen.
        endpoint: ServerEndpoint,
    },
    /// The factory has to be started, which it cannot while it is running a callback.
    /// [`Reactor::call_later`](crate::Reactor::call_later) with no delay comes when it is free.
    #[non_exhaustive]
    FactoryBusy {
        /// Where to listen.
        endpoint: ServerEndpoint,
    },
    /// The reactor is draining or shutting down.
    #[non_exhaustive]
    Stopping {
        /// Where to listen.
        endpoint: ServerEndpoint,
    },
}

/// An endpoint as errors name it: by its address, if that is known.
struct Place<'a>(&'a ServerEndpoint);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.address() {
            Some(address) => address.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::Bind { endpoint, source } => {
                write!(f, "cannot listen on {}: {source}", Place(endpoint))
            }
            Self::StartFactory { endpoint, source } => {
                write!(
                    f,
                    "cannot listen on {}: the factory did not start: {source}",
                    Place(endpoint)
                )
            }
            Self::NoFactory { endpoint } => {
                write!(f, "cannot listen on {}: there is no such factory", Place(endpoint))
            }
            Self::FactoryBusy { endpoint } => {
                write!(f, "cannot listen on {}: {FACTORY_BUSY}", Place(endpoint))
            }
            Self::Stopping { endpoint } => {
                write!(f, "cannot listen on {}: the reactor is stopping", Place(endpoint))
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
            Self::NoFactory { .. } | Self::FactoryBusy { .. } | Self::Stopping { .. } => None,
        }
    }
}

impl From<ParseEndpointError> for ListenError {
    fn from(error: ParseEndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// Why a factory, or one of its protocols, could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReachError {
    /// The factory is gone, or belongs to another reactor.
    FactoryGone,
    /// The factory is running a callback. [`Reactor::tell`](crate::Reactor::tell) reaches it as
    /// soon as it is free.
    FactoryBusy,
    /// The connection is gone, or is not one of the factory's.
    ConnectionGone,
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FactoryGone => "the factory is gone",
            Self::FactoryBusy => {
                "the factory is running a callback; Reactor::tell reaches it when it is free"
            }
            Self::ConnectionGone => "the factory has no such connection",
        })
    }
}

impl Error for ReachError {}

/// Why a factory could not be added to a reactor.
///
/// Displayed and debugged as the same sentence.
#[non_exhaustive]
pub enum AddFactoryError {
    /// The factory's `start_factory` failed or panicked.
    StartFactory(io::Error),
    /// The factory of the key is gone, or belongs to another reactor.
    NoFactory,
    /// The factory has to be started, which it cannot while it is running a callback.
    FactoryBusy,
    /// The reactor is draining or shutting down.
    Stopping,
}

impl fmt::Display for AddFactoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartFactory(source) => {
                write!(f, "cannot add the factory: it did not start: {source}")
            }
            Self::NoFactory => f.write_str("cannot add the factory: there is no such factory"),
            Self::FactoryBusy => write!(f, "cannot add the factory: {FACTORY_BUSY}"),
            Self::Stopping => f.write_str("cannot add the factory: the reactor is stopping"),
        }
    }
}

impl fmt::Debug for AddFactoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for AddFactoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::StartFactory(source) => Some(source),
            Self::NoFactory | Self::FactoryBusy | Self::Stopping => None,
        }
    }
}

/// Why an attempt to connect was not begun. An attempt that fails later is reported to the factory:
/// see [`connection_failed`](crate::Factory::connection_failed).
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum ConnectError {
    /// The description is not an endpoint.
    Endpoint(ParseEndpointError),
    /// The factory's `start_factory` failed or panicked.
    #[non_exhaustive]
    StartFactory {
        /// Where to connect to.
        endpoint: ClientEndpoint,
        /// The error of the factory.
        source: io::Error,
    },
    /// The factory of the key is gone, or belongs to another reactor.
    #[non_exhaustive]
    NoFactory {
        /// Where to connect to.
        endpoint: ClientEndpoint,
    },
    /// The factory has to be started, which it cannot while it is running a callback.
    /// [`Reactor::call_later`](crate::Reactor::call_later) with no delay comes when it is free.
    #[non_exhaustive]
    FactoryBusy {
        /// Where to connect to.
        endpoint: ClientEndpoint,
    },
    /// The reactor is draining or shutting down.
    #[non_exhaustive]
    Stopping {
        /// Where to connect to.
        endpoint: ClientEndpoint,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = match self {
            Self::Endpoint(error) => return error.fmt(f),
            Self::StartFactory { endpoint, .. }
            | Self::NoFactory { endpoint }
            | Self::FactoryBusy { endpoint }
            | Self::Stopping { endpoint } => endpoint,
        };
        write!(f, "cannot connect to {}: ", endpoint.address())?;
        match self {
            Self::Endpoint(_) => Ok(()),
            Self::StartFactory { source, .. } => write!(f, "the factory did not start: {source}"),
            Self::NoFactory { .. } => f.write_str("there is no such factory"),
            Self::FactoryBusy { .. } => f.write_str(FACTORY_BUSY),
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
            Self::Endpoint(error) => Some(error),
            Self::StartFactory { source, .. } => Some(source),
            Self::NoFactory { .. } | Self::FactoryBusy { .. } | Self::Stopping { .. } => None,
        }
    }
}

impl From<ParseEndpointError> for ConnectError {
    fn from(error: ParseEndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// Why a reactor could not run.
///
/// Displayed and debugged as the same sentence, so that a `main` which returns it says something
/// readable.
#[non_exhaustive]
pub enum RunError {
    /// The reactor is running already: `run` or `turn` was called from within a callback.
    /// (`ReactorAlreadyRunning`)
    AlreadyRunning,
    /// The handlers of SIGINT and SIGTERM could not be installed.
    Signals(io::Error),
    /// The poller failed.
    Poll(io::Error),
    /// The predecessor has not let this process take over; it continues to serve.
    TakeOver(TakeOverError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => {
                f.write_str("the reactor is running already: run or turn was called in a callback")
            }
            Self::Signals(error) => write!(f, "cannot handle SIGINT and SIGTERM: {error}"),
            Self::Poll(error) => write!(f, "cannot wait for events: {error}"),
            Self::TakeOver(error) => error.fmt(f),
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
            Self::TakeOver(error) => Some(error),
        }
    }
}

/// Why a call from another thread was rejected; see
/// [`Remote::call_from_thread`](crate::Remote::call_from_thread). Contains the call.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<C> {
    /// The queue is full: it holds
    /// [`Settings::max_pending_calls`](crate::Settings::max_pending_calls) calls.
    QueueFull(C),
    /// The reactor was dropped.
    ReactorGone(C),
}

impl<C> CallError<C> {
    /// Returns the call, to try it again or drop it.
    pub fn into_call(self) -> C {
        let (Self::QueueFull(call) | Self::ReactorGone(call)) = self;
        call
    }
}

impl<C> fmt::Display for CallError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull(_) => "too many calls are waiting for the reactor",
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

/// Why a message was not taken by a mailbox; see [`Mailbox::send`](crate::mailbox::Mailbox::send).
/// Contains the message.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<M> {
    /// As many messages wait as the mailbox has room for, and its policy is to reject.
    Full(M),
    /// The mailbox was closed, or its reactor has stopped.
    Closed(M),
}

impl<M> SendError<M> {
    /// Returns the message, to send it again or drop it.
    pub fn into_message(self) -> M {
        let (Self::Full(message) | Self::Closed(message)) = self;
        message
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full",
            Self::Closed(_) => "the mailbox is closed",
        })
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<M> Error for SendError<M> {}

/// Why a reactor cannot receive the messages of a mailbox; see
/// [`Reactor::open_mailbox`](crate::Reactor::open_mailbox).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenMailboxError {
    /// A reactor receives its messages already: a mailbox has one receiver.
    AlreadyOpen,
    /// The mailbox was closed, or its reactor has stopped.
    Closed,
}

impl fmt::Display for OpenMailboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyOpen => {
                "the mailbox is open already: a mailbox has one receiver, so each shard needs one"
            }
            Self::Closed => "the mailbox is closed",
        })
    }
}

impl Error for OpenMailboxError {}
