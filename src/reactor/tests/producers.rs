//! Producers: protocols and readers.

use super::*;
use crate::Producer;
use std::io::{self, Read};

const HIGH: usize = 64 * 1024;
const LOW: usize = 16 * 1024;

/// Registers itself at the first data; then writes at each data.
fn push(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Made => cx.transport.register_producer(Producer::push()),
        Event::Data(data) => cx.transport.write(vec![b'x'; data.len() * 1000]),
        _ => {}
    }
}

#[test]
fn a_push_producer_hears_each_mark_once() {
    let mut fixture = Fixture::new(push);
    let peer = fixture.connect();
    peer.set_room(0);
    fixture.log.expect(&["0 made"]);
    peer.send([0; 65]);
    fixture.turn();
    fixture.log.expect(&["0 data 65 bytes"]);
    peer.send(b"x");
    fixture.settle();
    fixture.log.expect(&["0 data x", "0 must wait"]);
    peer.send(b"x");
    // A connection with a full socket is not read during its backoff.
    fixture.turn();
    fixture.script.advance(Duration::from_millis(2));
    fixture.settle();
    fixture.log.expect(&["0 data x"]);
    peer.set_room(67_000 - LOW - 1);
    fixture.settle();
    fixture.log.expect(&[]);
    peer.set_room(1);
    fixture.settle();
    fixture.log.expect(&["0 may write"]);
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    fixture.log.expect(&[]);
}

#[test]
fn bytes_that_the_socket_takes_at_once_pause_no_producer() {
    let mut fixture = Fixture::new(push);
    let peer = fixture.connect();
    peer.send([0; 1000]);
    fixture.settle();
    assert_eq!(peer.received().len(), 1_000_000);
    assert_eq!(fixture.log.count("0 must wait"), 0);
}

#[test]
fn writes_of_others_pause_a_producer_too() {
    let mut fixture = Fixture::new(push);
    let peer = fixture.connect();
    peer.set_room(0);
    fixture.transport(0).write("x");
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    // Something is unsent already, so the loop waits only for the socket.
    fixture.transport(0).write(vec![0; HIGH]);
    fixture.settle();
    fixture.log.expect(&["0 must wait"]);
}

#[test]
fn the_marks_can_be_set() {
    let mut fixture = Fixture::new(|event, cx| {
        push(event, cx);
        if event == Event::Made {
            cx.transport.set_water_marks(2000, 5000);
        }
    });
    let peer = fixture.connect();
    peer.set_room(0);
    peer.send("x");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data x"]);
    peer.send("x");
    fixture.settle();
    fixture.log.expect(&["0 data x", "0 must wait"]);
    // A low mark above the high one is just below it.
    peer.set_room(1);
    fixture.settle();
    fixture.log.expect(&["0 may write"]);
}

#[test]
fn a_pull_producer_is_resumed_when_there_is_room_and_not_again_if_it_writes_nothing() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(_) => cx.transport.register_producer(Producer::pull()),
        Event::MayWrite if cx.factory.log.count("0 may write") <= 3 => {
            cx.transport.write(vec![b'x'; 20_000]);
        }
        _ => {}
    });
    let peer = fixture.connect();
    peer.set_room(0);
    peer.send("x");
    fixture.settle();
    assert_eq!(fixture.log.count("0 may write"), 1);
    peer.set_room(20_000 - LOW - 1);
    fixture.settle();
    assert_eq!(fixture.log.count("0 may write"), 1);
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    // The fourth time it writes nothing.
    assert_eq!((fixture.log.count("0 may write"), peer.received().len()), (4, 60_000));
    fixture.transport(0).write("x");
    fixture.settle();
    assert_eq!(fixture.log.count("0 may write"), 5);
}

#[test]
fn a_pull_producer_that_always_writes_does_not_occupy_the_loop() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Made => cx.transport.register_producer(Producer::pull()),
        Event::MayWrite => cx.transport.write("x"),
        _ => {}
    });
    let (peer, other) = (fixture.connect(), fixture.connect());
    other.send("hello");
    fixture.turn();
    assert_eq!(fixture.log.count("1 data hello"), 1);
    let before = peer.received().len();
    fixture.settle();
    assert!(before <= 6 && peer.received().len() >= 10, "asked in each turn");
}

/// A reader that gives `left` bytes, at most `most` at once, and then its end.
struct Input {
    left: usize,
    most: usize,
    end: fn() -> io::Result<usize>,
    reads: Rc<Cell<usize>>,
}

impl Input {
    fn new(left: usize, most: usize) -> Self {
        Self { left, most, end: || Ok(0), reads: Rc::default() }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let count = buffer.len().min(self.left).min(self.most);
        buffer[..count].fill(b'x');
        self.left -= count;
        if count == 0 { (self.end)() } else { Ok(count) }
    }
}

