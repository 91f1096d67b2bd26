//! Python's module `ssl`, by the script `peer.py`: as a client and as a server, both of which can
//! close their sending half alone.

use super::client::{Request, ask};
use super::server::Server;
use super::{Files, LONG, OFFERS, VERSIONS, long_text, roots, run, said};
use crate::support::{Child, has_tool};
use serde_json::json;
use std::process::Stdio;
use twistor::testing::tls::CLIENT;
use twistor::tls::TlsConnector;
use twistor::{ClientEndpoint, TcpClientEndpoint};

const SCRIPT: &str = include_str!("peer.py");

/// Sends each of these wishes to the server, in this order; returns the answers.
fn connect(files: &Files, server: &Server, wishes: &[serde_json::Value]) -> Vec<String> {
    let mut command = files.command("python3");
    command.args(["-c", SCRIPT, "connect", &server.port()]);
    let lines: String = wishes.iter().map(|wish| format!("{wish}\n")).collect();
    let output = run(&mut command, lines.as_bytes());
    assert!(output.status.success(), "{}", said(&output));
    let answers: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), wishes.len());
    answers
}

#[test]
fn clients_negotiate_and_resume() {
    if !has_tool("python3", "python3") {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    let (mut wishes, mut expected) = (Vec::new(), Vec::new());
    for version in VERSIONS {
        for offer in &OFFERS {
            let mut wish = json!({
                "version": version.number(), "name": offer.name, "text": "info\n",
                "alpn": offer.alpn, "certificate": offer.has_certificate, "keep": "session",
            });
            wishes.push(wish.clone());
            expected.push(offer.negotiated(version, false));
            wish["resume"] = "session".into();
            wishes.push(wish);
            expected.push(offer.negotiated(version, true));
        }
    }
    assert_eq!(connect(&files, &server, &wishes), expected);
    wishes.iter().for_each(|_| server.expect_done(0));
}

#[test]
fn clients_close_halves_and_are_cut_short() {
    if !has_tool("python3", "python3") {
        return;
    }
    let (files, server) = (Files::new(), Server::start());
    for version in VERSIONS {
        let wish = |text: &str, then: &str| {
            let name = "localhost";
            json!({ "version": version.number(), "name": name, "text": text, "then": then })
        };
        let mut long = wish("echo\n", "");
        long["long"] = true.into();
        let wishes = [wish("count\nhello\n", "finish"), wish("echo\nhello\n", "cut"), long];
        let length = LONG / 15 * 15;
        let answers = connect(&files, &server, &wishes);
        assert_eq!(answers, ["6 bytes", "hello", &format!("True {length}")], "{version:?}");
        for (received, was_half_closed, reason) in
            [(6, true, "done"), (6, false, "UnexpectedEof"), (length, true, "done")]
        {
            let served = server.served();
            assert_eq!((served.received, &*served.reason), (received, reason), "{version:?}");
            assert_eq!(served.was_half_closed, was_half_closed, "{version:?} {reason}");
        }
    }
}

#[test]
fn a_server_is_understood() {
    if !has_tool("python3", "python3") {
        return;
    }
    let files = Files::new();
    let mut command = std::process::Command::new("python3");
    command.args(["-c", SCRIPT, "serve"]).current_dir(files.folder()).stdin(Stdio::piped());
    let server = Child::spawn_with_stdin(&mut command);
    let ports = [server.line(), server.line()];
    let plain = TlsConnector::builder(&roots()).build();
    for (version, port) in VERSIONS.into_iter().zip(ports) {
        let port: u16 = port.parse().unwrap();
        let ask = |connector: &TlsConnector, name: &str, request: Request| {
            let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(([127, 0, 0, 1], port)));
            ask(endpoint.encrypted(connector.to(name).unwrap()), request)
        };
        let number = version.number();
        for offer in &OFFERS[..2] {
            let mut builder = TlsConnector::builder(&roots()).alpn(offer.alpn.iter().copied());
            if offer.has_certificate {
                builder = builder.identity(&CLIENT.identity());
            }
            let connector = builder.build();
            for is_resumed in [false, true] {
                let outcome = ask(&connector, offer.name, Request::new("info\n"));
                assert_eq!(outcome.end, "done", "{outcome:?}");
                let agreed = format!("version={number} alpn={}", offer.chosen);
                // The second context asks for no certificates.
                let seen = format!("{agreed} certificate=false resumed={is_resumed}\n");
                assert_eq!(outcome.text(), seen);
                let resumed = format!("certificate=true resumed={is_resumed}");
                assert_eq!(outcome.tls, format!("{agreed} name={} {resumed}", offer.name));
            }
        }
        let with_certificate = TlsConnector::builder(&roots()).identity(&CLIENT.identity()).build();
        let outcome = ask(&with_certificate, "localhost", Request::new("info\n"));
        assert!(outcome.text().contains("certificate=true"), "{outcome:?}");

        let text = long_text();
        let request = Request::new([b"echo\n", text].concat()).wants(LONG);
        let outcome = ask(&plain, "localhost", request);
        assert!(outcome.received == text && outcome.end == "done", "{}", outcome.end);
        // After a request that is not encrypted.
        let side = plain.to("localhost").unwrap();
        let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(([127, 0, 0, 1], port)));
        let request = Request::new([b"echo\n", text].concat()).wants(LONG).start_tls(side);
        let outcome = super::client::ask(endpoint, request);
        assert!(outcome.received == text && outcome.end == "done", "{}", outcome.end);
        // This side closes its sending half, and still reads.
        let outcome = ask(&plain, "localhost", Request::new("count\nhello\n").finish());
        assert_eq!((&*outcome.text(), &*outcome.end), ("6 bytes\n", "done"));
        let outcome = ask(&plain, "localhost", Request::new("cut\n"));
        assert_eq!((&*outcome.text(), &*outcome.end), ("hello\n", "UnexpectedEof"));
        let foreign = TlsConnector::builder(&roots()).build();
        let outcome = ask(&foreign, "rsa.test", Request::new("info\n"));
        assert!(outcome.end.contains("not valid for name \"rsa.test\""), "{}", outcome.end);
    }
}
