//! Differences: what a failed transcript shows.

use super::{differs, passes};

#[test]
fn another_line_is_shown_among_those_around_it() {
    differs(
        "S: hello\nC: 1\nS: 1\nC: 2\nS: 2\nC: 3\n\n# now\nS: 33\nC: 4\nS: 4",
        9,
        "   2   C: 1
   3   S: 1
   4   C: 2
   5   S: 2
   6   C: 3
   9 - S: 33
     + S: 3
  10   C: 4
  11   S: 4",
    );
}

#[test]
fn steps_far_from_a_difference_are_left_out() {
    let talk: String = (0..10).map(|round| format!("C: {round}\nS: {round}\n")).collect();
    differs(
        &format!("S: hi\n{talk}S: more"),
        1,
        "   1 - S: hi
     + S: hello
   2   C: 0
   3   S: 0
   4   C: 1
   5   S: 1
   6   C: 2
     ...

  17   S: 7
  18   C: 8
  19   S: 8
  20   C: 9
  21   S: 9
  22 - S: more",
    );
}

#[test]
fn a_line_more_or_less_moves_no_other() {
    differs(
        "S: hello\nC: twice\nS: two\nC: 1\nS: 1",
        3,
        "   1   S: hello\n   2   C: twice\n     + S: one\n   3   S: two\n   4   C: 1\n   5   S: 1",
    );
    differs(
        "S: hello\nC: twice\nS: one\nS: one\nS: two",
        4,
        "   1   S: hello\n   2   C: twice\n   3   S: one\n   4 - S: one\n   5   S: two",
    );
}

#[test]
fn unmentioned_output_is_a_difference() {
    differs("ann connects", 1, "   1   ann connects\n     + ann S: hello");
    differs(
        "S: hello\nhears nothing\nC: go",
        3,
        "   1   S: hello\n   2   hears nothing\n   3   C: go\n     + is closed",
    );
    differs("connects\nhears nothing", 2, "   1   connects\n   2 - hears nothing\n     + S: hello");
    differs("connects\nresets", 2, "   1   connects\n     + S: hello\n   2   resets");
    differs("connects\nfinishes", 2, "   1   connects\n   2   finishes\n     + S: hello");
    differs(
        "connects\nfinishes\nis closed",
        3,
        "   1   connects\n   2   finishes\n     + S: hello\n   3   is closed",
    );
}

#[test]
fn invisible_characters_are_escaped() {
    differs(
        "S: hello\nC: LF\nS: LF",
        3,
        "   1   S: hello\n   2   C: LF\n   3 - S: LF\n     + S raw: LF\\n",
    );
    differs(
        "S: hello\nC: prompt\nS: login: ",
        3,
        "   1   S: hello\n   2   C: prompt\n   3 - S raw: login: \\r\\n\n     + S raw: login:\\x20",
    );
    differs(
        "S: hello\nC raw: \\xff\\n\nS raw: \\xfe\\r\\n",
        3,
        "   1   S: hello
   2   C raw: \\xff\\n
   3 - S raw: \\xfe\\r\\n
     + S raw: \\xff\\r\\n",
    );
    let long = "x".repeat(1200);
    differs(
        &format!("S: hello\nC: {long}"),
        2,
        &format!(
            "   1   S: hello
   2   C: {0}... (1203 bytes in all)
     + S: {0}... (1203 bytes in all)",
            &long[..997]
        ),
    );
}

#[test]
fn an_end_of_another_kind_is_shown_with_its_reason() {
    differs(
        "S: hello\nC: leave\nis closed",
        3,
        "   1   S: hello
   2   C: leave
   3 - is closed
     + is reset

connection_lost received: connection aborted by this side",
    );
    differs(
        "S: hello\nC: go\nis reset",
        3,
        "   1   S: hello\n   2   C: go\n   3 - is reset\n     + is closed",
    );
    differs("S: hello\nis closed", 2, "   1   S: hello\n   2 - is closed");
}

#[test]
fn a_panic_of_the_server_is_named() {
    differs(
        "ann connects\nann S: hello\nann C: break\nann S: break",
        4,
        "   1   ann connects
   2   ann S: hello
   3   ann C: break
   4 - ann S: break
     + ann is closed

ann: connection_lost received: a callback panicked: broken",
    );
}

#[test]
#[should_panic(expected = "\
the session differs from its transcript at line 2 (- expected, + what happened)

   2 - S: hi
     + S: hello")]
fn a_check_that_fails_panics_with_what_it_saw() {
    passes("\nS: hi");
}

#[test]
#[should_panic(expected = "line 2 of the transcript, \"bob says hi\": this is not a step: ")]
fn a_check_of_an_invalid_transcript_panics() {
    passes("S: hello\nbob says hi");
}
