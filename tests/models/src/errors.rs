//! In place of the library's errors.

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SendError<M> {
    Full(M),
    Closed(M),
}

#[derive(Debug)]
pub(crate) enum CallError<C> {
    QueueFull(C),
    ReactorGone(C),
}
