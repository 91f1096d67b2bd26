//! In place of the library's reactor: the calls that it has made.

#[derive(Debug, Default)]
pub(crate) struct Reactor {
    /// The thread of each call, and the number of the call among those of its thread.
    pub(crate) called: Vec<(usize, usize)>,
}
