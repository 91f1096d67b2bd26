//! `Settings`: what the arguments say.

use super::redis;
use std::time::Duration;
use twistor::ClientEndpoint;

/// More than one process of Redis serves.
const CONNECTIONS_MAX: usize = 10_000;

/// More than a connection needs to be always busy, over any distance.
const DEPTH_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) endpoint: ClientEndpoint,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) requests: u64,
    pub(crate) timeout: Duration,
    /// The command's bytes.
    pub(crate) command: Vec<u8>,
}

impl Settings {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let missing = "the endpoint is missing, such as tcp:127.0.0.1:6379";
        let (endpoint, mut rest) = arguments.split_first().ok_or(missing)?;
        let endpoint = endpoint.parse().map_err(|error| format!("{error}"))?;
        let (mut connections, mut depth, mut requests, mut timeout) = (50, 1, 100_000, 5);
        while let Some((argument, behind)) = rest.split_first() {
            let Some((name, value)) = argument.split_once('=') else { break };
            match name {
                "connections" => connections = number(name, value, CONNECTIONS_MAX as u64)?,
                "depth" => depth = number(name, value, DEPTH_MAX as u64)?,
                "requests" => requests = number(name, value, u64::MAX)?,
                "timeout" => timeout = number(name, value, 3600)?,
                _ => {
                    let known = "connections, depth, requests and timeout";
                    return Err(format!("\"{name}\" is no setting; there are {known}"));
                }
            }
            rest = behind;
        }
        let command = match rest {
            [] => redis::encode(&["PING"]),
            words => redis::encode(words),
        };
        Ok(Self {
            endpoint,
            connections: connections as usize,
            depth: depth as usize,
            requests,
            timeout: Duration::from_secs(timeout),
            command,
        })
    }
}

fn number(name: &str, value: &str, max: u64) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("{name}={value}: not a number from 1 to {max}"))
}
