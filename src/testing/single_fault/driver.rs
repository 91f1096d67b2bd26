//! Faulty driver: any driver, one call of which fails.

use super::call_failure::CallFailure;
use super::driver_faults::DriverFaults;
use super::injector::Injector;
use super::listener::FaultyListener;
use super::stream::FaultyStream;
use super::system_call::SystemCall;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{
    Adopter, AnyStream, Driver, Handoff, Listener, Notification, PortDescriptors, Ready,
    ServiceManager, StartedProgram, Wake, Work,
};
use crate::endpoint::{ClientCarrier, ServerCarrier};
use crate::resolver::{Answer, Resolver};
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A driver, one call of which fails, or one call on one of its ports and streams.
pub(in crate::testing) struct FaultyDriver {
    inner: Box<dyn Driver>,
    faults: DriverFaults,
    /// The question whose answer fails.
    failed_question: Option<Id>,
}

impl FaultyDriver {
    pub(in crate::testing) fn new(
        inner: Box<dyn Driver>,
        injector: Rc<Injector>,
        host: &str,
    ) -> Self {
        Self { inner, faults: DriverFaults::new(injector, host), failed_question: None }
    }
}

impl fmt::Debug for FaultyDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Driver for FaultyDriver {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn is_time_up(&self, since: Instant, time: Duration) -> bool {
        self.inner.is_time_up(since, time)
    }

    fn seed(&mut self) -> u64 {
        self.inner.seed()
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let failure = self.faults.count(SystemCall::Wait, None);
        if failure == Some(CallFailure::EmptyWait) {
            return Ok(());
        }
        let events = &self.faults.events;
        let begin = ready.len();
        ready.extend(events.take());
        let timeout = if ready.len() > begin { Some(Duration::ZERO) } else { timeout };
        self.inner.wait(ready, timeout)?;
        events.note(&ready[begin..]);
        match failure {
            Some(CallFailure::PartialWait) if ready.len() > begin => {
                events.hold_back(ready.drain(begin + 1..));
            }
            Some(CallFailure::ReorderedEvents) => ready[begin..].reverse(),
            Some(CallFailure::SpuriousEvents) => ready.extend(events.spurious()),
            _ => {}
        }
        Ok(())
    }

    fn sched_yield(&self) {
        self.inner.sched_yield();
    }

    /// Returns true also if the next wait has something to report, so that the loop does not sleep
    /// before it.
    fn may_have_more(&self) -> bool {
        !self.faults.events.is_empty() || self.inner.may_have_more()
    }

    fn listen(&mut self, at: &ServerCarrier, id: Id) -> io::Result<Box<dyn Listener>> {
        self.faults.count(SystemCall::Listen, None);
        let inner = self.inner.listen(at, id)?;
        Ok(Box::new(FaultyListener::new(inner, id, self.faults.clone())))
    }

    #[cfg(unix)]
    fn adopt(&mut self, socket: OwnedFd, id: Id) -> io::Result<Box<dyn Listener>> {
        self.faults.count(SystemCall::Listen, None);
        let inner = self.inner.adopt(socket, id)?;
        Ok(Box::new(FaultyListener::new(inner, id, self.faults.clone())))
    }

    fn take_over(
        &mut self,
        port: PortDescriptors,
        at: &ServerCarrier,
        id: Id,
    ) -> io::Result<Box<dyn Listener>> {
        self.faults.count(SystemCall::Listen, None);
        let inner = self.inner.take_over(port, at, id)?;
        Ok(Box::new(FaultyListener::new(inner, id, self.faults.clone())))
    }

    fn takes_over(&self) -> bool {
        self.inner.takes_over()
    }

    fn start_program(&mut self) -> io::Result<StartedProgram> {
        self.inner.start_program()
    }

    fn user_id(&self) -> Option<u32> {
        self.inner.user_id()
    }

    fn adopter(&self) -> Box<dyn Adopter> {
        Box::new(FaultyAdopter { inner: self.inner.adopter(), faults: self.faults.clone() })
    }

    fn connect(&mut self, to: &ClientCarrier, id: Id) -> io::Result<AnyStream> {
        let peer = to.address();
        match self.faults.count(SystemCall::Connect, Some(&peer)) {
            Some(failure) => Err(failure.error()),
            None => {
                let inner = self.inner.connect(to, id)?;
                let mut stream = FaultyStream::new(inner, peer, self.faults.clone());
                stream.is_registered(id.to_bits());
                Ok(AnyStream::Other(Box::new(stream)))
            }
        }
    }

    fn resolve(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        match self.faults.count(SystemCall::Resolve, None) {
            Some(CallFailure::NameFailure) => {
                self.failed_question = Some(id);
                self.faults.events.hold_back([Ready::Resolved(id.to_bits())]);
                Ok(())
            }
            Some(failure) => Err(failure.error()),
            None => self.inner.resolve(host, port, id),
        }
    }

    fn take_answer(&mut self, id: Id) -> Option<Answer> {
        match self.failed_question.take_if(|failed| *failed == id) {
            Some(_) => Some(Err(Arc::new(CallFailure::NameFailure.error()))),
            None => self.inner.take_answer(id),
        }
    }

    fn cancel_resolve(&mut self, id: Id) {
        self.failed_question.take_if(|failed| *failed == id);
        self.inner.cancel_resolve(id);
    }

    fn set_resolver(&mut self, resolver: Arc<dyn Resolver>) {
        self.inner.set_resolver(resolver);
    }

    fn spawn_blocking(&mut self, work: Work, max_blocking_threads: usize) -> io::Result<()> {
        match self.faults.count(SystemCall::SpawnThread, None) {
            Some(failure) => Err(failure.error()),
            None => self.inner.spawn_blocking(work, max_blocking_threads),
        }
    }

    fn take_waiting_work(&mut self) -> Vec<Work> {
        self.inner.take_waiting_work()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inner.waker()
    }

    fn install_signal_handlers(&mut self) -> io::Result<()> {
        self.inner.install_signal_handlers()
    }

    fn restore_signal_handlers(&mut self) {
        self.inner.restore_signal_handlers();
    }

    fn watch_signal(&mut self, name: &'static str) -> io::Result<()> {
        self.inner.watch_signal(name)
    }

    fn unwatch_signal(&mut self, name: &'static str) {
        self.inner.unwatch_signal(name);
    }

    fn find_service_manager(&mut self, is_successor: bool) -> io::Result<Option<ServiceManager>> {
        self.inner.find_service_manager(is_successor)
    }

    fn notify_service_manager(&mut self, notification: &Notification) -> io::Result<()> {
        self.inner.notify_service_manager(notification)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inner.descriptor()
    }
}

/// Adopts connections, calls on which may fail.
#[derive(Debug)]
struct FaultyAdopter {
    inner: Box<dyn Adopter>,
    faults: DriverFaults,
}

impl Adopter for FaultyAdopter {
    fn adopt(&self, handoff: Handoff, peer: &Address) -> io::Result<AnyStream> {
        let (inner, peer) = (self.inner.adopt(handoff, peer)?, peer.clone());
        Ok(AnyStream::Other(Box::new(FaultyStream::new(inner, peer, self.faults.clone()))))
    }
}
