//! `Statistics`: what a client has done.

/// What a client has done since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages handed to a connection.
    pub published: u64,
    /// Messages received for subscriptions and requests.
    pub received: u64,
    /// Messages that were queued, and dropped: for want of room, because a server takes no payload
    /// that large or no headers, or because the client ended.
    pub dropped: u64,
    /// Messages received and not delivered, because their subject or their headers are not UTF-8 or
    /// not well-formed, because they have more than 1000 headers, or because their payload is above
    /// [`MAX_PAYLOAD`](crate::codec::MAX_PAYLOAD): servers pass on whatever a client publishes.
    /// They count for [`Client::unsubscribe_after`](crate::Client::unsubscribe_after).
    pub malformed: u64,
    /// Times that the client was connected again.
    pub reconnects: u64,
}
