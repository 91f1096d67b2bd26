//! Serving: the peers of Unix sockets, and programs of others.

use super::*;
use crate::support::{Client, Cx, Event, Folder, Server, Socket, echo};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use twistor::limits::ConnectionLimits;

#[test]
fn clients_are_limited_in_all_and_not_one_by_one() {
    let folder = Folder::new();
    let at = UnixServerEndpoint::new(folder.join("s"));
    let server = Server::with(at.into(), Settings::default(), echo);
    server.expect(&["started"]);
    let port = server.port.key();
    let limits = ConnectionLimits::new().max_per_peer(1).max_connections(3);
    server.call(move |reactor| reactor.set_limits(port, limits));
    let clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    server.expect(&["0 made", "1 made", "2 made"]);
    server.connect().expect_close();
    let rejected = server.call(move |reactor| reactor.rejections(port)).unwrap();
    assert_eq!((rejected.connections, rejected.per_peer), (1, 0));
    for client in clients {
        client.finish();
        client.expect_close();
    }
}

/// What programs of others send comes back over them; what is not installed is skipped.
#[cfg(feature = "signals")]
#[test]
fn other_programs_are_served_and_a_killed_server_is_succeeded() {
    use crate::support::{Child, has_tool};
    use std::io::Write;
    use std::process::{Command, Stdio};
    let folder = Folder::new();
    let path = folder.join("echo");
    let at = format!("unix:{}:mode=600", path.display());
    let listening = format!("listening on unix:{}", path.display());
    let server = Child::example("echo", &[&at]);
    assert_eq!(server.line(), listening);
    // While it runs, no second one takes its place.
    let (status, said) = Child::example("echo", &[&at]).wait();
    assert!(!status.success() && said.contains("another program listens there"), "{said}");
    server.signal("KILL");
    drop(server);
    assert!(path.exists());

    let server = Child::example("echo", &[&at]);
    assert_eq!(server.line(), listening);
    let path = path.to_str().unwrap();
    let to = format!("UNIX-CONNECT:{path}");
    for (package, program) in
        [("socat", &["socat", "-", &*to][..]), ("netcat-openbsd", &["nc", "-U", "-N", path])]
    {
        if !has_tool(program[0], package) {
            continue;
        }
        let mut command = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        command.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        let output = command.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"hello\n", "{program:?}");
    }
    server.signal("TERM");
    let (status, _) = server.wait();
    assert!(status.success() && !Path::new(path).exists());
}

#[test]
fn both_sides_know_each_other() {
    let folder = Folder::new();
    let at = UnixServerEndpoint::new(folder.join("s"));
    let tell = |event: Event<'_>, cx: &mut Cx<'_>| {
        if event == Event::Made {
            cx.transport.write(format!("{:?}", cx.transport.peer_credentials().unwrap()));
            cx.transport.lose_connection();
        }
        if event == Event::Lost {
            let error = cx.transport.peer_credentials().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }
    };
    let server = Server::with(at.into(), Settings::default(), tell);
    let answer = server.connect().rest();
    let answer = String::from_utf8(answer).unwrap();
    let (process, owner) = (std::process::id(), fs::metadata(folder.join("s")).unwrap());
    let (user, group) = (owner.uid(), owner.gid());
    if cfg!(target_os = "linux") {
        assert!(answer.contains(&format!("process: Some({process})")), "{answer}");
    }
    assert!(answer.ends_with(&format!("user: {user}, group: {group} }})")), "{answer}");

    let over_tcp = Server::new(tell);
    assert_eq!(over_tcp.connect().rest(), b"None");
}

#[test]
fn a_named_client_has_an_address() {
    let folder = Folder::new();
    let own = folder.join("client");
    let at = UnixServerEndpoint::new(folder.join("s"));
    let greet = |event: Event<'_>, cx: &mut Cx<'_>| {
        if event == Event::Made {
            cx.transport.write(cx.transport.peer_address().to_string());
            cx.transport.lose_connection();
        }
    };
    let server = Server::with(at.into(), Settings::default(), greet);
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(&own).unwrap()).unwrap();
    socket.connect(&SockAddr::unix(folder.join("s")).unwrap()).unwrap();
    let client = Client::on(Socket::Unix(socket.into()));
    assert_eq!(client.rest(), format!("unix:{}", own.display()).into_bytes());
    drop(server);
}
