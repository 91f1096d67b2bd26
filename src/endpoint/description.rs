//! Parser for endpoint descriptions. Pure.

use super::{ANY_IPV6, DEFAULT_BACKLOG, ServerEndpoint, TcpServerEndpoint};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An error, and the byte of the description at which it is.
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Problem {
    fn new<T>(at: usize, message: String) -> Result<T, Self> {
        Err(Self { at, message })
    }
}

pub(super) fn parse(text: &str) -> Result<ServerEndpoint, Problem> {
    let (first, arguments) = split(text)?;
    match (first.key.as_deref(), first.value.to_ascii_lowercase().as_str()) {
        (None, "tcp") => tcp(arguments, text.len(), &["port", "interface", "backlog"], None),
        (None, "tcp6") => {
            tcp(arguments, text.len(), &["port", "backlog", "interface"], Some(ANY_IPV6))
        }
        (None, digits) if arguments.is_empty() && digits.parse::<u64>().is_ok() => {
            tcp(VecDeque::from([first]), text.len(), &["port"], None)
        }
        _ => Problem::new(
            0,
            format!("unknown type of endpoint \"{}\"; known are tcp and tcp6", first.value),
        ),
    }
}

/// A part of a description, between colons.
struct Argument {
    key: Option<String>,
    key_at: usize,
    value: String,
    value_at: usize,
    /// Escapes or brackets mark the end of the value; a plain one may have been cut at a colon.
    quoted: bool,
}

/// Splits a description at its colons, into the first part, which always exists, and the others.
fn split(text: &str) -> Result<(Argument, VecDeque<Argument>), Problem> {
    let mut arguments = VecDeque::new();
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
            ':' => arguments.push_back(std::mem::replace(&mut current, Argument::begin(at + 1))),
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
    match arguments.pop_front() {
        Some(first) => {
            arguments.push_back(current);
            Ok((first, arguments))
        }
        None => Ok((current, arguments)),
    }
}

impl Argument {
    fn begin(at: usize) -> Self {
        Self { key: None, key_at: at, value: String::new(), value_at: at, quoted: false }
    }

    fn number<N: FromStr>(&self, what: &str, max: u64) -> Result<N, Problem> {
        // `parse` alone would accept a plus sign.
        let digits = self.value.bytes().all(|byte| byte.is_ascii_digit());
        match self.value.parse() {
            Ok(number) if digits => Ok(number),
            _ => Problem::new(
                self.value_at,
                format!("{what} \"{}\" is not a number from 0 to {max}", self.value),
            ),
        }
    }

    fn interface(&self) -> Result<Option<IpAddr>, Problem> {
        if self.value.is_empty() {
            return Ok(None);
        }
        match self.value.parse() {
            Ok(interface) => Ok(Some(interface)),
            Err(_) => Problem::new(
                self.value_at,
                format!("interface \"{}\" is not an IP address", self.value),
            ),
        }
    }
}

/// Parses the arguments of `tcp` and `tcp6`. `names` lists them in their order by position; `any`
/// is the interface if none is named.
fn tcp(
    mut arguments: VecDeque<Argument>,
    end: usize,
    names: &[&'static str],
    any: Option<IpAddr>,
) -> Result<ServerEndpoint, Problem> {
    let (mut port, mut interface, mut backlog) = (None, None, DEFAULT_BACKLOG);
    let mut given: Vec<&str> = Vec::new();
    let mut positions = names.iter();
    while let Some(mut argument) = arguments.pop_front() {
        let name = match &argument.key {
            None => positions.next(),
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
        if given.contains(&name) {
            return Problem::new(argument.key_at, format!("{name} is given twice"));
        }
        given.push(name);
        match name {
            "port" => port = Some(argument.number::<u16>("port", u16::MAX.into())?),
            "backlog" => backlog = argument.number::<u32>("backlog", u32::MAX.into())?,
            _ => {
                join_plain_ipv6(&mut argument, &mut arguments);
                interface = argument.interface()?;
                if any == Some(ANY_IPV6) && matches!(interface, Some(IpAddr::V4(_))) {
                    return Problem::new(
                        argument.value_at,
                        format!("interface \"{}\" is not an IPv6 address", argument.value),
                    );
                }
            }
        }
    }
    let Some(port) = port else {
        return Problem::new(end, "no port is given".to_owned());
    };
    let interface = interface.or(any).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Ok(TcpServerEndpoint::new(port).interface(interface).backlog(backlog).into())
}

/// The most parts into which its colons cut an IPv6 address: `1:2:3:4:5:6:7::` has nine.
const IPV6_PARTS_MAX: usize = 9;

/// Joins an IPv6 address that was cut at its own colons with those of the following nameless parts
/// that belong to it.
fn join_plain_ipv6(argument: &mut Argument, following: &mut VecDeque<Argument>) {
    if argument.quoted {
        return;
    }
    // Only as many as may belong to it, so that a long description costs no more than a short one.
    let next = following.iter().take(IPV6_PARTS_MAX - 1);
    let nameless = next.take_while(|part| part.key.is_none() && !part.quoted).count();
    for count in (1..=nameless).rev() {
        let parts = following.range(..count).map(|part| part.value.as_str());
        let joined = std::iter::once(argument.value.as_str()).chain(parts).collect::<Vec<_>>();
        let joined = joined.join(":");
        if joined.parse::<Ipv6Addr>().is_ok() {
            argument.value = joined;
            following.drain(..count);
            return;
        }
    }
}
