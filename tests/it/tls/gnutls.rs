//! GnuTLS: `gnutls-cli` and `gnutls-serv`. Both close their sending half and read on, and renew
//! their keys. `gnutls-serv` listens on all interfaces, so it runs in a network namespace.

use super::client::{Request, ask};
use super::server::Server;
use super::{Files, LONG, OFFERS, Offer, VERSIONS, Version, long_text, roots, run, said};
use crate::support::{Child, TIMEOUT, has_tool};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;
use twistor::testing::tls::CLIENT;
use twistor::tls::TlsConnector;
use twistor::{ClientEndpoint, TcpClientEndpoint};

impl Version {
    fn gnutls(self) -> String {
        format!("NORMAL:-VERS-ALL:+VERS-TLS{}", self.number())
    }
}

fn gnutls_cli(files: &Files, server: &Server, version: Version, offer: &Offer) -> Command {
    let mut command = files.command("gnutls-cli");
    command.args(["-p", &server.port(), "--priority", &version.gnutls()]);
    command.args(["--x509cafile", "authority.pem", "--logfile", "log"]);
    command.args(["--sni-hostname", offer.name, "--verify-hostname", offer.name]);
    for protocol in offer.alpn {
        command.args(["--alpn", protocol]);
    }
    if offer.has_certificate {
        command.args(["--x509certfile", "client.pem", "--x509keyfile", "client-key.pem"]);
    }
    command.arg("127.0.0.1");
    command
}

#[test]
fn gnutls_cli_negotiates_and_resumes() {
    if !has_tool("gnutls-cli", "gnutls-bin") {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    for version in VERSIONS {
        for offer in &OFFERS {
            // It connects twice: the first session is only for its ticket.
            let mut command = gnutls_cli(&files, &server, version, offer);
            let said = said(&run(command.args(["--resume", "--waitresumption"]), b"info\n"));
            let negotiated = offer.negotiated(version, true);
            assert!(said.contains(&negotiated), "no {negotiated} in {said}");
            server.expect_done(0);
            server.expect_done(0);
        }
    }
}

#[test]
fn gnutls_cli_moves_long_texts_and_closes_its_sending_half() {
    if !has_tool("gnutls-cli", "gnutls-bin") {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    // It takes a second for each megabyte; `gnutls-serv` has the long transfers.
    let text = &long_text()[..1 << 19];
    for version in VERSIONS {
        let mut command = gnutls_cli(&files, &server, version, &OFFERS[0]);
        let output = run(&mut command, &[b"echo\n", text].concat());
        assert!(output.stdout == text, "{} of {}", output.stdout.len(), text.len());
        let served = server.served();
        assert_eq!((served.received, &*served.reason), (text.len(), "done"));
        assert!(served.was_half_closed, "{version:?}");
        let output = run(&mut gnutls_cli(&files, &server, version, &OFFERS[0]), b"count\nhello\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "6 bytes\n");
        server.expect_done(6);
    }
}

/// With TLS 1.2 it would renegotiate, which this library does not do.
#[test]
fn gnutls_cli_renews_its_keys() {
    if !has_tool("gnutls-cli", "gnutls-bin") {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    let mut command = gnutls_cli(&files, &server, Version::V1_3, &OFFERS[0]);
    let input = b"echo\nhello\n^rekey^\nworld\n";
    let output = run(command.arg("--inline-commands"), input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nworld\n");
    assert!(std::fs::read_to_string(files.path("log")).unwrap().contains("Rekey was completed"));
    server.expect_done(12);
}

/// Set in the network namespace.
const INSIDE: &str = "TWISTOR_TEST_IN_NAMESPACE";

/// Runs itself again in a network namespace.
#[test]
fn gnutls_serv_is_understood() {
    let tools = [("gnutls-serv", "gnutls-bin"), ("ip", "iproute2"), ("unshare", "util-linux")];
    if !tools.iter().all(|(tool, package)| has_tool(tool, package)) {
        return;
    }
    if std::env::var_os(INSIDE).is_some() {
        return understand_gnutls_serv();
    }
    let in_namespace = |command: &str| {
        let mut unshare = Command::new("timeout");
        unshare.args([&TIMEOUT.as_secs().to_string(), "unshare", "--map-root-user", "--net"]);
        unshare.args(["--pid", "--fork", "--kill-child", "sh", "-ec", command]);
        unshare.arg(std::env::current_exe().unwrap()).env(INSIDE, "");
        unshare.output().unwrap()
    };
    let tried = in_namespace("ip link set lo up");
    if !tried.status.success() {
        let missing = format!("no network namespace can be created: {}", said(&tried));
        assert!(std::env::var("TWISTOR_TOOLS").as_deref() != Ok("required"), "{missing}");
        eprintln!("skipped: {missing}");
        return;
    }
    let name = "tls::gnutls::gnutls_serv_is_understood";
    let output =
        in_namespace(&format!("ip link set lo up; exec \"$0\" --exact {name} --nocapture"));
    let said = said(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn understand_gnutls_serv() {
    let files = Files::new();
    // With TLS 1.2 it prefers a type of key to the name that the client asks for.
    for (port, version, second) in
        [(5556, Version::V1_2, "example.test"), (5557, Version::V1_3, "rsa.test")]
    {
        let mut command = Command::new("gnutls-serv");
        command.args(["--echo", "--crlf", "--port", &port.to_string()]);
        command.args(["--priority", &version.gnutls(), "--alpn", "irc", "--alpn", "chat"]);
        command.args(["--x509certfile", "localhost.pem", "--x509keyfile", "localhost-key.pem"]);
        command.args(["--x509certfile", "rsa.pem", "--x509keyfile", "rsa-key.pem"]);
        command.args(["--x509cafile", "authority.pem", "--verify-client-cert"]);
        let _server = Child::spawn(command.current_dir(files.folder()));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < TIMEOUT, "gnutls-serv does not listen");
            std::thread::yield_now();
        }
        for (name, alpn, has_certificate, chosen) in
            [("localhost", &[][..], false, "-"), (second, &["h2", "chat"], true, "chat")]
        {
            let mut builder = TlsConnector::builder(&roots()).alpn(alpn.iter().copied());
            if has_certificate {
                builder = builder.identity(&CLIENT.identity());
            }
            let connector = builder.build();
            for is_resumed in [false, true] {
                let text = b"hello, GnuTLS\n".repeat(1 + LONG / 14 * usize::from(is_resumed));
                let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(([127, 0, 0, 1], port)));
                let endpoint = endpoint.encrypted(connector.to(name).unwrap());
                let outcome = ask(endpoint, Request::new(text.clone()).wants(text.len()));
                let number = version.number();
                let negotiated =
                    format!("version={number} alpn={chosen} name={name} certificate=true");
                let resumed = format!("{negotiated} resumed={is_resumed}");
                assert_eq!(outcome.tls, resumed, "{}", outcome.end);
                assert!(outcome.received == text, "{negotiated}: {}", outcome.received.len());
                assert_eq!(outcome.end, "done");
            }
        }
    }
}
