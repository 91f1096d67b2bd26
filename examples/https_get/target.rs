//! `Target`: which server is asked, and for what.

use std::time::Duration;
use twistor::tls::TlsConnector;
use twistor::{Address, ClientEndpoint, HostnameEndpoint};

/// Connect timeout: the name, the connection and the handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: ClientEndpoint,
    /// Host and port, as the server is to know them.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Target {
    /// Parses a URL such as `https://localhost:8443/path?query`.
    pub(crate) fn from_url(url: &str, connector: &TlsConnector) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("\"{url}\" {what}"));
        let Some(rest) = url.strip_prefix("https://") else {
            return wrong("does not begin with https://");
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') {
            return wrong("has a user, and this client has no passwords");
        }
        // The colons of an IPv6 address are in brackets.
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
        {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, Some(443)),
        };
        let Some(port) = port else { return wrong("has no port number after its colon") };
        let connected = HostnameEndpoint::new(host, port).map_err(|error| error.to_string())?;
        let endpoint = ClientEndpoint::from(connected.timeout(CONNECT_TIMEOUT));
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let side = connector.to(name).map_err(|error| error.to_string())?;
        Self::new(endpoint.encrypted(side), authority.to_owned(), path)
    }

    /// Returns what a server at any endpoint is asked for.
    pub(crate) fn at(endpoint: ClientEndpoint, path: &str) -> Result<Self, String> {
        let host = match endpoint.address() {
            Address::Unix(_) => "localhost".to_owned(),
            address => address.to_string(),
        };
        Self::new(endpoint, host, path.to_owned())
    }

    fn new(endpoint: ClientEndpoint, host: String, path: String) -> Result<Self, String> {
        // Anything else could end the line, and begin another.
        for text in [&host, &path] {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("{text:?} has characters that must be escaped"));
            }
        }
        Ok(Self { endpoint, host, path })
    }
}
