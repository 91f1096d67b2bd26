//! The connections of a reactor: whose they are, and how they end.

use super::callback::Callback;
use super::connecting::Connecting;
use super::delayed::Job;
use super::lingering::{Courtesy, Lingering};
use super::panic::guard;
use super::producing::CHUNKS_PER_TURN;
use super::recorder::What;
use super::waiting::Overdue;
use super::{Life, Reactor};
use crate::arena::{Arena, Id};
use crate::reason::{Reason, TimeoutKind};
use crate::transport::{Next, Settled, Transport, Way};
use log::Level;
use std::time::Instant;

/// One slot of the table.
#[derive(Debug)]
pub(super) enum Connection {
    Live(Live),
    /// Is yet to be. Boxed, for there are few of them.
    Connecting(Box<Connecting>),
    /// The protocol has been told that the connection is over. This side has sent its FIN, and
    /// discards what the peer still sends.
    /// Boxed, for there are few of them.
    Lingering(Box<Lingering>),
}

/// A connection with a protocol.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) party: Party,
    /// Most connections have none.
    alarms: Option<Box<Alarms>>,
}

/// Whom a callback is for, and about what.
#[derive(Clone, Debug)]
pub(super) struct Party {
    /// Where the protocol is in its host. Half a word, since there is one for each connection.
    seat: u32,
    pub(super) transport: Transport,
}

/// A connection that was reset by [`Transport::abort_connection`] or for a like reason; its
/// `connection_lost` is due.
#[derive(Debug)]
pub(super) struct Aborted {
    pub(super) id: Id,
    pub(super) reason: Reason,
    /// Bytes that were discarded.
    pub(super) unsent: usize,
}

/// The timers of one connection.
#[derive(Debug, Default)]
struct Alarms {
    /// Set by the protocol. Fired ones are weeded out as the list grows.
    set: Vec<Id>,
    /// Ends a connection that is closing and whose peer takes nothing.
    close: Option<Id>,
    /// Looks at how long the peer has been waited for.
    patience: Option<(Id, Instant)>,
    /// Wakes one that waits for the rate that is set.
    rate: Option<(Id, Instant)>,
}

/// A protocol's list of timers is not weeded before it is this long.
const WEED_MIN: usize = 8;

impl Live {
    /// A connection whose protocol is yet to be built.
    pub(super) fn new(transport: Transport) -> Self {
        let party = Party { seat: u32::MAX, transport };
        Self { party, alarms: None }
    }

    #[cfg(test)]
    pub(super) fn noted_timers(&self) -> usize {
        self.alarms.as_ref().map_or(0, |alarms| alarms.set.len())
    }

    /// The timer that looks at how long the peer has been waited for, and when.
    pub(super) fn patience(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.alarms.get_or_insert_default().patience
    }

    /// The timer that wakes a connection that waits for its rate, and when.
    pub(super) fn rate(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.alarms.get_or_insert_default().rate
    }

    /// Notes a timer of the protocol, to be cancelled with the connection.
    pub(super) fn note_timer(&mut self, timer: Id, is_set: impl Fn(Id) -> bool) {
        let set = &mut self.alarms.get_or_insert_default().set;
        if set.len() >= WEED_MIN && set.len() == set.capacity() {
            set.retain(|&timer| is_set(timer));
            if set.len() > set.capacity() / 2 {
                // Most are set in truth: not to be looked through again for each.
                set.reserve(set.capacity());
            }
        }
        set.push(timer);
    }
}

impl Party {
    pub(super) fn id(&self) -> Id {
        self.transport.slot()
    }

    /// Where its factory and its protocol live.
    pub(super) fn host(&self) -> Id {
        self.transport.factory()
    }

    pub(super) fn seat(&self) -> usize {
        self.seat as usize
    }

    pub(super) fn take_seat(&mut self, seat: usize) {
        self.seat = u32::try_from(seat).unwrap_or(u32::MAX);
    }
}

impl Arena<Connection> {
    pub(super) fn party(&self, id: Id) -> Option<Party> {
        self.live(id).map(|live| live.party.clone())
    }

