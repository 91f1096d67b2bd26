//! Successors that fail, and that come at the same time: the predecessor continues.

use super::Program;
use crate::support::{Client, Folder};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use twistor::Address;

const LOOPBACK: &str = "tcp:0:interface=127.0.0.1";

/// The user `nobody`, who is not the one of this test.
const NOBODY: u32 = 65534;

#[test]
fn a_successor_that_ends_before_it_is_ready_changes_nothing() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("s").display());
    let old = Program::serving(&folder, &[LOOPBACK, &unix]);
    let mut early = old.connect(0);
    old.expect_to_serve(&mut early);
    for role in ["dies", "leaves"] {
        let new = Program::start(role, &folder, &[LOOPBACK, &unix]);
        assert_eq!(new.addresses, old.addresses);
        assert!(!new.child.wait().0.success());
        for port in 0..2 {
            old.expect_to_serve(&mut old.connect(port));
        }
        assert!(folder.join("s").exists() && folder.join("hand-over").exists());
        // Nor does it release the locks.
        let fresh = Program::spawn(&mut Program::command("fresh", &folder, &[]), 0);
        assert!(!fresh.ended().0.success());
    }
    old.expect_to_serve(&mut early);
    let new = Program::serving(&folder, &[LOOPBACK, &unix]);
    early.expect("restarts\r\n");
    early.expect_close();
    old.expect_drained();
    new.expect_to_serve(&mut new.connect(1));
}

#[test]
fn a_successor_that_is_to_stop_before_it_is_ready_changes_nothing() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("s").display());
    let old = Program::serving(&folder, &[LOOPBACK, &unix]);
    let mut early = old.connect(0);
    old.expect_to_serve(&mut early);
    for role in ["stops", "is-terminated"] {
        let new = Program::start(role, &folder, &[LOOPBACK, &unix]);
        let (status, ended) = new.ended();
        assert!(status.success(), "{ended}");
        old.expect_to_serve(&mut early);
        for port in 0..2 {
            old.expect_to_serve(&mut old.connect(port));
        }
        assert!(folder.join("s").exists() && folder.join("hand-over").exists());
    }
    let new = Program::serving(&folder, &[LOOPBACK, &unix]);
    early.expect("restarts\r\n");
    early.expect_close();
    old.expect_drained();
    new.expect_to_serve(&mut new.connect(1));
}

/// Connects this many clients, each without waiting, and returns those that have got into the queue
/// of the port.
fn queue(address: &Address, count: usize) -> Vec<Socket> {
    let (domain, address) = match address {
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path.as_path().unwrap()).unwrap()),
        other => (Domain::IPV4, other.socket_addr().unwrap().into()),
    };
    let connect = || {
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        // Over the loopback interface, a connection is made at once or not at all.
        socket.peer_addr().is_ok().then_some(socket)
    };
    (0..count).filter_map(|_| connect()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn mode_and_backlog_are_the_successors_as_soon_as_it_serves_and_not_before() {
    let folder = Folder::new();
    let path = folder.join("s");
    let unix = format!("unix:{}", path.display());
    let old = Program::serving(&folder, &[LOOPBACK, &format!("{unix}:mode=600")]);
    let ports = [&*format!("{LOOPBACK}:backlog=1"), &*format!("{unix}:mode=666:backlog=1")];
    let failed = Program::start("dies", &folder, &ports);
    assert!(!failed.child.wait().0.success());
    assert_eq!(mode(&path), 0o600);
    old.stop();
    for address in &old.addresses {
        assert_eq!(queue(address, 20).len(), 20, "{address}");
    }
    old.child.signal("CONT");
    let new = Program::serving(&folder, &ports);
    old.expect_drained();
    assert_eq!(mode(&path), 0o666);
    new.stop();
    for address in &new.addresses {
        assert!(queue(address, 20).len() < 20, "{address}");
    }
    new.child.signal("CONT");
    new.expect_to_serve(&mut new.connect(1));
}

#[test]
fn a_successor_cannot_have_a_port_that_another_program_has() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}:interface=127.0.0.1", taken.local_addr().unwrap().port());
    let new = Program::spawn(&mut Program::command("serves", &folder, &[LOOPBACK, &port]), 1);
    let (status, said) = new.ended();
    assert!(!status.success() && said.contains("in use"), "{said}");
    old.expect_to_serve(&mut old.connect(0));
}

