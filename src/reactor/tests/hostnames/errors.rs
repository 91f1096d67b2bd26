//! What a factory hears of attempts that have failed, and what it may do then.

use super::*;
use crate::error::{AttemptErrors, ResolveError};

/// Keeps the error of each attempt, and tries again while it has tries left.
struct Stubborn {
    host: &'static str,
    log: Log,
    tries: usize,
    key: Option<FactoryKey<Self>>,
}

struct Nobody;

impl Protocol<Stubborn> for Nobody {}

impl Factory for Stubborn {
    type Protocol = Nobody;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Nobody> {
        self.log.push("built");
        Some(Nobody)
    }

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let inner = error.get_ref().expect("an error of this library");
        let what = if inner.is::<AttemptErrors>() {
            "attempts"
        } else if inner.is::<ResolveError>() {
            "name"
        } else {
            "neither"
        };
        self.log.push(format!("{}: {what}: {error}", to.peer_address()));
        if self.tries > 0 {
            self.tries -= 1;
            let endpoint = HostnameEndpoint::new(self.host, 80).unwrap();
            endpoint.connect(reactor, self.key.unwrap()).unwrap();
            self.log.push("begun");
        }
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.log.push("started");
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stopped");
    }
}

#[test]
fn a_factory_may_connect_again_when_an_attempt_has_failed() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    let stubborn = Stubborn { host: "db.example", log, tries: 2, key: None };
    let key = host().connect(&mut fixture.reactor, stubborn).unwrap().key();
    fixture.reactor.with_factory(key, |stubborn, _| stubborn.key = Some(key)).unwrap();
    fixture.log.expect(&["started"]);
    fixture.script.resolve(Err(io::ErrorKind::Other));
    fixture.settle();
    let unresolved = "db.example:80: name: cannot resolve db.example: other error";
    fixture.log.expect(&[unresolved, "begun"]);
    fixture.script.resolve(addresses(&[V6, V4]));
    fixture.settle();
    fixture.script.dialled().refuse();
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.script.dialled().refuse();
    fixture.settle();
    let refused =
        format!("db.example:80: attempts: {V6}: connection refused; {V4}: connection refused");
    fixture.log.expect(&[&refused, "begun"]);
    fixture.script.resolve(addresses(&[V4]));
    fixture.settle();
    fixture.script.dialled().refuse();
    fixture.settle();
    let refused = format!("db.example:80: attempts: {V4}: connection refused");
    fixture.log.expect(&[&refused, "stopped"]);
    assert_eq!(fixture.reactor.connections.len(), 0);
}

#[test]
fn a_timeout_says_how_far_the_attempt_was() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    let stubborn = Stubborn { host: "db.example", log, tries: 0, key: None };
    let key = host().connect(&mut fixture.reactor, stubborn).unwrap().key();
    host().connect(&mut fixture.reactor, key).unwrap();
    fixture.script.resolve(addresses(&[V6, V4]));
    fixture.settle();
    fixture.script.dialled().refuse();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(5));
    fixture.settle();
    let unanswered = format!(
        "db.example:80: attempts: {V6}: connection refused; {V4}: no answer within the timeout"
    );
    let unresolved = "db.example:80: name: cannot resolve db.example: the resolver has not \
                      answered within the timeout";
    fixture.log.expect(&["started", &unanswered, unresolved, "stopped"]);
}
