//! The machine of a client service: every event in every state, and how delays grow and shrink.

use super::machine::{Action, Event, Machine};
use super::{Backoff, RetryPolicy, ServiceState};
use crate::random::SplitMix64;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A service, its clock, and the number of its latest attempt.
struct Service {
    machine: Machine<u32>,
    now: Instant,
    attempt: u32,
}

impl Service {
    fn new(stable_after: Option<Duration>, prepare_timeout: Option<Duration>) -> Self {
        let machine = Machine::new(stable_after, prepare_timeout);
        let mut service = Self { machine, now: Instant::now(), attempt: 0 };
        service.begin();
        service
    }

    fn begin(&mut self) {
        self.attempt += 1;
        self.machine.began(self.attempt);
    }

    /// Handles an event, with a delay of a second for each failure, and begins an attempt if that
    /// is next.
    fn handle(&mut self, event: Event) -> Action<u32> {
        let action = self.machine.handle(event, self.now, |failures| SECOND * failures);
        if action == Action::Connect {
            self.begin();
        }
        action
    }

    fn state(&self) -> String {
        self.machine.state().to_string()
    }
}

const EVENTS: [Event; 9] = [
    Event::Established,
    Event::Made,
    Event::Prepared,
    Event::Over,
    Event::Due,
    Event::Stop,
    Event::Abort,
    Event::Restart,
    Event::Leave,
];

/// Returns a service in a state, with the deadline of that state passed.
fn in_state(state: &str) -> Service {
    let prepares = matches!(state, "preparing" | "connected after it was prepared");
    let mut service = Service::new(None, prepares.then_some(SECOND * 5));
    let events: &[Event] = match state {
        "connecting" => &[],
        "connecting, and being made" => &[Event::Established],
        "preparing" => &[Event::Established],
        "connected" => &[Event::Established, Event::Made],
        "connected after it was prepared" => &[Event::Established, Event::Prepared],
        "waiting" => &[Event::Over],
        "stopping" => &[Event::Established, Event::Made, Event::Stop],
        "restarting" => &[Event::Established, Event::Made, Event::Restart],
        "stopped" => &[Event::Stop, Event::Over],
        _ => panic!("{state} is no state"),
    };
    for event in events {
        service.handle(*event);
    }
    assert!(state.starts_with(&service.state()), "{state}");
    service.now += SECOND * 5;
    service
}

/// What each event does in each state: the action, and the state after it. Left out is what does
/// nothing.
const TABLE: &str = "
connecting Over -> Retry { is_failure: true, failures: 1, delay: 1s }, waiting
connecting Stop -> Abort(1), stopping
connecting Abort -> Abort(1), stopping
connecting Leave -> Nothing, stopping
connecting, and being made Made -> Announce, connected
connecting, and being made Over -> Retry { is_failure: true, failures: 1, delay: 1s }, waiting
connecting, and being made Stop -> Close(1), stopping
connecting, and being made Abort -> Abort(1), stopping
connecting, and being made Restart -> Close(1), restarting
connecting, and being made Leave -> Nothing, stopping
preparing Prepared -> Announce, connected
preparing Over -> Retry { is_failure: true, failures: 1, delay: 1s }, waiting
preparing Due -> TimeOut(1), preparing
preparing Stop -> Close(1), stopping
preparing Abort -> Abort(1), stopping
preparing Restart -> Close(1), restarting
preparing Leave -> Nothing, stopping
connected Over -> Retry { is_failure: false, failures: 1, delay: 1s }, waiting
connected Stop -> Close(1), stopping
connected Abort -> Abort(1), stopping
connected Restart -> Close(1), restarting
connected Leave -> Nothing, stopping
connected after it was prepared Over -> Retry { is_failure: false, failures: 1, delay: 1s }, waiting
connected after it was prepared Stop -> Close(1), stopping
connected after it was prepared Abort -> Abort(1), stopping
connected after it was prepared Restart -> Close(1), restarting
connected after it was prepared Leave -> Nothing, stopping
waiting Due -> Connect, connecting
waiting Stop -> End, stopped
waiting Abort -> End, stopped
waiting Restart -> Connect, connecting
waiting Leave -> End, stopped
stopping Over -> End, stopped
stopping Stop -> Close(1), stopping
stopping Abort -> Abort(1), stopping
stopping Restart -> Nothing, restarting
restarting Over -> Connect, connecting
restarting Stop -> Close(1), stopping
restarting Abort -> Abort(1), stopping
restarting Leave -> Nothing, stopping
";

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let states = [
        "connecting",
        "connecting, and being made",
        "preparing",
        "connected",
        "connected after it was prepared",
        "waiting",
        "stopping",
        "restarting",
        "stopped",
    ];
    let mut table = String::from("\n");
    for state in states {
        for event in EVENTS {
            let mut service = in_state(state);
            let before = service.state();
            let action = service.handle(event);
            let after = service.state();
            if action != Action::Nothing || after != before {
                table.push_str(&format!("{state} {event:?} -> {action:?}, {after}\n"));
            }
            let has_deadline = ["preparing", "waiting"].contains(&&*after);
            assert_eq!(service.machine.deadline().is_some(), has_deadline, "{state} {event:?}");
            assert_eq!(service.machine.connected().is_some(), after == "connected");
            assert_eq!(service.machine.preparing().is_some(), after == "preparing");
        }
    }
    assert_eq!(table, TABLE);
}

