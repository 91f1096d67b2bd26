//! Replays what Twisted's `ClientService` does; `tests/vectors/README.md` explains the cases.

use super::*;
use serde_json::Value;
use std::num::NonZeroU32;

const CASES: &str = include_str!("../../../../tests/vectors/client_service.jsonl");

/// The steps in which twistor differs on purpose: the case, the step by its number and name, what
/// twistor does instead, and why.
const DIFFERENCES: &[(&str, usize, &str, &str, &str)] = &[
    (
        "is lost at once, twice",
        5,
        "lose",
        "lost, wait 2",
        "a connection that lives shorter than the delay before it does not end the count",
    ),
    ("is lost at once, twice", 6, "advance 1", "", "the same"),
    (
        "is stopped while it connects",
        3,
        "stop",
        "",
        "a service has one end, and who stops it again hears of none",
    ),
    (
        "is stopped while it is connected",
        5,
        "lose",
        "lost, a cancelled, stopped",
        "the same: two Deferreds of one end",
    ),
    (
        "is started again while it stops",
        5,
        "lose",
        "lost, attempt",
        "a service that continues has not stopped",
    ),
    (
        "is started again and stopped again while it stops",
        5,
        "lose",
        "lost, stopped",
        "two Deferreds of one end",
    ),
    (
        "is not prepared",
        3,
        "unprepared",
        "lost, wait 1, a failed",
        "Twisted leaves the connection open",
    ),
    (
        "is lost while it is prepared",
        3,
        "lose",
        "lost, wait 1, a failed",
        "Twisted raises an error of its own, and never connects again",
    ),
    ("is lost while it is prepared", 4, "advance 1", "attempt", "the same"),
    (
        "is stopped while it is prepared",
        3,
        "stop",
        "close",
        "Twisted leaves the connection open, and says that the service has stopped",
    ),
    (
        "is stopped while it is prepared",
        4,
        "lose",
        "lost, a cancelled, stopped",
        "Twisted raises an error of its own",
    ),
];

/// A service that replays a case.
struct Replay {
    client: Client,
    prepares: bool,
    attempts: usize,
    is_closing: bool,
}

/// Leaves something unsent, so that a close waits for the peer, and obeys its login.
fn act(what: &str, transport: &Transport, reactor: &mut Reactor) {
    match what {
        "made" => transport.write("x"),
        "prepared" => assert!(reactor.set_prepared(transport)),
        "unprepared" => transport.abort_connection(),
        _ => {}
    }
}

impl Replay {
    fn service(&self, dialler: Dialler) -> ClientService<Dialler> {
        let policy = |failures: u32, _: f64| SECOND * failures;
        // Twisted's clock knows no timeout of an attempt.
        let endpoint = TcpClientEndpoint::new(([192, 0, 2, 7], 80)).timeout(SECOND * 1000);
        let service = ClientService::new(endpoint, dialler).retry(policy);
        if self.prepares { service.prepared_by_protocol(SECOND * 1000) } else { service }
    }

    fn start(&mut self) {
        if self.attempts > 0 && self.client.service.restart(&mut self.client.reactor) {
            return;
        }
        let dialler = Dialler { log: self.client.log.clone(), act, refuses: false };
        let started = self.service(dialler).start(&mut self.client.reactor).unwrap();
        self.client.service = started;
    }

    fn step(&mut self, step: &str) {
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["start"] => self.start(),
            ["stop"] => drop(self.client.service.stop(&mut self.client.reactor)),
            ["accept"] => {
                self.client.server().set_room(0);
                self.client.server().answer();
            }
            ["refuse"] => self.client.server().refuse(),
            ["lose"] => {
                self.client.server().set_room(1000);
                self.client.server().close();
            }
            ["prepared" | "unprepared"] => self.client.server().send(step),
            ["advance", seconds] => {
                self.client.script.advance(SECOND * seconds.parse().unwrap());
            }
            ["when", name, limit] => {
                let (name, log) = (name.to_owned(), self.client.log.clone());
                let limit = NonZeroU32::new(limit.parse().unwrap());
                let (service, reactor) = (self.client.service, &mut self.client.reactor);
                service.when_connected(reactor, limit, move |_, outcome| {
                    log.push(match outcome {
                        Ok(_) => format!("{name} connected"),
                        Err(NotConnectedError::Stopped) => format!("{name} cancelled"),
                        Err(_) => format!("{name} failed"),
                    });
                });
            }
            _ => panic!("{step:?} is no step"),
        }
        self.client.settle();
    }

    /// Returns what has happened since the last time, in the words of the cases.
    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        for entry in std::mem::take(&mut *self.client.log.0.borrow_mut()) {
            let words: Vec<&str> = entry.split(' ').collect();
            match words[..] {
                ["failed:", "connection", "aborted"] => events.push("cancel".to_owned()),
                ["lost:", ..] => events.push("lost".to_owned()),
                ["retry", failures, ..] => events.push(format!("wait {failures}")),
                ["made" | "stopped"] | [_, "connected" | "cancelled" | "failed"] => {
                    events.push(entry);
                }
                _ => {}
            }
        }
        let is_closing = ["stopping", "restarting"].contains(&&*self.client.state());
        if is_closing && !std::mem::replace(&mut self.is_closing, is_closing) {
            events.push("close".to_owned());
        }
        self.is_closing = is_closing;
        let attempts = self.client.script.connections();
        if std::mem::replace(&mut self.attempts, attempts) < attempts {
            events.push("attempt".to_owned());
        }
        events
    }
}

/// A reactor whose first service has ended.
fn idle() -> Client {
    let mut client = Client::new(act);
    client.service.stop(&mut client.reactor);
    client.settle();
    client.log.0.borrow_mut().clear();
    client
}

#[test]
fn twisted_does_the_same_but_for_the_differences() {
    let mut differences = 0;
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (id, prepares) = (case["id"].as_str().unwrap(), case["prepares"].as_bool().unwrap());
        let mut replay = Replay { client: idle(), prepares, attempts: 1, is_closing: false };
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let (name, events) = (step[0].as_str().unwrap(), step[1].as_array().unwrap());
            let recorded: Vec<&str> = events.iter().map(|it| it.as_str().unwrap()).collect();
            replay.step(name);
            let happened = replay.events().join(", ");
            let is_this =
                |it: &&(&str, usize, &str, _, _)| (it.0, it.1, it.2) == (id, number, name);
            match DIFFERENCES.iter().find(is_this) {
                Some((_, _, _, expected, why)) => {
                    differences += 1;
                    assert_eq!(happened, *expected, "{id}, step {number} {name}: {why}");
                    assert_ne!(happened, recorded.join(", "), "{id}, step {number}: no difference");
                }
                None => assert_eq!(happened, recorded.join(", "), "{id}, step {number} {name}"),
            }
        }
    }
    assert_eq!(differences, DIFFERENCES.len());
}
