//! Notifications to the service manager.

use super::*;
use crate::service::ReloadGuard;
use crate::shutdown::ShutdownGuard;
use crate::system_event::{Phase, SystemEvent};

const SECOND: Duration = Duration::from_secs(1);

/// A reactor with a service manager that it notifies.
fn notifying(watchdog: Option<Duration>) -> Fixture {
    let mut fixture = Fixture::new(quiet);
    fixture.script.set_service_manager(watchdog);
    assert!(fixture.reactor.notify_service_manager());
    fixture
}

/// One that has said that it is ready.
fn ready(watchdog: Option<Duration>) -> Fixture {
    let mut fixture = notifying(watchdog);
    fixture.turn();
    fixture.expect_notified(&["READY=1"]);
    fixture
}

impl Fixture {
    #[track_caller]
    fn expect_notified(&self, expected: &[&str]) {
        assert_eq!(self.script.take_notifications(), expected);
    }

    /// Sleeps until something is due, and does it.
    #[track_caller]
    fn sleep(&mut self) -> Duration {
        let before = self.reactor.now();
        assert!(self.reactor.turn(None).unwrap().is_continue());
        self.turn();
        self.reactor.now() - before
    }
}

#[test]
fn without_a_service_manager_nothing_is_sent_and_the_result_says_so() {
    let mut fixture = Fixture::new(quiet);
    assert!(!fixture.reactor.notify_service_manager());
    fixture.reactor.notify_status("idle");
    drop(fixture.reactor.notify_reloading());
    fixture.script.set_service_manager(Some(SECOND));
    fixture.script.invalidate_service_manager();
    assert!(!fixture.reactor.notify_service_manager());
    fixture.turn();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&[]);
}

#[test]
fn ready_comes_once_and_after_all_triggers_of_start_up() {
    let mut fixture = notifying(None);
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()), "a turn is due");
    for phase in [Phase::Before, Phase::During, Phase::After] {
        let script = fixture.script.clone();
        fixture.reactor.add_system_event_trigger(phase, SystemEvent::Startup, move |reactor| {
            assert!(reactor.notify_service_manager(), "again, which changes nothing");
            assert_eq!(script.take_notifications(), [""; 0]);
        });
    }
    fixture.settle();
    fixture.expect_notified(&["READY=1"]);
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_reactor_that_runs_already_is_ready_in_the_next_turn() {
    let mut fixture = Fixture::new(quiet);
    fixture.turn();
    fixture.script.set_service_manager(None);
    assert!(fixture.reactor.notify_service_manager());
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
    fixture.settle();
    fixture.expect_notified(&["READY=1"]);
}

#[test]
fn a_start_up_that_requests_a_stop_is_never_ready() {
    let mut fixture = notifying(None);
    fixture.reactor.call_when_running(Reactor::stop);
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&["STOPPING=1"]);
}

#[test]
fn each_run_is_notified_of_on_its_own() {
    let mut fixture = ready(Some(SECOND));
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&["STOPPING=1"]);
    fixture.settle();
    fixture.expect_notified(&[]);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    assert!(fixture.reactor.notify_service_manager());
    fixture.settle();
    fixture.expect_notified(&["READY=1"]);
    drop(fixture.reactor);
    assert_eq!(fixture.script.take_notifications(), ["STOPPING=1"], "it was dropped");
}

#[test]
fn the_watchdog_hears_from_the_loop_at_half_of_its_time() {
    let mut fixture = ready(Some(3 * SECOND));
    for _ in 0..3 {
        assert_eq!(fixture.sleep(), Duration::from_millis(1500));
        fixture.expect_notified(&["WATCHDOG=1"]);
    }
    // A loop that is late neither makes it up nor hurries.
    fixture.script.advance(60 * SECOND);
    fixture.turn();
    fixture.expect_notified(&["WATCHDOG=1"]);
    assert_eq!(fixture.sleep(), Duration::from_millis(1500));
}

#[test]
fn a_watchdog_without_time_does_not_take_all_of_ours() {
    let mut fixture = ready(Some(Duration::from_micros(1)));
    assert_eq!(fixture.sleep(), Duration::from_millis(1));
}

#[test]
fn a_turn_that_does_not_end_says_nothing() {
    let mut fixture = ready(Some(2 * SECOND));
    let script = fixture.script.clone();
    fixture.reactor.call_later(Duration::ZERO, move |_| {
        script.advance(60 * SECOND);
        assert_eq!(script.take_notifications(), [""; 0]);
    });
    fixture.turn();
}

#[test]
fn a_reload_lasts_until_its_last_guard_is_dropped() {
    const RELOADING: &str = "RELOADING=1\nMONOTONIC_USEC=1234";
    let mut fixture = notifying(None);
    let early = fixture.reactor.notify_reloading();
    fixture.expect_notified(&[]);
    fixture.turn();
    fixture.expect_notified(&["READY=1"]);
    drop(early);
    let guards: [ReloadGuard; 2] = [(); 2].map(|()| fixture.reactor.notify_reloading());
    fixture.expect_notified(&[RELOADING, RELOADING]);
    let [first, second] = guards;
    drop(first);
    fixture.settle();
    fixture.expect_notified(&[]);
    assert_eq!(fixture.reactor.next_deadline(), None);
    std::thread::spawn(move || drop(second)).join().unwrap();
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
    fixture.settle();
    fixture.expect_notified(&["READY=1"]);
}

