//! The client: it asks for numbers, and records what became of each. Its factory keeps the requests
//! from one connection to the next.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use twistor::requests::{Expired, RequestQueue};
use twistor::{
    Factory, FactoryKey, LineContext, LineReceiver, Lines, Reactor, Reason, TimerId, Transport,
    build_protocol,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answered(String),
    /// Expired under way.
    Overdue,
    /// Expired without having been sent.
    Unsent,
    /// Under way when the connection was lost.
    Lost,
    Rejected,
}

pub(crate) type Outcomes = Rc<RefCell<Vec<(u32, Outcome)>>>;

/// Requests under way at most, with the server that fails.
pub(crate) const DEPTH: usize = 3;

/// Delay before the client connects again.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Asker {
    pub(crate) requests: RequestQueue<u32>,
    pub(crate) outcomes: Outcomes,
    /// The one timer of the queue. Not one of a connection, since requests wait without one.
    timer: Option<TimerId>,
    transport: Option<Transport>,
    /// Where to connect again, if it does.
    pub(crate) server: Option<SocketAddr>,
}

impl Asker {
    pub(crate) fn new(depth: usize, max_waiting: usize, outcomes: Outcomes) -> Self {
        let requests = RequestQueue::new().depth(depth).max_waiting(max_waiting).timeout(TIMEOUT);
        Self { requests, outcomes, timer: None, transport: None, server: None }
    }

    fn record(&self, number: u32, outcome: Outcome) {
        self.outcomes.borrow_mut().push((number, outcome));
    }

    pub(crate) fn ask(&mut self, number: u32, reactor: &mut Reactor) {
        if let Err(full) = self.requests.push(reactor.now(), number) {
            return self.record(full.into_request(), Outcome::Rejected);
        }
        self.send();
        self.set_timer(reactor);
    }

    fn send(&mut self) {
        let Some(transport) = &self.transport else { return };
        while let Some(number) = self.requests.start_next() {
            transport.write(format!("{number}\r\n"));
        }
    }

    fn set_timer(&mut self, reactor: &mut Reactor) {
        if self.timer.is_some() {
            return;
        }
        let (Some(deadline), Some(key)) = (self.requests.next_deadline(), reactor.key_of(self))
        else {
            return;
        };
        self.timer = Some(reactor.call_at(deadline, move |reactor| {
            // Nothing else is running.
            let _ = reactor.with_factory(key, Self::expire);
        }));
    }

    fn expire(&mut self, reactor: &mut Reactor) {
        self.timer = None;
        while let Some(expired) = self.requests.pop_expired(reactor.now()) {
            match expired {
                Expired::Sent(number) => self.record(number, Outcome::Overdue),
                Expired::Waiting(number) => self.record(number, Outcome::Unsent),
            }
        }
        self.set_timer(reactor);
        // Nothing more can be sent on such a connection.
        let is_stuck = self.requests.overdue() == DEPTH && self.server.is_some();
        if let Some(transport) = self.transport.as_ref().filter(|_| is_stuck) {
            transport.abort_connection();
        }
    }

    fn connect_again(&self, reactor: &mut Reactor) {
        let (Some(server), Some(key)) = (self.server, reactor.key_of(self)) else { return };
        reactor.call_later(RETRY, move |reactor| connect(reactor, server, key));
    }

    /// Everything is lost with the connection, as for a client that does not connect again.
    pub(crate) fn give_up(&mut self) {
        for number in self.requests.take_waiting() {
            self.record(number, Outcome::Unsent);
        }
    }
}

impl Factory for Asker {
    build_protocol!(Lines<Asking>, |_| Lines::new(Asking));

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, reactor: &mut Reactor) {
        self.connect_again(reactor);
    }
}

pub(crate) fn connect(reactor: &mut Reactor, server: SocketAddr, key: FactoryKey<Asker>) {
    // Out of descriptors it begins nevertheless, and `connection_failed` follows.
    let _ = reactor.connect_tcp(server, key);
}

pub(crate) struct Asking;

impl LineReceiver<Asker> for Asking {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Asker>) {
        cx.factory.transport = Some(cx.transport.clone());
        cx.factory.send();
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Asker>, line: &[u8]) {
        match cx.factory.requests.pop_answered() {
            Ok(Some(number)) => {
                let answer = String::from_utf8_lossy(line).into_owned();
                cx.factory.record(number, Outcome::Answered(answer));
            }
            Ok(None) => {}
            Err(error) => return cx.transport.fail(error),
        }
        cx.factory.send();
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Asker>, _: &Reason) {
        cx.factory.transport = None;
        for number in cx.factory.requests.connection_lost() {
            cx.factory.record(number, Outcome::Lost);
        }
        cx.factory.connect_again(cx.reactor);
    }
}
