//! Exposition: metrics as Prometheus' text, and through the crate `metrics`.

#[cfg(feature = "metrics")]
use super::figure::Sample;
use super::figure::{Kind, Value, figures};
use crate::metrics::Metrics;
use std::fmt::Write;

impl Metrics {
    /// Returns the metrics as text that Prometheus scrapes: the exposition format, version 0.0.4.
    /// [`MetricsPage`](crate::metrics::MetricsPage) serves it.
    ///
    /// All names begin with `twistor_`, those of counters end with `_total`, and times are in
    /// seconds. The label `protocol` is the type of the protocols, and `cause` says why clients
    /// were rejected. There are no other labels: the number of time series is that of the program's
    /// types, whatever its clients do. A type has its name without the path, so the figures of two
    /// types with the same name are added up. A counter never goes back while the reactor exists.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// assert!(reactor.metrics().prometheus_text().contains("\ntwistor_panics_total 0\n"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn prometheus_text(&self) -> String {
        let mut text = String::new();
        for figure in figures(self) {
            let kind = match figure.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let (name, help) = (figure.name, figure.help);
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in &figure.samples {
                text += name;
                for (number, (label, value)) in sample.labels().enumerate() {
                    let opening = if number == 0 { '{' } else { ',' };
                    let _ = write!(text, "{opening}{label}=\"{}\"", escaped(value));
                }
                if sample.protocol.is_some() {
                    text.push('}');
                }
                let _ = match sample.value {
                    Value::Count(count) => writeln!(text, " {count}"),
                    Value::Time(time) => writeln!(text, " {}", time.as_secs_f64()),
                };
            }
        }
        text
    }

    /// Publishes the metrics through the crate [`metrics`](::metrics), to the recorder that the
    /// program has installed: under the names and labels of
    /// [`prometheus_text`](Self::prometheus_text). Call it whenever they should be current, such as
    /// from a timer.
    ///
    /// Counters are set to their values (`absolute`). Counters of that crate are whole numbers, so
    /// figures in seconds are published as gauges. Several reactors of a process have the same
    /// names: publish one of them, or give each a recorder of its own
    /// (`metrics::with_local_recorder`).
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// reactor.call_every(Duration::from_secs(10), |reactor| {
    ///     reactor.metrics().publish();
    ///     ControlFlow::Continue(())
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn publish(&self) {
        for figure in figures(self) {
            let name = figure.name;
            for sample in &figure.samples {
                match (figure.kind, sample.value) {
                    (Kind::Counter, Value::Count(count)) => {
                        ::metrics::describe_counter!(name, figure.help);
                        ::metrics::counter!(name, labels(sample)).absolute(count);
                    }
                    (Kind::Gauge, Value::Count(count)) => {
                        ::metrics::describe_gauge!(name, figure.help);
                        ::metrics::gauge!(name, labels(sample)).set(count as f64);
                    }
                    (_, Value::Time(time)) => {
                        let unit = ::metrics::Unit::Seconds;
                        ::metrics::describe_gauge!(name, unit, figure.help);
                        ::metrics::gauge!(name, labels(sample)).set(time.as_secs_f64());
                    }
                }
            }
        }
    }
}

#[cfg(feature = "metrics")]
fn labels(sample: &Sample<'_>) -> Vec<::metrics::Label> {
    let label = |(name, value): (&'static str, &str)| ::metrics::Label::new(name, value.to_owned());
    sample.labels().map(label).collect()
}

/// Returns the value of a label with its special characters escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
