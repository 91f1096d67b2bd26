//! Random operations, on a queue and on a naive model of it.

use crate::random::SplitMix64;
use crate::requests::{Expired, RequestQueue, UnexpectedReply};
use std::time::{Duration, Instant};

const SEEDS: u64 = 200;
const STEPS: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Sent,
    /// Expired under way: a reply is still to come.
    Overdue,
    Gone,
}

/// All requests there have ever been, by number, each with its state.
struct Model {
    depth: usize,
    max_waiting: usize,
    timeout: Duration,
    requests: Vec<(State, Instant)>,
}

impl Model {
    fn count(&self, states: &[State]) -> usize {
        self.requests.iter().filter(|(state, _)| states.contains(state)).count()
    }

    fn first(&self, states: &[State]) -> Option<usize> {
        self.requests.iter().position(|(state, _)| states.contains(state))
    }

    /// Moves a request, and returns its number.
    fn set(&mut self, number: usize, state: State) -> usize {
        self.requests[number].0 = state;
        number
    }

    fn push(&mut self, now: Instant) -> bool {
        let has_room = self.count(&[State::Waiting]) < self.max_waiting;
        let state = if has_room { State::Waiting } else { State::Gone };
        self.requests.push((state, now + self.timeout));
        has_room
    }

    fn start_next(&mut self) -> Option<usize> {
        let next = self.first(&[State::Waiting])?;
        let has_place = self.count(&[State::Sent, State::Overdue]) < self.depth;
        has_place.then(|| self.set(next, State::Sent))
    }

    fn pop_answered(&mut self) -> Result<Option<usize>, UnexpectedReply> {
        let oldest = self.first(&[State::Sent, State::Overdue]).ok_or(UnexpectedReply)?;
        let is_late = self.requests[oldest].0 == State::Overdue;
        self.set(oldest, State::Gone);
        Ok((!is_late).then_some(oldest))
    }

    fn pop_expired(&mut self, now: Instant) -> Option<Expired<usize>> {
        let oldest = self.first(&[State::Waiting, State::Sent])?;
        match self.requests[oldest] {
            (_, deadline) if deadline > now => None,
            (State::Sent, _) => Some(Expired::Sent(self.set(oldest, State::Overdue))),
            _ => Some(Expired::Waiting(self.set(oldest, State::Gone))),
        }
    }

    fn take(&mut self, state: State) -> Vec<usize> {
        let taken: Vec<usize> =
            (0..self.requests.len()).filter(|&it| self.requests[it].0 == state).collect();
        taken.iter().for_each(|&it| self.requests[it].0 = State::Gone);
        taken
    }

    fn connection_lost(&mut self) -> Vec<usize> {
        self.take(State::Overdue);
        self.take(State::Sent)
    }
}

fn run(seed: u64) -> usize {
    let mut random = SplitMix64(seed);
    let depth = 1 + random.below(5) as usize;
    let max_waiting = 1 + random.below(8) as usize;
    let timeout = Duration::from_millis(random.below(50));
    let mut model = Model { depth, max_waiting, timeout, requests: Vec::new() };
    let mut queue = RequestQueue::new().depth(depth).max_waiting(max_waiting).timeout(timeout);
    let mut now = Instant::now();
    for step in 0..STEPS {
        let place = format!("seed {seed}, step {step}");
        match random.below(100) {
            0..40 => {
                let number = model.requests.len();
                let pushed = queue.push(now, number).map_err(|full| full.into_request());
                let expected = if model.push(now) { Ok(()) } else { Err(number) };
                assert_eq!(pushed, expected, "{place}");
            }
            40..65 => assert_eq!(queue.start_next().copied(), model.start_next(), "{place}"),
            65..85 => assert_eq!(queue.pop_answered(), model.pop_answered(), "{place}"),
            85..97 => {
                now += random.up_to(Duration::from_millis(20));
                while let Some(expired) = model.pop_expired(now) {
                    assert_eq!(queue.pop_expired(now), Some(expired), "{place}");
                }
                assert_eq!(queue.pop_expired(now), None, "{place}");
            }
            97 | 98 => assert_eq!(queue.connection_lost(), model.connection_lost(), "{place}"),
            _ => assert_eq!(queue.take_waiting(), model.take(State::Waiting), "{place}"),
        }
        assert_eq!(queue.waiting(), model.count(&[State::Waiting]), "{place}");
        assert_eq!(queue.under_way(), model.count(&[State::Sent, State::Overdue]), "{place}");
        assert_eq!(queue.overdue(), model.count(&[State::Overdue]), "{place}");
        let oldest = model.first(&[State::Waiting, State::Sent]);
        assert_eq!(queue.next_deadline(), oldest.map(|it| model.requests[it].1), "{place}");
    }
    model.requests.len()
}

#[test]
fn the_queue_does_what_a_naive_model_does() {
    let requests: usize = (0..SEEDS).map(run).sum();
    assert!(requests > SEEDS as usize * STEPS / 3, "{requests} requests");
}
