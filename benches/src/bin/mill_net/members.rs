//! The workloads in which connections reach each other.

use mill_io::EventLoop;
use mill_net::errors::Result;
use mill_net::tcp::{ConnSender, ConnectionId, NetworkHandler, ServerContext};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use twistor_benches::BLOCK;
use twistor_benches::lines::each_line;

pub struct Chat {
    event_loop: Arc<EventLoop>,
    room: Arc<Mutex<Room>>,
}

#[derive(Default)]
struct Room {
    members: HashMap<ConnectionId, Member>,
    /// To be written to when the loop has dealt with all events of a turn.
    gathered: Vec<Arc<Outbox>>,
}

struct Member {
    outbox: Arc<Outbox>,
    partial: Vec<u8>,
    name: Option<Vec<u8>>,
}

struct Outbox {
    sender: ConnSender,
    unsent: Mutex<Vec<u8>>,
}

impl Chat {
    pub fn new(event_loop: Arc<EventLoop>) -> Self {
        Self { event_loop, room: Arc::default() }
    }

    /// Has what gathers written, once, when the events of this turn are dealt with.
    fn flush_later(&self) -> Result<()> {
        let room = self.room.clone();
        self.event_loop.post(move || flush(&room))
    }
}

impl NetworkHandler for Chat {
    fn on_connect(&self, ctx: &ServerContext, id: ConnectionId) -> Result<()> {
        if let Some(sender) = ctx.sender(id) {
            let outbox = Arc::new(Outbox { sender: sender.clone(), unsent: Mutex::default() });
            let member = Member { outbox, partial: Vec::new(), name: None };
            self.room.lock().unwrap().members.insert(id, member);
            sender.send(b"What's your name?\r\n")?;
        }
        Ok(())
    }

    fn on_data(&self, _: &ServerContext, id: ConnectionId, data: &[u8]) -> Result<()> {
        let mut room = self.room.lock().unwrap();
        let nothing_gathered = room.gathered.is_empty();
        room.received(id, data);
        if nothing_gathered && !room.gathered.is_empty() {
            self.flush_later()?;
        }
        Ok(())
    }

    fn on_disconnect(&self, _: &ServerContext, id: ConnectionId) -> Result<()> {
        self.room.lock().unwrap().members.remove(&id);
        Ok(())
    }
}

impl Room {
    fn received(&mut self, id: ConnectionId, data: &[u8]) {
        let Self { members, gathered } = self;
        let Some(member) = members.get_mut(&id) else { return };
        let mut partial = std::mem::take(&mut member.partial);
        let mut name = member.name.take();
        let outbox = member.outbox.clone();
        each_line(&mut partial, data, |line| match &name {
            None => {
                name = Some(line.to_vec());
                outbox.gather(gathered, &[b"Welcome, ", line, b"!\r\n"].concat());
            }
            Some(name) => {
                let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat();
                // The speaker's own name is out of its place meanwhile.
                for other in members.values().filter(|other| other.name.is_some()) {
                    other.outbox.gather(gathered, &message);
                }
            }
        });
        if let Some(member) = members.get_mut(&id) {
            (member.partial, member.name) = (partial, name);
        }
    }
}

impl Outbox {
    fn gather(self: &Arc<Self>, gathered: &mut Vec<Arc<Self>>, message: &[u8]) {
        let mut unsent = self.unsent.lock().unwrap();
        if unsent.is_empty() {
            gathered.push(self.clone());
        }
        unsent.extend_from_slice(message);
    }
}

/// A sending that fails ends the connection, and its end needs the room, unlocked meanwhile.
fn flush(room: &Mutex<Room>) {
    let mut gathered = std::mem::take(&mut room.lock().unwrap().gathered);
    for outbox in gathered.drain(..) {
        let mut unsent = outbox.unsent.lock().unwrap();
        let _ = outbox.sender.send(&unsent);
        unsent.clear();
    }
    let mut room = room.lock().unwrap();
    if room.gathered.is_empty() {
        room.gathered = gathered;
    }
}

pub struct Broadcast;

impl NetworkHandler for Broadcast {
    fn on_data(&self, ctx: &ServerContext, _: ConnectionId, data: &[u8]) -> Result<()> {
        for _ in data {
            ctx.broadcast(&BLOCK)?;
        }
        Ok(())
    }
}
