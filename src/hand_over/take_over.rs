//! The side of the successor: it takes over the ports of its predecessor.

use super::message::{Answer, Request};
use super::{ANSWER_TIMEOUT, MESSAGE_MAX, PORTS_MAX, TakeOverError, VERSION};
use crate::descriptor::Descriptor;
use crate::driver::PortDescriptors;
use crate::endpoint::UnixClientEndpoint;
use crate::framing::{Delimiter, LineContext, LineReceiver, Lines};
use crate::protocol::Factory;
use crate::reactor::{FactoryKey, PassedSocket, Predecessor, Reactor, Settings};
use crate::reason::Reason;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem::take;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the predecessor has said and passed, and where the conversation is.
#[derive(Debug, Default)]
struct Conversation {
    stage: Stage,
    transport: Option<Transport>,
    sockets: Vec<PassedSocket>,
    /// Descriptors whose message has not come.
    descriptors: VecDeque<Descriptor>,
}

#[derive(Debug, Default)]
enum Stage {
    /// The connection is not made, or sockets come.
    #[default]
    Receiving,
    /// All sockets are here.
    Complete,
    /// This process has said that it is ready.
    Ready,
    /// This process may serve.
    Go,
    /// The conversation is over.
    Over(End),
}

/// Why a conversation is over.
#[derive(Debug)]
enum End {
    /// No process listens at the path.
    Absent,
    NotConnected(io::Error),
    Refused(String),
    /// What the predecessor says or passes is wrong.
    Wrong(String),
    /// The connection was lost before all sockets were here.
    Incomplete(Reason),
    /// The connection was lost later: expected, once this process serves.
    Lost(Reason),
}

/// The receiver of the predecessor's lines.
#[derive(Debug)]
struct Receiver;

impl Receiver {
    fn ask(cx: &LineContext<'_, Conversation>, request: &Request) {
        cx.send_line(request.to_string());
    }

    fn end(cx: &mut LineContext<'_, Conversation>, end: End) {
        cx.factory.stage = Stage::Over(end);
        cx.transport.lose_connection();
    }

    fn wrong(cx: &mut LineContext<'_, Conversation>, what: &str) {
        Self::end(cx, End::Wrong(format!("what listens there is no predecessor: {what}")));
    }

    fn port_received(cx: &mut LineContext<'_, Conversation>, port: (usize, String, String, bool)) {
        let (number, requested, bound, has_lock) = port;
        let mut next = || cx.factory.descriptors.pop_front();
        let (socket, lock) = (next(), if has_lock { next() } else { None });
        let (Some(socket), true) = (socket, has_lock == lock.is_some()) else {
            return Self::wrong(cx, "a descriptor is missing");
        };
        if cx.factory.sockets.len() >= PORTS_MAX {
            return Self::wrong(cx, "it passes too many ports");
        }
        let descriptors = PortDescriptors { socket, lock };
        cx.factory.sockets.push(PassedSocket { number, requested, bound, descriptors });
        Self::ask(cx, &Request::Next);
    }
}

impl LineReceiver<Conversation> for Receiver {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = MESSAGE_MAX;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Conversation>) {
        cx.factory.transport = Some(cx.transport.clone());
        let peer = cx.transport.peer_credentials().ok().flatten();
        if !peer.is_some_and(|peer| cx.reactor.is_own_user(peer.user_id())) {
            return Self::end(cx, End::Wrong("it is a process of another user".to_owned()));
        }
        Self::ask(cx, &Request::TakeOver(VERSION));
        Self::ask(cx, &Request::Next);
    }

    fn descriptor_received(
        &mut self,
        cx: &mut LineContext<'_, Conversation>,
        descriptor: Descriptor,
    ) {
        // A port has two at most, and the next one was not asked for.
        if cx.factory.descriptors.len() >= 2 {
            return Self::wrong(cx, "it passes too many descriptors");
        }
        cx.factory.descriptors.push_back(descriptor);
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Conversation>, line: &[u8]) {
        match (&cx.factory.stage, Answer::parse(line)) {
            (Stage::Receiving, Some(Answer::Port { number, requested, bound, has_lock })) => {
                Self::port_received(cx, (number, requested, bound, has_lock));
            }
            (Stage::Receiving, Some(Answer::End)) => cx.factory.stage = Stage::Complete,
            (Stage::Ready, Some(Answer::Go)) => cx.factory.stage = Stage::Go,
            (_, Some(Answer::Refused(why))) => Self::end(cx, End::Refused(why)),
            _ => Self::wrong(cx, "it sent a message that was not asked for"),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Conversation>, _line: &[u8]) {
        Self::wrong(cx, "its message is too long");
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Conversation>, reason: &Reason) {
        let reason = reason.clone();
        let end = match cx.factory.stage {
            Stage::Receiving => End::Incomplete(reason),
            Stage::Complete | Stage::Ready | Stage::Go => End::Lost(reason),
            Stage::Over(_) => return,
        };
        cx.factory.stage = Stage::Over(end);
    }
}

