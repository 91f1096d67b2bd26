//! The errors of a request queue.

use std::error::Error;
use std::fmt;

/// The error of [`RequestQueue::push`](super::RequestQueue::push): as many requests as may wait are
/// waiting. The request comes back.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueFull<R> {
    request: R,
    waiting: usize,
}

impl<R> QueueFull<R> {
    pub(super) fn new(request: R, waiting: usize) -> Self {
        Self { request, waiting }
    }

    /// Returns the request, to try it again or drop it.
    pub fn into_request(self) -> R {
        self.request
    }
}

impl<R> fmt::Display for QueueFull<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests are waiting to be sent: {}", self.waiting)
    }
}

impl<R> fmt::Debug for QueueFull<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<R> Error for QueueFull<R> {}

/// The error of [`RequestQueue::pop_answered`](super::RequestQueue::pop_answered): no request is
/// waiting for a reply. Either side has lost count, so the connection is best failed with it, by
/// [`Transport::fail`](crate::Transport::fail).
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnexpectedReply;

impl fmt::Display for UnexpectedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply has arrived that no request is waiting for")
    }
}

impl fmt::Debug for UnexpectedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for UnexpectedReply {}
