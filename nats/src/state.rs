//! `State`: what a client knows, behind its handles.
//!
//! Nothing here runs the user's code: closures are taken out, and called or dropped by those that
//! have taken them when the state is no longer borrowed.

use crate::codec::{
    ClientCommand, HeaderMap, MAX_PAYLOAD, ServerInfo, check_filter, check_group, check_subject,
};
use crate::error::{FlushError, PublishError, RequestError, SubscribeError};
use crate::event::Event;
use crate::factory::ClientFactory;
use crate::link::{Awaited, Link, Live, Phase};
use crate::message::Message;
use crate::options::{EventCall, Settings};
use crate::publish_queue::{Accepted, PublishQueue};
use crate::server_pool::ServerPool;
use crate::statistics::Statistics;
use crate::subscription::{End, MessageCall, Subscriber, Subscription};
use std::collections::{BTreeMap, VecDeque};
use twistor::{Reactor, ServiceKey, TimerId, Transport};

/// Payloads up to this length are copied behind their line, so that a message is one write. Longer
/// ones are written by themselves, which copies them once.
const SMALL_PAYLOAD: usize = 4096;

pub(crate) type RequestCall = Box<dyn FnOnce(&mut Reactor, Result<&Message<'_>, RequestError>)>;
pub(crate) type FlushCall = Box<dyn FnOnce(&mut Reactor, Result<(), FlushError>)>;

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) pool: ServerPool,
    /// Keeps the client connected.
    pub(crate) service: Option<ServiceKey<ClientFactory>>,
    pub(crate) link: Link,
    /// What the current server has said, or the last one.
    pub(crate) info: Option<Box<ServerInfo>>,
    /// In the order in which they were made, and are made again.
    pub(crate) subscriptions: BTreeMap<u64, Subscription>,
    pub(crate) requests: BTreeMap<u64, PendingRequest>,
    pub(crate) flushes: BTreeMap<u64, PendingFlush>,
    pub(crate) queue: PublishQueue,
    pub(crate) statistics: Statistics,
    pub(crate) on_event: OnEvent,
    /// Events that wait until the call with the one before has returned.
    pub(crate) events: VecDeque<Event>,
    /// The subjects of answers, up to the number of the request and the dot before it.
    inbox: String,
    last_id: u64,
    was_connected: bool,
    scratch: Vec<u8>,
}

/// The closure for events.
pub(crate) enum OnEvent {
    Unset,
    Ready(EventCall),
    /// The closure is being called.
    Calling,
}

pub(crate) struct PendingRequest {
    pub(crate) timer: TimerId,
    pub(crate) call: RequestCall,
}

pub(crate) struct PendingFlush {
    pub(crate) timer: TimerId,
    pub(crate) call: FlushCall,
    pub(crate) stage: FlushStage,
    /// What the server's answer will mean.
    pub(crate) outcome: Result<(), FlushError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushStage {
    /// The `PING` is not sent yet: it follows the messages that were queued before the flush, once
    /// this many in all have left the queue.
    Behind(u64),
    /// The `PING` is sent.
    Asked,
}

/// A message to publish.
pub(crate) struct Outgoing<'a> {
    pub(crate) subject: &'a str,
    pub(crate) reply: Option<&'a str>,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) payload: &'a [u8],
}

