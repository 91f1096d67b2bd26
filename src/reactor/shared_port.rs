//! Ports of several shards: one reactor accepts, and hands clients over to the others.

use super::Reactor;
use super::accept::Pace;
use super::distributor::{Balance, Distributor, Target};
use super::errors::ListenError;
use super::factories::IntoFactory;
use super::listener::ListeningPort;
use super::open_port::OpenPort;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{HandoffListener, Handoffs};
use crate::endpoint::ServerEndpoint;
use std::io;
use std::sync::Arc;

impl Reactor {
    /// Listens on an endpoint for all shards; the first of `shards` is this reactor's.
    pub(crate) fn listen_for_shards<S: IntoFactory>(
        &mut self,
        endpoint: ServerEndpoint,
        factory: S,
        shards: Arc<[Arc<Handoffs>]>,
        balance: Balance,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        let port = endpoint.listen(self, factory)?;
        if let Some(own) = shards.first() {
            self.report_load(port.key().id, own);
        }
        if let Some(open) = self.ports.get_mut(port.slot()) {
            open.distributor = Some(Distributor::new(shards, balance));
        }
        Ok(port)
    }

    /// Serves the clients that another shard accepts on `address` and puts into this queue.
    pub(crate) fn listen_to_shard<S: IntoFactory>(
        &mut self,
        endpoint: ServerEndpoint,
        factory: S,
        handoffs: &Arc<Handoffs>,
        address: Address,
    ) -> Result<ListeningPort<S::Factory>, ListenError> {
        let calls = Arc::clone(&self.calls);
        let queue = Arc::clone(handoffs);
        let port = self.listen_with(endpoint, factory, |driver, id| {
            let notify = move || calls.finish(move |reactor| reactor.notice_waiting(id));
            let adopter = driver.adopter();
            Ok(Box::new(HandoffListener::open(queue, adopter, address, Arc::new(notify))?))
        })?;
        self.report_load(port.key().id, handoffs);
        Ok(port)
    }

    /// Reports the number of a factory's clients to those who choose a shard, from now on.
    fn report_load(&mut self, factory: Id, handoffs: &Arc<Handoffs>) {
        // A factory that served the port before may still have clients.
        for slot in self.factories.iter_mut() {
            slot.loads.retain(|load| !Arc::ptr_eq(load, handoffs));
        }
        if let Some(slot) = self.factories.get_mut(factory) {
            handoffs.set_open(slot.admission.open());
            slot.loads.push(Arc::clone(handoffs));
        }
    }

    /// Chooses who gets the next client of a port.
    pub(super) fn target(&self, port: Id, factory: Id, pace: Pace) -> Target {
        let Some(OpenPort { distributor: Some(distributor), .. }) = self.ports.get(port) else {
            return Target::Own;
        };
        let now = self.driver.now();
        let slot = self.factories.get(factory);
        let has_token = slot.is_none_or(|slot| slot.may_accept(now));
        distributor.choose(pace == Pace::AtOnce || has_token)
    }

    /// Records that the client has come for whom this target was chosen.
    pub(super) fn record_target(&mut self, port: Id, target: &Target) {
        let distributor = self.ports.get_mut(port).and_then(|port| port.distributor.as_mut());
        if let Some(distributor) = distributor {
            distributor.record(target);
        }
    }

    /// Accepts a client for another shard. If that takes none by now, it becomes a client of this
    /// one: it has connected, and must not be lost.
    pub(super) fn accept_for(&mut self, id: Id, shard: &Handoffs) -> io::Result<()> {
        let Some(port) = self.ports.get_mut(id) else { return Ok(()) };
        let (socket, peer) = port.listener.accept_handoff()?;
        let Err((socket, peer)) = shard.push(socket, peer) else {
            self.recorder.totals.handed_over += 1;
            return Ok(());
        };
        let stream = self.driver.adopter().adopt(socket, &peer)?;
        self.accept_stream(id, stream, peer);
        Ok(())
    }
}
