//! Splitter state of one connection, and the effects of a callback on it. Pure.

use super::delimiter::{Delimiter, Found};

/// Settings and mode with which the bytes of one connection are split.
#[derive(Debug)]
pub(super) struct SplitterState {
    /// `None` until the connection is made; then the receiver's default applies.
    pub(super) delimiter: Option<Delimiter>,
    pub(super) max_length: Option<usize>,
    pub(super) mode: Mode,
    /// The receiver holds back bytes already received.
    pub(super) paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Line,
    Raw,
}

/// The piece of input that is delivered next.
pub(super) enum Piece {
    Line(Found),
    Raw,
    TooLong,
}

/// Effects of a callback on the buffer that it was called from.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The remaining bytes were removed.
    pub(super) cleared: bool,
    /// Number of bytes at the end of the callback's data that are split again.
    pub(super) tail: usize,
    /// Bytes that are split after the remaining ones.
    pub(super) extra: Vec<u8>,
    /// The delimiter has changed, so that bytes already searched are searched again.
    pub(super) search_again: bool,
}

impl Effects {
    pub(super) fn is_empty(&self) -> bool {
        self.tail == 0 && self.extra.is_empty()
    }

    /// Returns true if the buffer has changed.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.cleared || !self.is_empty()
    }

    /// Turns a tail into extra bytes, so that more can follow.
    pub(super) fn untail(&mut self, given: &[u8]) {
        let tail = std::mem::take(&mut self.tail);
        self.extra.extend_from_slice(&given[given.len() - tail..]);
    }
}

impl SplitterState {
    #[inline]
    pub(super) fn delimiter(&self) -> &Delimiter {
        self.delimiter.as_ref().unwrap_or(&Delimiter::CRLF)
    }

    #[inline]
    pub(super) fn max_length(&self) -> usize {
        self.max_length.unwrap_or(usize::MAX)
    }

    /// Returns the piece that `input`, which is not empty, begins with, if that is known yet. The
    /// first `searched` bytes are known to end no line.
    #[inline(always)]
    pub(super) fn next_piece(&self, input: &[u8], searched: usize) -> Option<Piece> {
        if self.mode == Mode::Raw {
            return Some(Piece::Raw);
        }
        let (delimiter, max_length) = (self.delimiter(), self.max_length());
        match delimiter.find(input, searched) {
            Some(found) if found.line > max_length => Some(Piece::TooLong),
            Some(found) => Some(Piece::Line(found)),
            // All but the last byte of a delimiter may have arrived after a line of maximum length.
            None if input.len() >= max_length.saturating_add(delimiter.len()) => {
                Some(Piece::TooLong)
            }
            None => None,
        }
    }
}
