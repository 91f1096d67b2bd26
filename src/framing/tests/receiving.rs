//! Cases that the vectors do not cover: settings by type and instance, pauses by handle, combined
//! effects.

use crate::driver::scripted::{Peer, Script};
use crate::{
    ConnectionId, Delimiter, Factory, LineContext, LineReceiver, Lines, ListeningPort, Protocol,
    Reactor, Settings, Transport,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Records what was received, and how to react.
#[derive(Default)]
pub(super) struct Receiver {
    /// Lengths of the lines.
    pub(super) lines: Vec<usize>,
    pub(super) text: Vec<String>,
    pub(super) raw: Vec<u8>,
    /// Lengths of lines that were too long.
    pub(super) too_long: Vec<usize>,
    /// Number of bytes that raw mode takes; the rest is handed back.
    pub(super) raw_piece: usize,
    pub(super) pausing: bool,
}

type OnLine = fn(&mut Receiver, &mut LineContext<'_, Receivers>);

pub(super) struct Shared {
    receiver: Rc<RefCell<Receiver>>,
    on_line: OnLine,
}

impl LineReceiver<Receivers> for Shared {
    fn line_received(&mut self, cx: &mut LineContext<'_, Receivers>, line: &[u8]) {
        let receiver = &mut *self.receiver.borrow_mut();
        receiver.lines.push(line.len());
        if line.len() < 20 {
            receiver.text.push(String::from_utf8_lossy(line).into_owned());
        }
        (self.on_line)(receiver, cx);
    }

    fn raw_data_received(&mut self, cx: &mut LineContext<'_, Receivers>, data: &[u8]) {
        let receiver = &mut *self.receiver.borrow_mut();
        let piece = data.len().min(receiver.raw_piece);
        receiver.raw.extend_from_slice(&data[..piece]);
        cx.set_line_mode(&data[piece..]);
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Receivers>, line: &[u8]) {
        self.receiver.borrow_mut().too_long.push(line.len());
        cx.transport.lose_connection();
    }
}

/// Builds one protocol.
pub(super) struct Receivers(Option<Lines<Shared>>);

impl Factory for Receivers {
    type Protocol = Lines<Shared>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Shared>> {
        self.0.take()
    }
}

/// A receiver on a connection.
pub(super) struct Fixture {
    reactor: Reactor,
    port: ListeningPort<Receivers>,
    id: ConnectionId,
    receiver: Rc<RefCell<Receiver>>,
    peer: Peer,
}

impl Fixture {
    pub(super) fn new(on_line: OnLine, set: impl FnOnce(Lines<Shared>) -> Lines<Shared>) -> Self {
        let receiver = Rc::new(RefCell::new(Receiver::default()));
        let shared = Shared { receiver: Rc::clone(&receiver), on_line };
        let script = Script::new();
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        let factory = Receivers(Some(set(Lines::new(shared))));
        let port = reactor.listen_tcp(8007, factory).unwrap();
        let peer = script.connect();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        let id = reactor.first_connection();
        Self { reactor, port, id, receiver, peer }
    }

    pub(super) fn receiver(&self) -> Rc<RefCell<Receiver>> {
        Rc::clone(&self.receiver)
    }

    /// Delivers data in these pieces.
    pub(super) fn feed<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        self.reactor
            .with_protocol(&self.port, self.id, |lines: &mut Lines<Shared>, cx| {
                for piece in pieces {
                    if cx.transport.connection().is_open() {
                        lines.data_received(cx, piece);
                    }
                }
            })
            .unwrap();
        self.turn();
    }

    fn turn(&mut self) {
        assert!(self.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }

    fn transport(&mut self) -> Transport {
        let get = |_: &mut Lines<Shared>, cx: &mut crate::Context<'_, _>| cx.transport.clone();
        self.reactor.with_protocol(&self.port, self.id, get).unwrap()
    }

    /// Resumes reading through the handle.
    pub(super) fn resume(&mut self) {
        self.transport().resume_reading();
        self.turn();
    }

    #[track_caller]
    pub(super) fn expect(&self, lines: &[&str]) {
        assert_eq!(self.receiver.borrow().text, lines);
    }
}

#[test]
fn nothing_is_delivered_once_the_connection_is_ending() {
    for end in [
        |cx: &mut LineContext<'_, Receivers>| cx.transport.lose_connection(),
        |cx: &mut LineContext<'_, Receivers>| cx.transport.abort_connection(),
        |cx: &mut LineContext<'_, Receivers>| cx.transport.fail("enough"),
    ] {
        // The function pointer cannot capture, so the line's own text selects the end.
        let mut fixture = Fixture::new(|_, _| {}, |lines| lines);
        fixture.feed([&b"one\r\n"[..]]);
        fixture
            .reactor
            .with_protocol(&fixture.port, fixture.id, |lines: &mut Lines<Shared>, cx| {
                lines.with_receiver(cx, |_, cx| {
                    cx.set_line_mode(b"two\r\n");
                    end(cx);
                });
            })
            .unwrap();
        fixture.turn();
        fixture.expect(&["one"]);
    }
}

#[test]
fn the_delimiter_may_change_between_two_lines_of_one_chunk() {
    let mut fixture = Fixture::new(|_, cx| cx.set_delimiter(b";"), |lines| lines);
    fixture.feed([&b"one\r\ntwo;three"[..], b"\r\n;"]);
    fixture.expect(&["one", "two", "three\r\n"]);
}

#[test]
fn a_delimiter_changed_from_outside_applies_to_buffered_bytes() {
    let mut fixture = Fixture::new(|_, _| {}, |lines| lines);
    fixture.feed([&b"one;two"[..]]);
    fixture
        .reactor
        .with_protocol(&fixture.port, fixture.id, |lines: &mut Lines<Shared>, cx| {
            lines.with_receiver(cx, |_, cx| cx.set_delimiter(b";"));
        })
        .unwrap();
    fixture.expect(&[]);
    fixture.feed([&b";"[..]]);
    fixture.expect(&["one", "two"]);
}

#[test]
fn the_smallest_and_largest_maximum_lengths() {
    const LINES: &[u8] = b"\r\na\r\nbb\r\n";
    for (max_length, delivered) in [
        // Only empty lines fit; the next one ends the connection.
        (0, &[""][..]),
        (1, &["", "a"][..]),
        (usize::MAX, &["", "a", "bb"][..]),
    ] {
        for size in [1, 2, 3, LINES.len()] {
            let mut fixture = Fixture::new(|_, _| {}, |lines| lines.max_length(max_length));
            fixture.feed(LINES.chunks(size));
            fixture.expect(delivered);
        }
    }
}

#[test]
fn the_limit_may_change_between_two_lines_of_one_chunk() {
    let mut fixture = Fixture::new(|_, cx| cx.set_max_length(3), |lines| lines);
    fixture.feed([&b"longer\r\ntwo\r\nfour\r\nfive\r\n"[..]]);
    fixture.expect(&["longer", "two"]);
    assert_eq!(fixture.receiver.borrow().too_long, [12]);
}

#[test]
fn clear_line_buffer_returns_bytes_that_are_then_not_delivered() {
    let mut fixture = Fixture::new(
        |receiver, cx| {
            let cleared = cx.clear_line_buffer();
            receiver.raw.extend_from_slice(&cleared);
            assert!(cx.clear_line_buffer().is_empty(), "only once");
        },
        |lines| lines,
    );
    fixture.feed([&b"one\r\ntwo\r\nthr"[..], b"four\r\n"]);
    fixture.expect(&["one", "four"]);
    assert_eq!(fixture.receiver.borrow().raw, b"two\r\nthr");
}

#[test]
fn clearing_from_outside_returns_the_undelivered_bytes() {
    let mut fixture = Fixture::new(|_, cx| cx.pause_reading(), |lines| lines);
    fixture.feed([&b"a\r\nb\r\na longer line\r\n"[..]]);
    fixture.resume();
    fixture.expect(&["a", "b"]);
    let clear = |lines: &mut Lines<Shared>, cx: &mut crate::Context<'_, Receivers>| {
        lines.with_receiver(cx, |_, cx| cx.clear_line_buffer())
    };
    let cleared = fixture.reactor.with_protocol(&fixture.port, fixture.id, clear);
    assert_eq!(cleared.unwrap(), b"a longer line\r\n");
    fixture.resume();
    fixture.expect(&["a", "b"]);
}

#[test]
fn extra_lines_are_split_after_those_received() {
    let mut fixture = Fixture::new(
        |receiver, cx| {
            if receiver.text == ["one"] {
                cx.set_line_mode(b"extra\r\n");
                cx.set_line_mode(b"more");
            }
        },
        |lines| lines,
    );
    fixture.feed([&b"one\r\ntwo\r\n"[..], b"\r\n"]);
    fixture.expect(&["one", "two", "extra", "more"]);
}

#[test]
fn lines_and_raw_data_may_be_split_again() {
    let mut fixture = Fixture::new(
        |receiver, cx| {
            if receiver.text == ["a;bb;c;"] {
                cx.set_delimiter(b";");
                cx.set_line_mode(b"a;bb;c;");
            }
        },
        |lines| lines,
    );
    fixture.feed([&b"a;bb;c;\r\n"[..]]);
    fixture.expect(&["a;bb;c;", "a", "bb", "c"]);

    /// Splits its own input again: the same bytes, in place.
    struct Again(Rc<RefCell<Vec<String>>>);
    impl<F> LineReceiver<F> for Again {
        fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
            cx.set_raw_mode();
        }
        fn raw_data_received(&mut self, cx: &mut LineContext<'_, F>, data: &[u8]) {
            assert!(cx.clear_line_buffer().is_empty());
            cx.set_line_mode(&data[2..]);
        }
        fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
            self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
            if line.contains(&b';') {
                cx.set_delimiter(b";");
                cx.set_line_mode(line);
            }
        }
    }
    let text = Rc::new(RefCell::new(Vec::new()));
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let receiver = Rc::clone(&text);
    reactor.listen_tcp(8007, move || Lines::new(Again(Rc::clone(&receiver)))).unwrap();
    script.connect().send("xxa;b;\r\n");
    for _ in 0..3 {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    assert_eq!(*text.borrow(), ["a;b;", "a", "b"]);
}

