//! Test support: a server in a thread, a log of its callbacks, clients on std sockets. Nothing here
//! sleeps for a guessed time: a test waits for the expected event, and fails if it does not come.

#[cfg(feature = "signals")]
mod callers;
#[cfg(feature = "signals")]
mod child;
mod client;
pub(crate) mod encryption;
#[cfg(unix)]
mod folder;
mod probe;
mod server;
mod socket;

#[cfg(feature = "signals")]
pub(crate) use callers::Callers;
#[cfg(feature = "signals")]
pub(crate) use child::{Child, interrupt};
pub(crate) use client::Client;
#[cfg(unix)]
pub(crate) use folder::Folder;
pub(crate) use probe::{Cx, Event, LARGE, LARGE_SIMULATED, Probes, Records};
pub(crate) use server::Server;
pub(crate) use socket::Socket;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest wait of a test before it fails. Far longer than anything takes, so that no test
/// fails on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest wait on a simulated network, where it costs nothing.
pub(crate) const SIMULATED_TIMEOUT: Duration = Duration::from_secs(3600);

/// Both ends of a thousand connections and more are in this process, and a system's usual limit is
/// lower. Tests that need that many take turns.
pub(crate) fn need_many_descriptors() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = rlimit::increase_nofile_limit(4096).unwrap();
    assert!(limit >= 4096, "this test needs 4096 descriptors, and may have {limit}");
    turn
}

/// Returns true if the machine has IPv6; otherwise tests that need it are skipped, with a message.
pub(crate) fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("skipped: this machine has no [::1]");
    }
    has
}

/// Returns true if a program is installed; otherwise tests that need it are skipped, with a
/// message. Where `TWISTOR_TOOLS=required`, as in the gate, they fail.
#[cfg(feature = "signals")]
pub(crate) fn has_tool(name: &str, debian_package: &str) -> bool {
    let found = std::process::Command::new(name).arg("-v").output().is_ok();
    if !found {
        let missing = format!("{name} is not installed (Debian's package {debian_package})");
        assert!(std::env::var("TWISTOR_TOOLS").as_deref() != Ok("required"), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

/// Sends back what it receives, and closes when the client does.
pub(crate) fn echo(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(data) => cx.transport.write(data),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

/// Connects clients one after the other, and so knows their numbers: handshakes that overlap may be
/// completed in another order.
#[track_caller]
pub(crate) fn connect_in_turn<const N: usize>(server: &Server) -> [Client; N] {
    std::array::from_fn(|number| {
        let client = server.connect();
        server.expect(&[&format!("{number} made")]);
        client
    })
}
