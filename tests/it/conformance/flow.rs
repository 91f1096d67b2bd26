//! Slow consumers, and the producers that feed them.

use super::{Carrier, pattern};
use crate::support::{Cx, Event, connect_in_turn};
use std::io::Cursor;
use std::time::Duration;
use twistor::limits::OverflowPolicy;
use twistor::{Producer, Settings, Transport, broadcast};

/// The default high-water mark, at which a producer is paused.
const HIGH_MARK: usize = 64 * 1024;

pub(super) fn a_reader_is_sent_whole_to_a_late_reader(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            let input = Cursor::new(pattern(cx.factory.large));
            cx.transport.register_producer(Producer::reader(input));
            // Takes effect when the reader is finished.
            cx.transport.lose_connection();
        }
        Event::Produced => assert!(cx.transport.unsent() <= HIGH_MARK),
        _ => {}
    });
    let client = server.connect();
    let large = carrier.large();
    assert!(client.rest() == pattern(large));
    server.expect(&["0 made", &format!("0 produced Ok({large})"), "0 lost: done"]);
}

pub(super) fn a_reader_ends_with_its_connection(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.register_producer(Producer::reader(std::io::repeat(b'x')));
        }
    });
    let mut client = server.connect();
    client.expect([b'x'; 100_000]);
    client.reset();
    server.expect(&["0 made"]);
    let end = server.next();
    assert!(["0 lost: ConnectionReset", "0 lost: BrokenPipe"].contains(&&*end), "{end}");
}

/// Returns some bytes, and then an error.
struct Broken(usize);

impl std::io::Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.min(buffer.len());
        self.0 -= count;
        match count {
            0 => Err(std::io::ErrorKind::InvalidData.into()),
            count => Ok(count),
        }
    }
}

pub(super) fn a_reader_that_fails_leaves_no_stream_that_looks_whole(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.register_producer(Producer::reader(Broken(100_000)));
            cx.transport.lose_connection();
        }
    });
    let (received, in_order) = server.connect().rest_and_end();
    let looks_whole = in_order && carrier.resets();
    assert!(!looks_whole && received.len() <= 100_000, "{} bytes", received.len());
    let failed = "0 lost: failed: cannot read from the producer: invalid data";
    let told = "0 produced Err(Kind(InvalidData))";
    server.expect(&["0 made", told, failed]);
}

pub(super) fn a_producer_with_nothing_to_give_does_not_outlive_its_peer(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made if cx.factory.all.len() == 1 => {
            cx.transport.register_producer(Producer::push());
        }
        Event::Made => cx.transport.register_producer(Producer::pull()),
        Event::Data(_) => cx.transport.write("answer"),
        Event::ReadLost => cx.transport.close_passively(),
        _ => {}
    });
    let mut half = server.connect();
    server.expect(&["0 made"]);
    half.send("x");
    half.finish();
    assert_eq!(half.rest(), b"answer");
    server.expect(&["0 read lost", "0 lost: done"]);
    drop(server.connect());
    server.expect(&["1 made", "1 may write", "1 read lost", "1 lost: done"]);
}

/// Writes `LOOPED` bytes in pieces that are sent at once, as long as it may write.
fn write_in_a_loop(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Made => cx.transport.register_producer(Producer::push()),
        Event::MayWrite => {}
        _ => return,
    }
    while cx.transport.may_produce() {
        if cx.factory.written == LOOPED {
            cx.transport.unregister_producer();
            return cx.transport.lose_connection();
        }
        cx.transport.write(&pattern(LOOPED)[cx.factory.written..][..PIECE]);
        cx.factory.written += PIECE;
        assert!(cx.transport.unsent() <= HIGH_MARK + PIECE);
    }
}

const PIECE: usize = 16 * 1024;
const LOOPED: usize = 200 * PIECE;

pub(super) fn a_producer_that_writes_in_a_loop_sees_the_high_water_mark(carrier: Carrier) {
    let server = carrier.serve(write_in_a_loop);
    let client = server.connect();
    assert!(client.rest() == pattern(LOOPED));
    let told = std::iter::repeat_with(|| server.next());
    let told: Vec<String> = told.take_while(|entry| entry != "0 lost: done").collect();
    assert!(told.iter().all(|entry| entry == "0 made" || entry == "0 may write"), "{told:?}");
}

