//! `ServerPool`: the servers of a client, and which one is next.

use super::server_address::ServerAddress;
use std::collections::{BTreeMap, VecDeque};

/// The most servers that a pool keeps of those that it was told of: more than clusters have. A
/// server that tells of more does not fill memory.
const DISCOVERED_MAX: usize = 1000;

/// The most servers of a round that were not given: more than most clusters have. If none of them
/// answers, the given ones are tried again after as many timeouts, and not after a thousand.
const DISCOVERED_PER_ROUND: usize = 8;

/// The servers that a client may connect to: those that were given, and those that servers have
/// told of.
///
/// A round of attempts takes the given ones in their order, and then some of the others, the next
/// round those after them. After a connection a round begins.
#[derive(Debug)]
pub(crate) struct ServerPool {
    given: Vec<ServerAddress>,
    discovered: VecDeque<ServerAddress>,
    /// Number of servers that the round has taken.
    taken: usize,
    /// The one in use, or tried last.
    current: Option<ServerAddress>,
}

impl ServerPool {
    /// Returns a pool of the given servers, at least one.
    pub(crate) fn new(given: Vec<ServerAddress>) -> Self {
        Self { given, discovered: VecDeque::new(), taken: 0, current: None }
    }

    /// Puts the given servers into a random order, so that clients spread over them. `below`
    /// returns a random number below its argument.
    pub(crate) fn shuffle(&mut self, below: impl FnMut(usize) -> usize) {
        shuffle(&mut self.given, below);
    }

    /// Returns the number of attempts in a round.
    pub(crate) fn round_len(&self) -> usize {
        self.given.len() + self.discovered.len().min(DISCOVERED_PER_ROUND)
    }

    /// Moves to the next server, and returns it.
    pub(crate) fn advance(&mut self) -> Option<&ServerAddress> {
        if self.taken >= self.round_len() {
            self.taken = 0;
        }
        self.current = match self.given.get(self.taken) {
            Some(given) => Some(given.clone()),
            None => self.discovered.pop_front(),
        };
        if self.taken >= self.given.len() {
            self.discovered.extend(self.current.clone());
        }
        self.taken += 1;
        self.current()
    }

    /// The current server has accepted the client: the next attempt begins a round. If it is one of
    /// those that were given it is the last of them, since one which accepts clients and then fails
    /// would keep them from the others.
    pub(crate) fn begin_round(&mut self) {
        if let Some(at) = self.given.iter().position(|it| Some(it) == self.current.as_ref()) {
            self.given.rotate_left(at + 1);
        }
        self.taken = 0;
    }

    /// Returns the server in use, or the one that was tried last.
    pub(crate) fn current(&self) -> Option<&ServerAddress> {
        self.current.as_ref()
    }

    /// The current server, which has accepted the client, tells which servers its cluster has. New
    /// ones are added, in a random order, and those that have left it are forgotten. A server that
    /// tells of none says nothing of its cluster, since telling can be switched off: then all stay.
    pub(crate) fn discover(
        &mut self,
        places: &[String],
        believes_names: bool,
        below: impl FnMut(usize) -> usize,
    ) {
        let Some(current) = self.current.as_ref().filter(|_| !places.is_empty()) else { return };
        let told = places.iter().take(DISCOVERED_MAX);
        let mut told: BTreeMap<_, _> = told
            .filter_map(|place| ServerAddress::discovered(place, current, believes_names))
            .map(|address| (address.place(), address))
            .collect();
        for given in &self.given {
            told.remove(&given.place());
        }
        self.discovered.retain(|known| told.remove(&known.place()).is_some());
        if !told.is_empty() {
            self.discovered.extend(told.into_values());
            shuffle(self.discovered.make_contiguous(), below);
        }
    }
}

