//! `Connection`: one connection to a server, from its `INFO` to the end.

use crate::client::{Client, below};
use crate::codec::{
    ClientCommand, CodecError, Connect, HeaderMap, MAX_PAYLOAD, MAX_SERVER_LINE, MessageHead,
    ServerCommand, ServerError, ServerInfo,
};
use crate::error::FlushError;
use crate::event::Event;
use crate::factory::ClientFactory;
use crate::first_panic::FirstPanic;
use crate::link::{Awaited, Link, Phase};
use crate::message::Message;
use crate::server_address::Credentials;
use twistor::limits::OverflowPolicy;
use twistor::{LineContext, LineReceiver, Producer, Reason, TimerId};

/// High-water mark: with more unsent bytes, messages wait in the client's queue, which has a limit
/// of its own and a policy. Enough for a network with a long delay to be kept busy.
const HIGH_WATER: usize = 1024 * 1024;
const LOW_WATER: usize = 256 * 1024;

/// How many `PING`s of the client may be unanswered when the next one is due, as in Go's client.
const UNANSWERED_MAX: usize = 2;

/// A payload that has arrived in parts is kept in memory of its own. After one of more than this it
/// is given back.
const BODY_KEPT: usize = 64 * 1024;

type Cx<'a> = LineContext<'a, ClientFactory>;

/// A connection to a server.
pub(crate) struct Connection {
    client: Client,
    stage: Stage,
    head: Head,
    /// The part of a payload that has arrived.
    body: Vec<u8>,
    /// What the server has said last in `-ERR`: the reason for which it closes the connection.
    error: Option<ServerError>,
    /// A `PING` is not answered yet.
    owes_pong: bool,
}

/// What the server says in `INFO` counts for the client once the server has accepted it: anyone
/// can say something before TLS and the credentials.
enum Stage {
    AwaitingInfo,
    /// The TLS handshake is under way.
    #[cfg(feature = "tls")]
    Securing(Box<ServerInfo>),
    /// `CONNECT` and `PING` are sent.
    AwaitingPong(Box<ServerInfo>),
    Ready {
        /// The timer of the client's `PING`s.
        keep_alive: TimerId,
    },
}

/// The line of the message whose payload is arriving. Its memory is used for the next one.
#[derive(Default)]
struct Head {
    subject: Vec<u8>,
    reply: Vec<u8>,
    has_reply: bool,
    sid: u64,
    header_len: Option<usize>,
    total_len: usize,
    /// A payload above [`MAX_PAYLOAD`], which is not kept: the number of bytes to come. Its lengths
    /// are zero.
    oversized: Option<usize>,
}

impl LineReceiver<ClientFactory> for Connection {
    const MAX_LENGTH: usize = MAX_SERVER_LINE;

    fn connection_made(&mut self, cx: &mut Cx<'_>) {
        cx.transport.set_max_unsent(2 * MAX_PAYLOAD, OverflowPolicy::Close);
        cx.transport.set_water_marks(HIGH_WATER, LOW_WATER);
    }

    fn line_received(&mut self, cx: &mut Cx<'_>, line: &[u8]) {
        match ServerCommand::parse(line) {
            Ok(ServerCommand::Message(head)) if matches!(self.stage, Stage::Ready { .. }) => {
                self.head.set(&head);
                cx.set_raw_mode();
            }
            Ok(ServerCommand::Info(info)) => self.info_received(cx, info),
            Ok(ServerCommand::Err(text)) => self.error_received(cx, text),
            Ok(_) if matches!(self.stage, Stage::AwaitingInfo) => {
                cx.transport.fail(CodecError::new("a server that does not begin with INFO", line));
            }
            Ok(ServerCommand::Ping) => {
                self.owes_pong = true;
                self.answer_ping(cx);
            }
            Ok(ServerCommand::Pong) => self.pong_received(cx),
            Ok(ServerCommand::Ok) => {}
            Ok(ServerCommand::Message(_)) => {
                cx.transport.fail(CodecError::new("a message before its subscription", line));
            }
            Err(error) => cx.transport.fail(error),
        }
    }

