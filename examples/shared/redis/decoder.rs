//! `Decoder`: bytes into replies. Pure.

use super::reply::Reply;
use std::borrow::Cow;
use std::io;

/// Longest line: of a status, an error or a number. As long as Redis takes one itself.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// Memory of a reply at most, with everything in it. Far more than a person reads.
pub(super) const REPLY_MAX: usize = 64 << 20;

/// Arrays within arrays at most. Redis's own replies have four or five.
pub(super) const DEPTH_MAX: usize = 32;

/// What a reply takes besides its text.
const ITEM: usize = size_of::<Reply>();

/// Decoder of replies. An error ends the connection: the next reply can no longer be found.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    part: Part,
    /// Arrays that are not complete, the outermost first.
    open: Vec<Array>,
    /// Memory of the reply so far.
    size: usize,
}

#[derive(Debug)]
struct Array {
    items: Vec<Reply>,
    /// Items that are still to come: at least one.
    left: usize,
}

/// What comes next.
#[derive(Debug)]
enum Part {
    /// The rest of a line.
    Line(Vec<u8>),
    /// The rest of a bulk string of this length, and the end of line behind it.
    Bulk { bytes: Vec<u8>, length: usize },
}

impl Default for Part {
    fn default() -> Self {
        Self::Line(Vec::new())
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Decoder {
    /// Takes bytes from the input up to the end of a reply, and returns it; `None` if it needs more
    /// than there is.
    pub(super) fn decode(&mut self, input: &mut &[u8]) -> io::Result<Option<Reply>> {
        while !input.is_empty() {
            let reply = match &mut self.part {
                Part::Line(begun) => match take_line(begun, input)? {
                    Some(line) => self.line(&line)?,
                    None => None,
                },
                Part::Bulk { bytes, length } => {
                    let count = input.len().min(*length + 2 - bytes.len());
                    bytes.extend_from_slice(take(input, count));
                    match bytes.len() == *length + 2 {
                        true => Some(self.bulk()?),
                        false => None,
                    }
                }
            };
            if let Some(reply) = reply.and_then(|reply| self.complete(reply)) {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Returns the value of a line, unless it only begins one.
    fn line(&mut self, line: &[u8]) -> io::Result<Option<Reply>> {
        let Some((kind, text)) = line.split_first() else {
            return Err(wrong("a reply that begins with an empty line"));
        };
        self.count(text.len())?;
        Ok(Some(match kind {
            b'+' => Reply::Status(text.to_vec()),
            b'-' => Reply::Error(text.to_vec()),
            b':' => Reply::Integer(number(text)?),
            b'$' | b'*' if text == b"-1" => Reply::Nil,
            b'$' => {
                let length = length(text)?;
                self.fits(length)?;
                self.part = Part::Bulk { bytes: Vec::new(), length };
                return Ok(None);
            }
            b'*' => match length(text)? {
                0 => Reply::Array(Vec::new()),
                left => {
                    self.fits(left.saturating_mul(ITEM))?;
                    if self.open.len() == DEPTH_MAX {
                        return Err(wrong(format!("a reply of more than {DEPTH_MAX} levels")));
                    }
                    self.open.push(Array { items: Vec::new(), left });
                    return Ok(None);
                }
            },
            _ => {
                let line = &line[..line.len().min(40)];
                return Err(wrong(format!("not a reply of Redis: \"{}\"", line.escape_ascii())));
            }
        }))
    }

    /// Returns the bulk string, which is complete.
    fn bulk(&mut self) -> io::Result<Reply> {
        let Part::Bulk { mut bytes, length } = std::mem::take(&mut self.part) else {
            unreachable!("only a bulk string is complete here")
        };
        if bytes[length..] != *b"\r\n" {
            return Err(wrong(format!("a bulk string of {length} bytes does not end there")));
        }
        self.count(length)?;
        bytes.truncate(length);
        Ok(Reply::Bulk(bytes))
    }

    /// Puts a value in its place; returns the reply if it is complete.
    fn complete(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(array) = self.open.last_mut() {
            array.items.push(reply);
            array.left -= 1;
            if array.left > 0 {
                return None;
            }
            reply = Reply::Array(self.open.pop()?.items);
        }
        self.size = 0;
        Some(reply)
    }

    fn fits(&self, more: usize) -> io::Result<()> {
        if self.size.saturating_add(more) > REPLY_MAX {
            return Err(wrong(format!("a reply of more than {REPLY_MAX} bytes")));
        }
        Ok(())
    }

    fn count(&mut self, length: usize) -> io::Result<()> {
        self.fits(length + ITEM)?;
        self.size += length + ITEM;
        Ok(())
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}

/// Takes a line, without its end, or the beginning of one; `begun` is what came of it before.
fn take_line<'a>(begun: &mut Vec<u8>, input: &mut &'a [u8]) -> io::Result<Option<Cow<'a, [u8]>>> {
    let end = input.iter().position(|byte| *byte == b'\n');
    let piece = take(input, end.map_or(input.len(), |at| at + 1));
    if begun.len() + piece.len() > LINE_MAX {
        return Err(wrong(format!("a line of more than {LINE_MAX} bytes")));
    }
    if end.is_none() || !begun.is_empty() {
        begun.extend_from_slice(piece);
    }
    if end.is_none() {
        return Ok(None);
    }
    let line = match begun.is_empty() {
        true => Cow::Borrowed(piece),
        false => Cow::Owned(std::mem::take(begun)),
    };
    let Some(length) = line.strip_suffix(b"\r\n").map(<[u8]>::len) else {
        return Err(wrong("a line that does not end with CR LF"));
    };
    Ok(Some(match line {
        Cow::Borrowed(line) => Cow::Borrowed(&line[..length]),
        Cow::Owned(mut line) => {
            line.truncate(length);
            Cow::Owned(line)
        }
    }))
}

fn number(text: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let shown = &text[..text.len().min(40)];
    number.ok_or_else(|| wrong(format!("not a number: \"{}\"", shown.escape_ascii())))
}

fn length(text: &[u8]) -> io::Result<usize> {
    let number = number(text)?;
    number.try_into().map_err(|_| wrong(format!("not a length: {number}")))
}
