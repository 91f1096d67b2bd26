//! What transcripts are played on.

use crate::Factory;
use crate::testing::{End, Peer, Server};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

/// What a [`Transcript`](super::Transcript) is played on: clients of a server, by name.
///
/// [`Clients`] are in memory. A stage over real sockets, to a process for instance, implements this
/// as well, and the same transcript is played there. A name is connected before anything else is
/// asked for it; one that connects again has a new connection, and the old one may be closed.
pub trait Backend {
    /// A client connects.
    fn connect(&mut self, client: &str) -> io::Result<()>;

    /// It sends all of this.
    fn send(&mut self, client: &str, data: &[u8]) -> io::Result<()>;

    /// It sends a FIN, and goes on receiving.
    fn finish(&mut self, client: &str);

    /// It resets the connection.
    fn reset(&mut self, client: &str);

    /// It takes nothing more, until it reads on.
    fn stop_reading(&mut self, client: &str);

    /// It reads on.
    fn read_on(&mut self, client: &str);

    /// This much time passes.
    fn pass(&mut self, time: Duration);

    /// The next thing that comes to a client, be it as little as a byte.
    ///
    /// If it is `awaited`, the transcript says that something comes, and a stage on which things
    /// take their time waits for it, with whatever patience it has. Otherwise it says what is there
    /// now.
    fn next(&mut self, client: &str, awaited: bool) -> Received;

    /// What else is known of a client's connection, to be read below a difference.
    fn remark(&self, client: &str) -> Option<String> {
        let _ = client;
        None
    }
}

/// What comes to a client of a [`Backend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// These bytes, at least one.
    Data(Vec<u8>),
    /// The server has ended the connection, and no more bytes will come.
    End(End),
    /// Nothing.
    Nothing,
}

/// The clients of a [`Server`] in memory, as a stage.
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
    /// No clients yet, of this server.
    pub fn of(server: &'a Server<F>) -> Self {
        Self { server, peers: BTreeMap::new() }
    }

    /// The client with this name, if it has connected.
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

    /// All that is due has happened already.
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
        Some(format!("connection_lost was told: {reason}"))
    }
}
