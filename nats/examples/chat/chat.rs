//! The chat of one node: its members and rooms, and what it exchanges with the other nodes.

use super::bulletin::{Claim, Presence, parse_position};
use super::ended_streams::EndedStreams;
use super::member::{LINES_PER_SECOND, Member, readable, with_member};
use super::name::Name;
use super::names::{Answer, Names};
use super::node_id::NodeId;
use super::nodes::{Acquaintance, GONE_AFTER, Nodes};
use super::question::Question;
use super::room::Room;
use super::streams::{Position, Streams};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;
use twistor::{ConnectionId, Factory, FactoryKey, Lines, Reactor, Transport, broadcast};
use twistor_nats::error::PublishError;
use twistor_nats::{Client, ConnectOptions, Event, HeaderMap, Message, QueuePolicy, Subject};

/// The room that members enter first.
pub(crate) const LOBBY: &str = "lobby";

/// The header of a message: its node, and its position there.
const FROM: &str = "From";

/// Subjects of what nodes tell each other. Those of rooms begin with `chat.room`.
pub(crate) const CLAIMS: &str = "chat.claims";
const HOLDERS: &str = "chat.holders";
const NODES: &str = "chat.nodes";

/// How long claims wait for others, so that members who come together, as they do after an outage,
/// are one question: less than anybody notices beside the time for an objection.
const CLAIM_DELAY: Duration = Duration::from_millis(50);

/// The heartbeat: how often nodes tell that they are there. A message that is missing at the end is
/// noticed no later.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(2);

/// The most rooms of a node, together with its streams that have ended: what it tells of them fits
/// in a message.
const ROOMS_MAX: usize = 1000;

/// Names that are told in one message.
const NAMES_AT_ONCE: usize = 1000;

/// Bytes that wait while there is no connection. Then the oldest are dropped, and the other nodes
/// tell their members that something is missing.
const QUEUED_MAX: usize = 4 * 1024 * 1024;

/// What members are told where lines, which carry headers, do not leave the node.
const NO_HEADERS: &str =
    "The server takes no headers: the other nodes do not hear what is said here.";

pub(crate) struct Chat {
    servers: String,
    node: NodeId,
    client: Option<Client>,
    pub(crate) names: Names<ConnectionId>,
    rooms: BTreeMap<String, Room>,
    ended: EndedStreams,
    nodes: Nodes,
    /// Number of connections lost.
    losses: u64,
    /// Claims of members that the other nodes have not been asked for.
    claims: Vec<Wanted>,
    last_claim: u64,
    last_stream: u64,
    /// The other nodes are to tell their streams, since a room is new.
    asks: bool,
    /// All names are to be told, since another node may have missed some.
    owes_names: bool,
}

/// A name that a member wants, and the number of its claim.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) member: ConnectionId,
    pub(crate) key: String,
    pub(crate) claim: u64,
}

impl Chat {
    /// Returns a chat that meets its other nodes on these NATS servers.
    pub(crate) fn new(servers: &str, node: NodeId) -> Self {
        Self {
            servers: servers.to_owned(),
            names: Names::new(node),
            node,
            client: None,
            rooms: BTreeMap::new(),
            ended: EndedStreams::default(),
            nodes: Nodes::default(),
            losses: 0,
            claims: Vec::new(),
            last_claim: 0,
            last_stream: 0,
            asks: false,
            owes_names: false,
        }
    }