#[test]
fn a_reader_is_read_as_fast_as_the_peer_takes_it_and_its_end_reported() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.set_room(0);
    let (input, reads) = (Input::new(1_000_000, usize::MAX), Rc::default());
    fixture
        .transport(0)
        .register_producer(Producer::reader(Input { reads: Rc::clone(&reads), ..input }));
    // The connection is closed when all is sent, and not before.
    fixture.transport(0).lose_connection();
    fixture.settle();
    assert_eq!((reads.get(), fixture.transport(0).unsent()), (1, HIGH));
    let mut received = 0;
    while received < 999_000 {
        peer.set_room(50_000);
        fixture.turn();
        received += peer.received().len();
        assert!(fixture.transport(0).unsent() <= HIGH);
    }
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    assert_eq!(received + peer.received().len(), 1_000_000);
    let done = "0 lost: connection closed gracefully";
    fixture.log.expect(&["0 made", "0 produced Ok(1000000)", done]);
    fixture.expect_empty();
}

#[test]
fn a_fast_peer_of_an_endless_reader_does_not_occupy_the_loop() {
    let mut fixture = Fixture::new(quiet);
    let (peer, other) = (fixture.connect(), fixture.connect());
    let input = Input::new(usize::MAX, usize::MAX);
    fixture.transport(0).register_producer(Producer::reader(input));
    other.send("hello");
    fixture.turn();
    assert_eq!(fixture.log.count("1 data hello"), 1);
    let before = peer.received().len();
    assert!(before <= 4 * HIGH, "{before}");
    fixture.turn();
    assert!(!peer.received().is_empty(), "and continues");
}

#[test]
fn an_error_of_a_reader_fails_the_connection_by_default_and_its_panic_ends_it() {
    let broken: fn() -> io::Result<usize> = || Err(io::ErrorKind::InvalidData.into());
    for (end, told) in [(broken, "0 produced Err(InvalidData)"), (|| panic!("boom"), "0 lost: ")] {
        let mut fixture = Fixture::new(|event, cx| {
            if event == Event::Produced {
                cx.transport.lose_connection();
            }
        });
        let peer = fixture.connect();
        let input = Input { end, ..Input::new(10, 3) };
        fixture.transport(0).register_producer(Producer::reader(input));
        fixture.settle();
        assert_eq!(peer.received(), b"xxxxxxxxxx");
        let log = fixture.log.0.borrow().join("\n");
        assert!(log.contains(told), "{log}");
        assert_eq!(log.contains("panicked: boom"), told == "0 lost: ", "{log}");
        fixture.expect_empty();
    }
}

#[test]
fn one_file_after_another_and_interruptions() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Produced if cx.factory.log.count("0 produced Ok(3)") < 3 => {
            cx.transport.register_producer(Producer::reader(&b"abc"[..]));
        }
        Event::Produced => cx.transport.lose_connection(),
        _ => {}
    });
    let peer = fixture.connect();
    fixture.transport(0).register_producer(Producer::reader(&b"abc"[..]));
    fixture.settle();
    assert_eq!(peer.received(), b"abcabcabc");
    fixture.expect_empty();
}

/// A reader that logs its drop.
struct Dropped(Log);

impl Read for Dropped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.push("dropped");
        panic!("a drop that panics");
    }
}

#[test]
fn a_reader_whose_consumer_is_gone_is_dropped_and_its_panic_contained() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.set_room(0);
    let log = fixture.log.clone();
    fixture.transport(0).register_producer(Producer::reader(Dropped(log)));
    fixture.settle();
    peer.reset();
    fixture.settle();
    assert_eq!(fixture.log.count("dropped"), 1);
    assert_eq!(fixture.log.count("0 produced Ok(0)"), 0);
    fixture.expect_empty();
}

#[test]
fn a_peer_that_takes_nothing_of_a_producer_times_out() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.set_room(0);
    let input = Input::new(1_000_000, usize::MAX);
    fixture.transport(0).register_producer(Producer::reader(input));
    fixture.transport(0).lose_connection();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(9));
    fixture.settle();
    peer.set_room(60_000);
    fixture.settle();
    fixture.script.advance(Duration::from_secs(9));
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 1, "it took something nine seconds ago");
    fixture.script.advance(Duration::from_secs(2));
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 0);
    fixture.expect_empty();
}

#[test]
fn a_second_producer_fails_the_connection_and_unregistering_makes_room() {
    let mut fixture = Fixture::new(quiet);
    fixture.connect();
    let transport = fixture.transport(0);
    transport.register_producer(Producer::push());
    transport.unregister_producer();
    transport.unregister_producer();
    transport.register_producer(Producer::pull());
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 1);
    transport.register_producer(Producer::push());
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 0);
    let log = fixture.log.0.borrow().join("\n");
    assert!(log.contains("a producer was registered beside another"), "{log}");
}
