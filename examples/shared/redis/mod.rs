//! The client's side of Redis's protocol (RESP2): commands, replies, and which reply belongs to
//! which command.

mod command;
mod decoder;
mod reply;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use command::encode;
pub(crate) use reply::Reply;
pub(crate) use session::Session;
