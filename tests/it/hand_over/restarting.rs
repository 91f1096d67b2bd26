//! Restarts that succeed.

use super::Program;
use crate::support::{Child, Client, Folder};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use twistor::{Address, UnixAddress};

const LOOPBACK: &str = "tcp:0:interface=127.0.0.1";

#[test]
fn a_successor_serves_the_same_sockets_and_the_predecessor_drains() {
    let folder = Folder::new();
    let path = folder.join("s");
    let unix = format!("unix:{}:mode=600", path.display());
    let ports = [LOOPBACK, &unix, LOOPBACK];
    let mut old = Program::serving(&folder, &ports);
    for _ in 0..3 {
        let mut clients: Vec<Client> = (0..3).map(|port| old.connect(port)).collect();
        clients.iter_mut().for_each(|client| old.expect_to_serve(client));
        let new = Program::serving(&folder, &ports);
        assert_eq!(new.addresses, old.addresses, "also where the system chose the port number");
        for mut client in clients {
            client.expect("restarts\r\n");
            client.expect_close();
        }
        old.expect_drained();
        for port in 0..3 {
            new.expect_to_serve(&mut new.connect(port));
        }
        assert!(path.exists(), "the predecessor leaves the file to the successor");
        old = new;
    }
    let addresses = old.addresses.clone();
    old.child.signal("TERM");
    assert!(old.ended().0.success());
    assert!(!path.exists() && !folder.join("hand-over").exists());
    let refused = TcpStream::connect(addresses[0].socket_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_successor_may_listen_elsewhere() {
    let folder = Folder::new();
    let (kept, left) = (folder.join("kept"), folder.join("left"));
    let unix = [&kept, &left].map(|path| format!("unix:{}", path.display()));
    let old = Program::serving(&folder, &[LOOPBACK, &unix[0], &unix[1]]);
    // By the port that the system chose; and without the others.
    let address = old.addresses[0].socket_addr().unwrap();
    let same = format!("tcp:{}:interface=127.0.0.1", address.port());
    let another = folder.join("another");
    let new = format!("unix:{}", another.display());
    let new = Program::serving(&folder, &[&same, &new, &unix[0]]);
    old.expect_drained();
    for port in 0..3 {
        new.expect_to_serve(&mut new.connect(port));
    }
    assert!(kept.exists() && !left.exists());
    // Who wants one that was left can have it.
    let last = Program::serving(&folder, &[&unix[1]]);
    new.expect_drained();
    last.expect_to_serve(&mut last.connect(0));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!kept.exists());
}

#[test]
fn who_waits_in_a_queue_outlives_the_predecessor() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let mut new = Program::start("waits", &folder, &[LOOPBACK]);
    new.expect_waiting();
    // Nobody accepts: the predecessor sleeps, the successor is not ready.
    old.stop();
    let mut clients: Vec<Client> = (0..200).map(|_| old.connect(0)).collect();
    old.child.signal("KILL");
    drop(old);
    // It has ended without a word, and so the successor serves in its place.
    new.go_on();
    clients.iter_mut().for_each(|client| new.expect_to_serve(client));
}

#[test]
fn shards_hand_over_ports_of_their_own_beside_one_that_the_first_accepts_for_all() {
    let folder = Folder::new();
    let mut old = Program::serving_as("acceptor-and-own", &folder, &[LOOPBACK]);
    for _ in 0..2 {
        let new = Program::serving_as("acceptor-and-own", &folder, &[LOOPBACK]);
        assert_eq!(new.addresses, old.addresses);
        old.expect_drained();
        // One for each shard.
        for _ in 0..2 {
            new.expect_to_serve(&mut new.connect(0));
        }
        for index in 0..2 {
            let own = UnixAddress::path(folder.join(format!("hand-over.{index}.own")));
            new.expect_to_serve(&mut Client::connect(Address::from(own)));
        }
        old = new;
    }
}

#[test]
fn an_inherited_socket_is_taken_over_by_its_name() {
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};
    let folder = Folder::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut old = Program::command("serves", &folder, &["systemd:name=web"]);
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" "$@" 3<&0"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(old.get_program()).args(old.get_args());
    let environment = old.get_envs().map(|(name, value)| (name, value.unwrap()));
    command.envs(environment).stdin(Stdio::from(OwnedFd::from(socket)));
    let child = Child::spawn_with_stdin(&mut command);
    let line = child.line_after("listening on ");
    old.stdin(Stdio::null());
    let old = Program { child, addresses: vec![Address::Tcp(line.parse().unwrap())] };
    old.expect_running();
    // The successor inherits nothing: LISTEN_PID would not be its own either.
    let new = Program::serving(&folder, &["systemd:name=web"]);
    assert_eq!(new.addresses, old.addresses);
    old.expect_drained();
    new.expect_to_serve(&mut new.connect(0));
}

