//! `Question`: names that the other nodes are asked for at once, and the wait for objections.
//!
//! An objection arrives by itself, as [`Names`](super::names::Names) has it. Silence counts from
//! when the server has the question, which may have waited here: the server is asked for that. When
//! the time is over it is asked again, since a network that has stalled meanwhile has kept
//! objections back, which come before its answer.

use super::bulletin::Claim;
use super::chat::{CLAIMS, Chat, Wanted, with_chat};
use super::member::with_member;
use super::node_id::NodeId;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use twistor::{FactoryKey, Reactor};
use twistor_nats::error::{FlushError, PublishError, RequestError};
use twistor_nats::{Client, Message};

/// How long an objection to a name may take: several times the way across a continent and back.
const OBJECTION_TIME: Duration = Duration::from_millis(500);

/// How long the network may stall, in each direction, while a name is claimed; then it is claimed
/// again.
const STALL_MAX: Duration = Duration::from_secs(5);

/// A question to the other nodes. Its clones are the same one, which is answered once.
#[derive(Clone)]
pub(crate) struct Question {
    client: Client,
    chat: FactoryKey<Chat>,
    /// Number of connections that the chat had lost when it asked.
    losses: u64,
    /// Taken out by the answer.
    claims: Rc<RefCell<Vec<Wanted>>>,
}

impl Question {
    /// Returns a question of a chat that has lost this many connections.
    pub(crate) fn new(
        client: &Client,
        chat: FactoryKey<Chat>,
        losses: u64,
        claims: &[Wanted],
    ) -> Self {
        let claims = Rc::new(RefCell::new(claims.to_vec()));
        Self { client: client.clone(), chat, losses, claims }
    }

    /// Asks for the names.
    pub(crate) fn ask(self, node: NodeId, reactor: &mut Reactor) -> Result<(), PublishError> {
        let claims = self.claims.borrow();
        let keys = claims.iter().map(|it| it.key.as_str()).collect();
        let text = Claim { node, keys }.encode();
        drop(claims);
        let alone = self.clone();
        let call = move |reactor: &mut Reactor, answer: Result<&Message<'_>, RequestError>| {
            if let Err(RequestError::NoResponders) = answer {
                alone.unopposed(reactor);
            }
        };
        self.client.request(CLAIMS, text, STALL_MAX, reactor, call)?;
        self.ask_server(reactor, |question, reactor| {
            reactor.call_later(OBJECTION_TIME, move |reactor| {
                question.ask_server(reactor, |question, reactor| question.unopposed(reactor));
            });
        });
        Ok(())
    }

    /// Calls `then` when the server has answered to all that was sent before, and all that it has
    /// sent before has arrived; or claims the names again, as when the question was dropped.
    fn ask_server(self, reactor: &mut Reactor, then: fn(Self, &mut Reactor)) {
        let client = self.client.clone();
        let call = move |reactor: &mut Reactor, answer: Result<(), FlushError>| match answer {
            Ok(()) => then(self, reactor),
            Err(_) => self.claim_again(reactor),
        };
        // An error: the chat ends.
        let _ = client.flush(STALL_MAX, reactor, call);
    }

    /// No other node has objected. If the connection was lost meanwhile, it is not known who has
    /// heard the question.
    fn unopposed(&self, reactor: &mut Reactor) {
        let mut is_certain = true;
        with_chat(reactor, self.chat, |chat, _| is_certain = chat.losses() == self.losses);
        if !is_certain {
            return self.claim_again(reactor);
        }
        let mut given = Vec::new();
        for wanted in self.claims.take() {
            with_member(reactor, self.chat, wanted.member, |member, cx| {
                if member.wants(&wanted) && member.unopposed(cx) {
                    given.push(wanted.key);
                }
            });
        }
        with_chat(reactor, self.chat, |chat, _| chat.tell_names(&given));
    }

    fn claim_again(&self, reactor: &mut Reactor) {
        for wanted in self.claims.take() {
            with_member(reactor, self.chat, wanted.member, |member, cx| {
                if member.wants(&wanted) {
                    cx.factory.claim(wanted, cx.reactor);
                }
            });
        }
    }
}
