//! TLS with the programs of others, both ways, over loopback. What a peer cannot do is said in its
//! file; [`OFFERS`] are what clients offer to each server of this library.

mod carriers;
mod client;
mod curl;
mod gnutls;
mod mail;
mod nginx;
mod openssl;
mod python;
mod renewal;
mod server;

use crate::support::{Folder, TIMEOUT};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use twistor::testing::tls::{AUTHORITY, CLIENT, LOCALHOST, RSA, WILDCARD};
use twistor::tls::{RootCertificates, TlsInfo};

/// Bytes of a long transfer, each way.
const LONG: usize = 16 << 20;

/// The versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1_2,
    V1_3,
}

const VERSIONS: [Version; 2] = [Version::V1_2, Version::V1_3];

impl Version {
    fn number(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// What a client offers to a server of this library, whose application protocols are `irc` and
/// `chat`, and which would like to have a certificate.
struct Offer {
    /// The server's name: its certificate is for that name.
    name: &'static str,
    alpn: &'static [&'static str],
    has_certificate: bool,
    /// The application protocol that is chosen.
    chosen: &'static str,
}

const OFFERS: [Offer; 3] = [
    Offer { name: "localhost", alpn: &[], has_certificate: false, chosen: "-" },
    Offer { name: "x.wild.test", alpn: &["irc"], has_certificate: true, chosen: "irc" },
    Offer { name: "rsa.test", alpn: &["h2", "chat"], has_certificate: false, chosen: "chat" },
];

impl Offer {
    /// Returns what the server says that was negotiated.
    fn negotiated(&self, version: Version, is_resumed: bool) -> String {
        format!(
            "version={} alpn={} name={} certificate={} resumed={is_resumed}",
            version.number(),
            self.chosen,
            self.name,
            self.has_certificate
        )
    }
}

/// Describes what was negotiated, in a line.
fn describe(tls: &TlsInfo) -> String {
    use twistor::tls::TlsVersion;
    format!(
        "version={} alpn={} name={} certificate={} resumed={}",
        match tls.version() {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
            _ => "other",
        },
        tls.alpn_protocol().map_or("-".into(), String::from_utf8_lossy),
        tls.server_name().unwrap_or("-"),
        !tls.peer_certificates().is_empty(),
        tls.is_resumed()
    )
}

fn roots() -> RootCertificates {
    RootCertificates::from_pem(AUTHORITY).unwrap()
}

/// The bytes of a long transfer: text, since some programs take nothing else.
fn long_text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let lines = (0..LONG / 16).map(|number| format!("line {number:010}\n"));
        lines.collect::<String>().into_bytes()
    })
}

/// The test certificates as files, for the programs of others.
struct Files(Folder);

impl Files {
    fn new() -> Self {
        let files = Self(Folder::new());
        files.write("authority.pem", AUTHORITY);
        for (name, certificate) in
            [("localhost", LOCALHOST), ("wildcard", WILDCARD), ("rsa", RSA), ("client", CLIENT)]
        {
            files.write(&format!("{name}.pem"), certificate.certificate);
            files.write(&format!("{name}-key.pem"), certificate.key);
        }
        files
    }

    /// Writes a file, and returns its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn folder(&self) -> PathBuf {
        self.0.join("")
    }

    /// Returns a command that runs in the folder of these files, and ends in time.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.arg(TIMEOUT.as_secs().to_string()).arg(program).current_dir(self.folder());
        command
    }
}

/// Runs a command with this on its standard input, to the end.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The program may end before it has read everything.
        scope.spawn(move || drop(stdin.write_all(input)));
        process.wait_with_output().unwrap()
    })
}

/// Everything that a program has said.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned()).concat()
}
