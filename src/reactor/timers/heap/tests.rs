use super::*;
use crate::testing::Random;
use std::time::Duration;

fn drain(timers: &mut Timers<u64>, now: Instant) -> Vec<u64> {
    let mark = timers.mark();
    std::iter::from_fn(|| timers.pop(now, mark)).map(|(_, job)| job).collect()
}

#[test]
fn equal_deadlines_come_in_the_order_in_which_they_were_set() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for job in 0..100 {
        timers.set(start, job);
    }
    assert_eq!(drain(&mut timers, start), (0..100).collect::<Vec<_>>());
}

#[test]
fn what_is_set_after_the_mark_waits() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    timers.set(start, 1);
    let mark = timers.mark();
    timers.set(start, 2);
    assert_eq!(timers.pop(start, mark).map(|(_, job)| job), Some(1));
    assert_eq!(timers.pop(start, mark).map(|(_, job)| job), None);
    assert_eq!(drain(&mut timers, start), [2]);
}

#[test]
fn a_reset_counts_as_being_set_anew() {
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

/// What the list should do: a sorted list.
#[derive(Default)]
struct Model {
    /// Deadline, age, job.
    jobs: Vec<(Instant, u64, u64, Id)>,
    age: u64,
    set: u64,
}

impl Model {
    /// Sets, cancels or resets something, here and there.
    fn step(&mut self, timers: &mut Timers<u64>, random: &mut Random, due: Instant) {
        self.age += 1;
        let count = self.jobs.len();
        match random.below(4) {
            2 if count > 0 => {
                let (.., job, id) = self.jobs.swap_remove(random.below(count));
                assert_eq!(timers.cancel(id), Some(job));
                assert_eq!(timers.cancel(id), None);
            }
            3 if count > 0 => {
                let at = random.below(count);
                (self.jobs[at].0, self.jobs[at].1) = (due, self.age);
                assert!(timers.reset(self.jobs[at].3, due));
            }
            _ => {
                self.set += 1;
                self.jobs.push((due, self.age, self.set, timers.set(due, self.set)));
            }
        }
    }

    fn pop(&mut self, now: Instant, mark: u64) -> Option<u64> {
        let due =
            |&(_, &(due, age, ..)): &(usize, &(Instant, u64, u64, Id))| due <= now && age <= mark;
        let jobs = self.jobs.iter().enumerate().filter(due);
        let (at, _) = jobs.min_by_key(|&(_, &(due, age, ..))| (due, age))?;
        Some(self.jobs.swap_remove(at).2)
    }
}

#[test]
fn any_walk_fires_like_a_sorted_list_whatever_those_that_fire_do() {
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
                let popped = timers.pop(now, mark).map(|(_, job)| job);
                assert_eq!(popped, model.pop(now, age), "seed {seed}, round {round}");
                if popped.is_none() {
                    break;
                }
                let due = begin + Duration::from_millis(random.below_u64(spread));
                model.step(&mut timers, &mut random, due);
            }
            assert_eq!(timers.next(), model.jobs.iter().map(|job| job.0).min());
            assert_eq!(timers.len(), model.jobs.len());
        }
    }
}

#[test]
fn what_is_due_together_can_still_be_cancelled_and_reset() {
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let mut timers = Timers::new(start);
    let ids: Vec<Id> = (0..1000).map(|job| timers.set(start, job)).collect();
    let mark = timers.mark();
    assert_eq!(timers.pop(start, mark).map(|(_, job)| job), Some(0));
    assert_eq!(timers.next(), Some(start), "the others are still due");
    assert_eq!(timers.cancel(ids[1]), Some(1));
    assert!(timers.reset(ids[2], later) && timers.reset(ids[3], start));
    let rest: Vec<u64> =
        std::iter::from_fn(|| timers.pop(start, mark)).map(|(_, job)| job).collect();
    assert_eq!(rest, (4..1000).collect::<Vec<_>>());
    assert!(timers.due.capacity() <= DUE_KEPT);
    assert_eq!(drain(&mut timers, later), [3, 2]);
}

#[test]
fn resetting_to_and_fro_does_not_grow_the_list() {
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
fn cancelled_jobs_leave_nothing_behind() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let ids: Vec<Id> = (0..10_000).map(|job| timers.set(start, job)).collect();
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
    for job in 0..10_000 {
        timers.set(start + Duration::from_millis(job), job);
    }
    for job in 0..10_000 {
        assert_eq!(drain(&mut timers, start + Duration::from_millis(job)), [job]);
    }
    assert!(timers.heap.capacity() <= 8 * STALE_MIN, "{}", timers.heap.capacity());
}

#[test]
fn a_list_of_many_that_are_due_together_is_freed() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for job in 0..5000 {
        timers.set(start, job);
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
