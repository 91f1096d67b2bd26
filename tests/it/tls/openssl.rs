//! OpenSSL: `s_client` and `s_server`. Neither can close its sending half and read on.

use super::client::{Request, ask};
use super::server::{Server, acceptor};
use super::{Files, LONG, OFFERS, Offer, VERSIONS, Version, long_text, roots, run, said};
use crate::support::{Child, has_tool};
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use twistor::testing::tls::CLIENT;
use twistor::tls::{ClientAuthentication, TlsConnector};
use twistor::{ClientEndpoint, TcpClientEndpoint};

impl Version {
    fn openssl(self) -> &'static str {
        match self {
            Self::V1_2 => "-tls1_2",
            Self::V1_3 => "-tls1_3",
        }
    }
}

fn is_there() -> bool {
    has_tool("openssl", "openssl")
}

fn s_client(files: &Files, server: &Server, version: Version, offer: &Offer) -> Command {
    let mut command = files.command("openssl");
    command.args(["s_client", "-connect", &server.address.to_string(), version.openssl()]);
    command.args(["-CAfile", "authority.pem", "-verify_return_error", "-ign_eof"]);
    command.args(["-servername", offer.name, "-verify_hostname", offer.name]);
    if !offer.alpn.is_empty() {
        command.args(["-alpn", &offer.alpn.join(",")]);
    }
    if offer.has_certificate {
        command.args(["-cert", "client.pem", "-key", "client-key.pem"]);
    }
    command
}

