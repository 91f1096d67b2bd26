//! `Encryption`: the TLS of a peer in a test.

use crate::tls::{Outgoing, Plaintext, Session, TlsSide};
use std::io;

/// The TLS of a peer: what the network has brought is decrypted when the test asks for it.
#[derive(Debug)]
pub(in crate::testing) struct Encryption {
    session: Session,
    /// Ciphertext that is not decrypted, since the rest of its record has not come.
    unread: Vec<u8>,
    plaintext: Vec<u8>,
    outgoing: Outgoing,
}

impl Encryption {
    /// Begins a handshake.
    pub(in crate::testing) fn begin(side: &TlsSide) -> io::Result<Self> {
        let mut outgoing = Outgoing::default();
        let mut session = side.session()?;
        session.begin(&mut outgoing);
        Ok(Self { session, unread: Vec::new(), plaintext: Vec::new(), outgoing })
    }

    pub(in crate::testing) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Returns true if the server has said that it sends nothing more.
    pub(in crate::testing) fn has_ended(&self) -> bool {
        self.session.has_received_close()
    }

    /// Decrypts what has come.
    pub(in crate::testing) fn receive(&mut self, ciphertext: &[u8]) -> io::Result<()> {
        self.unread.extend_from_slice(ciphertext);
        loop {
            let mut plaintext = Plaintext { buffer: &mut [], filled: 0, rest: &mut self.plaintext };
            let received =
                self.session.receive(&mut self.unread, &mut plaintext, &mut self.outgoing);
            let received =
                received.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.unread.drain(..received.consumed);
            if !received.may_have_more {
                return Ok(());
            }
        }
    }

    /// Encrypts.
    pub(in crate::testing) fn send(&mut self, data: &[u8]) {
        let sent = self.session.send(data, &mut self.unread, &mut self.outgoing);
        sent.expect("the handshake is complete, and nothing has ended the session");
    }

    /// Says that nothing more is sent.
    pub(in crate::testing) fn close(&mut self) {
        // An error would mean that it has been said.
        let _ = self.session.close(&mut self.unread, &mut self.outgoing);
    }

    /// Removes and returns the ciphertext for the server.
    pub(in crate::testing) fn take_outgoing(&mut self) -> Vec<u8> {
        let outgoing = self.outgoing.as_slice().to_vec();
        self.outgoing.consume(outgoing.len());
        outgoing
    }

    pub(in crate::testing) fn received(&self) -> &[u8] {
        &self.plaintext
    }

    pub(in crate::testing) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plaintext)
    }
}
