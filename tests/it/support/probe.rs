//! A protocol that logs every callback and then does what the test says.

use std::io;
use std::sync::mpsc::Sender;
use twistor::{Context, Factory, Protocol, Reactor, Reason, TimerId, Transport};

pub(crate) type Cx<'a> = Context<'a, Probes>;

/// A callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Made,
    Data(&'a [u8]),
    Timer,
    Resumed,
    ReadLost,
    WriteLost,
    Lost,
}

pub(crate) struct Probes {
    act: fn(Event<'_>, &mut Cx<'_>),
    log: Sender<String>,
    /// The transport of every connection there was.
    pub(crate) all: Vec<Transport>,
    /// Connections that are open now.
    pub(crate) open: usize,
    /// Bytes received by all.
    pub(crate) received: usize,
}

impl Probes {
    pub(crate) fn new(act: fn(Event<'_>, &mut Cx<'_>), log: Sender<String>) -> Self {
        Self { act, log, all: Vec::new(), open: 0, received: 0 }
    }

    pub(crate) fn note(&self, entry: impl Into<String>) {
        // The test may have seen enough.
        let _ = self.log.send(entry.into());
    }
}

impl Factory for Probes {
    type Protocol = Probe;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Probe> {
        self.all.push(transport.clone());
        Some(Probe { number: self.all.len() - 1 })
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.note("started");
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.note("stopped");
    }
}

pub(crate) struct Probe {
    number: usize,
}

impl Probe {
    fn happened(&self, cx: &mut Cx<'_>, what: &str, event: Event<'_>) {
        cx.factory.note(format!("{} {what}", self.number));
        (cx.factory.act)(event, cx);
    }
}

impl Protocol<Probes> for Probe {
    fn connection_made(&mut self, cx: &mut Cx<'_>) {
        cx.factory.open += 1;
        self.happened(cx, "made", Event::Made);
    }

    fn data_received(&mut self, cx: &mut Cx<'_>, data: &[u8]) {
        cx.factory.received += data.len();
        // How bytes are cut is the network's business, and not logged; a test that wants to see
        // them looks at the event.
        (cx.factory.act)(Event::Data(data), cx);
    }

    fn timer_fired(&mut self, cx: &mut Cx<'_>, _timer: TimerId) {
        self.happened(cx, "timer", Event::Timer);
    }

    fn reading_resumed(&mut self, cx: &mut Cx<'_>) {
        self.happened(cx, "resumed", Event::Resumed);
    }

    fn read_connection_lost(&mut self, cx: &mut Cx<'_>) {
        self.happened(cx, "read lost", Event::ReadLost);
    }

    fn write_connection_lost(&mut self, cx: &mut Cx<'_>) {
        self.happened(cx, "write lost", Event::WriteLost);
    }

    fn connection_lost(&mut self, cx: &mut Cx<'_>, reason: &Reason) {
        cx.factory.open -= 1;
        let reason = match reason {
            Reason::Done => "done".to_owned(),
            Reason::Aborted => "aborted".to_owned(),
            Reason::Lost(error) => format!("{:?}", error.kind()),
            Reason::TimedOut => "timed out".to_owned(),
            Reason::Failed(failure) => format!("failed: {}", failure.error()),
            Reason::Panicked(message) => format!("panicked: {message}"),
            Reason::Stopped => "stopped".to_owned(),
            other => format!("{other:?}"),
        };
        self.happened(cx, &format!("lost: {reason}"), Event::Lost);
    }
}
