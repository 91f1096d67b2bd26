//! Shards of a simulated host: several reactors on one machine.

use super::Simulation;
use super::host::Host;
use crate::reactor::{Reactor, Settings};
use crate::shards::{Shard, Team};
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

type SetUpError = Box<dyn Error + Send + Sync>;

impl Simulation {
    /// Adds a host with several shards, as [`Shards::run`](crate::shards::Shards::run) starts them,
    /// and returns each as a host of its own. They have the same addresses, and stop together.
    ///
    /// `set_up` sets up the reactor of each shard, one after another, and again after a restart.
    /// Messages in mailboxes, and clients that one shard hands over to another, are noticed after
    /// the [wakeup delay](super::Conditions::wakeup_delay). Clients of a port that the shards share
    /// by `reuse_port` are spread at random.
    ///
    /// The first shard has the name of the host, and the others `server/1` and so on. A fault that
    /// names the host concerns all of them, and one that names another shard only that.
    ///
    /// ```
    /// use twistor::shards::{Balance, SharedPort};
    /// use twistor::testing::Simulation;
    /// use twistor::Protocol;
    ///
    /// struct Quiet;
    ///
    /// impl<F> Protocol<F> for Quiet {}
    ///
    /// let port = SharedPort::acceptor("tcp:8007".parse()?, Balance::RoundRobin);
    /// let simulation = Simulation::new(1);
    /// let shards = simulation.shards("server", 2, move |reactor, shard| {
    ///     Ok(port.listen(reactor, shard, || Quiet)?)
    /// });
    /// let _ann = simulation.peer("ann", shards[0].address(8007));
    /// let _bob = simulation.peer("bob", shards[0].address(8007));
    /// assert!(shards.iter().all(|shard| shard.open() == 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`host`](Self::host). Zero shards count as one.
    #[track_caller]
    pub fn shards<T: 'static>(
        &self,
        name: &str,
        count: usize,
        set_up: impl FnMut(&mut Reactor, &Shard) -> Result<T, SetUpError> + 'static,
    ) -> Vec<Host<T>> {
        let count = count.max(1);
        let set_up = Rc::new(RefCell::new(set_up));
        let team = Rc::new(RefCell::new(Team::new(count)));
        let mut hosts: Vec<Host<T>> = Vec::new();
        for index in 0..count {
            let name = if index == 0 { name.to_owned() } else { format!("{name}/{index}") };
            let node = match hosts.first() {
                None => self.0.network.borrow_mut().add_node(&name),
                Some(first) => self.0.network.borrow_mut().add_shard(&name, first.node()),
            };
            let (set_up, team) = (Rc::clone(&set_up), Rc::clone(&team));
            let boot = move |reactor: &mut Reactor| {
                if index == 0 {
                    *team.borrow_mut() = Team::new(count);
                }
                let team = Rc::clone(&team).borrow().clone();
                team.join(index, reactor);
                let shard = Shard::new(index, team);
                (set_up.borrow_mut())(reactor, &shard).map_err(|error| error as Box<dyn Error>)
            };
            hosts.push(self.add_host(&name, node, Settings::default(), boot));
        }
        self.settle();
        hosts
    }
}
