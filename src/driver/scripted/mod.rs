//! Scripted driver: nothing happens but what a test says, for tests of the event loop itself.

mod end;
mod names;
mod peer;
mod port;
mod service_manager;
mod stream;

pub(crate) use end::Closed;
pub(crate) use peer::Peer;
use port::ScriptedPort;

use end::{END_IP, End};
use names::Names;
use service_manager::ScriptedManager;
use stream::ScriptedStream;

use super::{
    Adopter, AnyStream, Driver, Edges, Listener, NoWake, Notification, Ready, ServiceManager, Wake,
    Work,
};
use crate::arena::Id;
use crate::endpoint::{ClientCarrier, ServerCarrier};
use crate::resolver::{Answer, Resolver};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The test's view of the driver. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Script(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    now: Instant,
    /// The timeout of each wait.
    waits: Vec<Option<Duration>>,
    ports: Vec<Id>,
    /// Results of the next calls of accept(2); after them, `WouldBlock`.
    accepts: VecDeque<Waiting>,
    /// Number of clients accepted on each port.
    accepted: [usize; PORTS_MAX],
    /// Something was added to `accepts` since the poller last reported it.
    knocked: bool,
    ends: Vec<End>,
    /// The descriptor held in reserve is open.
    has_reserve: bool,
    /// How often it was opened again.
    refills: usize,
    /// There are more events than the last wait returned.
    more: bool,
    /// Callbacks should yield whenever they can.
    yields: bool,
    /// Duration of a write.
    write_takes: Duration,
    /// The most events that a wait returns.
    events_max: usize,
    /// The next wait returns early, with this and no events.
    next_wait: Option<io::Result<()>>,
    sched_yields: usize,
    signal: Option<&'static str>,
    aside: Aside,
    manager: ScriptedManager,
    names: Names,
}

/// The most ports that a test opens.
const PORTS_MAX: usize = 300;

/// Result of a call of accept(2), on one port or on any.
#[derive(Debug)]
struct Waiting {
    port: Option<usize>,
    outcome: io::Result<usize>,
}

/// Work for other threads, which runs when the test says so.
#[derive(Default)]
struct Aside {
    waiting: VecDeque<Work>,
    /// Begun, so that it can no longer be taken back.
    begun: VecDeque<Work>,
    /// No thread can be started.
    refuses: bool,
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Script {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            now: Instant::now(),
            waits: Vec::new(),
            ports: Vec::new(),
            accepts: VecDeque::new(),
            accepted: [0; PORTS_MAX],
            knocked: false,
            ends: Vec::new(),
            has_reserve: true,
            refills: 0,
            more: false,
            yields: false,
            write_takes: Duration::ZERO,
            events_max: usize::MAX,
            next_wait: None,
            sched_yields: 0,
            signal: None,
            aside: Aside::default(),
            manager: ScriptedManager::default(),
            names: Names::default(),
        })))
    }

    pub(crate) fn driver(&self) -> Box<dyn Driver> {
        Box::new(self.clone())
    }

    /// Makes `should_yield` always return true, or no longer.
    pub(crate) fn set_yields(&self, yields: bool) {
        self.0.borrow_mut().yields = yields;
    }

    /// Connects a client to any port that accepts it.
    pub(crate) fn connect(&self) -> Peer {
        self.wait_on(None, END_IP)
    }

    /// Connects a client to the n-th of the open ports, in the order of their opening.
    pub(crate) fn connect_to(&self, port: usize) -> Peer {
        self.wait_on(Some(port), END_IP)
    }

    /// Connects a client from an address of its own.
    pub(crate) fn connect_from(&self, ip: [u8; 4]) -> Peer {
        self.wait_on(None, ip)
    }

    fn wait_on(&self, port: Option<usize>, ip: [u8; 4]) -> Peer {
        let mut inner = self.0.borrow_mut();
        let end = inner.ends.len();
        inner.ends.push(End { ip, ..End::new(true) });
        inner.accepts.push_back(Waiting { port, outcome: Ok(end) });
        inner.knocked = true;
        Peer::new(self.clone(), end)
    }

    /// Returns the number of clients accepted on a port.
    pub(crate) fn accepted_on(&self, port: usize) -> usize {
        self.0.borrow().accepted[port]
    }

    /// Returns the peer of the connection that the reactor began last.
    pub(crate) fn dialled(&self) -> Peer {
        let end = self.0.borrow().ends.len() - 1;
        Peer::new(self.clone(), end)
    }

    /// Returns the number of connections so far, of clients and of the reactor.
    pub(crate) fn connections(&self) -> usize {
        self.0.borrow().ends.len()
    }

    /// Makes the next accept(2) fail.
    pub(crate) fn fail_accept(&self, error: io::Error) {
        let mut inner = self.0.borrow_mut();
        inner.accepts.push_back(Waiting { port: None, outcome: Err(error) });
        inner.knocked = true;
    }

    /// Makes the next wait fail.
    pub(crate) fn fail_wait(&self, error: io::Error) {
        self.0.borrow_mut().next_wait = Some(Err(error));
    }

    /// Returns how often the loop has let other threads run.
    pub(crate) fn sched_yields(&self) -> usize {
        self.0.borrow().sched_yields
    }

    pub(crate) fn signal(&self, name: &'static str) {
        self.0.borrow_mut().signal = Some(name);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.borrow_mut().now += by;
    }

    pub(crate) fn take_waits(&self) -> Vec<Option<Duration>> {
        std::mem::take(&mut self.0.borrow_mut().waits)
    }

    /// Lets other threads begin all waiting work.
    pub(crate) fn begin_work(&self) {
        let Aside { waiting, begun, .. } = &mut self.0.borrow_mut().aside;
        begun.append(waiting);
    }

    /// Lets other threads do all their work now, and returns the number of pieces.
    pub(crate) fn work_aside(&self) -> usize {
        self.begin_work();
        let work = std::mem::take(&mut self.0.borrow_mut().aside.begun);
        let count = work.len();
        work.into_iter().for_each(|work| work());
        count
    }

    /// From now on no thread can be started.
    pub(crate) fn refuse_threads(&self) {
        self.0.borrow_mut().aside.refuses = true;
    }

    pub(crate) fn refills(&self) -> usize {
        self.0.borrow().refills
    }

    /// From now on each write takes `time`.
    pub(crate) fn set_write_takes(&self, time: Duration) {
        self.0.borrow_mut().write_takes = time;
    }

    /// Makes the next wait return early, with nothing.
    pub(crate) fn skip_wait(&self) {
        self.0.borrow_mut().next_wait = Some(Ok(()));
    }

    /// From now on a wait returns no more than `events_max` events.
    pub(crate) fn limit_events(&self, events_max: usize) {
        self.0.borrow_mut().events_max = events_max;
    }
}

