//! Unix sockets of the machine: their files, their locks, and their errors.

use crate::support::{Client, Cx, Event, Folder, Server, Socket, TIMEOUT, echo};
use socket2::{Domain, SockAddr, Type};
use std::cell::RefCell;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use twistor::error::{ListenError, UnixSocketError};
use twistor::limits::ConnectionLimits;
use twistor::{
    Context, Factory, Protocol, Reactor, Settings, Transport, UnixClientEndpoint,
    UnixServerEndpoint,
};

struct Quiet;

impl<F> Protocol<F> for Quiet {}

fn inner(error: &io::Error) -> Option<UnixSocketError> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
}

/// Returns why a port cannot be opened.
#[track_caller]
fn refusal(reactor: &mut Reactor, at: impl Into<UnixServerEndpoint>) -> io::Error {
    match reactor.listen_unix(at, || Quiet) {
        Err(ListenError::Bind { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Leaves a file at the path where nobody listens, as a program that has crashed.
fn leave_stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

#[test]
fn of_two_instances_that_start_over_one_stale_file_exactly_one_listens() {
    const ROUNDS: usize = 1000;
    let folder = Folder::new();
    let path = folder.join("s");
    let barrier = Arc::new(Barrier::new(3));
    let (results_in, results) = channel();
    let instances: Vec<_> = (0..2)
        .map(|_| {
            let (path, barrier, results) = (path.clone(), barrier.clone(), results_in.clone());
            std::thread::spawn(move || {
                let mut reactor = Reactor::new().unwrap();
                for _ in 0..ROUNDS {
                    barrier.wait();
                    let port = reactor.listen_unix(&*path, || Quiet);
                    results.send(port.as_ref().map(drop).map_err(ToString::to_string)).unwrap();
                    barrier.wait();
                    if let Ok(port) = port {
                        assert!(reactor.stop_listening(&port));
                        let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
                    }
                    barrier.wait();
                }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        leave_stale(&path);
        barrier.wait();
        let answers =
            [results.recv_timeout(TIMEOUT).unwrap(), results.recv_timeout(TIMEOUT).unwrap()];
        let listens = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(listens, 1, "in round {round}: {answers:?}");
        let loser = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
        assert!(loser.contains("another program listens there"), "{loser}");
        // It is the winner's socket that is at the path.
        UnixStream::connect(&path).unwrap();
        barrier.wait();
        barrier.wait();
        assert!(!path.exists());
    }
    instances.into_iter().for_each(|instance| instance.join().unwrap());
    assert!(folder.join("s.lock").exists());
}

#[test]
fn a_file_is_removed_at_the_close_only_if_it_is_still_the_same() {
    let folder = Folder::new();
    let path = folder.join("s");
    let mut reactor = Reactor::new().unwrap();
    let port = reactor.listen_unix(&*path, || Quiet).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    reactor.stop_listening(&port);
    assert!(!path.exists());

    let port = reactor.listen_unix(&*path, || Quiet).unwrap();
    // Another program that knows nothing of locks has taken the path.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    reactor.stop_listening(&port);
    UnixStream::connect(&path).unwrap();
    drop(other);

    // Nobody listens at that file any more. When the reactor is dropped, its own is removed too.
    reactor.listen_unix(&*path, || Quiet).unwrap();
    drop(reactor);
    assert!(!path.exists());
}

#[test]
fn the_file_has_its_mode_before_anyone_can_connect() {
    let folder = Folder::new();
    let path = folder.join("s");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let mut reactor = Reactor::new().unwrap();
    const ROUNDS: usize = 300;
    let (of_racer, rounds) = (path.clone(), Arc::new(Barrier::new(2)));
    let (seen_in, seen) = channel();
    let racing = rounds.clone();
    // Connects as early as it can, and looks at once.
    let racer = std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            racing.wait();
            while UnixStream::connect(&of_racer).is_err() {}
            seen_in.send(fs::symlink_metadata(&of_racer).unwrap().mode() & 0o777).unwrap();
        }
    });
    let endpoint = UnixServerEndpoint::new(&path).mode(0o600);
    for _ in 0..ROUNDS {
        rounds.wait();
        let port = reactor.listen_unix(endpoint.clone(), || Quiet).unwrap();
        assert_eq!(seen.recv_timeout(TIMEOUT).unwrap(), 0o600);
        reactor.stop_listening(&port);
        let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    racer.join().unwrap();

    // Without a mode it is what the process gives every file.
    let _port = reactor.listen_unix(&*path, || Quiet).unwrap();
    leave_stale(&folder.join("other"));
    assert_eq!(mode(&path), mode(&folder.join("other")));
    assert_eq!(mode(&folder.join("s.lock")) & 0o077, 0);
}

#[test]
fn nothing_but_a_stale_socket_is_replaced() {
    let folder = Folder::new();
    let mut reactor = Reactor::new().unwrap();

    let live = folder.join("live");
    let other = UnixListener::bind(&live).unwrap();
    let error = refusal(&mut reactor, &*live);
    assert_eq!((error.kind(), inner(&error)), (ErrorKind::AddrInUse, Some(UnixSocketError::InUse)));
    UnixStream::connect(&live).unwrap();
    drop(other);

    let full = folder.join("full");
    let _listener = listener_with_full_backlog(&full);
    assert_eq!(inner(&refusal(&mut reactor, &*full)), Some(UnixSocketError::InUse));

    let datagrams = folder.join("datagrams");
    let _socket = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    assert_eq!(inner(&refusal(&mut reactor, &*datagrams)), Some(UnixSocketError::InUse));

    let file = folder.join("file");
    fs::write(&file, "precious").unwrap();
    let error = refusal(&mut reactor, &*file);
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(inner(&error), Some(UnixSocketError::NotASocket));
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    let directory = folder.join("directory");
    fs::create_dir(&directory).unwrap();
    assert_eq!(inner(&refusal(&mut reactor, &*directory)), Some(UnixSocketError::NotASocket));

    // Whatever the link leads to is not what would be removed.
    let (stale, link) = (folder.join("stale"), folder.join("link"));
    leave_stale(&stale);
    symlink(&stale, &link).unwrap();
    assert_eq!(inner(&refusal(&mut reactor, &*link)), Some(UnixSocketError::NotASocket));
    assert!(stale.exists() && fs::symlink_metadata(&link).is_ok());
    let dangling = folder.join("dangling");
    symlink(folder.join("nowhere"), &dangling).unwrap();
    assert_eq!(inner(&refusal(&mut reactor, &*dangling)), Some(UnixSocketError::NotASocket));
}

#[test]
fn errors_say_what_is_wrong() {
    let folder = Folder::new();
    let mut reactor = Reactor::new().unwrap();
    let endpoint = UnixServerEndpoint::new(folder.join("no/such/folder"));
    let error = reactor.listen_unix(endpoint, || Quiet).unwrap_err().to_string();
    assert!(error.contains("no/such/folder.lock") && error.contains("No such file"), "{error}");

    let long = folder.join("l".repeat(200));
    let error = refusal(&mut reactor, &*long);
    let Some(UnixSocketError::PathTooLong { length, max, .. }) = inner(&error) else {
        panic!("{error}")
    };
    assert_eq!(length, long.as_os_str().len());
    assert!((90..=108).contains(&max) && error.to_string().contains("200") == (length == 200));
    assert_eq!(inner(&refusal(&mut reactor, "a\0b")), Some(UnixSocketError::ZeroByte));
    assert_eq!(refusal(&mut reactor, "").kind(), ErrorKind::InvalidInput);

    // No program can create files there, not even that of the superuser.
    if cfg!(target_os = "linux") && Path::new("/sys").is_dir() {
        let error = refusal(&mut reactor, "/sys/twistor");
        assert!(
            [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem].contains(&error.kind()),
            "{error}"
        );
    }
    // A lock that is no lock.
    fs::create_dir(folder.join("s.lock")).unwrap();
    let error = refusal(&mut reactor, folder.join("s")).to_string();
    assert!(error.contains("s.lock\" cannot be taken"), "{error}");
    let victim = folder.join("victim");
    symlink(&victim, folder.join("t.lock")).unwrap();
    refusal(&mut reactor, folder.join("t"));
    assert!(!victim.exists() && !folder.join("t").exists());
}

/// Binds a socket that listens, and fills its backlog. Returns it with the clients in it.
fn listener_with_full_backlog(path: &Path) -> (socket2::Socket, Vec<socket2::Socket>) {
    let address = SockAddr::unix(path).unwrap();
    let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(_) => return (listener, waiting),
        }
    }
}

/// Notes how its attempts went.
#[derive(Clone, Default)]
struct Dialler(Rc<RefCell<Vec<String>>>);

impl Protocol<Self> for Dialler {
    fn connection_made(&mut self, cx: &mut Context<'_, Self>) {
        assert!(cx.transport.local_address().unix().unwrap().is_unnamed());
        self.0.borrow_mut().push(format!("connected to {}", cx.transport.peer_address()));
        cx.transport.lose_connection();
    }
}

impl Factory for Dialler {
    type Protocol = Self;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Self> {
        Some(self.clone())
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, _: &mut Reactor) {
        self.0.borrow_mut().push(format!("{:?}", error.kind()));
    }
}

impl Dialler {
    /// Runs turns until there is news.
    #[track_caller]
    fn news(&self, reactor: &mut Reactor) -> String {
        let start = Instant::now();
        while self.0.borrow().is_empty() {
            assert!(start.elapsed() < TIMEOUT, "no news");
            let _ = reactor.turn(Some(Duration::from_millis(100))).unwrap();
        }
        self.0.borrow_mut().remove(0)
    }
}

fn reactor() -> Reactor {
    Reactor::with_settings(Settings::default().handle_signals(false)).unwrap()
}

#[test]
fn an_attempt_waits_for_room_in_the_backlog() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: elsewhere a full backlog refuses");
    }
    let folder = Folder::new();
    let path = folder.join("s");
    let (listener, _waiting) = listener_with_full_backlog(&path);
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let connector = reactor.connect_unix(&*path, dialler.clone()).unwrap();
    for _ in 0..10 {
        let _ = reactor.turn(Some(Duration::from_millis(5))).unwrap();
        connector.transport().write("x");
    }
    assert!(dialler.0.borrow().is_empty());
    let accepted = listener.accept().unwrap();
    assert_eq!(dialler.news(&mut reactor), format!("connected to unix:{}", path.display()));
    while reactor.connection_count() > 0 {
        let _ = reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    assert_eq!(reactor.next_deadline(), None, "a timer is left");
    drop(accepted);
}

#[test]
fn an_attempt_at_a_full_backlog_ends_in_every_way() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: elsewhere a full backlog refuses");
    }
    let folder = Folder::new();
    let path = folder.join("s");
    let (listener, _waiting) = listener_with_full_backlog(&path);
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let start = Instant::now();
    let endpoint = UnixClientEndpoint::new(&path).timeout(Duration::from_millis(50));
    endpoint.connect(&mut reactor, dialler.clone()).unwrap();
    assert_eq!(dialler.news(&mut reactor), "TimedOut");
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(reactor.next_deadline(), None, "a timer is left");

    let connector = reactor.connect_unix(&*path, dialler.clone()).unwrap();
    let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    connector.transport().abort_connection();
    assert_eq!(dialler.news(&mut reactor), "ConnectionAborted");

    reactor.connect_unix(&*path, dialler.clone()).unwrap();
    let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    drop(listener);
    assert_eq!(dialler.news(&mut reactor), "ConnectionRefused");
    assert_eq!(reactor.next_deadline(), None, "a timer is left");
}