    pub(super) fn all_live(&self) -> impl Iterator<Item = (Id, &Live)> {
        self.iter().filter_map(|(id, slot)| match slot {
            Connection::Live(live) => Some((id, live)),
            _ => None,
        })
    }

    pub(super) fn all_lingering_mut(&mut self) -> impl Iterator<Item = &mut Lingering> {
        self.iter_mut().filter_map(|slot| match slot {
            Connection::Lingering(lingering) => Some(&mut **lingering),
            _ => None,
        })
    }

    pub(super) fn live(&self, id: Id) -> Option<&Live> {
        match self.get(id) {
            Some(Connection::Live(live)) => Some(live),
            _ => None,
        }
    }

    pub(super) fn live_mut(&mut self, id: Id) -> Option<&mut Live> {
        match self.get_mut(id) {
            Some(Connection::Live(live)) => Some(live),
            _ => None,
        }
    }
}

impl Reactor {
    /// Makes a callback and carries out what it wished for its own connection.
    pub(super) fn call(&mut self, party: &Party, callback: Callback<'_>) {
        self.deliver(party, callback);
        self.settle(party);
    }

    /// Carries out what callbacks wished for a connection: sends, and ends what is to end. True if
    /// the socket took something.
    pub(super) fn settle(&mut self, party: &Party) -> bool {
        let transport = &party.transport;
        let (mut resumed, mut told, mut produced) = (false, false, 0);
        let mut settled = Settled::default();
        loop {
            match transport.settle(&mut settled) {
                Next::Stay => break,
                Next::Drain => {
                    self.mind_close_timeout(party.id(), settled.sent);
                    break;
                }
                // A protocol that pauses whenever it is resumed must not keep the loop here.
                Next::Resume if resumed => break transport.settle_later(),
                Next::Resume => {
                    resumed = true;
                    transport.resumed();
                    self.deliver(party, Callback::Resumed);
                    // What became readable during the pause will not be reported again.
                    self.serve_again(party);
                }
                Next::FinishOutput => {
                    if transport.finish_output() {
                        self.deliver(party, Callback::WriteLost);
                    }
                }
                Next::PauseProducer => {
                    transport.producer_paused();
                    self.deliver(party, Callback::ProducingPaused);
                }
                // Nor must one that writes whenever it may, or reads as fast as it is sent.
                Next::ResumeProducer | Next::Refuse if told => break self.take_turns(party),
                Next::Produce if produced == CHUNKS_PER_TURN => break self.take_turns(party),
                Next::ResumeProducer => {
                    told = true;
                    transport.producer_resumed();
                    self.deliver(party, Callback::ProducingResumed);
                }
                Next::Refuse => {
                    told = true;
                    self.deliver(party, Callback::WriteRejected(transport.take_refused()));
                }
                Next::Produce => {
                    produced += 1;
                    self.produce(party);
                }
                Next::ReadOut => break self.serve_again(party),
                Next::UpdateTimeouts => self.update_timeouts(party),
                Next::AskToSend => drop(self.ask_for_more(party, Way::Out)),
                Next::End(reason) if reason.cuts_off() => {
                    let unsent = transport.reset();
                    break self.aborted.push(Aborted { id: party.id(), reason, unsent });
                }
                Next::End(reason) => break self.lose(party.id(), reason),
            }
        }
        if settled.is_behind {
            transport.note_backlog();
        }
        settled.sent
    }

    /// The connection is closing, and has bytes left or waits for a producer: gives the peer time
    /// to take the next byte, and the producer to give it.
    fn mind_close_timeout(&mut self, id: Id, sent: bool) {
        let Some(live) = self.connections.live_mut(id) else {
            return;
        };
        let alarms = live.alarms.get_or_insert_default();
        match alarms.close {
            Some(_) if !sent => {}
            Some(timer) => {
                let due = self.due_in(self.settings.close_timeout);
                self.timers.reset(timer, due);
            }
            None => {
                let timer = self.set_job(self.settings.close_timeout, Job::GiveUp(id));
                if let Some(live) = self.connections.live_mut(id) {
                    live.alarms.get_or_insert_default().close = Some(timer);
                }
            }
        }
    }

