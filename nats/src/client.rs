//! `Client`: the handle of a NATS client.

use crate::codec::{HeaderMap, ServerInfo};
use crate::error::{FlushError, PublishError, RequestError, StartError, SubscribeError};
use crate::event::Event;
use crate::factory::ClientFactory;
use crate::first_panic::FirstPanic;
use crate::link::{Awaited, Link, Phase};
use crate::message::Message;
use crate::options::{ConnectOptions, EventCall};
use crate::server_address::ServerAddress;
use crate::server_pool::ServerPool;
use crate::state::{FlushStage, OnEvent, Outgoing, PendingFlush, PendingRequest, Recipient, State};
use crate::statistics::Statistics;
use crate::subscription::{MessageCall, SubscriptionId};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use twistor::{Reactor, ServiceKey};

/// A NATS client, which stays connected until it is closed. This is a handle: cloning it is cheap,
/// and dropping it closes nothing.
///
/// Requests to it never block and never call back. Closures that it is given are called by the
/// event loop, one at a time; a panic in one ends the connection, and the client connects again.
/// When several are called for one end, of a connection or of the client, each of them is called,
/// whatever another does.
#[derive(Clone)]
pub struct Client(Rc<RefCell<State>>);

impl Client {
    /// Starts a client of the servers in a list such as `nats://user:password@host:port,host2`,
    /// with the default options; see [`ConnectOptions::new`] and [`ConnectOptions::connect`].
    ///
    /// # Errors
    ///
    /// [`StartError`]. That a server cannot be reached is no error: the client tries again.
    pub fn connect(servers: impl Into<String>, reactor: &mut Reactor) -> Result<Self, StartError> {
        ConnectOptions::new(servers).connect(reactor)
    }

    pub(crate) fn start(
        options: ConnectOptions,
        servers: Vec<ServerAddress>,
        keeps_order: bool,
        reactor: &mut Reactor,
    ) -> Result<Self, StartError> {
        let mut pool = ServerPool::new(servers);
        if !keeps_order {
            pool.shuffle(|bound| below(reactor, bound));
        }
        let client = Self::new(options, pool, reactor);
        client.start_service(reactor)?;
        Ok(client)
    }

    fn new(options: ConnectOptions, pool: ServerPool, reactor: &mut Reactor) -> Self {
        let inbox_id = format!("{:016x}{:016x}", reactor.random(), reactor.random());
        let state = State::new(options.settings, options.on_event, pool, &inbox_id);
        Self(Rc::new(RefCell::new(state)))
    }

    /// Returns a client that connects to no server by itself.
    #[cfg(test)]
    pub(crate) fn unconnected(reactor: &mut Reactor) -> Self {
        let servers = ServerAddress::parse_list("nats://server").unwrap();
        let options = ConnectOptions::new("").ping_interval(Duration::MAX);
        let mut pool = ServerPool::new(servers);
        pool.advance();
        Self::new(options, pool, reactor)
    }

    pub(crate) fn state(&self) -> &RefCell<State> {
        &self.0
    }

    /// Publishes a message. While there is no connection, or the server takes messages too slowly,
    /// it waits in a queue; see [`ConnectOptions::max_queued`].
    ///
    /// It is sent at most once, and there is no answer: [`flush`](Self::flush) asks whether the
    /// server has it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing of the message is sent.
    pub fn publish(
        &self,
        subject: impl AsRef<str>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), PublishError> {
        self.send(subject.as_ref(), None, None, payload.as_ref())
    }

    /// Publishes a message with headers; see [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing of the message is sent.
    pub fn publish_with_headers(
        &self,
        subject: impl AsRef<str>,
        headers: &HeaderMap,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), PublishError> {
        self.send(subject.as_ref(), None, Some(headers), payload.as_ref())
    }

    /// Publishes a message with a subject for replies, which a subscription of this client may
    /// receive. [`request`](Self::request) does that for a single answer.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing of the message is sent.
    pub fn publish_with_reply(
        &self,
        subject: impl AsRef<str>,
        reply: impl AsRef<str>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), PublishError> {
        self.send(subject.as_ref(), Some(reply.as_ref()), None, payload.as_ref())
    }

