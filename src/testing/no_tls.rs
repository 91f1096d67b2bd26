//! What the module `tls` has for peers, where its feature is not enabled: nothing of this can
//! exist.

use std::io;

/// The TLS of a peer; without the feature `tls` there is none.
#[derive(Debug)]
pub(super) enum Encryption {}

#[allow(clippy::needless_pass_by_ref_mut, reason = "as those that do happen")]
impl Encryption {
    pub(super) fn has_ended(&self) -> bool {
        match *self {}
    }

    pub(super) fn receive(&mut self, _ciphertext: &[u8]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn send(&mut self, _data: &[u8]) {
        match *self {}
    }

    pub(super) fn close(&mut self) {
        match *self {}
    }

    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn received(&self) -> &[u8] {
        match *self {}
    }

    pub(super) fn take_received(&mut self) -> Vec<u8> {
        match *self {}
    }
}
