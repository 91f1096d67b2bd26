//! Coming back to a protocol after a delay or blocking work, through everything that wraps it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use twistor::error::DeferError;
use twistor::testing::{Server, connect};
use twistor::{
    Context, Factory, LineContext, LineReceiver, Lines, Protocol, Reactor, Reason, Transport,
    delegate_callbacks,
};

const SECOND: Duration = Duration::from_secs(1);

/// Entries in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, entry: &str) {
        self.0.borrow_mut().push(entry.to_owned());
    }

    #[track_caller]
    fn expect(&self, entries: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.0.borrow_mut()), entries);
    }
}

/// Logs its drop.
struct Held(Log);

impl Held {
    fn reach(self) {
        self.0.push("called");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("by a drop");
    }
}

/// A protocol and a line receiver that does what it is told.
#[derive(Clone, Default)]
struct Worker {
    log: Log,
    done: usize,
}

impl Worker {
    fn finish(&mut self, transport: &Transport, what: &str) {
        self.done += 1;
        self.log.push(what);
        transport.write(format!("{what} {}\r\n", self.done));
    }
}

/// Implements the commands for both kinds of contexts.
macro_rules! obey {
    ($cx:ident, $log:expr, $command:ident) => {
        match $command {
            b"later" => drop($cx.call_later(SECOND, |this: &mut Self, cx| {
                this.finish(cx.transport, "later");
            })),
            b"work" => $cx.defer_to_thread(
                || 6 * 7,
                |this: &mut Self, cx, result| {
                    this.finish(cx.transport, &format!("result {}", result.unwrap()));
                },
            ),
            b"bad work" => $cx.defer_to_thread(
                || panic!("no luck"),
                |this: &mut Self, cx, result: Result<(), DeferError>| {
                    this.finish(cx.transport, &result.unwrap_err().to_string());
                },
            ),
            b"panic" => drop($cx.call_later(SECOND, |_: &mut Self, _| panic!("later"))),
            b"other" => drop($cx.call_later(SECOND, |_: &mut Unit, _| unreachable!())),
            b"hold" => {
                let held = Held($log.clone());
                $cx.call_later(SECOND, move |_: &mut Self, _| held.reach());
            }
            b"hold, work and close" => {
                let held = Held($log.clone());
                $cx.defer_to_thread(|| (), move |_: &mut Self, _, _| held.reach());
                $cx.transport.lose_connection();
            }
            b"bomb" => {
                let bomb = Bomb;
                $cx.call_later(SECOND, move |_: &mut Self, _| drop(bomb));
            }
            _ => unreachable!(),
        }
    };
}

/// A type that is no protocol here.
struct Unit;

impl<F: 'static> Protocol<F> for Worker {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        obey!(cx, self.log, data);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &Reason) {
        let _ = cx;
        self.log.push(&format!("lost: {reason}"));
    }
}

impl<F: 'static> LineReceiver<F> for Worker {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        obey!(cx, self.log, line);
    }
}

/// Returns a factory of workers, and their log.
fn workers() -> (impl Fn() -> Worker + Clone, Log) {
    let log = Log::default();
    let worker = Worker { log: log.clone(), done: 0 };
    (move || worker.clone(), log)
}

#[test]
fn a_delayed_call_comes_back_to_its_protocol_as_a_callback() {
    let (worker, log) = workers();
    let server = Server::new(worker);
    let (client, other) = (server.connect(), server.connect());
    client.send("later");
    client.advance(SECOND - Duration::from_nanos(1));
    log.expect(&[]);
    client.advance(Duration::from_nanos(1));
    log.expect(&["later"]);
    client.send("later");
    client.advance(SECOND);
    assert_eq!(client.take_received(), b"later 1\r\nlater 2\r\n");
    assert_eq!((client.calls().continued(), other.calls().continued()), (2, 0));
    let metrics = server.reactor(|reactor| reactor.metrics());
    let calls = metrics.protocols.values().map(|calls| calls.calls).sum::<u64>();
    assert_eq!(calls, 2 + 2 + 2, "made, received, continued");
}

