//! Gets a page over HTTPS (HTTP/1.1): prints the status on the standard error, the body on the
//! standard output, and ends. It follows no redirections.
//!
//! `cargo run --features tls --example https_get [--roots FILE] URL`, such as
//! `https://localhost:8443/path`. FILE has the authorities to trust instead of those of the system.
//! Or `https_get ENDPOINT [PATH]`, such as `tls:localhost:8443:trustRoots=authority.pem /path`.

mod answer;
mod target;
#[cfg(test)]
mod tests;

use answer::Answer;
use std::cell::Cell;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use target::Target;
use twistor::limits::Timeouts;
use twistor::tls::{RootCertificates, TlsConnector};
use twistor::{Factory, Lines, Reactor, Reason, Transport, build_protocol};

/// Idle timeout: a server that says nothing for so long has forgotten the request.
const IDLE: Duration = Duration::from_secs(10);

/// Time for the whole answer.
const LIFETIME: Duration = Duration::from_secs(300);

fn timeouts() -> Timeouts {
    Timeouts::new().idle(IDLE).max_lifetime(LIFETIME)
}

/// The request, and where its answer goes.
struct Request {
    host: String,
    path: String,
    /// For the body. Writing to it blocks, which does no harm: there is only one connection.
    output: Box<dyn Write>,
    /// The answer is complete. Read by `main` after the factory is dropped.
    succeeded: Rc<Cell<bool>>,
}

impl Request {
    fn text(&self) -> String {
        let Self { host, path, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: twistor\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        )
    }

    /// Prints the status, without what would affect a screen instead of being read on it.
    fn status(&self, line: &str) -> io::Result<()> {
        let line: String = line.chars().filter(|it| !it.is_control()).collect();
        writeln!(io::stderr(), "{line}")
    }

    fn end(&mut self, is_complete: bool, reactor: &mut Reactor, reason: &Reason) {
        let flushed = self.output.flush();
        self.succeeded.set(is_complete && flushed.is_ok());
        if !is_complete {
            let _ = writeln!(io::stderr(), "the answer is not complete: {reason}");
        }
        reactor.stop();
    }
}

impl Factory for Request {
    build_protocol!(Lines<Answer>, |_| Lines::new(Answer::default()));

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let _ = writeln!(io::stderr(), "cannot connect to {}: {error}", to.peer_address());
        reactor.stop();
    }
}

fn connector(roots: Option<String>) -> Result<TlsConnector, Box<dyn Error>> {
    let roots = match roots {
        Some(file) => RootCertificates::from_file(file)?,
        None => RootCertificates::system()?,
    };
    Ok(TlsConnector::builder(&roots).alpn(["http/1.1"]).build())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    env_logger::init();
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let mut roots = None;
    if let Some(at) = arguments.iter().position(|argument| argument == "--roots") {
        arguments.remove(at);
        roots = (at < arguments.len()).then(|| arguments.remove(at));
        roots.as_ref().ok_or("--roots needs a file")?;
    }
    let target = match arguments.as_slice() {
        [url] if url.contains("://") => Target::from_url(url, &connector(roots)?)?,
        [endpoint] => Target::at(endpoint.parse()?, "/")?,
        [endpoint, path] => Target::at(endpoint.parse()?, path)?,
        _ => return Err("one argument: a URL such as https://localhost:8443/path".into()),
    };
    let succeeded = Rc::new(Cell::new(false));
    let request = Request {
        host: target.host,
        path: target.path,
        output: Box::new(io::stdout()),
        succeeded: Rc::clone(&succeeded),
    };
    let mut reactor = Reactor::new()?;
    target.endpoint.connect(&mut reactor, request)?;
    reactor.run()?;
    Ok(if succeeded.get() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
