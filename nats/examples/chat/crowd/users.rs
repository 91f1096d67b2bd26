//! `Users`: the users on one host, each with a connection to a node.

use super::stays::{LOBBY, Room, Stays};
use super::user::{User, UserContext};
use std::net::SocketAddr;
use std::time::Duration;
use twistor::testing::Random;
use twistor::{ConnectionId, Context, Factory, FactoryKey, Lines, Reactor, Transport};

/// How long those who have lost their connection are away, at most.
const AWAY_MAX: Duration = Duration::from_secs(2);

/// Rooms besides the lobby: each has members on all nodes.
const ROOMS: u16 = 20;

/// How many of a thousand stay in the lobby, which is by far the largest room.
const LOBBY_PER_MILLE: u16 = 50;

/// How many of a thousand choose a name that others choose too.
const POPULAR_PER_MILLE: u16 = 100;

/// The factory of the users of one host. A user whose connection is lost comes back.
pub(super) struct Users {
    pub(super) stays: Stays,
    pub(super) random: Random,
    /// The nodes' addresses; theirs is the first.
    nodes: Vec<SocketAddr>,
    /// Of this host, so that most names are free.
    host: usize,
    /// Number of names that many choose.
    popular: usize,
    last_name: usize,
    /// In the order in which they came.
    connections: Vec<ConnectionId>,
    mood: Mood,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Staying,
    Leaving,
}

impl Users {
    pub(super) fn new(
        host: usize,
        nodes: Vec<SocketAddr>,
        popular: usize,
        stays: Stays,
        random: Random,
    ) -> Self {
        let (last_name, connections, mood) = (0, Vec::new(), Mood::Staying);
        Self { stays, random, nodes, host, popular, last_name, connections, mood }
    }

    /// New users come to their node.
    pub(super) fn come(&self, count: usize, reactor: &mut Reactor) {
        for _ in 0..count {
            self.connect(self.nodes[0], reactor);
        }
    }

    fn connect(&self, to: SocketAddr, reactor: &mut Reactor) {
        let key = reactor.key_of(self).unwrap();
        reactor.connect_tcp(to, key).unwrap();
    }

    /// One whose connection is lost, or could not be made, tries any node a little later.
    fn come_back(&mut self, reactor: &mut Reactor) {
        if self.mood == Mood::Leaving {
            return;
        }
        let key = reactor.key_of(self).unwrap();
        let to = *self.random.pick(&self.nodes);
        reactor.call_later(self.random.up_to(AWAY_MAX), move |reactor| {
            reactor.with_factory(key, |users, reactor| users.connect(to, reactor)).unwrap();
        });
    }

    pub(super) fn lose(&mut self, connection: ConnectionId, reactor: &mut Reactor) {
        self.connections.retain(|it| *it != connection);
        self.come_back(reactor);
    }

    /// From now on nobody comes back.
    pub(super) fn leave(&mut self) {
        self.mood = Mood::Leaving;
    }

    pub(super) fn choose_name(&mut self) -> String {
        if self.random.happens(POPULAR_PER_MILLE) {
            let initial = self.random.pick(&["P", "p"]);
            return format!("{initial}{}", self.random.below(self.popular));
        }
        self.last_name += 1;
        format!("u{}.{}", self.host, self.last_name)
    }

    pub(super) fn choose_room(&mut self) -> Room {
        if self.random.happens(LOBBY_PER_MILLE) {
            return LOBBY;
        }
        1 + self.random.below(ROOMS.into()) as Room
    }

    /// Returns the number of a room by its name.
    pub(super) fn room(&self, name: &str) -> Room {
        name.strip_prefix("room").map_or(LOBBY, |number| number.parse().unwrap())
    }
}

impl Factory for Users {
    type Protocol = Lines<User>;

    fn build_protocol(&mut self, to: &Transport, _: &mut Reactor) -> Option<Lines<User>> {
        self.connections.push(to.id());
        Some(Lines::new(User::new()))
    }

    fn connection_failed(&mut self, _: &Transport, _: &std::io::Error, reactor: &mut Reactor) {
        self.come_back(reactor);
    }
}

/// Returns the connections of the users of a host, those of the longest members first.
pub(super) fn connections(reactor: &mut Reactor, key: FactoryKey<Users>) -> Vec<ConnectionId> {
    reactor.with_factory(key, |users, _| users.connections.clone()).unwrap()
}

/// Calls one of the users of a host.
pub(super) fn with_user(
    reactor: &mut Reactor,
    key: FactoryKey<Users>,
    connection: ConnectionId,
    call: impl FnOnce(&mut User, &mut UserContext<'_>),
) {
    let call = |lines: &mut Lines<User>, cx: &mut Context<'_, Users>| lines.with_receiver(cx, call);
    reactor.with_protocol(key, connection, call).unwrap();
}
