//! Lines that a receiver holds back, and when they are delivered.

use super::receiving::Fixture;
use crate::driver::scripted::Script;
use crate::{LineContext, LineReceiver, Lines, Reactor, Settings};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Pauses at every line, and stays open after the peer's FIN.
struct Pausing(Rc<RefCell<Vec<String>>>);

impl<F> LineReceiver<F> for Pausing {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        cx.pause_reading();
    }

    fn reading_resumed(&mut self, _: &mut LineContext<'_, F>) {
        self.0.borrow_mut().push("(resumed)".to_owned());
    }

    fn read_connection_lost(&mut self, _: &mut LineContext<'_, F>) {}
}

#[test]
fn lines_held_back_are_delivered_when_the_handle_resumes_reading() {
    let mut fixture = Fixture::new(|_, cx| cx.pause_reading(), |lines| lines);
    fixture.feed([&b"one\r\ntwo\r\nthr"[..]]);
    fixture.expect(&["one"]);
    fixture.resume();
    fixture.expect(&["one", "two"]);
    fixture.resume();
    fixture.feed([&b"ee\r\n"[..]]);
    fixture.expect(&["one", "two", "three"]);
}

#[test]
fn lines_held_back_are_delivered_after_reading_resumed() {
    let text = Rc::new(RefCell::new(Vec::new()));
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let receiver = Rc::clone(&text);
    let factory = move || Lines::new(Pausing(Rc::clone(&receiver)));
    let port = reactor.listen_tcp(8007, factory).unwrap();
    script.connect().send("one\r\ntwo\r\n");
    let turn = |reactor: &mut Reactor| {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    };
    turn(&mut reactor);
    turn(&mut reactor);
    let id = reactor.first_connection();
    reactor
        .with_protocol(&port, id, |lines, cx| lines.with_receiver(cx, |_, cx| cx.resume_reading()))
        .unwrap();
    assert_eq!(*text.borrow(), ["one"]);
    turn(&mut reactor);
    assert_eq!(*text.borrow(), ["one", "(resumed)", "two"]);
}

#[test]
fn lines_held_back_are_delivered_even_after_the_end_of_input() {
    let text = Rc::new(RefCell::new(Vec::new()));
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let receiver = Rc::clone(&text);
    let factory = move || Lines::new(Pausing(Rc::clone(&receiver)));
    let port = reactor.listen_tcp(8007, factory).unwrap();
    script.connect().close();
    for _ in 0..3 {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    let id = reactor.first_connection();
    reactor
        .with_protocol(&port, id, |lines, cx| {
            lines.with_receiver(cx, |_, cx| cx.set_line_mode(b"one\r\ntwo\r\n"));
        })
        .unwrap();
    assert_eq!(*text.borrow(), ["one"]);
    reactor
        .with_protocol(&port, id, |lines, cx| lines.with_receiver(cx, |_, cx| cx.resume_reading()))
        .unwrap();
    assert_eq!(*text.borrow(), ["one", "two"]);
}
