//! `Client`: the connection to the server.

use super::input::{self, Input};
use super::redis::{Reply, Session};
use super::{Cli, TIMEOUT};
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Sender, channel};
use twistor::limits::TimeoutKind;
use twistor::requests::RequestQueue;
use twistor::{Context, Protocol, Reason};

/// Commands under way at most. Enough to fill a connection with the lines of a file.
const DEPTH: usize = 64;

/// Where commands come from.
pub(crate) enum Commands {
    /// The arguments of the program, as the bytes of a command.
    One(Vec<u8>),
    /// The standard input.
    Lines,
}

pub(crate) struct Client {
    session: Session<Vec<u8>>,
    commands: Commands,
    /// Each lets another line be read.
    permits: Option<Sender<()>>,
    /// A reply was an error, or a line no command.
    failed: bool,
    /// This side has asked for everything, and has it.
    is_done: bool,
}

impl Client {
    pub(crate) fn new(commands: Commands) -> Self {
        let requests = RequestQueue::new().depth(DEPTH).timeout(TIMEOUT);
        let session = Session::new(requests);
        Self { session, commands, permits: None, failed: false, is_done: false }
    }

    fn read_lines(&mut self, cx: &Context<'_, Cli>) {
        let is_terminal = io::stdin().is_terminal();
        let (permits, permitted) = channel();
        // A person reads the reply before asking for more.
        for _ in 0..if is_terminal { 1 } else { DEPTH } {
            let _ = permits.send(());
        }
        self.permits = Some(permits);
        let (remote, key, id) = (cx.reactor.remote(), cx.key(), cx.transport.id());
        let prompt = is_terminal.then(|| format!("{}> ", cx.transport.peer_address()));
        let deliver = move |input| {
            let call = remote.call_from_thread_blocking(move |reactor| {
                // The connection may be gone by now.
                let _ = reactor.with_protocol(key, id, |client, cx| client.input(cx, input));
            });
            call.is_ok()
        };
        std::thread::spawn(move || input::read(io::stdin().lock(), prompt, permitted, deliver));
    }

    pub(crate) fn input(&mut self, cx: &Context<'_, Cli>, input: Input) {
        match input {
            Input::Command(bytes) => self.ask(cx, bytes),
            Input::Wrong(what) => {
                let _ = writeln!(io::stderr(), "{what}");
                self.failed = true;
                self.permit();
            }
            Input::Broken(what) => {
                let _ = writeln!(io::stderr(), "{what}");
                self.failed = true;
                self.end_input(cx);
            }
            Input::End => self.end_input(cx),
        }
    }

    fn end_input(&mut self, cx: &Context<'_, Cli>) {
        self.permits = None;
        self.close_if_done(cx);
    }

    fn ask(&mut self, cx: &Context<'_, Cli>, bytes: Vec<u8>) {
        // Never full: there are as many permits as places.
        if let Err(full) = self.session.requests.push(cx.reactor.now(), bytes) {
            cx.transport.fail(full.to_string());
        }
        self.send(cx);
    }

    fn send(&mut self, cx: &Context<'_, Cli>) {
        while let Some(bytes) = self.session.requests.start_next() {
            cx.transport.write(std::mem::take(bytes));
        }
        self.session.set_timeout(cx.transport, cx.reactor.now());
    }

    /// Lets another line be read.
    fn permit(&self) {
        if let Some(permits) = &self.permits {
            // The thread ends at the end of the input.
            let _ = permits.send(());
        }
    }

    fn close_if_done(&mut self, cx: &Context<'_, Cli>) {
        if self.permits.is_none() && self.session.requests.is_empty() {
            self.is_done = true;
            cx.transport.lose_connection();
        }
    }
}

impl Protocol<Cli> for Client {
    fn connection_made(&mut self, cx: &mut Context<'_, Cli>) {
        match &mut self.commands {
            Commands::One(bytes) => {
                let bytes = std::mem::take(bytes);
                self.ask(cx, bytes);
            }
            Commands::Lines => self.read_lines(cx),
        }
    }

    fn data_received(&mut self, cx: &mut Context<'_, Cli>, data: &[u8]) {
        let mut replies = Vec::new();
        let received = self.session.receive(data, |_, reply| replies.push(reply));
        for reply in &replies {
            self.failed |= reply.is_error();
            if let Err(error) = print(&mut cx.factory.output, reply) {
                return cx.transport.fail(error);
            }
            self.permit();
        }
        match received {
            Err(error) => cx.transport.fail(error),
            Ok(()) => {
                self.send(cx);
                self.close_if_done(cx);
            }
        }
    }

    fn timed_out(&mut self, cx: &mut Context<'_, Cli>, kind: TimeoutKind) {
        match self.session.requests.pop_expired(cx.reactor.now()) {
            Some(_) => {
                cx.transport.fail(format!("no reply within {} s", TIMEOUT.as_secs()));
            }
            None if kind == TimeoutKind::Protocol => self.send(cx),
            None => cx.transport.time_out(kind),
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Cli>, reason: &Reason) {
        if !self.is_done {
            let count = self.session.requests.under_way() + self.session.requests.waiting();
            let peer = cx.transport.peer_address();
            let _ = writeln!(io::stderr(), "{peer}: {reason} ({count} commands without a reply)");
        }
        cx.factory.succeeded.set(self.is_done && !self.failed);
        cx.reactor.stop();
    }
}

fn print(output: &mut dyn Write, reply: &Reply) -> io::Result<()> {
    writeln!(output, "{reply}")?;
    output.flush()
}
