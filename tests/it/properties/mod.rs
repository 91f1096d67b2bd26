//! Random sessions on random networks, and what must be true of every one of them.

mod ledger;
mod talker;

use ledger::{Ledger, Who};
use std::time::{Duration, Instant};
use talker::{Counters, Talkers};
use twistor::testing::{Attempt, Conditions, End, Host, Peer, Plan, Random, Simulation, explore};
use twistor::{Reason, Settings};

const PORT: u16 = 7000;

/// Seeds that are run if the environment says nothing.
const RUNS: u64 = 1500;

/// A client without a reactor.
struct Client {
    peer: Peer,
    /// It has done what may cost it bytes: it has reset, or closed without reading to the end.
    rude: bool,
    /// It does not read all the time.
    slow: bool,
}

/// A run: a server, clients of both kinds, and their accounts.
struct Session {
    simulation: Simulation,
    random: Random,
    ledger: Ledger,
    counters: Counters,
    server: Host,
    /// A host whose reactor has clients.
    caller: Host,
    clients: Vec<Client>,
    attempts: Vec<Attempt>,
    /// Connections may break without anybody having wished for it.
    faulty: bool,
}

fn conditions(random: &mut Random) -> Conditions {
    let ms = |random: &mut Random, most| random.up_to(Duration::from_millis(most));
    match random.below(4) {
        // More than a reactor reads of one connection in one turn.
        0 => Conditions::ideal().send_buffer(1 << 20).receive_buffer(1 << 20),
        1 => Conditions::rough(),
        _ => Conditions::rough()
            .latency(ms(random, 100))
            .jitter(ms(random, 100))
            .lag(ms(random, 20))
            .bandwidth(20_000 + random.below(2_000_000) as u64)
            .short_reads(random.below(900) as u16)
            .short_writes(random.below(900) as u16)
            .spurious(random.below(300) as u16)
            .send_buffer(400 + random.below(40_000))
            .receive_buffer(400 + random.below(40_000)),
    }
}

impl Session {
    fn new(simulation: &Simulation, faulty: bool) -> Self {
        let mut random = simulation.random();
        simulation.set_conditions(conditions(&mut random));
        let (ledger, counters) = (Ledger::default(), Counters::default());
        let mut talkers = {
            let (ledger, counters, mut random) = (ledger.clone(), counters.clone(), random.split());
            move |who| Talkers {
                who,
                ledger: ledger.clone(),
                random: random.split(),
                counters: counters.clone(),
                others: Vec::new(),
            }
        };
        let settings = Settings::default().close_timeout(Duration::from_secs(120));
        let server = simulation.host_with("server", settings.clone(), move |reactor| {
            reactor.listen_tcp(PORT, talkers(Who::Server))?;
            Ok(())
        });
        let caller = simulation.host_with("caller", settings, |_| Ok(()));
        // So that faults can name it from the start.
        let first = simulation.peer("crowd", server.address(PORT));
        let clients = vec![Client { peer: first, rude: false, slow: false }];
        let simulation = simulation.clone();
        let attempts = Vec::new();
        Self { simulation, random, ledger, counters, server, caller, clients, attempts, faulty }
    }

    /// What was received is entered into the accounts.
    fn hear(&self) {
        for client in &self.clients {
            self.ledger.hear(client.peer.address(), Who::Client, &client.peer.take());
        }
    }

    fn pass(&mut self, most: Duration) {
        let time = self.random.up_to(most);
        self.simulation.run_for(time);
        self.hear();
    }

    /// Somebody does something.
    fn step(&mut self) {
        self.pass(Duration::from_millis(400));
        let address = self.server.address(PORT);
        let choice = self.random.below(30);
        if choice < 4 && self.clients.len() < 12 {
            let peer = self.simulation.peer("crowd", address);
            return self.clients.push(Client { peer, rude: false, slow: false });
        }
        if choice < 7 && self.attempts.len() < 12 && self.caller.is_up() {
            let talkers = Talkers {
                who: Who::Client,
                ledger: self.ledger.clone(),
                random: self.random.split(),
                counters: self.counters.clone(),
                others: Vec::new(),
            };
            return self.attempts.push(self.caller.connect(address, talkers));
        }
        if self.clients.is_empty() {
            return;
        }
        let number = self.random.below(self.clients.len());
        let (random, client) = (&mut self.random, &mut self.clients[number]);
        let (peer, ledger) = (&client.peer, &self.ledger);
        match choice {
            7..=17 => {
                let length = random.below(if choice == 7 { 500_000 } else { 2000 });
                let finished = ledger.side(peer.address(), Who::Client, |side| side.finished);
                if !finished && !client.rude {
                    peer.send(ledger.say(peer.address(), Who::Client, length));
                }
            }
            18 | 19 => {
                ledger.side(peer.address(), Who::Client, |side| side.finished = true);
                peer.finish();
            }
            20 => {
                client.rude = true;
                ledger.side(peer.address(), Who::Client, |side| side.rude = true);
                peer.reset();
            }
            21 | 22 => {
                client.slow = true;
                peer.stop_reading();
            }
            23 | 24 => {
                client.slow = true;
                peer.read_slowly(1 + random.below(3000), random.up_to(Duration::from_millis(300)));
            }
            25 | 26 => peer.read_on(),
            27 => {
                // As if its process ended.
                ledger.side(peer.address(), Who::Client, |side| side.rude = true);
                drop(self.clients.remove(number));
            }
            _ => {}
        }
    }

