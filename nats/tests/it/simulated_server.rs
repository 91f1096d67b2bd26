//! A NATS server for simulations: enough of one for clients to be tested with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use twistor::limits::OverflowPolicy;
#[cfg(feature = "tls")]
use twistor::tls::TlsAcceptor;
use twistor::{
    ConnectionId, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport,
};
use twistor_nats::codec::{ClientCommand, HeaderMap, MessageHead, ServerCommand, ServerInfo};

/// The largest limit of a subscription that nats-server reads: nine digits. It takes a longer one
/// for the end of the subscription.
const MAX_MESSAGES: u64 = 999_999_999;

/// The unsent bytes of a client, by default: few, so that tests reach them.
const UNSENT_MAX: usize = 256 * 1024;

#[derive(Default)]
pub(crate) struct SimulatedServer {
    pub(crate) info: ServerInfo,
    /// The password that clients need.
    pub(crate) password: Option<&'static str>,
    #[cfg(feature = "tls")]
    pub(crate) acceptor: Option<TlsAcceptor>,
    /// A client with more unsent bytes is closed.
    pub(crate) unsent_max: usize,
    /// Hosts beyond a division of a cluster that loses no connection: no message passes between
    /// their clients and the others.
    pub(crate) far_side: BTreeSet<IpAddr>,
    clients: BTreeMap<ConnectionId, Client>,
    interest: Interest,
    /// Lines received, without those of clients that are gone: what the tests look at.
    pub(crate) lines: Vec<String>,
}

/// The subscriptions of all clients, by what they name: most name one subject, and are found by it.
#[derive(Default)]
struct Interest {
    subjects: BTreeMap<String, BTreeSet<Recipient>>,
    wildcards: BTreeMap<String, BTreeSet<Recipient>>,
}

/// A subscription: the client, and the number that it gave.
type Recipient = (ConnectionId, u64);

impl Interest {
    fn filters(&mut self, filter: &str) -> &mut BTreeMap<String, BTreeSet<Recipient>> {
        let has_wildcard = filter.split('.').any(|token| matches!(token, "*" | ">"));
        if has_wildcard { &mut self.wildcards } else { &mut self.subjects }
    }

    fn insert(&mut self, filter: &str, recipient: Recipient) {
        self.filters(filter).entry(filter.to_owned()).or_default().insert(recipient);
    }

    fn remove(&mut self, filter: &str, recipient: Recipient) {
        let filters = self.filters(filter);
        let Some(recipients) = filters.get_mut(filter) else { return };
        recipients.remove(&recipient);
        if recipients.is_empty() {
            filters.remove(filter);
        }
    }

    /// Returns all whose filters name a subject, in the order of the clients.
    fn recipients(&self, subject: &str) -> Vec<Recipient> {
        let exact = self.subjects.get(subject).into_iter().flatten();
        let wild = self.wildcards.iter().filter(|(filter, _)| matches(filter, subject));
        let mut all: Vec<_> = exact.chain(wild.flat_map(|(_, it)| it)).copied().collect();
        all.sort_unstable();
        all
    }
}

struct Client {
    transport: Transport,
    subscriptions: BTreeMap<u64, Subscription>,
    echo: bool,
    no_responders: bool,
}

struct Subscription {
    subject: String,
    group: Option<String>,
    sent: u64,
    max: Option<u64>,
}

/// One connection of the server.
#[derive(Default)]
pub(crate) struct Session {
    is_admitted: bool,
    publishing: Option<Publishing>,
}

struct Publishing {
    subject: String,
    reply: Option<String>,
    header_len: Option<usize>,
    total_len: usize,
    body: Vec<u8>,
}

impl SimulatedServer {
    pub(crate) fn new() -> Self {
        let mut info = ServerInfo::default();
        info.server_id = "simulated".to_owned();
        info.max_payload = 1024 * 1024;
        info.headers = true;
        Self { info, unsent_max: UNSENT_MAX, ..Self::default() }
    }

    pub(crate) fn write_all(&self, command: &ServerCommand<'_>) {
        let mut out = Vec::new();
        command.write_to(&mut out);
        self.clients.values().for_each(|client| client.transport.write(&out));
    }

