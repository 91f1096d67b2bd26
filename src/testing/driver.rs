//! Driver of a simulated reactor: its clock, poller and sockets, on a network in memory.

use super::network::{Abandoned, EndId, Network, PortName};
use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::driver::{
    Adopter, AnyStream, Driver, Handoff, Listener, Notification, Ready, ServiceManager, Stream,
    UNIX_CONNECT_RETRY_DELAY, Wake, Work,
};
use crate::endpoint::{ClientCarrier, ServerCarrier};
use crate::resolver::{Answer, Resolver};
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The network, shared by the simulation, its drivers and their streams.
pub(super) type SharedNetwork = Rc<RefCell<Network>>;

/// A host's view of the network.
#[derive(Debug)]
pub(super) struct HostDriver {
    pub(super) network: SharedNetwork,
    pub(super) node: usize,
    pub(super) control: Rc<DriverControl>,
    /// The resolver of the program, if it has one.
    pub(super) resolver: Option<Arc<dyn Resolver>>,
}

/// State shared by a simulation and the driver of one of its hosts.
#[derive(Debug, Default)]
pub(super) struct DriverControl {
    /// True while the simulation runs a turn; no other caller may run one.
    pub(super) in_turn: Cell<bool>,
    /// The client's end of the latest connection attempt.
    pub(super) last_connected: Cell<Option<EndId>>,
    pub(super) waker: Arc<CallFlag>,
    /// What the reactor has told its service manager, by virtual time.
    pub(super) notifications: RefCell<Vec<(Duration, String)>>,
}

/// Set when another thread, or another reactor of the simulation, has called a reactor.
#[derive(Debug, Default)]
pub(super) struct CallFlag(AtomicBool);