#[test]
fn deferred_work_comes_back_to_its_protocol_as_a_callback() {
    let (worker, log) = workers();
    let client = connect(worker);
    client.send("work");
    client.send("bad work");
    log.expect(&["result 42", "work on a thread panicked: no luck"]);
    let expected = "result 42 1\r\nwork on a thread panicked: no luck 2\r\n";
    assert_eq!(client.take_received(), expected.as_bytes());
    assert_eq!(client.calls().continued(), 2);
}

#[test]
fn a_method_can_be_called_later_and_a_delayed_call_cancelled() {
    #[derive(Default)]
    struct Repeating(Worker);

    impl<F: 'static> Protocol<F> for Repeating {
        fn connection_made(&mut self, cx: &mut Context<'_, F>) {
            let cancelled = cx.call_later(SECOND, Self::expire);
            cx.call_later(SECOND, Self::expire);
            assert_eq!(cx.reactor.remaining(cancelled), Some(SECOND));
            assert!(cx.reactor.cancel(cancelled));
        }
    }

    impl Repeating {
        fn expire<F: 'static>(&mut self, cx: &mut Context<'_, F>) {
            self.0.finish(cx.transport, "later");
            cx.call_later(SECOND, Self::expire);
        }
    }

    let client = connect(Repeating::default);
    client.advance(2 * SECOND);
    assert_eq!(client.take_received(), b"later 1\r\nlater 2\r\n");
}

#[test]
fn what_waits_for_a_lost_connection_is_dropped_and_not_called() {
    let (worker, log) = workers();
    let server = Server::new(worker);
    let client = server.connect();
    client.send("hold");
    client.reset();
    log.expect(&["dropped", "lost: connection lost: connection reset"]);
    let client = server.connect();
    client.send("hold");
    server.stop();
    log.expect(&["dropped", "lost: reactor stopped"]);
    drop(client);
}

#[test]
fn work_for_a_lost_connection_is_dropped_and_not_called() {
    let (worker, log) = workers();
    connect(worker).send("hold, work and close");
    log.expect(&["lost: connection closed gracefully", "dropped"]);
}

#[test]
fn what_connection_lost_wants_called_later_is_dropped() {
    struct Late(Log);

    impl<F: 'static> Protocol<F> for Late {
        fn connection_lost(&mut self, cx: &mut Context<'_, F>, _: &Reason) {
            let held = Held(self.0.clone());
            let timer = cx.call_later(SECOND, move |_: &mut Self, _| held.reach());
            self.0.push("lost");
            assert_eq!(cx.reactor.remaining(timer), None);
        }
    }

    let log = Log::default();
    let client = connect({
        let log = log.clone();
        move || Late(log.clone())
    });
    client.reset();
    client.advance(SECOND);
    log.expect(&["dropped", "lost"]);
}

#[test]
fn a_panic_of_a_continuation_ends_its_connection_only() {
    let (worker, log) = workers();
    let server = Server::new(worker);
    server.simulation().allow_panics();
    let (victim, bystander) = (server.connect(), server.connect());
    victim.send("panic");
    bystander.send("later");
    bystander.advance(SECOND);
    log.expect(&["lost: a callback panicked: later", "later"]);
    assert_eq!(bystander.take_received(), b"later 1\r\n");
}

#[test]
fn a_continuation_that_panics_when_it_is_dropped_is_contained() {
    let (worker, log) = workers();
    let server = Server::new(worker);
    server.simulation().allow_panics();
    let client = server.connect();
    client.send("bomb");
    client.reset();
    assert_eq!(server.simulation().take_panics().len(), 1);
    log.expect(&["lost: connection lost: connection reset"]);
    let client = server.connect();
    client.send("work");
    log.expect(&["result 42"]);
}

#[test]
fn a_continuation_of_another_type_ends_the_connection_and_names_both() {
    let (worker, log) = workers();
    let client = connect(worker);
    client.simulation().allow_panics();
    client.send("other");
    client.advance(SECOND);
    let unit = std::any::type_name::<Unit>();
    let worker = std::any::type_name::<Worker>();
    let message = format!(
        "lost: a callback panicked: a continuation of {unit} came to {worker}, and no further"
    );
    log.expect(&[&message]);
}

