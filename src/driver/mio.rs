//! `MioDriver`: the clock, the sockets and the signals of the operating system, and `mio`'s poller.

#[cfg(unix)]
use super::PortDescriptors;
#[cfg(unix)]
use super::adopted;
#[cfg(target_os = "linux")]
use super::inherited;
use super::resolver_threads::ResolverThreads;
#[cfg(target_os = "linux")]
use super::service_manager::NotifySocket;
#[cfg(all(unix, feature = "signals"))]
use super::signals::Signals;
use super::tcp_listener::{Reserve, TcpListener};
use super::tcp_stream::TcpStream;
use super::thread_pool::Threads;
#[cfg(unix)]
use super::unix_listener::UnixListener;
#[cfg(unix)]
use super::unix_stream::UnixStream;
use super::{
    Adopter, AnyStream, Driver, Edges, Handoff, Listener, Notification, Ready, ServiceManager,
    StartedProgram, Wake, Work,
};
use crate::address::Address;
use crate::arena::Id;
use crate::endpoint::{ClientCarrier, ServerCarrier};
use crate::resolver::{Answer, Resolver};
use mio::{Events, Poll, Registry, Token};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events fetched in one wait. The next turn fetches the rest, so the number only bounds the memory
/// (12 bytes each) and the length of a turn.
const EVENTS_MAX: usize = 1024;

/// The longest wait that every poller accepts: kqueue rejects one of several years. The loop then
/// waits again; once a day, that costs nothing.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The top bit distinguishes ports from streams; ids leave it clear.
const PORT: usize = 1 << (usize::BITS - 1);
const WAKER: Token = Token(usize::MAX);
#[cfg(all(unix, feature = "signals"))]
const SIGNALS: Token = Token(usize::MAX - 1);

#[derive(Debug)]
pub(crate) struct MioDriver {
    poll: Poll,
    events: Events,
    /// The last wait filled `events`.
    full: bool,
    /// Shared, since streams and ports register themselves.
    registry: Rc<Registry>,
    waker: Arc<dyn Wake>,
    reserve: Rc<Reserve>,
    threads: Threads,
    names: ResolverThreads,
    #[cfg(all(unix, feature = "signals"))]
    signals: Option<Signals>,
    #[cfg(target_os = "linux")]
    notify_socket: Option<NotifySocket>,
}

impl MioDriver {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker: Arc<dyn Wake> = Arc::new(mio::Waker::new(&registry, WAKER)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            full: false,
            registry: Rc::new(registry),
            names: ResolverThreads::new(Arc::clone(&waker)),
            waker,
            reserve: Rc::default(),
            threads: Threads::default(),
            #[cfg(all(unix, feature = "signals"))]
            signals: None,
            #[cfg(target_os = "linux")]
            notify_socket: None,
        })
    }
}

#[cfg(all(unix, feature = "signals"))]
impl MioDriver {
    fn signals(&mut self) -> io::Result<&mut Signals> {
        match &mut self.signals {
            Some(signals) => Ok(signals),
            none => Ok(none.insert(Signals::new(&self.registry, SIGNALS)?)),
        }
    }
}

/// Adopts sockets of the operating system.
#[derive(Debug)]
struct SocketAdopter(Rc<Registry>);

