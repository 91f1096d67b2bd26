//! `ServerCommand`: a line of a server.

use super::error::CodecError;
use super::fields::{Fields, command, push_numbers};
use super::server_info::ServerInfo;

/// A line that a server sends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerCommand<'a> {
    /// `INFO`: who the server is and what it allows. The first line of each connection; later ones
    /// tell of changes in the cluster.
    Info(Box<ServerInfo>),
    /// `MSG` or `HMSG`: a message, whose payload follows.
    Message(MessageHead<'a>),
    /// `PING`: the server wants a `PONG`.
    Ping,
    /// `PONG`: everything that was sent before the `PING` has been processed.
    Pong,
    /// `+OK`, to clients that asked for it.
    Ok,
    /// `-ERR`, and what the server says, without its quotes.
    Err(&'a str),
}

/// The line of a message. The payload of [`total_len`](Self::total_len) bytes follows, and CR LF
/// after it.
///
/// Servers pass subjects on as they are, so that any client can publish to one that is not UTF-8:
/// that must not break the connection of those who receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead<'a> {
    /// The subject that the message was published to.
    pub subject: &'a [u8],
    /// The number of the subscription.
    pub sid: u64,
    /// The subject to reply to.
    pub reply: Option<&'a [u8]>,
    /// The length of the headers at the beginning of the payload; `None` in a message without.
    pub header_len: Option<usize>,
    /// The length of the payload, headers included. It may be above
    /// [`MAX_PAYLOAD`](super::MAX_PAYLOAD): servers have limits of their own.
    pub total_len: usize,
}

impl<'a> ServerCommand<'a> {
    /// Parses a line, without its CR LF. Names of commands may be in lower case, and several
    /// blanks count as one.
    ///
    /// # Errors
    ///
    /// [`CodecError`]: the stream cannot be understood from here on.
    pub fn parse(line: &'a [u8]) -> Result<Self, CodecError> {
        // By far the most frequent one.
        if let Some(rest) = line.strip_prefix(b"MSG ") {
            return MessageHead::parse(line, rest).map(Self::Message);
        }
        let (name, rest) = command(line);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("MSG") {
            return MessageHead::parse(line, rest).map(Self::Message);
        }
        if is("HMSG") {
            return MessageHead::parse_with_headers(line, rest).map(Self::Message);
        }
        if is("INFO") {
            return ServerInfo::parse(line, rest).map(|info| Self::Info(Box::new(info)));
        }
        if is("-ERR") {
            let text = std::str::from_utf8(rest);
            let text = text.map_err(|_| CodecError::new("an error that is not UTF-8", line))?;
            return Ok(Self::Err(text.trim_matches('\'')));
        }
        let plain = if is("PING") {
            Self::Ping
        } else if is("PONG") {
            Self::Pong
        } else if is("+OK") {
            Self::Ok
        } else {
            return Err(CodecError::new("an unknown command", line));
        };
        match rest {
            [] => Ok(plain),
            _ => Err(CodecError::new("more than the command", line)),
        }
    }

    /// Appends the line, with its CR LF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Info(info) => {
                out.extend_from_slice(b"INFO ");
                out.extend_from_slice(info.to_json().as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Self::Message(head) => head.write_to(out),
            Self::Ping => out.extend_from_slice(b"PING\r\n"),
            Self::Pong => out.extend_from_slice(b"PONG\r\n"),
            Self::Ok => out.extend_from_slice(b"+OK\r\n"),
            Self::Err(text) => {
                out.extend_from_slice(b"-ERR '");
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"'\r\n");
            }
        }
    }
}

impl<'a> MessageHead<'a> {
    fn parse(line: &'a [u8], rest: &'a [u8]) -> Result<Self, CodecError> {
        let fields = Fields::split(line, rest)?;
        let (subject, sid, reply, total) = match *fields.all() {
            [subject, sid, total] => (subject, sid, None, total),
            [subject, sid, reply, total] => (subject, sid, Some(reply), total),
            _ => return Err(fields.error("MSG without its three or four fields")),
        };
        Ok(Self {
            subject,
            sid: fields.number(sid)?,
            reply,
            header_len: None,
            total_len: fields.size(total)?,
        })
    }