#[test]
fn the_first_process_replaces_what_a_crash_has_left_and_nothing_that_is_served() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("s").display());
    let first = Program::serving(&folder, &[&unix]);
    first.child.signal("KILL");
    assert!(!first.child.wait().0.success());
    assert!(folder.join("hand-over").exists());
    let mut serving = Program::serving(&folder, &[&unix]);
    for _ in 0..2 {
        let fresh = Program::spawn(&mut Program::command("fresh", &folder, &[]), 0);
        let (status, said) = fresh.ended();
        assert!(!status.success() && said.contains("another program listens there"), "{said}");
        serving.expect_to_serve(&mut serving.connect(0));
        // Nor once it has changed hands.
        let next = Program::serving(&folder, &[&unix]);
        serving.expect_drained();
        serving = next;
    }
}

#[test]
fn the_chat_restarts_by_hand_and_its_members_are_told() {
    let folder = Folder::new();
    let path = folder.join("hand-over").display().to_string();
    let start = || Child::example("chat", &["--take-over", &path, LOOPBACK]);
    let old = start();
    let address = old.address();
    let mut ann = Client::connect(address);
    ann.expect("What's your name?\r\n");
    ann.send("Ann\n");
    ann.expect("Welcome, Ann!\r\n");
    let new = start();
    assert_eq!(new.address(), address);
    ann.expect("The chat restarts. Please connect again.\r\n");
    ann.expect_close();
    let (status, said) = old.wait();
    assert!(status.success(), "{said}");
    // Nobody has a name in the new one.
    let mut ann = Client::connect(address);
    ann.expect("What's your name?\r\n");
    ann.send("Ann\n");
    ann.expect("Welcome, Ann!\r\n");
    new.signal("TERM");
    ann.expect("The chat is closing. Goodbye.\r\n");
    ann.expect_close();
    assert!(new.wait().0.success());
}

/// Sends a command to an inspection port, and returns the answer without its last line.
#[track_caller]
fn ask(session: &mut Client, command: &str) -> String {
    session.send(format!("{command}\n"));
    let lines = std::iter::from_fn(|| Some(session.line()).filter(|line| line != "ok"));
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn an_inspection_port_is_taken_over_and_its_sessions_stay() {
    let folder = Folder::new();
    let inspect = || Client::connect(UnixAddress::path(folder.join("hand-over.inspect")));
    let old = Program::serving_as("inspected", &folder, &[LOOPBACK]);
    // Its protocol waits for the first question, and the drain for its protocol.
    let client = old.connect(0);
    let mut before = inspect();
    assert!(ask(&mut before, "ports").contains("hand-over.inspect accepting=active"));
    let new = Program::serving_as("inspected", &folder, &[LOOPBACK]);
    // A session from before sees the predecessor, which drains, and another one the successor.
    assert!(ask(&mut before, "drain").starts_with("draining connections=1 "));
    assert_eq!(ask(&mut before, "ports"), "");
    let mut after = inspect();
    assert_eq!(ask(&mut after, "connections Who"), "");
    assert!(ask(&mut after, "ports").contains("hand-over.inspect accepting=active"));
    assert!(ask(&mut before, "drain 0").starts_with("draining connections=1 left=0"));
    let (status, ended) = old.ended();
    assert!(status.success() && ended.contains(" 1 aborted, 0 bytes lost"), "{ended}");
    assert_eq!(client.rest_and_end().0, b"");
    new.expect_to_serve(&mut new.connect(0));
}

#[test]
fn an_encrypted_port_is_taken_over_and_the_successor_encrypts() {
    let folder = Folder::new();
    let pem = |name| format!("{}/src/testing/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    let files = format!("certKey={}:privateKey={}", pem("localhost"), pem("localhost-key"));
    let encrypted = format!("ssl:{LOOPBACK}:{files}");
    let mut old = Program::serving(&folder, &[LOOPBACK]);
    for _ in 0..2 {
        let new = Program::serving(&folder, &[&encrypted]);
        assert_eq!(new.addresses, old.addresses);
        old.expect_drained();
        let mut client = new.connect(0);
        client.start_tls();
        new.expect_to_serve(&mut client);
        old = new;
    }
}
