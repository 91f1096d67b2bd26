//! Twisted's networking model for Rust.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod address;
mod arena;
mod endpoint;
mod framing;
mod protocol;
mod reactor;
mod reason;
mod socket;
mod transport;

pub use address::Address;
pub use endpoint::{DEFAULT_BACKLOG, ParseEndpointError, ServerEndpoint, TcpServerEndpoint};
pub use framing::{Delimiter, LineContext, LineReceiver, Lines};
pub use protocol::{Context, Factory, Protocol};
pub use reactor::{
    IntoKey, Key, ListenError, Phase, Port, Reactor, ReactorGone, Remote, RunError, Settings,
    SystemEvent, TimerId, TriggerId,
};
pub use reason::{Failure, Reason};
pub use transport::{ConnectionId, Transport};
