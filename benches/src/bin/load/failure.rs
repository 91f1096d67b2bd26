//! Why a load ends before its time.

use std::fmt;

/// A sentence for whoever started the load: what is wrong, where, and what to do if that is known.
#[derive(Debug)]
pub struct Failure(String);

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// A connection did what no correct server makes it do.
    pub fn of(connection: usize, what: impl fmt::Display) -> Self {
        Self(format!("connection {connection}: {what}"))
    }

    /// Bytes came that differ from those that are `due`, after `before` right ones of the reply.
    pub fn wrong_bytes(connection: usize, before: u64, due: &[u8], got: &[u8]) -> Self {
        let same = due.iter().zip(got).take_while(|(one, other)| one == other).count();
        let at = before + same as u64;
        let rest = &got[same..];
        let what = match due.get(same) {
            Some(byte) => format!(
                "byte {at} of the reply is wrong: expected {} and got {}",
                byte.escape_ascii(),
                rest[0].escape_ascii()
            ),
            None => format!(
                "bytes came that nobody asked for, after {at} right ones: \"{}\"",
                rest[..rest.len().min(32)].escape_ascii()
            ),
        };
        Self::of(connection, what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_byte_is_named() {
        let failure = Failure::wrong_bytes(3, 2, b"cdef", b"cdxf");
        assert_eq!(
            failure.to_string(),
            "connection 3: byte 4 of the reply is wrong: expected e and got x"
        );
    }

    #[test]
    fn bytes_after_the_end_are_named() {
        let failure = Failure::wrong_bytes(0, 1, b"b", b"bcd\r");
        assert_eq!(
            failure.to_string(),
            "connection 0: bytes came that nobody asked for, after 2 right ones: \"cd\\r\""
        );
    }
}
