//! A client of this library, for the servers of others.

use super::describe;
use crate::support::TIMEOUT;
use std::cell::RefCell;
use std::io::{self, Cursor};
use std::rc::Rc;
use twistor::tls::TlsSide;
use twistor::{
    ClientEndpoint, Context, Factory, Producer, Protocol, Reactor, Reason, Settings, Transport,
};

/// What a client sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) text: Vec<u8>,
    /// Closes its sending half afterwards.
    pub(super) finishes: bool,
    /// Closes when as many bytes have come.
    pub(super) wants: Option<usize>,
    /// Asks to encrypt first, as SMTP does: the endpoint does not.
    pub(super) start_tls: Option<TlsSide>,
}

impl Request {
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn finish(self) -> Self {
        Self { finishes: true, ..self }
    }

    pub(super) fn start_tls(self, side: TlsSide) -> Self {
        Self { start_tls: Some(side), ..self }
    }

    pub(super) fn wants(self, bytes: usize) -> Self {
        Self { wants: Some(bytes), ..self }
    }
}

/// What became of a request.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What was negotiated.
    pub(super) tls: String,
    pub(super) received: Vec<u8>,
    /// The reason for the end of the connection, or that there was none.
    pub(super) end: String,
}

impl Outcome {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// Names a reason.
pub(super) fn name(reason: &Reason) -> String {
    match reason {
        Reason::Done => "done".to_owned(),
        Reason::Lost(error) => format!("{:?}", error.kind()),
        other => other.to_string(),
    }
}

/// Connects, sends a request, and waits for the end of the connection.
#[track_caller]
pub(super) fn ask(endpoint: ClientEndpoint, request: Request) -> Outcome {
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let asker = Asker { request, outcome: Rc::clone(&outcome) };
    let mut reactor = Reactor::with_settings(Settings::default().handle_signals(false)).unwrap();
    endpoint.connect(&mut reactor, asker).unwrap();
    reactor.call_later(TIMEOUT, Reactor::stop);
    reactor.run().unwrap();
    drop(reactor);
    outcome.take()
}

struct Asker {
    request: Request,
    outcome: Rc<RefCell<Outcome>>,
}

impl Factory for Asker {
    twistor::build_protocol!(Asking, |_| Asking);

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        self.outcome.borrow_mut().end = format!("failed: {error}");
        reactor.stop();
    }
}

struct Asking;

impl Asking {
    fn begin(cx: &mut Context<'_, Asker>) {
        let tls = cx.transport.tls().expect("the handshake is complete");
        cx.factory.outcome.borrow_mut().tls = describe(&tls);
        let text = std::mem::take(&mut cx.factory.request.text);
        cx.transport.register_producer(Producer::reader(Cursor::new(text)));
    }
}

impl Protocol<Asker> for Asking {
    fn connection_made(&mut self, cx: &mut Context<'_, Asker>) {
        match &cx.factory.request.start_tls {
            Some(_) => cx.transport.write("STARTTLS\r\n"),
            None => Self::begin(cx),
        }
    }

    fn handshake_completed(&mut self, cx: &mut Context<'_, Asker>) {
        Self::begin(cx);
    }

    fn producer_finished(&mut self, cx: &mut Context<'_, Asker>, result: io::Result<u64>) {
        result.unwrap();
        if cx.factory.request.finishes {
            cx.transport.lose_write_connection();
        }
    }

    fn data_received(&mut self, cx: &mut Context<'_, Asker>, data: &[u8]) {
        if let Some(side) = cx.factory.request.start_tls.take() {
            assert_eq!(String::from_utf8_lossy(data), "220 go ahead\r\n");
            return cx.transport.start_tls(side).unwrap();
        }
        let mut outcome = cx.factory.outcome.borrow_mut();
        outcome.received.extend_from_slice(data);
        if cx.factory.request.wants == Some(outcome.received.len()) {
            cx.transport.lose_connection();
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Asker>, reason: &Reason) {
        cx.factory.outcome.borrow_mut().end = name(reason);
        cx.reactor.stop();
    }
}
