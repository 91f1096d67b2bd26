//! Random sessions on random networks, and properties that hold in every one of them.

mod deeds;
mod ending;
mod ledger;
mod setting;
mod talker;

use ledger::{Ledger, Who};
use setting::{Terms, conditions, settings};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use talker::{Counters, Talkers};
use twistor::error::ListenError;
use twistor::limits::{TimeoutKind, Timeouts};
use twistor::testing::{Attempt, End, Fault, FaultPlan, Host, Peer, Random, Simulation, explore};
use twistor::{ListeningPortId, Reason};

const PORT: u16 = 7000;

/// A second port, open only for a time.
const SECOND: u16 = 7001;

/// Number of seeds that run by default.
const RUNS: u64 = 500;

const MORE: &str = "TWISTOR_RUNS=100000 runs more";

/// A client without a reactor.
struct Client {
    peer: Peer,
    /// It has done something that may lose bytes: a reset, or a close without reading to the end.
    rude: bool,
    /// It does not read all the time.
    slow: bool,
    /// It has stopped reading for a time.
    stopped: bool,
}

impl Client {
    fn new(peer: Peer) -> Self {
        Self { peer, rude: false, slow: false, stopped: false }
    }
}

/// A run: a server, clients of both kinds, and their ledger.
struct Session {
    simulation: Simulation,
    random: Random,
    ledger: Ledger,
    /// Counters of the callers and of the server.
    counters: [Counters; 2],
    server: Host,
    /// The server's second port, while it is open.
    second: Option<ListeningPortId>,
    /// The second port has been open.
    was_second: bool,
    /// Idle timeout of the server's first port.
    idle: Option<Duration>,
    /// Connection limit of the server's first port.
    most: Option<usize>,
    /// A host whose reactor has clients.
    caller: Host,
    clients: Vec<Client>,
    attempts: Vec<Attempt>,
    /// Connections may break by injected faults.
    faulty: bool,
    /// The program of the clients without a reactor may be killed.
    crowd_may_be_killed: bool,
    /// Data arrives within seconds.
    fast: bool,
}

impl Session {
    fn new(simulation: &Simulation, faulty: bool) -> Self {
        let mut random = simulation.random();
        let kind = random.below(4);
        let fast = kind < 2;
        simulation.set_conditions(conditions(kind, &mut random));
        let (ledger, counters) = (Ledger::default(), [Counters::default(), Counters::default()]);
        let boots = |who: Who| {
            let (ledger, counters) = (ledger.clone(), counters[who as usize].clone());
            move || {
                ledger.crash(who);
                counters.crash();
            }
        };
        let (restart, recall) = (boots(Who::Server), boots(Who::Client));
        let terms = Terms::new(&mut random);
        let Terms { most, idle, rates, .. } = terms;
        let mut talkers = {
            let (ledger, counters) = (ledger.clone(), counters[Who::Server as usize].clone());
            let mut random = random.split();
            move || {
                let talkers = Talkers::new(Who::Server, &ledger, &counters, random.split());
                talkers.with_idle_timeout(idle).with_rates(rates)
            }
        };
        // Short enough that a slow reader exceeds it, and long enough that the link does not.
        let close_timeout = Duration::from_secs(if fast { 3 } else { 120 });
        let settings = settings(&mut random).close_timeout(close_timeout);
        let server = simulation.host_with("server", settings.clone(), move |reactor| {
            restart();
            let port = reactor.listen_tcp(PORT, talkers())?;
            terms.set(reactor, port);
            Ok(())
        });
        let caller = simulation.host_with("caller", settings, move |_| {
            recall();
            Ok(())
        });
        // So that faults can name this host from the first step on.
        let first = simulation.peer("crowd", server.address(PORT));
        Self {
            simulation: simulation.clone(),
            random,
            ledger,
            counters,
            server,
            second: None,
            was_second: false,
            idle,
            most,
            caller,
            clients: vec![Client::new(first)],
            attempts: Vec::new(),
            faulty,
            crowd_may_be_killed: false,
            fast,
        }
    }

    /// Returns the address that the next client connects to.
    fn target(&mut self) -> SocketAddr {
        let second = self.second.is_some() && self.random.below(2) == 0;
        self.server.address(if second { SECOND } else { PORT })
    }

