//! How one connection is split, and what a callback does to that. Pure.

use super::delimiter::{Delimiter, Found};

/// How one connection is split.
#[derive(Debug)]
pub(super) struct SplitterState {
    /// `None` until the connection is made: then it is the receiver's.
    pub(super) delimiter: Option<Delimiter>,
    pub(super) max_length: Option<usize>,
    pub(super) mode: Mode,
    /// The receiver holds back what has been received.
    pub(super) paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Line,
    Raw,
}

/// What of the input is to be delivered next.
pub(super) enum Piece {
    Line(Found),
    Raw,
    TooLong,
}

/// What a callback did to the buffer that it was called from.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// What was left is taken out.
    pub(super) cleared: bool,
    /// So many bytes at the end of what the callback was given are to be split again.
    pub(super) tail: usize,
    /// These are to be split after what is left.
    pub(super) extra: Vec<u8>,
    /// The delimiter has changed.
    pub(super) search_anew: bool,
}

impl Effects {
    pub(super) fn is_empty(&self) -> bool {
        self.tail == 0 && self.extra.is_empty()
    }

    /// True if the buffer is not as it was.
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

    /// What `input`, which is not empty, begins with, if it can be told yet. The first `searched`
    /// bytes are known to end no line.
    #[inline(always)]
    pub(super) fn next_piece(&self, input: &[u8], searched: usize) -> Option<Piece> {
        if self.mode == Mode::Raw {
            return Some(Piece::Raw);
        }
        let (delimiter, max_length) = (self.delimiter(), self.max_length());
        match delimiter.find(input, searched) {
            Some(found) if found.line > max_length => Some(Piece::TooLong),
            Some(found) => Some(Piece::Line(found)),
            // All but the last byte of a delimiter may have come behind a line of full length.
            None if input.len() >= max_length.saturating_add(delimiter.len()) => {
                Some(Piece::TooLong)
            }
            None => None,
        }
    }
}
