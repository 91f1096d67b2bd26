//! In place of accepted sockets: their numbers.

#[derive(Debug)]
pub(crate) struct Handoff(pub(crate) usize);
