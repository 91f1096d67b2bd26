//! `ServerPool`: the servers of a client, and which one is next.

use super::server_address::ServerAddress;

/// The most servers that a pool knows: more than clusters have. A server that tells of more does
/// not fill memory.
const SERVERS_MAX: usize = 1000;

/// The servers that a client may connect to: those that were given, and those that servers have
/// told of.
#[derive(Debug)]
pub(crate) struct ServerPool {
    servers: Vec<Server>,
    /// The one in use, or tried last.
    current: Option<usize>,
}

#[derive(Debug)]
struct Server {
    address: ServerAddress,
    is_discovered: bool,
}

impl ServerPool {
    /// Returns a pool of the given servers, at least one.
    pub(crate) fn new(addresses: Vec<ServerAddress>) -> Self {
        let given = |address| Server { address, is_discovered: false };
        Self { servers: addresses.into_iter().map(given).collect(), current: None }
    }

    /// Puts the servers into a random order, so that clients spread over them. `below` returns a
    /// random number below its argument.
    pub(crate) fn shuffle(&mut self, mut below: impl FnMut(usize) -> usize) {
        for end in (2..=self.servers.len()).rev() {
            self.servers.swap(end - 1, below(end));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Moves to the next server, and returns it.
    pub(crate) fn advance(&mut self) -> Option<&ServerAddress> {
        let next = self.current.map_or(0, |current| current + 1) % self.servers.len().max(1);
        self.current = Some(next);
        self.current()
    }

    /// Returns the server in use, or the one that was tried last.
    pub(crate) fn current(&self) -> Option<&ServerAddress> {
        self.servers.get(self.current?).map(|server| &server.address)
    }

    /// The current server tells which servers its cluster has: new ones are added, in a random
    /// place, and those that have left the cluster are removed unless they were given.
    pub(crate) fn discover(&mut self, places: &[String], mut below: impl FnMut(usize) -> usize) {
        let Some(model) = self.current().cloned() else { return };
        if places.is_empty() {
            return;
        }
        let discovered = places.iter().take(SERVERS_MAX);
        let listed: Vec<ServerAddress> =
            discovered.filter_map(|place| ServerAddress::discovered(place, &model)).collect();
        let current = self.current;
        let mut at = 0;
        let mut current_now = current;
        self.servers.retain(|server| {
            let is_current = current == Some(at);
            let is_listed = || listed.iter().any(|it| it.is_at_same_place(&server.address));
            let stays = !server.is_discovered || is_current || is_listed();
            if !stays && current.is_some_and(|current| at < current) {
                current_now = current_now.map(|now| now - 1);
            }
            at += 1;
            stays
        });
        self.current = current_now;
        for address in listed {
            let is_known = self.servers.iter().any(|it| it.address.is_at_same_place(&address));
            if is_known || self.servers.len() >= SERVERS_MAX {
                continue;
            }
            let place = below(self.servers.len() + 1);
            self.servers.insert(place, Server { address, is_discovered: true });
            if let Some(current) = self.current.as_mut().filter(|current| place <= **current) {
                *current += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(text: &str) -> ServerPool {
        ServerPool::new(ServerAddress::parse_list(text).unwrap())
    }

    fn round(pool: &mut ServerPool) -> Vec<String> {
        let count = pool.len();
        (0..count).map(|_| pool.advance().unwrap().to_string()).collect()
    }

    fn discover(pool: &mut ServerPool, places: &[&str]) {
        let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
        pool.discover(&places, |bound| bound - 1);
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
        discover(&mut pool, &["a:4222", "x:1", "y:2", "not a host"]);
        assert_eq!(pool.len(), 4);
        assert_eq!(pool.current().unwrap().to_string(), "nats://a:4222");
        assert_eq!(pool.advance().unwrap().to_string(), "nats://b:4222");
        assert_eq!(pool.advance().unwrap().to_string(), "nats://x:1");
        // It is in use, though its cluster no longer tells of it.
        discover(&mut pool, &["z:3"]);
        assert_eq!(pool.current().unwrap().to_string(), "nats://x:1");
        assert_eq!(pool.len(), 4);
        pool.advance();
        discover(&mut pool, &["z:3"]);
        let all = round(&mut pool);
        assert!(!all.contains(&"nats://x:1".to_owned()) && !all.contains(&"nats://y:2".to_owned()));
        assert_eq!(pool.len(), 3);
    }

    #[test]
    fn the_current_server_stays_whatever_is_discovered() {
        let mut random = 7_u64;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % bound
        };
        let mut pool = pool("a,b");
        for _ in 0..1000 {
            for _ in 0..below(4) {
                pool.advance();
            }
            let before = pool.current().map(ToString::to_string);
            let places: Vec<String> = (0..below(6)).map(|_| format!("h{}:1", below(8))).collect();
            pool.discover(&places, &mut below);
            assert_eq!(pool.current().map(ToString::to_string), before);
            assert!((2..=12).contains(&pool.len()));
        }
    }

    #[test]
    fn a_pool_does_not_grow_without_bound() {
        let mut pool = pool("a");
        pool.advance();
        let places: Vec<String> = (0..5000).map(|number| format!("h{number}:1")).collect();
        pool.discover(&places, |_| 0);
        assert!(pool.len() <= SERVERS_MAX);
    }
}
