//! Descriptions of endpoints: splits them at their colons, and hands out their arguments. Pure.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// An error, and the byte of the description at which it is.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new<T>(at: usize, message: String) -> Result<T, Self> {
        Err(Self { at, message })
    }
}

/// A part of a description, between colons.
#[derive(Debug)]
pub(super) struct Argument {
    key: Option<String>,
    key_at: usize,
    pub(super) value: String,
    pub(super) value_at: usize,
    /// Escapes or brackets mark the end of the value; a plain one may have been cut at a colon.
    quoted: bool,
}

/// The arguments of a description that are still to be read.
#[derive(Debug)]
pub(super) struct Arguments {
    rest: VecDeque<Argument>,
    /// Names of the arguments that were read.
    given: Vec<&'static str>,
    /// Number of arguments that were given by position.
    positions: usize,
    /// Length of the description: where a missing argument would be.
    end: usize,
}

impl Arguments {
    /// Splits a description at its colons.
    pub(super) fn split(text: &str) -> Result<Self, Problem> {
        let mut rest = VecDeque::new();
        let mut current = Argument::begin(0);
        let mut bracket = None;
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped)) => {
                        current.value.push(escaped);
                        current.quoted = true;
                    }
                    None => return Problem::new(at, "backslash with nothing to escape".to_owned()),
                },
                ']' if bracket.take().is_some() => {}
                _ if bracket.is_some() => current.value.push(character),
                '[' if current.value.is_empty() => {
                    bracket = Some(at);
                    current.quoted = true;
                }
                ':' => rest.push_back(std::mem::replace(&mut current, Argument::begin(at + 1))),
                '=' if current.key.is_none() => {
                    current.key = Some(std::mem::take(&mut current.value));
                    current.value_at = at + 1;
                }
                _ => current.value.push(character),
            }
        }
        if let Some(at) = bracket {
            return Problem::new(at, "bracket that is not closed".to_owned());
        }
        rest.push_back(current);
        Ok(Self { rest, given: Vec::new(), positions: 0, end: text.len() })
    }

    /// Removes the kind of the endpoint, which comes first, in lower case. A number alone is the
    /// port of a TCP endpoint, and stays.
    pub(super) fn take_kind(&mut self) -> Result<(String, usize), Problem> {
        let Some(first) = self.rest.front() else {
            return Problem::new(self.end, "no type of endpoint is given".to_owned());
        };
        let at = first.key_at;
        if first.key.is_none() && self.rest.len() == 1 && first.value.parse::<u64>().is_ok() {
            return Ok(("tcp".to_owned(), at));
        }
        // A part with a key names no kind.
        let kind = match &first.key {
            None => first.value.to_ascii_lowercase(),
            Some(key) => format!("{key}={}", first.value),
        };
        self.rest.pop_front();
        Ok((kind, at))
    }

    /// Removes the arguments with this name, wherever they are: they belong to an endpoint around
    /// another one.
    pub(super) fn take_named(&mut self, name: &str) -> Vec<Argument> {
        let parts = std::mem::take(&mut self.rest);
        let (taken, rest): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part.key.as_deref() == Some(name));
        self.rest = rest.into();
        taken
    }

    /// Returns true if the next argument is this word, and has no key.
    #[cfg(feature = "tls")]
    pub(super) fn begins_with(&self, word: &str) -> bool {
        self.rest.front().is_some_and(|first| first.key.is_none() && first.value == word)
    }

    /// Returns true if the next argument is a number, or has a key.
    #[cfg(feature = "tls")]
    pub(super) fn begins_with_number(&self) -> bool {
        let first = self.rest.front();
        first.is_some_and(|first| first.key.is_some() || first.value.parse::<u64>().is_ok())
    }

    /// Reads the next argument, and returns its name. `names` lists those of the kind, in their
    /// order by position.
    pub(super) fn next(
        &mut self,
        names: &[&'static str],
    ) -> Result<Option<(&'static str, Argument)>, Problem> {
        let Some(argument) = self.rest.pop_front() else { return Ok(None) };
        let name = match &argument.key {
            None => {
                self.positions += 1;
                names.get(self.positions - 1)
            }
            Some(key) => names.iter().find(|name| *name == key),
        };
        let Some(&name) = name else {
            let known = names.join(", ");
            let what = argument.key.as_ref().unwrap_or(&argument.value);
            return Problem::new(
                argument.key_at,
                format!("unexpected argument \"{what}\"; known are {known}"),
            );
        };
        if self.given.contains(&name) {
            return Problem::new(argument.key_at, format!("{name} is given twice"));
        }
        self.given.push(name);
        Ok(Some((name, argument)))
    }

    /// Returns the value of an argument that has to be given.
    pub(super) fn require<T>(&self, what: &str, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) => Ok(value),
            None => Problem::new(self.end, format!("no {what} is given")),
        }
    }

    /// Joins an IPv6 address that was cut at its own colons with those of the following nameless
    /// parts that belong to it.
    pub(super) fn join_plain_ipv6(&mut self, argument: &mut Argument) {
        if argument.quoted {
            return;
        }
        // Only as many as may belong to it, so that a long description costs no more than a short
        // one.
        let next = self.rest.iter().take(IPV6_PARTS_MAX - 1);
        let nameless = next.take_while(|part| part.key.is_none() && !part.quoted).count();
        for count in (1..=nameless).rev() {
            let parts = self.rest.range(..count).map(|part| part.value.as_str());
            let joined = std::iter::once(argument.value.as_str()).chain(parts).collect::<Vec<_>>();
            let joined = joined.join(":");
            if joined.parse::<Ipv6Addr>().is_ok() {
                argument.value = joined;
                self.rest.drain(..count);
                return;
            }
        }
    }
}

