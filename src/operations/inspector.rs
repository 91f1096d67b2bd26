//! The inspection port: a Unix socket on which operators look into a running reactor.

use super::inspection_session::InspectionSession;
use crate::endpoint::UnixServerEndpoint;
use crate::error::ListenError;
use crate::framing::Lines;
use crate::limits::{ConnectionLimits, Timeouts};
use crate::protocol::Factory;
use crate::reactor::{ListeningPort, Reactor};
use crate::transport::Transport;
use std::io;
use std::time::Duration;

/// Most sessions at a time: a few people and a script.
const SESSIONS_MAX: usize = 4;

/// Longest time without a command: one that was forgotten must not keep its place.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// An inspector that takes nothing of a listing for this long is lost.
const STALLED: Duration = Duration::from_secs(60);

/// Owner only: the socket's file cannot be opened by others.
const MODE: u32 = 0o600;

/// Serves an inspection port: a Unix socket on which operators see what a reactor does, close
/// connections, and begin a drain. (Twisted's manhole, with commands instead of an interpreter.)
///
/// ```no_run
/// use twistor::Reactor;
/// use twistor::inspection::Inspector;
///
/// let mut reactor = Reactor::new()?;
/// Inspector::listen(&mut reactor, "/run/chat.inspect")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A session is lines of text: `echo connections | socat -t 60 - UNIX-CONNECT:/run/chat.inspect`,
/// where `-t 60` lets `socat` wait for the answer. The last line of each answer is `ok`, or begins
/// with `error: `; `help` lists the commands. The guide has a chapter on it.
///
/// The file of the socket has the mode 600, and only programs of the same user or of the superuser
/// are served, whatever the mode is changed to. Over any other transport, every peer is refused.
///
/// The port works while others are full or drain: it does not count against
/// [`Settings::max_connections`](crate::Settings::max_connections), is not closed by a drain, and a
/// drain does not wait for it. Without a free descriptor, a session gets the one that the reactor
/// holds in reserve. It has limits of its own: 4 sessions, 10 minutes without a command.
///
/// A successor that listens on the same path takes the port over with the others
/// ([`Reactor::hand_over`]); sessions stay with the process that has accepted them. A port with
/// another path stays open until its process ends, so give each process its own to look into both.
///
/// A long listing is sent in parts, one in a turn, and no faster than the operator reads it, so it
/// does not delay connections. [`Reactor::next_connections`] says what is listed when the
/// connections change meanwhile.
#[derive(Debug)]
pub struct Inspector(());

impl Inspector {
    /// Opens an inspection port: a path, or a [`UnixServerEndpoint`], whose mode is replaced by
    /// 600.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::listen_unix`].
    pub fn listen(
        reactor: &mut Reactor,
        endpoint: impl Into<UnixServerEndpoint>,
    ) -> Result<ListeningPort<Self>, ListenError> {
        reactor.listen_unix(endpoint.into().mode(MODE), Self(()))
    }
}

impl Factory for Inspector {
    type Protocol = Lines<InspectionSession>;

    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        if let Some(key) = reactor.key_of(self) {
            let limits = ConnectionLimits::new()
                .max_connections(SESSIONS_MAX)
                .reject_message("error: too many sessions\n");
            reactor.serve_out_of_band(key, limits, Timeouts::new().idle(IDLE).min_rate(1, STALLED));
        }
        Ok(())
    }

    fn build_protocol(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Option<Lines<InspectionSession>> {
        let refusal = match transport.peer_credentials() {
            Ok(Some(peer)) if reactor.is_own_user(peer.user_id()) || peer.user_id() == 0 => {
                return Some(Lines::new(InspectionSession::new()));
            }
            Ok(Some(peer)) => format!("not permitted for user {}", peer.user_id()),
            Ok(None) => "only over a Unix socket".to_owned(),
            Err(error) => format!("the peer's user is not known: {error}"),
        };
        log::warn!("inspection refused: {refusal}");
        Some(Lines::new(InspectionSession::refused(refusal)))
    }
}
