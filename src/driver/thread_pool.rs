//! Thread pool for work that blocks.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Work for a thread. A panic is the caller's concern, and ends neither thread nor pool.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// How long an idle thread stays: long enough for the next piece of work in a series, short enough
/// that a program which needed threads once does not keep them.
const IDLE: Duration = Duration::from_secs(10);

/// A pool whose threads start when there is work, and end when they are idle.
pub(super) struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    /// Name of each thread.
    name: &'static str,
    idle: Duration,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    /// Number of threads, and of those that wait for work.
    threads: usize,
    idle: usize,
    /// No more work will come.
    closed: bool,
}

impl Default for Threads {
    fn default() -> Self {
        Self::named("twistor worker")
    }
}

impl Threads {
    /// Creates a pool whose threads have this name.
    pub(super) fn named(name: &'static str) -> Self {
        Self::with_idle(name, IDLE)
    }

    fn with_idle(name: &'static str, idle: Duration) -> Self {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { name, idle, queue, changed }) }
    }

    /// Runs the work on a thread, in the order of the calls, on at most `max` threads at once (at
    /// least one).
    ///
    /// # Errors
    ///
    /// Fails if there is no thread and none can be started; the work is dropped.
    pub(super) fn run(&self, work: Work, max: usize) -> io::Result<()> {
        let mut queue = self.shared.lock();
        queue.waiting.push_back(work);
        let short = queue.waiting.len() > queue.idle && queue.threads < max.max(1);
        if short {
            let shared = Arc::clone(&self.shared);
            let named = thread::Builder::new().name(shared.name.to_owned());
            match named.spawn(move || shared.serve()) {
                Ok(_) => queue.threads += 1,
                // The existing threads will run it.
                Err(_) if queue.threads > 0 => {}
                Err(error) => {
                    let dropped = queue.waiting.pop_back();
                    drop(queue);
                    // Only now, without the lock: its drop is the user's code.
                    drop(dropped);
                    return Err(error);
                }
            }
        }
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Removes and returns the work that has not begun. Work that has begun runs to its end,
    /// without anything waiting for it.
    pub(super) fn take_waiting(&self) -> Vec<Work> {
        std::mem::take(&mut self.shared.lock().waiting).into()
    }
}

impl Drop for Threads {
    /// Drops the work that has not begun. Work that has begun runs to its end, without anything
    /// waiting for it.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for work in self.take_waiting() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held, so the queue is intact.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work on a thread until the thread should end.
    fn serve(&self) {
        while let Some(work) = self.next() {
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// Returns the next work, or `None` if the thread should end; the thread is then no longer
    /// counted.
    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.waiting.pop_front() {
                return Some(work);
            }
            if queue.closed {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            let waited = self.changed.wait_timeout(queue, self.idle);
            let (back, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = back;
            queue.idle -= 1;
            if waited.timed_out() && queue.waiting.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Queue { waiting, threads, idle, .. } = &*self.shared.lock();
        f.debug_struct("Threads")
            .field("waiting", &waiting.len())
            .field("threads", threads)
            .field("idle", idle)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    fn threads(pool: &Threads) -> usize {
        pool.shared.lock().threads
    }

    /// Waits for the condition; a test that never ends has failed.
    fn until(mut condition: impl FnMut() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn threads_are_limited_and_started_only_when_needed() {
        let pool = Threads::default();
        let (go, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done_in, done) = channel();
        for number in 0..6 {
            let (gate, now, most) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
            let done_in = done_in.clone();
            let work = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.lock().unwrap().recv().unwrap();
                now.fetch_sub(1, Ordering::SeqCst);
                done_in.send(number).unwrap();
            };
            pool.run(Box::new(work), 3).unwrap();
        }
        until(|| most.load(Ordering::SeqCst) == 3);
        assert_eq!(threads(&pool), 3);
        (0..6).for_each(|_| go.send(()).unwrap());
        let mut all: Vec<i32> = done.iter().take(6).collect();
        all.sort_unstable();
        assert_eq!((all, most.load(Ordering::SeqCst)), ((0..6).collect(), 3));

        // An idle thread is used before another is started.
        until(|| pool.shared.lock().idle == 3);
        let (done_in, done) = channel();
        pool.run(Box::new(move || done_in.send(()).unwrap()), 10).unwrap();
        done.recv().unwrap();
        assert_eq!(threads(&pool), 3);
    }

    #[test]
    fn a_limit_of_zero_means_one_thread_and_no_limit_means_as_many_as_needed() {
        for (max, expected) in [(0, 1), (1, 1), (usize::MAX, 4)] {
            let pool = Threads::default();
            let together = Arc::new(std::sync::Barrier::new(expected));
            let (done_in, done) = channel();
            for _ in 0..4 {
                let (together, done_in) = (Arc::clone(&together), done_in.clone());
                let work = move || {
                    together.wait();
                    done_in.send(()).unwrap();
                };
                pool.run(Box::new(work), max).unwrap();
            }
            assert_eq!(done.iter().take(4).count(), 4);
            assert_eq!(threads(&pool), expected, "{max}");
        }
    }

    #[test]
    fn a_panic_in_work_ends_neither_thread_nor_pool() {
        let pool = Threads::default();
        let (done_in, done) = channel();
        pool.run(Box::new(|| panic!("by the work")), 1).unwrap();
        pool.run(Box::new(move || done_in.send(()).unwrap()), 1).unwrap();
        done.recv().unwrap();
        assert_eq!(threads(&pool), 1);
    }

    #[test]
    fn idle_threads_end() {
        let pool = Threads::with_idle("idle", Duration::from_millis(1));
        let (done_in, done) = channel();
        for _ in 0..2 {
            let done_in = done_in.clone();
            pool.run(Box::new(move || done_in.send(()).unwrap()), 4).unwrap();
            done.recv().unwrap();
            until(|| threads(&pool) == 0);
        }
    }

    /// Starts work on a pool of one thread. The work ends when the test sends on the first channel,
    /// and reports that on the second.
    fn begin(pool: &Threads) -> (Sender<()>, Receiver<()>) {
        let (go, gate) = channel();
        let (begun_in, begun) = channel();
        let (ended_in, ended) = channel();
        let work = move || {
            begun_in.send(()).unwrap();
            gate.recv().unwrap();
            ended_in.send(()).unwrap();
        };
        pool.run(Box::new(work), 1).unwrap();
        begun.recv().unwrap();
        (go, ended)
    }

    #[test]
    fn dropping_the_pool_drops_waiting_work_and_lets_running_work_finish() {
        let pool = Threads::default();
        let (go, ended) = begin(&pool);
        let (never_in, never) = channel::<()>();
        pool.run(Box::new(move || never_in.send(()).unwrap()), 1).unwrap();
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        assert!(never.recv().is_err(), "it was dropped");
        go.send(()).unwrap();
        ended.recv().unwrap();
        until(|| shared.lock().threads == 0);
    }

    #[test]
    fn waiting_work_can_be_taken_back_and_the_threads_continue() {
        let pool = Threads::default();
        let (go, ended) = begin(&pool);
        let (done_in, done) = channel();
        for number in 0..3 {
            let done_in = done_in.clone();
            pool.run(Box::new(move || done_in.send(number).unwrap()), 1).unwrap();
        }
        assert_eq!(pool.take_waiting().len(), 3);
        pool.run(Box::new(move || done_in.send(3).unwrap()), 1).unwrap();
        go.send(()).unwrap();
        ended.recv().unwrap();
        assert_eq!(done.iter().collect::<Vec<_>>(), [3]);
    }
}
