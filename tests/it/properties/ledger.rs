//! Ledger of the bytes and callbacks of both sides of every connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use twistor::Reason;

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Client,
    Server,
}

/// The account of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// Bytes accepted for sending.
    pub(super) sent: usize,
    /// Bytes received, each of them correct.
    pub(super) received: usize,
    pub(super) made: usize,
    pub(super) lost: Vec<Reason>,
    /// Its host lost power, or its program, before it got `connection_lost`.
    pub(super) crashed: bool,
    /// It requested an end that discards unsent bytes.
    pub(super) rude: bool,
    /// It has closed its sending half.
    pub(super) finished: bool,
    /// A producer is registered, and writes are accepted until it has finished.
    pub(super) producing: bool,
    /// It has received the FIN of the other side.
    pub(super) heard_end: bool,
}

/// The accounts of all connections, by the client's address.
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

    /// Records that the host of one side has lost power or its program, for all its open
    /// connections.
    pub(super) fn crash(&self, who: Who) {
        for sides in self.0.borrow_mut().values_mut() {
            let side = &mut sides[who as usize];
            side.crashed |= side.made > side.lost.len();
        }
    }

    pub(super) fn all(&self) -> Vec<(SocketAddr, [Side; 2])> {
        self.0.borrow().iter().map(|(client, sides)| (*client, sides.clone())).collect()
    }

    /// Returns the next bytes that a side sends.
    pub(super) fn say(&self, client: SocketAddr, who: Who, length: usize) -> Vec<u8> {
        self.side(client, who, |side| {
            let said = bytes(client, who, side.sent..side.sent + length);
            side.sent += length;
            said
        })
    }

    /// Checks bytes that a side receives: the next that the other has sent, and no others.
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

/// Returns the bytes of a stream at these places, which differ by connection, direction and place.
///
/// The byte at a place is `place * 7 + place / 251 * 13` more than the first. So up to 251 of them
/// are a piece of the sequence 0, 7, 14, .., which can be copied. In a build without optimisation,
/// making and comparing bytes one by one takes two thirds of the time of these tests.
fn bytes(client: SocketAddr, who: Who, places: Range<usize>) -> Vec<u8> {
    const RUN: usize = 251;
    const STEP: usize = 7;
    /// Times [`STEP`], this is 1 modulo 256: it gives the place of a byte in the sequence.
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
fn each_byte_of_a_stream_depends_on_its_place() {
    let client = SocketAddr::from(([10, 0, 0, 1], 49_152));
    let byte = |at: usize| (at * 7 + at / 251 * 13 + 49_152 * 31 + 101) as u8;
    for start in [0, 1, 250, 251, 64_255, 1_000_000] {
        let all = bytes(client, Who::Server, start..start + 1000);
        assert!(all.into_iter().eq((start..start + 1000).map(byte)), "{start}");
    }
}
