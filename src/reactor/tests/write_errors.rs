//! Writes that fail, and the input that has arrived nevertheless.

use super::*;

/// Writes at each timer, and sets one after each piece of data.
fn writing(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Made => {
            cx.set_timer(Duration::from_secs(1));
        }
        Event::Timer => cx.transport.write("are you still there?"),
        Event::Data(b"fail") => cx.transport.fail("it heard enough"),
        Event::Data(b"pause") => cx.transport.pause_reading(),
        Event::Data(_) => {
            assert!(!cx.transport.is_disconnecting() && !cx.transport.accepts_writes())
        }
        _ => {}
    }
}

const LOST: &str = "0 lost: connection lost: broken pipe";

/// Returns a connection whose peer has answered and is gone: a write fails.
fn severed(answer: &[&str]) -> Fixture {
    let mut fixture = Fixture::new(writing);
    let peer = fixture.connect();
    answer.iter().for_each(|piece| peer.send(piece));
    peer.close();
    peer.break_writes();
    // Timers come before reading.
    fixture.script.advance(Duration::from_secs(1));
    fixture.turn();
    fixture
}

#[test]
fn an_answer_is_delivered_though_a_write_has_failed_before_it_was_read() {
    let mut fixture = severed(&["the answer"]);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", "0 data the answer", LOST]);
    fixture.expect_empty();
}

#[test]
fn without_an_answer_the_loss_is_reported_at_once() {
    let mut fixture = Fixture::new(writing);
    let peer = fixture.connect();
    peer.break_writes();
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", LOST]);
    fixture.expect_empty();
}

#[test]
fn after_a_failed_write_input_is_read_to_its_end_within_the_budget_of_each_turn() {
    let pieces: Vec<String> = (0..20).map(|number| format!("piece {number}")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let mut fixture = severed(&pieces);
    assert!(fixture.log.0.borrow().len() < 20, "not all in one turn");
    fixture.settle();
    let mut expected = vec!["0 made".to_owned(), "0 timer".to_owned()];
    expected.extend(pieces.iter().map(|piece| format!("0 data {piece}")));
    expected.push(LOST.to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    fixture.log.expect(&expected);
}

#[test]
fn the_first_reason_stays_and_a_pause_ends_it() {
    for (last, told) in [("fail", "0 data fail"), ("pause", "0 data pause")] {
        let mut fixture = severed(&["the answer", last, "unheard"]);
        fixture.settle();
        fixture.log.expect(&["0 made", "0 timer", "0 data the answer", told, LOST]);
        fixture.expect_empty();
    }
}

#[test]
fn a_large_write_that_fails_within_a_callback_is_no_different() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Timer {
            cx.transport.write([0; 100_000]);
            cx.transport.write("and more");
        } else {
            writing(event, cx);
        }
    });
    let peer = fixture.connect();
    peer.send("the answer");
    peer.break_writes();
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", "0 data the answer", LOST]);
    fixture.expect_empty();
}

#[test]
fn after_a_failed_write_a_full_write_buffer_does_not_block_reading() {
    let mut fixture = Fixture::new(writing);
    let peer = fixture.connect();
    peer.set_room(0);
    // Enough unsent bytes that its peer would not be read.
    fixture.transport(0).set_max_unsent(200_000, crate::limits::OverflowPolicy::Close);
    fixture.transport(0).write([0; 200_000]);
    fixture.settle();
    peer.send("the answer");
    peer.break_writes();
    peer.nudge();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data the answer", LOST]);
    fixture.expect_empty();
}
