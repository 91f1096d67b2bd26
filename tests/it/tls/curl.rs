//! curl as the client of a page. It never closes its sending half alone.

use super::server::Server;
use super::{Files, VERSIONS, Version, long_text, roots, run, said};
use crate::support::has_tool;
use std::process::Command;
use twistor::testing::tls::{LOCALHOST, WILDCARD};
use twistor::tls::{Certificates, ClientAuthentication, TlsAcceptor};

fn server() -> Server {
    let certificates = Certificates::new(LOCALHOST.identity());
    certificates.add(WILDCARD.identity());
    let builder = TlsAcceptor::builder(&certificates).alpn(["http/1.1"]);
    let clients = ClientAuthentication::Optional(roots());
    Server::with(&builder.client_authentication(clients).build())
}

fn curl(files: &Files, server: &Server, version: Version, name: &str) -> Command {
    let mut command = files.command("curl");
    command.args(["--silent", "--show-error", "--cacert", "authority.pem"]);
    command.args(["--tlsv1.2", "--tls-max", "1.2"].map(|it| it.replace("1.2", version.number())));
    command.args(["--resolve", &format!("{name}:{}:127.0.0.1", server.port())]);
    command
}

#[test]
fn pages_come_over_resumed_sessions() {
    if !has_tool("curl", "curl") {
        return;
    }
    let (files, server) = (Files::new(), server());
    for version in VERSIONS {
        for (name, options, alpn, has_certificate) in [
            ("localhost", &["--no-alpn"][..], "-", false),
            ("x.wild.test", &["--cert", "client.pem", "--key", "client-key.pem"], "http/1.1", true),
        ] {
            let url = format!("https://{name}:{}/", server.port());
            let mut command = curl(&files, &server, version, name);
            // The connection of the first ends with it.
            let output = run(command.args(options).args([&url, &url]), b"");
            let page = |is_resumed: bool| {
                let number = version.number();
                format!(
                    "version={number} alpn={alpn} name={name} certificate={has_certificate} \
                     resumed={is_resumed}\n"
                )
            };
            assert_eq!(said(&output), page(false) + &page(true));
            assert_eq!([server.served().reason, server.served().reason], ["done", "done"]);
        }
    }
}

#[test]
fn a_page_ends_as_its_connection_does() {
    if !has_tool("curl", "curl") {
        return;
    }
    let (files, server) = (Files::new(), server());
    for version in VERSIONS {
        let get = |path: &str| {
            let url = format!("https://localhost:{}{path}", server.port());
            run(curl(&files, &server, version, "localhost").arg(url), b"")
        };
        let page = get("/long");
        assert!(page.status.success() && page.stdout == long_text(), "{version:?}");
        let cut = get("/cut");
        // 56: the connection is broken. The page has no length that would tell.
        assert_eq!(cut.status.code(), Some(56), "{version:?}: {}", said(&cut));
    }
}
