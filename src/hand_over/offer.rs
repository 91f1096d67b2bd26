//! The side of the predecessor: it offers its ports to a successor.

use super::message::{Answer, Request};
use super::{ANSWER_TIMEOUT, MESSAGE_MAX, PORTS_MAX, READY_TIMEOUT, VERSION};
use crate::arena::Id;
use crate::endpoint::UnixServerEndpoint;
use crate::framing::{Delimiter, LineContext, LineReceiver, Lines};
use crate::limits::{ConnectionLimits, TimeoutKind};
use crate::protocol::Factory;
use crate::reactor::{ListenError, ListeningPortId, Reactor};
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::mem::replace;
use std::path::Path;

/// Only the user of this process may connect.
const MODE: u32 = 0o600;

/// Processes that may be connected at once: all but one are only told that they have to wait.
const CONNECTIONS_MAX: usize = 16;

/// An offer of this process's ports.
#[derive(Debug, Default)]
struct Offer {
    successor: Option<Successor>,
}

/// The process that takes over.
#[derive(Debug)]
struct Successor {
    connection: ConnectionId,
    /// The ports that were open when it came, by the numbers that it knows them by.
    ports: Vec<Id>,
}

/// A conversation with a process that wants to take over.
#[derive(Debug)]
struct Session {
    stage: Stage,
    process: Option<u32>,
}

#[derive(Debug)]
enum Stage {
    /// It has not said what it wants.
    Greeting,
    /// It asks for one port after the other, and has those before `next`.
    Passing { next: usize },
    /// It has all ports, and starts up.
    StartingUp,
    /// It may serve, and says so when it does.
    Ready,
    /// It is refused, or has taken over.
    Over,
}

impl Session {
    fn new() -> Self {
        Self { stage: Stage::Greeting, process: None }
    }

    fn answer(cx: &LineContext<'_, Offer>, answer: &Answer) {
        cx.send_line(answer.to_string());
    }

    fn refuse(&mut self, cx: &LineContext<'_, Offer>, why: &str) {
        log::warn!("{} may not take over: {why}", Name(self.process));
        Self::answer(cx, &Answer::Refused(why.to_owned()));
        self.stage = Stage::Over;
        cx.transport.lose_connection();
    }

    /// Ends the conversation without a refusal: this process stops, and the successor, which has
    /// all sockets, shall serve once it can. Their files and locks are left to it.
    fn leave(&mut self, cx: &mut LineContext<'_, Offer>) {
        log::warn!("{} has not taken over in time, and may do so later", Name(self.process));
        self.stage = Stage::Over;
        cx.factory.successor = None;
        cx.transport.lose_connection();
    }

    fn begin(&mut self, cx: &mut LineContext<'_, Offer>, version: u32) {
        if version != VERSION {
            return self
                .refuse(cx, &format!("it speaks version {version}, and this one {VERSION}"));
        }
        if cx.factory.successor.is_some() {
            return self.refuse(cx, "another process is taking over");
        }
        if cx.reactor.is_stop_requested() {
            return self.refuse(cx, "this process is stopping");
        }
        let ports = cx.reactor.port_ids();
        if ports.len() > PORTS_MAX {
            return self.refuse(cx, &format!("there are more than {PORTS_MAX} ports"));
        }
        log::info!("{} takes over", Name(self.process));
        cx.factory.successor = Some(Successor { connection: cx.transport.id(), ports });
        cx.transport.set_timeout(READY_TIMEOUT);
        self.stage = Stage::Passing { next: 0 };
    }

    fn pass(&mut self, cx: &mut LineContext<'_, Offer>, mut next: usize) {
        let Some(Successor { ports, .. }) = &cx.factory.successor else { return };
        while let Some(id) = ports.get(next) {
            let number = next;
            next += 1;
            // A port may have been closed meanwhile, or have no socket that could be passed.
            let Some(shared) = cx.reactor.share_port(*id) else { continue };
            let sent = shared.and_then(|(descriptors, requested, bound)| {
                cx.transport.send_descriptor(descriptors.socket)?;
                let has_lock = descriptors.lock.is_some();
                descriptors.lock.map_or(Ok(()), |lock| cx.transport.send_descriptor(lock))?;
                Ok(Answer::Port { number, requested, bound, has_lock })
            });
            match sent {
                Ok(answer) => Self::answer(cx, &answer),
                Err(error) => {
                    return self.refuse(cx, &format!("a socket cannot be passed: {error}"));
                }
            }
            self.stage = Stage::Passing { next };
            return;
        }
        // From now on it has them even if this process stops.
        cx.reactor.set_ports_owned(ports, false);
        Self::answer(cx, &Answer::End);
        self.stage = Stage::StartingUp;
    }

    fn hand_over(&mut self, cx: &mut LineContext<'_, Offer>, taken: &[usize]) {
        let Some(Successor { ports, .. }) = &cx.factory.successor else { return };
        let taken: Option<Vec<Id>> = taken.iter().map(|it| ports.get(*it).copied()).collect();
        let Some(taken) = taken else {
            return self.refuse(cx, "it has taken a port that it was not passed");
        };
        log::info!("{} has taken {} ports over", Name(self.process), taken.len());
        self.stage = Stage::Over;
        // It has left the others to this process, which removes what they own when it closes them.
        cx.reactor.set_ports_owned(ports, true);
        cx.factory.successor = None;
        cx.reactor.leave_to_successor(&taken, self.process);
        cx.transport.lose_connection();
    }
}

