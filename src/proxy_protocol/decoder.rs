//! Incremental decoder of PROXY headers.

use super::binary;
use super::error::{ProxyError, ProxyErrorKind};
use super::header::{ProxyHeader, Version};
use super::line::{self, Line};

/// Decoder of one PROXY header, of either version, from bytes as they arrive.
///
/// It holds at most [`HEADER_MAX`](super::HEADER_MAX) bytes, and of bytes that begin no header not
/// even one. The time that a peer takes is not its matter: give the header a deadline, at least the
/// three seconds of the specification, which cover a retransmission.
///
/// ```
/// use twistor::proxy_protocol::{Decoded, ProxyDecoder};
///
/// let mut decoder = ProxyDecoder::new();
/// assert_eq!(decoder.wanted(), 15);
/// assert_eq!(decoder.receive(b"PROXY UNKNOWN\r")?, Decoded::Incomplete { wanted: 1 });
/// assert!(matches!(decoder.receive(b"\nEHLO")?, Decoded::Complete { length: 1, .. }));
/// # Ok::<(), twistor::proxy_protocol::ProxyError>(())
/// ```
#[derive(Debug, Default)]
pub struct ProxyDecoder {
    received: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing has arrived that tells the version.
    #[default]
    Begun,
    /// Version 1.
    Line(Line),
    /// Version 2, the fixed part.
    Fixed,
    /// Version 2, up to a total length.
    Rest(usize),
    /// Nothing more is accepted.
    Ended(ProxyError),
}

/// Result of [`ProxyDecoder::receive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All bytes belong to the header, and more are missing.
    Incomplete {
        /// How many bytes are missing at least, one or more: a read of up to `wanted` bytes gets
        /// none from behind the header.
        wanted: usize,
    },
    /// The header is complete.
    Complete {
        /// The header.
        header: ProxyHeader,
        /// How many of the bytes of this call belong to it. Those behind belong to the next layer.
        length: usize,
    },
}

impl ProxyDecoder {
    /// Creates a decoder that has received nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes that have arrived.
    ///
    /// # Errors
    ///
    /// At the first byte that cannot belong to a header; then the connection should be closed, and
    /// each later call returns the same error. A call after the complete header returns
    /// [`ProxyErrorKind::AlreadyComplete`].
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Decoded, ProxyError> {
        let result = self.decode(bytes);
        let end = match &result {
            Ok(Decoded::Incomplete { .. }) => return result,
            Ok(Decoded::Complete { .. }) => {
                ProxyError::new(self.received.len(), ProxyErrorKind::AlreadyComplete)
            }
            Err(error) => error.clone(),
        };
        *self = Self { received: Vec::new(), state: State::Ended(end) };
        result
    }

    /// Returns how many bytes are missing at least: 15 at the beginning, the length of the shortest
    /// header. Zero if the header was complete, or an error.
    pub fn wanted(&self) -> usize {
        let received = self.received.len();
        match &self.state {
            State::Begun => Line::Beginning.missing(&[]),
            State::Line(line) => line.missing(&self.received),
            State::Fixed => binary::FIXED - received,
            State::Rest(length) => length - received,
            State::Ended(_) => 0,
        }
    }

    /// Returns how many bytes of an incomplete header have arrived. Zero means that the peer has
    /// sent nothing, as a health check does that only connects.
    pub fn received(&self) -> usize {
        self.received.len()
    }

    /// Returns the error of a connection that ends, or is given up, before its header is complete.
    pub fn truncated(&self) -> ProxyError {
        match &self.state {
            State::Ended(error) => error.clone(),
            _ => ProxyError::new(self.received.len(), ProxyErrorKind::Truncated),
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.received.capacity()
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, ProxyError> {
        let mut length = 0;
        while let Some(&byte) = bytes.get(length) {
            match &mut self.state {
                State::Begun => {
                    self.state = match byte {
                        b'P' => State::Line(Line::Beginning),
                        b'\r' => State::Fixed,
                        _ => return Err(ProxyError::new(0, ProxyErrorKind::NoHeader { byte })),
                    };
                    continue;
                }
                State::Line(line) => {
                    line.accept(&self.received, byte)?;
                    self.received.push(byte);
                    length += 1;
                    if line.is_complete() {
                        let origin = line::decode(&self.received)?;
                        let header = ProxyHeader::from_parts(Version::V1, origin, &[]);
                        return Ok(Decoded::Complete { header, length });
                    }
                }
                State::Fixed => {
                    binary::check(&self.received, byte)?;
                    self.received.push(byte);
                    length += 1;
                    if let Some(fixed) = self.received.first_chunk() {
                        self.state = State::Rest(binary::length(fixed)?);
                    }
                }
                State::Rest(total) => {
                    let missing = *total - self.received.len();
                    let rest = &bytes[length..];
                    let taken = &rest[..missing.min(rest.len())];
                    self.received.extend_from_slice(taken);
                    length += taken.len();
                }
                State::Ended(error) => return Err(error.clone()),
            }
            if matches!(self.state, State::Rest(total) if total == self.received.len()) {
                let (origin, tlvs) = binary::decode(&self.received)?;
                let header = ProxyHeader::from_parts(Version::V2, origin, tlvs);
                return Ok(Decoded::Complete { header, length });
            }
        }
        match &self.state {
            State::Ended(error) => Err(error.clone()),
            _ => Ok(Decoded::Incomplete { wanted: self.wanted() }),
        }
    }
}
