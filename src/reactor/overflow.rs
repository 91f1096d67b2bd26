//! Too much is unsent on all connections together.

use super::Reactor;
use super::connections::Connection;
use crate::arena::Id;
use crate::reason::Reason;

impl Reactor {
    /// Those who have the most unsent are lost until three quarters of the limit are left: so this
    /// is done seldom, however many connections there are to look at.
    pub(super) fn shed_unsent(&mut self) {
        let max = self.settings.unsent_total_max;
        if self.agenda.unsent() <= max {
            return;
        }
        let unsent = |(id, slot): (Id, &Connection)| match slot {
            Connection::Live(live) => Some((live.party.transport.unsent(), id)),
            Connection::Connecting(connecting) => Some((connecting.transport.unsent(), id)),
            Connection::Lingering(_) => None,
        };
        let mut all: Vec<(usize, Id)> = self.connections.iter().filter_map(unsent).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        // More than the agenda knows of: what was written last may not have been settled yet.
        let total: usize = all.iter().map(|(unsent, _)| unsent).sum();
        let (mut left, mut lost) = (total, 0);
        for (unsent, id) in all {
            if left <= max - max / 4 {
                break;
            }
            left -= unsent;
            lost += 1;
            match self.connections.get(id) {
                Some(Connection::Live(live)) => {
                    let party = live.party.clone();
                    party.transport.end(Reason::Overflow);
                    self.settle(&party);
                }
                Some(Connection::Connecting(connecting)) => {
                    connecting.transport.end(Reason::Overflow);
                    self.mind_connecting(id);
                }
                _ => {}
            }
        }
        log::warn!("{total} bytes are unsent, {max} may be: the {lost} slowest readers are lost");
    }
}
