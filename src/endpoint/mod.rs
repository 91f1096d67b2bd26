//! Endpoints: where a server listens and where a client connects to, as values or as strings.
//!
//! These are Twisted's endpoints, `serverFromString` and `clientFromString`. An endpoint is only a
//! description: nothing is bound before [`listen`](crate::Reactor::listen), and nothing is
//! connected before [`connect`](crate::Reactor::connect).

mod attempt_errors;
mod client;
mod description;
mod error;
mod happy_eyeballs;
mod host_name;
mod hostname;
mod inherited;
mod server;
mod socket_family;
mod socket_name;
mod tcp_client;
mod tcp_server;
#[cfg(feature = "tls")]
mod tls;
mod unix_client;
mod unix_error;
mod unix_server;

pub use attempt_errors::{AttemptErrors, ResolveError};
pub use client::ClientEndpoint;
pub use error::ParseEndpointError;
pub use host_name::InvalidHostName;
pub use hostname::HostnameEndpoint;
pub use inherited::InheritedEndpoint;
pub use server::ServerEndpoint;
pub use tcp_client::TcpClientEndpoint;
pub use tcp_server::TcpServerEndpoint;
pub use unix_client::UnixClientEndpoint;
pub use unix_error::UnixSocketError;
pub use unix_server::UnixServerEndpoint;

pub(crate) use client::{ClientCarrier, Destination};
pub(crate) use happy_eyeballs::{HappyEyeballs, Step};
#[cfg(target_os = "linux")]
pub(crate) use inherited::Selector;
pub(crate) use server::ServerCarrier;
#[cfg(unix)]
pub(crate) use socket_family::Family;
pub(crate) use socket_name::name_of_address;

use std::time::Duration;

/// The default backlog: connections that may wait to be accepted. With Twisted's 50, a burst of a
/// thousand clients waits for retransmitted SYNs, a second and more; Linux reduces a value above
/// its `somaxconn`.
pub const DEFAULT_BACKLOG: u32 = 1024;

/// The default connect timeout: 30 s, as in Twisted. Longer than a lost packet or two, and shorter
/// than the two minutes after which the system gives up.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The default attempt delay: 250 ms, as RFC 8305 recommends. Most servers answer sooner, so that
/// most connections take one attempt.
pub const DEFAULT_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
pub(crate) mod tests;
