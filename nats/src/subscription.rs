//! Subscriptions of a client.

use crate::codec::ClientCommand;
use crate::message::Message;
use twistor::Reactor;

/// Called with each message of a subscription.
pub(crate) type MessageCall = Box<dyn FnMut(&mut Reactor, &Message<'_>)>;

/// Names a subscription of a [`Client`](crate::Client). It stays the same when the client connects
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(crate) u64);

/// A subscription, as it is made on each connection.
pub(crate) struct Subscription {
    pub(crate) subject: Box<str>,
    pub(crate) group: Option<Box<str>>,
    /// Number of messages received, the malformed ones included: as servers count them.
    pub(crate) received: u64,
    /// Number of messages received on former connections.
    received_before: u64,
    pub(crate) end: End,
    pub(crate) subscriber: Subscriber,
}

/// The largest number of messages that nats-server reads in `UNSUB`: nine digits. It takes a
/// longer one for none, and ends the subscription at once.
const SERVER_LIMIT_MAX: u64 = 999_999_999;

/// When a subscription ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// After this many messages, on all connections together.
    After(u64),
    /// The server knows that it has ended; messages that were on their way still arrive.
    Draining,
}

/// The recipient of the messages.
pub(crate) enum Subscriber {
    /// The user's closure; `None` while it is being called.
    Call(Option<MessageCall>),
    /// The requests that wait for an answer.
    Requests,
}

impl Subscription {
    pub(crate) fn new(subject: &str, group: Option<&str>, subscriber: Subscriber) -> Self {
        let (subject, group) = (subject.into(), group.map(Into::into));
        Self { subject, group, received: 0, received_before: 0, end: End::Never, subscriber }
    }

    /// Appends the commands that make the subscription on a new connection.
    pub(crate) fn write_to(&mut self, sid: u64, out: &mut Vec<u8>) {
        self.received_before = self.received;
        let (subject, group) = (&*self.subject, self.group.as_deref());
        ClientCommand::Subscribe { subject, group, sid }.write_to(out);
        if let Some(max) = self.server_limit() {
            ClientCommand::Unsubscribe { sid, max: Some(max) }.write_to(out);
        }
    }

    /// Sets the number of messages after which the subscription ends. Returns what the server is
    /// to be told, if anything.
    pub(crate) fn end_after(&mut self, max: u64) -> Option<u64> {
        let had_limit = self.server_limit().is_some();
        self.end = End::After(max);
        // A limit that the server knows can be raised, but not taken back.
        self.server_limit().or(had_limit.then_some(SERVER_LIMIT_MAX))
    }

    /// Returns the limit as the server counts, which begins at zero on each connection; `None` if
    /// there is none, or a larger one than it reads.
    fn server_limit(&self) -> Option<u64> {
        let End::After(max) = self.end else { return None };
        Some(max.saturating_sub(self.received_before)).filter(|max| *max <= SERVER_LIMIT_MAX)
    }

    /// Counts a message. Returns true if it is the last one.
    pub(crate) fn count(&mut self) -> bool {
        self.received += 1;
        matches!(self.end, End::After(max) if self.received >= max)
    }
}
