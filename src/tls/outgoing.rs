//! `Outgoing`: ciphertext for a socket.

use super::record::{RECORD_MAX, RECORD_OVERHEAD};
use rustls::Error;
use rustls::unbuffered::InsufficientSizeError;
use std::cell::Cell;

/// Memory that is kept for the next connection with something to send, at most. A connection holds
/// four full records, and what the engine adds, which takes less than a fifth.
const SPARE_LEN_MAX: usize = 5 * (RECORD_MAX + RECORD_OVERHEAD);

thread_local! {
    /// Memory of a connection of this thread that has sent everything. One suffices, since most
    /// connections send what they encrypt before the next one encrypts.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Ciphertext for the socket of one connection, which has no memory while there is none.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The ciphertext, and behind it room for more. The room is zeroed when it is allocated, and
    /// not for each record.
    bytes: Vec<u8>,
    /// Length of the ciphertext.
    len: usize,
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes }
    }
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends what `fill` writes, which is given `room` bytes, or as many as it then asks for.
    pub(super) fn append(
        &mut self,
        mut room: usize,
        mut fill: impl FnMut(&mut [u8]) -> Result<usize, Result<InsufficientSizeError, Error>>,
    ) -> Result<(), Error> {
        if self.bytes.is_empty() {
            self.bytes = SPARE.take();
        }
        loop {
            let end = self.len + room;
            if self.bytes.len() < end {
                self.bytes.resize(end, 0);
            }
            match fill(&mut self.bytes[self.len..end]) {
                Ok(count) => {
                    self.len += count;
                    if self.is_empty() {
                        SPARE.set(std::mem::take(&mut self.bytes));
                    }
                    return Ok(());
                }
                Err(Ok(InsufficientSizeError { required_size })) if required_size > room => {
                    room = required_size;
                }
                Err(Ok(_)) => return Err(Error::EncryptError),
                Err(Err(error)) => return Err(error),
            }
        }
    }

    /// Removes the first `count` bytes, which were sent. The memory of what is left fits it: a peer
    /// that is slow to read must not keep room for four records.
    pub(crate) fn consume(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let left = Self::from(self.as_slice()[count..].to_vec());
        let Self { bytes, .. } = std::mem::replace(self, left);
        if bytes.len() <= SPARE_LEN_MAX {
            SPARE.set(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outgoing: &mut Outgoing, bytes: &[u8]) {
        let filled = outgoing.append(bytes.len(), |room| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!(filled, Ok(()));
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut outgoing = Outgoing::from(b"clear".to_vec());
        push(&mut outgoing, b"one");
        outgoing.consume(6);
        push(&mut outgoing, b"two");
        assert_eq!(outgoing.as_slice(), b"netwo");
        outgoing.consume(5);
        assert!(outgoing.is_empty());
    }

    #[test]
    fn room_is_what_is_asked_for() {
        let mut outgoing = Outgoing::default();
        let filled = outgoing.append(1, |room| match room {
            [a, b, ..] => {
                (*a, *b) = (1, 2);
                Ok(2)
            }
            _ => Err(Ok(InsufficientSizeError { required_size: 2 })),
        });
        assert_eq!((filled, outgoing.as_slice()), (Ok(()), &[1, 2][..]));
    }

    #[test]
    fn an_error_appends_nothing() {
        let mut outgoing = Outgoing::from(b"before".to_vec());
        let failed = outgoing.append(100, |_| Err(Err(Error::EncryptError)));
        assert_eq!((failed, outgoing.as_slice()), (Err(Error::EncryptError), &b"before"[..]));
    }

    #[test]
    fn four_full_records_use_the_same_memory_again() {
        let mut outgoing = Outgoing::default();
        let data = vec![1; 4 * (RECORD_MAX + RECORD_OVERHEAD)];
        push(&mut outgoing, &data);
        let memory = outgoing.bytes.as_ptr();
        outgoing.consume(data.len());
        push(&mut outgoing, &data);
        assert_eq!(outgoing.bytes.as_ptr(), memory);
    }

    #[test]
    fn memory_goes_to_the_next_connection_and_stays_with_none() {
        let (mut first, mut second) = (Outgoing::default(), Outgoing::default());
        push(&mut first, &[1; 50_000]);
        first.consume(49_999);
        assert_eq!((first.bytes.capacity(), first.as_slice()), (1, &[1][..]));
        first.consume(1);
        assert_eq!(first.bytes.capacity(), 0);
        push(&mut second, &[2; 100]);
        assert_eq!(second.as_slice(), [2; 100]);
    }
}