#[test]
fn s_client_negotiates_and_resumes() {
    if !is_there() {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    for version in VERSIONS {
        for offer in &OFFERS {
            for (is_resumed, session) in [(false, "-sess_out"), (true, "-sess_in")] {
                let mut command = s_client(&files, &server, version, offer);
                let said = said(&run(command.args([session, "session.pem"]), b"info\n"));
                let negotiated = offer.negotiated(version, is_resumed);
                assert!(said.contains(&negotiated), "no {negotiated} in {said}");
                let new = if is_resumed { "Reused, TLSv" } else { "New, TLSv" };
                assert!(said.contains(new), "{negotiated}: {said}");
                server.expect_done(0);
            }
        }
    }
}

/// The key that it offers first is of a kind that the server does not know.
#[test]
fn s_client_tries_a_second_key() {
    if !is_there() {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    let mut command = s_client(&files, &server, Version::V1_3, &OFFERS[1]);
    let said = said(&run(command.args(["-groups", "X448:P-256"]), b"info\n"));
    assert!(said.contains(&OFFERS[1].negotiated(Version::V1_3, false)), "{said}");
    server.expect_done(0);
}

#[test]
fn s_client_is_told_why_it_is_rejected() {
    if !is_there() {
        return;
    }
    let files = Files::new();
    let strict = Server::with(&acceptor(ClientAuthentication::Required(roots())));
    let irc = Offer { alpn: &["irc"], ..OFFERS[0] };
    let nothing = Offer { alpn: &["nothing"], has_certificate: true, ..OFFERS[0] };
    for version in VERSIONS {
        for (offer, alert) in
            [(&irc, "certificate required"), (&nothing, "no application protocol")]
        {
            let said = said(&run(&mut s_client(&files, &strict, version, offer), b"info\n"));
            // TLS 1.2 has no alert of its own for a certificate that is missing.
            let is_named = said.contains(alert)
                || version == Version::V1_2 && said.contains("alert handshake failure");
            assert!(is_named && !said.contains("version="), "{version:?} {alert}: {said}");
        }
    }
}

#[test]
fn s_client_moves_long_texts_both_ways() {
    if !is_there() {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    let input = [b"exchange\n", long_text()].concat();
    for version in VERSIONS {
        let mut command = s_client(&files, &server, version, &OFFERS[0]);
        command.args(match version {
            Version::V1_2 => ["-max_send_frag", "512"],
            // Records that are mostly padding.
            Version::V1_3 => ["-record_padding", "4096"],
        });
        let output = run(command.arg("-quiet"), &input);
        assert!(output.stdout == long_text(), "{} of {LONG}", output.stdout.len());
        server.expect_done(LONG);
    }
}

#[test]
fn the_kill_of_a_client_is_no_graceful_close() {
    if !is_there() {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    files.write("input", "echo\nhello\n");
    for version in VERSIONS {
        let mut command = Command::new("openssl");
        command.args(s_client(&files, &server, version, &OFFERS[0]).get_args().skip(2));
        command.arg("-quiet").current_dir(files.folder());
        let client =
            Child::spawn_with_stdin(command.stdin(File::open(files.path("input")).unwrap()));
        assert_eq!(client.line(), "hello");
        drop(client);
        let served = server.served();
        assert_eq!((served.received, &*served.reason), (6, "UnexpectedEof"), "{version:?}");
    }
}

/// Starts `s_server`, and returns it with its port.
fn s_server(files: &Files, version: Version, options: &[&str]) -> (Child, u16) {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", version.openssl()]);
    command.args(["-cert", "rsa.pem", "-key", "rsa-key.pem"]).args(options);
    command.current_dir(files.folder()).stdin(Stdio::piped());
    let server = Child::spawn_with_stdin(&mut command);
    let address = server.line_after("ACCEPT ");
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    (server, port)
}

fn endpoint(connector: &TlsConnector, name: &str, port: u16) -> ClientEndpoint {
    let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(([127, 0, 0, 1], port)));
    endpoint.encrypted(connector.to(name).unwrap())
}

#[test]
fn s_server_is_understood() {
    if !is_there() {
        return;
    }
    let files = Files::new();
    // It does not take the first key that it is offered.
    let options = "-www -groups P-384 -alpn irc,chat -CAfile authority.pem -verify 1 \
                   -servername x.wild.test -cert2 wildcard.pem -key2 wildcard-key.pem";
    let options: Vec<&str> = options.split_whitespace().collect();
    for version in VERSIONS {
        let (_server, port) = s_server(&files, version, &options);
        let number = version.number();
        // The second certificate comes without application protocols.
        for (name, alpn, has_certificate, chosen) in [
            ("localhost", &[][..], false, "-"),
            ("127.0.0.1", &["h2", "chat"], true, "chat"),
            ("x.wild.test", &["irc"], true, "-"),
        ] {
            let mut builder = TlsConnector::builder(&roots()).alpn(alpn.iter().copied());
            if has_certificate {
                builder = builder.identity(&CLIENT.identity());
            }
            let connector = builder.build();
            for is_resumed in [false, true] {
                let request = Request::new("GET / HTTP/1.0\r\n\r\n");
                let outcome = ask(endpoint(&connector, name, port), request);
                let negotiated = format!("version={number} alpn={chosen} name={name} ");
                assert!(outcome.tls.starts_with(&negotiated), "{outcome:?}");
                assert!(outcome.tls.ends_with(&format!("resumed={is_resumed}")), "{outcome:?}");
                let page = outcome.text();
                let new = if is_resumed { "Reused" } else { "New" };
                assert!(page.contains(&format!("{new}, TLSv{number}")), "{negotiated}: {page}");
                let has_none = page.contains("no client certificate available");
                assert!(has_none != has_certificate, "{negotiated}: {page}");
                assert_eq!(outcome.end, "done");
            }
        }
    }
}

/// It sends its standard input to the client, and prints what the client sends.
#[test]
fn s_server_moves_long_texts_both_ways() {
    if !is_there() {
        return;
    }
    let (files, text) = (Files::new(), long_text());
    let connector = TlsConnector::builder(&roots()).build();
    for version in VERSIONS {
        let (mut server, port) = s_server(&files, version, &["-naccept", "1"]);
        let mut stdin = server.stdin();
        let (printed, outcome) = std::thread::scope(|scope| {
            // It closes the connection when its standard input is closed.
            let _stdin = scope.spawn(move || {
                stdin.write_all(text).unwrap();
                stdin
            });
            let server = &mut server;
            let printed = scope.spawn(move || {
                let lines = std::iter::repeat_with(|| server.line() + "\n");
                let lines = lines.skip_while(|line| !line.starts_with("line 0000000000"));
                let mut printed = String::new();
                for line in lines {
                    printed += &line;
                    if printed.len() >= LONG {
                        break;
                    }
                }
                printed
            });
            let request = Request::new(text).wants(LONG);
            let outcome = ask(endpoint(&connector, "localhost", port), request);
            (printed.join().unwrap(), outcome)
        });
        assert_eq!(outcome.end, "done");
        assert!(outcome.received == text, "{version:?}");
        assert!(printed.as_bytes() == text, "{version:?}");
    }
}

#[test]
fn the_kill_of_a_server_is_no_graceful_close() {
    if !is_there() {
        return;
    }
    let files = Files::new();
    let connector = TlsConnector::builder(&roots()).build();
    for version in VERSIONS {
        let (server, port) = s_server(&files, version, &[]);
        let outcome = std::thread::scope(|scope| {
            let asked = scope
                .spawn(|| ask(endpoint(&connector, "localhost", port), Request::new("hello\n")));
            server.line_after("hello");
            drop(server);
            asked.join().unwrap()
        });
        assert_eq!(outcome.end, "UnexpectedEof", "{version:?}");
    }
}
