//! Figures: the metrics of a reactor under the names that monitoring systems know them by. Pure.

use crate::metrics::{CallStats, ConnectionStats, Metrics};
use std::time::Duration;

/// How a figure changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Grows, and never goes back while the reactor exists.
    Counter,
    Gauge,
}

/// A value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Count(u64),
    Time(Duration),
}

/// One value of a figure, with the labels that tell it from the others. No label names a connection
/// or a peer: there is a time series for each combination of labels, for ever.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// The type of the protocol.
    pub(super) protocol: Option<&'a str>,
    /// Why clients were rejected.
    pub(super) cause: Option<&'static str>,
    pub(super) value: Value,
}

/// A metric with all its samples.
#[derive(Debug)]
pub(super) struct Figure<'a> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) samples: Vec<Sample<'a>>,
}

impl Sample<'_> {
    /// Returns names and values of the labels.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let protocol = self.protocol.map(|protocol| ("protocol", protocol));
        protocol.into_iter().chain(self.cause.map(|cause| ("cause", cause)))
    }
}

/// Collects figures, in the order in which they are shown.
struct Figures<'a>(Vec<Figure<'a>>);

impl<'a> Figures<'a> {
    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        samples: impl IntoIterator<Item = Sample<'a>>,
    ) {
        self.0.push(Figure { name, help, kind, samples: samples.into_iter().collect() });
    }

    fn one(&mut self, name: &'static str, help: &'static str, kind: Kind, value: Value) {
        self.add(name, help, kind, [Sample { protocol: None, cause: None, value }]);
    }

    /// Adds a figure of connections, with a sample for each type of protocol.
    fn connections(
        &mut self,
        metrics: &'a Metrics,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        value: fn(&ConnectionStats) -> u64,
    ) {
        let samples = metrics.connections.iter().map(|(protocol, stats)| Sample {
            protocol: Some(protocol),
            cause: None,
            value: Value::Count(value(stats)),
        });
        self.add(name, help, kind, samples);
    }

    /// Adds a figure of callbacks, with a sample for each type of protocol.
    fn callbacks(
        &mut self,
        metrics: &'a Metrics,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        value: fn(&CallStats) -> Value,
    ) {
        let samples = metrics.protocols.iter().map(|(protocol, stats)| Sample {
            protocol: Some(protocol),
            cause: None,
            value: value(stats),
        });
        self.add(name, help, kind, samples);
    }

    fn rejections(&mut self, metrics: &'a Metrics) {
        let samples = metrics.connections.iter().flat_map(|(protocol, stats)| {
            let rejections = stats.rejections;
            [
                ("connections", rejections.connections),
                ("per_peer", rejections.per_peer),
                ("factory", rejections.factory),
                ("exhausted", rejections.exhausted),
                ("handshake", rejections.handshake),
            ]
            .map(|(cause, count)| Sample {
                protocol: Some(protocol),
                cause: Some(cause),
                value: Value::Count(count),
            })
        });
        let help = "Rejected clients, by cause: a limit on connections, a limit per peer, the \
                    factory, no descriptors or memory, no PROXY header or TLS handshake.";
        self.add("twistor_rejections_total", help, Kind::Counter, samples);
    }
}

/// Returns the figures of a reactor's metrics.
pub(super) fn figures(metrics: &Metrics) -> Vec<Figure<'_>> {
    let mut figures = Figures(Vec::new());
    add_connections(&mut figures, metrics);
    add_traffic(&mut figures, metrics);
    add_callbacks(&mut figures, metrics);
    add_loop(&mut figures, metrics);
    figures.0
}