/// The first two connections feed each other.
fn proxy(event: Event<'_>, cx: &mut Cx<'_>) {
    let own = usize::from(cx.factory.all.get(1) == Some(cx.transport));
    let Some(other) = cx.factory.all.get(1 - own).filter(|other| *other != cx.transport) else {
        // The first connection is paused until the second is made.
        return cx.transport.pause_reading();
    };
    match event {
        Event::Made => {
            other.register_producer(cx.transport);
            cx.transport.register_producer(other);
            other.resume_reading();
        }
        Event::Data(data) => {
            other.write(data);
            // What TLS adds to them is less than one per cent.
            let most = HIGH_MARK + HIGH_MARK / 100;
            assert!(other.unsent() <= most, "{} bytes are held", other.unsent());
        }
        Event::ReadLost => other.lose_write_connection(),
        _ => {}
    }
}

pub(super) fn a_proxy_holds_no_more_than_the_high_water_mark_and_passes_everything(
    carrier: Carrier,
) {
    let server = carrier.serve(proxy);
    let [mut one, mut two] = connect_in_turn(&server);
    server.expect(&["0 resumed"]);
    let (there, back) = (pattern(carrier.large()), pattern(carrier.large() / 2));
    let sending = [one.send_meanwhile(there), two.send_meanwhile(back)];
    two.expect(there);
    one.expect(back);
    assert!(sending.into_iter().all(|it| it.ended()));
    // Half-closes pass through the proxy.
    one.finish();
    server.expect(&["0 read lost", "1 write lost"]);
    two.send("late");
    one.expect("late");
    two.finish();
    one.expect_close();
    two.expect_close();
    let mut ends: Vec<String> = (0..4).map(|_| server.next()).collect();
    ends.sort();
    assert_eq!(ends, ["0 lost: done", "0 write lost", "1 lost: done", "1 read lost"]);
}

pub(super) fn a_lost_consumer_ends_its_producer(carrier: Carrier) {
    let server = carrier.serve(proxy);
    let [mut one, two] = connect_in_turn(&server);
    server.expect(&["0 resumed"]);
    one.send("unread");
    two.wait_for_bytes();
    two.reset();
    // The stream for this client was cut off as well.
    carrier.expect_abort(one);
    let mut ends = [server.next(), server.next()];
    ends.sort();
    const BROKEN_OFF: &str =
        "0 lost: failed: the connection that fed this one was lost before its end";
    assert_eq!(ends, [BROKEN_OFF, "1 lost: ConnectionReset"]);
}

pub(super) fn a_producer_is_paused_and_resumed_in_turn(carrier: Carrier) {
    // Does not divide the high-water mark.
    const PIECE: usize = 49_999;
    let server = carrier.serve(|event, cx| {
        match event {
            Event::Made => cx.transport.register_producer(Producer::push()),
            Event::MustWait => cx.factory.waits = true,
            Event::MayWrite => cx.factory.waits = false,
            _ => {}
        }
        let large = cx.factory.large;
        let runs = matches!(event, Event::Made | Event::Timer | Event::MayWrite);
        if !runs || cx.factory.waits || cx.factory.written == large {
            return;
        }
        let begin = cx.factory.written;
        cx.factory.written = large.min(begin + PIECE);
        cx.transport.write(&pattern(cx.factory.written)[begin..]);
        assert!(cx.transport.unsent() <= HIGH_MARK + PIECE);
        if cx.factory.written == large {
            cx.transport.unregister_producer();
            cx.transport.lose_connection();
        } else {
            cx.set_timer(Duration::ZERO);
        }
    });
    let client = server.connect();
    while server.next() != "0 must wait" {}
    assert!(client.rest() == pattern(carrier.large()));
    server.wait_until("it is gone", |reactor| reactor.connection_count() == 0);
    let mut told = server.stop();
    told.retain(|entry| entry == "0 must wait" || entry == "0 may write");
    assert!(!told.is_empty());
    for (number, entry) in told.iter().enumerate() {
        assert_eq!(entry, ["0 may write", "0 must wait"][number % 2]);
    }
}

pub(super) fn above_max_unsent_a_slow_consumer_is_closed(carrier: Carrier) {
    let settings = Settings::default().max_unsent(1 << 20);
    let server = carrier.serve_with(settings, |event, cx| {
        if let Event::Data(_) = event {
            for _ in 0..cx.factory.large >> 16 {
                cx.transport.write([0; 1 << 16]);
            }
        }
    });
    let [mut slow, mut quick] = connect_in_turn(&server);
    slow.send("x");
    server.expect(&["0 lost: Overflow"]);
    assert_eq!(server.call(|reactor| reactor.connection_count()), 1);
    carrier.expect_abort(slow);
    // Without a limit of its own, a client that reads gets everything.
    let settings_of_one =
        |transport: &Transport| transport.set_max_unsent(None, OverflowPolicy::Close);
    let port = server.port.key();
    server
        .call(move |it| it.with_factory(port, |probes, _| settings_of_one(&probes.all[1])))
        .unwrap();
    quick.send("x");
    quick.expect(vec![0; carrier.large()]);
}