#[test]
fn a_panicking_receiver_gets_connection_lost() {
    struct Jumpy(Rc<RefCell<Vec<String>>>);
    impl<F> LineReceiver<F> for Jumpy {
        fn line_received(&mut self, _: &mut LineContext<'_, F>, line: &[u8]) {
            assert!(line != b"boo", "on purpose");
        }
        fn connection_lost(&mut self, _: &mut LineContext<'_, F>, reason: &crate::Reason) {
            self.0.borrow_mut().push(reason.to_string());
        }
    }
    let told = Rc::new(RefCell::new(Vec::new()));
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let receiver = Rc::clone(&told);
    reactor.listen_tcp(8007, move || Lines::new(Jumpy(Rc::clone(&receiver)))).unwrap();
    script.connect().send("hello\r\nboo\r\nunheard\r\n");
    for _ in 0..3 {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    assert_eq!(*told.borrow(), ["a callback panicked: on purpose"]);
}

#[test]
fn a_panic_that_reaches_the_caller_leaves_the_splitter_consistent() {
    let mut fixture = Fixture::new(
        |receiver, _| assert!(!receiver.text.iter().any(|line| line.ends_with("boom"))),
        |lines| lines,
    );
    fixture.feed([&b"a beginning"[..]]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fixture
            .reactor
            .with_protocol(&fixture.port, fixture.id, |lines: &mut Lines<Shared>, cx| {
                lines.with_receiver(cx, |_, cx| cx.set_line_mode(b" boom\r\n"));
            })
            .unwrap();
    }));
    assert!(panicked.is_err());
    // The panic was the caller's, and the connection continues.
    fixture.receiver.borrow_mut().text.clear();
    fixture
        .reactor
        .with_protocol(&fixture.port, fixture.id, |lines: &mut Lines<Shared>, cx| {
            lines.with_receiver(cx, |_, cx| cx.set_line_mode(b"x"));
        })
        .unwrap();
    fixture.feed([&b"y\r\n"[..]]);
    fixture.expect(&["xy"]);
}

