//! Metrics through the crate `metrics`.

use super::format::Page;
use crate::{Context, Protocol, Reactor};
use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A recorder that keeps the last value of each time series, as text.
#[derive(Default)]
struct Kept(Arc<Mutex<BTreeMap<String, f64>>>);

struct Place(Arc<Mutex<BTreeMap<String, f64>>>, String);

impl CounterFn for Place {
    fn increment(&self, _: u64) {
        panic!("the reactor counts itself");
    }

    fn absolute(&self, value: u64) {
        self.0.lock().unwrap().insert(self.1.clone(), value as f64);
    }
}

impl GaugeFn for Place {
    fn increment(&self, _: f64) {
        panic!("the reactor adds up itself");
    }

    fn decrement(&self, _: f64) {
        panic!("the reactor adds up itself");
    }

    fn set(&self, value: f64) {
        self.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl Kept {
    fn place(&self, key: &Key) -> Arc<Place> {
        let labels: Vec<String> =
            key.labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
        let name = format!("{}{labels:?}", key.name());
        Arc::new(Place(Arc::clone(&self.0), name))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(name.as_str().ends_with("_total") && !help.is_empty());
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(!help.is_empty());
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("{name:?} is no histogram");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.place(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.place(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key} is no histogram");
    }
}

struct Quiet;

impl<F> Protocol<F> for Quiet {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("hello");
    }
}

#[test]
fn the_recorder_gets_what_the_page_has() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:0:interface=127.0.0.1", || Quiet).unwrap();
    let (metrics, kept) = (reactor.metrics(), Kept::default());
    // Twice: a value is set, not added.
    ::metrics::with_local_recorder(&kept, || {
        metrics.publish();
        metrics.publish();
    });
    let page = Page::parse(&metrics.prometheus_text());
    let text = |((name, labels), value): (&super::format::Series, &f64)| {
        // In the order in which they are published.
        let labels: Vec<String> =
            labels.iter().rev().map(|(name, value)| format!("{name}={value}")).collect();
        (format!("{name}{labels:?}"), *value)
    };
    let expected: BTreeMap<String, f64> = page.series.iter().map(text).collect();
    assert_eq!(*kept.0.lock().unwrap(), expected);
    assert!(expected.len() > 20, "{expected:?}");
}