impl Factory for Conversation {
    type Protocol = Lines<Receiver>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Receiver>> {
        Some(Lines::new(Receiver))
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, _: &mut Reactor) {
        let end = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => End::Absent,
            _ => End::NotConnected(io::Error::new(error.kind(), error.to_string())),
        };
        self.stage = Stage::Over(end);
    }
}

/// The connection to the predecessor, in a reactor of its own: the program's reactor does not run
/// while its ports are opened.
struct Connection {
    path: PathBuf,
    reactor: Reactor,
    key: FactoryKey<Conversation>,
    /// Time within which the predecessor answers.
    answer_timeout: Duration,
}

impl Connection {
    /// Connects and receives all sockets; `None` if there is no predecessor.
    fn open(
        path: &Path,
        answer_timeout: Duration,
    ) -> Result<Option<(Self, Vec<PassedSocket>)>, TakeOverError> {
        let failed = |source| TakeOverError::Connect { path: path.to_owned(), source };
        let settings = Settings::default().handle_signals(false);
        let mut reactor = Reactor::with_settings(settings).map_err(failed)?;
        let key = reactor.add_factory(Conversation::default());
        let key = key.map_err(|error| failed(io::Error::other(error.to_string())))?;
        let endpoint = UnixClientEndpoint::new(path).timeout(answer_timeout);
        let begun = reactor.connect_unix(endpoint, key);
        begun.map_err(|error| failed(io::Error::other(error.to_string())))?;
        let mut connection = Self { path: path.to_owned(), reactor, key, answer_timeout };
        match connection.wait(|stage| !matches!(stage, Stage::Receiving))? {
            Some(End::Absent) => Ok(None),
            Some(end @ End::Lost(_)) => {
                connection.with(|conversation| conversation.stage = Stage::Over(end));
                Ok(Some(connection.with_sockets()))
            }
            Some(end) => Err(connection.error(end)),
            None => Ok(Some(connection.with_sockets())),
        }
    }

    fn with_sockets(mut self) -> (Self, Vec<PassedSocket>) {
        let sockets = self.with(|conversation| take(&mut conversation.sockets));
        (self, sockets)
    }

    /// Says that this process is ready, and waits until it may serve; then says that it does, and
    /// waits until the predecessor has stopped accepting.
    fn tell_ready(mut self, taken: &[usize]) -> Result<(), TakeOverError> {
        self.with(|conversation| {
            if matches!(conversation.stage, Stage::Complete) {
                conversation.stage = Stage::Ready;
            }
        });
        self.ask(&Request::Ready);
        match self.wait(|stage| !matches!(stage, Stage::Ready))? {
            Some(End::Lost(reason)) => {
                log::warn!("the predecessor has ended before it could hand over: {reason}");
                return Ok(());
            }
            Some(end) => return Err(self.error(end)),
            None => {}
        }
        self.ask(&Request::Serving(taken.to_vec()));
        // Unless the other one says that it continues, it does not.
        match self.wait(|stage| !matches!(stage, Stage::Go)) {
            Ok(Some(End::Lost(_)) | None) => log::info!("the predecessor has handed over"),
            Ok(Some(end @ End::Refused(_))) => return Err(self.error(end)),
            Ok(Some(end)) => log::warn!("the predecessor may continue: {}", self.error(end)),
            Err(error) => log::warn!("the predecessor may continue: {error}"),
        }
        Ok(())
    }

    fn ask(&mut self, request: &Request) {
        let request = request.to_string();
        self.with(|conversation| {
            if let Some(transport) = &conversation.transport {
                transport.write(request + "\n");
            }
        });
    }

    fn with<T: Default>(&mut self, call: impl FnOnce(&mut Conversation) -> T) -> T {
        // It is kept, and runs no callback now.
        let called = self.reactor.with_factory(self.key, |conversation, _| call(conversation));
        called.unwrap_or_default()
    }

