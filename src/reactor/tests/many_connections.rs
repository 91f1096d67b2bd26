//! Very many timers or triggers: quadratic work would not end in these tests.

use super::*;
use crate::system_event::{Phase, SystemEvent};

/// A number whose square is out of reach.
const MANY: usize = 500_000;

/// Counts drops; some of them panic.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(self.0.get() % 100_000 != 3, "by a drop");
    }
}

#[test]
fn timers_left_at_a_stop_are_dropped_in_linear_time() {
    let mut fixture = Fixture::new(quiet);
    let dropped = Rc::new(Cell::new(0));
    let ids: Vec<TimerId> = (0..MANY)
        .map(|number| {
            let held = Counted(Rc::clone(&dropped));
            let delay = Duration::from_millis(1 + number as u64 % 1000);
            fixture.reactor.call_later(delay, move |_| drop(held))
        })
        .collect();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    assert_eq!((dropped.get(), fixture.reactor.timers.len()), (MANY, 0));
    // A new timer is not mistaken for one of them.
    let next = fixture.reactor.call_later(Duration::from_secs(1), |_| {});
    for id in ids {
        assert!(!fixture.reactor.cancel(id) && fixture.reactor.remaining(id).is_none());
    }
    assert!(fixture.reactor.cancel(next));
}

#[test]
fn triggers_are_removed_in_linear_time() {
    let mut fixture = Fixture::new(quiet);
    let add = |fixture: &mut Fixture, phase| {
        let log = fixture.log.clone();
        let call = move |_: &mut Reactor| log.push(format!("{phase:?}"));
        fixture.reactor.add_system_event_trigger(phase, SystemEvent::Shutdown, call)
    };
    let last = add(&mut fixture, Phase::After);
    let ids: Vec<_> = (0..MANY).map(|_| add(&mut fixture, Phase::During)).collect();
    add(&mut fixture, Phase::During);
    for id in &ids {
        assert!(fixture.reactor.remove_system_event_trigger(*id));
    }
    assert!(ids.iter().all(|id| !fixture.reactor.remove_system_event_trigger(*id)));
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["stopped", "During", "After"]);
    assert!(!fixture.reactor.remove_system_event_trigger(last), "it has fired");
}
