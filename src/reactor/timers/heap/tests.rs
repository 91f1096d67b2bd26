use super::*;
use crate::testing::Random;
use std::time::Duration;

/// Actions of this value or more repeat; the excess over it is the period, in milliseconds.
const REPEATS: u64 = 1 << 32;

impl Action for u64 {
    fn period(&self) -> Option<u64> {
        self.checked_sub(REPEATS).map(|period| period * 1_000_000)
    }

    fn tick(count: u64) -> Self {
        count
    }
}

fn drain(timers: &mut Timers<u64>, now: Instant) -> Vec<u64> {
    let mark = timers.mark();
    std::iter::from_fn(|| timers.pop(now, mark)).map(|(_, action)| action).collect()
}

#[test]
fn equal_deadlines_come_in_the_order_in_which_they_were_set() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for action in 0..100 {
        timers.set(start, action);
    }
    assert_eq!(drain(&mut timers, start), (0..100).collect::<Vec<_>>());
}

#[test]
fn actions_set_after_the_mark_wait() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    timers.set(start, 1);
    let mark = timers.mark();
    timers.set(start, 2);
    assert_eq!(timers.pop(start, mark).map(|(_, action)| action), Some(1));
    assert_eq!(timers.pop(start, mark).map(|(_, action)| action), None);
    assert_eq!(drain(&mut timers, start), [2]);
}

#[test]
fn a_reset_moves_an_action_behind_equal_deadlines() {
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let mut timers = Timers::new(start);
    let first = timers.set(start, 1);
    timers.set(later, 2);
    assert!(timers.reset(first, later));
    assert_eq!(timers.due(first), Some(later));
    assert_eq!(timers.next(), Some(later));
    assert_eq!(drain(&mut timers, later), [2, 1]);
    assert!(!timers.reset(first, later));
}

/// Reference implementation: a sorted list.
#[derive(Default)]
struct Model {
    /// Deadline, age, action and id of each.
    actions: Vec<(Instant, u64, u64, Id)>,
    age: u64,
    set: u64,
}

impl Model {
    /// Sets, cancels or resets an action, in both implementations.
    fn step(&mut self, timers: &mut Timers<u64>, random: &mut Random, due: Instant) {
        self.age += 1;
        let count = self.actions.len();
        match random.below(4) {
            2 if count > 0 => {
                let (.., action, id) = self.actions.swap_remove(random.below(count));
                assert_eq!(timers.cancel(id), Some(action));
                assert_eq!(timers.cancel(id), None);
            }
            3 if count > 0 => {
                let at = random.below(count);
                (self.actions[at].0, self.actions[at].1) = (due, self.age);
                assert!(timers.reset(self.actions[at].3, due));
            }
            _ => {
                self.set += 1;
                self.actions.push((due, self.age, self.set, timers.set(due, self.set)));
            }
        }
    }

    fn pop(&mut self, now: Instant, mark: u64) -> Option<u64> {
        let due =
            |&(_, &(due, age, ..)): &(usize, &(Instant, u64, u64, Id))| due <= now && age <= mark;
        let actions = self.actions.iter().enumerate().filter(due);
        let (at, _) = actions.min_by_key(|&(_, &(due, age, ..))| (due, age))?;
        Some(self.actions.swap_remove(at).2)
    }
}

#[test]
fn random_operations_fire_in_the_order_of_a_sorted_list() {
    let start = Instant::now();
    for (seed, spread) in [(7, 500), (8, 50), (9, 3)] {
        let (mut random, mut timers) = (Random::new(seed), Timers::new(start));
        let mut model = Model::default();
        for round in 0..60 {
            let begin = start + Duration::from_millis(round * spread / 4);
            for _ in 0..random.below(200) {
                let due = begin + Duration::from_millis(random.below_u64(spread));
                model.step(&mut timers, &mut random, due);
            }
            let now = begin + Duration::from_millis(random.below_u64(spread));
            let (mark, age) = (timers.mark(), model.age);
            loop {
                let popped = timers.pop(now, mark).map(|(_, action)| action);
                assert_eq!(popped, model.pop(now, age), "seed {seed}, round {round}");
                if popped.is_none() {
                    break;
                }
                let due = begin + Duration::from_millis(random.below_u64(spread));
                model.step(&mut timers, &mut random, due);
            }
            assert_eq!(timers.next(), model.actions.iter().map(|action| action.0).min());
            assert_eq!(timers.len(), model.actions.len());
        }
    }
}