    fn raw_data_received(&mut self, cx: &mut Cx<'_>, data: &[u8]) {
        let mut data = data;
        if let Some(left) = &mut self.head.oversized {
            let skipped = data.len().min(*left);
            (*left, data) = (*left - skipped, &data[skipped..]);
        }
        let expected = self.head.total_len + 2;
        if self.body.is_empty() && data.len() >= expected {
            let (body, rest) = data.split_at(expected);
            cx.set_line_mode(rest);
            return self.payload_received(cx, body);
        }
        let (part, rest) = data.split_at(data.len().min(expected - self.body.len()));
        self.body.extend_from_slice(part);
        if self.body.len() == expected {
            cx.set_line_mode(rest);
            let mut body = std::mem::take(&mut self.body);
            self.payload_received(cx, &body);
            if body.capacity() <= BODY_KEPT {
                body.clear();
                self.body = body;
            }
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut Cx<'_>, line: &[u8]) {
        cx.transport.fail(CodecError::new("a line of more than 64 KiB", line));
    }

    #[cfg(feature = "tls")]
    fn handshake_completed(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.stage, Stage::AwaitingInfo) {
            Stage::Securing(info) => self.log_in(cx, info),
            stage => self.stage = stage,
        }
    }

    fn timer_fired(&mut self, cx: &mut Cx<'_>, timer: TimerId) {
        if !matches!(self.stage, Stage::Ready { keep_alive } if keep_alive == timer) {
            return;
        }
        let state = &mut *self.client.state().borrow_mut();
        let awaited = state.link.live().map(|live| live.awaited.iter());
        let unanswered = awaited.into_iter().flatten().filter(|it| **it == Awaited::KeepAlive);
        match unanswered.count() {
            UNANSWERED_MAX.. => cx.transport.fail("the NATS server does not answer to PING"),
            _ => state.link.ask(Awaited::KeepAlive),
        }
    }

    fn producing_resumed(&mut self, cx: &mut Cx<'_>) {
        self.answer_ping(cx);
        let state = &mut *self.client.state().borrow_mut();
        state.send_queued();
        state.ask_to_flush_all();
    }

    fn drain_requested(&mut self, cx: &mut Cx<'_>) {
        self.client.drain(cx.reactor);
    }

    fn connection_lost(&mut self, cx: &mut Cx<'_>, reason: &Reason) {
        let lost = self.client.state().borrow_mut().lose();
        if lost.was_draining {
            self.client.close(cx.reactor);
        }
        let is_closed = self.client.is_closed();
        let mut panics = FirstPanic::default();
        panics.call(|| drop(lost.subscriptions));
        for flush in lost.flushes.into_values() {
            panics.call(|| flush.answer(Err(FlushError::ConnectionLost), cx.reactor));
        }
        if !is_closed {
            panics.call(|| self.client.emit(self.end(reason), cx.reactor));
        }
        panics.resume();
    }
}

impl Connection {
    pub(crate) fn new(client: Client) -> Self {
        let (stage, head, body) = (Stage::AwaitingInfo, Head::default(), Vec::new());
        Self { client, stage, head, body, error: None, owes_pong: false }
    }

    /// Returns what the end of the connection is for the client.
    fn end(&self, reason: &Reason) -> Event {
        let server = self.client.server_name();
        if matches!(self.stage, Stage::Ready { .. }) {
            return Event::Disconnected { server, reason: reason.clone() };
        }
        let said = self.error.as_ref().map(ToString::to_string);
        Event::ConnectFailed { server, error: said.unwrap_or_else(|| reason.to_string()) }
    }

    /// Answers the server's `PING`, when there is room: one answer stands for all that had to wait,
    /// so that a server which asks and takes nothing does not fill memory.
    fn answer_ping(&mut self, cx: &Cx<'_>) {
        if self.owes_pong && cx.transport.may_produce() {
            cx.transport.write("PONG\r\n");
            self.owes_pong = false;
        }
    }

    /// The first `INFO` of the connection, or news of the cluster.
    fn info_received(&mut self, cx: &mut Cx<'_>, info: Box<ServerInfo>) {
        match &mut self.stage {
            Stage::AwaitingInfo => self.secure(cx, info),
            #[cfg(feature = "tls")]
            Stage::Securing(known) => *known = info,
            Stage::AwaitingPong(known) => *known = info,
            Stage::Ready { .. } => {
                let is_lame_duck = info.lame_duck_mode;
                let was_lame_duck = self.accept_info(cx, info).is_some_and(|it| it.lame_duck_mode);
                if is_lame_duck && !was_lame_duck {
                    self.client.emit(Event::LameDuckMode, cx.reactor);
                }
            }
        }
    }