#[test]
fn a_reload_within_a_callback_of_a_signal_is_over_in_the_same_turn() {
    let mut fixture = ready(None);
    let reload = |reactor: &mut Reactor| drop(reactor.notify_reloading());
    fixture.reactor.on_signal("SIGHUP", reload).unwrap();
    fixture.script.signal("SIGHUP");
    fixture.turn();
    fixture.turn();
    fixture.expect_notified(&["RELOADING=1\nMONOTONIC_USEC=1234", "READY=1"]);
}

#[test]
fn a_stop_ends_a_reload() {
    let mut fixture = ready(None);
    let guard = fixture.reactor.notify_reloading();
    fixture.script.take_notifications();
    let hold = fixture.reactor.hold_shutdown();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.expect_notified(&["STOPPING=1\nEXTEND_TIMEOUT_USEC=6000000"]);
    drop(guard);
    drop(fixture.reactor.notify_reloading());
    fixture.settle();
    fixture.expect_notified(&[]);
    drop(hold);
}

/// Begins a drain that nothing but its deadline ends.
fn drain(fixture: &mut Fixture, deadline: Duration) -> ShutdownGuard {
    let hold = fixture.reactor.hold_shutdown();
    fixture.reactor.stop_gracefully(deadline);
    fixture.turn();
    hold
}

#[test]
fn stopping_comes_before_the_triggers_and_asks_for_the_time_that_the_drain_may_take() {
    let mut fixture = ready(None);
    let script = fixture.script.clone();
    fixture.reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |_| {
        assert_eq!(script.take_notifications(), ["STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000"]);
    });
    let _hold = drain(&mut fixture, 40 * SECOND);
    // Until the deadline, and five seconds more.
    for rest in [30_000_000, 25_000_000, 15_000_000] {
        assert_eq!(fixture.sleep(), 10 * SECOND);
        fixture.expect_notified(&[&format!("EXTEND_TIMEOUT_USEC={rest}")]);
    }
    assert!(fixture.reactor.turn(None).unwrap().is_continue());
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&[]);
}

#[test]
fn a_drain_without_an_end_asks_again_and_again_until_it_has_one() {
    let mut fixture = ready(Some(16 * SECOND));
    let _hold = drain(&mut fixture, Duration::MAX);
    fixture.expect_notified(&["STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000"]);
    assert_eq!([(); 3].map(|()| fixture.sleep()), [8, 2, 6].map(Duration::from_secs));
    fixture.expect_notified(&["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000", "WATCHDOG=1"]);
    fixture.reactor.stop_gracefully(8 * SECOND);
    assert_eq!(fixture.sleep(), 4 * SECOND);
    fixture.expect_notified(&["EXTEND_TIMEOUT_USEC=9000000"]);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
}

#[test]
fn a_plain_stop_asks_for_no_time() {
    let mut fixture = ready(None);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&["STOPPING=1"]);
}

#[test]
fn a_drain_that_is_under_way_is_told_of() {
    let mut fixture = Fixture::new(quiet);
    fixture.turn();
    let _hold = drain(&mut fixture, 5 * SECOND);
    fixture.script.set_service_manager(None);
    assert!(fixture.reactor.notify_service_manager());
    fixture.settle();
    fixture.expect_notified(&["STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000"]);
}

#[test]
fn notifications_without_room_are_sent_again_in_order_and_only_the_last_status() {
    let mut fixture = notifying(Some(SECOND / 2));
    fixture.script.fail_notifications(Some(io::ErrorKind::WouldBlock));
    fixture.reactor.notify_status("starting");
    fixture.turn();
    drop(fixture.reactor.notify_reloading());
    fixture.turn();
    for count in 0..100 {
        fixture.reactor.notify_status(&format!("status {count}"));
    }
    // The watchdog's time comes twice meanwhile.
    for _ in 0..6 {
        assert!(fixture.sleep() <= SECOND / 10);
    }
    fixture.script.fail_notifications(None);
    assert!(fixture.sleep() <= SECOND / 10);
    fixture.expect_notified(&[
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=1234",
        "READY=1",
        "STATUS=status 99",
        "WATCHDOG=1",
    ]);
    // Everything is sent: only the watchdog is left to wait for.
    assert!(fixture.sleep() > SECOND / 10);
}

#[test]
fn a_manager_that_never_has_room_costs_a_bounded_amount_of_memory() {
    let mut fixture = ready(None);
    fixture.script.fail_notifications(Some(io::ErrorKind::WouldBlock));
    for _ in 0..100 {
        drop(fixture.reactor.notify_reloading());
        fixture.turn();
    }
    fixture.script.fail_notifications(None);
    fixture.sleep();
    let heard = fixture.script.take_notifications();
    assert_eq!((heard.len(), heard.last().map(|it| &**it)), (16, Some("READY=1")));
}

#[test]
fn a_manager_that_is_gone_disturbs_nothing() {
    let mut fixture = ready(Some(SECOND));
    fixture.script.fail_notifications(Some(io::ErrorKind::ConnectionRefused));
    fixture.reactor.notify_status("lost, and not sent again");
    assert_eq!(fixture.sleep(), SECOND / 2);
    fixture.script.fail_notifications(None);
    assert_eq!(fixture.sleep(), SECOND / 2);
    fixture.expect_notified(&["WATCHDOG=1"]);
}

#[test]
fn the_last_notifications_are_tried_once_more_at_the_end() {
    let mut fixture = ready(None);
    fixture.script.fail_notifications(Some(io::ErrorKind::WouldBlock));
    fixture.reactor.stop();
    let script = fixture.script.clone();
    fixture.reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, move |_| {
        script.fail_notifications(None);
    });
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_notified(&["STOPPING=1"]);
    fixture.expect_empty();
}