/// The recipient of a message, taken out of the state.
pub(crate) enum Recipient {
    /// The subscription is no longer there, or is being called.
    None,
    /// To be put back, unless this was its last message.
    Call {
        call: MessageCall,
        is_last: bool,
    },
    Request(PendingRequest),
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        on_event: Option<EventCall>,
        pool: ServerPool,
        inbox_id: &str,
    ) -> Self {
        let inbox = format!("{}.{inbox_id}.", settings.inbox_prefix);
        Self {
            settings,
            pool,
            service: None,
            link: Link::Down,
            info: None,
            subscriptions: BTreeMap::new(),
            requests: BTreeMap::new(),
            flushes: BTreeMap::new(),
            queue: PublishQueue::default(),
            statistics: Statistics::default(),
            on_event: on_event.map_or(OnEvent::Unset, OnEvent::Ready),
            events: VecDeque::new(),
            inbox,
            last_id: 0,
            was_connected: false,
            scratch: Vec::new(),
        }
    }

    /// Returns a number that no subscription, request or flush has had.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Publishes a message, or queues it.
    pub(crate) fn publish(&mut self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        match &self.link {
            Link::Closed => return Err(PublishError::Closed),
            Link::Up(live) if live.phase == Phase::DrainingPublishes => {
                return Err(PublishError::Closed);
            }
            Link::Up(_) | Link::Down => {}
        }
        check_subject(message.subject)?;
        message.reply.map_or(Ok(()), check_subject)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let published = self.publish_checked(message, &mut scratch);
        self.scratch = scratch;
        published
    }

    fn publish_checked(
        &mut self,
        message: &Outgoing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishError> {
        let Outgoing { subject, reply, headers, payload } = *message;
        let (mut header_bytes, mut header_len) = (Vec::new(), None);
        if let Some(headers) = headers {
            if !self.takes_headers() {
                return Err(PublishError::HeadersUnsupported);
            }
            headers.write_to(&mut header_bytes);
            header_len = Some(header_bytes.len());
        }
        let total_len = header_bytes.len() + payload.len();
        let max = self.max_payload();
        if total_len > max {
            return Err(PublishError::MaxPayload { len: total_len, max });
        }
        ClientCommand::Publish { subject, reply, header_len, total_len }.write_to(out);
        out.extend_from_slice(&header_bytes);
        match &self.link {
            Link::Up(live) if self.queue.is_empty() && live.transport.may_produce() => {
                if payload.len() <= SMALL_PAYLOAD {
                    out.extend_from_slice(payload);
                    out.extend_from_slice(b"\r\n");
                    live.transport.write(out);
                } else {
                    live.transport.write_sequence([out.as_slice(), payload, b"\r\n"]);
                }
                self.statistics.published += 1;
                Ok(())
            }
            _ => {
                let command = [out.as_slice(), payload, b"\r\n"];
                let Settings { max_queued, queue_policy, .. } = self.settings;
                let has_headers = headers.is_some();
                let before = self.queue.removed();
                let pushed =
                    self.queue.push(command, total_len, has_headers, max_queued, queue_policy);
                let dropped = pushed.map_err(|()| PublishError::QueueFull)?;
                self.count_dropped(dropped, before);
                Ok(())
            }
        }
    }

    /// Counts messages that were dropped from the queue, the first of them behind as many as
    /// `before`. Flushes that wait behind it have not all to confirm.
    fn count_dropped(&mut self, count: u64, before: u64) {
        self.statistics.dropped += count;
        if count == 0 {
            return;
        }
        for flush in self.flushes.values_mut() {
            if matches!(flush.stage, FlushStage::Behind(end) if before < end) {
                flush.outcome = Err(FlushError::Dropped);
            }
        }
    }

    /// Returns the largest payload that the server takes, as far as that is known.
    pub(crate) fn max_payload(&self) -> usize {
        // Zero: the server has not said.
        let max = self.info.as_ref().map(|info| info.max_payload).filter(|max| *max > 0);
        max.unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD)
    }

    /// Returns false if the server is known to take no headers.
    fn takes_headers(&self) -> bool {
        self.info.as_ref().is_none_or(|info| info.headers)
    }

    /// Sends what is queued, as far as there is room.
    pub(crate) fn send_queued(&mut self) {
        let accepted = Accepted { payload_max: self.max_payload(), headers: self.takes_headers() };
        while let Link::Up(live) = &self.link {
            if !live.transport.may_produce() {
                return;
            }
            // What was queued for a server that takes more than this one is dropped.
            let Some(messages) = self.queue.pop(accepted) else { return };
            live.transport.write_bytes(messages.commands);
            self.statistics.published += messages.count;
            self.count_dropped(messages.dropped, messages.before_dropped);
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        subject: &str,
        group: Option<&str>,
        call: MessageCall,
    ) -> Result<u64, (SubscribeError, MessageCall)> {
        let checked = check_filter(subject).and_then(|()| group.map_or(Ok(()), check_group));
        if let Err(error) = checked {
            return Err((error.into(), call));
        }
        let is_open = match &self.link {
            Link::Down => true,
            Link::Up(live) => live.phase == Phase::Open,
            Link::Closed => false,
        };
        if !is_open {
            return Err((SubscribeError::Closed, call));
        }
        let subscriber = Subscriber::Call(Some(call));
        Ok(self.add(Subscription::new(subject, group, subscriber)))
    }

    fn add(&mut self, mut subscription: Subscription) -> u64 {
        let sid = self.next_id();
        if let Link::Up(live) = &self.link {
            let mut out = Vec::new();
            subscription.write_to(sid, &mut out);
            live.transport.write(out);
        }
        self.subscriptions.insert(sid, subscription);
        sid
    }

    /// Ends a subscription: now, or after some messages. Returns it if it is gone.
    pub(crate) fn unsubscribe(&mut self, sid: u64, max: Option<u64>) -> Option<Subscription> {
        let subscription = self.subscriptions.get_mut(&sid)?;
        match max.filter(|max| *max > subscription.received) {
            // It ends sooner.
            Some(_) if subscription.end == End::Draining => {}
            Some(max) => {
                if let max @ Some(_) = subscription.end_after(max) {
                    self.link.send(&ClientCommand::Unsubscribe { sid, max });
                }
            }
            None => return self.end_subscription(sid),
        }
        None
    }

    /// Ends a subscription now. The server is told also if it should know: a member that it
    /// counts in a queue group, and that is none, would cost messages.
    fn end_subscription(&mut self, sid: u64) -> Option<Subscription> {
        let ended = self.subscriptions.remove(&sid)?;
        self.link.send(&ClientCommand::Unsubscribe { sid, max: None });
        Some(ended)
    }

    /// Ends a subscription when what is on its way has arrived. Returns it if it is gone.
    pub(crate) fn drain_subscription(&mut self, sid: u64) -> Option<Subscription> {
        if self.link.live().is_none() {
            return self.subscriptions.remove(&sid);
        }
        self.subscriptions.get_mut(&sid)?.end = End::Draining;
        self.link.send(&ClientCommand::Unsubscribe { sid, max: None });
        self.link.ask(Awaited::Unsubscribed(sid));
        None
    }

    /// Begins a request. Returns its number, and the subject for the answer.
    pub(crate) fn begin_request(&mut self) -> (u64, String) {
        let is_inbox = |it: &Subscription| matches!(it.subscriber, Subscriber::Requests);
        if !self.subscriptions.values().any(is_inbox) {
            let subject = format!("{}*", self.inbox);
            self.add(Subscription::new(&subject, None, Subscriber::Requests));
        }
        let id = self.next_id();
        (id, format!("{}{id}", self.inbox))
    }

    /// Finds who gets a message, and takes them out.
    pub(crate) fn recipient(&mut self, sid: u64, subject: &str) -> Recipient {
        let Some(subscription) = self.subscriptions.get_mut(&sid) else { return Recipient::None };
        self.statistics.received += 1;
        let is_last = subscription.count();
        match &mut subscription.subscriber {
            Subscriber::Call(call) => match call.take() {
                Some(call) => Recipient::Call { call, is_last },
                None => Recipient::None,
            },
            Subscriber::Requests => {
                let id = subject.strip_prefix(&self.inbox).and_then(|id| id.parse().ok());
                let request = id.and_then(|id: u64| self.requests.remove(&id));
                request.map_or(Recipient::None, Recipient::Request)
            }
        }
    }

    /// Counts a malformed message, as the server has counted it. Returns its subscription if it was
    /// the last one.
    pub(crate) fn skip(&mut self, sid: u64) -> Option<Subscription> {
        self.statistics.malformed += 1;
        let is_last = self.subscriptions.get_mut(&sid)?.count();
        if is_last { self.end_subscription(sid) } else { None }
    }

    /// Puts a closure back after its call. Returns it if its subscription has ended.
    pub(crate) fn put_back(
        &mut self,
        sid: u64,
        call: MessageCall,
        is_last: bool,
    ) -> Option<MessageCall> {
        let ended = |it: &Subscription| matches!(it.end, End::After(max) if it.received >= max);
        match self.subscriptions.get_mut(&sid) {
            Some(it) if !is_last && !ended(it) => {
                it.subscriber = Subscriber::Call(Some(call));
                None
            }
            _ => {
                self.end_subscription(sid);
                Some(call)
            }
        }
    }

    /// A connection is ready: makes the subscriptions on it, and then sends what is queued.
    pub(crate) fn restore(&mut self, transport: &Transport) {
        let mut out = Vec::new();
        for (sid, subscription) in &mut self.subscriptions {
            subscription.write_to(*sid, &mut out);
        }
        transport.write(out);
        let (transport, awaited) = (transport.clone(), VecDeque::new());
        self.link = Link::Up(Live { transport, awaited, phase: Phase::Open });
        self.send_queued();
        self.ask_to_flush_all();
    }

    /// Counts a connection. Returns true if it is not the first one.
    pub(crate) fn count_connection(&mut self) -> bool {
        let is_reconnect = std::mem::replace(&mut self.was_connected, true);
        self.statistics.reconnects += u64::from(is_reconnect);
        is_reconnect
    }

    /// Asks for the flushes that could not be asked for yet.
    pub(crate) fn ask_to_flush_all(&mut self) {
        let waiting: Vec<u64> = self.flushes.keys().copied().collect();
        for id in waiting {
            self.ask_to_flush(id);
        }
    }

    /// Tells the server that the user's subscriptions end.
    pub(crate) fn end_subscriptions(&mut self) {
        let users = self.subscriptions.iter_mut();
        let users = users.filter(|(_, it)| matches!(it.subscriber, Subscriber::Call(_)));
        let mut out = Vec::new();
        for (sid, subscription) in users {
            subscription.end = End::Draining;
            ClientCommand::Unsubscribe { sid: *sid, max: None }.write_to(&mut out);
        }
        if let Link::Up(live) = &self.link {
            live.transport.write(out);
        }
    }

    /// Removes the user's subscriptions, and returns them.
    pub(crate) fn take_subscriptions(&mut self) -> BTreeMap<u64, Subscription> {
        let is_users = |it: &Subscription| matches!(it.subscriber, Subscriber::Call(_));
        let all = std::mem::take(&mut self.subscriptions);
        let (users, own) = all.into_iter().partition(|(_, it)| is_users(it));
        self.subscriptions = own;
        users
    }

    pub(crate) fn ask_to_flush(&mut self, id: u64) {
        let (Some(flush), Some(_)) = (self.flushes.get_mut(&id), self.link.live()) else { return };
        // Sooner it would say too much.
        if matches!(flush.stage, FlushStage::Behind(count) if self.queue.removed() >= count) {
            flush.stage = FlushStage::Asked;
            self.link.ask(Awaited::Flush(id));
        }
    }

    /// The connection is lost. Returns what ends with it.
    pub(crate) fn lose(&mut self) -> Lost {
        let (mut flushes, mut was_draining) = (BTreeMap::new(), false);
        if let Link::Up(live) = &self.link {
            was_draining = live.phase != Phase::Open;
            self.link = Link::Down;
            // What was published before them may be lost, also of those that are not asked yet.
            flushes = std::mem::take(&mut self.flushes);
        }
        let drained = |it: &Subscription| it.end == End::Draining;
        let sids: Vec<u64> =
            self.subscriptions.iter().filter(|(_, it)| drained(it)).map(|(sid, _)| *sid).collect();
        let subscriptions = sids.iter().filter_map(|sid| self.subscriptions.remove(sid)).collect();
        Lost { subscriptions, flushes, was_draining }
    }

    /// The client has ended. Returns all that it had of the user's.
    pub(crate) fn end(&mut self) -> Ended {
        self.link = Link::Closed;
        self.statistics.dropped += self.queue.clear();
        Ended {
            subscriptions: std::mem::take(&mut self.subscriptions),
            requests: std::mem::take(&mut self.requests),
            flushes: std::mem::take(&mut self.flushes),
        }
    }
}

/// What ends with a connection.
pub(crate) struct Lost {
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) flushes: BTreeMap<u64, PendingFlush>,
    /// The client ends as well: another connection would have nothing to drain.
    pub(crate) was_draining: bool,
}

/// What ends with a client.
pub(crate) struct Ended {
    pub(crate) subscriptions: BTreeMap<u64, Subscription>,
    pub(crate) requests: BTreeMap<u64, PendingRequest>,
    pub(crate) flushes: BTreeMap<u64, PendingFlush>,
}