    /// Sends a message to all who subscribe to its subject, and to one of each group.
    fn route(&mut self, from: ConnectionId, message: &Publishing, reactor: &mut Reactor) {
        let mut receivers: Vec<Recipient> = Vec::new();
        let mut groups: BTreeMap<&str, Vec<Recipient>> = BTreeMap::new();
        for (id, sid) in self.interest.recipients(&message.subject) {
            let Some(client) = self.clients.get(&id) else { continue };
            let Some(subscription) = client.subscriptions.get(&sid) else { continue };
            match &subscription.group {
                _ if id == from && !client.echo => {}
                _ if self.is_far(id) != self.is_far(from) => {}
                Some(group) => groups.entry(group).or_default().push((id, sid)),
                None => receivers.push((id, sid)),
            }
        }
        for members in groups.values() {
            receivers.push(members[reactor.random() as usize % members.len()]);
        }
        let wants_answer = || self.clients.get(&from).is_some_and(|client| client.no_responders);
        if receivers.is_empty() && message.reply.is_some() && wants_answer() {
            return self.tell_of_nobody(from, message);
        }
        for recipient in receivers {
            self.send(recipient, message);
        }
    }

    fn is_far(&self, id: ConnectionId) -> bool {
        if self.far_side.is_empty() {
            return false;
        }
        let client = self.clients.get(&id);
        let ip = client.and_then(|client| client.transport.peer_address().ip());
        ip.is_some_and(|ip| self.far_side.contains(&ip))
    }

    /// Tells who has sent a request that nobody listens to.
    fn tell_of_nobody(&mut self, from: ConnectionId, request: &Publishing) {
        let mut body = Vec::new();
        HeaderMap::new().with_status(503, "").write_to(&mut body);
        let header_len = Some(body.len());
        let total_len = body.len();
        let subject = request.reply.clone().unwrap_or_default();
        let answer = Publishing { subject, reply: None, header_len, total_len, body };
        for recipient in self.interest.recipients(&answer.subject) {
            if recipient.0 == from {
                self.send(recipient, &answer);
            }
        }
    }

    /// Sends a message to one subscription, which may end with it.
    fn send(&mut self, (id, sid): Recipient, message: &Publishing) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(subscription) = client.subscriptions.get_mut(&sid) else { return };
        let head = MessageHead {
            subject: message.subject.as_bytes(),
            sid,
            reply: message.reply.as_deref().map(str::as_bytes),
            header_len: message.header_len,
            total_len: message.total_len,
        };
        let mut out = Vec::new();
        ServerCommand::Message(head).write_to(&mut out);
        out.extend_from_slice(&message.body);
        out.extend_from_slice(b"\r\n");
        client.transport.write(out);
        subscription.sent += 1;
        if subscription.max.is_some_and(|max| subscription.sent >= max) {
            self.unsubscribe((id, sid));
        }
    }

    fn unsubscribe(&mut self, (id, sid): Recipient) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(subscription) = client.subscriptions.remove(&sid) {
            self.interest.remove(&subscription.subject, (id, sid));
        }
    }
}

/// Returns true if a subject is one of those that a filter names.
fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(expected), Some(token)) if expected == token => {}
            _ => return false,
        }
    }
}

type Cx<'a> = LineContext<'a, SimulatedServer>;

impl LineReceiver<SimulatedServer> for Session {
    fn connection_made(&mut self, cx: &mut Cx<'_>) {
        cx.transport.set_max_unsent(cx.factory.unsent_max, OverflowPolicy::Close);
        let mut out = Vec::new();
        ServerCommand::Info(Box::new(cx.factory.info.clone())).write_to(&mut out);
        cx.transport.write(out);
        #[cfg(feature = "tls")]
        if let Some(acceptor) = &cx.factory.acceptor {
            cx.transport.start_tls(acceptor).unwrap();
        }
    }

