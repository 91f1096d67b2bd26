//! Models of the calls from other threads: threads that call, and a reactor that sleeps until it is
//! woken.

use crate::calls::Calls;
use crate::errors::CallError;
use crate::explore;
use crate::reactor::Reactor;
use crate::sleep::Sleep;
use loom::thread::{self, JoinHandle};
use std::sync::Arc;

struct Model {
    calls: Arc<Calls>,
    sleep: Arc<Sleep>,
    reactor: Reactor,
}

impl Model {
    fn new(max: usize) -> Self {
        let sleep = Arc::new(Sleep::default());
        Self { calls: Calls::new(sleep.clone(), max), sleep, reactor: Reactor::default() }
    }

    /// Starts a thread that calls `count` times and waits for room. Returns how many of its calls
    /// were accepted: those after them found the reactor gone.
    fn call_blocking(&self, number: usize, count: usize) -> JoinHandle<usize> {
        let calls = Arc::clone(&self.calls);
        thread::spawn(move || {
            for nth in 0..count {
                match calls.push_blocking(call(number, nth)) {
                    Ok(()) => {}
                    Err(CallError::ReactorGone(_)) => return nth,
                    Err(CallError::QueueFull(_)) => panic!("only the reactor's thread is rejected"),
                }
            }
            count
        })
    }

    /// Makes calls as a reactor does, until `count` are made in all: it sleeps if none wait.
    fn run(&mut self, count: usize) {
        while self.reactor.called.len() < count {
            if self.calls.is_empty() {
                self.sleep.sleep();
            }
            self.make();
        }
    }

    fn make(&mut self) {
        for call in self.calls.take() {
            call(&mut self.reactor);
        }
    }

    /// Asserts that the first `count` calls of a thread were made, in order.
    fn assert_called(&self, number: usize, count: usize) {
        let called: Vec<_> = self.reactor.called.iter().filter(|it| it.0 == number).collect();
        let expected: Vec<_> = (0..count).map(|nth| (number, nth)).collect();
        assert!(called.into_iter().eq(&expected), "{:?}", self.reactor.called);
    }
}

fn call(number: usize, nth: usize) -> impl FnOnce(&mut Reactor) + Send + 'static {
    move |reactor| reactor.called.push((number, nth))
}

#[test]
fn a_sleeping_reactor_is_woken_for_every_call() {
    explore(|| {
        let mut model = Model::new(10);
        let threads = [model.call_blocking(0, 2), model.call_blocking(1, 1)];
        model.run(3);
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [2, 1]);
        model.assert_called(0, 2);
        model.assert_called(1, 1);
    });
}

#[test]
fn threads_that_wait_for_room_continue_when_there_is_some() {
    explore(|| {
        let mut model = Model::new(2);
        let threads = [model.call_blocking(0, 2), model.call_blocking(1, 2)];
        model.run(4);
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [2, 2]);
        model.assert_called(0, 2);
        model.assert_called(1, 2);
        assert_eq!((model.calls.len(), model.calls.threads()), (0, 0));
    });
}

#[test]
fn threads_that_wait_for_room_are_told_when_the_reactor_is_gone() {
    explore(|| {
        let mut model = Model::new(1);
        let threads = [model.call_blocking(0, 2), model.call_blocking(1, 2)];
        model.make();
        model.calls.close();
        let accepted = threads.map(|thread| thread.join().unwrap());
        assert!(accepted.iter().sum::<usize>() >= model.reactor.called.len());
        for (number, accepted) in accepted.into_iter().enumerate() {
            let called = model.reactor.called.iter().filter(|it| it.0 == number).count();
            assert!(called <= accepted);
            model.assert_called(number, called);
        }
    });
}

#[test]
fn a_result_is_taken_however_full_the_queue_is() {
    explore(|| {
        let mut model = Model::new(1);
        let caller = model.call_blocking(0, 2);
        let calls = Arc::clone(&model.calls);
        let worker = thread::spawn(move || calls.finish(call(1, 0)));
        model.run(3);
        assert_eq!(caller.join().unwrap(), 2);
        worker.join().unwrap();
        model.assert_called(0, 2);
        model.assert_called(1, 1);
    });
}
