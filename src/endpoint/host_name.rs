//! Host names: whether a text is one, or an IP address. Pure.

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Longest host name, without a trailing dot (RFC 1035: 255 bytes with the lengths of its parts).
const NAME_MAX: usize = 253;

/// Longest part of a host name between dots (RFC 1035).
const LABEL_MAX: usize = 63;

/// Why a text is not a host name.
///
/// A host name is ASCII: letters, digits, hyphens and underscores, in parts of at most 63 bytes
/// between dots, 253 bytes together; it may end with a dot. A name in another script is given in
/// its IDNA form, as in `xn--bcher-kva.example`. Or it is an IP address.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidHostName {
    host: String,
    why: String,
}

impl InvalidHostName {
    /// Returns the text that is not a host name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns why it is none.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither a host name nor an IP address: {}", self.host, self.why)
    }
}

impl fmt::Debug for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for InvalidHostName {}

/// Checks a host. Returns its address with the port number if it is an IP address, and `None` if
/// it is a name.
pub(super) fn check(host: &str, port: u16) -> Result<Option<SocketAddr>, InvalidHostName> {
    let checked = literal(host, port).and_then(|literal| match literal {
        Some(address) => Ok(Some(address)),
        None => check_name(host).map(|()| None),
    });
    checked.map_err(|why| InvalidHostName { host: host.to_owned(), why })
}

/// Returns the address if the host is an IP address, perhaps in brackets, or with the number of a
/// scope.
fn literal(host: &str, port: u16) -> Result<Option<SocketAddr>, String> {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if in_brackets.is_none() && !host.contains([':', '%']) {
        return Ok(host.parse().ok().map(|ip: Ipv4Addr| (ip, port).into()));
    }
    let host = in_brackets.unwrap_or(host);
    let (ip, scope) = host.split_once('%').unwrap_or((host, "0"));
    let Ok(ip) = ip.parse::<Ipv6Addr>() else {
        return Err(format!("{ip:?} is not an IPv6 address"));
    };
    // `parse` alone would accept a plus sign.
    let digits = scope.bytes().all(|byte| byte.is_ascii_digit());
    match scope.parse() {
        Ok(scope) if digits => Ok(Some(SocketAddrV6::new(ip, port, 0, scope).into())),
        _ => Err("a scope is given by the number of its interface".to_owned()),
    }
}

/// Checks that the host is a name. (What ends with a number would be taken for an IPv4 address in
/// one of its older forms, such as `127.1`.)
fn check_name(host: &str) -> Result<(), String> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !host.is_ascii() {
        return Err("it is not ASCII; its IDNA form begins with \"xn--\"".to_owned());
    }
    if name.len() > NAME_MAX {
        return Err(format!("it has {} bytes, and the most are {NAME_MAX}", name.len()));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("a part between its dots is empty".to_owned());
        }
        if label.len() > LABEL_MAX {
            let length = label.len();
            return Err(format!("a part has {length} bytes, and the most are {LABEL_MAX}"));
        }
        let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if let Some(char) = label.chars().find(|char| !is_part(*char)) {
            return Err(format!("it has a {char:?}"));
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if digits(last) || hexadecimal {
        return Err("its last part is a number".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        let long = format!("{}.{}.", ["a".repeat(63).as_str(); 3].join("."), "b".repeat(61));
        for name in ["example.org", "localhost", "a", "example.org.", "x-1.y_2", "1a.b", &long] {
            assert_eq!(check(name, 80), Ok(None), "{name}");
        }
        for (literal, address) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80"),
            ("fe80::1%2", "[fe80::1%2]:80"),
            ("[fe80::1%2]", "[fe80::1%2]:80"),
        ] {
            assert_eq!(check(literal, 80), Ok(Some(address.parse().unwrap())), "{literal}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_the_reason() {
        let (long, label) = ("ab.".repeat(100), "a".repeat(64));
        for (host, why) in [
            ("", "it is empty"),
            (".", "a part between its dots is empty"),
            ("a..b", "a part between its dots is empty"),
            (".a", "a part between its dots is empty"),
            ("a\0b", "it has a '\\0'"),
            ("a b", "it has a ' '"),
            ("a/b", "it has a '/'"),
            ("user@host", "it has a '@'"),
            ("bücher.example", "it is not ASCII"),
            (&long, "it has 299 bytes, and the most are 253"),
            (&label, "a part has 64 bytes, and the most are 63"),
            ("a:b", "\"a:b\" is not an IPv6 address"),
            ("example.org:80", "is not an IPv6 address"),
            ("[::1", "is not an IPv6 address"),
            ("[127.0.0.1]", "is not an IPv6 address"),
            ("127.0.0.1%2", "is not an IPv6 address"),
            ("fe80::1%eth0", "a scope is given by the number of its interface"),
            ("fe80::1%", "a scope is given by the number of its interface"),
            ("fe80::1%+2", "a scope is given by the number of its interface"),
            ("fe80::1%99999999999", "a scope is given by the number of its interface"),
            ("127.1", "its last part is a number"),
            ("2130706433", "its last part is a number"),
            ("0x7f.0X1", "its last part is a number"),
            ("256.0.0.1.", "its last part is a number"),
        ] {
            let error = check(host, 80).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.host(), host);
        }
    }
}