#[test]
fn a_deadline_that_has_not_passed_does_nothing() {
    for state in ["preparing", "waiting"] {
        let mut service = in_state(state);
        service.now = service.machine.deadline().unwrap() - Duration::from_nanos(1);
        assert_eq!(service.handle(Event::Due), Action::Nothing);
        service.now += Duration::from_nanos(1);
        assert_ne!(service.handle(Event::Due), Action::Nothing);
    }
}

/// Connects, and loses the connection after `lived`; returns the delay that follows.
fn lose_after(service: &mut Service, lived: Duration) -> Duration {
    if let Some(deadline) = service.machine.deadline() {
        service.now = deadline;
        assert_eq!(service.handle(Event::Due), Action::Connect);
    }
    service.handle(Event::Established);
    assert_eq!(service.handle(Event::Made), Action::Announce);
    service.now += lived;
    match service.handle(Event::Over) {
        Action::Retry { is_failure: false, delay, .. } => delay,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_accepts_and_closes_is_asked_ever_more_rarely() {
    let mut service = Service::new(None, None);
    let delays = (0..5).map(|_| lose_after(&mut service, Duration::from_millis(3)));
    assert_eq!(delays.collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(|n| SECOND * n));
    // A life as long as the delay before it ends that.
    assert_eq!(lose_after(&mut service, SECOND * 5 - Duration::from_nanos(1)), SECOND * 6);
    assert_eq!(lose_after(&mut service, SECOND * 6), SECOND);
    assert_eq!(service.machine.failures(), 1);
}

#[test]
fn a_connection_is_stable_after_the_time_that_is_set() {
    let mut service = Service::new(Some(SECOND * 60), None);
    let delays = [1, 2, 59].map(|lived| lose_after(&mut service, SECOND * lived));
    assert_eq!(delays, [1, 2, 3].map(|n| SECOND * n));
    assert_eq!(lose_after(&mut service, SECOND * 60), SECOND);
    let mut service = Service::new(Some(Duration::ZERO), None);
    let delays = [0, 0, 0].map(|_| lose_after(&mut service, Duration::ZERO));
    assert_eq!(delays, [SECOND; 3], "as Twisted's services");
}

#[test]
fn the_life_of_a_prepared_connection_begins_when_it_is_prepared() {
    let mut service = Service::new(None, Some(SECOND * 10));
    service.handle(Event::Over);
    service.now += SECOND;
    service.handle(Event::Due);
    service.handle(Event::Established);
    assert_eq!(service.handle(Event::Made), Action::Nothing);
    service.now += SECOND * 9;
    assert_eq!(service.handle(Event::Prepared), Action::Announce);
    let expected = Action::Retry { is_failure: false, failures: 2, delay: SECOND * 2 };
    assert_eq!(service.handle(Event::Over), expected);
}

#[test]
fn a_restart_forgets_the_failures() {
    let mut service = Service::new(None, None);
    for _ in 0..3 {
        service.handle(Event::Over);
        service.now += SECOND * 10;
        service.handle(Event::Due);
    }
    service.handle(Event::Over);
    assert_eq!(service.machine.failures(), 4);
    assert_eq!(service.handle(Event::Restart), Action::Connect);
    assert_eq!(service.machine.failures(), 0);
}

#[test]
fn the_longest_delay_is_one_that_the_clock_knows() {
    let mut machine: Machine<u32> = Machine::new(None, Some(Duration::MAX));
    machine.began(1);
    let now = Instant::now();
    machine.handle(Event::Established, now, |_| Duration::MAX);
    assert!(machine.deadline().unwrap() > now + SECOND * 1_000_000);
    machine.handle(Event::Over, now, |_| Duration::MAX);
    let ServiceState::Waiting { until } = machine.state() else { panic!("it waits") };
    assert!(until > now + SECOND * 1_000_000);
}

/// A thousand clients whose server goes away and stays away for ten minutes.
#[test]
fn a_thousand_services_spread_out() {
    let mut backoff = Backoff::new().maximum(SECOND * 20);
    let (mut in_second, mut first_second) = ([0_usize; 600], [0_usize; 10]);
    for seed in 0..1000 {
        let mut random = SplitMix64(seed);
        let (mut at, mut failures) = (Duration::ZERO, 0);
        loop {
            failures += 1;
            let delay = backoff.delay(failures, random.fraction());
            assert!(delay <= SECOND * 20);
            at += delay;
            if failures == 1 {
                first_second[(at.as_millis() / 100).min(9) as usize] += 1;
            }
            match in_second.get_mut(at.as_secs() as usize) {
                Some(count) => *count += 1,
                None => break,
            }
        }
    }
    assert!(first_second[5..].iter().all(|count| (140..260).contains(count)), "{first_second:?}");
    // Later a second sees about a fifteenth of them, and no second most of them.
    let (least, most) = (in_second[60..].iter().min(), in_second[60..].iter().max());
    assert!(least > Some(&30) && most < Some(&120), "{least:?} {most:?}");
}
