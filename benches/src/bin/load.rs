//! The load: clients of one server, over loopback, for a number of operations.
//!
//! `load ADDRESS PID echo|lines|chat|churn CONNECTIONS BYTES OPERATIONS` prints one line: the
//! server's CPU time per operation, the rate, and the 50th and 99th percentiles of the time that an
//! operation took. Every byte that an echo or a line server answers is compared.
//!
//! `load ADDRESS PID idle CONNECTIONS 0 0` prints the server's resident memory per connection.
//! `load ADDRESS PID fair CONNECTIONS BYTES OPERATIONS` is an echo beside one more client that sends
//! without pause. All of it is one thread: two would wait for each other, and not for the server.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TALKERS: usize = 10;
const LINES: usize = 64;

struct Client {
    socket: TcpStream,
    received: usize,
    sent_at: Instant,
    line: Vec<u8>,
}

struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// Sends without pause.
    stream: Option<Client>,
    buffer: Vec<u8>,
    times: Vec<u64>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, pid, work, connections, bytes, operations] = &arguments[..] else {
        panic!("load ADDRESS PID echo|lines|chat|churn|fair|idle CONNECTIONS BYTES OPERATIONS");
    };
    let number = |text: &String| text.parse::<usize>().unwrap();
    let (connections, bytes, operations) = (number(connections), number(bytes), number(operations));
    let address = address.parse().unwrap();
    match work.as_str() {
        "idle" => return idle(address, pid, connections),
        "churn" => return churn(address, pid, operations),
        _ => {}
    }
    let mut load = Load::connect(address, connections);
    if work == "fair" {
        load.stream = Some(load.clients.pop().unwrap());
    }
    let (request, reply) = match work.as_str() {
        "lines" => (b"How are you?\r\n".repeat(LINES), b"Fine\r\n".repeat(LINES)),
        _ => {
            let bytes: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 256) as u8).collect();
            (bytes.clone(), bytes)
        }
    };
    match work.as_str() {
        "chat" => {
            load.introduce();
            load.chat(operations / 10, bytes);
        }
        _ => {
            load.ping_pong(&request, &reply, operations / 10);
        }
    }
    load.times.clear();
    let (cpu, start) = (cpu_time(pid), Instant::now());
    let (done, rate_of) = match work.as_str() {
        "chat" => (load.chat(operations, bytes), "deliveries"),
        _ => (load.ping_pong(&request, &reply, operations), "operations"),
    };
    let (cpu, elapsed) = (cpu_time(pid) - cpu, start.elapsed());
    load.times.sort_unstable();
    let percentile = |per: usize| load.times[(load.times.len() - 1) * per / 100] / 1000;
    println!(
        "{:.4} us/op cpu, {:.0} {rate_of}/s, p50 {} us, p99 {} us",
        cpu as f64 / 1000.0 / done as f64,
        done as f64 / elapsed.as_secs_f64(),
        percentile(50),
        percentile(99),
    );
}

/// Opens connections, waits until the server has them, and compares its memory.
fn idle(address: SocketAddr, pid: &str, connections: usize) {
    // The first one pays for what all share.
    let mut first = Load::connect(address, 1);
    first.ping_pong(b"x", b"x", 1);
    let before = resident(pid);
    let mut load = Load::connect(address, connections);
    // Each has been served once, so that no buffer is merely yet to come.
    load.ping_pong(b"hello", b"hello", connections);
    println!("{:.0} bytes/connection", (resident(pid) - before) as f64 / connections as f64);
}

/// Bytes of a process's memory that are in use.
fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Connects, reads until the server closes, and again.
fn churn(address: SocketAddr, pid: &str, operations: usize) {
    let (cpu, start) = (cpu_time(pid), Instant::now());
    for _ in 0..operations {
        let mut got = Vec::new();
        std::net::TcpStream::connect(address).unwrap().read_to_end(&mut got).unwrap();
        assert_eq!(got, b"An apple a day keeps the doctor away\r\n");
    }
    let (cpu, elapsed) = (cpu_time(pid) - cpu, start.elapsed());
    let rate = operations as f64 / elapsed.as_secs_f64();
    let cpu = cpu as f64 / 1000.0 / operations as f64;
    println!("{cpu:.4} us/op cpu, {rate:.0} operations/s, p50 0 us, p99 0 us");
}

