//! What the command line asks for.

use twistor::ServerEndpoint;

/// Where to listen.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) endpoint: ServerEndpoint,
    /// Where Prometheus scrapes the metrics.
    pub(crate) metrics: Option<ServerEndpoint>,
    /// The Unix socket on which operators look into the reactor.
    #[cfg_attr(not(unix), expect(dead_code, reason = "the system has no such sockets"))]
    pub(crate) inspect: Option<String>,
    /// Where it takes over from the process before it, and hands over to the one after it.
    pub(crate) take_over: Option<String>,
}

impl Options {
    /// Parses the arguments of the program.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut endpoint, mut metrics) = (None, None);
        let (mut inspect, mut take_over) = (None, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match &*argument {
                "--metrics" => metrics = Some(parse_endpoint(&value()?)?),
                "--inspect" if cfg!(unix) => inspect = Some(value()?),
                "--take-over" => take_over = Some(value()?),
                "--inspect" => return Err("--inspect needs Unix sockets".to_owned()),
                _ if argument.starts_with('-') => return Err(format!("no option {argument}")),
                _ if endpoint.is_some() => {
                    return Err(format!("one endpoint too many: {argument}"));
                }
                _ => endpoint = Some(parse_endpoint(&argument)?),
            }
        }
        let endpoint =
            endpoint.map_or_else(|| parse_endpoint("tcp:8123:interface=127.0.0.1"), Ok)?;
        Ok(Self { endpoint, metrics, inspect, take_over })
    }
}

fn parse_endpoint(text: &str) -> Result<ServerEndpoint, String> {
    text.parse().map_err(|error| format!("{error}"))
}
