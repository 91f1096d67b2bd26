//! Behind a real haproxy: an example learns of the clients from its PROXY headers.

use crate::support::{Child, Folder, TIMEOUT, has_tool, interrupt};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

/// A haproxy that ends with the test.
struct Haproxy {
    _process: Child,
    address: SocketAddr,
    /// Its configuration is there.
    _folder: Folder,
}

impl Haproxy {
    /// Starts it in front of a server.
    fn start(server: SocketAddr, options: &str) -> Self {
        let folder = Folder::new();
        let config = folder.join("haproxy.cfg");
        let (process, addresses) = Child::listening(1, |addresses| {
            let text = format!(
                "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n \
                 timeout server 60s\nlisten test\n bind {}\n server it {server} {options}\n",
                addresses[0]
            );
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(&config);
            command
        });
        Self { _process: process, address: addresses[0], _folder: folder }
    }
}

/// Sends through haproxy, and returns the client's address.
fn exchange(through: SocketAddr, length: usize) -> SocketAddr {
    let client = TcpStream::connect(through).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let mut sender = client.try_clone().unwrap();
    let expected = sent.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    (&client).read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert!(received == expected, "{} bytes came back of {length}", received.len());
    client.local_addr().unwrap()
}

#[test]
fn clients_of_haproxy_are_known_by_their_own_addresses() {
    if !has_tool("haproxy", "haproxy") {
        return;
    }
    for options in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
        "send-proxy check inter 20ms",
        "send-proxy-v2 check inter 20ms check-send-proxy",
    ] {
        let path = Child::path("echo");
        let mut command = Command::new(path);
        command.arg("haproxy:tcp:0:interface=127.0.0.1").env("RUST_LOG", "debug");
        let server = Child::spawn(&mut command);
        let haproxy = Haproxy::start(server.address(), options);
        let mut clients = vec![exchange(haproxy.address, 1), exchange(haproxy.address, 3_000_000)];
        clients.extend((0..20).map(|number| exchange(haproxy.address, number)));
        server.signal(interrupt());
        let (status, said) = server.wait();
        assert!(status.success(), "{options}: {said}");
        for client in clients {
            let made = format!("of {client}: connected");
            assert!(said.contains(&made), "{options}: {client} is not in {said}");
        }
        assert!(!said.contains("WARN"), "{options}: {said}");
    }
}

#[test]
fn a_client_that_is_no_proxy_is_told_of_in_a_warning() {
    let mut command = Command::new(Child::path("echo"));
    command.arg("haproxy:tcp:0:interface=127.0.0.1").env("RUST_LOG", "debug");
    let server = Child::spawn(&mut command);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    client.write_all(b"G").unwrap();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0, "closed at the first byte");
    server.signal(interrupt());
    let (status, said) = server.wait();
    assert!(status.success(), "{said}");
    let peer = client.local_addr().unwrap();
    let warning =
        said.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{said}"));
    assert!(warning.contains(&peer.to_string()) && warning.contains("PROXY"), "{warning}");
}
