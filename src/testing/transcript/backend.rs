//! Backend: what transcripts are played on.

use crate::testing::End;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// One side of the connections of a [`Transcript`](super::Transcript), which the test plays: the
/// clients, if the server is tested, or the server, if the client is. Connections have the names of
/// the transcript's clients.
///
/// [`Peers`](super::Peers) are in memory. A backend over real sockets, to a process for instance,
/// plays the same transcripts. A client is connected before any other call for its name; a second
/// `connect` of the same name replaces its connection, and the old one may be closed.
pub trait Backend {
    /// Returns the part that this backend plays; [`Role::Client`] by default.
    fn role(&self) -> Role {
        Role::Client
    }

    /// Connects a client; as the server, accepts the next attempt of the client.
    fn connect(&mut self, client: &str) -> io::Result<()>;

    /// As the server, refuses the next attempt of the client. An error by default: the backend
    /// plays no server.
    fn refuse(&mut self, client: &str) -> io::Result<()> {
        let _ = client;
        Err(ErrorKind::Unsupported.into())
    }

    /// As the server, never answers the next attempt of the client. An error by default: the
    /// backend plays no server.
    fn ignore(&mut self, client: &str) -> io::Result<()> {
        let _ = client;
        Err(ErrorKind::Unsupported.into())
    }

    /// As the server, returns the number of attempts that have come and were not taken by
    /// `connect`, `refuse` or `ignore`. Zero by default.
    fn untaken_attempts(&mut self) -> usize {
        0
    }

    /// Sends all of `data`.
    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()>;

    /// Sends a FIN; this side still receives.
    fn finish(&mut self, client: &str);

    /// Resets the connection.
    fn reset(&mut self, client: &str);

    /// Stops reading, until [`resume_reading`](Self::resume_reading). Not called for a server.
    fn stop_reading(&mut self, client: &str);

    /// Resumes reading.
    fn resume_reading(&mut self, client: &str);

    /// Lets `time` pass.
    fn pass(&mut self, time: Duration);

    /// Returns the next event of a connection: bytes, if only one, or the end.
    ///
    /// If `awaited`, the transcript expects something: a backend that is not immediate waits for
    /// it, up to a timeout of its own. Otherwise it returns what is there now.
    fn next(&mut self, client: &str, awaited: bool) -> Received;

    /// Returns a remark on a client's connection, to be shown below a difference.
    fn remark(&self, client: &str) -> Option<String> {
        let _ = client;
        None
    }
}

/// The part that a [`Backend`] plays; the other one is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The clients of the server that is tested.
    Client,
    /// The server of the client that is tested.
    Server,
}

/// Next event of a connection of a [`Backend`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Received bytes, at least one.
    Data(Vec<u8>),
    /// The other side has ended the connection, and no more bytes will come.
    End(End),
    /// No event.
    Nothing,
}