#[test]
fn an_attempt_that_cannot_succeed_fails_in_a_later_turn() {
    let folder = Folder::new();
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let (stale, file, shut) = (folder.join("stale"), folder.join("file"), folder.join("shut"));
    leave_stale(&stale);
    fs::write(&file, "").unwrap();
    let _listener = UnixListener::bind(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    let mut expected = vec![
        (folder.join("nothing"), "NotFound"),
        (stale, "ConnectionRefused"),
        (file, "ConnectionRefused"),
        (folder.join("l".repeat(200)), "InvalidInput"),
        ("a\0b".into(), "InvalidInput"),
    ];
    match UnixStream::connect(&shut) {
        Ok(_) => eprintln!("skipped: the superuser may connect whatever the mode says"),
        Err(_) => expected.push((shut, "PermissionDenied")),
    }
    for (path, kind) in expected {
        reactor.connect_unix(&*path, dialler.clone()).unwrap();
        assert!(dialler.0.borrow().is_empty());
        assert_eq!(dialler.news(&mut reactor), kind, "{}", path.display());
    }
    assert_eq!(reactor.next_deadline(), None);
}

#[test]
fn abstract_names_are_any_bytes_and_have_no_file() {
    if !cfg!(target_os = "linux") {
        let error = refusal(&mut reactor(), UnixServerEndpoint::abstract_name("x"));
        return assert_eq!(inner(&error), Some(UnixSocketError::Unsupported));
    }
    let mut name = format!("twistor-{}", std::process::id()).into_bytes();
    name.extend(b"\0\xff/\n");
    let at = UnixServerEndpoint::abstract_name(&name);
    let server = Server::with(at.clone().into(), Settings::default(), echo);
    server.expect(&["started"]);
    let mut client = server.connect();
    client.send("hello");
    client.expect("hello");
    assert_eq!(inner(&refusal(&mut reactor(), at.clone())), Some(UnixSocketError::InUse));
    // It would be open to every program.
    assert_eq!(refusal(&mut reactor(), at.clone().mode(0o600)).kind(), ErrorKind::InvalidInput);
    drop(server);
    reactor().listen_unix(at, || Quiet).unwrap();
}

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