#[test]
fn actions_due_together_can_still_be_cancelled_and_reset() {
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let mut timers = Timers::new(start);
    let ids: Vec<Id> = (0..1000).map(|action| timers.set(start, action)).collect();
    let mark = timers.mark();
    assert_eq!(timers.pop(start, mark).map(|(_, action)| action), Some(0));
    assert_eq!(timers.next(), Some(start), "the others are still due");
    assert_eq!(timers.cancel(ids[1]), Some(1));
    assert!(timers.reset(ids[2], later) && timers.reset(ids[3], start));
    let rest: Vec<u64> =
        std::iter::from_fn(|| timers.pop(start, mark)).map(|(_, action)| action).collect();
    assert_eq!(rest, (4..1000).collect::<Vec<_>>());
    assert!(timers.due.capacity() <= DUE_KEPT);
    assert_eq!(drain(&mut timers, later), [3, 2]);
}

#[test]
fn resetting_back_and_forth_does_not_grow_the_heap() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let id = timers.set(start, 1);
    for round in 0..10_000 {
        assert!(timers.reset(id, start + Duration::from_secs(round % 2)));
    }
    assert!(timers.heap.len() <= 2 * STALE_MIN, "{}", timers.heap.len());
    assert_eq!(drain(&mut timers, start + Duration::from_secs(1)), [1]);
    assert_eq!((timers.len(), timers.next()), (0, None));
}

#[test]
fn cancelled_actions_leave_no_memory_behind() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let ids: Vec<Id> = (0..10_000).map(|action| timers.set(start, action)).collect();
    for id in ids {
        timers.cancel(id);
    }
    assert_eq!((timers.len(), timers.entries.len()), (0, 0));
    assert!(timers.heap.capacity() <= 8 * STALE_MIN);
}

#[test]
fn a_burst_that_fires_one_by_one_leaves_no_memory_behind() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for action in 0..10_000 {
        timers.set(start + Duration::from_millis(action), action);
    }
    for action in 0..10_000 {
        assert_eq!(drain(&mut timers, start + Duration::from_millis(action)), [action]);
    }
    assert!(timers.heap.capacity() <= 8 * STALE_MIN, "{}", timers.heap.capacity());
}

#[test]
fn a_long_list_of_due_actions_is_freed() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for action in 0..5000 {
        timers.set(start, action);
    }
    assert_eq!(drain(&mut timers, start).len(), 5000);
    assert_eq!(timers.due.capacity(), 0);
}

#[test]
fn pushing_a_deadline_back_adds_no_node() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let id = timers.set(start, 1);
    for seconds in 0..10 {
        assert!(timers.reset(id, start + Duration::from_secs(seconds)));
    }
    assert_eq!(timers.heap.len(), 1);
}

#[test]
fn an_action_that_repeats_keeps_to_its_grid_and_counts_what_it_missed() {
    let (start, mut random) = (Instant::now(), Random::new(1));
    for period in [1, 7, 1000] {
        let mut timers = Timers::new(start);
        let first = random.below_u64(2000);
        let id = timers.set(start + Duration::from_millis(first), REPEATS + period);
        let (mut now, mut ticks) = (0, 0);
        for _ in 0..1000 {
            now += random.below_u64(3 * period);
            ticks += drain(&mut timers, start + Duration::from_millis(now)).iter().sum::<u64>();
            let expected = if now < first { 0 } else { (now - first) / period + 1 };
            assert_eq!(ticks, expected, "at {now}, every {period} from {first}");
            let next = start + Duration::from_millis(first + ticks * period);
            assert_eq!((timers.next(), timers.due(id)), (Some(next), Some(next)));
        }
        assert_eq!(timers.cancel(id), Some(REPEATS + period));
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }
}

#[test]
fn an_action_without_a_period_comes_once_for_each_mark() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    timers.set(start, REPEATS);
    for seconds in [0, 0, 60, 60] {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(drain(&mut timers, now), [1]);
        assert_eq!(timers.next(), Some(now), "it is due at once");
    }
}