impl LineReceiver<Offer> for Session {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = MESSAGE_MAX;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Offer>) {
        // Not a timer: the connection is read before a timeout counts, so that what the successor
        // has said in time is heard, also by a loop that was held up.
        cx.transport.set_timeout(ANSWER_TIMEOUT);
        match cx.transport.peer_credentials() {
            Ok(Some(peer)) if cx.reactor.is_own_user(peer.user_id()) => {
                self.process = peer.process_id();
            }
            Ok(Some(peer)) => {
                self.refuse(cx, &format!("its user, {}, is not that of this one", peer.user_id()));
            }
            Ok(None) => self.refuse(cx, "its user is unknown"),
            Err(error) => self.refuse(cx, &format!("its user is unknown: {error}")),
        }
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Offer>, line: &[u8]) {
        match (replace(&mut self.stage, Stage::Over), Request::parse(line)) {
            (Stage::Greeting, Some(Request::TakeOver(version))) => self.begin(cx, version),
            (Stage::Passing { next }, Some(Request::Next)) => self.pass(cx, next),
            (Stage::StartingUp, Some(Request::Ready)) => {
                cx.transport.set_timeout(ANSWER_TIMEOUT);
                Self::answer(cx, &Answer::Go);
                self.stage = Stage::Ready;
            }
            (Stage::Ready, Some(Request::Serving(taken))) => self.hand_over(cx, &taken),
            (Stage::Over, _) => {}
            _ => self.refuse(cx, "it sent a message that is not expected at this point"),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Offer>, _line: &[u8]) {
        self.refuse(cx, "its message is too long");
    }

    fn timed_out(&mut self, cx: &mut LineContext<'_, Offer>, _: TimeoutKind) {
        match self.stage {
            Stage::StartingUp | Stage::Ready if cx.reactor.is_stop_requested() => self.leave(cx),
            _ => self.refuse(cx, "it is too late: it has taken too long to answer or to start up"),
        }
    }

    fn drain_requested(&mut self, cx: &mut LineContext<'_, Offer>) {
        match self.stage {
            Stage::Over => cx.transport.drain(),
            Stage::Greeting | Stage::Passing { .. } => {
                self.refuse(cx, "this process is stopping");
            }
            // It has all sockets. The drain waits for it, so that somebody serves afterwards: a
            // process of several shards drains as soon as one of them is handed over.
            Stage::StartingUp | Stage::Ready => {}
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Offer>, reason: &Reason) {
        let is_its = |it: &mut Successor| it.connection == cx.transport.id();
        let Some(Successor { ports, .. }) = cx.factory.successor.take_if(is_its) else { return };
        cx.reactor.set_ports_owned(&ports, true);
        if !matches!(self.stage, Stage::Over) {
            let name = Name(self.process);
            let does = if cx.reactor.is_stop_requested() { "stops" } else { "continues" };
            log::error!("{name} has not taken over, this process {does}: {reason}");
        }
    }
}

/// A process, for the log.
struct Name(Option<u32>);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(process) => write!(f, "process {process}"),
            None => f.write_str("a process"),
        }
    }
}

impl Factory for Offer {
    type Protocol = Lines<Session>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Session>> {
        Some(Lines::new(Session::new()))
    }
}

impl Reactor {
    /// Offers the ports of this reactor to a successor, on a Unix socket at `path`: a process that
    /// calls [`take_over`](Self::take_over) with the same path gets all of them. When it is ready,
    /// this process accepts no more and drains, as after SIGTERM, for
    /// [`Settings::drain_timeout`](crate::Settings::drain_timeout). Until then it serves as before,
    /// whatever becomes of the successor.
    ///
    /// Both processes have the same sockets meanwhile, each with one queue of waiting clients, so
    /// that none of them is refused or reset. Connections are not handed over; they end with this
    /// process.
    ///
    /// If this process is asked to stop while a successor starts up, it drains, and the drain waits
    /// for the successor. One that is not ready in time is not refused then: it serves when it is.
    ///
    /// A server that is full can be restarted: a successor does not count against
    /// [`Settings::max_connections`](crate::Settings::max_connections).
    ///
    /// A successor has a minute to start up. It has to be a process of the same user; the socket's
    /// file has the mode 600. It is a port like any other, which the successor takes over if it
    /// offers its own ports at the same path; see [`UnixServerEndpoint`] for what happens to a file
    /// that is there already.
    ///
    /// ```no_run
    /// use twistor::Reactor;
    /// # struct Echo;
    /// # impl<F> twistor::Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.take_over("/run/echo/hand-over")?;
    /// reactor.listen_tcp(8007, || Echo)?;
    /// reactor.hand_over("/run/echo/hand-over")?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`listen_unix`](Self::listen_unix).
    pub fn hand_over(&mut self, path: impl AsRef<Path>) -> Result<ListeningPortId, ListenError> {
        let endpoint = UnixServerEndpoint::new(path).mode(MODE);
        let port = self.listen_unix(endpoint, Offer::default())?;
        let limits = ConnectionLimits::new().max_connections(CONNECTIONS_MAX);
        self.serve_successor(port.key(), limits);
        Ok(port.id())
    }
}