    /// Opens or closes the second port, which has a factory of its own.
    fn turn_second(&mut self) {
        if !self.server.is_up() {
            return;
        }
        self.was_second = true;
        let (ledger, counters) = (&self.ledger, &self.counters[Who::Server as usize]);
        self.second = match self.second.take() {
            None => {
                let talkers = Talkers::new(Who::Server, ledger, counters, self.random.split());
                let talkers = talkers.with_idle_timeout(self.idle);
                let timeouts = self.idle.map(|idle| Timeouts::new().idle(idle));
                let opened = self.server.reactor(|reactor| {
                    let port = reactor.listen_tcp(SECOND, talkers)?;
                    reactor.set_timeouts(&port, timeouts.unwrap_or_default());
                    Ok::<_, ListenError>(port.id())
                });
                // It has no descriptor while a fault takes them all.
                assert!(opened.is_ok() || self.faulty, "{opened:?}");
                opened.ok()
            }
            Some(port) => {
                self.server.reactor(|reactor| reactor.stop_listening(port));
                None
            }
        };
    }

    /// Enters received bytes into the ledger.
    fn hear(&self) {
        for client in &self.clients {
            self.ledger.hear(client.peer.address(), Who::Client, &client.peer.take_received());
        }
    }

    fn pass(&mut self, most: Duration) {
        let time = self.random.up_to(most);
        self.simulation.run_for(time);
        self.hear();
        // The second port has no limit.
        if let (Some(most), None, false) = (self.most, self.second, self.was_second) {
            assert!(self.server.open() <= most, "{} clients are too many", self.server.open());
        }
    }

    /// Performs a random action.
    fn step(&mut self) {
        self.pass(Duration::from_millis(400));
        let address = self.target();
        let choice = self.random.below(30);
        if choice < 4 && self.clients.len() < 12 {
            return self.clients.push(Client::new(self.simulation.peer("crowd", address)));
        }
        if choice < 7 && self.attempts.len() < 12 && self.caller.is_up() {
            let random = self.random.split();
            let counters = &self.counters[Who::Client as usize];
            let talkers = Talkers::new(Who::Client, &self.ledger, counters, random);
            return self.attempts.push(self.caller.connect(address, talkers));
        }
        if choice == 28 {
            return self.turn_second();
        }
        if self.clients.is_empty() {
            return;
        }
        let number = self.random.below(self.clients.len());
        let (random, client) = (&mut self.random, &mut self.clients[number]);
        let (peer, ledger) = (&client.peer, &self.ledger);
        match choice {
            7..=17 => {
                let length = 1 + random.below(if choice == 7 { 500_000 } else { 2000 });
                let finished = ledger.side(peer.address(), Who::Client, |side| side.finished);
                if !finished && !client.rude {
                    if choice == 8 {
                        peer.send_urgent();
                    }
                    peer.send(ledger.say(peer.address(), Who::Client, length));
                }
            }
            18 | 19 => {
                ledger.side(peer.address(), Who::Client, |side| side.finished = true);
                peer.close_write();
            }
            20 => {
                client.rude = true;
                ledger.side(peer.address(), Who::Client, |side| side.rude = true);
                peer.reset();
            }
            21 | 22 => {
                (client.slow, client.stopped) = (true, true);
                peer.stop_reading();
            }
            23 | 24 => {
                client.slow = true;
                peer.read_slowly(1 + random.below(3000), random.up_to(Duration::from_millis(300)));
            }
            25 | 26 => peer.resume_reading(),
            27 => {
                // Like the end of its process.
                ledger.side(peer.address(), Who::Client, |side| side.rude = true);
                drop(self.clients.remove(number));
            }
            _ => {}
        }
    }

    /// Resumes all reading, and lets the session come to rest.
    fn calm_down(&mut self) {
        if self.second.is_some() {
            self.turn_second();
        }
        self.clients.iter().for_each(|client| client.peer.resume_reading());
        for _ in 0..20 {
            self.simulation.run_for(Duration::from_secs(30));
            self.hear();
        }
        self.check_quiet();
        self.check_service();
        for client in &self.clients {
            self.ledger.side(client.peer.address(), Who::Client, |side| side.finished = true);
            client.peer.close_write();
        }
        for _ in 0..40 {
            self.simulation.run_for(Duration::from_secs(30));
            self.hear();
        }
    }

