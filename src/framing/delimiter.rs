//! Line delimiters, and the search for them. Pure.

use memchr::memchr;
use std::borrow::Cow;

/// The byte sequence that ends a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delimiter {
    /// Exactly these bytes, at least one; anything else is part of the line.
    Exact(Cow<'static, [u8]>),
    /// LF or CR LF in what is received; lines are sent with CR LF. Clients such as `telnet` (CR LF)
    /// and `nc` (LF) then work alike.
    Newline,
}

/// The position of a line in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Length of the line without its delimiter.
    pub(super) line: usize,
    /// Offset of the next line.
    pub(super) next: usize,
}

impl Delimiter {
    /// CR LF and nothing else: the ending that most line protocols prescribe, and the default, as
    /// in Twisted.
    pub const CRLF: Self = Self::Exact(Cow::Borrowed(b"\r\n"));

    /// Returns the delimiter as bytes: what is appended to each line that is sent.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Exact(bytes) => bytes,
            Self::Newline => b"\r\n",
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns the delimiter itself.
    ///
    /// # Panics
    ///
    /// If it is empty: every line would end before it begins.
    pub(super) fn checked(self) -> Self {
        assert!(self.len() > 0, "a delimiter of lines must have at least one byte");
        self
    }

    /// Finds the first line in `bytes`, whose first `searched` bytes are known to end no line.
    #[inline(always)]
    pub(super) fn find(&self, bytes: &[u8], mut searched: usize) -> Option<Found> {
        let Self::Exact(delimiter) = self else {
            let end = searched + memchr(b'\n', &bytes[searched..])?;
            let cr = end > 0 && bytes[end - 1] == b'\r';
            return Some(Found { line: end - usize::from(cr), next: end + 1 });
        };
        // Searches for the last byte of the delimiter: there an interrupted search can continue.
        let (last, before) = delimiter.split_last()?;
        loop {
            let end = searched + memchr(*last, &bytes[searched..])?;
            searched = end + 1;
            if ends_with(&bytes[..end], before) {
                return Some(Found { line: end - before.len(), next: searched });
            }
        }
    }
}

/// Does what the slice's own `ends_with` does: that one calls the C library even for a short end.
fn ends_with(bytes: &[u8], end: &[u8]) -> bool {
    bytes.len() >= end.len() && bytes.iter().rev().zip(end.iter().rev()).all(|(a, b)| a == b)
}

impl From<&'static [u8]> for Delimiter {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Exact(Cow::Borrowed(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Delimiter {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self::Exact(Cow::Borrowed(bytes))
    }
}

impl From<&'static str> for Delimiter {
    fn from(text: &'static str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for Delimiter {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Exact(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(delimiter: impl Into<Delimiter>, bytes: &[u8], expected: Option<(usize, usize)>) {
        let delimiter = delimiter.into();
        let expected = expected.map(|(line, next)| Found { line, next });
        // A search that was interrupted before the delimiter was complete continues to the same
        // end.
        for searched in 0..expected.map_or(bytes.len() + 1, |found| found.next) {
            assert_eq!(delimiter.find(bytes, searched), expected, "from {searched}");
        }
    }

    #[test]
    fn the_first_delimiter_ends_the_line() {
        check(b"\r\n", b"one\r\ntwo\r\n", Some((3, 5)));
        check(b"\r\n", b"\r\n", Some((0, 2)));
        check(b"\r\n", b"a\nb\rc\r\r\n", Some((6, 8)));
        check(b"\r\n", b"no end\r", None);
        check(b"\n", b"a\r\n", Some((2, 3)));
        check(b"aa", b"aaa", Some((0, 2)));
        check(b"abab", b"xababab", Some((1, 5)));
        check(vec![0; 3], b"a\0\0b\0\0\0", Some((4, 7)));
        check(b"\r\n", b"", None);
    }

    #[test]
    fn newline_ends_lines_at_lf_and_cr_lf() {
        check(Delimiter::Newline, b"one\ntwo", Some((3, 4)));
        check(Delimiter::Newline, b"one\r\ntwo", Some((3, 5)));
        check(Delimiter::Newline, b"\n", Some((0, 1)));
        check(Delimiter::Newline, b"\r\n", Some((0, 2)));
        check(Delimiter::Newline, b"a\rb\r\r\n", Some((4, 6)));
        check(Delimiter::Newline, b"one\r", None);
    }

    #[test]
    #[should_panic(expected = "at least one byte")]
    fn an_empty_delimiter_panics() {
        Delimiter::from(b"").checked();
    }
}
