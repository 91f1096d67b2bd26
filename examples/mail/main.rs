//! Accepts mail (a small part of SMTP, RFC 5321), encrypted on request (STARTTLS, RFC 3207), and
//! keeps the letters in a folder.
//!
//! `RUST_LOG=info cargo run --features tls --example mail [PORT or ENDPOINT [CHAIN KEY [FOLDER]]]`,
//! then any mail client at 127.0.0.1, port 8025. CHAIN and KEY are the files of a certificate;
//! without them there is no STARTTLS. Without FOLDER the letters are only counted and logged.

#[path = "../shared/certificates.rs"]
mod certificates;
mod letter;
mod maildir;
mod session;
#[cfg(test)]
mod tests;

use letter::Letter;
use maildir::Maildir;
use session::Session;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use twistor::tls::{Certificates, TlsAcceptor};
use twistor::{Lines, Reactor, ServerEndpoint};

/// The mail that was accepted, and where it goes.
#[derive(Clone, Debug, Default)]
struct Mail {
    /// Encrypts connections, if there is a certificate.
    acceptor: Option<TlsAcceptor>,
    folder: Option<Maildir>,
    accepted: usize,
    /// The last letter, if there is no folder.
    last: Option<Letter>,
}

impl twistor::Factory for Mail {
    twistor::build_protocol!(Lines<Session>, |_mail| Lines::new(Session::default()));
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args_os().skip(1);
    let endpoint = arguments.next().unwrap_or("tcp:8025:interface=127.0.0.1".into());
    let endpoint: ServerEndpoint = endpoint.to_string_lossy().parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let mut mail = Mail::default();
    if let Some(chain) = arguments.next() {
        let key = arguments.next().ok_or("the file of the key is missing")?;
        let certificates = Certificates::from_files(chain, key)?;
        certificates::renew(&certificates, &mut reactor);
        mail.acceptor = Some(TlsAcceptor::builder(&certificates).build());
    }
    mail.folder = arguments.next().map(|it| Maildir::create(PathBuf::from(it))).transpose()?;
    let port = endpoint.listen(&mut reactor, mail)?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}