impl Driver for Script {
    fn now(&self) -> Instant {
        self.0.borrow().now
    }

    fn is_time_up(&self, since: Instant, time: Duration) -> bool {
        self.0.borrow().yields || self.now().saturating_duration_since(since) >= time
    }

    fn seed(&mut self) -> u64 {
        1
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let inner = &mut *self.0.borrow_mut();
        inner.waits.push(timeout);
        if let Some(outcome) = inner.next_wait.take() {
            return outcome;
        }
        let before = ready.len();
        ready.extend(inner.signal.take().map(Ready::Signal));
        ready.extend(inner.names.report());
        // An edge: clients that are already waiting are not reported again.
        if std::mem::take(&mut inner.knocked) {
            ready.extend(inner.ports.iter().map(|id| Ready::Port(id.to_bits())));
        }
        inner.more = false;
        for end in &mut inner.ends {
            let Some(id) = end.id.filter(|_| end.edges != Edges::NONE) else { continue };
            if ready.len() - before == inner.events_max {
                inner.more = true;
                break;
            }
            ready
                .push(Ready::Stream { token: id.to_bits(), edges: std::mem::take(&mut end.edges) });
        }
        match timeout {
            Some(timeout) if ready.len() == before => inner.now += timeout,
            None if ready.len() == before => {
                return Err(io::Error::other("would sleep for ever"));
            }
            _ => {}
        }
        Ok(())
    }

    fn sched_yield(&self) {
        self.0.borrow_mut().sched_yields += 1;
    }

    fn may_have_more(&self) -> bool {
        self.0.borrow().more
    }

    fn listen(&mut self, at: &ServerCarrier, id: Id) -> io::Result<Box<dyn Listener>> {
        let ServerCarrier::Tcp(at) = at else { return Err(io::ErrorKind::Unsupported.into()) };
        if at.address().port() == 1 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let number = self.0.borrow().ports.len();
        self.0.borrow_mut().ports.push(id);
        let address = at.address().into();
        Ok(Box::new(ScriptedPort { script: self.clone(), id, number, address }))
    }

    fn adopter(&self) -> Box<dyn Adopter> {
        unreachable!("a script has no sockets")
    }

    fn connect(&mut self, to: &ClientCarrier, id: Id) -> io::Result<AnyStream> {
        let ClientCarrier::Tcp(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        if to.address().port() == 1 {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let inner = &mut *self.0.borrow_mut();
        inner.names.check_connect()?;
        inner.ends.push(End { id: Some(id), ..End::new(false) });
        let stream = ScriptedStream { script: self.clone(), end: inner.ends.len() - 1 };
        Ok(AnyStream::Other(Box::new(stream)))
    }

    fn resolve(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        self.0.borrow_mut().names.ask(host, port, id)
    }

    fn take_answer(&mut self, id: Id) -> Option<Answer> {
        self.0.borrow_mut().names.take(id)
    }

    fn cancel_resolve(&mut self, id: Id) {
        self.0.borrow_mut().names.cancel(id);
    }

    fn set_resolver(&mut self, _: Arc<dyn Resolver>) {}

    /// Keeps the work until the test runs it.
    fn spawn_blocking(&mut self, work: Work, _: usize) -> io::Result<()> {
        let inner = &mut *self.0.borrow_mut();
        if inner.aside.refuses {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.aside.waiting.push_back(work);
        Ok(())
    }

    fn take_waiting_work(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.0.borrow_mut().aside.waiting).into()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }

    fn install_signal_handlers(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn restore_signal_handlers(&mut self) {}

    fn watch_signal(&mut self, _: &'static str) -> io::Result<()> {
        Ok(())
    }

    fn unwatch_signal(&mut self, _: &'static str) {}

    fn find_service_manager(&mut self, _: bool) -> io::Result<Option<ServiceManager>> {
        self.0.borrow().manager.find()
    }

    fn notify_service_manager(&mut self, notification: &Notification) -> io::Result<()> {
        self.0.borrow_mut().manager.hear(notification)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        unreachable!("a script has no descriptor")
    }
}
