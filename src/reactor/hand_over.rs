//! Handing over: passes ports to a successor, takes those of a predecessor.

use super::Reactor;
use super::errors::RunError;
use super::lifecycle::StopCause;
use super::open_port::OpenPort;
use super::predecessor::{PassedSocket, Predecessor};
use super::succession::Succession;
use crate::arena::Id;
use crate::driver::PortDescriptors;
use crate::endpoint::name_of_address;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

/// Time between two looks at a successor that this process has started, to see whether it has
/// ended: nothing waits for that but the log and the system's table of processes.
const CHILD_CHECK_INTERVAL: Duration = Duration::from_millis(250);

impl Reactor {
    /// Starts a successor: this program once more, with the same arguments and environment. Returns
    /// its process id.
    ///
    /// It is started by the name that this process was started with, so that a version which has
    /// been installed there since then is what runs; a name without a slash is looked for in
    /// `PATH`, and a relative one in the working directory. Its arguments have to tell it to
    /// [`take_over`](Self::take_over) from this process, which has to
    /// [`hand_over`](Self::hand_over) to it. If it ends before it has, that is logged as an error,
    /// and this process continues.
    ///
    /// ```no_run
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.on_signal("SIGHUP", |reactor| {
    ///     if let Err(error) = reactor.start_successor() {
    ///         log::error!("cannot restart: {error}");
    ///     }
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The program could not be started, which no simulated one can; or a successor is starting up,
    /// or has taken over, which is an error of the kind
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); or this process is asked to stop, which is
    /// one of the kind [`Other`](io::ErrorKind::Other).
    pub fn start_successor(&mut self) -> io::Result<u32> {
        let is_there = match &self.succession {
            Succession::None => None,
            Succession::Started(child) => Some(format!("process {}, is starting", child.id())),
            Succession::HandedOver => Some("which has taken over, is there".to_owned()),
        };
        if let Some(why) = is_there {
            let why = format!("a successor, {why}");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        // It would find nobody to take over from, and serve what was to end.
        if self.is_stop_requested() {
            return Err(io::Error::other("this process is stopping"));
        }
        let child = self.driver.start_program()?;
        let id = child.id();
        log::info!("started a successor, process {id}");
        self.succession = Succession::Started(child);
        self.call_every(CHILD_CHECK_INTERVAL, Self::check_successor);
        Ok(id)
    }

    /// Looks whether a successor that this process has started has ended.
    fn check_successor(&mut self) -> ControlFlow<()> {
        let Succession::Started(child) = &mut self.succession else {
            return ControlFlow::Break(());
        };
        let ended = match child.ended() {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        log::error!("the successor {} has ended, this process continues: {ended}", child.id());
        self.succession = Succession::None;
        ControlFlow::Break(())
    }

    /// Returns true once a successor has taken over, until the end of the run: this process is
    /// draining, or about to, and its clients can connect again at once. A protocol may ask in
    /// [`drain_requested`](crate::Protocol::drain_requested), to say so in its goodbye. Of several
    /// shards it is true on all, when one of them is handed over.
    pub fn is_handed_over(&self) -> bool {
        matches!(self.succession, Succession::HandedOver)
    }

    /// Returns the ids of all ports, to pass them one after the other.
    pub(crate) fn port_ids(&self) -> Vec<Id> {
        self.ports.iter().map(|(id, _)| id).collect()
    }

    /// Returns duplicates of a port's descriptors and the names of its socket, as requested and as
    /// bound; `None` if it is closed, or has no socket: another shard accepts its clients.
    pub(crate) fn share_port(
        &self,
        id: Id,
    ) -> Option<io::Result<(PortDescriptors, String, String)>> {
        let port = self.ports.get(id)?;
        let requested = port.requested.clone().unwrap_or_default();
        let bound = name_of_address(&port.address());
        let shared = port.listener.share().transpose()?;
        Some(shared.map(|descriptors| (descriptors, requested, bound)))
    }

    /// Returns true if ports can be taken over from other processes.
    pub(crate) fn takes_over(&self) -> bool {
        self.driver.takes_over()
    }

    /// Returns true if a user is that of this process.
    pub(crate) fn is_own_user(&self, user: u32) -> bool {
        self.driver.user_id() == Some(user)
    }

    /// Says whether this process owns these ports, and so removes the file of a Unix socket when it
    /// closes it. Those that are closed already do not change.
    pub(crate) fn set_ports_owned(&mut self, ports: &[Id], is_owned: bool) {
        for id in ports {
            if let Some(port) = self.ports.get_mut(*id) {
                port.listener.set_owned(is_owned);
            }
        }
    }

    /// Leaves these ports to a successor, with the clients that wait on them, and drains.
    pub(crate) fn leave_to_successor(&mut self, ports: &[Id], process: Option<u32>) {
        self.set_ports_owned(ports, false);
        for id in ports {
            self.close_port(*id);
        }
        self.stop_all(self.settings.drain_timeout, StopCause::HandOver { process });
    }

    /// Notes that a successor has taken over, be it from this reactor or from another shard.
    pub(super) fn note_handed_over(&mut self, process: Option<u32>) {
        self.succession = Succession::HandedOver;
        self.notify_handed_over(process);
    }

    /// Keeps the sockets of a predecessor, for `listen` to find them.
    pub(crate) fn set_predecessor(&mut self, predecessor: Predecessor) {
        self.predecessor = Some(Box::new(predecessor));
    }

    /// Returns true if this process stands in the place of another one, or is about to.
    pub(crate) fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Removes and returns the socket of the predecessor that a name asks for.
    pub(super) fn take_passed(&mut self, name: &str) -> Option<PassedSocket> {
        self.predecessor.as_mut()?.take(name)
    }

    /// Tells the predecessor that this process has started up, and waits until it accepts no more.
    /// If a stop is requested by now, the predecessor continues instead: it must not leave its
    /// clients to a process that is about to end.
    pub(super) fn succeed(&mut self) -> Result<(), RunError> {
        if self.predecessor.is_none() {
            return Ok(());
        }
        // A signal that came while triggers ran, or another thread, may have asked for a stop.
        if let Err(error) = self.wait(Some(Duration::ZERO)) {
            self.predecessor = None;
            return Err(self.withdraw(RunError::Poll(error)));
        }
        self.run_calls();
        let Some(predecessor) = self.predecessor.take() else { return Ok(()) };
        if self.is_stop_requested() {
            log::info!("this process is to stop before it is ready, and takes nothing over");
            self.leave_to_predecessor();
            return Ok(());
        }
        let Predecessor { sockets, tell_ready } = *predecessor;
        for socket in &sockets {
            log::info!("closing {}, which only the predecessor listened on", socket.bound);
        }
        drop(sockets);
        let mut taken: Vec<usize> =
            self.ports.iter().filter_map(|(_, port)| port.taken_over).collect();
        taken.sort_unstable();
        if let Err(error) = tell_ready(&taken) {
            return Err(self.withdraw(RunError::TakeOver(error)));
        }
        let ports = self.port_ids();
        for id in ports {
            if let Some(port) = self.ports.get_mut(id) {
                if port.taken_over.take().is_some() {
                    port.listener.set_owned(true);
                }
            }
        }
        Ok(())
    }

    /// Ends a run that cannot begin. The predecessor serves the clients of the ports that were
    /// taken over: this process must not, whatever it does next.
    fn withdraw(&mut self, error: RunError) -> RunError {
        self.leave_to_predecessor();
        self.shut_down();
        error
    }

    /// Closes the ports that were taken over, whose clients are the predecessor's, and says nothing
    /// more to the service manager: the predecessor is the service.
    fn leave_to_predecessor(&mut self) {
        let is_taken = |it: &(Id, &OpenPort)| it.1.taken_over.is_some();
        let taken: Vec<Id> = self.ports.iter().filter(is_taken).map(|(id, _)| id).collect();
        for id in taken {
            self.close_port(id);
        }
        self.notify_handed_over(None);
    }
}
