//! The workloads in which each connection is on its own.

use mill_net::errors::Result;
use mill_net::tcp::{ConnSender, ConnectionId, NetworkHandler, SendError, ServerContext};
use std::collections::HashMap;
use std::sync::Mutex;
use twistor_benches::lines::each_line;
use twistor_benches::{ACKNOWLEDGEMENT, QUOTE, SINK_LEN, answer};

/// What a connection's data is answered with. A sending that fails ends the connection, and calls
/// for that: no lock that the end needs is held meanwhile.
pub trait Answers: Send + Sync + 'static {
    fn received(&self, reply: Reply<'_>, id: ConnectionId, data: &[u8]);

    fn ended(&self, _: ConnectionId) {}
}

/// The handler of those workloads.
pub struct Answering<A> {
    answers: A,
    refused: Refused,
}

impl<A> Answering<A> {
    pub fn new(answers: A) -> Self {
        Self { answers, refused: Refused::default() }
    }
}

impl<A: Answers> NetworkHandler for Answering<A> {
    fn on_data(&self, ctx: &ServerContext, id: ConnectionId, data: &[u8]) -> Result<()> {
        if let Some(sender) = ctx.sender(id) {
            self.answers.received(Reply { sender, refused: &self.refused }, id, data);
        }
        Ok(())
    }

    fn on_drained(&self, ctx: &ServerContext, id: ConnectionId) -> Result<()> {
        let refused = self.refused.0.lock().unwrap().remove(&id);
        if let (Some(data), Some(sender)) = (refused, ctx.sender(id)) {
            let _ = sender.send(&data);
            sender.resume_reads();
        }
        Ok(())
    }

    fn on_disconnect(&self, _: &ServerContext, id: ConnectionId) -> Result<()> {
        self.refused.0.lock().unwrap().remove(&id);
        self.answers.ended(id);
        Ok(())
    }
}

/// Answers that were refused since too much is queued already. Their connections are not read from
/// until they are sent.
#[derive(Default)]
struct Refused(Mutex<HashMap<ConnectionId, Vec<u8>>>);

pub struct Reply<'a> {
    sender: ConnSender,
    refused: &'a Refused,
}

impl Reply<'_> {
    fn send(&self, data: &[u8]) {
        if let Err(SendError::Backpressure) = self.sender.send(data) {
            self.sender.pause_reads();
            self.refused.0.lock().unwrap().insert(self.sender.id(), data.to_vec());
        }
    }
}

pub struct Echo;

impl Answers for Echo {
    fn received(&self, reply: Reply<'_>, _: ConnectionId, data: &[u8]) {
        reply.send(data);
    }
}

#[derive(Default)]
pub struct Lines {
    /// Of the connections alone whose last line is unfinished.
    partials: Mutex<HashMap<ConnectionId, Vec<u8>>>,
    answers: Mutex<Vec<u8>>,
}

impl Answers for Lines {
    fn received(&self, reply: Reply<'_>, id: ConnectionId, data: &[u8]) {
        let mut answers = self.answers.lock().unwrap();
        let mut partial = self.partials.lock().unwrap().remove(&id).unwrap_or_default();
        each_line(&mut partial, data, |line| {
            answers.extend_from_slice(answer(line));
            answers.extend_from_slice(b"\r\n");
        });
        if !partial.is_empty() {
            self.partials.lock().unwrap().insert(id, partial);
        }
        reply.send(&answers);
        answers.clear();
    }

    fn ended(&self, id: ConnectionId) {
        self.partials.lock().unwrap().remove(&id);
    }
}

#[derive(Default)]
pub struct Sink {
    received: Mutex<HashMap<ConnectionId, u64>>,
}

impl Answers for Sink {
    fn received(&self, reply: Reply<'_>, id: ConnectionId, data: &[u8]) {
        let (before, after) = {
            let mut received = self.received.lock().unwrap();
            let received = received.entry(id).or_default();
            let before = *received;
            *received += data.len() as u64;
            (before, *received)
        };
        for _ in before / SINK_LEN..after / SINK_LEN {
            reply.send(&[ACKNOWLEDGEMENT]);
        }
    }

    fn ended(&self, id: ConnectionId) {
        self.received.lock().unwrap().remove(&id);
    }
}

pub struct Quote;

impl NetworkHandler for Quote {
    fn on_connect(&self, ctx: &ServerContext, id: ConnectionId) -> Result<()> {
        if let Some(sender) = ctx.sender(id) {
            // What is queued is lost by closing, but the first bytes are written at once.
            let _ = sender.send(QUOTE);
            sender.close();
        }
        Ok(())
    }

    fn on_data(&self, _: &ServerContext, _: ConnectionId, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