    /// Checks that nothing is left to do when no client sends any more.
    fn check_quiet(&self) {
        if self.faulty {
            return;
        }
        let left = self.server.open_resources();
        assert_eq!(left.connections, self.server.open(), "sockets linger for a while only");
        if self.idle.is_some() {
            let paused = |client: &Client| client.peer.transport().is_some_and(|it| it.is_paused());
            assert!(
                left.connections == 0 || self.clients.iter().any(paused),
                "every idle connection has timed out"
            );
        }
        for client in &self.clients {
            let address = client.peer.address();
            let Some(transport) = client.peer.transport() else { continue };
            if transport.is_connected()
                && !transport.is_paused()
                && client.peer.close_kind().is_none()
            {
                let heard = self.ledger.side(address, Who::Server, |side| side.received);
                let sent = self.ledger.side(address, Who::Client, |side| side.sent);
                assert_eq!(heard, sent, "{address}: the server does not read what is there");
                assert_eq!(transport.unsent(), 0, "{address}: the server does not send");
            }
        }
    }

    /// Checks that a new client is served or rejected, whatever has happened.
    fn check_service(&mut self) {
        let newcomer = self.simulation.peer("crowd", self.server.address(PORT));
        self.simulation.run_for(Duration::from_secs(60));
        let heard = newcomer.transport().is_some() || newcomer.close_kind().is_some();
        assert!(heard || !self.server.is_up(), "a client waits for ever to be accepted");
        self.clients.push(Client::new(newcomer));
    }

    /// Checks that every guarantee was kept.
    fn check_accounts(&self) {
        let seed = self.simulation.seed();
        for client in self.clients.iter().filter(|client| !client.rude) {
            let address = client.peer.address();
            let server = self.ledger.side(address, Who::Server, |side| side.clone());
            let ours = self.ledger.side(address, Who::Client, |side| side.clone());
            if client.peer.close_kind() == Some(End::Closed) && !server.rude {
                // A FIN follows all data.
                assert_eq!(ours.received, server.sent, "seed {seed}: {address} misses bytes");
            }
            if self.faulty || server.made == 0 {
                continue;
            }
            // The close timeout does not expire for a client that takes something now and then.
            let timed_out =
                matches!(server.lost.first(), Some(Reason::TimedOut(TimeoutKind::Close)));
            assert!(client.stopped || !timed_out, "seed {seed}: {address} {server:?}");
            if client.slow {
                continue;
            }
            // No fault broke it: so it has ended, and for a reason that one side requested.
            let lost = server.lost.first();
            assert!(lost.is_some(), "seed {seed}: {address} is still open, {server:?}");
            // A client that keeps sending to a closed peer is reset in the end, but not before it
            // has received the goodbye; unless it only then begins to send.
            if let Some(Reason::Done) = lost {
                let all = ours.received == server.sent || server.received == 0;
                assert!(all || !self.fast, "seed {seed}: {address} misses bytes, {server:?}");
                let closed = client.peer.close_kind() == Some(End::Closed);
                assert!(closed || server.received < ours.sent, "seed {seed}: {address}");
            }
        }
        for (address, sides) in self.ledger.all() {
            let [client, server] = &sides;
            for (side, other) in [(client, server), (server, client)] {
                assert!(side.lost.len() <= 1 && side.made <= 1, "{address}: {side:?}");
                // A failed check in a protocol ends it with a panic.
                let panicked = matches!(side.lost.first(), Some(Reason::Panicked(_)));
                assert!(!panicked, "{address}: {:?}", side.lost);
                // A FIN follows all accepted data, except of a program that was killed: its system
                // sends it behind what it was given.
                let may_be_killed = other.crashed || (other.made == 0 && self.crowd_may_be_killed);
                let excused = other.rude || may_be_killed;
                let all = !side.heard_end || excused || side.received == other.sent;
                assert!(all, "{address} misses bytes: {sides:?}");
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
        let plan = FaultPlan::random(&mut session.random, &hosts, within, count);
        session.crowd_may_be_killed = plan.faults().iter().any(
            |(_, fault)| matches!(fault, Fault::ProcessOutage { host, .. } if host == "crowd"),
        );
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
fn the_guarantees_hold_in_every_session() {
    let start = Instant::now();
    let report = explore(RUNS, session);
    let rate = report.events as f64 / start.elapsed().as_secs_f64();
    // Shown even though the test passes, unlike the output of `println!`: how much was tried.
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "random sessions: {report}, {rate:.0} events a second; {MORE}");
}
