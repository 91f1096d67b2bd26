//! Restarts that the program itself begins, and what the service manager hears of them.

use super::Program;
use crate::support::{Client, Folder, TIMEOUT};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Instant;
use twistor::Address;

const LOOPBACK: &str = "tcp:0:interface=127.0.0.1";

/// A process that the program has started. Dropping it ends the process.
struct Grandchild(u32);

impl Grandchild {
    /// Returns that which the program has announced.
    #[track_caller]
    fn of(program: &Program) -> Self {
        Self(program.child.line_after("started ").parse().unwrap())
    }

    #[track_caller]
    fn expect_to_serve(&self, address: Address) {
        let mut client = Client::connect(address);
        client.send("who\n");
        client.expect(format!("{}\r\n", self.0));
    }
}

impl Drop for Grandchild {
    fn drop(&mut self) {
        let command = fs::read_to_string(format!("/proc/{}/cmdline", self.0));
        // The number of a process that has ended may be that of another one.
        if command.is_ok_and(|command| command.contains("hand_over::program::role")) {
            let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
        }
    }
}

/// Waits until a program has drained and ended. Its successor has its outputs, which stay open.
#[track_caller]
fn expect_ended(mut program: Program) {
    let ended = program.child.line_after("ended: ");
    assert!(ended.contains(" 0 aborted, 0 bytes lost"), "{ended}");
    let start = Instant::now();
    while !program.child.has_ended() {
        assert!(start.elapsed() < TIMEOUT, "the program does not end");
        std::thread::yield_now();
    }
}

/// A service manager that hears a program.
pub(super) struct Manager(UnixDatagram);

impl Manager {
    pub(super) fn new(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self(socket)
    }

    #[track_caller]
    pub(super) fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.0.recv(&mut buffer).expect("a notification that does not come");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    /// Expects that all has been heard.
    #[track_caller]
    pub(super) fn expect_no_more(&self) {
        self.0.set_nonblocking(true).unwrap();
        let error = self.0.recv(&mut [0; 4096]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_program_starts_its_successor_and_systemd_hears_which_process_is_the_service() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let mut command = Program::command("serves", &folder, &[LOOPBACK]);
    command.env("NOTIFY_SOCKET", folder.join("notify"));
    command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
    let old = Program::spawn(&mut command, 1);
    assert_eq!(manager.hear(), "READY=1");
    old.child.signal("HUP");
    let new = Grandchild::of(&old);
    // First the process that the manager knows says which one it shall know, then that one speaks.
    assert_eq!(manager.hear(), format!("READY=1\nMAINPID={}", new.0));
    assert_eq!(manager.hear(), "READY=1");
    new.expect_to_serve(old.addresses[0].clone());
    expect_ended(old);
    // The old process does not say that the service stops, and the new one does.
    assert!(Command::new("kill").arg(new.0.to_string()).status().unwrap().success());
    assert!(manager.hear().starts_with("STOPPING=1"));
}

#[test]
fn a_program_that_stops_starts_no_successor() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    // The drain waits for its first question.
    let mut client = old.connect(0);
    old.child.signal("TERM");
    old.child.signal("HUP");
    let said = std::iter::repeat_with(|| old.child.line()).find(|line| !line.is_empty()).unwrap();
    let _unwanted = said.strip_prefix("started ").map(|id| Grandchild(id.parse().unwrap()));
    assert_eq!(said, "cannot restart: this process is stopping");
    old.expect_to_serve(&mut client);
    old.expect_drained();
}

#[test]
fn the_watchdog_hears_the_successor() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let script = r#"WATCHDOG_PID=$$ exec "$0" "$@""#;
    let inner = Program::command("serves", &folder, &[LOOPBACK]);
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().map(|(name, value)| (name, value.unwrap())));
    command.env("NOTIFY_SOCKET", folder.join("notify")).env("WATCHDOG_USEC", "20000");
    let old = Program::spawn(&mut command, 1);
    while manager.hear() != "WATCHDOG=1" {}
    old.child.signal("HUP");
    let new = Grandchild::of(&old);
    while !manager.hear().contains("MAINPID") {}
    assert_eq!(manager.hear(), "READY=1");
    let address = old.addresses[0].clone();
    expect_ended(old);
    for _ in 0..5 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    new.expect_to_serve(address);
}

#[test]
fn the_program_that_is_installed_is_what_starts_and_one_that_fails_changes_nothing() {
    let folder = Folder::new();
    let program = folder.join("program");
    let this = std::env::current_exe().unwrap();
    let install = |path: &std::path::Path| {
        symlink(path, folder.join("new")).unwrap();
        fs::rename(folder.join("new"), &program).unwrap();
    };
    install(&this);
    let inner = Program::command("serves", &folder, &[LOOPBACK]);
    let mut command = Command::new(&program);
    command.args(inner.get_args());
    command.envs(inner.get_envs().map(|(name, value)| (name, value.unwrap())));
    let old = Program::spawn(&mut command, 1);
    old.expect_running();
    install(std::path::Path::new("/bin/false"));
    old.child.signal("HUP");
    let failed: u32 = old.child.line_after("started ").parse().unwrap();
    // As soon as its end is noticed, another one can be started.
    let new = loop {
        install(&this);
        old.child.signal("HUP");
        // Each signal has one answer, and the next one is sent after it: two could become one. The
        // successor, which has the same output, may speak before the answer comes.
        let is_answer =
            |line: &String| line.starts_with("started ") || line.starts_with("cannot restart: ");
        let line = std::iter::repeat_with(|| old.child.line()).find(is_answer).unwrap();
        if let Some(started) = line.strip_prefix("started ") {
            break Grandchild(started.parse().unwrap());
        }
        let is_starting = format!("cannot restart: a successor, process {failed}, is starting");
        assert_eq!(line, is_starting);
    };
    // It was reaped: there is no zombie.
    let status = fs::read_to_string(format!("/proc/{failed}/status")).unwrap_or_default();
    assert!(!status.contains("zombie"), "{status}");
    let address = old.addresses[0].clone();
    expect_ended(old);
    new.expect_to_serve(address);
}
