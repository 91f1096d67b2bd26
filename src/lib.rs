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
//! A [`Reactor`] is an event loop: it waits for events and calls back. A [`Protocol`] is the
//! behaviour of one connection: its callbacks report what happens to the connection, and its state
//! is in named fields. A [`Factory`] builds a protocol for each connection and holds what they
//! share. A [`Transport`] is the connection itself: protocols write to it and close it.
//!
//! Each callback gets a [`Context`]: the transport of this connection, the factory as a plain
//! `&mut`, and the reactor. Callbacks make requests; the event loop carries them out after the
//! callback has returned. So no callback runs inside another one, nothing needs a lock, and state
//! changes only in the callback that you are reading.
//!
//! [`Lines`] turns a [`LineReceiver`] into a protocol, and [`delegate_callbacks!`] forwards the
//! callbacks of a protocol that wraps another one. [`TcpServerEndpoint`] and [`ServerEndpoint`]
//! describe where to listen. A [`Remote`] reaches the reactor from other threads, and [`shards`]
//! runs one per thread, as a server that uses several cores. [`proxy_protocol`] decodes the header
//! in which a proxy tells the addresses of its client, and [`requests`] keeps what a client has
//! asked for until it is answered.
//!
//! The [`guide`] has a chapter for each task; its source is the folder `docs/guide`. The folder
//! `docs` also has a map of the source and a detailed description of one turn of the loop.
//!
//! A name in parentheses at the end of a description, such as (`callLater`), is the item's name in
//! Twisted.
//!
//! # Features
//!
//! - `signals`, on by default: SIGINT ends [`Reactor::run`] at once, SIGTERM after open connections
//!   have finished or a deadline has passed; [`Reactor::on_signal`] handles others. Only on Unix.
//! - `metrics`: publishes the metrics of a reactor through the crate `metrics`.
//! - `tls`: the module `tls`, for encrypted connections.
//! - `testing`: the module `testing`, for tests in memory and on a simulated network.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Labels what belongs to a feature, on docs.rs, which builds with a nightly compiler.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod build_protocol;
mod callback_kind;
mod continuation;
mod delegate;
mod protocol;
mod reactor;
mod transport;

mod framing;
mod hand_over;
mod operations;

mod address;
pub mod client_service;
mod descriptor;
pub mod endpoint;
pub mod proxy_protocol;
mod reason;
pub mod requests;

mod arena;
mod driver;
pub mod limits;
mod panic;
mod random;
mod resolver;
pub mod shards;
mod sync;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

#[cfg(test)]
mod instruction_counts;

// In the documentation only, and in doc tests where the listings can be compiled.
#[cfg(all(doc, any(not(doctest), all(unix, feature = "testing", feature = "tls"))))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
pub mod guide;

pub use address::{Address, HostnameAddress, PeerCredentials, UnixAddress};
pub use bytes::Bytes;
pub use client_service::ClientService;
pub use continuation::Continuation;
pub use descriptor::Descriptor;
pub use endpoint::{
    ClientEndpoint, HostnameEndpoint, InheritedEndpoint, ServerEndpoint, TcpClientEndpoint,
    TcpServerEndpoint, UnixClientEndpoint, UnixServerEndpoint,
};
pub use framing::{Delimiter, LineContext, LineReceiver, LineTransport, Lines};
pub use protocol::{Context, Factory, Protocol};
pub use reactor::{
    Connector, FactoryKey, IntoFactory, ListeningPort, ListeningPortId, Reactor, Remote,
    ServiceKey, Settings, SignalId, TimerId,
};
pub use reason::{Failure, Reason};
pub use resolver::Resolver;
pub use transport::{ConnectionId, Producer, Transport, broadcast};

/// Mailboxes: bounded queues of messages for one reactor, from other threads and other shards;
/// [`Reactor::open_mailbox`] receives them.
pub mod mailbox {
    pub use crate::reactor::{Mailbox, MailboxPolicy};
}

/// Metrics: what a reactor has done and how long it took, as [`Reactor::metrics`] returns it.
pub mod metrics {
    pub use crate::operations::MetricsPage;
    pub use crate::reactor::{CallStats, ConnectionStats, Metrics, SlowestCallback};
}

/// Inspection: what is in a reactor now, as [`Reactor::next_connections`] and its siblings return
/// it, and as a port for operators.
pub mod inspection {
    #[cfg(unix)]
    pub use crate::operations::Inspector;
    pub use crate::reactor::{
        ConnectionSummary, FactorySummary, InspectionCursor, PortSummary, TimerSummary,
    };
}

/// Graceful shutdown: what [`Reactor::run`] returns, and the guard of
/// [`Reactor::hold_shutdown`] that delays it.
pub mod shutdown {
    pub use crate::reactor::{ShutdownGuard, ShutdownReport};
}

/// Running as a service: the guard of [`Reactor::notify_reloading`], during which the service
/// manager knows that the program reloads its configuration.
pub mod service {
    pub use crate::reactor::ReloadGuard;
}

/// Start-up and shutdown of a reactor, as events to which [`Reactor::add_system_event_trigger`]
/// adds triggers.
pub mod system_event {
    pub use crate::reactor::{Phase, SystemEvent, TriggerId};
}

/// Errors of requests to a reactor. The reason why a connection ended is a [`Reason`], not an
/// error.
pub mod error {
    pub use crate::endpoint::{AttemptErrors, InvalidHostName, ResolveError, UnixSocketError};
    pub use crate::hand_over::TakeOverError;
    pub use crate::reactor::{
        AddFactoryError, CallError, ConnectError, DeferError, ListenError, OpenMailboxError,
        ReachError, RunError, SendError,
    };
}

/// The listings of the documentation, as tests.
#[cfg(all(doctest, unix, feature = "testing"))]
mod listings {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/FROM_TWISTED.md")]
    struct FromTwisted;
}