#[test]
fn the_second_of_two_successors_is_refused_and_the_first_takes_over() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let mut first = Program::start("waits", &folder, &[LOOPBACK]);
    first.expect_waiting();
    for _ in 0..2 {
        let second = Program::spawn(&mut Program::command("serves", &folder, &[LOOPBACK]), 0);
        let (status, said) = second.ended();
        assert!(!status.success());
        assert!(said.contains("the predecessor refuses: another process is taking over"), "{said}");
        // Meanwhile the predecessor serves, and it alone.
        let mut clients: Vec<Client> = (0..20).map(|_| old.connect(0)).collect();
        clients.iter_mut().for_each(|client| old.expect_to_serve(client));
        clients.into_iter().for_each(Client::reset);
    }
    first.go_on();
    first.expect_running();
    old.expect_drained();
    first.expect_to_serve(&mut first.connect(0));
}

#[test]
fn a_process_that_is_asked_to_stop_waits_for_its_successor() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("socket").display());
    let old = Program::serving(&folder, &[LOOPBACK, &unix]);
    let mut client = old.connect(0);
    old.expect_to_serve(&mut client);
    let mut new = Program::start("waits", &folder, &[LOOPBACK, &unix]);
    new.expect_waiting();
    old.child.signal("TERM");
    client.expect_close();
    // Nobody accepts these before the successor does, and nobody refuses them.
    let mut early = [new.connect(0), new.connect(1)];
    new.go_on();
    new.expect_running();
    old.expect_drained();
    early.iter_mut().for_each(|client| new.expect_to_serve(client));
    new.expect_to_serve(&mut new.connect(1));
}

#[test]
fn a_process_that_is_asked_to_stop_does_so_if_its_successor_fails() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("socket").display());
    let old = Program::serving(&folder, &[&unix]);
    let mut client = old.connect(0);
    old.expect_to_serve(&mut client);
    let new = Program::start("waits", &folder, &[&unix]);
    new.expect_waiting();
    old.child.signal("TERM");
    client.expect_close();
    new.child.signal("KILL");
    assert!(old.ended().0.success());
    // The file that is left keeps nobody from beginning.
    let next = Program::serving(&folder, &[&unix]);
    next.expect_to_serve(&mut next.connect(0));
}

#[test]
fn a_process_of_another_user_is_refused() {
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("skipped: only the superuser can start processes of two users");
        return;
    }
    let folder = Folder::new();
    let everyone = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.join(""), everyone).unwrap();
    let as_nobody = |role| {
        let mut command = Program::command(role, &folder, &[LOOPBACK]);
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    if !can_run(as_nobody("none")) {
        eprintln!("skipped: another user cannot run this program where it is");
        return;
    }
    // The superuser may connect to any socket, and is another user.
    let old = Program::spawn(&mut as_nobody("serves"), 1);
    old.expect_running();
    let new = Program::spawn(&mut Program::command("serves", &folder, &[LOOPBACK]), 0);
    let (status, said) = new.ended();
    assert!(!status.success() && said.contains("another user"), "{said}");
    old.expect_to_serve(&mut old.connect(0));
    drop(old);

    // The mode of the file keeps the others out.
    fs::remove_file(folder.join("hand-over.lock")).unwrap();
    fs::remove_file(folder.join("hand-over")).unwrap();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let (status, said) = Program::spawn(&mut as_nobody("serves"), 0).ended();
    assert!(!status.success() && said.contains("Permission denied"), "{said}");
    old.expect_to_serve(&mut old.connect(0));
}

fn can_run(mut command: Command) -> bool {
    command.arg("--list").output().is_ok_and(|output| output.status.success())
}
