//! Instruction counts of timers; see `src/instruction_counts/`.
//!
//! Work that one operation leaves for later is counted in another entry: that of [`set`] in
//! [`cancel`] and [`fire`], that of [`push_back`] in [`idle_timeouts`].

use super::timers::TimerAction;
use super::timers::Timers;
use crate::arena::Id;
use crate::instruction_counts::{beginning, rounds};
use std::time::{Duration, Instant};

/// All timers are set to be due within this time.
const SPAN: Duration = Duration::from_secs(60);

/// A round operates on one of this many timers. Over all rounds each timer is operated on several
/// times, so that occasional sweeps are counted too.
const PART: u32 = 25;

/// Timers that are due at random.
struct Fixture {
    timers: Timers<TimerAction>,
    /// All timers that are set, and some that no longer are.
    ids: Vec<Id>,
    established: usize,
    now: Instant,
    random: u64,
}

impl Fixture {
    fn new(established: usize) -> Self {
        let (timers, now) = (Timers::new(beginning()), beginning());
        let mut fixture = Self { timers, ids: Vec::new(), established, now, random: 1 };
        fixture.fill();
        fixture
    }

    fn batch(&self) -> usize {
        self.established / PART as usize
    }

    /// Returns a random number below `bound`, reproducible in every run (xorshift64*).
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    /// Returns a random time after `from`, within `span`.
    fn after(&mut self, from: Instant, span: Duration) -> Instant {
        let nanos = self.below(span.as_nanos() as u64 + 1);
        from + Duration::from_nanos(nanos)
    }

    fn fill(&mut self) {
        while self.timers.len() < self.established {
            let due = self.after(self.now, SPAN);
            self.ids.push(self.timers.set(due, action()));
        }
    }

    /// Draws a batch of timers at random, with their deadlines.
    fn draw(&mut self) -> Vec<(Id, Instant)> {
        let mut drawn = Vec::new();
        while drawn.len() < self.batch() {
            let at = self.below(self.ids.len() as u64);
            let id = self.ids.swap_remove(at as usize);
            drawn.extend(self.timers.due(id).map(|due| (id, due)));
        }
        drawn
    }

    fn put_back(&mut self, drawn: Vec<(Id, Instant)>) {
        self.ids.extend(drawn.into_iter().map(|(id, _)| id));
    }
}

fn action() -> TimerAction {
    TimerAction::ProtocolTimer(Id::FIRST)
}

fn set(established: usize) {
    let mut fixture = Fixture::new(established);
    rounds(|counter| {
        for (id, _) in fixture.draw() {
            fixture.timers.cancel(id);
        }
        let dues: Vec<_> = (0..fixture.batch()).map(|_| fixture.after(fixture.now, SPAN)).collect();
        fixture.ids.reserve(dues.len());
        counter.count(|| {
            for due in dues {
                fixture.ids.push(fixture.timers.set(due, action()));
            }
        });
        assert_eq!(fixture.timers.len(), established);
        fixture.batch()
    });
}

fn cancel(established: usize) {
    let mut fixture = Fixture::new(established);
    rounds(|counter| {
        let drawn = fixture.draw();
        counter.count(|| {
            for (id, _) in drawn {
                fixture.timers.cancel(id);
            }
            fixture.timers.next()
        });
        assert_eq!(fixture.timers.len(), established - fixture.batch());
        fixture.fill();
        fixture.batch()
    });
}

/// Resets timers to an earlier deadline and back again.
fn reset_earlier(established: usize) {
    let mut fixture = Fixture::new(established);
    rounds(|counter| {
        let drawn = fixture.draw();
        let earlier = |&(_, due): &(Id, Instant)| fixture.after(fixture.now, due - fixture.now);
        let earlier: Vec<_> = drawn.iter().map(earlier).collect();
        counter.count(|| {
            for (&(id, due), earlier) in drawn.iter().zip(earlier) {
                fixture.timers.reset(id, earlier);
                fixture.timers.reset(id, due);
            }
            fixture.timers.next()
        });
        assert!(drawn.iter().all(|&(id, due)| fixture.timers.due(id) == Some(due)));
        fixture.put_back(drawn);
        fixture.batch()
    });
}

fn push_back(established: usize) {
    let mut fixture = Fixture::new(established);
    rounds(|counter| {
        let mut drawn = fixture.draw();
        drawn.iter_mut().for_each(|(_, due)| *due = fixture.after(*due, SPAN));
        counter.count(|| {
            for &(id, due) in &drawn {
                fixture.timers.reset(id, due);
            }
        });
        assert!(drawn.iter().all(|&(id, due)| fixture.timers.due(id) == Some(due)));
        fixture.put_back(drawn);
        fixture.batch()
    });
}

/// Pushes the next timer back behind all others, as happens to the idle timeouts of connections one
/// after the other.
fn idle_timeouts(established: usize) {
    let mut fixture = Fixture::new(established);
    let Fixture { timers, ids, .. } = &mut fixture;
    ids.sort_by_cached_key(|&id| timers.due(id));
    rounds(|counter| {
        let Fixture { timers, ids, .. } = &mut fixture;
        let batch = established / PART as usize;
        let due = |&id: &Id| (id, timers.due(id).unwrap() + 2 * SPAN);
        let next: Vec<_> = ids[..batch].iter().map(due).collect();
        counter.count(|| {
            for (id, due) in next {
                timers.reset(id, due);
                timers.next();
            }
        });
        ids.rotate_left(batch);
        assert_eq!(timers.next(), timers.due(ids[0]));
        batch
    });
}

/// Fires all timers that have become due since the last turn, a fiftieth of those that are set.
fn fire(established: usize) {
    fire_each(SPAN / 100, established);
}

/// Fires a fifth of the timers at once, as after a callback that took long.
fn fire_many(established: usize) {
    fire_each(SPAN / 10, established);
}

fn fire_each(step: Duration, established: usize) {
    let mut fixture = Fixture::new(established);
    rounds(|counter| {
        fixture.now += step;
        let (now, mark) = (fixture.now, fixture.timers.mark());
        counter.count(|| while fixture.timers.pop(now, mark).is_some() {});
        assert!(fixture.timers.next().is_none_or(|next| next > now));
        let fired = established - fixture.timers.len();
        fixture.fill();
        fired
    });
}

macro_rules! entries {
    ($($name:ident: $of:ident($established:literal);)*) => { $(
        #[test]
        #[ignore = "counted by benches/counts/check"]
        fn $name() {
            $of($established);
        }
    )* };
}

entries! {
    set_timer_1_000: set(1_000);
    set_timer_100_000: set(100_000);
    cancel_timer_1_000: cancel(1_000);
    cancel_timer_100_000: cancel(100_000);
    reset_timer_earlier_1_000: reset_earlier(1_000);
    reset_timer_earlier_100_000: reset_earlier(100_000);
    push_timer_back_1_000: push_back(1_000);
    push_timer_back_100_000: push_back(100_000);
    idle_timeouts_1_000: idle_timeouts(1_000);
    idle_timeouts_100_000: idle_timeouts(100_000);
    fire_timers_1_000: fire(1_000);
    fire_timers_100_000: fire(100_000);
    fire_many_timers_1_000: fire_many(1_000);
    fire_many_timers_100_000: fire_many(100_000);
}