fn add_connections<'a>(figures: &mut Figures<'a>, metrics: &'a Metrics) {
    use Kind::{Counter, Gauge};
    let help = "Connections that have a protocol.";
    figures.connections(metrics, "twistor_connections", help, Gauge, |it| it.open as u64);
    let help = "Accepted connections that got a protocol.";
    let name = "twistor_connections_accepted_total";
    figures.connections(metrics, name, help, Counter, |it| it.accepted);
    let help = "Outgoing connections that got a protocol.";
    let name = "twistor_connections_connected_total";
    figures.connections(metrics, name, help, Counter, |it| it.connected);
    let help = "Connections that had a protocol and are over.";
    figures.connections(metrics, "twistor_connections_lost_total", help, Counter, |it| it.lost);
    figures.rejections(metrics);
    let help = "Clients accepted for other shards.";
    let handed_over = Value::Count(metrics.handed_over);
    figures.one("twistor_connections_handed_over_total", help, Counter, handed_over);
    let help = "Times a port stopped accepting because of its accept rate.";
    let name = "twistor_accept_throttled_total";
    figures.connections(metrics, name, help, Counter, |it| it.rejections.accept_throttled);
    let help = "Times connections waited because of rate limits.";
    let name = "twistor_rate_limit_waits_total";
    figures.connections(metrics, name, help, Counter, |it| it.rate_limit_waits);
}

fn add_traffic(figures: &mut Figures<'_>, metrics: &Metrics) {
    use Kind::{Counter, Gauge};
    let received = Value::Count(metrics.bytes_received);
    let help = "Bytes delivered to protocols.";
    figures.one("twistor_received_bytes_total", help, Counter, received);
    let sent = Value::Count(metrics.bytes_sent);
    figures.one("twistor_sent_bytes_total", "Bytes taken by the operating system.", Counter, sent);
    let unsent = Value::Count(metrics.unsent as u64);
    let help = "Bytes written and not yet taken by the operating system.";
    figures.one("twistor_unsent_bytes", help, Gauge, unsent);
}

fn add_callbacks<'a>(figures: &mut Figures<'a>, metrics: &'a Metrics) {
    use Kind::{Counter, Gauge};
    let help = "Callbacks of protocols.";
    figures
        .callbacks(metrics, "twistor_callbacks_total", help, Counter, |it| Value::Count(it.calls));
    let help = "Time spent in callbacks of protocols, with the reading and writing for them.";
    figures.callbacks(metrics, "twistor_callback_seconds_total", help, Counter, |it| {
        Value::Time(it.total)
    });
    let help = "Duration of the longest callback.";
    figures.callbacks(metrics, "twistor_longest_callback_seconds", help, Gauge, |it| {
        Value::Time(it.longest)
    });
    let panics = Value::Count(metrics.panics);
    figures.one("twistor_panics_total", "Callbacks and closures that panicked.", Counter, panics);
}

fn add_loop(figures: &mut Figures<'_>, metrics: &Metrics) {
    use Kind::{Counter, Gauge};
    let count = Value::Count;
    figures.one("twistor_age_seconds", "Age of the reactor.", Gauge, Value::Time(metrics.age));
    figures.one("twistor_turns_total", "Turns of the event loop.", Counter, count(metrics.turns));
    let help = "Events that the poller reported.";
    figures.one("twistor_poll_events_total", help, Counter, count(metrics.events));
    let help = "Timers that are set.";
    figures.one("twistor_timers", help, Gauge, count(metrics.timers as u64));
    let help = "Time that the loop did not wait: other connections wait meanwhile.";
    let busy = Value::Time(metrics.busy.total);
    figures.one("twistor_busy_seconds_total", help, Counter, busy);
    let longest = Value::Time(metrics.busy.longest);
    figures.one("twistor_longest_turn_seconds", "Busy time of the longest turn.", Gauge, longest);
    let closures = metrics.closures;
    let help = "Calls of closures: timers, other threads, triggers, callbacks of factories.";
    figures.one("twistor_closures_total", help, Counter, count(closures.calls));
    let help = "Time spent in closures.";
    figures.one("twistor_closure_seconds_total", help, Counter, Value::Time(closures.total));
    let longest = Value::Time(closures.longest);
    figures.one(
        "twistor_longest_closure_seconds",
        "Duration of the longest closure.",
        Gauge,
        longest,
    );
    let help = "Time spent sending what was written to connections other than the callback's own.";
    let flushes = Value::Time(metrics.flushes.total);
    figures.one("twistor_flush_seconds_total", help, Counter, flushes);
    let help = "All other busy time of the loop.";
    figures.one("twistor_other_seconds_total", help, Counter, Value::Time(metrics.other.total));
}
