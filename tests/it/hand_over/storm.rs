//! A storm: clients connect as fast as they can while the program is restarted again and again, and
//! none is refused or reset.
//!
//! The gate of this property, ten restarts under ten thousand connections a second, takes a release
//! build:
//!
//! ```text
//! TWISTOR_RESTARTS=10 cargo test --release --test it -- --nocapture hand_over::storm
//! ```

use super::Program;
use crate::support::{Folder, TIMEOUT};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients at a time.
const CLIENTS: usize = 16;

/// Connections between two restarts.
const CONNECTIONS: usize = 500;
const CONNECTIONS_OF_GATE: usize = 20_000;

/// What clients have seen: how many each process has answered, and what went wrong.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    answers: Mutex<BTreeMap<u32, usize>>,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// Asks once who serves, and reads to the end.
fn ask(address: SocketAddr) -> io::Result<u32> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(TIMEOUT))?;
    client.write_all(b"once\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    // The exchange is over. The server's end would keep the port number of each for a minute.
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    let process = answer.trim_end().parse();
    process.map_err(|_| io::Error::other(format!("an answer of {answer:?}")))
}

/// Ends the clients, also when the test fails.
struct EndOfStorm<'a>(&'a Seen);

impl Drop for EndOfStorm<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

fn ask_again_and_again(address: SocketAddr, seen: &Seen) {
    let mut answers = BTreeMap::new();
    while !seen.is_over.load(Ordering::Relaxed) {
        match ask(address) {
            Ok(process) => *answers.entry(process).or_insert(0) += 1,
            Err(error) => seen.failures.lock().unwrap().push(error.to_string()),
        }
        seen.served.fetch_add(1, Ordering::Relaxed);
    }
    let mut all = seen.answers.lock().unwrap();
    answers.into_iter().for_each(|(process, count)| *all.entry(process).or_insert(0) += count);
}

#[test]
fn no_client_is_refused_or_reset_by_restarts() {
    storm("serves");
}

#[test]
fn no_client_is_refused_or_reset_by_restarts_of_shards_with_an_acceptor() {
    storm("acceptor");
}

#[test]
fn no_client_is_refused_or_reset_by_restarts_of_shards_with_sockets_of_their_own() {
    storm("reuse-port");
}

/// Restarts a program in this role under a storm.
fn storm(role: &str) {
    let restarts = std::env::var("TWISTOR_RESTARTS").ok().map(|count| count.parse().unwrap());
    let connections = if restarts.is_some() { CONNECTIONS_OF_GATE } else { CONNECTIONS };
    let restarts: usize = restarts.unwrap_or(3);
    let (folder, port) = (Folder::new(), "tcp:0:interface=127.0.0.1:backlog=4096");
    let mut serving = Program::serving_as(role, &folder, &[port]);
    let address = serving.addresses[0].socket_addr().unwrap();
    let seen = Seen::default();
    let (mut processes, begin) = (vec![serving.child.id()], Instant::now());
    thread::scope(|scope| {
        let _end = EndOfStorm(&seen);
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_again_and_again(address, &seen));
        }
        let more = || {
            let (start, until) =
                (Instant::now(), seen.served.load(Ordering::Relaxed) + connections);
            while seen.served.load(Ordering::Relaxed) < until && start.elapsed() < TIMEOUT {
                thread::sleep(Duration::from_millis(1));
            }
        };
        for _ in 0..restarts {
            more();
            let next = Program::serving_as(role, &folder, &[port]);
            processes.push(next.child.id());
            std::mem::replace(&mut serving, next).expect_drained();
        }
        more();
    });
    let (elapsed, answers) = (begin.elapsed(), seen.answers.into_inner().unwrap());
    let total: usize = answers.values().sum();
    println!(
        "{restarts} restarts in {elapsed:.1?}: {total} connections, {:.0} a second, by {:?}",
        total as f64 / elapsed.as_secs_f64(),
        answers.values().collect::<Vec<_>>()
    );
    assert_eq!(seen.failures.into_inner().unwrap(), [] as [&str; 0]);
    processes.sort_unstable();
    assert!(answers.into_keys().eq(processes), "each process has served");
}
