//! nginx as a proxy and as a server: it ends TLS in front of a server of this library, passes it
//! through with a PROXY header, encrypts towards one, and is connected to by one.

use super::client::{Outcome, Request, ask};
use super::server::{Server, acceptor};
use super::{Files, LONG, VERSIONS, long_text, roots, run, said};
use crate::support::{Child, has_tool};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use twistor::testing::tls::CLIENT;
use twistor::tls::{ClientAuthentication, TlsConnector};
use twistor::{ClientEndpoint, ServerEndpoint, TcpClientEndpoint};

/// Where Debian has nginx' module for streams.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

fn is_there() -> bool {
    if !has_tool("nginx", "nginx") {
        return false;
    }
    let has_module = Path::new(STREAM_MODULE).exists();
    if !has_module {
        let missing = "nginx has no module for streams (Debian's package libnginx-mod-stream)";
        assert!(std::env::var("TWISTOR_TOOLS").as_deref() != Ok("required"), "{missing}");
        eprintln!("skipped: {missing}");
    }
    has_module
}

/// The servers of this library behind nginx.
struct Behind {
    /// Not encrypted.
    plain: Server,
    encrypted: Server,
    /// Encrypted, behind PROXY headers.
    with_headers: Server,
}

impl Behind {
    fn start() -> Self {
        let clients = || acceptor(ClientAuthentication::Optional(roots()));
        let with_headers: ServerEndpoint = "haproxy:tcp:0:interface=127.0.0.1".parse().unwrap();
        Self {
            plain: Server::at("tcp:0:interface=127.0.0.1".parse().unwrap()),
            encrypted: Server::start(),
            with_headers: Server::at(with_headers.encrypted(&clients())),
        }
    }
}

/// The ports of nginx that speak one version of TLS.
struct Ports {
    /// Ends TLS.
    ending: SocketAddr,
    /// Passes TLS through.
    passing: SocketAddr,
    /// Encrypts what comes.
    encrypting: SocketAddr,
    /// Serves files over HTTPS, and what is behind.
    web: SocketAddr,
}

fn configuration(files: &Files, behind: &Behind, ports: &[Ports; 2]) -> String {
    let folder = files.path("");
    let own = "ssl_certificate localhost.pem; ssl_certificate_key localhost-key.pem;";
    let verify = "proxy_ssl_trusted_certificate authority.pem; proxy_ssl_verify on; \
                  proxy_ssl_server_name on; proxy_ssl_name x.wild.test; \
                  proxy_ssl_certificate client.pem; proxy_ssl_certificate_key client-key.pem;";
    let Behind { plain, encrypted, with_headers } = behind;
    let [plain, encrypted, with_headers] = [plain, encrypted, with_headers].map(|it| it.address);
    // Not in front of what it ends itself: there it would shut the socket down, without the alert
    // that ends TLS, and the client would take what came for cut short.
    let half_closes = "proxy_half_close on;";
    let (mut streams, mut pages) = (String::new(), String::new());
    for (ports, version) in ports.iter().zip(VERSIONS) {
        let version = format!("TLSv{}", version.number());
        let Ports { ending, passing, encrypting, web } = ports;
        streams += &format!(
            "server {{ listen {ending} ssl; {own} ssl_protocols {version}; \
               proxy_pass {plain}; }}\n\
             server {{ listen {passing}; proxy_pass {with_headers}; proxy_protocol on; \
               {half_closes} }}\n\
             server {{ listen {encrypting}; proxy_pass {encrypted}; proxy_ssl on; \
               proxy_ssl_protocols {version}; {verify} }}\n"
        );
        pages += &format!(
            "server {{ listen {web} ssl; {own} ssl_protocols {version}; root {folder}; \
               autoindex on; \
               location = /behind {{ proxy_pass https://{encrypted}/; \
                 proxy_ssl_protocols {version}; {verify} }} }}\n"
        );
    }
    format!(
        "load_module {STREAM_MODULE}; daemon off; master_process off; pid {folder}nginx.pid; \
         error_log stderr warn; events {{ }}\n\
         stream {{ {streams} }}\n\
         http {{ access_log off; client_body_temp_path {folder}t; proxy_temp_path {folder}t; \
           fastcgi_temp_path {folder}t; uwsgi_temp_path {folder}t; scgi_temp_path {folder}t;\n\
           {pages} }}\n"
    )
}

fn start(files: &Files, behind: &Behind) -> (Child, [Ports; 2]) {
    let (nginx, addresses) = Child::listening(8, |addresses| {
        let text = configuration(files, behind, &divided(addresses));
        files.write("nginx.conf", text);
        let mut command = std::process::Command::new("nginx");
        command.args(["-p", &files.path(""), "-c", "nginx.conf", "-e", "stderr"]);
        command
    });
    (nginx, divided(&addresses))
}

