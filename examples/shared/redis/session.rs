//! `Session`: a connection's requests, and the replies to them.

use super::decoder::Decoder;
use super::reply::Reply;
use std::io;
use std::time::Instant;
use twistor::Transport;
use twistor::requests::RequestQueue;

pub(crate) struct Session<R> {
    pub(crate) requests: RequestQueue<R>,
    decoder: Decoder,
}

impl<R> Session<R> {
    pub(crate) fn new(requests: RequestQueue<R>) -> Self {
        Self { requests, decoder: Decoder::default() }
    }

    /// Takes what has arrived, and calls `answered` with each request and its reply. An error ends
    /// the connection.
    pub(crate) fn receive(
        &mut self,
        mut data: &[u8],
        mut answered: impl FnMut(R, Reply),
    ) -> io::Result<()> {
        while let Some(reply) = self.decoder.decode(&mut data)? {
            match self.requests.pop_answered() {
                Ok(Some(request)) => answered(request, reply),
                // A request that expires ends the connection.
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(())
    }

    /// Has the protocol hear `timed_out` when the next request expires.
    pub(crate) fn set_timeout(&self, transport: &Transport, now: Instant) {
        let deadline = self.requests.next_deadline();
        transport.set_timeout(deadline.map(|it| it.saturating_duration_since(now)));
    }
}