/// The most parts into which its colons cut an IPv6 address: `1:2:3:4:5:6:7::` has nine.
const IPV6_PARTS_MAX: usize = 9;

impl Argument {
    fn begin(at: usize) -> Self {
        Self { key: None, key_at: at, value: String::new(), value_at: at, quoted: false }
    }

    /// Returns true if the argument was given by name.
    pub(super) fn is_named(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the place in the description of a byte of the value; that of the whole value, if it
    /// is written otherwise there.
    pub(super) fn place(&self, position: usize) -> usize {
        if self.quoted { self.value_at } else { self.value_at + position }
    }

    /// Returns the error that the value is not what it should be.
    pub(super) fn error<T>(&self, what: &str, should_be: &str) -> Result<T, Problem> {
        Problem::new(self.value_at, format!("{what} \"{}\" is not {should_be}", self.value))
    }

    pub(super) fn number<N: FromStr>(&self, what: &str, max: u64) -> Result<N, Problem> {
        // `parse` alone would accept a plus sign.
        let digits = self.value.bytes().all(|byte| byte.is_ascii_digit());
        match self.value.parse() {
            Ok(number) if digits => Ok(number),
            _ => self.error(what, &format!("a number from 0 to {max}")),
        }
    }

    /// Returns the value as a switch.
    pub(super) fn flag(&self, what: &str) -> Result<bool, Problem> {
        match &*self.value {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => self.error(what, "0 or 1"),
        }
    }

    pub(super) fn ip(&self, what: &str) -> Result<IpAddr, Problem> {
        match self.value.parse() {
            Ok(ip) => Ok(ip),
            Err(_) => self.error(what, "an IP address"),
        }
    }

    /// Returns the value as a whole number of seconds, or one with a fraction.
    pub(super) fn seconds(&self, what: &str) -> Result<Duration, Problem> {
        let digits = self.value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match self.value.parse().ok().filter(|_| digits) {
            Some(seconds) => Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
            None => self.error(what, "a number of seconds"),
        }
    }
}

/// Writes a value so that it is read again as it is.
pub(super) fn write_escaped(value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in value.chars() {
        if matches!(character, ':' | '=' | '\\' | '[' | ']') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    Ok(())
}
