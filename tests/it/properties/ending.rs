//! How sessions end, and what must be gone then.

use super::ledger::Side;
use super::talker::Counters;
use super::{Client, PORT, Session, Who};
use std::time::Duration;

impl Session {
    /// Stops the server gracefully in the middle of a conversation.
    fn drain(&mut self) {
        if !self.server.is_up() || self.random.below(2) == 0 {
            return;
        }
        let callers = 1 + self.random.below(6);
        for _ in 0..callers {
            let peer = self.simulation.peer("crowd", self.server.address(PORT));
            self.ledger.say(peer.address(), Who::Client, 0);
            peer.send(self.ledger.say(peer.address(), Who::Client, 30_000));
            self.clients.push(Client::new(peer));
        }
        self.pass(Duration::from_secs(3));
        let deadline = self.random.up_to(Duration::from_secs(20));
        let told = self.server.calls().drain_requested();
        let open = self.server.open();
        self.server.reactor(|reactor| reactor.stop_gracefully(deadline));
        self.simulation.run_for(deadline + Duration::from_secs(1));
        self.hear();
        if !self.faulty {
            let report = self.server.report().expect("it stops at its deadline");
            let ended = report.drained + report.lost + report.aborted;
            assert!(ended >= open, "{report}, {open} were open");
            // Some were still waiting to be accepted, and none was notified twice.
            assert!(self.server.calls().drain_requested() - told <= ended, "{report}");
            assert!(report.bytes_lost == 0 || report.lost + report.aborted > 0);
            let left = self.server.open_resources();
            assert_eq!((left.connections, left.timers, left.ports), (0, 0, 0), "{left:?}");
        }
        self.clients.clear();
    }

    /// Checks that the metrics of the reactors agree with the ledger.
    fn check_records(&self) {
        for (host, who) in [(&self.server, Who::Server), (&self.caller, Who::Client)] {
            // A crash resets the metrics.
            if self.faulty || !host.has_stopped() {
                continue;
            }
            let (seen, calls) = (host.reactor(|reactor| reactor.metrics()), host.calls());
            let made = seen.accepted + seen.connected;
            assert_eq!((made, seen.lost), (calls.connection_made() as u64, made), "{seen}");
            assert_eq!((seen.open, seen.unsent, seen.panics, seen.timers), (0, 0, 0, 0), "{seen}");
            let ledger = self.ledger.all();
            let of_host = |(_, sides): &(_, [Side; 2])| match who {
                // The clients without a reactor are in the same ledger.
                Who::Client => sides[0].made * sides[0].received,
                Who::Server => sides[1].received,
            };
            let heard: usize = ledger.iter().map(of_host).sum();
            assert_eq!(seen.bytes_received, heard as u64, "{seen}");
        }
    }

    /// Ends all connections, and checks that nothing is left.
    pub(super) fn end(mut self) {
        self.clients.clear();
        self.simulation.run_for(Duration::from_secs(300));
        if !self.faulty {
            let left = self.server.open_resources();
            let held = (left.connections, left.timers, left.ports, left.factories);
            assert_eq!(held, (0, 0, 1, 1), "{left:?}");
            assert_eq!(self.simulation.connections(), 0);
        }
        self.drain();
        for host in [&self.server, &self.caller] {
            if host.is_up() && !host.has_stopped() {
                // SIGINT stops it at once, SIGTERM within the default deadline.
                host.signal(if self.random.below(2) == 0 { "SIGTERM" } else { "SIGINT" });
                self.simulation.run_for(Duration::from_secs(6));
                assert!(host.has_stopped());
                assert_eq!(host.open(), 0);
                let left = host.open_resources();
                let held = (left.connections, left.timers, left.ports, left.factories);
                assert_eq!(held, (0, 0, 0, 0), "{left:?}");
            }
        }
        self.simulation.run_for(Duration::from_secs(3600));
        assert_eq!(self.simulation.connections(), 0, "the network is empty");
        self.check_records();
        for Counters { started, stopped, open, overtaken } in &self.counters {
            assert_eq!(overtaken.get(), 0, "calls due at the same time come in order");
            assert_eq!(open.get(), 0, "factories counted their open connections");
            assert_eq!(started.get(), stopped.get(), "each factory that started was stopped");
        }
        for (address, sides) in self.ledger.all() {
            for side in sides {
                let told = side.lost.len() + usize::from(side.crashed);
                assert_eq!(side.made, told, "{address}: {side:?}");
            }
        }
    }
}
