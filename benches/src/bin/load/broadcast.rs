//! Broadcast: one byte in, and a block to each client.

use crate::Workload;
use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::phase::Phase;
use crate::socket::Socket;
use crate::watch::Watch;
use mio::event::Event;
use mio::net::TcpStream;
use std::time::Instant;
use twistor_benches::{BLOCK, BLOCK_LEN};

/// More than a block, so that the read which ends one is short.
const BUFFER_LEN: usize = 2 * BLOCK_LEN;

struct Member {
    socket: Socket<TcpStream>,
    /// Bytes of the block received so far.
    received: usize,
}

/// The members, and how far the block has come.
struct Room {
    members: Vec<Member>,
    buffer: Vec<u8>,
    /// Who asks for the next block.
    turn: usize,
    /// How many have yet to receive the whole of this one.
    missing: usize,
    begun: Instant,
}

pub struct Broadcast {
    watch: Watch,
    room: Room,
}

impl Broadcast {
    pub fn connect(order: &Order) -> Outcome<Self> {
        let watch = Watch::new()?;
        let mut members = Vec::with_capacity(order.connections);
        for (at, socket) in connection::connect_unserved(order)?.into_iter().enumerate() {
            let mut socket = connection::nonblocking(socket, at)?;
            watch.add(&mut socket.tcp, at)?;
            members.push(Member { socket, received: BLOCK_LEN });
        }
        let (buffer, begun) = (vec![0; BUFFER_LEN], Instant::now());
        Ok(Self { watch, room: Room { members, buffer, turn: 0, missing: 0, begun } })
    }
}

impl Room {
    fn begin(&mut self, phase: &mut Phase, now: Instant) -> Outcome<()> {
        if !phase.begin(self.members.len() as u64, now) {
            return Ok(());
        }
        self.members.iter_mut().for_each(|member| member.received = 0);
        self.missing = self.members.len();
        self.begun = now;
        self.turn = (self.turn + 1) % self.members.len();
        match connection::write(&mut self.members[self.turn].socket, self.turn, b"x")? {
            1 => Ok(()),
            _ => Err(Failure::of(self.turn, "the socket took no byte: the server does not read")),
        }
    }

    fn heed(&mut self, event: &Event, phase: &mut Phase) -> Outcome<()> {
        let at = event.token().0;
        let mut more = event.is_readable();
        while more {
            let member = &mut self.members[at];
            let Some(count) = connection::read(&mut member.socket, at, &mut self.buffer)? else {
                return Ok(());
            };
            let (data, before) = (&self.buffer[..count], member.received);
            if BLOCK.get(before..before + count) != Some(data) {
                return Err(Failure::wrong_bytes(at, before as u64, &BLOCK[before..], data));
            }
            member.received += count;
            if member.received == BLOCK_LEN {
                self.missing -= 1;
                if self.missing == 0 {
                    let now = Instant::now();
                    phase.end(self.members.len() as u64, self.begun, now);
                    self.begin(phase, now)?;
                }
            }
            more = count == self.buffer.len() || event.is_read_closed();
        }
        Ok(())
    }
}

impl Workload for Broadcast {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { watch, room } = self;
        room.begin(phase, Instant::now())?;
        loop {
            let over = phase.is_quiet();
            watch.wait(!over)?;
            for event in &watch.events {
                room.heed(event, phase)?;
            }
            if over {
                return Ok(());
            }
        }
    }
}