impl Adopter for SocketAdopter {
    fn adopt(&self, handoff: Handoff, _: &Address) -> io::Result<AnyStream> {
        let registry = Rc::clone(&self.0);
        match handoff {
            Handoff::Tcp(socket) => {
                let socket = mio::net::TcpStream::from_std(socket);
                Ok(AnyStream::Tcp(TcpStream::new(socket, registry)))
            }
            #[cfg(unix)]
            Handoff::Unix(socket) => {
                let socket = mio::net::UnixStream::from_std(socket);
                Ok(AnyStream::Other(Box::new(UnixStream::new(socket, registry))))
            }
            Handoff::Other(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Wake for mio::Waker {
    fn wake(&self) {
        // Fails only if the reactor is gone, and then nothing needs to be woken.
        let _ = self.wake();
    }
}

impl Driver for MioDriver {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn seed(&mut self) -> u64 {
        // The keys of hash maps, which the standard library takes from the operating system.
        RandomState::new().build_hasher().finish()
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.full = false;

        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        self.full = self.events.iter().count() >= EVENTS_MAX;
        for event in &self.events {
            match event.token() {
                WAKER => {}
                #[cfg(all(unix, feature = "signals"))]
                SIGNALS => {
                    if let Some(signals) = &mut self.signals {
                        ready.extend(signals.received().map(Ready::Signal));
                    }
                }
                Token(bits) if bits & PORT != 0 => ready.push(Ready::Port(bits & !PORT)),
                Token(bits) => {
                    let edges = Edges {
                        readable: event.is_readable() || event.is_read_closed(),
                        writable: event.is_writable(),
                        read_closed: event.is_read_closed(),
                        priority: event.is_priority(),
                        error: event.is_error(),
                    };
                    ready.push(Ready::Stream { token: bits, edges });
                }
            }
        }
        if self.names.awaits_answers() {
            self.names.report(ready);
        }
        Ok(())
    }

    fn sched_yield(&self) {
        std::thread::yield_now();
    }

    fn may_have_more(&self) -> bool {
        self.full
    }

    fn listen(&mut self, at: &ServerCarrier, id: Id) -> io::Result<Box<dyn Listener>> {
        let token = Token(id.to_bits() | PORT);
        let (registry, reserve) = (Rc::clone(&self.registry), Rc::clone(&self.reserve));
        match at {
            ServerCarrier::Tcp(at) => {
                Ok(Box::new(TcpListener::bind(at, token, registry, reserve)?))
            }
            #[cfg(unix)]
            ServerCarrier::Unix(at) => {
                Ok(Box::new(UnixListener::bind(at, token, registry, reserve)?))
            }
            #[cfg(not(unix))]
            ServerCarrier::Unix(_) => Err(crate::endpoint::UnixSocketError::Unsupported.into()),
            #[cfg(target_os = "linux")]
            ServerCarrier::Inherited(at) => {
                let (family, socket) = inherited::take(at.selector(), at.family())?;
                adopted::listen(family, socket, token, registry, reserve)
            }
            #[cfg(not(target_os = "linux"))]
            ServerCarrier::Inherited(_) => {
                let why = "inherited sockets are supported on Linux only";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    #[cfg(unix)]
    fn adopt(&mut self, socket: OwnedFd, id: Id) -> io::Result<Box<dyn Listener>> {
        let token = Token(id.to_bits() | PORT);
        let (registry, reserve) = (Rc::clone(&self.registry), Rc::clone(&self.reserve));
        adopted::adopt(socket, token, registry, reserve)
    }

    #[cfg(unix)]
    fn take_over(
        &mut self,
        port: PortDescriptors,
        at: &ServerCarrier,
        id: Id,
    ) -> io::Result<Box<dyn Listener>> {
        let token = Token(id.to_bits() | PORT);
        let (registry, reserve) = (Rc::clone(&self.registry), Rc::clone(&self.reserve));
        adopted::take_over(port, at, token, registry, reserve)
    }

    fn takes_over(&self) -> bool {
        cfg!(unix)
    }

    fn start_program(&mut self) -> io::Result<StartedProgram> {
        StartedProgram::start()
    }

    #[cfg(unix)]
    fn user_id(&self) -> Option<u32> {
        Some(nix::unistd::geteuid().as_raw())
    }

    fn adopter(&self) -> Box<dyn Adopter> {
        Box::new(SocketAdopter(Rc::clone(&self.registry)))
    }

    fn connect(&mut self, to: &ClientCarrier, id: Id) -> io::Result<AnyStream> {
        let registry = Rc::clone(&self.registry);
        match to {
            ClientCarrier::Tcp(to) => TcpStream::connect(to, id, registry).map(AnyStream::Tcp),
            #[cfg(unix)]
            ClientCarrier::Unix(to) => {
                let stream = UnixStream::connect(to, id, registry)?;
                Ok(AnyStream::Other(Box::new(stream)))
            }
            #[cfg(not(unix))]
            ClientCarrier::Unix(_) => Err(crate::endpoint::UnixSocketError::Unsupported.into()),
        }
    }

    fn resolve(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        self.names.ask(host, port, id)
    }

    fn take_answer(&mut self, id: Id) -> Option<Answer> {
        self.names.take_answer(id)
    }

    fn cancel_resolve(&mut self, id: Id) {
        self.names.cancel(id);
    }

    fn set_resolver(&mut self, resolver: Arc<dyn Resolver>) {
        self.names.set_resolver(resolver);
    }

    fn spawn_blocking(&mut self, work: Work, max_blocking_threads: usize) -> io::Result<()> {
        self.threads.run(work, max_blocking_threads)
    }

    fn take_waiting_work(&mut self) -> Vec<Work> {
        self.threads.take_waiting()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.waker)
    }

    #[cfg(all(unix, feature = "signals"))]
    fn install_signal_handlers(&mut self) -> io::Result<()> {
        let installed = self.signals()?.watch_stopping();
        if installed.is_err() {
            self.restore_signal_handlers();
        }
        installed
    }

    #[cfg(not(all(unix, feature = "signals")))]
    fn install_signal_handlers(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn restore_signal_handlers(&mut self) {
        #[cfg(all(unix, feature = "signals"))]
        {
            self.signals = self.signals.take().and_then(Signals::without_stopping);
        }
    }

    #[cfg(all(unix, feature = "signals"))]
    fn watch_signal(&mut self, name: &'static str) -> io::Result<()> {
        let watched = self.signals()?.watch(name);
        if watched.is_err() {
            self.unwatch_signal(name);
        }
        watched
    }

    #[cfg(not(all(unix, feature = "signals")))]
    fn watch_signal(&mut self, name: &'static str) -> io::Result<()> {
        let why = format!("{name} needs Unix and the feature `signals`");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn unwatch_signal(&mut self, name: &'static str) {
        #[cfg(all(unix, feature = "signals"))]
        {
            self.signals = self.signals.take().and_then(|signals| signals.without(name));
        }
        #[cfg(not(all(unix, feature = "signals")))]
        let _ = name;
    }

    #[cfg(target_os = "linux")]
    fn find_service_manager(&mut self, is_successor: bool) -> io::Result<Option<ServiceManager>> {
        let (socket, manager) = NotifySocket::find(is_successor)?.unzip();
        self.notify_socket = socket;
        Ok(manager)
    }

    #[cfg(not(target_os = "linux"))]
    fn find_service_manager(&mut self, _: bool) -> io::Result<Option<ServiceManager>> {
        Ok(None)
    }

    fn notify_service_manager(&mut self, notification: &Notification) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.notify_socket {
            return socket.send(notification);
        }
        let _ = notification;
        Err(io::ErrorKind::NotConnected.into())
    }

    #[cfg(unix)]
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.poll.registry().as_fd()
    }
}
