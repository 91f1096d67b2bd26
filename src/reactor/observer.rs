//! Being watched: whoever tests a program learns of every callback, without a change to it. Only
//! with the feature `testing`.

use super::panic::guard;
use super::{Reactor, RunState};
use crate::arena::Arena;
use crate::callback_kind::CallbackKind;
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::fmt::Debug;
use std::io;
use std::rc::Rc;

/// Something happened to a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening<'a> {
    /// It was built.
    Built(&'a Transport),
    /// A callback is made, other than `connection_lost`.
    Called(CallbackKind),
    /// `connection_lost` is called.
    Lost(&'a Reason),
    /// It will never be: the connection could not be made.
    NotMade(io::ErrorKind),
}

/// Who watches a reactor.
pub(crate) trait Watch: Debug {
    fn happens(&self, connection: ConnectionId, happening: Happening<'_>);
}

/// What a reactor holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenResources {
    /// Open ports.
    pub ports: usize,
    /// Factories that are in use.
    pub factories: usize,
    /// Connections, with those that are yet to be made and those whose protocols are gone and which
    /// linger.
    pub connections: usize,
    /// Timers that are set.
    pub timers: usize,
}

impl Reactor {
    /// From here on `observer` learns of every callback, before it is made.
    pub(crate) fn watch(&mut self, observer: Rc<dyn Watch>) {
        self.observer = Some(observer);
    }

    pub(super) fn notify_observer(&self, transport: &Transport, happening: Happening<'_>) {
        if let Some(observer) = &self.observer {
            observer.happens(transport.id(), happening);
        }
    }

    /// The machine loses its power: everything is gone, and nobody is told.
    pub(crate) fn crash(mut self) {
        self.run_state = RunState::Idle;
        let factories = std::mem::replace(&mut self.factories, Arena::new());
        if guard(|| drop(factories)).is_err() {
            log::error!("dropping a factory panicked");
        }
    }

    pub(crate) fn open_resources(&self) -> OpenResources {
        OpenResources {
            ports: self.ports.len(),
            factories: self.factories.len(),
            connections: self.connections.len(),
            timers: self.timers.len(),
        }
    }
}
