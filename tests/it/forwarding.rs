//! Examples that feed connections and examples that connect, as programs.

use crate::examples::{ANY, Example};
use crate::support::Child;

#[test]
fn send_file() {
    let path = std::env::temp_dir().join(format!("twistor-send-{}", std::process::id()));
    // More than all the buffers in between hold, in lines that differ.
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(|at| at.to_le_bytes()).collect();
    std::fs::write(&path, &content).unwrap();
    let example = Example::start("send_file", &[path.to_str().unwrap()]);
    let clients: Vec<_> = (0..3).map(|_| example.server.connect(example.address)).collect();
    for client in clients {
        assert!(client.rest() == content);
        let said = example.server.line();
        assert!(said.ends_with(&format!(": {} bytes", content.len())), "{said}");
    }
    example.stop();
    // At a limited rate, which takes some moments.
    let example = Example::start("send_file", &[path.to_str().unwrap(), "50000000"]);
    let clients: Vec<_> = (0..2).map(|_| example.server.connect(example.address)).collect();
    for client in clients {
        assert!(client.rest() == content);
    }
    example.stop();
    std::fs::remove_file(&path).unwrap();
    let server = Child::example("send_file", &[ANY, "README.md", "fast"]);
    let (status, said) = server.wait();
    assert!(!status.success() && said.contains("fast"), "{said}");
    // A file that is not there: a clear error, and no port.
    let server = Child::example("send_file", &[ANY, "no/such/file"]);
    let (status, said) = server.wait();
    assert!(!status.success() && said.contains("no/such/file"), "{said}");
}

#[test]
fn proxy() {
    let target = Example::start("echo", &[]);
    let example = Example::start("proxy", &[&format!("tcp:{}", target.address)]);
    example.check(
        "ann connects
         bob connects
         ann C: hello
         bob C: \u{fffd} anything at all
         bob S: \u{fffd} anything at all
         ann S: hello
         ann C: again
         ann finishes
         ann S: again
         ann is closed
         bob resets",
    );
    // Sends everything before it reads: much more than the proxy holds.
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(|at| at.to_le_bytes()).collect();
    let mut client = example.server.connect(example.address);
    let sending = client.send_meanwhile(content.clone());
    client.expect(&content);
    assert!(sending.ended());
    target.stop();
    // A close by the target means that it has sent everything.
    client.expect_close();
    // Without a target there is no answer, which must not look like an empty one.
    example.server.connect(example.address).expect_reset();
    example.stop();
}

/// A stream that is cut off must not look complete, not even when the server stops.
#[test]
fn a_proxy_that_stops_lets_streams_finish() {
    let target = Example::start("echo", &[]);
    let example = Example::start("proxy", &[&format!("tcp:{}", target.address)]);
    let mut client = example.server.connect(example.address);
    client.send("half ");
    client.expect("half ");
    example.server.signal("TERM");
    client.send("an answer");
    client.expect("an answer");
    client.finish();
    client.expect_close();
    let (status, said) = example.server.wait();
    assert!(status.success(), "{said}");
    target.stop();
}

#[test]
fn ask() {
    let server = Example::start("answer", &[]);
    let address = server.address.to_string();
    let child = Child::example("ask", &[&address, "How are you?"]);
    assert_eq!(child.line(), "Fine");
    let (status, said) = child.wait();
    assert!(status.success() && said.is_empty(), "{said}");
    // Over IPv4, where it listens, whatever else the name stands for.
    let by_name = format!("localhost:{}", server.address.port());
    assert_eq!(Child::example("ask", &[&by_name, "How are you?"]).line(), "Fine");
    let endpoint = format!("tcp:{by_name}:timeout=5");
    assert_eq!(Child::example("ask", &[&endpoint, "How are you?"]).line(), "Fine");
    server.stop();
    let (status, said) = Child::example("ask", &[&address, "How are you?"]).wait();
    assert!(!status.success() && said.contains("cannot connect to "), "{said}");
    for (arguments, why) in [
        (&["nonsense", "?"][..], "is not like localhost:8007"),
        (&["tcp:localhost:80x", "?"], "port \"80x\" is not a number"),
        (&["a b:80", "?"], "neither a host name nor an IP address: it has a ' '"),
        (&["127.0.0.1:80"], "two arguments"),
    ] {
        let (status, said) = Child::example("ask", arguments).wait();
        assert!(!status.success() && said.contains(why), "{said}");
    }
}

#[test]
fn the_chat_prints_its_metrics_at_a_signal() {
    let example = Example::start("chat", &[]);
    let _clients = example.check(
        "ann connects
         ann S: What's your name?
         ann C: Ann
         ann S: Welcome, Ann!",
    );
    for _ in 0..2 {
        example.server.signal("USR1");
        let lines: Vec<String> = (0..9).map(|_| example.server.line()).collect();
        assert!(lines[0].starts_with("age: "), "{lines:?}");
        assert!(lines[1].starts_with("connections: 1 open, 1 accepted"), "{lines:?}");
        assert!(lines[2].contains(" 5 received"), "{lines:?}");
        assert!(lines[4].starts_with("Lines<Chatter>: 2 times"), "{lines:?}");
        assert!(lines[6].starts_with("flushes: ") && lines[7].starts_with("other: "), "{lines:?}");
        assert!(lines[8].starts_with("slowest: Lines<Chatter> of 127.0.0.1:"), "{lines:?}");
    }
    example.stop();
}
