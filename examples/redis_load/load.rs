//! `Load`: the requests, shared by all connections, and what became of them.

use super::histogram::Histogram;
use super::redis::{Reply, Session};
use super::settings::Settings;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use twistor::limits::TimeoutKind;
use twistor::requests::RequestQueue;
use twistor::{Context, Factory, Protocol, Reactor, Reason, Transport};

/// The outcome, once every request has its reply.
pub(crate) struct Report {
    requests: u64,
    pub(crate) errors: u64,
    /// From the first request to the last reply.
    time: Duration,
    latencies: Histogram,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, errors, time, latencies } = self;
        let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
        let (rate, ms) = (*requests as f64 / seconds, |it: Duration| it.as_secs_f64() * 1e3);
        let [p50, p99, p999] = [500, 990, 999].map(|it| ms(latencies.quantile(it)));
        let max = ms(latencies.max());
        writeln!(f, "{requests} requests in {seconds:.3} s: {rate:.0} requests/s")?;
        writeln!(f, "latency: p50 {p50:.3} ms, p99 {p99:.3}, p99.9 {p999:.3}, max {max:.3}")?;
        writeln!(f, "errors: {errors}")
    }
}

pub(crate) struct Load {
    command: Vec<u8>,
    depth: usize,
    timeout: Duration,
    /// Requests that are still to be sent.
    left: u64,
    answered: u64,
    requests: u64,
    errors: u64,
    began: Option<Instant>,
    latencies: Histogram,
    /// A connection has failed.
    failed: bool,
    /// Read by `main` after this is dropped.
    report: Rc<RefCell<Option<Report>>>,
}

impl Load {
    pub(crate) fn new(settings: &Settings, report: Rc<RefCell<Option<Report>>>) -> Self {
        Self {
            command: settings.command.clone(),
            depth: settings.depth,
            timeout: settings.timeout,
            left: settings.requests,
            answered: 0,
            requests: settings.requests,
            errors: 0,
            began: None,
            latencies: Histogram::new(),
            failed: false,
            report,
        }
    }

    fn answered(&mut self, sent: Instant, reply: &Reply, now: Instant) {
        self.latencies.record(now.saturating_duration_since(sent));
        self.answered += 1;
        if reply.is_error() {
            if self.errors == 0 {
                let _ = writeln!(io::stderr(), "{reply}");
            }
            self.errors += 1;
        }
        if self.answered == self.requests {
            *self.report.borrow_mut() = Some(Report {
                requests: self.requests,
                errors: self.errors,
                time: self.began.map_or(Duration::ZERO, |began| now.duration_since(began)),
                latencies: self.latencies.clone(),
            });
        }
    }

    /// Ends everything: the others would not make up for what is missing.
    fn fail(&mut self, reactor: &mut Reactor, what: impl fmt::Display) {
        if !self.failed {
            let _ = writeln!(io::stderr(), "{what}");
        }
        self.failed = true;
        reactor.stop();
    }
}

impl Factory for Load {
    twistor::build_protocol!(Loader, |load| Loader {
        session: Session::new(RequestQueue::new().depth(load.depth).timeout(load.timeout)),
    });

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        self.fail(reactor, format_args!("cannot connect to {}: {error}", to.peer_address()));
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        reactor.stop();
    }
}

/// A connection, whose requests are kept with the times at which they were sent.
pub(crate) struct Loader {
    session: Session<Instant>,
}

impl Loader {
    /// Sends as many requests as may be under way, or closes if there is nothing left to do.
    fn send(&mut self, cx: &mut Context<'_, Load>, now: Instant) {
        let requests = &mut self.session.requests;
        while cx.factory.left > 0 && requests.under_way() < cx.factory.depth {
            if requests.push(now, now).is_err() || requests.start_next().is_none() {
                break;
            }
            cx.factory.left -= 1;
            cx.transport.write(&cx.factory.command);
        }
        if requests.is_empty() {
            cx.transport.lose_connection();
        }
        self.session.set_timeout(cx.transport, now);
    }
}

impl Protocol<Load> for Loader {
    fn connection_made(&mut self, cx: &mut Context<'_, Load>) {
        let now = cx.reactor.now();
        cx.factory.began.get_or_insert(now);
        self.send(cx, now);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Load>, data: &[u8]) {
        let now = cx.reactor.now();
        let load = &mut *cx.factory;
        match self.session.receive(data, |sent, reply| load.answered(sent, &reply, now)) {
            Ok(()) => self.send(cx, now),
            Err(error) => cx.transport.fail(error),
        }
    }

    fn timed_out(&mut self, cx: &mut Context<'_, Load>, kind: TimeoutKind) {
        let now = cx.reactor.now();
        match self.session.requests.pop_expired(now) {
            Some(_) => cx.transport.fail(format!("no reply within {:?}", cx.factory.timeout)),
            None if kind == TimeoutKind::Protocol => self.session.set_timeout(cx.transport, now),
            None => cx.transport.time_out(kind),
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Load>, reason: &Reason) {
        // A request that has expired is still under way.
        if !self.session.requests.is_empty() {
            let peer = cx.transport.peer_address();
            let count = self.session.requests.under_way();
            let what = format!("{peer}: {reason} ({count} requests without a reply)");
            cx.factory.fail(cx.reactor, what);
        }
    }
}
