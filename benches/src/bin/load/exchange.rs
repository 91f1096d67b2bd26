//! Ping-pong: each client sends the same request again and again, and waits for each reply.
//! The workloads `echo`, `pipeline`, `lines` and `source`.

use crate::Workload;
use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::phase::Phase;
use crate::socket::{Encryption, Socket};
use crate::watch::Watch;
use mio::event::Event;
use mio::net::TcpStream;
use std::time::Instant;
use twistor_benches::{BLOCK, answer};

/// Clients that begin between two polls for replies: if ten thousand began at once, the result
/// would be how long that takes.
const BURST: usize = 64;

/// One read for most replies, and small enough to stay in the cache.
const BUFFER_LEN: usize = 256 * 1024;

/// What each client says, and what it must hear.
struct Script {
    request: Vec<u8>,
    reply: Vec<u8>,
    operations: u64,
}

impl Script {
    /// Messages that come back as they are, so many in one batch.
    fn echo(bytes: usize, depth: usize) -> Self {
        let message: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 256) as u8).collect();
        let batch = message.repeat(depth);
        Self { request: batch.clone(), reply: batch, operations: depth as u64 }
    }

    /// A byte, and the block that it asks for.
    fn source() -> Self {
        Self { request: b"x".to_vec(), reply: BLOCK.to_vec(), operations: 1 }
    }

    fn lines(lines: usize, bytes: usize) -> Self {
        let line = match b"How are you?" {
            known if known.len() == bytes => known.to_vec(),
            _ => vec![b'x'; bytes],
        };
        let request = [&line[..], b"\r\n"].concat().repeat(lines);
        let reply = [answer(&line), b"\r\n"].concat().repeat(lines);
        Self { request, reply, operations: 1 }
    }
}

struct Client {
    socket: Socket<TcpStream>,
    number: usize,
    /// Of the request. All of it, and of the reply too, between two exchanges.
    sent: usize,
    received: usize,
    begun: Instant,
}

pub struct Exchange {
    watch: Watch,
    clients: Vec<Client>,
    script: Script,
    buffer: Vec<u8>,
}

impl Exchange {
    pub fn echo(order: &Order) -> Outcome<Self> {
        let first = Script::echo(order.bytes.min(1024), 1);
        Self::connect(order, &first, Script::echo(order.bytes, order.depth))
    }

    pub fn source(order: &Order) -> Outcome<Self> {
        Self::connect(order, &Script::source(), Script::source())
    }

    pub fn lines(order: &Order) -> Outcome<Self> {
        let first = Script::lines(1, order.bytes);
        Self::connect(order, &first, Script::lines(order.lines, order.bytes))
    }

    /// `first` is a short exchange of each, by which it is known to be served.
    fn connect(order: &Order, first: &Script, script: Script) -> Outcome<Self> {
        let watch = Watch::new()?;
        let encryption = Encryption::new(order);
        let mut clients = Vec::with_capacity(order.connections);
        for number in 0..order.connections {
            let tcp = connection::connect(order.address, number)?;
            let mut socket = encryption.on(tcp, number)?;
            connection::exchange(&mut socket, number, &first.request, &first.reply)?;
            let mut socket = connection::nonblocking(socket, number)?;
            watch.add(&mut socket.tcp, number)?;
            let (sent, received) = (script.request.len(), script.reply.len());
            clients.push(Client { socket, number, sent, received, begun: Instant::now() });
        }
        Ok(Self { watch, clients, script, buffer: vec![0; BUFFER_LEN] })
    }
}

impl Workload for Exchange {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { watch, clients, script, buffer } = self;
        let mut waiting = 0;
        loop {
            for client in clients.iter_mut().skip(waiting).take(BURST) {
                waiting += 1;
                client.begin(script, phase, Instant::now())?;
            }
            let over = waiting == clients.len() && phase.is_quiet();
            watch.wait(waiting == clients.len() && !over)?;
            for event in &watch.events {
                clients[event.token().0].heed(event, script, buffer, phase)?;
            }
            if over {
                return Ok(());
            }
        }
    }
}

impl Client {
    fn begin(&mut self, script: &Script, phase: &mut Phase, now: Instant) -> Outcome<()> {
        if !phase.begin(script.operations, now) {
            return Ok(());
        }
        self.begun = now;
        (self.sent, self.received) = (0, 0);
        self.send(script)
    }

    fn send(&mut self, script: &Script) -> Outcome<()> {
        let unsent = &script.request[self.sent..];
        self.sent += connection::write(&mut self.socket, self.number, unsent)?;
        Ok(())
    }

    fn heed(
        &mut self,
        event: &Event,
        script: &Script,
        buffer: &mut [u8],
        phase: &mut Phase,
    ) -> Outcome<()> {
        if event.is_writable() && self.sent < script.request.len() {
            self.send(script)?;
        }
        let mut more = event.is_readable();
        while more {
            let Some(count) = connection::read(&mut self.socket, self.number, buffer)? else {
                return Ok(());
            };
            self.hear(&buffer[..count], script, phase)?;
            // Data and the end may share an edge, and then the end is still to be read.
            more = count == buffer.len() || event.is_read_closed();
        }
        Ok(())
    }

    fn hear(&mut self, data: &[u8], script: &Script, phase: &mut Phase) -> Outcome<()> {
        let end = self.received + data.len();
        if script.reply.get(self.received..end) != Some(data) {
            let (before, due) = (self.received as u64, &script.reply[self.received..]);
            return Err(Failure::wrong_bytes(self.number, before, due, data));
        }
        self.received = end;
        if end < script.reply.len() {
            return Ok(());
        }
        let now = Instant::now();
        phase.end(script.operations, self.begun, now);
        self.begin(script, phase, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_known_and_lines_that_are_not() {
        let script = Script::lines(2, 12);
        assert_eq!(script.request, b"How are you?\r\nHow are you?\r\n");
        assert_eq!(script.reply, b"Fine\r\nFine\r\n");
        let script = Script::lines(1, 3);
        assert_eq!(script.request, b"xxx\r\n");
        assert_eq!(script.reply, b"I don't know what you mean\r\n");
    }

    #[test]
    fn a_batch_of_messages_is_as_many_operations() {
        let script = Script::echo(3, 2);
        assert_eq!((&script.reply[..], script.operations), (&[0, 7, 14, 0, 7, 14][..], 2));
        assert_eq!(script.request, script.reply);
    }
}
