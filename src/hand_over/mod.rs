//! Restart without a refused connection: a process hands its listening sockets over to its
//! successor.
//!
//! `message.rs` is what the two say to each other, `offer.rs` the side of the predecessor,
//! `take_over.rs` that of the successor.

mod error;
mod message;
mod offer;
mod take_over;

pub use error::TakeOverError;

use std::time::Duration;

/// Version of the messages. A process of another version is refused, and told so.
const VERSION: u32 = 1;

/// The most ports that are handed over: as many as fit into one message, and far more than servers
/// have.
const PORTS_MAX: usize = 1024;

/// Longest message, in bytes: the numbers of all ports in one line, or two names of sockets. Each
/// byte of a path can take four.
const MESSAGE_MAX: usize = 8 * 1024;

/// Time within which each side answers the other. Both answer at once unless their loops are held
/// up by a long callback.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a successor has to start up, from its first word until it is ready. Programs that take
/// longer should do so before they take over.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