fn divided(addresses: &[SocketAddr]) -> [Ports; 2] {
    let ports =
        |at: &[SocketAddr]| Ports { ending: at[0], passing: at[1], encrypting: at[2], web: at[3] };
    [ports(&addresses[..4]), ports(&addresses[4..])]
}

fn connect(address: SocketAddr, connector: &TlsConnector, name: &str, request: Request) -> Outcome {
    let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(address));
    ask(endpoint.encrypted(connector.to(name).unwrap()), request)
}

/// What a client that does not encrypt gets.
fn plainly(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(crate::support::TIMEOUT)).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nginx_is_a_proxy_in_front() {
    if !is_there() {
        return;
    }
    let (files, behind, text) = (Files::new(), Behind::start(), long_text());
    let (_nginx, ports) = start(&files, &behind);
    let plain = TlsConnector::builder(&roots()).build();
    let connector =
        TlsConnector::builder(&roots()).alpn(["irc"]).identity(&CLIENT.identity()).build();
    for (version, ports) in VERSIONS.into_iter().zip(ports) {
        let number = version.number();
        // It ends TLS.
        let outcome = connect(ports.ending, &plain, "localhost", Request::new("info\n"));
        assert_eq!((&*outcome.text(), &*outcome.end), ("plain\n", "done"));
        assert!(outcome.tls.starts_with(&format!("version={number} ")), "{}", outcome.tls);
        let request = Request::new([b"echo\n", text].concat()).wants(LONG);
        let outcome = connect(ports.ending, &plain, "localhost", request);
        assert!(outcome.received == text && outcome.end == "done", "{}", outcome.end);
        // It passes TLS through, a half-close as well.
        let outcome = connect(ports.passing, &connector, "x.wild.test", Request::new("info\n"));
        let negotiated = "alpn=irc name=x.wild.test certificate=true";
        assert!(outcome.text().contains(negotiated), "{outcome:?}");
        let request = Request::new("count\nhello\n").finish();
        let outcome = connect(ports.passing, &connector, "x.wild.test", request);
        assert_eq!((&*outcome.text(), &*outcome.end), ("6 bytes\n", "done"));
        // It encrypts, and resumes a session unless it has closed another of the same one early, as
        // when `Child::listening` tried its port.
        let resumed = [(); 5].map(|()| {
            let answer = plainly(ports.encrypting, b"info\n");
            let expected = format!("version={number} alpn=- name=x.wild.test certificate=true");
            assert!(answer.starts_with(&expected), "{answer}");
            answer.ends_with("resumed=true\n")
        });
        assert!(resumed.contains(&true), "{version:?}");
    }
}

#[test]
fn nginx_serves_a_client_and_a_proxy() {
    if !is_there() {
        return;
    }
    let (files, behind, text) = (Files::new(), Behind::start(), long_text());
    files.write("long", text);
    std::fs::create_dir(files.path("empty")).unwrap();
    let (_nginx, ports) = start(&files, &behind);
    for (version, ports) in VERSIONS.into_iter().zip(ports) {
        // Both sides of the example `proxy` encrypt.
        let listen = "ssl:0:interface=127.0.0.1:certKey=localhost.pem:privateKey=localhost-key.pem";
        let target = format!("tls:{}:trustRoots=authority.pem", ports.web);
        let mut command = std::process::Command::new(Child::path("proxy"));
        let proxy = Child::spawn(command.args([listen, &target]).current_dir(files.folder()));
        for at in [ports.web, proxy.address()] {
            let get = |path: &str| {
                let mut command = files.command(Child::path("https_get").to_str().unwrap());
                let url = format!("https://localhost:{}{path}", at.port());
                run(command.args(["--roots", "authority.pem", &url]), b"")
            };
            let long = get("/long");
            let (found, errors) = (long.stdout.len(), String::from_utf8_lossy(&long.stderr));
            assert!(long.status.success() && long.stdout == text, "{found}: {errors}");
            // A list of unknown length, in chunks.
            let list = said(&get("/empty/"));
            assert!(list.contains("HTTP/1.1 200 OK") && list.contains("</html>"), "{list}");
            let missing = get("/missing");
            assert!(missing.status.success() && said(&missing).contains("404"), "{missing:?}");
            let page = said(&get("/behind"));
            let number = version.number();
            assert!(page.contains(&format!("version={number} alpn=- name=x.wild.test ")), "{page}");
        }
    }
}