    /// Takes what the server says for the client. Returns what was known before.
    fn accept_info(&self, cx: &mut Cx<'_>, info: Box<ServerInfo>) -> Option<Box<ServerInfo>> {
        let state = &mut *self.client.state().borrow_mut();
        if state.settings.discovers {
            let believes_names = state.settings.believes_names();
            let below = |bound| below(cx.reactor, bound);
            state.pool.discover(&info.connect_urls, believes_names, below);
        }
        state.info.replace(info)
    }

    /// Encrypts the connection, if the server or the user asks for that; then logs in.
    fn secure(&mut self, cx: &Cx<'_>, info: Box<ServerInfo>) {
        let by_user = {
            let state = self.client.state().borrow();
            state.pool.current().is_some_and(|server| server.requires_tls)
        };
        if !by_user && !info.tls_required {
            self.log_in(cx, info);
        } else if info.tls_required || info.tls_available {
            self.start_tls(cx, info);
        } else {
            cx.transport.fail("the NATS server does not offer TLS");
        }
    }

    #[cfg(feature = "tls")]
    fn start_tls(&mut self, cx: &Cx<'_>, info: Box<ServerInfo>) {
        let (connector, name) = {
            let state = self.client.state().borrow();
            let name = state.pool.current().map(|server| server.tls_name().to_owned());
            let connector = state.settings.tls.as_ref().map(|trust| trust.connector().clone());
            (connector, name.unwrap_or_default())
        };
        let Some(connector) = connector else {
            let what = "the NATS server asks for TLS: set `ConnectOptions::tls`, or use tls://";
            return cx.transport.fail(what);
        };
        let side = match connector.to(&name) {
            Ok(side) => side,
            Err(error) => return cx.transport.fail(error),
        };
        match cx.transport.start_tls(side) {
            Ok(()) => self.stage = Stage::Securing(info),
            Err(error) => cx.transport.fail(error),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::boxed_local, reason = "as with the feature")]
    fn start_tls(&self, cx: &Cx<'_>, _info: Box<ServerInfo>) {
        cx.transport.fail("the NATS server asks for TLS: enable the feature `tls` of twistor-nats");
    }

    /// Sends who the client is, and asks whether the server accepts that.
    fn log_in(&mut self, cx: &Cx<'_>, info: Box<ServerInfo>) {
        let state = self.client.state().borrow();
        let settings = &state.settings;
        let mut connect = Connect::default();
        connect.name.clone_from(&settings.name);
        connect.echo = settings.echo;
        connect.tls_required = is_encrypted(cx);
        connect.headers = info.headers;
        match state.pool.current().and_then(|server| server.credentials.as_ref()) {
            Some(Credentials::User { user, password }) => {
                connect.user = Some(user.clone());
                connect.password = Some(password.clone());
            }
            Some(Credentials::Token(token)) => connect.token = Some(token.clone()),
            None => {}
        }
        #[cfg(feature = "nkey")]
        if let Some(nkey) = &settings.nkey {
            connect.nkey = Some(nkey.public_key().to_owned());
            connect.signature = Some(nkey.sign(info.nonce.as_bytes()));
        }
        let mut out = Vec::new();
        ClientCommand::Connect { json: &connect.to_json() }.write_to(&mut out);
        ClientCommand::Ping.write_to(&mut out);
        cx.transport.write(out);
        self.stage = Stage::AwaitingPong(info);
    }