    /// Turns the reactor until the stage is one that is waited for, `answer_timeout` at most.
    /// Returns why the conversation is over, if it is.
    fn wait(&mut self, is_waited_for: fn(&Stage) -> bool) -> Result<Option<End>, TakeOverError> {
        let due = self.reactor.now() + self.answer_timeout;
        loop {
            let reached = self.with(|conversation| {
                let is_there = is_waited_for(&conversation.stage);
                is_there.then(|| match take(&mut conversation.stage) {
                    Stage::Over(end) => Some(end),
                    stage => {
                        conversation.stage = stage;
                        None
                    }
                })
            });
            if let Some(end) = reached {
                return Ok(end);
            }
            let rest = due.saturating_duration_since(self.reactor.now());
            if rest.is_zero() {
                let (path, timeout) = (self.path.clone(), self.answer_timeout);
                return Err(TakeOverError::TimedOut { path, timeout });
            }
            if let Err(error) = self.reactor.turn(Some(rest)) {
                let source = io::Error::other(error.to_string());
                return Err(TakeOverError::Connect { path: self.path.clone(), source });
            }
        }
    }

    fn error(&self, end: End) -> TakeOverError {
        let path = self.path.clone();
        match end {
            End::Absent => TakeOverError::Connect { path, source: ErrorKind::NotFound.into() },
            End::NotConnected(source) => TakeOverError::Connect { path, source },
            End::Refused(why) => TakeOverError::Refused { path, why },
            End::Wrong(what) => TakeOverError::Failed { path, what },
            End::Incomplete(reason) | End::Lost(reason) => {
                let what = format!("the predecessor has ended meanwhile ({reason}); start again");
                TakeOverError::Failed { path, what }
            }
        }
    }
}

impl Reactor {
    /// Takes over the listening sockets of the process that [offers](Self::hand_over) them at
    /// `path`, its predecessor. Returns false if no process listens there: this one is the first,
    /// and opens its ports itself. (Nor does any in a simulation, and where there are no Unix
    /// sockets.)
    ///
    /// Call this before ports are opened. A `listen` of what the predecessor listens on then serves
    /// the predecessor's socket, with the backlog and, for a Unix socket, the mode that is asked
    /// for, once the predecessor has handed over. Sockets go by their addresses: `tcp:8007` finds
    /// what the predecessor has opened as `tcp:8007`, be it with TLS or without. A port number of
    /// zero finds the socket that was asked for in the same way, and `systemd:name=web` the one
    /// that the predecessor has from systemd. Of several with one address each `listen` takes one.
    /// Other ports are opened as usual.
    ///
    /// When this reactor has started up (all triggers and the closures of
    /// [`call_when_running`](Self::call_when_running) were called), it tells the predecessor that
    /// it is ready, closes the sockets that it did not listen on, and begins to accept once the
    /// predecessor has stopped doing so. Until then the predecessor serves. If this process ends
    /// before, or is asked to stop, be it by a trigger, a signal or another thread, nothing
    /// changes: it closes what it has taken without accepting a client, and the predecessor
    /// continues.
    ///
    /// This blocks until the sockets are here, and the end of start-up blocks until the predecessor
    /// has answered twice: some milliseconds, and ten seconds at most for each answer.
    ///
    /// Call [`notify_service_manager`](Self::notify_service_manager) after this.
    ///
    /// # Errors
    ///
    /// [`TakeOverError`]: this process has none of the sockets, and the predecessor continues. If
    /// the predecessor refuses when this process is ready, [`run`](Self::run) returns
    /// [`RunError::TakeOver`](crate::error::RunError::TakeOver), and has shut this reactor down:
    /// its ports are closed, and none of the predecessor's clients was accepted.
    pub fn take_over(&mut self, path: impl AsRef<Path>) -> Result<bool, TakeOverError> {
        if self.is_running() || self.has_predecessor() {
            return Err(TakeOverError::TooLate);
        }
        if !self.takes_over() {
            return Ok(false);
        }
        let Some((connection, sockets)) = Connection::open(path.as_ref(), ANSWER_TIMEOUT)? else {
            return Ok(false);
        };
        log::info!("taking over {} ports", sockets.len());
        let tell_ready = Box::new(move |taken: &[usize]| connection.tell_ready(taken));
        self.set_predecessor(Predecessor { sockets, tell_ready });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_predecessor_that_does_not_answer_is_not_waited_for_longer_than_the_timeout() {
        let path = std::env::temp_dir().join(format!("twistor-mute-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let _mute = UnixListener::bind(&path).unwrap();
        let opened = Connection::open(&path, Duration::from_millis(50));
        std::fs::remove_file(&path).unwrap();
        let error = opened.err().expect("nothing is handed over").to_string();
        assert!(error.contains("has not answered for 50ms"), "{error}");
    }
}