#[test]
fn a_line_receiver_is_called_later_and_after_work() {
    let (worker, _) = workers();
    let client = connect(move || Lines::new(worker()));
    client.send("later\r\nwork\r\n");
    assert_eq!(client.take_received(), b"result 42 1\r\n");
    client.advance(SECOND);
    assert_eq!(client.take_received(), b"later 2\r\n");
}

/// A factory of boxes.
struct Boxes(Log);

impl Factory for Boxes {
    type Protocol = Box<dyn Protocol<Self>>;

    fn build_protocol(
        &mut self,
        _: &Transport,
        _: &mut Reactor,
    ) -> Option<Box<dyn Protocol<Self>>> {
        let worker = Worker { log: self.0.clone(), done: 0 };
        Some(Box::new(Lines::new(Wrapper { inner: worker, own: 0 })))
    }
}

/// A wrapper that has continuations of its own.
struct Wrapper<P> {
    inner: P,
    own: usize,
}

impl<F: 'static, R: LineReceiver<F>> LineReceiver<F> for Wrapper<R> {
    delegate_callbacks! {
        LineReceiver<F> for R => |wrapper, cx| (&mut wrapper.inner, cx),
        except connection_made
    }

    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        self.inner.connection_made(cx);
        cx.call_later(SECOND / 2, |this: &mut Self, cx| {
            this.own += 1;
            cx.send_line(format!("own {}", this.own));
        });
    }
}

/// A factory around another one.
struct Outer<F>(F);

impl<F: Factory> Protocol<Outer<F>> for Wrapper<F::Protocol> {
    delegate_callbacks! {
        Outer<F> => |wrapper, cx| (&mut wrapper.inner, cx.map_factory(|outer| &mut outer.0)),
        except connection_made
    }

    fn connection_made(&mut self, cx: &mut Context<'_, Outer<F>>) {
        self.inner.connection_made(&mut cx.map_factory(|outer| &mut outer.0));
        cx.call_later(SECOND / 4, |this: &mut Self, cx| {
            this.own += 1;
            cx.transport.write(format!("outer {}\r\n", this.own));
        });
    }
}

impl<F: Factory> Factory for Outer<F> {
    type Protocol = Wrapper<F::Protocol>;

    fn build_protocol(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Option<Self::Protocol> {
        let inner = self.0.build_protocol(transport, reactor)?;
        Some(Wrapper { inner, own: 0 })
    }
}

#[test]
fn continuations_come_through_wrappers_and_boxes_to_the_one_that_they_are_of() {
    let log = Log::default();
    let client = connect(Outer(Outer(Boxes(log.clone()))));
    client.send("later\r\nwork\r\n");
    assert_eq!(client.take_received(), b"result 42 1\r\n");
    client.advance(SECOND / 4);
    assert_eq!(client.take_received(), b"outer 1\r\nouter 1\r\n");
    client.advance(SECOND / 4);
    assert_eq!(client.take_received(), b"own 1\r\n");
    client.advance(SECOND / 2);
    assert_eq!(client.take_received(), b"later 2\r\n");
    log.expect(&["result 42", "later"]);
}

#[test]
fn the_protocol_around_a_receiver_has_continuations_too() {
    let (worker, _) = workers();
    let server = Server::new(move || Lines::new(worker()));
    let client = server.connect();
    let (port, id) = (server.port().key(), client.transport().unwrap().id());
    server.reactor(|reactor| {
        let asked = reactor.with_protocol(port, id, |_, cx| {
            cx.call_later(SECOND, |lines: &mut Lines<Worker>, cx| {
                cx.transport.write(format!("{}\r\n", lines.receiver().done));
            })
        });
        assert!(asked.is_ok());
    });
    client.send("work\r\n");
    client.advance(SECOND);
    assert_eq!(client.take_received(), b"result 42 1\r\n1\r\n");
}
