//! Connections that count only when their protocols say so.

use super::*;

const TIMED_OUT: &str = "lost: handshake timeout";

/// Is prepared by "ok", and loses its connection by "no".
fn log_in(what: &str, transport: &Transport, reactor: &mut Reactor) {
    match what {
        "ok" => assert!(reactor.set_prepared(transport)),
        "no" => transport.lose_connection(),
        _ => {}
    }
}

fn client(act: Act) -> Client {
    Client::with(address(), act, |service| service.prepared_by_protocol(SECOND * 3))
}

#[test]
fn a_connection_counts_when_it_is_prepared() {
    let mut client = client(log_in);
    let server = client.accept();
    assert_eq!(client.state(), "preparing");
    assert_eq!(client.service.transport(&client.reactor), None);
    server.send("ok");
    client.expect(&["ok"]);
    assert_eq!(client.state(), "connected");
    assert!(client.service.transport(&client.reactor).is_some());
    // Its time is over, and it is not.
    client.advance(SECOND * 60);
    assert_eq!(client.state(), "connected");
    let transport = client.service.transport(&client.reactor).unwrap();
    assert!(!client.reactor.set_prepared(&transport), "once is enough");
    assert_eq!(client.reactor.timers.len(), 0);
}

#[test]
fn a_server_that_refuses_the_login_is_asked_ever_more_rarely() {
    let mut client = client(log_in);
    for (failures, delay) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let server = client.accept();
        // However long it takes for that.
        client.advance(SECOND * 2);
        server.send("no");
        let retry = format!("retry {failures} in {:?}", SECOND * delay);
        client.expect(&["no", DONE, &retry]);
        client.advance(SECOND * delay);
    }
    let server = client.accept();
    server.close();
    client.expect(&[DONE, "retry 5 in 16s"]);
    client.service.stop(&mut client.reactor);
    client.expect(&["stopped", "dropped"]);
    client.expect_ended();
}

#[test]
fn a_connection_that_is_not_prepared_in_time_is_ended() {
    let mut client = client(log_in);
    let server = client.accept();
    client.advance(SECOND * 3 - Duration::from_nanos(1));
    client.log.expect(&[]);
    client.advance(Duration::from_nanos(1));
    client.expect(&[TIMED_OUT, "retry 1 in 1s"]);
    server.send("ok");
    client.expect(&[]);
    client.advance(SECOND);
    client.accept();
}

#[test]
fn an_answer_that_came_in_time_counts_though_the_loop_is_late() {
    let mut client = client(log_in);
    let server = client.accept();
    client.script.limit_events(0);
    server.send("ok");
    client.script.advance(SECOND * 3600);
    client.expect(&["ok"]);
    assert_eq!(client.state(), "connected");
}

#[test]
fn a_connection_may_be_prepared_in_its_first_callback() {
    let mut client = client(|what, transport, reactor| {
        if what == "made" {
            assert!(reactor.set_prepared(transport));
            assert!(!reactor.set_prepared(transport));
        }
    });
    client.accept();
    assert_eq!((client.state().as_str(), client.reactor.timers.len()), ("connected", 0));
}

#[test]
fn a_connection_that_is_lost_in_its_first_callback_was_none() {
    let mut client = Client::new(|what, transport, _| {
        if what == "made" {
            transport.lose_connection();
        }
    });
    client.server().answer();
    client.expect(&["built", "made", DONE, "retry 1 in 1s"]);
    client.advance(SECOND);
    client.server().answer();
    client.expect(&["built", "made", DONE, "retry 2 in 2s"]);
}

#[test]
fn nothing_is_prepared_that_is_not_to_be() {
    let mut client = Client::new(nothing);
    client.accept();
    let transport = client.service.transport(&client.reactor).unwrap();
    assert!(!client.reactor.set_prepared(&transport), "its service does not ask for it");
    let plain = address().connect(&mut client.reactor, client.service.factory_key()).unwrap();
    assert!(!client.reactor.set_prepared(plain.transport()), "it has no service");
    // A lost connection.
    let mut client = self::client(|what, transport, reactor| {
        if what == DONE {
            assert!(!reactor.set_prepared(transport));
        }
    });
    client.accept().close();
    client.expect(&[DONE, "retry 1 in 1s"]);
    assert_eq!(client.state(), "waiting");
}
