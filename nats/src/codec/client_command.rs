//! `ClientCommand`: a line of a client.

use super::error::CodecError;
use super::fields::{Fields, command, push_line};

/// A line that a client sends. Of use for servers, such as the one of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCommand<'a> {
    /// `CONNECT` and its JSON: who the client is and what it wants.
    Connect {
        /// The object, as text.
        json: &'a str,
    },
    /// `PUB` or `HPUB`: a message, whose payload follows, and CR LF after it.
    Publish {
        /// The subject that the message is published to.
        subject: &'a str,
        /// The subject to reply to.
        reply: Option<&'a str>,
        /// The length of the headers at the beginning of the payload; `None` in a message without.
        header_len: Option<usize>,
        /// The length of the payload, headers included.
        total_len: usize,
    },
    /// `SUB`: a subscription.
    Subscribe {
        /// The subject, which may have wildcards.
        subject: &'a str,
        /// The queue group: a message reaches one of its members.
        group: Option<&'a str>,
        /// The number that the client gives to the subscription.
        sid: u64,
    },
    /// `UNSUB`: the end of a subscription.
    Unsubscribe {
        /// The number of the subscription.
        sid: u64,
        /// The number of messages after which it ends, counted from its beginning on this
        /// connection; `None`: now. nats-server takes a number of more than nine digits for `None`.
        max: Option<u64>,
    },
    /// `PING`: the client wants a `PONG`.
    Ping,
    /// `PONG`, the answer to the server's `PING`.
    Pong,
}

impl<'a> ClientCommand<'a> {
    /// Parses a line, without its CR LF.
    ///
    /// # Errors
    ///
    /// [`CodecError`]: the stream cannot be understood from here on.
    pub fn parse(line: &'a [u8]) -> Result<Self, CodecError> {
        let (name, rest) = command(line);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("CONNECT") {
            let json = std::str::from_utf8(rest);
            let json = json.map_err(|_| CodecError::new("JSON that is not UTF-8", line))?;
            return Ok(Self::Connect { json });
        }
        let fields = Fields::split(line, rest)?;
        match *fields.all() {
            [] if is("PING") => Ok(Self::Ping),
            [] if is("PONG") => Ok(Self::Pong),
            [subject, sid] if is("SUB") => {
                let (subject, sid) = (fields.text(subject)?, fields.number(sid)?);
                Ok(Self::Subscribe { subject, group: None, sid })
            }
            [subject, group, sid] if is("SUB") => {
                let (subject, sid) = (fields.text(subject)?, fields.number(sid)?);
                Ok(Self::Subscribe { subject, group: Some(fields.text(group)?), sid })
            }
            [sid] if is("UNSUB") => Ok(Self::Unsubscribe { sid: fields.number(sid)?, max: None }),
            [sid, max] if is("UNSUB") => {
                let max = Some(fields.number(max)?);
                Ok(Self::Unsubscribe { sid: fields.number(sid)?, max })
            }
            [subject, total] if is("PUB") => publish(&fields, subject, None, None, total),
            [subject, reply, total] if is("PUB") => {
                publish(&fields, subject, Some(reply), None, total)
            }
            [subject, header, total] if is("HPUB") => {
                publish(&fields, subject, None, Some(header), total)
            }
            [subject, reply, header, total] if is("HPUB") => {
                publish(&fields, subject, Some(reply), Some(header), total)
            }
            _ => Err(CodecError::new("an unknown command, or one with other fields", line)),
        }
    }

    /// Appends the line, with its CR LF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Connect { json } => push_line(out, "CONNECT", &[json], &[]),
            Self::Publish { subject, reply, header_len, total_len } => {
                let name = if header_len.is_some() { "HPUB" } else { "PUB" };
                let fields = [subject, reply.unwrap_or_default()];
                let lengths = [header_len.unwrap_or_default() as u64, total_len as u64];
                let fields = &fields[..1 + usize::from(reply.is_some())];
                push_line(out, name, fields, &lengths[usize::from(header_len.is_none())..]);
            }
            Self::Subscribe { subject, group, sid } => {
                let fields = [subject, group.unwrap_or_default()];
                push_line(out, "SUB", &fields[..1 + usize::from(group.is_some())], &[sid]);
            }
            Self::Unsubscribe { sid, max: None } => push_line(out, "UNSUB", &[], &[sid]),
            Self::Unsubscribe { sid, max: Some(max) } => push_line(out, "UNSUB", &[], &[sid, max]),
            Self::Ping => push_line(out, "PING", &[], &[]),
            Self::Pong => push_line(out, "PONG", &[], &[]),
        }
    }
}

fn publish<'a>(
    fields: &Fields<'a>,
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header: Option<&'a [u8]>,
    total: &'a [u8],
) -> Result<ClientCommand<'a>, CodecError> {
    let header_len = header.map(|header| fields.length(header)).transpose()?;
    let total_len = fields.length(total)?;
    if header_len.is_some_and(|header_len| header_len > total_len) {
        return Err(fields.error("headers longer than the payload"));
    }
    let subject = fields.text(subject)?;
    let reply = reply.map(|reply| fields.text(reply)).transpose()?;
    Ok(ClientCommand::Publish { subject, reply, header_len, total_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_parsed_as_the_same() {
        let publish = |reply, header_len, total_len| ClientCommand::Publish {
            subject: "a.b",
            reply,
            header_len,
            total_len,
        };
        let cases = [
            (ClientCommand::Connect { json: "{\"verbose\":false}" }, "CONNECT {\"verbose\":false}"),
            (publish(None, None, 0), "PUB a.b 0"),
            (publish(Some("r"), None, 5), "PUB a.b r 5"),
            (publish(None, Some(12), 17), "HPUB a.b 12 17"),
            (publish(Some("r"), Some(12), 12), "HPUB a.b r 12 12"),
            (ClientCommand::Subscribe { subject: "a.>", group: None, sid: 1 }, "SUB a.> 1"),
            (ClientCommand::Subscribe { subject: "*", group: Some("g"), sid: 2 }, "SUB * g 2"),
            (ClientCommand::Unsubscribe { sid: 2, max: None }, "UNSUB 2"),
            (ClientCommand::Unsubscribe { sid: 2, max: Some(5) }, "UNSUB 2 5"),
            (ClientCommand::Ping, "PING"),
            (ClientCommand::Pong, "PONG"),
        ];
        for (command, line) in cases {
            let mut out = Vec::new();
            command.write_to(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\r\n"));
            assert_eq!(ClientCommand::parse(line.as_bytes()).unwrap(), command);
        }
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        let bad = [
            "",
            "PING x",
            "PUB",
            "PUB a",
            "PUB a x",
            "HPUB a 9 5",
            "SUB a",
            "SUB a b c d",
            "UNSUB",
            "UNSUB x",
            "UNSUB 1 x",
            "MSG a 1 0",
            "PUB a -1",
        ];
        for line in bad {
            assert!(ClientCommand::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
