//! The limit on unsent bytes of all connections together, and losing the slowest consumers above
//! it.

use super::{Inner, Transport};
use crate::reason::Reason;
use std::cmp::Reverse;
use std::rc::Rc;

impl Transport {
    /// Lists a connection that has something unsent, once.
    pub(crate) fn note_backlog(&self) {
        let wire = &mut *self.0.wire.borrow_mut();
        if wire.unsent() > 0 && !std::mem::replace(&mut wire.readiness.backlogged, true) {
            let origin = Rc::clone(&wire.origin);
            origin.agenda.list_backlogged(Rc::downgrade(&self.0));
        }
    }

    /// A write to this connection has brought all connections above their limit. Offers it to the
    /// socket first. If that is not enough, the slowest consumers are lost at once, until three
    /// quarters of the limit are left: freeing a quarter at a time keeps the look at all of them
    /// rare.
    #[cold]
    pub(super) fn shed_unsent(&self) {
        let origin = {
            let wire = &mut *self.0.wire.borrow_mut();
            wire.offer_now();
            Rc::clone(&wire.origin)
        };
        let agenda = &*origin.agenda;
        if agenda.has_room_for(0) {
            return;
        }
        self.note_backlog();
        let (total, max) = (agenda.unsent(), agenda.max_unsent_total());
        let listed = agenda.backlogged().into_iter().filter_map(|it| it.upgrade()).map(Self);
        let mut all: Vec<(usize, Self)> = listed.map(|it| (it.unsent(), it)).collect();
        all.retain(|(unsent, _)| *unsent > 0);
        all.sort_unstable_by_key(|(unsent, it)| (Reverse(*unsent), it.0.id));
        let mut lost = 0;
        for (_, transport) in all {
            if agenda.unsent() <= max - max / 4 {
                break;
            }
            transport.overflow();
            lost += 1;
        }
        log::warn!("{total} bytes are unsent, {max} may be: the {lost} slowest readers are lost");
    }

    /// Ends the connection with [`Reason::Overflow`], and frees its unsent bytes at once.
    fn overflow(&self) {
        let mut wire = self.0.wire.borrow_mut();
        let count = wire.discard();
        wire.agenda().count_shed(count);
        let displaced = wire.state.end(Reason::Overflow);
        wire.agenda().hurry();
        self.touch(&mut wire);
        drop(wire);
        // Only now: it may hold an error of the user's, whose drop is the user's code.
        drop(displaced);
    }
}

impl Inner {
    /// False if nothing is unsent: it is no longer on the list.
    pub(super) fn stays_backlogged(&self) -> bool {
        let wire = &mut *self.wire.borrow_mut();
        wire.readiness.backlogged = wire.unsent() > 0;
        wire.readiness.backlogged
    }
}
