//! Settings, latencies, and a load on servers in memory. `tests/it/redis.rs` has a real server.

use super::histogram::Histogram;
use super::load::{Load, Report};
use super::settings::Settings;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{End, Server};

const PING: &str = "*1\r\n$4\r\nPING\r\n";

fn settings(arguments: &[&str]) -> Result<Settings, String> {
    Settings::parse(&arguments.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
}

#[test]
fn arguments_are_settings_and_a_command() {
    let all = settings(&["tcp:127.0.0.1:6379"]).unwrap();
    assert_eq!((all.connections, all.depth, all.requests), (50, 1, 100_000));
    assert_eq!((all.timeout, &*all.command), (Duration::from_secs(5), PING.as_bytes()));
    let all = ["unix:/run/redis.sock", "depth=9", "connections=2", "SET", "depth=1", "x"];
    let all = settings(&all).unwrap();
    assert_eq!((all.connections, all.depth), (2, 9));
    assert!(all.command.ends_with(b"$7\r\ndepth=1\r\n$1\r\nx\r\n"));
    let cases: [(&[&str], &str); 6] = [
        (&[], "the endpoint is missing, such as tcp:127.0.0.1:6379"),
        (&["nowhere:1"], "nowhere"),
        (&["tcp:a:1", "deep=1"], "\"deep\" is no setting"),
        (&["tcp:a:1", "depth=0"], "depth=0: not a number from 1 to 10000"),
        (&["tcp:a:1", "connections=10001"], "not a number from 1 to 10000"),
        (&["tcp:a:1", "requests=many"], "requests=many: not a number from 1 to"),
    ];
    for (arguments, expected) in cases {
        let error = settings(arguments).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn latencies_are_told_a_little_too_high_at_most() {
    let mut histogram = Histogram::new();
    assert_eq!(histogram.quantile(500), Duration::ZERO);
    for microseconds in 1..=1000 {
        histogram.record(Duration::from_micros(microseconds));
    }
    for per_mille in [1, 10, 500, 990, 999, 1000] {
        let exact = Duration::from_micros(per_mille);
        let told = histogram.quantile(per_mille);
        assert!(told >= exact && told <= exact + exact / 64, "{per_mille}: {told:?}");
    }
    histogram.record(Duration::MAX);
    assert_eq!(histogram.max(), Duration::from_nanos(u64::MAX));
    assert_eq!(histogram.quantile(1000), histogram.max());
}

type Outcome = Rc<RefCell<Option<Report>>>;

fn loaded(arguments: &[&str]) -> (Server<Load>, Outcome) {
    let settings = settings(&[&["tcp:127.0.0.1:6379"], arguments].concat()).unwrap();
    let outcome = Rc::new(RefCell::new(None));
    (Server::new(Load::new(&settings, Rc::clone(&outcome))), outcome)
}

#[test]
fn connections_share_the_requests_and_keep_their_depth() {
    let (clients, outcome) = loaded(&["depth=3", "requests=8"]);
    let (ann, bob) = (clients.connect(), clients.connect());
    assert_eq!(ann.take_received(), PING.repeat(3).as_bytes());
    assert_eq!(bob.take_received(), PING.repeat(3).as_bytes());
    clients.simulation().run_for(Duration::from_millis(2));
    ann.send("+PONG\r\n+PON");
    assert_eq!(ann.take_received(), PING.as_bytes());
    ann.send("G\r\n-ERR no\r\n");
    assert_eq!(ann.take_received(), PING.as_bytes(), "the last one");
    ann.send("+PONG\r\n+PONG\r\n");
    assert_eq!((ann.close_kind(), bob.close_kind()), (Some(End::Closed), None));
    assert!(outcome.borrow().is_none());
    bob.send("+PONG\r\n".repeat(3));
    assert_eq!(bob.close_kind(), Some(End::Closed));
    let report = outcome.take().unwrap();
    assert_eq!(report.errors, 1);
    let report = report.to_string();
    assert!(report.starts_with("8 requests in 0.00"), "{report}");
    assert!(report.ends_with("errors: 1\n"), "{report}");
}

#[test]
fn a_server_that_fails_ends_the_load() {
    for (sent, expected) in [
        ("+PONG\r\n+PONG\r\n", "failed: a reply has arrived that no request is waiting for"),
        ("?\r\n", "failed: not a reply of Redis: \"?\""),
        ("+PO", "failed: no reply within 5s"),
    ] {
        let (clients, outcome) = loaded(&["requests=9"]);
        let client = clients.connect();
        client.send(sent);
        client.advance(Duration::from_secs(5));
        assert_eq!(client.lost_reason().unwrap().to_string(), expected);
        assert!(outcome.borrow().is_none());
    }
    let (clients, outcome) = loaded(&[]);
    let client = clients.connect();
    client.close_write();
    assert!(client.close_kind().is_some() && outcome.borrow().is_none());
}
