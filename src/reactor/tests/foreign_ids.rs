//! Two reactors of one process: an id of one identifies nothing in the other.

use super::*;
use crate::error::{ConnectError, ListenError};
use crate::system_event::{Phase, SystemEvent};

/// Returns two reactors with equal histories, so that their slots are equal.
fn twins() -> [Fixture; 2] {
    [Fixture::new(quiet), Fixture::new(quiet)]
}

#[test]
fn a_timer_of_another_reactor_is_no_timer() {
    let [mut mine, mut other] = twins();
    let due = mine.reactor.now() + Duration::from_secs(1);
    let fired = Rc::new(Cell::new(0));
    let timers = [&mut mine, &mut other].map(|fixture| {
        let fired = Rc::clone(&fired);
        fixture.reactor.call_at(due, move |_| fired.set(fired.get() + 1))
    });
    assert_ne!(timers[0], timers[1]);
    assert!(!mine.reactor.cancel(timers[1]));
    assert!(!mine.reactor.reset(timers[1], Duration::ZERO));
    assert!(!mine.reactor.reset_at(timers[1], due));
    assert_eq!(mine.reactor.remaining(timers[1]), None);
    mine.turn();
    assert_eq!(fired.get(), 0, "its own is neither gone nor moved");
    assert!(mine.reactor.remaining(timers[0]).is_some());
    assert!(mine.reactor.cancel(timers[0]));
    assert!(other.reactor.remaining(timers[1]).is_some());
}

#[test]
fn a_signal_s_closure_of_another_reactor_is_not_removed() {
    let [mut mine, mut other] = twins();
    let ids = [&mut mine, &mut other].map(|fixture| {
        let log = fixture.log.clone();
        fixture.reactor.on_signal("SIGHUP", move |_| log.push("called")).unwrap()
    });
    assert_ne!(ids[0], ids[1]);
    assert!(!mine.reactor.remove_signal_handler(ids[1]));
    mine.script.signal("SIGHUP");
    mine.settle();
    mine.log.expect(&["called"]);
}

#[test]
fn timer_fired_gets_the_id_that_set_timer_returned() {
    #[derive(Clone, Default)]
    struct Alarmed(Rc<Cell<Option<TimerId>>>);
    impl<F> Protocol<F> for Alarmed {
        fn connection_made(&mut self, cx: &mut Context<'_, F>) {
            self.0.set(Some(cx.set_timer(Duration::ZERO)));
        }

        fn timer_fired(&mut self, _: &mut Context<'_, F>, timer: TimerId) {
            assert_eq!(self.0.take(), Some(timer));
        }
    }
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let alarmed = Alarmed::default();
    let set = Rc::clone(&alarmed.0);
    reactor.listen_tcp(8007, move || alarmed.clone()).unwrap();
    let _peer = script.connect();
    for is_set in [true, false] {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        assert_eq!(set.get().is_some(), is_set);
    }
}

#[test]
fn a_trigger_of_another_reactor_is_no_trigger() {
    let [mut mine, mut other] = twins();
    let triggers = [&mut mine, &mut other].map(|fixture| {
        let log = fixture.log.clone();
        let call = move |_: &mut Reactor| log.push("trigger");
        fixture.reactor.add_system_event_trigger(Phase::After, SystemEvent::Startup, call)
    });
    assert_ne!(triggers[0], triggers[1]);
    assert!(!mine.reactor.remove_system_event_trigger(triggers[1]));
    for fixture in [&mut mine, &mut other] {
        fixture.turn();
        fixture.log.expect(&["trigger"]);
    }
}

#[test]
fn a_connection_of_another_reactor_is_no_connection() {
    let [mut mine, mut other] = twins();
    let _peers = [mine.connect(), other.connect()];
    let ids = [mine.transport(0).id(), other.transport(0).id()];
    assert_eq!(ids[0].to_string(), ids[1].to_string(), "only the reactor tells them apart");
    assert_ne!(ids[0], ids[1]);
    let (port, strange_port) = (mine.port.key(), other.port.key());
    assert!(mine.reactor.with_protocol(port, ids[0], |_, _| ()).is_ok());
    assert!(mine.reactor.with_protocol(port, ids[1], |_, _| ()).is_err());
    assert!(mine.reactor.with_protocol(strange_port, ids[0], |_, _| ()).is_err());
    assert!(mine.reactor.with_protocol(strange_port, ids[1], |_, _| ()).is_err());
}

#[test]
fn a_factory_of_another_reactor_is_no_factory() {
    let [mut mine, other] = twins();
    let strange = &other.port;
    assert!(mine.reactor.with_factory(strange, |_, _| ()).is_err());
    assert!(!mine.reactor.stop_listening(strange));
    assert!(!mine.reactor.set_limits(strange, crate::limits::ConnectionLimits::new()));
    assert!(!mine.reactor.set_timeouts(strange, crate::limits::Timeouts::new()));
    assert!(!mine.reactor.set_rate_limits(strange, crate::limits::RateLimits::new()));
    assert!(!mine.reactor.set_shared_rate_limits(strange, crate::limits::RateLimits::new()));
    assert_eq!(mine.reactor.rejections(strange), None);
    let listened = mine.reactor.listen_tcp(8008, strange);
    assert!(matches!(listened, Err(ListenError::NoFactory { .. })), "{listened:?}");
    let dialled = mine.reactor.connect_tcp(([127, 0, 0, 1], 8008), strange);
    assert!(matches!(dialled, Err(ConnectError::NoFactory { .. })), "{dialled:?}");
    let own = mine.port;
    assert!(mine.reactor.with_factory(&own, |_, _| ()).is_ok(), "its own is still there");
}

#[test]
fn a_hold_holds_its_own_reactor_only() {
    let [mut mine, mut other] = twins();
    let _strange = other.reactor.hold_shutdown();
    mine.reactor.stop_gracefully(Duration::from_secs(5));
    assert!(mine.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    other.reactor.stop_gracefully(Duration::from_secs(5));
    assert!(other.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
}

#[test]
fn a_transport_of_another_reactor_gets_no_timer() {
    let [mut mine, mut other] = twins();
    let _peers = [mine.connect(), other.connect()];
    let theirs = other.transport(0);
    assert_eq!(mine.transport(0).id().slot, theirs.id().slot);
    let timer = mine.reactor.set_timer(&theirs, Duration::ZERO);
    assert_eq!(mine.reactor.remaining(timer), None);
    mine.turn();
    mine.log.expect(&["0 made"]);
}
