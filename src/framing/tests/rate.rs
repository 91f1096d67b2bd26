//! Line rate limit: lines that arrive faster than they may be delivered.

use crate::limits::Timeouts;
use crate::testing::{Conditions, Peer, assert_split_invariant, connect};
use crate::{Delimiter, LineContext, LineReceiver, Lines, TimerId};
use std::time::Duration;

/// Answers each line, and obeys some of them.
struct Answering(Option<TimerId>);

impl<F> LineReceiver<F> for Answering {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.transport.write_sequence([line, b"\n"]);
        match line {
            b"raw" => cx.set_raw_mode(),
            b"pause" => {
                cx.pause_reading();
                self.0 = Some(cx.set_timer(Duration::from_secs(60)));
            }
            b"again" => cx.set_line_mode(b"and again\n"),
            b"bye" => cx.transport.lose_connection(),
            _ => {}
        }
    }

    fn raw_data_received(&mut self, cx: &mut LineContext<'_, F>, data: &[u8]) {
        let end = data.iter().position(|&byte| byte == b'.');
        let (raw, extra) = data.split_at(end.map_or(data.len(), |end| end + 1));
        cx.transport.write(raw);
        if end.is_some() {
            cx.set_line_mode(extra);
        }
    }

    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, timer: TimerId) {
        assert_eq!(self.0.take(), Some(timer), "only its own are told to a receiver");
        cx.resume_reading();
    }
}

/// Three lines at once, then one per second.
fn lines() -> Lines<Answering> {
    Lines::new(Answering(None)).line_rate(3, Duration::from_secs(3))
}

#[track_caller]
fn expect(peer: &Peer, text: &str) {
    assert_eq!(String::from_utf8(peer.take_received()).unwrap(), text);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_burst_is_delivered_at_once_and_then_one_line_at_a_time() {
    for yields in [0, 999] {
        let peer = connect(lines);
        peer.simulation().set_conditions(Conditions::ideal().yields(yields));
        peer.send("1\n2\n3\n4\n5\n6");
        expect(&peer, "1\n2\n3\n");
        peer.send("6\n7\n8\n9\n");
        expect(&peer, "");
        for line in ["4\n", "5\n", "66\n", "7\n"] {
            peer.advance(SECOND - Duration::from_millis(1));
            expect(&peer, "");
            peer.advance(Duration::from_millis(1));
            expect(&peer, line);
        }
        peer.advance(10 * SECOND);
        expect(&peer, "8\n9\n");
        peer.send("a\nb\nc\nd\n");
        expect(&peer, "a\nb\nc\n");
    }
}

#[test]
fn lines_held_back_are_delivered_before_the_close() {
    let peer = connect(lines);
    peer.send("1\n2\n3\n4\n5\n6\n7");
    peer.close_write();
    expect(&peer, "1\n2\n3\n");
    assert!(peer.lost_reason().is_none());
    peer.advance(3 * SECOND);
    expect(&peer, "4\n5\n6\n");
    peer.advance(SECOND);
    assert!(peer.lost_reason().unwrap().is_done());
}

#[test]
fn a_pause_and_the_rate_limit_both_hold_lines_back() {
    let peer = connect(lines);
    peer.send("pause\n2\n3\n4\n5\n");
    expect(&peer, "pause\n");
    peer.advance(60 * SECOND);
    expect(&peer, "2\n3\n4\n");
    peer.advance(SECOND);
    expect(&peer, "5\n");
    // The third line pauses, so that the pause and the rate limit both hold.
    peer.advance(60 * SECOND);
    peer.send("1\n2\npause\n4\n");
    peer.advance(59 * SECOND);
    expect(&peer, "1\n2\npause\n");
    peer.advance(SECOND);
    expect(&peer, "4\n");
}

#[test]
fn the_end_of_a_pause_does_not_end_the_wait_for_the_rate_limit() {
    let peer = connect(|| Lines::new(Answering(None)).line_rate(1, 100 * SECOND));
    peer.send("pause\n2\n");
    peer.advance(99 * SECOND);
    expect(&peer, "pause\n");
    peer.advance(SECOND);
    expect(&peer, "2\n");
}

/// Sends nothing, and has an idle timeout.
struct Silent;

impl<F> LineReceiver<F> for Silent {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.set_timeouts(Timeouts::new().idle(10 * SECOND));
    }

    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {}
}

#[test]
fn the_idle_timeout_starts_again_after_lines_were_held_back() {
    // Lines may be held for longer than the idle timeout, or for less.
    for held in [9, 27] {
        let peer = connect(move || Lines::new(Silent).line_rate(1, held * SECOND));
        peer.send("1\n2\n");
        // The second line comes after that time, and nothing is read for as long after it.
        peer.advance(2 * held * SECOND + 9 * SECOND);
        assert!(peer.lost_reason().is_none());
        peer.advance(20 * SECOND);
        assert!(peer.lost_reason().is_some());
    }
}

#[test]
fn raw_data_is_not_counted_and_lines_handed_back_are() {
    let peer = connect(lines);
    peer.send("raw\n");
    for _ in 0..100 {
        peer.send("not a line\n");
    }
    assert_eq!(peer.take_received().len(), 4 + 1100);
    peer.send(".2\n3\n4\n");
    expect(&peer, ".2\n3\n");
    peer.advance(SECOND);
    expect(&peer, "4\n");
    peer.advance(60 * SECOND);
    peer.send("again\n");
    expect(&peer, "again\nand again\n");
    peer.send("3\n4\n");
    expect(&peer, "3\n");
}

#[test]
fn closing_at_a_line_drops_the_lines_after_it() {
    let peer = connect(lines);
    peer.send("1\n2\nbye\n4\n");
    expect(&peer, "1\n2\nbye\n");
    assert!(peer.lost_reason().unwrap().is_done());
    let peer = connect(lines);
    peer.send("1\n2\n3\n4\n");
    peer.reset();
    assert!(peer.lost_reason().is_some());
    peer.advance(60 * SECOND);
}

#[test]
fn lines_do_not_depend_on_how_bytes_arrive() {
    let long = "1\n2\npause\n3\nraw\nabc.4\n5\n6\n7\n8\nraw\n\n\n.pause\n9\n";
    assert_split_invariant(lines, long);
}
