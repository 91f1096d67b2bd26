//! `ServerAddress`: where a server is, and who the client is there.

use percent_encoding::percent_decode_str;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use twistor::HostnameEndpoint;

/// The port that NATS servers listen on if nothing else is said.
const DEFAULT_PORT: u16 = 4222;

/// The address of a server, as `nats://user:password@host:port`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    host: String,
    port: u16,
    pub(crate) requires_tls: bool,
    pub(crate) credentials: Option<Credentials>,
    /// The name that the server's certificate must be valid for, if it is not the host: that of a
    /// server which was given, for one that it has told of by an IP address, or by a name which is
    /// not believed.
    pub(crate) tls_name: Option<String>,
}

/// Credentials of the client.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    User { user: String, password: String },
    Token(String),
}

impl ServerAddress {
    /// Parses a list of addresses, with commas between them. One without a scheme has that of the
    /// one before, and one without credentials those of the first that has some.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, AddressError> {
        let (mut scheme, mut addresses) = ("nats", Vec::new());
        for part in text.split(',').map(str::trim) {
            let (own, rest) = part.split_once("://").unwrap_or((scheme, part));
            scheme = own;
            addresses.push(Self::parse(scheme, rest, part)?);
        }
        let credentials = addresses.iter().find_map(|address: &Self| address.credentials.clone());
        for address in &mut addresses {
            address.credentials = address.credentials.take().or_else(|| credentials.clone());
        }
        Ok(addresses)
    }

    fn parse(scheme: &str, rest: &str, whole: &str) -> Result<Self, AddressError> {
        let error = |why: &str| AddressError::new(whole, why);
        let requires_tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(error("its scheme is neither nats:// nor tls://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A password may have an `@`, a host never.
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let credentials = credentials.map(|it| {
            Credentials::parse(it).ok_or_else(|| error("its user or password is not UTF-8"))
        });
        let address = Self::at(place).map_err(|why| error(&why))?;
        Ok(Self { requires_tls, credentials: credentials.transpose()?, ..address })
    }

    /// Parses `host:port`, `host`, `[::1]:port` or `[::1]`.
    fn at(place: &str) -> Result<Self, String> {
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |port| {
            let port = port.parse().ok().filter(|port| *port > 0);
            port.ok_or_else(|| "its port is not a number from 1 to 65535".to_owned())
        })?;
        HostnameEndpoint::new(host, port).map_err(|error| error.to_string())?;
        let (host, credentials, tls_name) = (host.to_owned(), None, None);
        Ok(Self { host, port, requires_tls: false, credentials, tls_name })
    }

    /// Parses an address that a server has told of; it is used as `model` is. A name stands for
    /// itself in TLS if names are believed; few certificates are valid for an IP address.
    pub(crate) fn discovered(place: &str, model: &Self, believes_names: bool) -> Option<Self> {
        let address = Self::at(place).ok()?;
        let is_itself = believes_names && address.tls_name().parse::<IpAddr>().is_err();
        Some(Self {
            requires_tls: model.requires_tls,
            credentials: model.credentials.clone(),
            tls_name: (!is_itself).then(|| model.tls_name().to_owned()),
            ..address
        })
    }

    /// Returns what two addresses of the same server have in common.
    pub(crate) fn place(&self) -> (String, u16) {
        (self.host.to_ascii_lowercase(), self.port)
    }

    /// Returns the name that the server's certificate must be valid for.
    pub(crate) fn tls_name(&self) -> &str {
        let host = self.tls_name.as_deref().unwrap_or(&self.host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn endpoint(&self, timeout: Duration) -> Option<HostnameEndpoint> {
        // The name was checked when the address was parsed.
        Some(HostnameEndpoint::new(&self.host, self.port).ok()?.timeout(timeout))
    }
}

impl Credentials {
    /// Parses `user:password`, or a token.
    fn parse(text: &str) -> Option<Self> {
        let decode = |part: &str| percent_decode_str(part).decode_utf8().ok().map(String::from);
        match text.split_once(':') {
            Some((user, password)) => {
                Some(Self::User { user: decode(user)?, password: decode(password)? })
            }
            None => decode(text).map(Self::Token),
        }
    }
}

/// Shows the place, and no credentials.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.requires_tls { "tls" } else { "nats" };
        let Self { host, port, .. } = self;
        match host.contains(':') && !host.starts_with('[') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows the user, and no secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { user, .. } => write!(f, "user {user:?}"),
            Self::Token(_) => f.write_str("token"),
        }
    }
}

