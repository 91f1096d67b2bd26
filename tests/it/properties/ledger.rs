//! What both sides of every connection said and heard, and what must be true of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use twistor::Reason;

/// The two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Client,
    Server,
}

/// One side's account.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// Bytes accepted for sending.
    pub(super) sent: usize,
    /// Bytes received, each of them the right one.
    pub(super) received: usize,
    pub(super) made: usize,
    pub(super) lost: Vec<Reason>,
    /// Its host lost its power before it was told of an end.
    pub(super) crashed: bool,
    /// It asked for an end that discards what is unsent.
    pub(super) rude: bool,
    /// It has closed its sending half.
    pub(super) finished: bool,
    /// A producer is registered, and what is written is accepted until it has come to its end.
    pub(super) producing: bool,
    /// It has heard that the other has.
    pub(super) heard_end: bool,
}

/// Accounts of all connections, by the client's address.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Rc<RefCell<BTreeMap<SocketAddr, [Side; 2]>>>);

impl Ledger {
    pub(super) fn side<R>(
        &self,
        client: SocketAddr,
        who: Who,
        call: impl FnOnce(&mut Side) -> R,
    ) -> R {
        call(&mut self.0.borrow_mut().entry(client).or_default()[who as usize])
    }

    /// The host of all open connections of one side loses its power.
    pub(super) fn crash(&self, who: Who) {
        for sides in self.0.borrow_mut().values_mut() {
            let side = &mut sides[who as usize];
            side.crashed |= side.made > side.lost.len();
        }
    }

    pub(super) fn all(&self) -> Vec<(SocketAddr, [Side; 2])> {
        self.0.borrow().iter().map(|(client, sides)| (*client, sides.clone())).collect()
    }

    /// The next bytes that a side sends.
    pub(super) fn say(&self, client: SocketAddr, who: Who, length: usize) -> Vec<u8> {
        self.side(client, who, |side| {
            let said = (side.sent..side.sent + length).map(|at| byte(client, who, at)).collect();
            side.sent += length;
            said
        })
    }

    /// A side receives bytes: the next that the other has sent, and no others.
    pub(super) fn hear(&self, client: SocketAddr, who: Who, data: &[u8]) {
        let other = if who == Who::Client { Who::Server } else { Who::Client };
        let sent = self.side(client, other, |side| side.sent);
        self.side(client, who, |side| {
            for (offset, &got) in data.iter().enumerate() {
                let at = side.received + offset;
                let right = byte(client, other, at);
                assert!(got == right, "{client}: {who:?} hears a wrong byte at {at}");
            }
            side.received += data.len();
            assert!(side.received <= sent, "{client}: {who:?} hears more than was sent");
        });
    }
}

/// The byte of a stream at a place: different for each connection, direction and place.
fn byte(client: SocketAddr, who: Who, at: usize) -> u8 {
    (at * 7 + at / 251 * 13 + usize::from(client.port()) * 31 + who as usize * 101) as u8
}
