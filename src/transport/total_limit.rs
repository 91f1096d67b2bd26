//! Limit on the unsent bytes of all connections together: above it the slowest consumers are
//! closed.

use super::{Inner, Transport};
use crate::reason::Reason;
use std::cmp::Reverse;
use std::rc::Rc;

impl Transport {
    /// Lists a connection that has unsent bytes, once.
    pub(crate) fn list_unsent(&self) {
        let connection = &mut *self.0.connection.borrow_mut();
        if connection.unsent() > 0
            && !std::mem::replace(&mut connection.readiness.listed.unsent, true)
        {
            let listener = Rc::clone(&connection.listener);
            listener.hub.list_unsent(Rc::downgrade(&self.0));
        }
    }

    /// Brings all connections below their limit again, after a write to this one. Offers it to the
    /// socket first. If that is not enough, the slowest consumers are closed at once, until three
    /// quarters of the limit are left: freeing a quarter at a time keeps the search through all of
    /// them rare.
    #[cold]
    pub(super) fn shed_unsent(&self) {
        let listener = {
            let connection = &mut *self.0.connection.borrow_mut();
            connection.offer_now();
            Rc::clone(&connection.listener)
        };
        let hub = &*listener.hub;
        if hub.has_room_for(0) {
            return;
        }
        self.list_unsent();
        let (total, max) = (hub.unsent(), hub.max_unsent_total());
        let listed = hub.listed_unsent().into_iter().filter_map(|it| it.upgrade()).map(Self);
        let mut all: Vec<(usize, Self)> = listed.map(|it| (it.unsent(), it)).collect();
        all.retain(|(unsent, _)| *unsent > 0);
        all.sort_unstable_by_key(|(unsent, it)| (Reverse(*unsent), it.0.id));
        let mut lost = 0;
        for (_, transport) in all {
            if hub.unsent() <= max - max / 4 {
                break;
            }
            transport.overflow();
            lost += 1;
        }
        log::warn!(
            "write buffers hold {total} bytes (limit {max}); closed the {lost} slowest consumers"
        );
    }

    /// Ends the connection with [`Reason::Overflow`], and frees its unsent bytes at once.
    fn overflow(&self) {
        let mut connection = self.0.connection.borrow_mut();
        let count = connection.discard();
        connection.hub().count_shed(count);
        let displaced = connection.state.end(Reason::Overflow);
        connection.hub().flush_now();
        self.mark_dirty(&mut connection);
        drop(connection);
        // After the borrow: a displaced reason may hold a user's error, whose drop is user code.
        drop(displaced);
    }
}

impl Inner {
    /// Returns true if the connection has unsent bytes. If not, its flag is cleared: it leaves the
    /// list.
    pub(super) fn stays_listed(&self) -> bool {
        let connection = &mut *self.connection.borrow_mut();
        connection.readiness.listed.unsent = connection.unsent() > 0;
        connection.readiness.listed.unsent
    }
}
