//! Writes to closed peers, in processes in which SIGPIPE has its default action: it ends them.
#![cfg(target_os = "linux")]

use crate::support::{Child, TIMEOUT};
use std::fs;
use std::io::{IoSlice, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use twistor::{Bytes, Context, Protocol, Reactor, Reason, Transport, broadcast};

/// The environment variable that tells a child process its role.
const ROLE: &str = "TWISTOR_SIGPIPE_ROLE";

/// Writes to a peer that has closed: first a large buffer that is sent by itself, then several
/// pieces that are sent when the callback returns.
struct Late {
    write: fn(&Transport, &Bytes),
}

impl<F> Protocol<F> for Late {
    fn read_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        let large = Bytes::from(vec![b'x'; 64 * 1024]);
        cx.transport.write_bytes(large.clone());
        // The peer answers with a reset. It should arrive before anything else is sent, and the
        // loop should not notice it before.
        wait_until_reset(cx.transport);
        cx.transport.write("a run of bytes before it");
        (self.write)(cx.transport, &large);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &Reason) {
        println!("\nlost: {reason}");
        cx.reactor.stop();
    }
}

/// Waits for the reset: the system's table lists a connection until then.
fn wait_until_reset(transport: &Transport) {
    let hex = |address: Option<SocketAddr>| format!(":{:04X}", address.unwrap().port());
    let (host, peer) =
        (hex(transport.local_address().socket_addr()), hex(transport.peer_address().socket_addr()));
    let is_ours = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let mut next_ends_with = |end: &str| words.next().is_some_and(|word| word.ends_with(end));
        next_ends_with(&host) && next_ends_with(&peer)
    };
    let start = Instant::now();
    while fs::read_to_string("/proc/net/tcp").unwrap().lines().any(is_ours) {
        assert!(start.elapsed() < TIMEOUT, "the reset does not come");
        std::thread::yield_now();
    }
}

/// Runs in the child processes of the tests below. Without a role it does nothing.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // Rust's runtime ignores it; here it has its default action again.
    let deadly = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(13, deadly).unwrap();
    let write: fn(&Transport, &Bytes) = match &*role {
        "bytes" => |transport, bytes| transport.write_bytes(bytes.clone()),
        "broadcast" => |transport, bytes| broadcast([transport], bytes.clone()),
        "copy" => |transport, bytes| transport.write(bytes),
        _ => {
            let (mut mine, other) = UnixStream::pair().unwrap();
            drop(other);
            panic!("{:?}, and alive", mine.write_vectored(&[IoSlice::new(b"x")]));
        }
    };
    let mut reactor = Reactor::new().unwrap();
    let port = reactor.listen("tcp:0:interface=127.0.0.1", move || Late { write }).unwrap();
    println!("\nlistening on {}", port.local_address());
    reactor.run().unwrap();
}

fn child(role: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sigpipe::role", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    Child::spawn(&mut command)
}

#[test]
fn the_signal_ends_a_child_that_gets_it() {
    let (status, said) = child("control").wait();
    assert_eq!(status.signal(), Some(13), "{status}: {said}");
}

#[test]
fn no_write_to_a_closed_peer_ends_the_process() {
    for role in ["bytes", "broadcast", "copy"] {
        let child = child(role);
        let address = child.line_after("listening on ").parse().unwrap();
        drop(child.connect(address));
        let reason = child.line_after("lost: ");
        assert!(reason.contains("Broken pipe"), "{role}: {reason}");
        let (status, said) = child.wait();
        assert!(status.success(), "{role}: {status}: {said}");
    }
}
