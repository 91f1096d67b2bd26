//! Whole programs in small, of kinds that users write: a client pool that connects again with a
//! growing delay, and an answer that comes later.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use twistor::testing::Simulation;
use twistor::{
    Context, Factory, FactoryKey, LineContext, LineReceiver, Lines, Protocol, Reactor, Reason,
    TcpClientEndpoint, Transport, build_protocol,
};

/// Sends jobs to a server over one connection, each as a line, and keeps those that are not
/// confirmed. The state lives in the factory, also while there is no connection.
struct Pool {
    server: SocketAddr,
    jobs: VecDeque<String>,
    attempts: u32,
    connected: u32,
}

const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

impl Pool {
    /// Connects again after a delay that doubles with each attempt, half of it random.
    fn connect_later(&mut self, reactor: &mut Reactor, key: FactoryKey<Self>) {
        let delay = BACK_OFF.saturating_mul(1 << self.attempts.min(20)).min(BACK_OFF_MAX);
        self.attempts += 1;
        let (server, jitter) = (self.server, reactor.random_duration(delay / 2));
        reactor.call_later(delay / 2 + jitter, move |reactor| {
            let endpoint = TcpClientEndpoint::new(server).timeout(Duration::from_secs(1));
            reactor.connect_tcp(endpoint, key).expect("the pool is kept");
        });
    }
}

struct Job;

impl LineReceiver<Pool> for Job {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Pool>) {
        (cx.factory.attempts, cx.factory.connected) = (0, cx.factory.connected + 1);
        if let Some(job) = cx.factory.jobs.front() {
            cx.lines.send_line(job);
        }
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Pool>, _confirmation: &[u8]) {
        cx.factory.jobs.pop_front();
        if let Some(job) = cx.factory.jobs.front() {
            cx.lines.send_line(job);
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Pool>, reason: &Reason) {
        let key = cx.key();
        if !matches!(reason, Reason::Stopped) {
            cx.factory.connect_later(cx.reactor, key);
        }
    }
}

impl Factory for Pool {
    build_protocol!(Lines<Job>, |_pool| Lines::new(Job));

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let key = reactor.key_of(self).expect("it runs");
        if error.kind() != io::ErrorKind::ConnectionAborted {
            self.connect_later(reactor, key);
        }
    }
}

#[test]
fn a_pool_keeps_its_jobs_while_the_server_is_away() {
    twistor::testing::explore(20, |simulation: &Simulation| {
        let listener = simulation.listen("server", 8007);
        let server = listener.address();
        let client = simulation.host("client", move |reactor| {
            let jobs = (0..3).map(|number| format!("job {number}")).collect();
            let key = reactor.add_factory(Pool { server, jobs, attempts: 0, connected: 0 })?;
            reactor.tell(key, move |pool: &mut Pool, reactor| pool.connect_later(reactor, key));
            Ok(key)
        });
        (0..10).for_each(|_| listener.refuse());
        let mut server = listener.accept();
        let (mut before, mut longest) = (Duration::ZERO, BACK_OFF);
        for at in listener.attempts() {
            let waited = at - before;
            assert!((longest / 2..=longest).contains(&waited), "{waited:?}, {longest:?} at most");
            (before, longest) = (at, (longest * 2).min(BACK_OFF_MAX));
        }
        // It holds the connection, makes it again when that breaks, and repeats what is not
        // confirmed.
        for number in 0..3 {
            assert_eq!(server.take_received(), format!("job {number}\r\n").as_bytes());
            server.reset();
            server = listener.accept();
            assert_eq!(server.take_received(), format!("job {number}\r\n").as_bytes());
            server.send("done\r\n");
        }
        simulation.run_for(Duration::from_secs(30));
        let seen = |pool: &mut Pool| (pool.jobs.len(), pool.attempts, pool.connected);
        let state = client.reactor(|reactor| {
            reactor.with_factory(*client.state(), |pool, _| seen(pool)).unwrap()
        });
        assert_eq!((state, listener.waiting()), ((0, 0, 4), 0));
    });
}

/// A protocol of bytes comes back to itself after a delay, with its state.
struct Patient(u32);

impl<F: 'static> Protocol<F> for Patient {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        self.0 += data.len() as u32;
        cx.call_later(Duration::from_secs(1), |this: &mut Self, cx| {
            cx.transport.write(format!("{} bytes\n", this.0));
        });
    }
}

#[test]
fn an_answer_comes_after_its_delay() {
    let peer = twistor::testing::connect(|| Patient(0));
    peer.send("abc");
    peer.send("de");
    peer.advance(Duration::from_secs(1));
    assert_eq!(peer.take_received(), b"5 bytes\n5 bytes\n");
}
