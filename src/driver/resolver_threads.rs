//! Resolver threads: host names are resolved on a few threads of their own.
//!
//! `getaddrinfo(3)` blocks, for ten seconds and more if a name server does not answer. The threads
//! of `defer_to_thread` are not for it: slow names would keep them from the program's own work.

use super::thread_pool::Threads;
use super::{Ready, Wake};
use crate::arena::Id;
use crate::resolver::{Answer, Resolver};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names that are resolved at the same time. With one, a mute name server would hold up all other
/// names; each further one costs a thread, and a cache of the system answers most names at once.
const THREADS_MAX: usize = 4;

/// Names that may wait for a thread. At a millisecond each, they wait for a quarter of a second;
/// behind mute name servers they would all exceed their timeouts.
const WAITING_MAX: usize = 1024;

/// A host, and the port number that its addresses get.
type Name = (Arc<str>, u16);

/// The names that are being resolved, and the ids that wait for them.
pub(super) struct ResolverThreads {
    threads: Threads,
    shared: Arc<Shared>,
    resolver: Arc<dyn Resolver>,
    /// Names that have no answer yet, with the ids that wait. A name that a thread has begun stays
    /// when no id waits any more: the next one that asks for it gets the answer.
    asked: HashMap<Name, BTreeSet<Id>>,
    questions: HashMap<Id, Question>,
}

/// The question of one id.
#[derive(Debug)]
enum Question {
    Waiting(Name),
    Answered(Answer),
}

struct Shared {
    queue: Mutex<Queue>,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Queue {
    /// Names that no thread has begun, each with the resolver that it was asked of.
    waiting: VecDeque<(Name, Arc<dyn Resolver>)>,
    /// Threads that serve the queue. They end when it is empty.
    serving: usize,
    answers: Vec<(Name, Answer)>,
}

impl ResolverThreads {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Self {
        Self {
            threads: Threads::named("twistor resolver"),
            shared: Arc::new(Shared { queue: Mutex::default(), waker }),
            resolver: Arc::new(ask_system),
            asked: HashMap::new(),
            questions: HashMap::new(),
        }
    }

    /// Sets the resolver that is asked from now on.
    pub(super) fn set_resolver(&mut self, resolver: Arc<dyn Resolver>) {
        self.resolver = resolver;
    }

    /// Asks for the addresses of a host.
    ///
    /// # Errors
    ///
    /// Too many names wait, or no thread can be started.
    pub(super) fn ask(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        let name: Name = (host.into(), port);
        if !self.asked.contains_key(&name) {
            self.enqueue(name.clone())?;
        }
        self.asked.entry(name.clone()).or_default().insert(id);
        self.questions.insert(id, Question::Waiting(name));
        Ok(())
    }

    fn enqueue(&self, name: Name) -> io::Result<()> {
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= WAITING_MAX {
            let why = format!("{WAITING_MAX} names are waiting to be resolved");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        queue.waiting.push_back((name.clone(), Arc::clone(&self.resolver)));
        if queue.serving == THREADS_MAX {
            return Ok(());
        }
        queue.serving += 1;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let Err(error) = self.threads.run(Box::new(move || shared.serve()), THREADS_MAX) else {
            return Ok(());
        };
        let mut queue = self.shared.lock();
        queue.serving -= 1;
        queue.waiting.retain(|(waiting, _)| *waiting != name);
        Err(error)
    }

    /// Removes and returns the answer to the question of this id, if there is one.
    pub(super) fn take_answer(&mut self, id: Id) -> Option<Answer> {
        match self.questions.remove(&id)? {
            Question::Answered(answer) => Some(answer),
            waiting => {
                self.questions.insert(id, waiting);
                None
            }
        }
    }

    /// Forgets the question of this id. A name that nobody waits for is not resolved, unless a
    /// thread has begun.
    pub(super) fn cancel(&mut self, id: Id) {
        let Some(Question::Waiting(name)) = self.questions.remove(&id) else { return };
        let Some(ids) = self.asked.get_mut(&name) else { return };
        ids.remove(&id);
        if !ids.is_empty() {
            return;
        }
        let mut queue = self.shared.lock();
        let place = queue.waiting.iter().position(|(waiting, _)| *waiting == name);
        if let Some(place) = place {
            let removed = queue.waiting.remove(place);
            drop(queue);
            // Only now, without the lock: a resolver is the user's.
            drop(removed);
            self.asked.remove(&name);
        }
    }

    /// Returns true if an answer may have come since the last call of [`report`](Self::report).
    pub(super) fn awaits_answers(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Reports the answers that have come.
    pub(super) fn report(&mut self, ready: &mut Vec<Ready>) {
        let answers = std::mem::take(&mut self.shared.lock().answers);
        for (name, answer) in answers {
            for id in self.asked.remove(&name).into_iter().flatten() {
                self.questions.insert(id, Question::Answered(answer.clone()));
                ready.push(Ready::Resolved(id.to_bits()));
            }
        }
    }
}

impl Drop for ResolverThreads {
    /// Drops the names that no thread has begun. Nothing waits for those that one has.
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.shared.lock().waiting);
        drop(waiting);
    }
}

/// Asks the operating system: its hosts file, name servers and whatever else it is configured to.
fn ask_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held, so the queue is intact.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves names on a thread until none waits.
    fn serve(&self) {
        while let Some(((host, port), resolver)) = self.next() {
            let asked = Arc::clone(&host);
            // The resolver moves in, since its drop is the user's code as well.
            let answer = catch_unwind(AssertUnwindSafe(move || resolver.resolve(&asked, port)));
            let answer = answer.unwrap_or_else(|panic| {
                // Dropping it may panic again.
                std::mem::forget(panic);
                Err(io::Error::other("the resolver panicked"))
            });
            self.lock().answers.push(((host, port), answer.map_err(Arc::new)));
            self.waker.wake();
        }
    }