    /// Returns true if the chat has no members, and nothing is left of those that it had.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let waits = self.client.as_ref().is_some_and(|client| client.queued() > 0);
        self.rooms.is_empty() && self.names.is_empty() && self.claims.is_empty() && !waits
    }

    /// Returns how many other nodes something is kept of: at all, and in all rooms.
    #[cfg(test)]
    pub(crate) fn known(&self) -> (usize, usize) {
        let streams = self.rooms.values().map(|room| room.others.len()).sum();
        (self.nodes.len(), streams)
    }

    /// Returns true if the other nodes can be told and asked something now.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_client().is_some()
    }

    /// Returns the client if what it publishes is sent now: it is connected, and has no backlog. A
    /// backlog outlives its connection, and what says who has a name, or wants it, would be told
    /// when it is no longer true. (The message with which a backlog begins waits all the same: the
    /// client does not tell that its connection has no room left.)
    fn ready_client(&self) -> Option<&Client> {
        self.client.as_ref().filter(|client| client.is_connected() && client.queued() == 0)
    }

    /// Returns a number that no claim to a name has had.
    pub(crate) fn next_claim(&mut self) -> u64 {
        self.last_claim += 1;
        self.last_claim
    }

    /// Claims a name before the other nodes: soon, or when there is a connection without a backlog.
    pub(crate) fn claim(&mut self, wanted: Wanted, reactor: &mut Reactor) {
        self.claims.push(wanted);
        let key = reactor.key_of(self).filter(|_| self.claims.len() == 1);
        if let Some(key) = key {
            reactor.call_later(CLAIM_DELAY, move |reactor| {
                with_chat(reactor, key, Self::ask);
            });
        }
    }

    /// Forgets the claim of a member that has left: without a connection nobody is asked, and the
    /// claims of all who come and go meanwhile would be kept.
    pub(crate) fn withdraw(&mut self, member: ConnectionId) {
        self.claims.retain(|wanted| wanted.member != member);
    }

    /// Asks the other nodes for the names that members want.
    fn ask(&mut self, reactor: &mut Reactor) {
        let Some(chat) = reactor.key_of(self) else { return };
        for wanted in std::mem::take(&mut self.claims).chunks(NAMES_AT_ONCE) {
            let question = |client| Question::new(client, chat, self.losses, wanted);
            let question = self.ready_client().map(question);
            if question.is_none_or(|question| question.ask(self.node, reactor).is_err()) {
                self.claims.extend_from_slice(wanted);
            }
        }
    }

    /// Returns the number of connections to the servers that were lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses
    }

    /// Returns the room of a name that a member gives: one token of a subject, whatever they type.
    pub(crate) fn room(&self, text: &str) -> Option<String> {
        let name = Name::new(text)?;
        subject(name.key()).map(|_| name.key().to_owned())
    }

    /// Returns true if a room is not there, and cannot be added.
    pub(crate) fn is_full(&self, room: &str) -> bool {
        !self.rooms.contains_key(room) && self.rooms.len() >= ROOMS_MAX
    }

    pub(crate) fn enter(&mut self, room: &str, name: &Name, member: Transport, reactor: &Reactor) {
        if !self.rooms.contains_key(room) {
            self.open(room, reactor);
        }
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.insert(name.key().to_owned(), member);
        }
    }

    /// Returns what a new member is to know about the server.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        let info = self.client.as_ref().and_then(Client::server_info);
        info.filter(|info| !info.headers).map(|_| NO_HEADERS)
    }

    /// Opens a room for its first member here: from now on this node hears it.
    fn open(&mut self, room: &str, reactor: &Reactor) {
        let (Some(subject), Some(client)) = (subject(room), &self.client) else { return };
        let (Some(key), name) = (reactor.key_of(self), room.to_owned()) else { return };
        let heard = move |reactor: &mut Reactor, message: &Message<'_>| {
            with_chat(reactor, key, |chat, reactor| chat.heard(&name, message, reactor));
        };
        let subscription = client.subscribe(&subject, heard).ok();
        self.asks = true;
        let own = self.ended.take(room).unwrap_or_else(|| {
            self.last_stream += 1;
            Position { stream: self.last_stream, message: 0 }
        });
        let (members, others) = (BTreeMap::new(), Streams::default());
        let opened = Room { subject, members, subscription, own, others };
        self.rooms.insert(room.to_owned(), opened);
        self.ended.truncate(ROOMS_MAX.saturating_sub(self.rooms.len()));
    }

    pub(crate) fn leave(&mut self, room: &str, name: &Name, reactor: &Reactor) {
        let Some(left) = self.rooms.get_mut(room) else { return };
        left.members.remove(name.key());
        if left.members.is_empty() {
            if let (Some(subscription), Some(client)) = (left.subscription, &self.client) {
                client.unsubscribe(subscription);
            }
            self.ended.insert(room.to_owned(), left.own, reactor.now());
            self.rooms.remove(room);
            self.ended.truncate(ROOMS_MAX.saturating_sub(self.rooms.len()));
        }
    }

    /// Says a line in a room: to the other members here, and to the other nodes.
    pub(crate) fn say(&mut self, room: &str, name: &Name, text: &str) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        let said = format!("<{}> {text}", name.shown());
        let others = room.members.iter().filter(|(other, _)| *other != name.key());
        broadcast(others.map(|(_, member)| member), format!("{said}\r\n"));
        let Position { stream, message } = room.own;
        let message = message + 1;
        let mut headers = HeaderMap::new();
        let from = headers.append(FROM, &format!("{} {stream} {message}", self.node));
        let Some(client) = self.client.as_ref().filter(|_| from.is_ok()) else { return };
        let published = client.publish_with_headers(&room.subject, &headers, said);
        if let Err(error) = &published {
            log::warn!("a message does not reach the other nodes: {error}");
        }
        // Members know that a server without headers takes none. Of another message that is not
        // sent the other nodes find out by the number of the next one.
        if published != Err(PublishError::HeadersUnsupported) {
            room.own.message = message;
        }
    }

    /// Another node has said something in a room.
    fn heard(&mut self, room: &str, message: &Message<'_>, reactor: &Reactor) {
        let from = message.header(FROM).and_then(|from| from.split_once(' '));
        let position = from.and_then(|(node, at)| Some((node.parse().ok()?, parse_position(at)?)));
        let (Some((node, at)), Ok(said)) = (position, readable(message.payload())) else { return };
        if node == self.node {
            return;
        }
        let is_known = self.meet(node, reactor);
        let Some(room) = self.rooms.get_mut(room) else { return };
        if is_known {
            // Heard before.
            let Some(missing) = room.others.heard(node, at) else { return };
            room.tell_missing(missing);
        }
        broadcast(room.members.values(), format!("{said}\r\n"));
    }

    /// A node tells that it is there.
    fn present(&mut self, presence: &Presence<'_>, reactor: &Reactor) {
        if presence.node == self.node || !self.meet(presence.node, reactor) {
            return;
        }
        let streams: BTreeMap<&str, Position> = presence.streams.iter().copied().collect();
        for (name, room) in &mut self.rooms {
            let missing = room.others.told(presence.node, streams.get(name.as_str()).copied());
            room.tell_missing(missing);
        }
        if presence.asks {
            self.tell_presence(false);
        }
    }

    /// Another node is heard of. Returns false if nothing may be kept of it.
    fn meet(&mut self, node: NodeId, reactor: &Reactor) -> bool {
        match self.nodes.meet(node, reactor.now()) {
            Acquaintance::Known => true,
            Acquaintance::New => {
                self.tell_all_names();
                true
            }
            Acquaintance::Full => false,
        }
    }

    fn tell_presence(&self, asks: bool) {
        let streams = self.rooms.iter().map(|(name, room)| (name.as_str(), room.own));
        let streams = streams.chain(self.ended.iter()).collect();
        let text = Presence { node: self.node, asks, streams }.encode();
        self.publish(NODES, text);
    }

    /// Tells the other nodes of names that this node's members have. One that has got one too, in
    /// spite of the question, hears of it. Those that cannot be told now are told later, with all
    /// others.
    pub(crate) fn tell_names(&mut self, keys: &[impl AsRef<str>]) {
        for keys in keys.chunks(NAMES_AT_ONCE) {
            let keys = keys.iter().map(AsRef::as_ref).collect();
            self.owes_names |= !self.publish(HOLDERS, Claim { node: self.node, keys }.encode());
        }
    }

    fn tell_all_names(&mut self) {
        let keys: Vec<String> = self.names.held().map(str::to_owned).collect();
        self.tell_names(&keys);
    }

    /// Publishes something that is of use only now. Returns false if it is not sent.
    fn publish(&self, subject: &str, text: String) -> bool {
        let published = self.ready_client().map(|client| client.publish(subject, text));
        if let Some(Err(error)) = &published {
            log::warn!("the other nodes are not told: {error}");
        }
        matches!(published, Some(Ok(())))
    }

    /// Tells the other nodes what is new, and asks them for names.
    fn exchange(&mut self, reactor: &mut Reactor) {
        if !self.is_ready() {
            return;
        }
        let asks = std::mem::take(&mut self.asks);
        self.tell_presence(asks);
        if std::mem::take(&mut self.owes_names) {
            self.tell_all_names();
        } else {
            let keys = self.names.next_in_turn();
            self.tell_names(&keys);
        }
        self.ask(reactor);
    }

    fn tell_all(&self, text: &str) {
        let members = self.rooms.values().flat_map(|room| room.members.values());
        broadcast(members, format!("* {text}\r\n"));
    }

    /// Some time has passed.
    fn tick(&mut self, reactor: &mut Reactor) {
        let now = reactor.now();
        for node in self.nodes.forget_gone(now) {
            self.rooms.values_mut().for_each(|room| room.others.forget(node));
        }
        self.ended.forget_old(GONE_AFTER, now);
        self.exchange(reactor);
    }

    /// Something has happened to the connection.
    fn on_event(&mut self, event: &Event, reactor: &mut Reactor) {
        match event {
            Event::Connected { is_reconnect, .. } => {
                if *is_reconnect {
                    self.tell_all("The other nodes can be reached again.");
                }
                if let Some(notice) = self.notice() {
                    self.tell_all(notice);
                }
                (self.asks, self.owes_names) = (true, true);
                self.exchange(reactor);
            }
            Event::Disconnected { .. } => {
                self.losses += 1;
                self.tell_all("The other nodes cannot be reached; messages may be missing.");
            }
            _ => {}
        }
    }
}

