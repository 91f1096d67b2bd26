//! The messages between a predecessor and its successor, one a line. Pure.
//!
//! ```text
//! successor              predecessor
//! take over 1
//! next                   port  0  tcp:127.0.0.1:8007  tcp:127.0.0.1:8007    with one descriptor
//! next                   port  1  unix:/run/a.sock  unix:/run/a.sock        with two, of the lock
//! next                   end
//! ready                  go
//! serving  0             closes
//! ```
//!
//! Instead of each answer the predecessor may say `refused` with the reason, and closes then.

use super::PORTS_MAX;
use std::fmt;

/// What a successor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// It wants to take over, and speaks this version.
    TakeOver(u32),
    /// It wants the next port.
    Next,
    /// It has started up, and serves as soon as it may.
    Ready,
    /// It serves, and has taken the ports with these numbers.
    Serving(Vec<usize>),
}

/// What a predecessor answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The next port, whose descriptors come before this message.
    Port { number: usize, requested: String, bound: String, has_lock: bool },
    /// There are no more ports.
    End,
    /// The successor may serve.
    Go,
    /// There is no take-over, for this reason.
    Refused(String),
}

impl Request {
    /// Parses a line; `None` if it is no request.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut parts = line.split('\t');
        let request = match parts.next()? {
            "take over" => Self::TakeOver(parts.next()?.parse().ok()?),
            "next" => Self::Next,
            "ready" => Self::Ready,
            "serving" => {
                let numbers: Result<Vec<usize>, _> =
                    parts.by_ref().take(PORTS_MAX).map(str::parse).collect();
                Self::Serving(numbers.ok()?)
            }
            _ => return None,
        };
        parts.next().is_none().then_some(request)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeOver(version) => write!(f, "take over\t{version}"),
            Self::Next => f.write_str("next"),
            Self::Ready => f.write_str("ready"),
            Self::Serving(numbers) => {
                f.write_str("serving")?;
                numbers.iter().try_for_each(|number| write!(f, "\t{number}"))
            }
        }
    }
}

impl Answer {
    /// Parses a line; `None` if it is no answer.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut parts = line.split('\t');
        let answer = match parts.next()? {
            "port" => Self::Port {
                number: parts.next()?.parse().ok().filter(|number| *number < PORTS_MAX)?,
                requested: parts.next()?.to_owned(),
                bound: parts.next()?.to_owned(),
                has_lock: match parts.next()? {
                    "socket" => false,
                    "socket and lock" => true,
                    _ => return None,
                },
            },
            "end" => Self::End,
            "go" => Self::Go,
            "refused" => Self::Refused(parts.next()?.to_owned()),
            _ => return None,
        };
        parts.next().is_none().then_some(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { number, requested, bound, has_lock } => {
                let what = if *has_lock { "socket and lock" } else { "socket" };
                write!(f, "port\t{number}\t{requested}\t{bound}\t{what}")
            }
            Self::End => f.write_str("end"),
            Self::Go => f.write_str("go"),
            Self::Refused(why) => write!(f, "refused\t{why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        for request in [
            Request::TakeOver(1),
            Request::Next,
            Request::Ready,
            Request::Serving(vec![]),
            Request::Serving((0..PORTS_MAX).collect()),
        ] {
            let line = request.to_string();
            assert!(line.len() <= super::super::MESSAGE_MAX);
            assert_eq!(Request::parse(line.as_bytes()), Some(request));
        }
        let port = |requested: &str, has_lock| Answer::Port {
            number: 7,
            requested: requested.to_owned(),
            bound: "unix:/run/web sock".to_owned(),
            has_lock,
        };
        for answer in [
            port("", false),
            port("systemd:name=web", true),
            Answer::End,
            Answer::Go,
            Answer::Refused("it is busy".to_owned()),
        ] {
            assert_eq!(Answer::parse(answer.to_string().as_bytes()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_message_is_rejected() {
        let many = format!("serving{}", "\t1".repeat(PORTS_MAX + 1));
        for line in [
            "",
            "hello",
            "take over",
            "take over\tone",
            "take over\t-1",
            "take over\t1\t2",
            "next\t",
            "ready 1",
            "serving\t",
            "serving\t1\tx",
            "GET / HTTP/1.1",
            "take over\t\u{ff}",
            &many,
        ] {
            assert_eq!(Request::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Request::parse(b"next\xff"), None);
        for line in [
            "",
            "port",
            "port\t0\ta\tb",
            "port\t0\ta\tb\tlock",
            "port\t1024\ta\tb\tsocket",
            "port\t0\ta\tb\tsocket\tc",
            "refused",
            "end\t",
            "go now",
        ] {
            assert_eq!(Answer::parse(line.as_bytes()), None, "{line}");
        }
    }
}
