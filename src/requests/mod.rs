//! Requests and replies, for clients of any protocol in which the replies come in the order of the
//! requests: HTTP/1.1, SMTP, Redis, memcached, a line and its answer.
//!
//! A [`RequestQueue`] is a plain value that a protocol or a factory keeps. It knows no socket, no
//! clock and no framing: it decides which request is sent next, which one a reply belongs to, and
//! which ones have waited for too long.

mod errors;
mod expired;
mod queue;

#[cfg(test)]
mod tests;

pub use errors::{QueueFull, UnexpectedReply};
pub use expired::Expired;
pub use queue::RequestQueue;