impl CallFlag {
    /// Clears the flag, and returns what it was.
    pub(super) fn take(&self) -> bool {
        // Asked of each host at each moment: a swap would be the costlier question.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for CallFlag {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The service manager of each host kills it after this time without a notification.
const WATCHDOG: Duration = Duration::from_secs(30);

/// The user of all simulated programs.
const SUPERUSER: u32 = 0;

impl Driver for HostDriver {
    fn now(&self) -> Instant {
        self.network.borrow().clock(self.node)
    }

    fn is_time_up(&self, _: Instant, _: Duration) -> bool {
        self.network.borrow_mut().draws_yield()
    }

    fn seed(&mut self) -> u64 {
        self.network.borrow_mut().seed_of_reactor(self.node)
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        if !self.control.in_turn.get() {
            return Err(io::Error::other(
                "a simulated reactor runs only within its simulation: \
                 call run_for, run_until or settle of that",
            ));
        }
        self.network.borrow_mut().report(self.node, ready);
        Ok(())
    }

    /// Does nothing: the simulation decides which reactor turns next.
    fn sched_yield(&self) {}

    fn may_have_more(&self) -> bool {
        self.network.borrow().has_unreported(self.node)
    }

    fn listen(&mut self, at: &ServerCarrier, id: Id) -> io::Result<Box<dyn Listener>> {
        let network = Rc::clone(&self.network);
        network.borrow_mut().check_descriptors(self.node)?;
        let address: Address = match at {
            ServerCarrier::Tcp(at) => {
                let queue = (at.backlog_max() as usize, at.reuses_port());
                network.borrow_mut().listen(self.node, at.address(), queue, id)?.into()
            }
            ServerCarrier::Unix(at) => {
                let backlog = at.backlog_max() as usize;
                network.borrow_mut().listen_unix(self.node, at.address(), backlog, id)?;
                at.address().clone().into()
            }
            ServerCarrier::Inherited(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let name = PortName::of(&address);
        Ok(Box::new(SimulatedPort { network, node: self.node, name, address }))
    }

    /// Returns the superuser, as whom all simulated programs run.
    fn user_id(&self) -> Option<u32> {
        Some(SUPERUSER)
    }

    fn adopter(&self) -> Box<dyn Adopter> {
        Box::new(SimulatedAdopter { network: Rc::clone(&self.network), node: self.node })
    }

    fn connect(&mut self, to: &ClientCarrier, id: Id) -> io::Result<AnyStream> {
        let mut network = self.network.borrow_mut();
        network.check_descriptors(self.node)?;
        let end = match to {
            ClientCarrier::Tcp(to) => {
                if network.node_at(to.address().ip()).is_none() {
                    return Err(io::ErrorKind::HostUnreachable.into());
                }
                network.connect(self.node, to.address(), false)
            }
            ClientCarrier::Unix(to) => network.connect_unix(self.node, to.address(), false),
        };
        network.watch(end, id.to_bits());
        if let (ClientCarrier::Unix(_), Err(error)) = (to, network.reach_unix(end)) {
            network.remove_unreached(end);
            return Err(error.into());
        }
        self.control.last_connected.set(Some(end));
        let network = Rc::clone(&self.network);
        Ok(AnyStream::Other(Box::new(SimulatedStream { network, end, resets: false })))
    }

    fn resolve(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        let resolver = self.resolver.as_deref();
        let own = resolver.map(|it| {
            let answer = catch_unwind(AssertUnwindSafe(|| it.resolve(host, port)));
            let answer = answer.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")));
            answer.map_err(Arc::new)
        });
        self.network.borrow_mut().resolve(self.node, (host, port), id.to_bits(), own);
        Ok(())
    }

    fn take_answer(&mut self, id: Id) -> Option<Answer> {
        self.network.borrow_mut().take_answer(self.node, id.to_bits())
    }

    fn cancel_resolve(&mut self, id: Id) {
        self.network.borrow_mut().cancel_resolve(self.node, id.to_bits());
    }

    fn set_resolver(&mut self, resolver: Arc<dyn Resolver>) {
        self.resolver = Some(resolver);
    }

    /// Runs the work immediately, so that the order is the same in every run.
    fn spawn_blocking(&mut self, work: Work, _: usize) -> io::Result<()> {
        work();
        Ok(())
    }

    fn take_waiting_work(&mut self) -> Vec<Work> {
        Vec::new()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.control.waker) as Arc<dyn Wake>
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
        Ok(Some(ServiceManager { watchdog: Some(WATCHDOG) }))
    }

    fn notify_service_manager(&mut self, notification: &Notification) -> io::Result<()> {
        let now = Duration::from_nanos(self.network.borrow().now);
        self.control.notifications.borrow_mut().push((now, notification.encode(now)));
        Ok(())
    }

    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        panic!("a simulated reactor has no descriptor: it cannot be embedded in another loop")
    }
}

/// Gives accepted connections to the reactor of a node.
#[derive(Debug)]
struct SimulatedAdopter {
    network: SharedNetwork,
    node: usize,
}

impl Adopter for SimulatedAdopter {
    fn adopt(&self, handoff: Handoff, _: &Address) -> io::Result<AnyStream> {
        let Handoff::Other(connection) = handoff else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let connection = connection.downcast::<SimulatedHandoff>();
        let connection = *connection.map_err(|_| io::ErrorKind::InvalidInput)?;
        let end = connection.take();
        self.network.borrow_mut().move_to(end, self.node);
        let network = Rc::clone(&self.network);
        Ok(AnyStream::Other(Box::new(SimulatedStream { network, end, resets: false })))
    }
}

/// An accepted connection that no reactor has.
#[derive(Debug)]
struct SimulatedHandoff {
    end: Option<EndId>,
    /// Where the network finds those that nobody took.
    abandoned: Abandoned,
}

impl SimulatedHandoff {
    fn take(mut self) -> EndId {
        self.end.take().expect("a connection is taken once")
    }
}

impl Drop for SimulatedHandoff {
    fn drop(&mut self) {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.extend(self.end);
    }
}

#[derive(Debug)]
struct SimulatedPort {
    network: SharedNetwork,
    node: usize,
    name: PortName,
    address: Address,
}

impl Drop for SimulatedPort {
    fn drop(&mut self) {
        self.network.borrow_mut().stop_listening(self.node, &self.name);
    }
}

impl Listener for SimulatedPort {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let (end, peer) = self.network.borrow_mut().accept(self.node, &self.name)?;
        let stream = SimulatedStream { network: Rc::clone(&self.network), end, resets: false };
        Ok((AnyStream::Other(Box::new(stream)), peer))
    }

    fn accept_handoff(&mut self) -> io::Result<(Handoff, Address)> {
        let mut network = self.network.borrow_mut();
        let (end, peer) = network.accept(self.node, &self.name)?;
        let abandoned = network.abandoned();
        Ok((Handoff::Other(Box::new(SimulatedHandoff { end: Some(end), abandoned })), peer))
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        let (end, peer) = self.network.borrow_mut().accept_with_reserve(self.node, &self.name)?;
        let stream = SimulatedStream { network: Rc::clone(&self.network), end, resets: false };
        Ok((AnyStream::Other(Box::new(stream)), peer))
    }

    fn shed(&mut self, limit: usize) -> usize {
        self.network.borrow_mut().shed(self.node, &self.name, limit)
    }

    fn refill_reserve(&mut self) {
        self.network.borrow_mut().refill_reserve(self.node);
    }
}

#[derive(Debug)]
struct SimulatedStream {
    network: SharedNetwork,
    end: EndId,
    /// Dropping the stream resets the connection.
    resets: bool,
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        let mut network = self.network.borrow_mut();
        if self.resets {
            network.reset(self.end);
        } else {
            network.close(self.end);
        }
    }
}

impl Stream for SimulatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.borrow_mut().read(self.end, buffer)
    }

    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.borrow_mut().peek(self.end, buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.network.borrow_mut().write(self.end, data)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.network.borrow_mut().finish(self.end);
        Ok(())
    }

    fn set_abortive_close(&mut self) {
        self.resets = true;
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.network.borrow_mut().error_of(self.end).map(io::Error::from))
    }

    fn is_established(&mut self) -> io::Result<bool> {
        let mut network = self.network.borrow_mut();
        match network.outcome(self.end) {
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error.into()),
            None if network.is_local(self.end) => Ok(network.reach_unix(self.end)?),
            None => Ok(false),
        }
    }

    fn connect_retry_delay(&self) -> Option<Duration> {
        self.network.borrow().is_backlogged(self.end).then_some(UNIX_CONNECT_RETRY_DELAY)
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        self.network.borrow_mut().watch(self.end, id.to_bits());
        Ok(())
    }

    fn local_addr(&self) -> io::Result<Address> {
        let address = self.network.borrow_mut().address_of(self.end);
        address.ok_or(io::ErrorKind::NotConnected.into())
    }

    /// Returns the credentials of a program of the superuser.
    fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        let is_local = self.network.borrow().is_local(self.end);
        Ok(is_local.then(|| PeerCredentials::new(None, SUPERUSER, 0)))
    }

    fn simulated_link(&self) -> Option<u64> {
        self.network.borrow().raw_end_link(self.end)
    }

    fn set_no_delay(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    fn set_keep_alive(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }
}
