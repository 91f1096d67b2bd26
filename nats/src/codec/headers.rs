//! Headers of a message.

use super::error::CodecError;
use std::error::Error;
use std::fmt;

/// The line that begins headers, up to a status.
const VERSION: &str = "NATS/1.0";

/// The most headers of a message. Each of them takes memory of its own, twenty times that of its
/// shortest line, so that those of a large payload would fill it; messages have a few dozen.
const HEADERS_MAX: usize = 1000;

/// Headers of a message, at most 1000: names and values, in the order in which they were added. A
/// name may occur more than once. Names are compared as they are, with their case.
///
/// ```
/// use twistor_nats::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.append("Node", "7")?;
/// assert_eq!(headers.get("Node"), Some("7"));
/// assert!(headers.append("Evil", "x\r\nNode: 8").is_err());
/// # Ok::<(), twistor_nats::error::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap {
    status: Option<Status>,
    entries: Vec<(String, String)>,
}

/// The status with which a server answers in place of a service, such as 503 if nobody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The number.
    pub code: u16,
    /// What it says, perhaps empty.
    pub description: String,
}

impl HeaderMap {
    /// Returns headers without an entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`]: the name is empty or has other characters than visible ones of ASCII, or
    /// a colon; the value has a line break; or there are 1000 headers already.
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(InvalidHeader::new("invalid name of a header", name));
        }
        if value.contains(['\r', '\n', '\0']) {
            return Err(InvalidHeader::new("invalid value of a header", value));
        }
        if self.entries.len() >= HEADERS_MAX {
            return Err(InvalidHeader::new("more than 1000 headers", name));
        }
        self.entries.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Returns the first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns all names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the status of the server, if it is one that answers.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Returns true if there is no header.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Parses the headers at the beginning of a payload.
    ///
    /// # Errors
    ///
    /// [`CodecError`], if they do not begin with the version, do not end with an empty line, have
    /// a line that is no header, or more than 1000 headers.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let error = |what| CodecError::new(what, bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| error("headers that are not UTF-8"))?;
        let text = text.strip_suffix("\r\n\r\n");
        let text = text.ok_or_else(|| error("headers without their end"))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix(VERSION));
        let first = first.ok_or_else(|| error("headers of another version"))?;
        let status = parse_status(first).ok_or_else(|| error("a status that is no number"))?;
        let mut headers = Self { status, entries: Vec::new() };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                return Err(error("a header without a colon"));
            };
            let added = headers.append(name.trim(), value);
            added.map_err(|_| error("a header whose name or value cannot be one, or too many"))?;
        }
        Ok(headers)
    }

    /// Appends the headers as the beginning of a payload.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(VERSION.as_bytes());
        if let Some(Status { code, description }) = &self.status {
            out.extend_from_slice(format!(" {code:03} {description}").trim_end().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.entries {
            for piece in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(piece);
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Returns headers that have a status, as a server answers.
    #[must_use]
    pub fn with_status(self, code: u16, description: &str) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let description = description.trim().chars().map(clean).collect();
        Self { status: Some(Status { code, description }), ..self }
    }
}

/// Parses what follows the version: nothing, or a number and perhaps a description.
fn parse_status(rest: &str) -> Option<Option<Status>> {
    let rest = rest.trim();
    if rest.is_empty() {
        return Some(None);
    }
    let (code, description) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.parse().ok())??;
    Some(Some(Status { code, description: description.trim().to_owned() }))
}

/// A name or a value that cannot be a header, or a header too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    what: &'static str,
    text: String,
}

impl InvalidHeader {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.chars().take(64).collect() }
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.what, self.text)
    }
}

impl Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_and_parsed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("A", "1"), ("b-C", "x: y"), ("A", ""), ("U", "é")] {
            headers.append(name, value).unwrap();
        }
        let mut out = Vec::new();
        headers.write_to(&mut out);
        assert_eq!(out, "NATS/1.0\r\nA: 1\r\nb-C: x: y\r\nA: \r\nU: é\r\n\r\n".as_bytes());
        assert_eq!(HeaderMap::parse(&out).unwrap(), headers);
        assert_eq!((headers.get("A"), headers.get("a")), (Some("1"), None));
    }

    #[test]
    fn a_status_is_a_number_and_words() {
        let parse = |text: &str| HeaderMap::parse(text.as_bytes()).map(|it| it.status().cloned());
        let status = |code, description: &str| {
            Ok(Some(Status { code, description: description.to_owned() }))
        };
        assert_eq!(parse("NATS/1.0 503\r\n\r\n"), status(503, ""));
        assert_eq!(
            parse("NATS/1.0 100 Idle Heartbeat\r\nX: 1\r\n\r\n"),
            status(100, "Idle Heartbeat")
        );
        assert_eq!(parse("NATS/1.0\r\n\r\n"), Ok(None));
        assert!(parse("NATS/1.0 99999\r\n\r\n").is_err() && parse("NATS/1.0 x\r\n\r\n").is_err());
        let mut out = Vec::new();
        HeaderMap::new().with_status(503, "").write_to(&mut out);
        assert_eq!(out, b"NATS/1.0 503\r\n\r\n");
    }

    #[test]
    fn the_number_of_headers_has_a_limit() {
        let mut headers = HeaderMap::new();
        for number in 0..HEADERS_MAX {
            headers.append("A", &number.to_string()).unwrap();
        }
        let mut out = Vec::new();
        headers.write_to(&mut out);
        assert_eq!(HeaderMap::parse(&out).unwrap(), headers);
        let error = headers.append("B", "").unwrap_err().to_string();
        assert_eq!(error, "more than 1000 headers: \"B\"");
        out.truncate(out.len() - 2);
        out.extend_from_slice(b"B:\r\n\r\n");
        assert!(HeaderMap::parse(&out).is_err());
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let bad: [&[u8]; 9] = [
            b"",
            b"\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"NATS/1.0\r\n",
            b"NATS/1.0\r\nA: 1\r\n",
            b"NATS/1.0\r\nA\r\n\r\n",
            b"NATS/1.0\r\n: 1\r\n\r\n",
            b"NATS/1.0\r\nA: a\nb\r\n\r\n",
            b"NATS/1.0\r\nA: \xff\r\n\r\n",
        ];
        for bytes in bad {
            assert!(HeaderMap::parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
        for (name, value) in [("", ""), ("a b", ""), ("a:", ""), ("é", ""), ("a", "x\r\ny")] {
            assert!(HeaderMap::new().append(name, value).is_err());
        }
    }
}
