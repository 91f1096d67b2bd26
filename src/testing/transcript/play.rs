//! Playing a transcript on a backend, and recording what happens.

use super::backend::{Backend, Received};
use super::difference::Difference;
use super::step::{Act, Step, of};
use crate::testing::End;
use std::io;

/// Continues after a difference, since later steps may explain it.
pub(super) fn play(
    steps: &[Step],
    line_end: &[u8],
    backend: &mut impl Backend,
) -> Result<(), Difference> {
    let mut play = Play { backend, line_end, clients: Vec::new(), happened: Vec::new() };
    let unnamed = steps.iter().find(|it| it.client.is_empty() && !matches!(it.act, Act::Pass(_)));
    if unnamed.is_some_and(|it| it.act != Act::Connect) {
        play.connect("");
    }
    steps.iter().for_each(|step| play.step(step));
    for index in 0..play.clients.len() {
        play.note_unmentioned(index);
    }
    let remarks = || play.clients.iter().filter_map(|client| play.remark(client)).collect();
    Difference::between(steps, &play.happened, remarks)
}

struct Play<'a, B> {
    backend: &'a mut B,
    line_end: &'a [u8],
    /// Clients in the order in which they connected.
    clients: Vec<Client>,
    /// The transcript as it happened.
    happened: Vec<String>,
}

struct Client {
    name: String,
    /// It failed to connect, or reset its connection: it receives nothing more.
    over: bool,
    /// Received bytes that no step has consumed yet.
    received: Vec<u8>,
    end: Option<End>,
    /// The end has been expected by a step, or noted.
    end_reported: bool,
    /// It has finished or reset its connection itself.
    closed_itself: bool,
}

impl<B: Backend> Play<'_, B> {
    fn step(&mut self, step: &Step) {
        let Step { client: name, act, .. } = step;
        if let Act::Pass(time) = act {
            self.backend.pass(*time);
            return self.happened.push(step.to_string());
        }
        let index = self.clients.iter().position(|client| client.name == *name);
        if *act == Act::Connect {
            if let Some(index) = index {
                self.note_unmentioned(index);
                self.clients.remove(index);
            }
            return if self.connect(name) {
                self.happened.push(step.to_string())
            };
        }
        let Some(index) = index.filter(|index| !self.clients[*index].over) else { return };
        let happens = match act {
            Act::Hear(bytes) => self.hears(index, bytes),
            Act::HearNothing => self.hears_nothing(index),
            Act::BeClosed => self.ends(index, End::Closed),
            Act::BeReset => self.ends(index, End::Reset),
            act => self.does(index, act),
        };
        if happens {
            self.happened.push(step.to_string());
        }
    }

    fn connect(&mut self, name: &str) -> bool {
        let result = self.backend.connect(name);
        let over = !self.note_error(name, "connect", result);
        let (name, received) = (name.to_owned(), Vec::new());
        self.clients.push(Client {
            name,
            over,
            received,
            end: None,
            end_reported: false,
            closed_itself: false,
        });
        !over
    }

    fn note_error(&mut self, name: &str, act: &str, result: io::Result<()>) -> bool {
        if let Err(error) = &result {
            self.happened.push(of(name, &format!("cannot {act}: {error}")));
        }
        result.is_ok()
    }

    fn remark(&self, client: &Client) -> Option<String> {
        let name = Some(&client.name).filter(|_| !client.over)?;
        let remark = self.backend.remark(name)?;
        Some(if name.is_empty() { remark } else { format!("{name}: {remark}") })
    }

    /// Carries out an act of a client.
    fn does(&mut self, index: usize, act: &Act) -> bool {
        if *act == Act::Reset {
            // The client receives nothing afterwards.
            self.note_unmentioned(index);
        }
        let client = &mut self.clients[index];
        let name = client.name.clone();
        client.closed_itself |= matches!(act, Act::Finish | Act::Reset);
        match act {
            Act::Finish => self.backend.finish(&name),
            Act::Reset => {
                client.over = true;
                self.backend.reset(&name);
            }
            Act::StopReading => self.backend.stop_reading(&name),
            Act::ReadOn => self.backend.read_on(&name),
            Act::Send(data) => {
                let result = self.backend.send(&name, data);
                return self.note_error(&name, "send", result);
            }
            Act::Say(line) => {
                let result = self.backend.send(&name, &[line, self.line_end].concat());
                return self.note_error(&name, "send", result);
            }
            _ => {}
        }
        true
    }

    /// Takes bytes from the backend; true if there were any.
    fn pull(&mut self, index: usize, awaited: bool) -> bool {
        let client = &mut self.clients[index];
        if client.over || client.end.is_some() {
            return false;
        }
        match self.backend.next(&client.name, awaited) {
            Received::Data(data) if !data.is_empty() => {
                client.received.extend_from_slice(&data);
                return true;
            }
            Received::End(end) => client.end = Some(end),
            _ => {}
        }
        false
    }

    fn hears(&mut self, index: usize, bytes: &[u8]) -> bool {
        loop {
            let received = &mut self.clients[index].received;
            let both = received.len().min(bytes.len());
            if received[..both] == bytes[..both] && both == bytes.len() {
                received.drain(..both);
                return true;
            }
            if received[..both] != bytes[..both] || !self.pull(index, true) {
                self.note_unexpected(index);
                return false;
            }
        }
    }

    fn hears_nothing(&mut self, index: usize) -> bool {
        let before = self.happened.len();
        self.note_unmentioned(index);
        self.happened.len() == before
    }

    fn ends(&mut self, index: usize, end: End) -> bool {
        while self.pull(index, true) {}
        let client = &mut self.clients[index];
        let as_said = client.end == Some(end) && !client.end_reported;
        client.end_reported |= as_said;
        if as_said && end == End::Reset {
            client.received.clear();
        }
        self.note_data(index);
        self.note_end(index);
        as_said
    }

    /// Notes the whole lines of bytes that no step expected next; the rest may be what a later step
    /// expects.
    fn note_unexpected(&mut self, index: usize) {
        while self.pull(index, false) {}
        let received = &mut self.clients[index].received;
        let lines = received.iter().rposition(|&byte| byte == b'\n');
        let rest = lines.map_or(Vec::new(), |end| received.split_off(end + 1));
        self.note_data(index);
        if rest.is_empty() {
            self.note_end(index);
        }
        self.clients[index].received = rest;
    }

    /// Notes all received bytes, and an end that the client did not cause itself.
    fn note_unmentioned(&mut self, index: usize) {
        while self.pull(index, false) {}
        self.note_data(index);
        if !self.clients[index].closed_itself {
            self.note_end(index);
        }
    }

    fn note_data(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let received = std::mem::take(&mut client.received);
        for piece in received.split_inclusive(|&byte| byte == b'\n') {
            self.happened.push(of(&client.name, &Act::Hear(piece.to_vec())));
        }
    }

    fn note_end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(end) = client.end.filter(|_| !client.end_reported) else { return };
        client.end_reported = true;
        self.happened.push(match end {
            End::Closed => of(&client.name, &Act::BeClosed),
            End::Reset => of(&client.name, &Act::BeReset),
            End::TimedOut => of(&client.name, &"times out"),
            End::Refused => of(&client.name, &"is refused"),
        });
    }
}