    fn send(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&HeaderMap>,
        payload: &[u8],
    ) -> Result<(), PublishError> {
        self.0.borrow_mut().publish(&Outgoing { subject, reply, headers, payload })
    }

    /// Subscribes to a subject, which may have wildcards: `*` for a token, `>` at the end for one
    /// or more. `call` is called with each message, in the order in which the server sends them.
    ///
    /// The subscription is made again on each new connection, before anything is published there.
    /// What is published in between does not arrive.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]. That permissions are missing is an [`Event`].
    pub fn subscribe(
        &self,
        subject: impl AsRef<str>,
        call: impl FnMut(&mut Reactor, &Message<'_>) + 'static,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.make_subscription(subject.as_ref(), None, Box::new(call))
    }

    /// Subscribes as a member of a queue group: each message reaches one member, which the server
    /// chooses. In all else it is [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub fn queue_subscribe(
        &self,
        subject: impl AsRef<str>,
        group: impl AsRef<str>,
        call: impl FnMut(&mut Reactor, &Message<'_>) + 'static,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.make_subscription(subject.as_ref(), Some(group.as_ref()), Box::new(call))
    }

    fn make_subscription(
        &self,
        subject: &str,
        group: Option<&str>,
        call: MessageCall,
    ) -> Result<SubscriptionId, SubscribeError> {
        let made = self.0.borrow_mut().subscribe(subject, group, call);
        // The closure is dropped here, when nothing is borrowed.
        made.map(SubscriptionId).map_err(|(error, _call)| error)
    }

    /// Ends a subscription: its closure is called no more. Does nothing if it has ended.
    pub fn unsubscribe(&self, subscription: SubscriptionId) {
        let gone = self.0.borrow_mut().unsubscribe(subscription.0, None);
        drop(gone);
    }

    /// Ends a subscription after a number of messages, those counted that have arrived already,
    /// on former connections too, and those that were skipped ([`Statistics::malformed`]). A
    /// later call replaces the number; if as many have arrived, the subscription ends now.
    pub fn unsubscribe_after(&self, subscription: SubscriptionId, messages: u64) {
        let gone = self.0.borrow_mut().unsubscribe(subscription.0, Some(messages));
        drop(gone);
    }

    /// Ends a subscription when the messages have arrived that are on their way.
    pub fn drain_subscription(&self, subscription: SubscriptionId) {
        let gone = self.0.borrow_mut().drain_subscription(subscription.0);
        drop(gone);
    }

    /// Publishes a request, and calls `call` with the first answer, or with an error. The answers
    /// of all requests arrive on one subscription.
    ///
    /// If nobody listens to the subject, a server with headers says so at once. A request that was
    /// sent when the connection broke has no answer but [`RequestError::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was sent, and `call` is dropped.
    pub fn request(
        &self,
        subject: impl AsRef<str>,
        payload: impl AsRef<[u8]>,
        timeout: Duration,
        reactor: &mut Reactor,
        call: impl FnOnce(&mut Reactor, Result<&Message<'_>, RequestError>) + 'static,
    ) -> Result<(), PublishError> {
        let (subject, payload) = (subject.as_ref(), payload.as_ref());
        let id = {
            let state = &mut *self.0.borrow_mut();
            if matches!(state.link, Link::Closed) {
                return Err(PublishError::Closed);
            }
            let (id, reply) = state.begin_request();
            state.publish(&Outgoing { subject, reply: Some(&reply), headers: None, payload })?;
            id
        };
        let client = self.clone();
        let timer = reactor.call_later(timeout, move |reactor| {
            let pending = client.0.borrow_mut().requests.remove(&id);
            if let Some(pending) = pending {
                (pending.call)(reactor, Err(RequestError::TimedOut));
            }
        });
        let pending = PendingRequest { timer, call: Box::new(call) };
        self.0.borrow_mut().requests.insert(id, pending);
        Ok(())
    }

    /// Asks the server whether it has processed what this client has published so far, also what
    /// still waits, and calls `call` with the answer. Without a connection it waits for one.
    ///
    /// The answer is [`FlushError::Dropped`] if something that waits now is dropped before it is
    /// sent. What was dropped or lost before the call is not its matter: see
    /// [`Statistics::dropped`] and [`Event::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`FlushError::Closed`], and `call` is dropped.
    pub fn flush(
        &self,
        timeout: Duration,
        reactor: &mut Reactor,
        call: impl FnOnce(&mut Reactor, Result<(), FlushError>) + 'static,
    ) -> Result<(), FlushError> {
        let state = &mut *self.0.borrow_mut();
        if matches!(state.link, Link::Closed) {
            return Err(FlushError::Closed);
        }
        let id = state.next_id();
        let client = self.clone();
        let timer = reactor.call_later(timeout, move |reactor| {
            let pending = client.0.borrow_mut().flushes.remove(&id);
            if let Some(pending) = pending {
                (pending.call)(reactor, Err(FlushError::TimedOut));
            }
        });
        let stage = FlushStage::Behind(state.queue.added());
        let pending = PendingFlush { timer, call: Box::new(call), stage, outcome: Ok(()) };
        state.flushes.insert(id, pending);
        state.ask_to_flush(id);
        Ok(())
    }

    /// Ends the client gracefully: its subscriptions receive what is on its way to them, and may
    /// still publish meanwhile; then everything published is sent, and the client is closed. After
    /// [`ConnectOptions::drain_timeout`] its connection is aborted, and what is not sent is
    /// dropped. Without a connection, and when it is lost meanwhile, the client is closed at once.
    ///
    /// A reactor that stops gracefully drains its clients.
    pub fn drain(&self, reactor: &mut Reactor) {
        let timeout = {
            let state = &mut *self.0.borrow_mut();
            match &mut state.link {
                Link::Up(live) if live.phase == Phase::Open => {
                    live.phase = Phase::DrainingSubscriptions;
                    state.end_subscriptions();
                    state.link.ask(Awaited::Drained);
                    Some(state.settings.drain_timeout)
                }
                Link::Up(_) | Link::Closed => return,
                Link::Down => None,
            }
        };
        let Some(timeout) = timeout else { return self.close(reactor) };
        let client = self.clone();
        // To close it would wait for a server that takes nothing, for the close timeout as well.
        reactor.call_later(timeout, move |reactor| {
            if let Some(service) = client.leave() {
                service.abort(reactor);
            }
        });
    }

    /// Ends the client: closes its connection when what was handed to it is sent, and connects no
    /// more. Requests and flushes that wait are answered with an error, and [`Event::Closed`] is
    /// the last event. What is queued is dropped, and counted.
    pub fn close(&self, reactor: &mut Reactor) {
        if let Some(service) = self.leave() {
            service.stop(reactor);
        }
    }

    /// Takes no more requests. Returns the service, whose end ends the client: when its connection
    /// is over, the factory is stopped.
    fn leave(&self) -> Option<ServiceKey<ClientFactory>> {
        let state = &mut *self.0.borrow_mut();
        if let Link::Up(live) = std::mem::replace(&mut state.link, Link::Closed) {
            live.transport.unregister_producer();
        }
        state.service
    }

    /// Returns true if there is a connection, authenticated and with all subscriptions.
    pub fn is_connected(&self) -> bool {
        self.0.borrow().link.live().is_some()
    }

    /// Returns true if the client has ended, or ends when its connection is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.0.borrow().link, Link::Closed)
    }

    /// Returns what the server has said about itself, or the last one that has accepted the
    /// client; `None` before the first connection.
    pub fn server_info(&self) -> Option<ServerInfo> {
        self.0.borrow().info.as_deref().cloned()
    }

    /// Returns what the client has done.
    pub fn statistics(&self) -> Statistics {
        self.0.borrow().statistics
    }

    /// Returns how many bytes wait for a connection, or for a server that takes them too slowly.
    pub fn queued(&self) -> usize {
        self.0.borrow().queue.bytes()
    }

    /// Returns the address of the server in use, or the one that was tried last.
    pub(crate) fn server_name(&self) -> String {
        self.0.borrow().pool.current().map(ToString::to_string).unwrap_or_default()
    }

    /// Delivers a message.
    pub(crate) fn deliver(&self, sid: u64, message: &Message<'_>, reactor: &mut Reactor) {
        let recipient = self.0.borrow_mut().recipient(sid, message.subject());
        match recipient {
            Recipient::None => {}
            Recipient::Call { call, is_last } => {
                let mut lent = Lent { client: self, sid, call: Some(call), is_last };
                if let Some(call) = &mut lent.call {
                    call(reactor, message);
                }
            }
            Recipient::Request(pending) => {
                reactor.cancel(pending.timer);
                let nobody = message.status().is_some_and(|status| status.code == NO_RESPONDERS)
                    && message.payload().is_empty();
                let answer = if nobody { Err(RequestError::NoResponders) } else { Ok(message) };
                (pending.call)(reactor, answer);
            }
        }
    }

    /// Answers a flush.
    pub(crate) fn flushed(&self, id: u64, reactor: &mut Reactor) {
        let pending = self.0.borrow_mut().flushes.remove(&id);
        if let Some(pending) = pending {
            let outcome = pending.outcome.clone();
            pending.answer(outcome, reactor);
        }
    }

    /// Tells of an event. One that happens during the call with another waits for its end.
    pub(crate) fn emit(&self, event: Event, reactor: &mut Reactor) {
        log::info!("NATS: {event}");
        self.0.borrow_mut().events.push_back(event);
        while let Some((event, call)) = self.next_event() {
            let mut told = Told { client: self, call: Some(call) };
            if let Some(call) = &mut told.call {
                call(reactor, &event);
            }
        }
    }

    /// Takes out the next event and the closure for it, unless that is being called.
    fn next_event(&self) -> Option<(Event, EventCall)> {
        let state = &mut *self.0.borrow_mut();
        if matches!(state.on_event, OnEvent::Unset) {
            state.events.clear();
        }
        let OnEvent::Ready(_) = state.on_event else { return None };
        let event = state.events.pop_front()?;
        match std::mem::replace(&mut state.on_event, OnEvent::Calling) {
            OnEvent::Ready(call) => Some((event, call)),
            OnEvent::Unset | OnEvent::Calling => None,
        }
    }

    /// Ends the client, whose connection is over.
    pub(crate) fn end(&self, reactor: &mut Reactor) {
        let ended = self.0.borrow_mut().end();
        let mut panics = FirstPanic::default();
        panics.call(|| drop(ended.subscriptions));
        for pending in ended.requests.into_values() {
            reactor.cancel(pending.timer);
            panics.call(|| (pending.call)(reactor, Err(RequestError::Closed)));
        }
        for pending in ended.flushes.into_values() {
            panics.call(|| pending.answer(Err(FlushError::Closed), reactor));
        }
        panics.call(|| self.emit(Event::Closed, reactor));
        let on_event = std::mem::replace(&mut self.0.borrow_mut().on_event, OnEvent::Unset);
        panics.call(|| drop(on_event));
        panics.resume();
    }
}

/// The status of a request that nobody listens to.
const NO_RESPONDERS: u16 = 503;

/// Returns a random number below `bound`, or zero.
pub(crate) fn below(reactor: &mut Reactor, bound: usize) -> usize {
    (reactor.random() % bound.max(1) as u64) as usize
}

/// The closure of a subscription during its call. It is put back also if it panics.
struct Lent<'a> {
    client: &'a Client,
    sid: u64,
    call: Option<MessageCall>,
    is_last: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let ended = self.client.0.borrow_mut().put_back(self.sid, call, self.is_last);
        drop(ended);
    }
}

/// The closure for events during its call. It is put back also if it panics.
struct Told<'a> {
    client: &'a Client,
    call: Option<EventCall>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.client.0.borrow_mut().on_event = OnEvent::Ready(call);
        }
    }
}

impl PendingFlush {
    pub(crate) fn answer(self, answer: Result<(), FlushError>, reactor: &mut Reactor) {
        reactor.cancel(self.timer);
        (self.call)(reactor, answer);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server_name())
            .field("is_connected", &self.is_connected())
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
