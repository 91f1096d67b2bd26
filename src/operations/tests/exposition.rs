//! The text that Prometheus scrapes.

use super::format::Page;
use crate::limits::RejectionStats;
use crate::metrics::{CallStats, ConnectionStats, Metrics};
use std::time::Duration;

fn calls(calls: u64, total: u64, longest: u64) -> CallStats {
    let [total, longest] = [total, longest].map(Duration::from_micros);
    CallStats { calls, total, longest }
}

fn metrics() -> Metrics {
    let rejections = RejectionStats {
        connections: 1,
        per_peer: 2,
        factory: 3,
        exhausted: 4,
        handshake: 5,
        accept_throttled: 6,
    };
    let stats = ConnectionStats {
        accepted: 9,
        connected: 2,
        lost: 8,
        open: 3,
        rejections,
        rate_limit_waits: 7,
    };
    // A name that no type has, with everything that has to be escaped.
    let name = "Lines<\"a\\b\nc\">".to_owned();
    Metrics {
        age: Duration::from_millis(1500),
        turns: 11,
        events: 12,
        accepted: 9,
        connected: 2,
        lost: 8,
        open: 3,
        rejected: 15,
        handed_over: 2,
        bytes_received: 100,
        bytes_sent: u64::MAX,
        unsent: 5,
        timers: 4,
        panics: 1,
        busy: calls(11, 2_000_001, 30),
        protocols: [(name.clone(), calls(20, 1_000_000, 25))].into(),
        connections: [(name, stats)].into(),
        closures: calls(2, 3, 2),
        flushes: calls(1, 4, 4),
        other: calls(11, 5, 1),
        slowest: None,
    }
}

#[test]
fn the_text_is_this() {
    assert_eq!(metrics().prometheus_text(), include_str!("metrics.txt"));
}

#[test]
fn the_text_is_well_formed_and_its_labels_are_escaped() {
    let page = Page::parse(&metrics().prometheus_text());
    let protocol = ("protocol", "Lines<\"a\\b\nc\">");
    assert_eq!(page.value("twistor_connections", &[protocol]), 3.0);
    let rejected = |cause| page.value("twistor_rejections_total", &[protocol, ("cause", cause)]);
    let causes = ["connections", "per_peer", "factory", "exhausted", "handshake"];
    assert_eq!(causes.map(rejected), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(page.value("twistor_callback_seconds_total", &[protocol]), 1.0);
    let labels: Vec<&String> = page.series.keys().flat_map(|(_, labels)| labels.keys()).collect();
    assert!(labels.iter().all(|label| ["protocol", "cause"].contains(&label.as_str())));
    // Every label of each sample: nothing slipped through unescaped.
    assert!(page.series.keys().all(|(_, it)| it.get("protocol").is_none_or(|it| it == protocol.1)));
}

#[test]
fn a_reactor_that_has_done_nothing_has_a_page() {
    let page = Page::parse(&Metrics::default().prometheus_text());
    assert_eq!(page.value("twistor_turns_total", &[]), 0.0);
    assert!(page.series.keys().all(|(_, labels)| labels.is_empty()));
}

#[cfg(feature = "testing")]
mod of_factories {
    use super::Page;
    use crate::limits::ConnectionLimits;
    use crate::testing::Server;
    use crate::{Context, Protocol, Reactor};

    struct Echo;

    impl<F> Protocol<F> for Echo {
        fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
            cx.transport.write(data);
        }
    }

    fn page(reactor: &mut Reactor) -> Page {
        Page::parse(&reactor.metrics().prometheus_text())
    }

    #[test]
    fn no_counter_goes_back_when_a_factory_is_dropped() {
        let server = Server::new(|| Echo);
        let limits = ConnectionLimits::new().max_connections(1);
        server.reactor(|reactor| reactor.set_limits(server.port(), limits));
        let (peer, rejected) = (server.connect(), server.connect());
        peer.send("hello");
        assert!(rejected.close_kind().is_some());
        let before = server.reactor(page);
        let label = ("protocol", "Echo");
        let of =
            |page: &Page, cause| page.value("twistor_rejections_total", &[label, ("cause", cause)]);
        assert_eq!((of(&before, "connections"), of(&before, "factory")), (1.0, 0.0));
        assert_eq!(before.value("twistor_connections", &[label]), 1.0);

        server.reactor(|reactor| reactor.stop_listening(server.port()));
        peer.reset();
        server.simulation().settle();
        assert_eq!(server.host().open_resources().factories, 0);
        let after = server.reactor(page);
        after.continues(&before);
        assert_eq!(of(&after, "connections"), 1.0);
        assert_eq!(after.value("twistor_connections", &[label]), 0.0);
        assert_eq!(after.value("twistor_connections_lost_total", &[label]), 1.0);

        // A factory of the same type counts on.
        server.reactor(|reactor| reactor.listen_tcp(8007, || Echo).unwrap());
        let _again = server.simulation().peer("again", server.host().address(8007));
        server.simulation().settle();
        let again = server.reactor(page);
        again.continues(&after);
        assert_eq!(again.value("twistor_connections_accepted_total", &[label]), 2.0);
    }

    #[test]
    fn many_factories_of_a_type_are_one_time_series() {
        let server = Server::new(|| Echo);
        let series = |reactor: &mut Reactor| page(reactor).series.len();
        let before = server.reactor(series);
        server.reactor(|reactor| {
            for _ in 0..1000 {
                reactor.add_factory(|| Echo).unwrap();
            }
        });
        assert_eq!(server.reactor(series), before);
    }
}
