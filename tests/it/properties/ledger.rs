//! What both sides of every connection said and heard, and what must be true of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
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
            let said = bytes(client, who, side.sent..side.sent + length);
            side.sent += length;
            said
        })
    }

    /// A side receives bytes: the next that the other has sent, and no others.
    pub(super) fn hear(&self, client: SocketAddr, who: Who, data: &[u8]) {
        let other = if who == Who::Client { Who::Server } else { Who::Client };
        let sent = self.side(client, other, |side| side.sent);
        self.side(client, who, |side| {
            let right = bytes(client, other, side.received..side.received + data.len());
            if data != right {
                let wrong = data.iter().zip(&right).take_while(|(got, right)| got == right).count();
                panic!("{client}: {who:?} hears a wrong byte at {}", side.received + wrong);
            }
            side.received += data.len();
            assert!(side.received <= sent, "{client}: {who:?} hears more than was sent");
        });
    }
}

/// The bytes of a stream at these places: different for each connection, direction and place.
///
/// The byte at a place is `place * 7 + place / 251 * 13` more than the first. So up to 251 of them
/// are a piece of the sequence 0, 7, 14, .., which can be copied. Nothing else here takes a build
/// without optimisation as long as bytes that are made and compared one by one: two thirds of all.
fn bytes(client: SocketAddr, who: Who, places: Range<usize>) -> Vec<u8> {
    const RUN: usize = 251;
    const STEP: usize = 7;
    /// Times [`STEP`], this is 1 modulo 256: so it says where in the sequence a byte is.
    const INVERSE: usize = 183;
    static SEQUENCE: [u8; 256 + RUN] = {
        let mut sequence = [0; 256 + RUN];
        let mut index = 0;
        while index < sequence.len() {
            sequence[index] = (index * STEP) as u8;
            index += 1;
        }
        sequence
    };
    let first = usize::from(client.port()) * 31 + who as usize * 101;
    let mut bytes = Vec::with_capacity(places.len());
    let mut place = places.start;
    while place < places.end {
        let length = (RUN - place % RUN).min(places.end - place);
        let byte = (first + place * STEP + place / RUN * 13) as u8;
        let index = usize::from(byte) * INVERSE % 256;
        bytes.extend_from_slice(&SEQUENCE[index..index + length]);
        place += length;
    }
    bytes
}

#[test]
fn each_byte_of_a_stream_is_that_of_its_place() {
    let client = SocketAddr::from(([10, 0, 0, 1], 49_152));
    let byte = |at: usize| (at * 7 + at / 251 * 13 + 49_152 * 31 + 101) as u8;
    for start in [0, 1, 250, 251, 64_255, 1_000_000] {
        let all = bytes(client, Who::Server, start..start + 1000);
        assert!(all.into_iter().eq((start..start + 1000).map(byte)), "{start}");
    }
}