#[test]
fn a_long_line_is_sent_in_one_write() {
    let mut fixture = Fixture::new(|_, cx| cx.send_line(vec![b'x'; 100_000]), |lines| lines);
    let before = fixture.peer.calls().writes;
    fixture.feed([&b"go\r\n"[..]]);
    assert_eq!(fixture.peer.received().len(), 100_002);
    assert_eq!(fixture.peer.calls().writes - before, 1);
}

#[test]
fn a_line_is_sent_with_the_delimiter_in_use() {
    let mut fixture = Fixture::new(
        |_, cx| {
            cx.send_line("before");
            cx.set_delimiter(Delimiter::Newline);
            cx.send_line("after");
        },
        |lines| lines.delimiter(b";"),
    );
    fixture.feed([&b"go;"[..]]);
    assert_eq!(fixture.peer.received(), b"before;after\r\n");
}

#[test]
fn a_line_sent_after_lose_connection_is_dropped() {
    let mut fixture = Fixture::new(
        |_, cx| {
            // With unsent bytes and room left, to take the fast path.
            cx.send_line("goodbye");
            cx.transport.lose_connection();
            cx.send_line("too late");
        },
        |lines| lines,
    );
    fixture.feed([&b"go\r\n"[..]]);
    assert_eq!(fixture.peer.received(), b"goodbye\r\n");
}

/// A type with settings of its own.
struct Typed;

impl<F> LineReceiver<F> for Typed {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 5;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        assert_eq!((cx.delimiter(), cx.max_length()), (&Delimiter::Newline, 5));
        cx.send_line(line);
    }
}

#[test]
fn settings_of_the_type_apply_to_its_instances() {
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    reactor.listen_tcp(8007, || Lines::new(Typed)).unwrap();
    let peer = script.connect();
    peer.send("five5\r\nlf\nsix666\n");
    for _ in 0..5 {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    assert_eq!(peer.received(), b"five5\r\nlf\r\n");
    assert_eq!(reactor.connection_count(), 0);
}

#[test]
fn each_callback_gets_its_own_transport_in_the_context() {
    // The field is public: a change by one callback is gone in the next.
    let mut fixture = Fixture::new(
        |receiver, cx| {
            receiver.too_long.push(std::ptr::from_ref(cx.transport).addr());
            cx.transport = Box::leak(Box::new(cx.transport.clone()));
        },
        |lines| lines,
    );
    fixture.feed([&b"one\r\ntwo\r\n"[..]]);
    let seen = fixture.receiver().borrow().too_long.clone();
    assert_eq!(seen[0], seen[1]);
}
