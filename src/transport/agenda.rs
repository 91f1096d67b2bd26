//! What callbacks leave for the loop to do, shared by a reactor and its transports.

use super::outbox::CAPACITY_KEPT;
use crate::arena::Id;
use std::cell::{Cell, RefCell};

/// The transports that callbacks have touched, and the one whose callback is running.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    /// Settled without being asked for, when its callback returns; so it is not listed.
    current: Cell<Option<Id>>,
    touched: RefCell<Vec<Id>>,
    /// The memory of an outbox that ran empty, for the next that fills: most connections have
    /// nothing unsent most of the time, and need no buffer of their own.
    spare: RefCell<Vec<u8>>,
}

impl Agenda {
    /// From here on `id` is the connection whose callback is running.
    pub(crate) fn enter(&self, id: Id) -> Option<Id> {
        self.current.replace(Some(id))
    }

    pub(crate) fn leave(&self, previous: Option<Id>) {
        self.current.set(previous);
    }

    /// Lists a transport to be settled; false if it is settled anyway.
    pub(crate) fn touch(&self, id: Id) -> bool {
        let elsewhere = self.current.get() != Some(id);
        if elsewhere {
            self.touched.borrow_mut().push(id);
        }
        elsewhere
    }

    pub(crate) fn len(&self) -> usize {
        self.touched.borrow().len()
    }

    /// Takes the list; what is touched from here on is on the next. `emptied` becomes its memory.
    pub(crate) fn take(&self, emptied: Vec<Id>) -> Vec<Id> {
        debug_assert!(emptied.is_empty());
        self.touched.replace(emptied)
    }

    pub(crate) fn spare_out(&self) -> Vec<u8> {
        self.spare.take()
    }

    pub(crate) fn spare_in(&self, buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if (spare.capacity()..=CAPACITY_KEPT).contains(&buffer.capacity()) {
            *spare = buffer;
        }
    }
}