    fn line_received(&mut self, cx: &mut Cx<'_>, line: &[u8]) {
        cx.factory.lines.push(String::from_utf8_lossy(line).into_owned());
        let Ok(command) = ClientCommand::parse(line) else {
            return refuse(cx, "Unknown Protocol Operation");
        };
        match command {
            ClientCommand::Connect { json } => self.connect(cx, json),
            _ if !self.is_admitted => refuse(cx, "Authorization Violation"),
            ClientCommand::Ping => cx.send_line("PONG"),
            ClientCommand::Publish { total_len, .. } if total_len > cx.factory.info.max_payload => {
                refuse(cx, "Maximum Payload Violation");
            }
            ClientCommand::Publish { header_len: Some(_), .. } if !cx.factory.info.headers => {
                refuse(cx, "Message Headers Not Supported");
            }
            ClientCommand::Publish { subject, reply, header_len, total_len } => {
                let (subject, reply) = (subject.to_owned(), reply.map(str::to_owned));
                let body = Vec::new();
                self.publishing = Some(Publishing { subject, reply, header_len, total_len, body });
                cx.set_raw_mode();
            }
            ClientCommand::Subscribe { subject, group, sid } => {
                let (subject, group) = (subject.to_owned(), group.map(str::to_owned));
                let id = cx.transport.id();
                let Some(client) = cx.factory.clients.get_mut(&id) else { return };
                cx.factory.interest.insert(&subject, (id, sid));
                let subscription = Subscription { subject, group, sent: 0, max: None };
                client.subscriptions.insert(sid, subscription);
            }
            ClientCommand::Unsubscribe { sid, max } => {
                let id = cx.transport.id();
                let Some(client) = cx.factory.clients.get_mut(&id) else { return };
                match (client.subscriptions.get_mut(&sid), max) {
                    (Some(subscription), Some(max))
                        if subscription.sent < max && max <= MAX_MESSAGES =>
                    {
                        subscription.max = Some(max);
                    }
                    _ => cx.factory.unsubscribe((id, sid)),
                }
            }
            _ => {}
        }
    }

    fn raw_data_received(&mut self, cx: &mut Cx<'_>, data: &[u8]) {
        let Some(publishing) = &mut self.publishing else { return };
        let missing = publishing.total_len + 2 - publishing.body.len();
        let (part, rest) = data.split_at(data.len().min(missing));
        publishing.body.extend_from_slice(part);
        if part.len() < missing {
            return;
        }
        cx.set_line_mode(rest);
        let Some(mut message) = self.publishing.take() else { return };
        if !message.body.ends_with(b"\r\n") {
            return refuse(cx, "Unknown Protocol Operation");
        }
        message.body.truncate(message.total_len);
        cx.factory.route(cx.transport.id(), &message, cx.reactor);
    }

    fn connection_lost(&mut self, cx: &mut Cx<'_>, _reason: &Reason) {
        let id = cx.transport.id();
        let client = cx.factory.clients.remove(&id);
        for (sid, subscription) in client.into_iter().flat_map(|client| client.subscriptions) {
            cx.factory.interest.remove(&subscription.subject, (id, sid));
        }
    }
}

impl Session {
    fn connect(&mut self, cx: &mut Cx<'_>, json: &str) {
        let says = |what: &str| json.contains(what);
        let password = cx.factory.password.map(|password| format!("\"pass\":\"{password}\""));
        if password.is_some_and(|password| !says(&password)) {
            return refuse(cx, "Authorization Violation");
        }
        let no_responders = says("\"no_responders\":true");
        if no_responders && !(cx.factory.info.headers && says("\"headers\":true")) {
            return refuse(cx, "No Responders Requires Headers Support");
        }
        self.is_admitted = true;
        let (transport, echo) = (cx.transport.clone(), says("\"echo\":true"));
        let client = Client { transport, subscriptions: BTreeMap::new(), echo, no_responders };
        cx.factory.clients.insert(cx.transport.id(), client);
    }
}

/// Ends a connection as a server does.
fn refuse(cx: &Cx<'_>, why: &str) {
    cx.send_line(format!("-ERR '{why}'"));
    cx.transport.lose_connection();
}

impl Factory for SimulatedServer {
    type Protocol = Lines<Session>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Session>> {
        Some(Lines::new(Session::default()))
    }
}
