//! Socket activation: examples serve sockets that this process has opened.

use crate::support::{Child, Client, Folder, TIMEOUT, has_tool, interrupt};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Returns a command that passes a descriptor to an example, as systemd does.
fn with_descriptor(socket: OwnedFd, description: &str) -> Command {
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" "$1" 3<&0"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(Child::path("echo")).arg(description);
    command.stdin(Stdio::from(socket));
    command
}

fn start(socket: OwnedFd, description: &str) -> Child {
    Child::spawn_with_stdin(&mut with_descriptor(socket, description))
}

/// Returns what an example says that cannot listen.
fn error(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn check_echo(mut client: Client) {
    client.send("hello");
    client.expect("hello");
}

#[test]
fn an_inherited_tcp_socket_is_served_and_outlives_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let passed = || OwnedFd::from(listener.try_clone().unwrap());
    for description in
        ["fd:3", "systemd:index=0", "systemd:name=web", "systemd:domain=INET:index=0"]
    {
        // This client waits while nobody serves the socket.
        let early = Client::connect(address);
        let server = start(passed(), description);
        assert_eq!(server.address(), address);
        check_echo(early);
        check_echo(server.connect(address));
        server.signal(interrupt());
        let (status, said) = server.wait();
        assert!(status.success(), "{description}: {said}");
    }
}

#[test]
fn an_inherited_unix_socket_is_served_and_keeps_its_file() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for description in ["fd:3", "systemd:domain=UNIX:name=web"] {
        let server = start(listener.try_clone().unwrap().into(), description);
        assert_eq!(server.line(), format!("listening on unix:{}", path.display()));
        check_echo(Client::connect(twistor::UnixAddress::path(&path)));
        server.signal(interrupt());
        let (status, said) = server.wait();
        assert!(status.success(), "{description}: {said}");
        assert!(path.exists());
    }
}

#[test]
fn errors_say_what_was_inherited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = || OwnedFd::from(listener.try_clone().unwrap());
    for (description, expected) in [
        ("systemd:name=api", "cannot listen on systemd:name=api: "),
        ("systemd:name=api", "is named api; inherited are: 0 web"),
        ("fd:4", "has the number 4; inherited are: 3 web"),
        ("systemd:domain=UNIX:index=0", "is of IPv4, not of Unix"),
    ] {
        let said = error(with_descriptor(passed(), description));
        assert!(said.contains(expected), "{description}: {said}");
    }
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let said = error(with_descriptor(connection.into(), "fd:3"));
    assert!(said.contains("the inherited descriptor 3 (web) does not listen"), "{said}");
    let mut none = Command::new(Child::path("echo"));
    none.arg("systemd:name=web").env_remove("LISTEN_PID");
    let said = error(none);
    assert!(said.contains("none is inherited"), "{said}");
}

#[test]
fn systemd_socket_activate_starts_an_example() {
    if !has_tool("systemd-socket-activate", "systemd") {
        return;
    }
    for attempt in 0..10 {
        // It can bind no port of the system's choice; another program may take this one meanwhile.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new("systemd-socket-activate");
        command.args(["-l", &address.to_string(), "--fdname=web"]);
        let mut server = Child::spawn(command.arg(Child::path("echo")).arg("systemd:name=web"));
        // It starts the example when the first client connects.
        if let Some(client) = reach(&mut server, address) {
            check_echo(client);
            assert_eq!(server.address(), address);
            server.signal(interrupt());
            let (status, said) = server.wait();
            assert!(status.success(), "{said}");
            return;
        }
        println!("attempt {attempt}: nothing listens on {address}");
    }
    panic!("systemd-socket-activate does not start");
}

fn reach(server: &mut Child, address: SocketAddr) -> Option<Client> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        if let Ok(socket) = TcpStream::connect(address) {
            return Some(Client::on(crate::support::Socket::Tcp(socket)));
        }
        if server.has_ended() {
            return None;
        }
        std::thread::yield_now();
    }
    None
}

struct Quiet;

impl<F> twistor::Protocol<F> for Quiet {}

#[test]
fn an_adopted_listener_is_closed_with_its_port_and_other_descriptors_are_refused() {
    let mut reactor = twistor::Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port = reactor.adopt_listener(listener, || Quiet).unwrap();
    assert_eq!(port.local_address().socket_addr(), Some(address));
    let client = TcpStream::connect(address).unwrap();
    while reactor.connection_count() == 0 {
        assert!(reactor.turn(Some(TIMEOUT)).unwrap().is_continue());
    }
    assert!(reactor.stop_listening(&port));
    assert!(TcpStream::connect(address).is_err(), "the socket is closed");
    let error = reactor.adopt_listener(client, || Quiet).unwrap_err();
    assert!(error.to_string().contains("does not listen"), "{error}");
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = reactor.adopt_listener(file, || Quiet).unwrap_err();
    assert!(error.to_string().contains("is not a socket"), "{error}");
}
