//! Twisted's networking model: a reactor, protocols, factories, transports and endpoints, on one
//! thread, with callbacks.
//!
//! ```no_run
//! use twistor::{Context, Protocol, Reactor};
//!
//! struct Echo;
//!
//! impl<F> Protocol<F> for Echo {
//!     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
//!         cx.transport.write(data);
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut reactor = Reactor::new()?;
//!     reactor.listen_tcp(8007, || Echo)?;
//!     reactor.run()?;
//!     Ok(())
//! }
//! ```
//!
//! # The model on one page
//!
//! A [`Reactor`] waits for events and calls back. A [`Protocol`] is one connection's behaviour: it
//! is told what happens to its connection, and keeps its state in named fields. A [`Factory`]
//! builds a protocol for each connection and holds what they share. A [`Transport`] is the
//! connection itself, to be written to and closed.
//!
//! Each callback is given a [`Context`]: this connection's transport, the factory as a plain
//! `&mut`, and the reactor. Callbacks state what they want; the loop carries it out when they have
//! returned. So no callback ever runs within another, nothing has to be locked, and no state
//! changes but in the callback that one is reading.
//!
//! [`Lines`] makes a protocol of a [`LineReceiver`], and [`delegate_callbacks!`] forwards the
//! callbacks of one that wraps another. [`TcpServerEndpoint`] and [`ServerEndpoint`] say where to
//! listen. A [`Remote`] reaches the reactor from other threads.
//!
//! The [`guide`] has a chapter for each task; in the source it is the folder `docs/guide`. The map
//! of the source and one turn of the loop in detail are in the folder `docs`.
//!
//! # Features
//!
//! - `signals`, on by default: SIGINT and SIGTERM end [`Reactor::run`] in order. Only on Unix.
//! - `testing`: the module `testing`, for tests in memory and on a simulated network.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod callback_kind;
mod delegate;
mod protocol;
mod reactor;
mod transport;

mod framing;

mod address;
pub mod endpoint;
mod reason;

mod arena;
mod driver;
pub mod limits;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(test)]
mod instruction_counts;

// Only in the documentation, and in its tests where the listings can be compiled.
#[cfg(all(doc, any(not(doctest), all(unix, feature = "testing"))))]
pub mod guide;

pub use address::Address;
pub use bytes::Bytes;
pub use endpoint::{ServerEndpoint, TcpClientEndpoint, TcpServerEndpoint};
pub use framing::{Delimiter, LineContext, LineReceiver, Lines};
pub use protocol::{Context, Factory, Protocol};
pub use reactor::{
    Connector, FactoryKey, IntoFactory, ListeningPort, ListeningPortId, Reactor, Remote, Settings,
    TimerId,
};
pub use reason::{Failure, Reason};
pub use transport::{ConnectionId, Producer, Transport, broadcast};

/// What a reactor has done and how long it took: the result of [`Reactor::metrics`].
pub mod metrics {
    pub use crate::reactor::{CallStats, Metrics, SlowestCallback};
}

/// Graceful shutdown: what [`Reactor::run`] returns, and the guard of
/// [`Reactor::hold_shutdown`] that delays it.
pub mod shutdown {
    pub use crate::reactor::{ShutdownGuard, ShutdownReport};
}

/// Start-up and shutdown of a reactor as events that triggers are added to, with
/// [`Reactor::add_system_event_trigger`].
pub mod system_event {
    pub use crate::reactor::{Phase, SystemEvent, TriggerId};
}

/// Errors of requests to a reactor. Why a connection ended is no error but a [`Reason`].
pub mod error {
    pub use crate::reactor::{CallError, ConnectError, DeferError, ListenError, RunError};
}

/// The listings of the documentation, as tests.
#[cfg(all(doctest, unix, feature = "testing"))]
mod listings {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/FROM_TWISTED.md")]
    struct FromTwisted;
}