fn shuffle<T>(items: &mut [T], mut below: impl FnMut(usize) -> usize) {
    for end in (2..=items.len()).rev() {
        items.swap(end - 1, below(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(text: &str) -> ServerPool {
        ServerPool::new(ServerAddress::parse_list(text).unwrap())
    }

    fn round(pool: &mut ServerPool) -> Vec<String> {
        let count = pool.round_len();
        (0..count).map(|_| pool.advance().unwrap().to_string()).collect()
    }

    /// Tells of servers, and leaves them in the order of their names.
    fn discover(pool: &mut ServerPool, places: &[&str]) {
        let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
        pool.discover(&places, true, |bound| bound - 1);
    }

    #[test]
    fn servers_are_tried_in_turn() {
        let mut pool = pool("a,b,c");
        assert_eq!(round(&mut pool), ["nats://a:4222", "nats://b:4222", "nats://c:4222"]);
        assert_eq!(pool.advance().unwrap().to_string(), "nats://a:4222");
        assert_eq!(pool.current().unwrap().to_string(), "nats://a:4222");
    }

    #[test]
    fn a_shuffled_pool_has_the_same_servers() {
        let mut pool = pool("a,b,c,d");
        pool.shuffle(|_| 0);
        let mut all = round(&mut pool);
        assert_ne!(all[0], "nats://a:4222");
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d"].map(|host| format!("nats://{host}:4222")));
    }

    #[test]
    fn servers_of_the_cluster_come_and_go_and_given_ones_stay() {
        let mut pool = pool("a,b");
        pool.advance();
        discover(&mut pool, &["A:4222", "x:1", "y:2", "not a host", "x:1"]);
        assert_eq!(pool.current().unwrap().to_string(), "nats://a:4222");
        let rest: Vec<String> = (0..3).map(|_| pool.advance().unwrap().to_string()).collect();
        assert_eq!(rest, ["nats://b:4222", "nats://x:1", "nats://y:2"]);
        assert_eq!(pool.round_len(), 4);
        // The one in use is no longer of the cluster.
        discover(&mut pool, &["x:1", "z:3"]);
        assert_eq!(pool.current().unwrap().to_string(), "nats://y:2");
        let given = ["nats://a:4222", "nats://b:4222"];
        assert_eq!(round(&mut pool), [&given[..], &["nats://x:1", "nats://z:3"]].concat());
        // A server that tells of none says nothing of its cluster.
        discover(&mut pool, &[]);
        assert_eq!(round(&mut pool), [&given[..], &["nats://x:1", "nats://z:3"]].concat());
    }

    #[test]
    fn a_round_after_a_connection_begins_with_the_given_servers_after_its_own() {
        let mut pool = pool("a,b,c");
        pool.advance();
        discover(&mut pool, &["x:1"]);
        pool.advance();
        pool.begin_round();
        let expected = ["c:4222", "a:4222", "b:4222", "x:1"].map(|it| format!("nats://{it}"));
        assert_eq!(round(&mut pool), expected);
        assert_eq!(pool.current().unwrap().to_string(), "nats://x:1");
        pool.begin_round();
        assert_eq!(round(&mut pool), expected);
    }

    #[test]
    fn a_round_has_the_given_servers_and_some_of_the_others() {
        let mut pool = pool("a,b");
        pool.advance();
        let places: Vec<String> = (0..5000).map(|number| format!("h{number}:1")).collect();
        pool.discover(&places, true, |_| 0);
        assert_eq!(pool.discovered.len(), DISCOVERED_MAX);
        let rest: Vec<String> =
            (1..pool.round_len()).map(|_| pool.advance().unwrap().to_string()).collect();
        assert_eq!((rest[0].as_str(), rest.len()), ("nats://b:4222", 1 + DISCOVERED_PER_ROUND));
        let mut seen: Vec<String> = rest[1..].to_vec();
        for _ in 1..DISCOVERED_MAX / DISCOVERED_PER_ROUND {
            let all = round(&mut pool);
            assert_eq!(all[..2], ["nats://a:4222", "nats://b:4222"]);
            seen.extend_from_slice(&all[2..]);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), DISCOVERED_MAX, "each of them gets its turn");
    }
}