    fn pong_received(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.stage, Stage::AwaitingInfo) {
            Stage::AwaitingPong(info) => return self.ready(cx, info),
            stage => self.stage = stage,
        }
        let awaited = {
            let state = &mut *self.client.state().borrow_mut();
            state.link.live_mut().and_then(|live| live.awaited.pop_front())
        };
        match awaited {
            Some(Awaited::Flush(id)) => self.client.flushed(id, cx.reactor),
            Some(Awaited::Unsubscribed(sid)) => {
                let gone = self.client.state().borrow_mut().subscriptions.remove(&sid);
                drop(gone);
            }
            Some(Awaited::Drained) => self.drained(cx),
            Some(Awaited::KeepAlive) | None => {}
        }
    }

    /// The server has accepted the client: makes the subscriptions, and publishes what waits.
    fn ready(&mut self, cx: &mut Cx<'_>, info: Box<ServerInfo>) {
        cx.reactor.set_prepared(cx.transport);
        cx.transport.register_producer(Producer::push());
        self.accept_info(cx, info);
        let (interval, is_reconnect) = {
            let state = &mut *self.client.state().borrow_mut();
            if matches!(state.link, Link::Closed) {
                return cx.transport.unregister_producer();
            }
            state.pool.begin_round();
            state.restore(cx.transport);
            (state.settings.ping_interval, state.count_connection())
        };
        self.stage = Stage::Ready { keep_alive: cx.set_interval(interval) };
        let server = self.client.server_name();
        self.client.emit(Event::Connected { server, is_reconnect }, cx.reactor);
    }

    /// A phase of draining is over.
    fn drained(&self, cx: &mut Cx<'_>) {
        let (gone, is_done) = {
            let state = &mut *self.client.state().borrow_mut();
            let is_sent = state.queue.is_empty();
            let Some(live) = state.link.live_mut() else { return };
            let was = live.phase;
            live.phase = Phase::DrainingPublishes;
            let gone = (was != Phase::DrainingPublishes).then(|| state.take_subscriptions());
            let is_done = was == Phase::DrainingPublishes && is_sent;
            if !is_done {
                state.link.ask(Awaited::Drained);
            }
            (gone, is_done)
        };
        drop(gone);
        if is_done {
            self.client.close(cx.reactor);
        }
    }

    fn error_received(&mut self, cx: &mut Cx<'_>, text: &str) {
        let error = ServerError::parse(text);
        self.error = Some(error.clone());
        self.client.emit(Event::ServerError(error), cx.reactor);
    }

    /// A payload has arrived, with what should be its end.
    fn payload_received(&self, cx: &mut Cx<'_>, body: &[u8]) {
        let Some(body) = body.strip_suffix(b"\r\n") else {
            let end = &body[body.len().saturating_sub(32)..];
            return cx.transport.fail(CodecError::new("a payload without its end", end));
        };
        if !self.deliver(cx, body) {
            let ended = self.client.state().borrow_mut().skip(self.head.sid);
            drop(ended);
        }
    }

    /// Delivers a message. Returns false if its subject or its headers are not what they should be,
    /// or if it was too large to be kept.
    fn deliver(&self, cx: &mut Cx<'_>, body: &[u8]) -> bool {
        let head = &self.head;
        if head.oversized.is_some() {
            return false;
        }
        let (headers, payload) = body.split_at(head.header_len.unwrap_or_default());
        let headers = head.header_len.map(|_| HeaderMap::parse(headers)).transpose();
        let Ok(headers) = headers else { return false };
        let subject = std::str::from_utf8(&head.subject);
        let (Ok(subject), Ok(reply)) = (subject, std::str::from_utf8(&head.reply)) else {
            return false;
        };
        let reply = head.has_reply.then_some(reply);
        let message = Message::new(subject, reply, headers.as_ref(), payload);
        self.client.deliver(head.sid, &message, cx.reactor);
        true
    }
}

impl Head {
    fn set(&mut self, head: &MessageHead<'_>) {
        self.subject.clear();
        self.subject.extend_from_slice(head.subject);
        self.reply.clear();
        self.reply.extend_from_slice(head.reply.unwrap_or_default());
        self.has_reply = head.reply.is_some();
        (self.sid, self.header_len, self.total_len) = (head.sid, head.header_len, head.total_len);
        self.oversized = (head.total_len > MAX_PAYLOAD).then_some(head.total_len);
        if self.oversized.is_some() {
            (self.header_len, self.total_len) = (None, 0);
        }
    }
}

#[cfg(feature = "tls")]
fn is_encrypted(cx: &Cx<'_>) -> bool {
    cx.transport.tls().is_some()
}

#[cfg(not(feature = "tls"))]
fn is_encrypted(_cx: &Cx<'_>) -> bool {
    false
}

#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "tls"))]
mod tls_tests;
