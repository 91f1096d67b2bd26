//! In place of the library's addresses.

#[derive(Debug)]
pub(crate) struct Address;