    /// From here on nobody holds anything up.
    fn calm_down(&self) {
        self.clients.iter().for_each(|client| client.peer.read_on());
        for _ in 0..20 {
            self.simulation.run_for(Duration::from_secs(30));
            self.hear();
        }
        self.check_quiet();
        for client in &self.clients {
            self.ledger.side(client.peer.address(), Who::Client, |side| side.finished = true);
            client.peer.finish();
        }
        for _ in 0..40 {
            self.simulation.run_for(Duration::from_secs(30));
            self.hear();
        }
    }

    /// Nobody says anything any more, and nothing is left to be done.
    fn check_quiet(&self) {
        if self.faulty {
            return;
        }
        let left = self.server.holdings();
        assert_eq!(left.connections, self.server.open(), "sockets linger for a while only");
        for client in &self.clients {
            let address = client.peer.address();
            let Some(transport) = client.peer.transport() else { continue };
            if transport.is_connected() && !transport.is_paused() && client.peer.end().is_none() {
                let heard = self.ledger.side(address, Who::Server, |side| side.received);
                let sent = self.ledger.side(address, Who::Client, |side| side.sent);
                assert_eq!(heard, sent, "{address}: the server does not read what is there");
                assert_eq!(transport.unsent(), 0, "{address}: the server does not send");
            }
        }
    }

    /// Nothing that was promised is missing.
    fn check_accounts(&self) {
        let seed = self.simulation.seed();
        for client in self.clients.iter().filter(|client| !client.rude) {
            let address = client.peer.address();
            let server = self.ledger.side(address, Who::Server, |side| side.clone());
            let ours = self.ledger.side(address, Who::Client, |side| side.clone());
            if client.peer.end() == Some(End::Closed) && !server.rude {
                // A FIN is behind everything.
                assert_eq!(ours.received, server.sent, "seed {seed}: {address} misses bytes");
            }
            if self.faulty || client.slow || server.made == 0 {
                continue;
            }
            // Nothing broke it: so it ended, and for a reason that somebody wished for.
            let lost = server.lost.first();
            assert!(lost.is_some(), "seed {seed}: {address} is still open, {server:?}");
            // A client that goes on talking to one who has closed is reset in the end.
            if let (Some(Reason::Done), true) = (lost, server.received == ours.sent) {
                assert_eq!(client.peer.end(), Some(End::Closed), "seed {seed}: {address}");
            }
        }
        for (address, sides) in self.ledger.all() {
            let [client, server] = &sides;
            for (side, other) in [(client, server), (server, client)] {
                assert!(side.lost.len() <= 1 && side.made <= 1, "{address}: {side:?}");
                // What a protocol finds wrong ends it with a panic.
                let panicked = matches!(side.lost.first(), Some(Reason::Panicked(_)));
                assert!(!panicked, "{address}: {:?}", side.lost);
                // A FIN is behind everything that was accepted.
                let all = !side.heard_end || other.rude || side.received == other.sent;
                assert!(all, "{address} misses bytes: {sides:?}");
            }
        }
    }

    /// Everybody goes, and nothing stays.
    fn end(mut self) {
        self.clients.clear();
        self.simulation.run_for(Duration::from_secs(300));
        if !self.faulty {
            let left = self.server.holdings();
            assert_eq!((left.connections, left.timers, left.ports), (0, 0, 1), "{left:?}");
            assert_eq!(self.simulation.connections(), 0);
        }
        for host in [&self.server, &self.caller] {
            if host.is_up() {
                host.signal("SIGTERM");
                self.simulation.run_for(Duration::from_secs(1));
                assert!(host.has_stopped());
                let left = host.holdings();
                let held = (left.connections, left.timers, left.ports, left.factories);
                assert_eq!(held, (0, 0, 0, 0), "{left:?}");
            }
        }
        self.simulation.run_for(Duration::from_secs(3600));
        assert_eq!(self.simulation.connections(), 0, "the network is empty");
        let Counters { started, stopped, open, overtaken } = &self.counters;
        assert_eq!(overtaken.get(), 0, "what is due at the same moment comes in order");
        assert_eq!(open.get(), 0, "factories counted their open connections");
        assert_eq!(started.get(), stopped.get(), "each factory that started was stopped");
        for (address, sides) in self.ledger.all() {
            for side in sides {
                assert_eq!(side.made, side.lost.len(), "{address}: {side:?}");
            }
        }
    }
}

fn session(simulation: &Simulation) {
    let faulty = simulation.seed() % 2 == 0;
    let mut session = Session::new(simulation, faulty);
    let steps = 20 + session.random.below(60);
    if faulty {
        let hosts = ["server", "crowd", "caller", "server"];
        let (within, count) = (Duration::from_secs(20), 1 + session.random.below(6));
        let plan = Plan::random(&mut session.random, &hosts, within, count);
        simulation.follow(&plan);
    }
    for _ in 0..steps {
        session.step();
    }
    session.calm_down();
    session.check_accounts();
    session.end();
}

#[test]
fn what_is_promised_holds_in_every_session() {
    let start = Instant::now();
    let report = explore(RUNS, session);
    let rate = report.events as f64 / start.elapsed().as_secs_f64();
    println!("{report}, {rate:.0} events a second");
}
