//! `Answer`: the answer of a server, as far as it has come (RFC 9112).

use super::Request;
use std::io::{self, Write};
use twistor::{Delimiter, LineContext, LineReceiver, Reason};

/// The most bytes of a body.
pub(crate) const BODY_MAX: u64 = 64 << 20;

/// Lines of headers, and of those behind a body, at most.
const HEADERS_MAX: usize = 200;

#[derive(Debug, Default)]
pub(crate) struct Answer {
    part: Part,
    /// Lines of headers so far.
    headers: usize,
    /// Bytes of the body so far.
    received: u64,
}

/// What comes next.
#[derive(Debug, Default)]
enum Part {
    #[default]
    Status,
    Headers {
        status: u16,
        body: Body,
    },
    /// The body, up to the end of the connection.
    Unbounded,
    /// `left` bytes of the body, or of one chunk.
    Bytes {
        left: u64,
        is_chunk: bool,
    },
    ChunkSize,
    /// The empty line behind a chunk.
    ChunkEnd,
    Trailers,
    Complete,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug)]
enum Body {
    Unbounded,
    Length(u64),
    Chunked,
}

/// A part of an answer that makes no sense.
fn wrong(what: &str, line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {line:?}"))
}

impl Answer {
    /// Returns true if the answer is complete, once its connection has ended so.
    pub(crate) fn is_complete(&self, reason: &Reason) -> bool {
        match self.part {
            Part::Complete => true,
            // TLS says whether a server has ended a connection, or somebody on the way.
            Part::Unbounded => matches!(reason, Reason::Done),
            _ => false,
        }
    }

    fn line(&mut self, cx: &mut LineContext<'_, Request>, line: &str) -> io::Result<()> {
        self.headers += 1;
        if self.headers > HEADERS_MAX && !matches!(self.part, Part::ChunkSize | Part::ChunkEnd) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many headers"));
        }
        match &mut self.part {
            Part::Status => {
                let status = status(line).ok_or_else(|| wrong("not a status of HTTP/1.1", line))?;
                cx.factory.status(line)?;
                self.part = Part::Headers { status, body: Body::Unbounded };
            }
            // The empty line ends the headers.
            Part::Headers { status, body } if line.is_empty() => match (*status, *body) {
                // The answer itself follows.
                (100 | 102..=199, _) => self.part = Part::Status,
                (101 | 204 | 304, _) => self.part = Part::Complete,
                (_, Body::Chunked) => self.part = Part::ChunkSize,
                (_, Body::Length(left)) => self.begin_bytes(left, false)?,
                (_, Body::Unbounded) => self.part = Part::Unbounded,
            },
            Part::Headers { body, .. } => note_header(line, body)?,
            Part::ChunkSize => {
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16);
                let size = size.map_err(|_| wrong("not the size of a chunk", line))?;
                match size {
                    0 => self.part = Part::Trailers,
                    size => self.begin_bytes(size, true)?,
                }
            }
            Part::ChunkEnd if line.is_empty() => self.part = Part::ChunkSize,
            Part::ChunkEnd => return Err(wrong("not the end of a chunk", line)),
            Part::Trailers if line.is_empty() => self.part = Part::Complete,
            Part::Trailers | Part::Unbounded | Part::Bytes { .. } | Part::Complete => {}
        }
        if matches!(self.part, Part::Unbounded | Part::Bytes { .. }) {
            cx.set_raw_mode();
        }
        Ok(())
    }

    fn begin_bytes(&mut self, left: u64, is_chunk: bool) -> io::Result<()> {
        self.bound(left)?;
        self.part = if left == 0 { Part::Complete } else { Part::Bytes { left, is_chunk } };
        Ok(())
    }

    fn bound(&self, more: u64) -> io::Result<()> {
        if self.received.saturating_add(more) > BODY_MAX {
            let what = format!("the body is longer than {BODY_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(())
    }

    /// Writes a part of the body, up to its end, and returns the rest.
    fn body<'a>(&mut self, out: &mut dyn Write, data: &'a [u8]) -> io::Result<&'a [u8]> {
        let wanted = match self.part {
            Part::Bytes { left, .. } => left.try_into().unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let (body, rest) = data.split_at(data.len().min(wanted));
        self.bound(body.len() as u64)?;
        self.received += body.len() as u64;
        out.write_all(body)?;
        if let Part::Bytes { left, is_chunk } = &mut self.part {
            *left -= body.len() as u64;
            match (*left, *is_chunk) {
                (0, true) => self.part = Part::ChunkEnd,
                (0, false) => self.part = Part::Complete,
                _ => {}
            }
        }
        Ok(rest)
    }

    /// Acts on the outcome of a callback.
    fn regard(&self, cx: &LineContext<'_, Request>, outcome: io::Result<()>) {
        match outcome {
            Err(error) => cx.transport.fail(error),
            Ok(()) if matches!(self.part, Part::Complete) => cx.transport.lose_connection(),
            Ok(()) => {}
        }
    }
}

/// Returns the code of a line such as `HTTP/1.1 200 OK`.
fn status(line: &str) -> Option<u16> {
    let mut words = line.split(' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    words.next()?.parse().ok().filter(|status| is_http && (100..600).contains(status))
}

/// Learns from a header how the end of the body is known.
fn note_header(line: &str, body: &mut Body) -> io::Result<()> {
    let (name, value) = line.split_once(':').ok_or_else(|| wrong("not a header", line))?;
    let value = value.trim();
    match name.to_ascii_lowercase().as_str() {
        "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => *body = Body::Chunked,
        "transfer-encoding" => return Err(wrong("an encoding that was not asked for", line)),
        "content-length" => {
            let length = value.parse().map_err(|_| wrong("not a length", line))?;
            match *body {
                Body::Chunked => {}
                Body::Length(other) if other != length => {
                    return Err(wrong("another length", line));
                }
                _ => *body = Body::Length(length),
            }
        }
        _ => {}
    }
    Ok(())
}

impl LineReceiver<Request> for Answer {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 8 * 1024;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Request>) {
        cx.transport.set_timeouts(super::timeouts());
        cx.transport.write(cx.factory.text());
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Request>, line: &[u8]) {
        let outcome = self.line(cx, &String::from_utf8_lossy(line));
        self.regard(cx, outcome);
    }

    fn raw_data_received(&mut self, cx: &mut LineContext<'_, Request>, data: &[u8]) {
        let outcome = self.body(&mut cx.factory.output, data).map(|rest| {
            if matches!(self.part, Part::ChunkEnd) {
                cx.set_line_mode(rest);
            }
        });
        self.regard(cx, outcome);
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Request>, _: &[u8]) {
        cx.transport.fail("a line of the answer is too long");
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Request>, reason: &Reason) {
        let is_complete = self.is_complete(reason);
        cx.factory.end(is_complete, cx.reactor, reason);
    }
}