/// Nanoseconds that a process's first thread has run.
fn cpu_time(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

impl Load {
    fn connect(address: SocketAddr, connections: usize) -> Self {
        let poll = Poll::new().unwrap();
        let clients = (0..connections)
            .map(|at| {
                let socket = std::net::TcpStream::connect(address).unwrap();
                socket.set_nodelay(true).unwrap();
                socket.set_nonblocking(true).unwrap();
                let mut socket = TcpStream::from_std(socket);
                poll.registry().register(&mut socket, Token(at), Interest::READABLE).unwrap();
                Client { socket, received: 0, sent_at: Instant::now(), line: Vec::new() }
            })
            .collect();
        Self {
            poll,
            events: Events::with_capacity(1024),
            clients,
            stream: None,
            buffer: vec![0; 256 * 1024],
            times: Vec::new(),
        }
    }

    /// Each client sends a request, and the next when the reply has come.
    fn ping_pong(&mut self, request: &[u8], reply: &[u8], operations: usize) -> usize {
        let (mut begun, mut done) = (0, 0);
        for client in &mut self.clients {
            if begun < operations {
                begun += 1;
                client.send(request);
            }
        }
        while done < begun {
            let timeout = self.stream.as_ref().map(|_| Duration::ZERO);
            self.poll.poll(&mut self.events, timeout).unwrap();
            if let Some(stream) = &mut self.stream {
                let _ = stream.socket.write(&self.buffer[..64 * 1024]);
                let _ = stream.socket.read(&mut self.buffer[64 * 1024..]);
            }
            for event in &self.events {
                if event.token().0 == self.clients.len() {
                    continue;
                }
                let client = &mut self.clients[event.token().0];
                let count = client.read(&mut self.buffer);
                let expected = &reply[client.received..client.received + count];
                assert!(self.buffer[..count] == *expected, "a reply is wrong");
                client.received += count;
                if client.received == reply.len() {
                    self.times.push(client.sent_at.elapsed().as_nanos() as u64);
                    client.received = 0;
                    done += 1;
                    if begun < operations {
                        begun += 1;
                        client.send(request);
                    }
                }
            }
        }
        done
    }

    fn introduce(&mut self) {
        for (at, client) in self.clients.iter_mut().enumerate() {
            client.send(format!("member{at}\r\n").as_bytes());
            let welcome = format!("What's your name?\r\nWelcome, member{at}!\r\n");
            let mut got = Vec::new();
            while got.len() < welcome.len() {
                let count = client.read(&mut self.buffer);
                got.extend_from_slice(&self.buffer[..count]);
            }
            assert_eq!(got, welcome.as_bytes());
        }
    }

    /// Each talker has a witness, and says the next line when that has read the one before. Ends
    /// when everybody has read everything; returns how many lines were delivered.
    fn chat(&mut self, lines: usize, bytes: usize) -> usize {
        let text = "x".repeat(bytes);
        let (mut said, mut delivered) = (0, 0);
        for talker in 0..TALKERS {
            said += 1;
            self.clients[talker].send(format!("{text}\r\n").as_bytes());
        }
        let others = self.clients.len() - 1;
        while delivered < said * others {
            self.poll.poll(&mut self.events, None).unwrap();
            for event in &self.events {
                let at = event.token().0;
                let count = self.clients[at].read(&mut self.buffer);
                let data = &self.buffer[..count];
                delivered += memchr::memchr_iter(b'\n', data).count();
                if (TALKERS..2 * TALKERS).contains(&at) {
                    let talker = at - TALKERS;
                    let name = format!("<member{talker}>");
                    let line = &mut self.clients[at].line;
                    line.extend_from_slice(data);
                    let mut heard = 0;
                    while let Some(end) = memchr::memchr(b'\n', line) {
                        heard += usize::from(line.starts_with(name.as_bytes()));
                        line.drain(..=end);
                    }
                    for _ in 0..heard {
                        let talker = &mut self.clients[talker];
                        self.times.push(talker.sent_at.elapsed().as_nanos() as u64);
                        if said < lines {
                            said += 1;
                            talker.send(format!("{text}\r\n").as_bytes());
                        }
                    }
                }
            }
        }
        delivered
    }
}

impl Client {
    fn send(&mut self, data: &[u8]) {
        self.sent_at = Instant::now();
        assert_eq!(self.socket.write(data).unwrap(), data.len());
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        loop {
            match self.socket.read(&mut buffer[count..]) {
                Ok(0) => panic!("the server closed"),
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
