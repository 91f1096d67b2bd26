//! Backends: where transcripts are played.

use crate::Factory;
use crate::testing::{End, Peer, Server};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

/// Clients of a server, by name, on which a [`Transcript`](super::Transcript) is played.
///
/// [`Clients`] are in memory. A backend over real sockets, to a process for instance, plays the
/// same transcripts. A client is connected before any other call for its name; a second `connect`
/// of the same name replaces its connection, and the old one may be closed.
pub trait Backend {
    /// Connects a client.
    fn connect(&mut self, client: &str) -> io::Result<()>;

    /// Sends all of `data`.
    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()>;

    /// Sends a FIN; the client still receives.
    fn finish(&mut self, client: &str);

    /// Resets the connection.
    fn reset(&mut self, client: &str);

    /// Stops reading, until [`read_on`](Self::read_on).
    fn stop_reading(&mut self, client: &str);

    /// Resumes reading.
    fn read_on(&mut self, client: &str);

    /// Lets `time` pass.
    fn pass(&mut self, time: Duration);

    /// Returns the next event of a client: bytes, if only one, or the end.
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

/// Next event of a client of a [`Backend`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Received bytes, at least one.
    Data(Vec<u8>),
    /// The server has ended the connection, and no more bytes will come.
    End(End),
    /// No event.
    Nothing,
}

/// Backend in memory: the clients of a [`Server`].
///
/// ```
/// use twistor::testing::{Clients, Server, Transcript};
/// # struct Echo;
/// # impl<F> twistor::Protocol<F> for Echo {
/// #     fn data_received(&mut self, cx: &mut twistor::Context<'_, F>, data: &[u8]) {
/// #         cx.transport.write(data);
/// #     }
/// # }
///
/// let server = Server::new(|| Echo);
/// let session = Transcript::parse("C: hello\n S: hello")?;
/// session.play(&mut Clients::of(&server))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Clients<'a, F: Factory> {
    server: &'a Server<F>,
    peers: BTreeMap<String, Peer>,
}

impl<'a, F: Factory> Clients<'a, F> {
    /// Creates the backend of a server, without clients yet.
    pub fn of(server: &'a Server<F>) -> Self {
        Self { server, peers: BTreeMap::new() }
    }

    /// Returns the client with this name, if it has connected.
    pub fn peer(&self, client: &str) -> Option<&Peer> {
        self.peers.get(client)
    }
}

impl<F: Factory> fmt::Debug for Clients<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("names", &self.peers.keys()).finish_non_exhaustive()
    }
}

impl<F: Factory> Backend for Clients<'_, F> {
    fn connect(&mut self, client: &str) -> io::Result<()> {
        self.peers.insert(client.to_owned(), self.server.connect());
        Ok(())
    }

    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()> {
        self.peers[client].send(data);
        Ok(())
    }

    fn finish(&mut self, client: &str) {
        self.peers[client].close_write();
    }

    fn reset(&mut self, client: &str) {
        self.peers[client].reset();
    }

    fn stop_reading(&mut self, client: &str) {
        self.peers[client].stop_reading();
    }

    fn read_on(&mut self, client: &str) {
        self.peers[client].resume_reading();
    }

    fn pass(&mut self, time: Duration) {
        self.server.advance(time);
    }

    /// Everything due has happened already, so that there is nothing to wait for.
    fn next(&mut self, client: &str, _awaited: bool) -> Received {
        let peer = &self.peers[client];
        match (peer.take_received(), peer.close_kind()) {
            (data, _) if !data.is_empty() => Received::Data(data),
            (_, Some(end)) => Received::End(end),
            (_, None) => Received::Nothing,
        }
    }

    fn remark(&self, client: &str) -> Option<String> {
        let reason = self.peers[client].lost_reason().filter(|reason| !reason.is_done())?;
        Some(format!("connection_lost received: {reason}"))
    }
}
