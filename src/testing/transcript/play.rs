//! Playing a transcript on a backend, and recording what happens.

use super::backend::{Backend, Received, Role};
use super::difference::Difference;
use super::step::{Act, Step, of};
use crate::testing::End;
use std::io::{self, ErrorKind};

/// Continues after a difference, since later steps may explain it.
pub(super) fn play(
    steps: &[Step],
    line_end: &[u8],
    backend: &mut impl Backend,
) -> Result<(), Difference> {
    let mut play = Play { backend, line_end, clients: Vec::new(), happened: Vec::new() };
    let unnamed = steps.iter().find(|it| it.client.is_empty() && !matches!(it.act, Act::Pass(_)));
    if unnamed.is_some_and(|it| !it.act.is_attempt()) {
        play.connect("");
    }
    steps.iter().for_each(|step| play.step(step));
    for index in 0..play.clients.len() {
        play.note_unmentioned(index);
    }
    for _ in 0..play.backend.untaken_attempts() {
        play.happened.push(Act::Connect.to_string());
    }
    let remarks = || play.clients.iter().filter_map(|client| play.remark(client)).collect();
    Difference::between(steps, &play.happened, remarks)
}

struct Play<'a, B> {
    backend: &'a mut B,
    line_end: &'a [u8],
    /// Clients in the order in which they connected. The test is at one end of each connection.
    clients: Vec<Client>,
    /// The transcript as it happened.
    happened: Vec<String>,
}

struct Client {
    name: String,
    /// It failed to connect, or the test has reset its connection: nothing more comes.
    over: bool,
    /// Received bytes that no step has consumed yet.
    received: Vec<u8>,
    end: Option<End>,
    /// The end has been expected by a step, or noted.
    end_reported: bool,
    /// The test has finished or reset the connection.
    closed_by_test: bool,
}

impl<B: Backend> Play<'_, B> {
    fn step(&mut self, step: &Step) {
        let Step { client: name, act, .. } = step;
        if let Act::Pass(time) = act {
            self.backend.pass(*time);
            return self.happened.push(step.to_string());
        }
        let index = self.clients.iter().position(|client| client.name == *name);
        if act.is_attempt() {
            if let Some(index) = index {
                self.note_unmentioned(index);
                self.clients.remove(index);
            }
            let happens = match act {
                Act::BeRefused => self.is_refused(name),
                Act::GetNoAnswer => self.gets_no_answer(name),
                _ => self.connect(name),
            };
            if happens {
                self.happened.push(step.to_string());
            }
            return;
        }
        let Some(index) = index.filter(|index| !self.clients[*index].over) else { return };
        let happens = match (self.backend.role(), act) {
            (Role::Client, Act::Hear(bytes)) | (Role::Server, Act::Send(bytes)) => {
                self.hears(index, bytes)
            }
            (Role::Server, Act::Say(line)) => {
                let line = [line, self.line_end].concat();
                self.hears(index, &line)
            }
            (Role::Client, Act::HearNothing) | (Role::Server, Act::SayNothing) => {
                self.hears_nothing(index)
            }
            (Role::Client, Act::BeClosed) | (Role::Server, Act::Finish) => {
                self.ends(index, End::Closed)
            }
            (Role::Client, Act::BeReset) | (Role::Server, Act::Reset) => {
                self.ends(index, End::Reset)
            }
            (_, act) => self.does(index, act),
        };
        if happens {
            self.happened.push(step.to_string());
        }
    }

    fn connect(&mut self, name: &str) -> bool {
        let result = self.backend.connect(name);
        let act = match self.backend.role() {
            Role::Client => "connect",
            Role::Server => "be accepted",
        };
        let over = !self.note_error(name, act, result);
        self.add(name, over);
        !over
    }

    fn add(&mut self, name: &str, over: bool) {
        self.clients.push(Client {
            name: name.to_owned(),
            over,
            received: Vec::new(),
            end: None,
            end_reported: false,
            closed_by_test: false,
        });
    }

    fn is_refused(&mut self, name: &str) -> bool {
        if self.backend.role() == Role::Server {
            let result = self.backend.refuse(name);
            return self.note_error(name, "be refused", result);
        }
        let result = self.backend.connect(name);
        if result.as_ref().is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused) {
            return true;
        }
        let is_begun = self.note_error(name, "connect", result);
        self.add(name, !is_begun);
        is_begun && self.ends(self.clients.len() - 1, End::Refused)
    }

    fn gets_no_answer(&mut self, name: &str) -> bool {
        let result = self.backend.ignore(name);
        self.note_error(name, "be left without an answer", result)
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

    /// Carries out an act of the side that the test plays.
    fn does(&mut self, index: usize, act: &Act) -> bool {
        if matches!(act, Act::Reset | Act::BeReset) {
            // This side receives nothing afterwards.
            self.note_unmentioned(index);
        }
        let client = &mut self.clients[index];
        let name = client.name.clone();
        match act {
            Act::Finish | Act::BeClosed => {
                client.closed_by_test = true;
                self.backend.finish(&name);
            }
            Act::Reset | Act::BeReset => {
                (client.closed_by_test, client.over) = (true, true);
                self.backend.reset(&name);
            }
            Act::StopReading | Act::ReadOn if self.backend.role() == Role::Server => {
                let error = io::Error::other("it is the client that is tested");
                return self.note_error(&name, "be told when to read", Err(error));
            }
            Act::StopReading => self.backend.stop_reading(&name),
            Act::ReadOn => self.backend.resume_reading(&name),
            Act::Send(data) | Act::Hear(data) => {
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

    /// Notes all received bytes, and an end that the test did not cause itself.
    fn note_unmentioned(&mut self, index: usize) {
        while self.pull(index, false) {}
        self.note_data(index);
        if !self.clients[index].closed_by_test {
            self.note_end(index);
        }
    }

    fn note_data(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let received = std::mem::take(&mut client.received);
        for piece in received.split_inclusive(|&byte| byte == b'\n') {
            let act = match (self.backend.role(), piece.strip_suffix(self.line_end)) {
                (Role::Client, _) => Act::Hear(piece.to_vec()),
                (Role::Server, Some(line)) => Act::Say(line.to_vec()),
                (Role::Server, None) => Act::Send(piece.to_vec()),
            };
            self.happened.push(of(&client.name, &act));
        }
    }

    fn note_end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(end) = client.end.filter(|_| !client.end_reported) else { return };
        client.end_reported = true;
        self.happened.push(match (end, self.backend.role()) {
            (End::Closed, Role::Client) => of(&client.name, &Act::BeClosed),
            (End::Closed, Role::Server) => of(&client.name, &Act::Finish),
            (End::Reset, Role::Client) => of(&client.name, &Act::BeReset),
            (End::Reset, Role::Server) => of(&client.name, &Act::Reset),
            (End::TimedOut, _) => of(&client.name, &"times out"),
            (End::Refused, _) => of(&client.name, &Act::BeRefused),
        });
    }
}