    /// The poller has not said for the whole close timeout that the peer took anything. It says so
    /// late, when a good part of the socket's buffer is free; so the socket itself is asked.
    pub(super) fn give_up(&mut self, id: Id) {
        if let Some(party) = self.connections.party(id) {
            if let Some(live) = self.connections.live_mut(id) {
                live.alarms.get_or_insert_default().close = None;
            }
            party.transport.try_writing();
            if self.settle(&party) || party.transport.is_held_back(Way::Out) {
                return;
            }
            if !party.transport.watch_producer() {
                return self.close_timed_out(&party);
            }
            // What the producer gives may be there, and the loop late.
            let producer = party.transport.producer().filter(Transport::look);
            self.served.extend(producer.map(|producer| producer.slot()));
            self.overdue.push(Overdue { id, looks: 0 });
        }
    }

    pub(super) fn close_timed_out(&mut self, party: &Party) {
        party.transport.time_out(TimeoutKind::Close);
        self.settle(party);
    }

    /// Ends a connection: closes its socket, tells its protocol, and forgets it.
    pub(super) fn lose(&mut self, id: Id, reason: Reason) {
        let Some(party) = self.connections.party(id) else {
            return;
        };
        let (host, transport) = (party.host(), &party.transport);
        // To linger is a courtesy, which a peer that was to blame does not get.
        let in_order = self.life != Life::Stopping
            && !reason.cuts_off()
            && !reason.blames_peer()
            && !matches!(reason, Reason::Lost(_) | Reason::Stopped);
        self.note_for_report(&reason, transport.unsent());
        let is_cut_short = !reason.is_done() && transport.is_unfinished();
        self.drop_reader(transport.end_flow());
        // An orderly close says that everything was sent. Its peer must not take what has come for
        // all there was.
        if is_cut_short {
            transport.reset();
        }
        let closed = transport.release().filter(|closed| closed.may_talk && in_order);
        let lingering = closed.and_then(|closed| {
            self.linger(id, closed, transport.peer_address().network(), Courtesy::Close)
        });
        self.vacate(id, lingering);
        // It is in no table any more, where a change of the limits would count it.
        self.leave(transport);
        // The reason may hold an error of the user's, and to display it is the user's code.
        let level = if matches!(reason, Reason::Failed(_)) { Level::Warn } else { Level::Debug };
        let logged = guard(|| {
            log::log!(
                level,
                "{} of {}: {reason}",
                self.protocol_name(host),
                transport.peer_address()
            );
        });
        if let Err(panic) = logged {
            log::error!(
                "displaying an error of {} panicked: {}",
                transport.peer_address(),
                panic.0
            );
        }
        #[cfg(feature = "testing")]
        self.tell_watcher(transport, super::Happening::Lost(&reason));
        let told =
            self.on_host(host, |host, reactor| host.end(party.seat(), &reason, transport, reactor));
        self.recorder.known.lost += 1;
        self.note_callback(What::Lost, transport, 0);
        if let Some(Err(panic)) = told {
            let (protocol, peer) = (self.protocol_name(host), transport.peer_address());
            log::error!("{protocol} of {peer} panicked in connection_lost: {}", panic.0);
            self.note_panic(&format!("a panic in {protocol}"));
        }
        if let Some(shelf) = self.hosts.get_mut(host) {
            shelf.connections -= 1;
        }
        if guard(|| drop(reason)).is_err() {
            log::error!("dropping an error of {} panicked", self.protocol_name(host));
        }
        self.end_use(transport);
    }

    /// Takes a live connection and its timers out of the table; its socket may stay a while.
    pub(super) fn vacate(&mut self, id: Id, lingering: Option<Connection>) {
        let vacated = match lingering {
            Some(lingering) => {
                self.connections.get_mut(id).map(|slot| std::mem::replace(slot, lingering))
            }
            None => self.connections.remove(id),
        };
        if let Some(Connection::Live(Live { alarms: Some(alarms), .. })) = vacated {
            let Alarms { set, close, patience, rate } = *alarms;
            let noted = patience.into_iter().chain(rate).map(|(id, _)| id);
            for timer in set.into_iter().chain(close).chain(noted) {
                self.timers.cancel(timer);
            }
        }
    }
}
