//! Faulty listener: a port, one call on which may fail.

use super::call_failure::CallFailure;
use super::driver_faults::DriverFaults;
use super::stream::FaultyStream;
use super::system_call::SystemCall;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Handoff, Listener, PortDescriptors};
use std::io;

#[derive(Debug)]
pub(super) struct FaultyListener {
    inner: Box<dyn Listener>,
    id: Id,
    faults: DriverFaults,
}

impl FaultyListener {
    pub(super) fn new(inner: Box<dyn Listener>, id: Id, faults: DriverFaults) -> Self {
        faults.events.open_port(id);
        Self { inner, id, faults }
    }

    fn check(&self, call: SystemCall) -> io::Result<()> {
        match self.faults.count(call, None) {
            None => Ok(()),
            Some(failure) => {
                if failure == CallFailure::WouldBlock {
                    self.faults.events.owe_port(self.id);
                }
                Err(failure.error())
            }
        }
    }

    fn wrap(&self, (stream, peer): (AnyStream, Address)) -> (AnyStream, Address) {
        let stream = FaultyStream::new(stream, peer.clone(), self.faults.clone());
        (AnyStream::Other(Box::new(stream)), peer)
    }
}

impl Drop for FaultyListener {
    fn drop(&mut self) {
        self.faults.events.close_port(self.id);
    }
}

impl Listener for FaultyListener {
    fn address(&self) -> Address {
        self.inner.address()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        self.check(SystemCall::Accept)?;
        self.inner.accept().map(|accepted| self.wrap(accepted))
    }

    fn accept_handoff(&mut self) -> io::Result<(Handoff, Address)> {
        self.check(SystemCall::Accept)?;
        self.inner.accept_handoff()
    }

    fn seal(&mut self) {
        self.inner.seal();
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        self.check(SystemCall::AcceptWithReserve)?;
        self.inner.accept_with_reserve().map(|accepted| self.wrap(accepted))
    }

    fn shed(&mut self, limit: usize) -> usize {
        self.inner.shed(limit)
    }

    fn refill_reserve(&mut self) {
        self.inner.refill_reserve();
    }

    fn share(&self) -> io::Result<Option<PortDescriptors>> {
        self.inner.share()
    }

    fn set_owned(&mut self, is_owned: bool) {
        self.inner.set_owned(is_owned);
    }
}