    fn parse_with_headers(line: &'a [u8], rest: &'a [u8]) -> Result<Self, CodecError> {
        let fields = Fields::split(line, rest)?;
        let (subject, sid, reply, header, total) = match *fields.all() {
            [subject, sid, header, total] => (subject, sid, None, header, total),
            [subject, sid, reply, header, total] => (subject, sid, Some(reply), header, total),
            _ => return Err(fields.error("HMSG without its four or five fields")),
        };
        let (header_len, total_len) = (fields.size(header)?, fields.size(total)?);
        if header_len > total_len {
            return Err(fields.error("headers longer than the payload"));
        }
        Ok(Self {
            subject,
            sid: fields.number(sid)?,
            reply,
            header_len: Some(header_len),
            total_len,
        })
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.header_len.is_some() { b"HMSG " } else { b"MSG " });
        out.extend_from_slice(self.subject);
        push_numbers(out, [self.sid]);
        if let Some(reply) = self.reply {
            out.push(b' ');
            out.extend_from_slice(reply);
        }
        push_numbers(out, self.header_len.map(|header_len| header_len as u64));
        push_numbers(out, [self.total_len as u64]);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(
        subject: &'static str,
        sid: u64,
        reply: Option<&'static str>,
        header_len: Option<usize>,
        total_len: usize,
    ) -> ServerCommand<'static> {
        let (subject, reply) = (subject.as_bytes(), reply.map(str::as_bytes));
        ServerCommand::Message(MessageHead { subject, sid, reply, header_len, total_len })
    }

    #[test]
    fn lines_of_a_server() {
        let cases: [(&str, ServerCommand<'_>); 17] = [
            ("PING", ServerCommand::Ping),
            ("ping", ServerCommand::Ping),
            ("PONG  ", ServerCommand::Pong),
            ("+OK", ServerCommand::Ok),
            ("+ok", ServerCommand::Ok),
            ("-ERR 'Slow Consumer'", ServerCommand::Err("Slow Consumer")),
            ("-err 'a 'b' c'", ServerCommand::Err("a 'b' c")),
            ("-ERR", ServerCommand::Err("")),
            ("-ERR no quotes", ServerCommand::Err("no quotes")),
            ("MSG a.b 1 0", head("a.b", 1, None, None, 0)),
            ("msg a 12 r 5", head("a", 12, Some("r"), None, 5)),
            ("MSG  a\t12   r  5 ", head("a", 12, Some("r"), None, 5)),
            ("MSG é 1 2", head("é", 1, None, None, 2)),
            ("MSG a 1 67108865", head("a", 1, None, None, 67_108_865)),
            ("HMSG a 1 12 12", head("a", 1, None, Some(12), 12)),
            ("HMSG a 1 r 12 17", head("a", 1, Some("r"), Some(12), 17)),
            (
                "hmsg a 9999999999999999999 0 0",
                head("a", 9_999_999_999_999_999_999, None, Some(0), 0),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(ServerCommand::parse(line.as_bytes()).as_ref(), Ok(&expected), "{line}");
        }
    }

    #[test]
    fn what_is_written_is_parsed_as_the_same() {
        let all = [
            head("a.b", 7, None, None, 11),
            head("a", 1, Some("r.1"), None, 0),
            head("a", 1, None, Some(12), 12),
            head("a", u64::MAX / 10, Some("r"), Some(12), 20),
            ServerCommand::Ping,
            ServerCommand::Pong,
            ServerCommand::Ok,
            ServerCommand::Err("Stale Connection"),
        ];
        for command in all {
            let mut out = Vec::new();
            command.write_to(&mut out);
            let line = out.strip_suffix(b"\r\n").unwrap();
            assert_eq!(ServerCommand::parse(line).unwrap(), command);
        }
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        let bad: [&[u8]; 22] = [
            b"",
            b" ",
            b"HELLO",
            b"PINGPONG",
            b"PING 1",
            b"+OK yes",
            b"MSG",
            b"MSG ",
            b"MSG a 1",
            b"MSG a 1 r x 5 7",
            b"MSG a b 5",
            b"MSG a 1 -5",
            b"MSG a 1 +5",
            b"MSG a 1 0x5",
            b"MSG a 1 99999999999999999999",
            b"MSG a 18446744073709551616 5",
            b"HMSG a 1 5",
            b"HMSG a 1 6 5",
            b"HMSG a 1 r x 5 5",
            b"INFO",
            b"INFO {",
            b"INFO [1]",
        ];
        for line in bad {
            let error = ServerCommand::parse(line).unwrap_err().to_string();
            assert!(error.starts_with("not the NATS protocol: "), "{error}");
        }
    }
}
