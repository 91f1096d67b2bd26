//! Splitting does not depend on how the bytes arrive.

use crate::testing::{Random, assert_split_invariant};
use crate::{Delimiter, LineContext, LineReceiver, Lines, TimerId};
use std::time::Duration;

/// Writes down its callbacks, and obeys commands in lines.
#[derive(Default)]
struct Writer {
    pause: Option<TimerId>,
}

impl<F> LineReceiver<F> for Writer {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.transport.write_sequence([b"(", line, b")\n"]);
        match line {
            b"raw" => cx.set_raw_mode(),
            b"again" => cx.set_line_mode(b""),
            b"pause" => {
                cx.pause_reading();
                self.pause = Some(cx.set_timer(Duration::from_secs(1)));
            }
            b"hold" => {
                cx.transport.pause_reading();
                cx.set_timer(Duration::from_secs(1));
            }
            b"semicolon" => cx.set_delimiter(b";"),
            b"short" => cx.set_max_length(5),
            b"bye" => cx.transport.lose_connection(),
            _ => {}
        }
    }

    /// Takes raw data up to a full stop. It comes in any number of pieces, so the pieces are not
    /// marked.
    fn raw_data_received(&mut self, cx: &mut LineContext<'_, F>, data: &[u8]) {
        let end = data.iter().position(|&byte| byte == b'.');
        let (raw, extra) = data.split_at(end.map_or(data.len(), |end| end + 1));
        cx.transport.write(raw);
        if end.is_some() {
            cx.set_line_mode(extra);
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, F>, _line: &[u8]) {
        // Its length depends on the pieces.
        cx.transport.write("(too long)\n");
        cx.transport.lose_connection();
    }

    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, timer: TimerId) {
        // The pieces determine which hold this ends: lines already received still come.
        if self.pause == Some(timer) {
            cx.transport.write("(on)\n");
        }
        cx.resume_reading();
    }

    fn read_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.write("(end)\n");
        cx.transport.lose_connection();
    }
}

/// Delimiters, including some that begin with their own end or repeat their own beginning.
fn delimiters() -> [Delimiter; 9] {
    [
        Delimiter::CRLF,
        Delimiter::Newline,
        b"\n".into(),
        b"\0".into(),
        b"aab".into(),
        b"aaa".into(),
        b"abab".into(),
        b"\r\n\r\n".into(),
        b"--end--".into(),
    ]
}

#[track_caller]
fn check(delimiter: &Delimiter, max_length: usize, bytes: &[u8]) {
    let delimiter = delimiter.clone();
    assert_split_invariant(
        move || Lines::new(Writer::default()).delimiter(delimiter.clone()).max_length(max_length),
        bytes,
    );
}

/// Every third delimiter is also tried unfinished: one of a byte, and two of several, of which
/// one repeats its beginning.
const UNFINISHED: usize = 3;

/// Checks the lines, each with its delimiter.
#[track_caller]
fn check_lines(max_length: usize, lines: &[&str]) {
    for (number, delimiter) in delimiters().into_iter().enumerate() {
        let end = delimiter.as_bytes();
        let bytes: Vec<u8> =
            lines.iter().flat_map(|line| [line.as_bytes(), end].concat()).collect();
        check(&delimiter, max_length, &bytes);
        if number % UNFINISHED == 0 {
            // Again without the last byte of the last delimiter. What comes before is the same.
            check(&delimiter, max_length, &bytes[..bytes.len() - 1]);
        }
    }
}

#[test]
fn lines_of_every_delimiter() {
    check_lines(100, &["one", "", "two two", "", "", "x"]);
    check_lines(100, &[""; 12]);
    check_lines(100, &["a", "aa", "ab", "aba", "ba"]);
    check_lines(100, &["\r", "\n", "\r\n\r", "--end-", "x\r"]);
}

#[test]
fn lines_up_to_the_limit_and_beyond() {
    check_lines(4, &["1234", "", "1234"]);
    check_lines(4, &["1234", "12345", "never heard"]);
    check_lines(4, &["1234", "1234567890", "never heard"]);
    check_lines(0, &["", "", "1"]);
    check_lines(100, &["123456", "short", "12345", "123456", "never heard"]);
}

#[test]
fn raw_data_and_lines_again() {
    check_lines(100, &["raw", "all of this.one", "two"]);
    check_lines(100, &["one", "raw", ".", "raw", "x.raw", "y.raw", "without an end"]);
    check_lines(100, &["raw", "..raw", ".again", "again"]);
    check_lines(8, &["raw", "raw data have no limit.too long a line", "never heard"]);
}

#[test]
fn pauses_within_lines_and_raw_data() {
    check_lines(100, &["pause", "one", "pause", "pause", "two", "raw", "x.pause", "three"]);
    check_lines(100, &["hold", "one", "hold", "hold", "two", "raw", "x.hold", "three"]);
    check_lines(100, &["pause", "one", "pause", "bye", "never heard"]);
}

#[test]
fn another_delimiter_and_an_end_among_lines() {
    check_lines(100, &["one", "semicolon", "two;three", ";pause;four;raw;x.five;", "six"]);
    check_lines(100, &["one", "bye", "never heard"]);
}

#[test]
fn sessions_at_random() {
    let mut random = Random::new(8);
    for delimiter in delimiters() {
        let end = delimiter.as_bytes();
        for round in 0..6 {
            let pause: &[u8] = if round % 2 == 0 { b"pause" } else { b"hold" };
            let (first, last, half) = (&end[..1], &end[end.len() - 1..], &end[..end.len() / 2 + 1]);
            let words = [
                end, end, end, end, end, first, last, half, b"raw", b"raw", pause, b"x", b".", b"a",
            ];
            let bytes: Vec<u8> = (0..14).flat_map(|_| random.pick(&words).to_vec()).collect();
            check(&delimiter, 1 + random.below(12), &bytes);
        }
    }
}