pub(super) fn above_max_unsent_total_the_slowest_consumer_is_closed(carrier: Carrier) {
    let settings = Settings::default().max_unsent_total(16 << 20);
    let server = carrier.serve_with(settings, |event, cx| {
        if let Event::Data([count]) = event {
            cx.transport.write(vec![0; usize::from(*count) << 20]);
        }
    });
    let mut clients = connect_in_turn::<3>(&server);
    // The operating systems in between hold a part of it.
    clients[0].send([10]);
    clients[1].send([40]);
    server.expect(&["1 lost: Overflow"]);
    clients[0].expect(vec![0; 10 << 20]);
    clients[2].send([1]);
    clients[2].expect(vec![0; 1 << 20]);
}

pub(super) fn within_a_callback_max_unsent_total_is_never_exceeded(carrier: Carrier) {
    const MAX: usize = 4 << 20;
    let settings = Settings::default().max_unsent_total(MAX);
    let server = carrier.serve_with(settings, |event, cx| {
        if let Event::Data(b"x") = event {
            let all = cx.factory.all.clone();
            for _ in 0..2000 {
                broadcast(&all, vec![b'x'; 10_000]);
                let unsent: usize = all.iter().map(Transport::unsent).sum();
                assert!(unsent <= MAX, "{unsent}");
            }
            cx.factory.note("written");
        }
    });
    let mut clients = connect_in_turn::<3>(&server);
    clients[0].send("x");
    server.expect(&["written"]);
    // Twenty megabytes for each client, and none has begun to read.
    server.wait_until("all are lost", |reactor| reactor.connection_count() == 0);
}

/// Returns a message with its number and length: most are short, and some are not copied.
fn message(number: usize) -> Vec<u8> {
    let length = if number % 4 == 0 { 150_000 } else { number % 500 };
    let mut message = format!("{number} {length} ").into_bytes();
    message.extend(vec![b'x'; length]);
    message
}

/// Returns the numbers of the received messages, all of which are whole.
fn numbers(mut received: &[u8]) -> Vec<usize> {
    let mut numbers = Vec::new();
    while !received.is_empty() {
        let mut words = received.splitn(3, |byte| *byte == b' ');
        let word = words.next().unwrap();
        let number = std::str::from_utf8(word).unwrap().parse().unwrap();
        let expected = message(number);
        assert!(received.starts_with(&expected), "{number} is not whole");
        numbers.push(number);
        received = &received[expected.len()..];
    }
    numbers
}

pub(super) fn a_slow_member_misses_whole_messages_and_the_others_none(carrier: Carrier) {
    const COUNT: usize = 400;
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.set_max_unsent(200_000, OverflowPolicy::DropNew),
        Event::Data(b"n") => {
            cx.factory.written += 1;
            broadcast(&cx.factory.all, message(cx.factory.written));
        }
        Event::Data(_) => {
            let dropped = cx.factory.all.iter().map(Transport::dropped_writes);
            cx.factory.note(format!("{:?}", dropped.collect::<Vec<_>>()));
            cx.factory.all.iter().for_each(Transport::lose_connection);
        }
        _ => {}
    });
    let [mut quick, slow] = connect_in_turn(&server);
    for number in 1..=COUNT {
        quick.send("n");
        quick.expect(message(number));
    }
    quick.send("e");
    let dropped = server.next();
    let got = numbers(&slow.rest());
    assert!(got.is_sorted() && got.len() < COUNT, "{} messages", got.len());
    assert_eq!(dropped, format!("{:?}", [0, COUNT - got.len()]));
    quick.expect_close();
}

pub(super) fn rejected_writes_are_reported(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(_) => {
            cx.transport.set_max_unsent(cx.factory.large, OverflowPolicy::Reject);
            for number in 0..10 {
                cx.transport.write(vec![number; cx.factory.large / 2]);
            }
        }
        Event::Refused => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = server.connect();
    client.send("x");
    // Before the client reads: encryption in a debug build is slower than a reader.
    server.expect(&["0 made"]);
    let refused = server.next();
    let received = client.rest();
    // As many as the operating systems in between hold, and two more.
    let half = carrier.large() / 2;
    let count = received.len() / half;
    assert!((2..10).contains(&count));
    let whole: Vec<_> = (0..count as u8).map(|number| vec![number; half]).collect();
    assert!(received == whole.concat());
    assert_eq!(refused, format!("0 refused {}", 10 - count));
    server.expect(&["0 lost: done"]);
}