/// Returns the subject of a room, if its name can be a token of one.
fn subject(room: &str) -> Option<Subject> {
    Subject::from_tokens(["chat", "room", room]).ok()
}

pub(crate) fn with_chat(
    reactor: &mut Reactor,
    key: FactoryKey<Chat>,
    call: impl FnOnce(&mut Chat, &mut Reactor),
) -> bool {
    reactor.with_factory(key, call).is_ok()
}

/// Another node wants names, or has them.
fn claimed(reactor: &mut Reactor, key: FactoryKey<Chat>, message: &Message<'_>) {
    let Some(claim) = Claim::parse(message.payload()) else { return };
    let (mut losers, mut objections) = (Vec::new(), Vec::new());
    with_chat(reactor, key, |chat, _| {
        if claim.node == chat.node {
            return;
        }
        for name in &claim.keys {
            let answer = match message.subject() {
                CLAIMS => chat.names.claimed_elsewhere(name, claim.node),
                _ => chat.names.held_elsewhere(name, claim.node),
            };
            match answer {
                Answer::Nothing => {}
                Answer::Object => objections.push(*name),
                Answer::GiveUp(member) => losers.push(member),
            }
        }
        chat.tell_names(&objections);
    });
    for member in losers {
        with_member(reactor, key, member, Member::lose_name);
    }
}