    /// Returns the next name, or `None` if the thread should end; the thread is then no longer
    /// counted.
    fn next(&self) -> Option<(Name, Arc<dyn Resolver>)> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.serving -= 1;
        }
        next
    }
}

impl fmt::Debug for ResolverThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverThreads")
            .field("threads", &self.threads)
            .field("asked", &self.asked.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::driver::{Driver, MioDriver};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    /// The longest wait of a test, after which it has failed.
    const LONGEST: Duration = Duration::from_secs(20);

    #[derive(Debug)]
    struct Bell(Mutex<Sender<()>>);

    impl Wake for Bell {
        fn wake(&self) {
            let _ = self.0.lock().unwrap().send(());
        }
    }

    /// Names under test, whose resolver answers only when the test lets it.
    struct Fixture {
        names: ResolverThreads,
        rings: Receiver<()>,
        begun: Receiver<String>,
        gate: Sender<()>,
        ids: Arena<()>,
    }

    impl Fixture {
        fn new() -> Self {
            let (ring, rings) = channel();
            let mut names = ResolverThreads::new(Arc::new(Bell(Mutex::new(ring))));
            let (begun_in, begun) = channel();
            let (gate, open) = channel();
            let (begun_in, open) = (Mutex::new(begun_in), Mutex::new(open));
            let resolver = move |host: &str, port| {
                begun_in.lock().unwrap().send(host.to_owned()).unwrap();
                open.lock().unwrap().recv_timeout(LONGEST).unwrap();
                assert_ne!(host, "panics");
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
            };
            names.set_resolver(Arc::new(resolver));
            Self { names, rings, begun, gate, ids: Arena::new() }
        }

        fn ask(&mut self, host: &str) -> Id {
            let id = self.ids.insert_with(|_| ());
            self.names.ask(host, 80, id).unwrap();
            id
        }

        fn begun(&self) -> String {
            self.begun.recv_timeout(LONGEST).unwrap()
        }

        /// Lets one name be answered, and returns the ids that have an answer.
        fn answer(&mut self) -> BTreeSet<usize> {
            // Another resolver, which no gate holds up, may be there by now.
            let _ = self.gate.send(());
            self.rings.recv_timeout(LONGEST).unwrap();
            let mut ready = Vec::new();
            self.names.report(&mut ready);
            ready
                .into_iter()
                .map(|event| match event {
                    Ready::Resolved(token) => token,
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    }

    fn bits(ids: &[Id]) -> BTreeSet<usize> {
        ids.iter().map(|id| id.to_bits()).collect()
    }

    #[test]
    fn equal_names_share_one_answer_and_others_do_not() {
        let mut fixture = Fixture::new();
        let first = fixture.ask("a.test");
        assert_eq!(fixture.begun(), "a.test");
        let second = fixture.ask("a.test");
        assert_eq!(fixture.answer(), bits(&[first, second]));
        for id in [first, second] {
            let answer = fixture.names.take_answer(id).unwrap().unwrap();
            assert_eq!(answer, ["127.0.0.1:80".parse().unwrap()]);
            assert!(fixture.names.take_answer(id).is_none());
        }
        assert!(!fixture.names.awaits_answers());
        let third = fixture.ask("a.test");
        assert_eq!((fixture.begun(), fixture.answer()), ("a.test".to_owned(), bits(&[third])));
        let other_port = fixture.ids.insert_with(|_| ());
        let fourth = fixture.ask("a.test");
        fixture.names.ask("a.test", 81, other_port).unwrap();
        assert_eq!([fixture.begun(), fixture.begun()], ["a.test", "a.test"]);
        let answered = [fixture.answer(), fixture.answer()];
        assert_eq!(&answered[0] | &answered[1], bits(&[fourth, other_port]));
    }

    #[test]
    fn at_most_four_names_are_resolved_at_once_in_the_order_of_the_questions() {
        let mut fixture = Fixture::new();
        let ids: Vec<Id> = (0..6).map(|number| fixture.ask(&format!("{number}.test"))).collect();
        let mut first: Vec<String> = (0..4).map(|_| fixture.begun()).collect();
        first.sort();
        assert_eq!(first, ["0.test", "1.test", "2.test", "3.test"]);
        assert!(fixture.begun.try_recv().is_err(), "the others wait");
        let mut answered = BTreeSet::new();
        (0..6).for_each(|_| answered.extend(fixture.answer()));
        assert_eq!(answered, bits(&ids));
        assert_eq!([fixture.begun(), fixture.begun()], ["4.test", "5.test"]);
    }

    #[test]
    fn too_many_waiting_names_are_refused_and_a_known_one_is_not() {
        let mut fixture = Fixture::new();
        for number in 0..4 {
            fixture.ask(&format!("begun{number}"));
        }
        (0..4).for_each(|_| drop(fixture.begun()));
        for number in 0..WAITING_MAX {
            fixture.ask(&number.to_string());
        }
        let id = fixture.ids.insert_with(|_| ());
        let error = fixture.names.ask("one.more", 80, id).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded, "{error}");
        fixture.ask("begun0");
        let last = fixture.ask("7");
        fixture.names.cancel(last);
        assert!(fixture.names.ask("one.more", 80, id).is_err(), "another id waits for it");
    }

    #[test]
    fn a_cancelled_question_has_no_answer_and_a_name_that_nobody_waits_for_is_not_resolved() {
        let mut fixture = Fixture::new();
        let ids: Vec<Id> = (0..4).map(|number| fixture.ask(&format!("begun{number}"))).collect();
        (0..4).for_each(|_| drop(fixture.begun()));
        let (never, once) = (fixture.ask("never.test"), fixture.ask("once.test"));
        let twin = fixture.ask("once.test");
        [never, once, ids[0]].into_iter().for_each(|id| fixture.names.cancel(id));
        fixture.names.cancel(never);
        // A name that a thread has begun has an answer for the next one that asks.
        let late = fixture.ask("begun0");
        let mut answered = BTreeSet::new();
        (0..5).for_each(|_| answered.extend(fixture.answer()));
        assert_eq!(fixture.begun(), "once.test");
        assert_eq!(answered, bits(&[ids[1], ids[2], ids[3], twin, late]));
        assert!(!fixture.names.awaits_answers());
        // An answer that has come can be cancelled as well.
        fixture.names.cancel(twin);
        assert!(fixture.names.take_answer(twin).is_none());
    }

    #[test]
    fn a_resolver_that_panics_is_an_error_and_its_thread_continues() {
        let mut fixture = Fixture::new();
        for _ in 0..5 {
            let id = fixture.ask("panics");
            fixture.answer();
            let error = fixture.names.take_answer(id).unwrap().unwrap_err();
            assert_eq!(error.to_string(), "the resolver panicked");
        }
        let id = fixture.ask("fine.test");
        assert_eq!(fixture.answer(), bits(&[id]));
    }

    #[test]
    fn nothing_waits_for_a_name_whose_reactor_is_gone() {
        let mut fixture = Fixture::new();
        for number in 0..6 {
            fixture.ask(&number.to_string());
        }
        (0..4).for_each(|_| drop(fixture.begun()));
        let Fixture { names, gate, begun, .. } = fixture;
        // All four threads are held: a drop that waited for them would last.
        let began = Instant::now();
        drop(names);
        assert!(began.elapsed() < LONGEST / 2);
        (0..4).for_each(|_| gate.send(()).unwrap());
        // The threads drop their resolver when they end, without the names that waited.
        assert_eq!(begun.iter().count(), 0);
    }

    #[test]
    fn the_system_resolves_its_own_name_and_the_poller_reports_it() {
        let mut driver = MioDriver::new().unwrap();
        let id = Arena::new().insert_with(|_| ());
        driver.resolve("localhost", 80, id).unwrap();
        let (mut ready, until) = (Vec::new(), Instant::now() + LONGEST);
        while ready.is_empty() && Instant::now() < until {
            driver.wait(&mut ready, Some(Duration::from_secs(1))).unwrap();
        }
        assert!(matches!(ready[..], [Ready::Resolved(token)] if token == id.to_bits()));
        let answer = driver.take_answer(id).unwrap().unwrap();
        assert!(answer.iter().all(|it| it.ip().is_loopback() && it.port() == 80), "{answer:?}");
        assert!(!answer.is_empty());
    }

    #[test]
    fn a_later_resolver_is_asked_the_names_that_come_later() {
        let mut fixture = Fixture::new();
        let first = fixture.ask("a.test");
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let other = move |_: &str, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(io::ErrorKind::NotFound.into())
        };
        fixture.names.set_resolver(Arc::new(other));
        assert_eq!((fixture.begun(), fixture.answer()), ("a.test".to_owned(), bits(&[first])));
        let second = fixture.ask("a.test");
        assert_eq!(fixture.answer(), bits(&[second]));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(fixture.names.take_answer(second).unwrap().is_err());
    }
}
