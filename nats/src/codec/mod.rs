//! The protocol of NATS as values: bytes in, commands out, and back. Nothing here knows a socket or
//! a clock.
//!
//! A command is a line that ends with CR LF; some lines announce a payload, which follows them and
//! ends with CR LF as well. [`ServerCommand`] is a line of a server, [`ClientCommand`] one of a
//! client. To split the bytes into lines and payloads is the task of
//! [`Lines`](twistor::Lines).

mod client_command;
mod connect;
mod error;
mod fields;
mod headers;
mod server_command;
mod server_error;
mod server_info;
mod subject;

pub use client_command::ClientCommand;
pub use connect::Connect;
pub use error::CodecError;
pub use headers::{HeaderMap, InvalidHeader, Status};
pub use server_command::{MessageHead, ServerCommand};
pub use server_error::ServerError;
pub use server_info::ServerInfo;
pub use subject::{InvalidSubject, Subject};

pub(crate) use subject::{check_filter, check_group, check_subject};

/// The longest line that a server takes from a client, in bytes without CR LF: nats-server's
/// default (`max_control_line`), which few change.
pub const MAX_CONTROL_LINE: usize = 4096;

/// The longest line that this client takes from a server, in bytes without CR LF. A message's line
/// has at most [`MAX_CONTROL_LINE`]; an `INFO` that names a thousand servers of a cluster has some
/// 30 KiB.
pub const MAX_SERVER_LINE: usize = 64 * 1024;

/// The largest payload that this client publishes, and that it keeps when it arrives, headers
/// included, in bytes. A server's own limit is [`ServerInfo::max_payload`]: 1 MiB by default, and
/// nats-server warns of more than 8 MiB. A larger payload is skipped as it arrives, so that no
/// publisher fills the memory of the subscribers.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;