impl Factory for Chat {
    type Protocol = Lines<Member>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Member>> {
        let lines = Lines::new(Member::Nameless);
        Some(lines.line_rate(LINES_PER_SECOND, Duration::from_secs(1)))
    }

    /// Meets the other nodes.
    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        let Some(key) = reactor.key_of(self) else { return Ok(()) };
        let client = ConnectOptions::new(&self.servers)
            .name(format!("chat {}", self.node))
            .echo(false)
            .max_queued(QUEUED_MAX, QueuePolicy::DropOldest)
            .on_event(move |reactor, event| {
                with_chat(reactor, key, |chat, reactor| chat.on_event(event, reactor));
            })
            .connect(reactor)
            .map_err(io::Error::other)?;
        for subject in [CLAIMS, HOLDERS] {
            let claimed = move |reactor: &mut Reactor, message: &Message<'_>| {
                claimed(reactor, key, message);
            };
            client.subscribe(subject, claimed).map_err(io::Error::other)?;
        }
        let present = move |reactor: &mut Reactor, message: &Message<'_>| {
            let Some(presence) = Presence::parse(message.payload()) else { return };
            with_chat(reactor, key, |chat, reactor| chat.present(&presence, reactor));
        };
        client.subscribe(NODES, present).map_err(io::Error::other)?;
        self.client = Some(client);
        reactor.call_every(PRESENCE_INTERVAL, move |reactor| {
            match with_chat(reactor, key, Self::tick) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        Ok(())
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        if let Some(client) = self.client.take() {
            client.close(reactor);
        }
    }
}
