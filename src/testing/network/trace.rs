//! Trace: all events of a network as one hash, and the last of them as text.

use crate::random::mix;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Events that are kept to be shown when a run fails.
const KEPT: usize = 40;

/// Bytes at each end of a written piece that enter the hash.
const DIGESTED: usize = 64;

/// Hash of all events, and the last events themselves.
#[derive(Debug, Default)]
pub(in crate::testing) struct Trace {
    pub(in crate::testing) hash: u64,
    pub(in crate::testing) events: u64,
    last: VecDeque<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    at: u64,
    what: &'static str,
    who: u64,
    amount: u64,
}

impl Trace {
    /// Records an event of the connection, or the host, with this number.
    pub(super) fn note(&mut self, at: u64, what: &'static str, who: u64, amount: u64) {
        self.events += 1;
        let mut hash = self.hash ^ at;
        for word in [who, amount] {
            hash = mix(hash.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ word);
        }
        self.hash = mix(hash ^ digest(what.as_bytes()));
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(Entry { at, what, who, amount });
    }

    /// Adds bytes of an event to the hash: their number, the first and the last. (Hashing all of
    /// them would be the greater part of what a run costs.)
    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        let first = &bytes[..bytes.len().min(DIGESTED)];
        let last = &bytes[bytes.len() - first.len()..];
        self.hash = mix(self.hash ^ digest(first) ^ digest(last).rotate_left(1));
        self.hash = mix(self.hash ^ bytes.len() as u64);
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(padded)).wrapping_mul(0x0000_0100_0000_01B3);
        hash ^= hash >> 29;
    }
    hash
}

/// Shows the last events, one per line.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { at, what, who, amount } in &self.last {
            let at = Duration::from_nanos(*at).as_secs_f64();
            writeln!(f, "  {at:>12.6}s  {what} #{who} {amount}")?;
        }
        Ok(())
    }
}
