//! Appends every line it receives to a file, which is open while the factory is in use.
//!
//! `cargo run --example logfile [PORT or ENDPOINT [PATH]]`, then `nc 127.0.0.1 8007`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use twistor::{Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, ServerEndpoint};

struct Logger;

impl LineReceiver<LogfileFactory> for Logger {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, LogfileFactory>, line: &[u8]) {
        if let Err(error) = cx.factory.append(line) {
            cx.transport.fail(error);
        }
    }
}

struct LogfileFactory {
    path: PathBuf,
    file: Option<File>,
}

impl LogfileFactory {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        // One write, so that lines of other processes do not get in between.
        file.write_all(&[line, b"\n"].concat())
    }
}

impl Factory for LogfileFactory {
    twistor::build_protocol!(Lines<Logger>, |_| Lines::new(Logger));

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        let opened = File::options().append(true).create(true).open(&self.path);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        };
        self.file = Some(opened.map_err(named)?);
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.file = None;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args_os().skip(1);
    let endpoint = arguments.next().unwrap_or("tcp:8007:interface=127.0.0.1".into());
    let path = arguments.next().unwrap_or("logfile.txt".into()).into();
    let endpoint: ServerEndpoint = endpoint.to_string_lossy().parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, LogfileFactory { path, file: None })?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use twistor::testing::Server;

    #[test]
    fn lines_are_appended_and_the_file_is_closed_with_the_factory() {
        let path = env::temp_dir().join(format!("twistor-lines-{}", std::process::id()));
        let server = Server::new(LogfileFactory { path: path.clone(), file: None });
        let peer = server.connect();
        peer.send("first\r\nsec");
        assert_eq!(fs::read(&path).unwrap(), b"first\n");
        peer.send("ond\n");
        assert_eq!(fs::read(&path).unwrap(), b"first\nsecond\n");
        let port = server.port();
        server.reactor(|reactor| reactor.stop_listening(port.id()));
        peer.send("third\n");
        assert_eq!(peer.lost_reason().unwrap().to_string(), "failed: not connected");
        fs::remove_file(&path).unwrap();
    }
}
