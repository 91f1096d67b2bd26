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
    /// Number of messages delivered.
    pub(crate) received: u64,
    pub(crate) end: End,
    pub(crate) subscriber: Subscriber,
}

/// When a subscription ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// After this many messages.
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
        Self { subject, group, received: 0, end: End::Never, subscriber }
    }

    /// Appends the commands that make the subscription on a new connection.
    pub(crate) fn write_to(&self, sid: u64, out: &mut Vec<u8>) {
        let (subject, group) = (&*self.subject, self.group.as_deref());
        ClientCommand::Subscribe { subject, group, sid }.write_to(out);
        if let End::After(max) = self.end {
            // A server counts what it has sent on this connection.
            let max = Some(max.saturating_sub(self.received));
            ClientCommand::Unsubscribe { sid, max }.write_to(out);
        }
    }

    /// Counts a message. Returns true if it is the last one.
    pub(crate) fn count(&mut self) -> bool {
        self.received += 1;
        matches!(self.end, End::After(max) if self.received >= max)
    }
}
