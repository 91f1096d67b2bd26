//! The example `chat_client` stays in the chat through a restart of the server.

use crate::examples::Example;
use crate::support::{Child, Client};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};

/// Starts the client with these arguments, and with lines of input that the test writes.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(Child::path("chat_client"));
    Child::spawn_with_stdin(command.args(arguments).stdin(Stdio::piped()))
}

/// Joins the chat as Bob.
fn bob(server: &Child, address: SocketAddr) -> Client {
    let mut bob = server.connect(address);
    bob.expect("What's your name?\r\n");
    bob.send("Bob\r\n");
    bob.expect("Welcome, Bob!\r\n");
    bob
}

/// Returns the next line that a client receives.
fn line(client: &mut Client) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        client.socket().read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

#[test]
fn a_client_stays_in_the_chat_through_a_restart_of_the_server() {
    let Example { server, address } = Example::start("chat", &[]);
    let mut first_bob = bob(&server, address);
    let mut ann = start(&[&format!("tcp:localhost:{}", address.port()), "Ann"]);
    let mut input = ann.stdin();
    writeln!(input, "hello").unwrap();
    first_bob.expect("<Ann> hello\r\n");
    assert_eq!([ann.line(), ann.line()], ["What's your name?", "Welcome, Ann!"]);
    server.signal("KILL");
    assert!(!server.wait().0.success());
    // A line without a server waits.
    writeln!(input, "again").unwrap();
    let port = format!("tcp:{}:interface=127.0.0.1", address.port());
    let server = Child::example("chat", &[&port]);
    assert_eq!(server.address(), address);
    let mut second_bob = bob(&server, address);
    // Ann may have said it before Bob was there; but what she says next, she does not.
    assert_eq!([ann.line(), ann.line()], ["What's your name?", "Welcome, Ann!"]);
    second_bob.send("are you there?\r\n");
    assert_eq!(ann.line(), "<Bob> are you there?");
    writeln!(input, "yes").unwrap();
    let mut heard = line(&mut second_bob);
    if heard == "<Ann> again\r\n" {
        heard = line(&mut second_bob);
    }
    assert_eq!(heard, "<Ann> yes\r\n");
    drop(input);
    let (status, said) = ann.wait();
    assert!(status.success(), "{said}");
    let expected = [format!("connected to {address}"), format!("lost {address}: connection ")];
    let told: Vec<&str> = said.lines().collect();
    assert_eq!(told[0], expected[0]);
    assert!(told[1].starts_with(&expected[1]), "{said}");
    assert!(told[1].contains("; trying again in ") && told[1].ends_with(" s"), "{said}");
    assert_eq!(told.last(), Some(&&*expected[0]), "{said}");
    for line in &told[2..told.len() - 1] {
        let refused =
            line.starts_with(&format!("cannot connect to localhost:{}: ", address.port()));
        assert!(refused && line.contains("; trying again in "), "{said}");
    }
}

#[test]
fn a_client_without_a_name_and_without_input_leaves() {
    let example = Example::start("chat", &[]);
    let mut ann = start(&[&example.address.to_string()]);
    assert_eq!(ann.line(), "What's your name?");
    let mut input = ann.stdin();
    writeln!(input, "Ann").unwrap();
    assert_eq!(ann.line(), "Welcome, Ann!");
    drop(input);
    let (status, said) = ann.wait();
    assert!(status.success(), "{said}");
    assert_eq!(said, format!("connected to {}\n", example.address));
    example.stop();
    let (status, said) = Child::example("chat_client", &["nonsense"]).wait();
    assert!(!status.success() && said.contains("is not like localhost:8007"), "{said}");
    let (status, said) = Child::example("chat_client", &["tcp:localhost"]).wait();
    assert!(!status.success() && said.contains("tcp:localhost"), "{said}");
    // Where nobody listens, input that has ended ends the program.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (status, said) = Child::example("chat_client", &[&nobody.to_string()]).wait();
    assert!(status.success(), "{said}");
}
