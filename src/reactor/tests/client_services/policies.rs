//! Delays: a policy of the user's, and jitter from the reactor's own numbers.

use super::*;

#[test]
fn a_closure_is_a_policy() {
    let told: Rc<RefCell<Vec<u32>>> = Rc::default();
    let policy_told = Rc::clone(&told);
    let policy = move |failures: u32, random: f64| {
        assert!((0.0..1.0).contains(&random));
        policy_told.borrow_mut().push(failures);
        SECOND * 10
    };
    let mut client = Client::with(address(), nothing, |service| service.retry(policy));
    client.refuse(1, 10);
    client.advance(SECOND * 10);
    client.refuse(2, 10);
    assert_eq!(*told.borrow(), [1, 2]);
}

#[test]
fn a_delay_of_zero_begins_the_attempt_in_the_next_turn() {
    let policy = |_: u32, _: f64| Duration::ZERO;
    let mut client = Client::with(address(), nothing, |service| service.retry(policy));
    assert!(client.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    for attempt in 1..5 {
        assert_eq!(client.script.connections(), attempt);
        client.server().refuse();
        assert!(client.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        let retry = format!("retry {attempt} in 0ns");
        client.log.expect(&["failed: connection refused", &retry]);
        assert_eq!(client.script.connections(), attempt);
        assert!(client.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
}

#[test]
fn a_policy_that_panics_is_replaced_for_once() {
    let policy = |failures: u32, _: f64| -> Duration {
        assert!(failures != 1, "a panic");
        SECOND * 7
    };
    let mut client = Client::with(address(), nothing, |service| service.retry(policy));
    client.server().refuse();
    client.settle();
    let ServiceState::Waiting { until } = client.service.state(&client.reactor) else {
        panic!("it waits")
    };
    let delay = until - client.reactor.now();
    assert!(delay > SECOND / 2 && delay <= SECOND, "{delay:?}");
    client.advance(SECOND);
    client.log.0.borrow_mut().clear();
    client.refuse(2, 7);
}

#[test]
fn the_longest_delay_is_cut() {
    let policy = |_: u32, _: f64| Duration::MAX;
    let mut client = Client::with(address(), nothing, |service| service.retry(policy));
    client.server().refuse();
    client.settle();
    client.advance(SECOND * 1_000_000);
    assert_eq!(client.state(), "waiting");
    client.service.stop(&mut client.reactor);
    client.settle();
    client.log.0.borrow_mut().clear();
    client.expect_ended();
}

#[test]
fn two_services_of_one_reactor_have_delays_of_their_own() {
    let mut client = Client::with(address(), nothing, |service| service.retry(Backoff::new()));
    let key = client.service.factory_key();
    let other = ClientService::new(address(), key).start(&mut client.reactor).unwrap();
    client.server().refuse();
    client.settle();
    client.service.abort(&mut client.reactor);
    let again = ClientService::new(address(), key).start(&mut client.reactor).unwrap();
    client.server().refuse();
    client.settle();
    let until = |service: ServiceKey<Dialler>| match service.state(&client.reactor) {
        ServiceState::Waiting { until } => until - client.reactor.now(),
        other => panic!("{other}"),
    };
    let delays = [until(other), until(again)];
    assert_ne!(delays[0], delays[1]);
    assert!(delays.iter().all(|delay| *delay > SECOND / 2 && *delay <= SECOND), "{delays:?}");
}
