//! Notifications to a service manager, from processes of their own to a socket of the test.
#![cfg(target_os = "linux")]

use crate::support::{Child, TIMEOUT};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;
use twistor::Reactor;

/// The environment variable that tells a child process its role.
const ROLE: &str = "TWISTOR_TEST_SERVICE";

/// Runs in the child processes of the tests below. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut reactor = Reactor::new().unwrap();
    println!("\nnotifies: {}", reactor.notify_service_manager());
    let reload = |reactor: &mut Reactor| {
        let _reloading = reactor.notify_reloading();
        reactor.notify_status("reading the\nconfiguration");
    };
    reactor.on_signal("SIGHUP", reload).unwrap();
    if role == "talks" {
        reactor.call_when_running(|reactor| {
            // Far more than a socket takes unread.
            for count in 0..10_000 {
                reactor.notify_status(&format!("status {count}"));
            }
            println!("\nnever blocked");
        });
    }
    reactor.run().unwrap();
    println!("\nstopped");
}

/// A service manager: a socket, and a child process that may notify it.
struct Manager {
    socket: UnixDatagram,
    child: Child,
}

impl Manager {
    fn on(socket: UnixDatagram, name: &str, role: &str, environment: &[(&str, &str)]) -> Self {
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "service::role", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env("NOTIFY_SOCKET", name);
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        let child = Child::spawn(command.envs(environment.iter().copied()));
        Self { socket, child }
    }

    /// Starts a child with an abstract socket of its own.
    fn new(test: &str, role: &str, environment: &[(&str, &str)]) -> Self {
        let name = format!("twistor-test-{test}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Self::on(socket, &format!("@{name}"), role, environment)
    }

    #[track_caller]
    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("a notification that does not come");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    #[track_caller]
    fn expect(&self, expected: &str) {
        assert_eq!(self.hear(), expected);
    }
}

/// Reads CLOCK_MONOTONIC as nothing else does, to a hundredth of a second: on a machine that was
/// never suspended, this is the time since its start.
fn uptime() -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    Duration::from_secs_f64(uptime.split(' ').next().unwrap().parse().unwrap())
}

#[track_caller]
fn runs_reloads_and_stops(manager: Manager) {
    assert_eq!(manager.child.line_after("notifies: "), "true");
    manager.expect("READY=1");
    manager.child.signal("HUP");
    let reloading = manager.hear();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    let time = Duration::from_micros(time.parse().unwrap());
    // The clock stands still while a machine is suspended, and the time since its start does not.
    assert!(!time.is_zero() && time <= uptime() + Duration::from_millis(10), "{time:?}");
    manager.expect("STATUS=reading the configuration");
    manager.expect("READY=1");
    manager.child.signal("TERM");
    let stopping = manager.hear();
    let time = stopping.strip_prefix("STOPPING=1\nEXTEND_TIMEOUT_USEC=").expect(&stopping);
    // The default time for a drain, less what has passed of it, and five seconds to exit.
    let time = Duration::from_micros(time.parse().unwrap());
    let [least, most] = [5, 10].map(Duration::from_secs);
    assert!(least < time && time <= most, "{time:?}");
    let (status, said) = manager.child.wait();
    assert!(status.success(), "{said}");
}

#[test]
fn a_manager_with_a_path_hears_of_start_reload_and_stop() {
    let path = std::env::temp_dir().join(format!("twistor-test-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    let manager = Manager::on(socket, path.to_str().unwrap(), "reloads", &[]);
    runs_reloads_and_stops(manager);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_manager_with_an_abstract_name_hears_of_start_reload_and_stop() {
    // The watchdog is that of another process.
    let watchdog = [("WATCHDOG_USEC", "2000"), ("WATCHDOG_PID", "1")];
    runs_reloads_and_stops(Manager::new("abstract", "reloads", &watchdog));
}

#[test]
fn the_watchdog_hears_again_and_again_while_the_loop_sleeps() {
    let manager = Manager::new("watchdog", "sleeps", &[("WATCHDOG_USEC", "20000")]);
    manager.expect("READY=1");
    for _ in 0..5 {
        manager.expect("WATCHDOG=1");
    }
}

#[test]
fn a_manager_that_does_not_read_blocks_nothing_and_misses_no_change() {
    let manager = Manager::new("unread", "talks", &[]);
    assert_eq!(manager.child.line_after("never "), "blocked");
    // What is heard depends on when there is room again; the last status and READY are never lost.
    let mut last = 0;
    let mut is_ready = false;
    while last != 9_999 || !is_ready {
        match manager.hear().strip_prefix("STATUS=status ") {
            Some(count) => {
                let count = count.parse().unwrap();
                assert!(last <= count, "{count} after {last}");
                last = count;
            }
            None => is_ready = true,
        }
    }
    manager.child.signal("TERM");
    assert!(manager.hear().starts_with("STOPPING=1"));
}

#[test]
fn a_manager_that_is_not_there_disturbs_nothing() {
    for (name, notifies) in [("", "false"), ("not/absolute", "false"), ("/nothing/here", "true")] {
        let (socket, _) = UnixDatagram::pair().unwrap();
        let Manager { child, .. } = Manager::on(socket, name, "talks", &[]);
        assert_eq!(child.line_after("notifies: "), notifies, "{name}");
        while child.line() != "never blocked" {}
        child.signal("TERM");
        while child.line() != "stopped" {}
    }
}
