//! The server that a user names as an argument: an endpoint, or a host and a port number.

use std::error::Error;
use std::time::Duration;
use twistor::{ClientEndpoint, HostnameEndpoint};

/// The kinds of endpoints: a host with one of these names is given as `tcp:HOST:PORT`.
const KINDS: [&str; 4] = ["tcp", "unix", "tls", "haproxy"];

/// Parses an endpoint, such as `tcp:localhost:8007:timeout=5`, or a host and a port number, such as
/// `localhost:8007`, for which the connect timeout is this one.
pub(crate) fn parse(server: &str, timeout: Duration) -> Result<ClientEndpoint, Box<dyn Error>> {
    if server.split_once(':').is_some_and(|(kind, _)| KINDS.contains(&kind)) {
        return Ok(server.parse()?);
    }
    let parts = server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| {
        format!("\"{server}\" is not like localhost:8007, nor like tcp:localhost:8007")
    })?;
    Ok(HostnameEndpoint::new(host, port)?.timeout(timeout).into())
}
