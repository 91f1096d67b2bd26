//! A scripted port.

use super::{Script, ScriptedStream, Waiting};
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Listener};
use std::io;
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) struct ScriptedPort {
    pub(super) script: Script,
    pub(super) id: Id,
    /// Number of ports that were open before it.
    pub(super) number: usize,
    pub(super) address: Address,
}

impl Drop for ScriptedPort {
    fn drop(&mut self) {
        self.script.0.borrow_mut().ports.retain(|id| *id != self.id);
    }
}

impl Listener for ScriptedPort {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        let inner = &mut *self.script.0.borrow_mut();
        let here = |it: &Waiting| it.port.is_none_or(|port| port == self.number);
        let first = inner.accepts.iter().position(here).ok_or(io::ErrorKind::WouldBlock)?;
        let end = inner.accepts.remove(first).ok_or(io::ErrorKind::WouldBlock)?.outcome?;
        inner.accepted[self.number] += 1;
        let peer = SocketAddr::from((inner.ends[end].ip, end as u16));
        let stream = Box::new(ScriptedStream { script: self.script.clone(), end });
        let is_layer = inner.ends[end].is_layer();
        let stream = if is_layer { AnyStream::Layer(stream) } else { AnyStream::Other(stream) };
        Ok((stream, peer.into()))
    }

    fn accept_with_reserve(&mut self) -> io::Result<(AnyStream, Address)> {
        let accepted = self.accept()?;
        self.script.0.borrow_mut().has_reserve = false;
        Ok(accepted)
    }

    fn shed(&mut self, limit: usize) -> usize {
        (0..limit).take_while(|_| self.accept().is_ok()).count()
    }

    fn refill_reserve(&mut self) {
        let inner = &mut *self.script.0.borrow_mut();
        inner.refills += usize::from(!std::mem::replace(&mut inner.has_reserve, true));
    }
}
