//! Listening: the file of a socket, its mode, and the lock on its path.

use super::*;
use crate::support::{Folder, Server, echo};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

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
    listen_in_the_end(&mut reactor, &UnixServerEndpoint::new(&path));
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
    listen_in_the_end(&mut reactor(), &at);
}
