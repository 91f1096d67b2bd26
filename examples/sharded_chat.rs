//! A chat on several cores: one room, whose members are spread over shards.
//!
//! `cargo run --example sharded_chat [PORT or ENDPOINT [SHARDS]]`, then `nc 127.0.0.1 8124`, twice.
//! By default there are as many shards as cores. `kill -USR1` with its process id prints the
//! metrics of all shards.
//!
//! Each shard has the transports of its own members. What a member says is encoded once, sent to
//! them, and sent to the mailboxes of the other shards, which send it to theirs: the bytes are
//! shared, and what one member says comes in order, since each mailbox keeps it. The names are one
//! set for all shards, under a lock that is taken to join and to leave, but not to talk.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use twistor::mailbox::{Mailbox, MailboxPolicy};
use twistor::shards::{Balance, Shard, Shards, SharedPort};
use twistor::{
    Bytes, Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport,
    broadcast, build_protocol,
};

/// Lines that may wait for a shard: some seconds of a busy chat. When it is full, the shard is
/// stuck or overloaded, and its members miss lines.
const CAPACITY: usize = 64 * 1024;

/// How long the metrics of a shard are waited for.
const METRICS_TIMEOUT: Duration = Duration::from_secs(1);

/// The names of all members, on whatever shard.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    /// Returns true if the name was free, and is taken now.
    fn take(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }

    fn release(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// One shard's part of the room.
struct Room {
    members: BTreeMap<String, Transport>,
    names: Names,
    /// The mailboxes of the other shards.
    others: Vec<Mailbox<Bytes>>,
}

impl Room {
    /// Sends a line of a member here to all others. Returns the number of shards that miss it.
    fn tell_the_others(&self, name: &str, text: &str) -> usize {
        let said = Bytes::from(format!("<{name}> {text}\r\n"));
        self.tell(Some(name), &said);
        self.others.iter().filter(|mailbox| mailbox.send(said.clone()).is_err()).count()
    }

    fn tell(&self, except: Option<&str>, said: &Bytes) {
        let members = self.members.iter().filter(|(name, _)| Some(&***name) != except);
        broadcast(members.map(|(_, member)| member), said.clone());
    }
}

impl Factory for Room {
    build_protocol!(Lines<Chatter>, |_room| Lines::new(Chatter::Nameless));
}

enum Chatter {
    Nameless,
    Named(String),
}

impl LineReceiver<Room> for Chatter {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Room>) {
        cx.send_line("What's your name?");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Room>, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match self {
            Self::Nameless => self.choose(cx, text.trim()),
            Self::Named(name) => {
                if cx.factory.tell_the_others(name, &text) > 0 {
                    cx.send_line("The chat is busy: some members have not heard that.");
                }
            }
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Room>, _reason: &Reason) {
        if let Self::Named(name) = self {
            cx.factory.members.remove(name);
            cx.factory.names.release(name);
        }
    }
}

impl Chatter {
    fn choose(&mut self, cx: &mut LineContext<'_, Room>, name: &str) {
        if name.is_empty() || !cx.factory.names.take(name) {
            return cx.send_line("Name taken, please choose another.");
        }
        cx.send_line(format!("Welcome, {name}!"));
        cx.factory.members.insert(name.to_owned(), cx.transport.clone());
        *self = Self::Named(name.to_owned());
    }
}

/// Sets up one shard of the room.
fn open_room(
    reactor: &mut Reactor,
    shard: &Shard,
    port: &SharedPort,
    mailboxes: &[Mailbox<Bytes>],
    names: &Names,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let others = shard.others().map(|index| mailboxes[index].clone()).collect();
    let room = Room { members: BTreeMap::new(), names: names.clone(), others };
    let port = port.listen(reactor, shard, room)?;
    let key = port.key();
    reactor.open_mailbox(&mailboxes[shard.index()], move |reactor, said| {
        // Fails only if the factory has stopped, and then it has no members.
        let _ = reactor.with_factory(key, |room, _reactor| room.tell(None, &said));
    })?;
    if shard.index() == 0 {
        let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
        let handle = shard.handle().clone();
        let print_metrics = move |reactor: &mut Reactor| {
            let handle = handle.clone();
            let ask = move || handle.metrics(METRICS_TIMEOUT);
            reactor.defer_to_thread(ask, |_reactor, metrics| {
                if let Ok(metrics) = metrics {
                    let _ = writeln!(io::stdout(), "{metrics}");
                }
            });
        };
        if let Err(error) = reactor.on_signal("SIGUSR1", print_metrics) {
            log::warn!("metrics cannot be printed: {error}");
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next();
    let endpoint = endpoint.unwrap_or_else(|| "tcp:8124:interface=127.0.0.1".to_owned());
    let shards = match arguments.next() {
        Some(count) => Shards::new(count.parse()?),
        None => Shards::per_core(),
    };
    // Few members are spread evenly, too: a room of two on two cores has one on each.
    let port = SharedPort::acceptor(endpoint.parse()?, Balance::LeastConnections);
    let mailboxes = Mailbox::for_shards(shards.handle().count(), CAPACITY, MailboxPolicy::Reject);
    let names = Names::default();
    let report =
        shards.run(|reactor, shard| open_room(reactor, shard, &port, &mailboxes, &names))?;
    log::info!("{report}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing::Simulation;

    #[test]
    fn members_of_all_shards_are_one_room() {
        let port = SharedPort::acceptor("tcp:8124".parse().unwrap(), Balance::LeastConnections);
        let mailboxes = Mailbox::for_shards(2, CAPACITY, MailboxPolicy::Reject);
        let names = Names::default();
        let simulation = Simulation::new(1);
        let shards = simulation.shards("server", 2, move |reactor, shard| {
            open_room(reactor, shard, &port, &mailboxes, &names)
        });
        let [ann, bob] = ["ann", "bob"].map(|name| {
            let peer = simulation.peer(name, shards[0].address(8124));
            peer.send("Ann\n");
            peer
        });
        assert!(shards.iter().all(|shard| shard.open() == 1));
        assert!(ann.take_received().ends_with(b"Welcome, Ann!\r\n"));
        assert!(bob.take_received().ends_with(b"Name taken, please choose another.\r\n"));
        bob.send("Bob\n");
        bob.take_received();
        for number in 0..100 {
            ann.send(format!("{number}\n"));
            assert_eq!(bob.take_received(), format!("<Ann> {number}\r\n").as_bytes());
        }
        assert_eq!(ann.take_received(), b"");
        ann.reset();
        bob.send("Anybody there?\n");
        let cat = simulation.peer("cat", shards[0].address(8124));
        cat.send("Ann\n");
        assert!(cat.take_received().ends_with(b"Welcome, Ann!\r\n"), "the name is free again");
    }
}
