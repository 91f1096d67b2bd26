//! `Expired`: a request whose deadline has passed.

/// A request whose deadline has passed, from
/// [`RequestQueue::pop_expired`](super::RequestQueue::pop_expired).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired<R> {
    /// It was never sent. The server knows nothing of it, so it may safely be tried again.
    Waiting(R),
    /// It was sent, and its reply has not arrived. The server may have carried it out, or may yet
    /// do so.
    Sent(R),
}

impl<R> Expired<R> {
    /// Returns the request, sent or not.
    pub fn into_request(self) -> R {
        let (Self::Waiting(request) | Self::Sent(request)) = self;
        request
    }
}
