//! The cost of splitting: counted, not timed.

use super::receiving::Fixture;
use crate::{Delimiter, LineContext};

#[test]
fn a_line_that_arrives_byte_by_byte_is_searched_once() {
    // A quadratic search of this line would inspect 10^12 bytes, and the test would not end.
    let length = 1_000_000;
    let mut fixture = Fixture::new(|_, _| {}, |lines| lines.max_length(length));
    let receiver = fixture.receiver();
    let chunk = [b'x'];
    fixture.feed((0..length).map(|_| &chunk[..]));
    fixture.feed([&b"\r"[..], b"\n"]);
    assert_eq!(receiver.borrow().lines, [length]);
}

#[test]
fn hundreds_of_thousands_of_lines_in_one_read_move_no_bytes() {
    let lines = 400_000;
    let data = b"ab\r\n".repeat(lines);
    let mut fixture = Fixture::new(|_, _| {}, |lines| lines);
    let receiver = fixture.receiver();
    fixture.feed([&data[..]]);
    assert_eq!(receiver.borrow().lines.len(), lines);
    // Again after a beginning that waits, and pausing at each line.
    let mut fixture = Fixture::new(
        |receiver, cx: &mut LineContext<'_, _>| {
            if receiver.pausing {
                cx.pause_reading();
                cx.resume_reading();
            }
        },
        |lines| lines,
    );
    let receiver = fixture.receiver();
    receiver.borrow_mut().pausing = true;
    fixture.feed([&b"a"[..], &data[..]]);
    assert_eq!(receiver.borrow().lines.len(), lines);
}

#[test]
fn pausing_at_every_line_does_not_move_the_remaining_bytes() {
    // The receiver pauses at each line and is resumed from outside, twenty thousand times. Moving
    // the remaining bytes each time would move 10^12 bytes, and the test would not end.
    let lines = 20_000;
    let data = vec![b'\n'; 64 << 20];
    let mut fixture = Fixture::new(
        |_, cx: &mut LineContext<'_, _>| cx.pause_reading(),
        |lines| lines.delimiter(Delimiter::Newline),
    );
    let receiver = fixture.receiver();
    fixture.feed([&data[..]]);
    for line in 1..=lines {
        assert_eq!(receiver.borrow().lines.len(), line);
        fixture.resume();
    }
}

#[test]
fn changing_the_mode_often_neither_recurses_nor_copies() {
    // One raw byte and one line in turn: copying the remaining bytes each time would copy 10^10
    // bytes.
    let rounds = 100_000;
    let data = b"\nr".repeat(rounds);
    let mut fixture = Fixture::new(
        |_, cx: &mut LineContext<'_, _>| cx.set_raw_mode(),
        |lines| lines.delimiter(b"\n"),
    );
    let receiver = fixture.receiver();
    receiver.borrow_mut().raw_piece = 1;
    fixture.feed([&data[..]]);
    let receiver = receiver.borrow();
    assert_eq!(receiver.lines.len(), rounds);
    assert_eq!(receiver.raw, b"r".repeat(rounds));
}

#[test]
fn an_endless_line_is_rejected_before_it_fills_the_memory() {
    let mut fixture = Fixture::new(|_, _| {}, |lines| lines.max_length(1000));
    let receiver = fixture.receiver();
    let chunk = [b'x'; 100];
    fixture.feed((0..1000).map(|_| &chunk[..]));
    assert_eq!(receiver.borrow().too_long, [1100]);
    assert!(receiver.borrow().lines.is_empty());
}
