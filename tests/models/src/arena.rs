//! In place of the library's arena: ids.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id;