/// An address of a server that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    place: String,
    why: String,
}

impl AddressError {
    fn new(whole: &str, why: &str) -> Self {
        // What stands before the last `@` may be a password.
        let place = whole.rsplit('@').next().unwrap_or_default();
        Self { place: place.to_owned(), why: why.to_owned() }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, why } = self;
        write!(f, "{place:?} is no address of a NATS server, such as nats://host:4222: {why}")
    }
}

impl Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        ServerAddress::parse_list(text).unwrap().iter().map(ToString::to_string).collect()
    }

    fn user(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::User { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        for (text, expected) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("localhost", "nats://localhost:4222"),
            ("tls://example.org/", "tls://example.org:4222"),
            ("nats://[::1]:5", "nats://[::1]:5"),
            ("nats://[::1]", "nats://[::1]:4222"),
            ("::1", "nats://[::1]:4222"),
            ("nats://u:p@h:1", "nats://h:1"),
        ] {
            assert_eq!(shown(text), [expected], "{text}");
        }
        assert_eq!(
            shown("tls://a, b:5,nats://c,d"),
            ["tls://a:4222", "tls://b:5", "nats://c:4222", "nats://d:4222"]
        );
    }

    #[test]
    fn credentials_stand_before_the_host_and_serve_for_all() {
        let all = ServerAddress::parse_list("nats://ann:s%40cret@a:1,b,nats://tok@c").unwrap();
        assert_eq!(all[0].credentials, user("ann", "s@cret"));
        assert_eq!(all[1].credentials, user("ann", "s@cret"));
        assert_eq!(all[2].credentials, Some(Credentials::Token("tok".to_owned())));
        let at_sign = ServerAddress::parse_list("nats://ann:a@b@host").unwrap();
        assert_eq!(at_sign[0].credentials, user("ann", "a@b"));
    }

    #[test]
    fn a_wrong_address_is_an_error_that_shows_no_password() {
        for bad in [
            "",
            "nats://",
            "http://a",
            "nats://a:0",
            "nats://a:x",
            "nats://a:70000",
            "nats://a b",
            "a,,b",
            "nats://%ff:x@a",
            "a\r\nb",
        ] {
            assert!(ServerAddress::parse_list(bad).is_err(), "{bad}");
        }
        let error = ServerAddress::parse_list("nats://ann:geheim@a:x").unwrap_err().to_string();
        assert!(!error.contains("geheim") && error.contains("a:x"), "{error}");
    }

    #[test]
    fn a_discovered_server_is_used_as_the_one_that_told_of_it() {
        let given = &ServerAddress::parse_list("tls://u:p@example.org").unwrap()[0];
        let found = ServerAddress::discovered("10.0.0.1:4223", given, true).unwrap();
        assert_eq!(found.to_string(), "tls://10.0.0.1:4223");
        assert_eq!((found.tls_name(), &found.credentials), ("example.org", &user("u", "p")));
        let found = ServerAddress::discovered("[::1]:4223", &found, true).unwrap();
        assert_eq!(found.tls_name(), "example.org");
        let found = ServerAddress::discovered("b.example.org", given, true).unwrap();
        assert_eq!(found.tls_name(), "b.example.org");
        let found = ServerAddress::discovered("b.example.org", given, false).unwrap();
        assert_eq!(found.tls_name(), "example.org");
        assert_eq!(ServerAddress::discovered("no host", given, true), None);
    }
}
