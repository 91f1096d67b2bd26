//! Parsing and formatting of steps.

use super::super::parse;
use crate::testing::Transcript;

#[test]
fn steps_are_formatted_as_they_were_parsed() {
    let texts = [
        "bob connects",
        "connects",
        "bob is refused",
        "gets no answer",
        "says nothing",
        "ann C: x",
        "C: x y",
        "C:",
        "S:",
        "ann S: x\ty",
        "S: S: x",
        "C: # x",
        "C raw: \\x01 x",
        "S raw: x",
        "finishes",
        "ann resets",
        "stops reading",
        "reads on",
        "ann is closed",
        "is reset",
        "hears nothing",
        "1500 ms pass",
        "3 s pass",
    ];
    for text in texts {
        let steps = parse::steps(&format!("ann connects\n{text}")).unwrap();
        assert_eq!(steps.last().unwrap().to_string(), text);
    }
    for (text, same) in [
        ("  C:x", "C: x"),
        ("\tann  resets  ", "ann resets"),
        ("C:  x", "C:  x"),
        ("S raw: x\\r\\n", "S: x"),
        ("2 min pass", "120 s pass"),
        ("1 h passes", "3600 s pass"),
        ("C C: x", "C C: x"),
        ("C: x ", "C raw: x\\x20, and a line end"),
    ] {
        let steps = parse::steps(&format!("ann connects\nC connects\n{text}")).unwrap();
        assert_eq!(steps.last().unwrap().to_string(), same);
        assert_eq!(steps.last().unwrap().line, 3);
    }
}

#[test]
fn impossible_steps_are_refused() {
    for (text, error) in [
        (
            "ann smith connects",
            "this is not a step: a client's name without spaces, or none, comes before one of \
            C: TEXT, S: TEXT, C raw: BYTES, S raw: BYTES, connects, is refused, gets no answer, \
            hears nothing, says nothing, finishes, resets, stops reading, reads on, is closed, \
            is reset; or time passes, as in 1500 ms pass",
        ),
        ("ann: connects", "a client's name has no colon"),
        ("C raw:", "the bytes are missing"),
        ("S raw: \\q", "there is no \\q; there are \\r \\n \\t \\0 \\\\ \\xNN"),
        ("1.5 s pass", "a time is a whole number, and ms, s, min or h"),
        ("2 days pass", "a time is in ms, s, min or h"),
        ("18446744073709551615 h pass", "the time is too long"),
        ("ann C: hi", "it has not connected"),
        ("bob connects\nbob connects", "it is connected already, since line 1"),
        ("C: hi\nconnects", "it is connected already, since line 1"),
        ("bob connects\nbob resets\nbob C: hi", "its connection is over, since line 2"),
        ("is reset\nhears nothing", "its connection is over, since line 1"),
        ("finishes\nC: hi", "it has finished, in line 1, and sends no more"),
        ("finishes\nfinishes", "it has finished, in line 1, and sends no more"),
        ("bob is refused\nbob C: hi", "its connection is over, since line 1"),
        ("connects\ngets no answer", "it is connected already, since line 1"),
        ("is closed\nS: hi", "it was closed, in line 1, and receives nothing more"),
    ] {
        let refused = Transcript::parse(text).unwrap_err();
        let (line, last) = text.lines().enumerate().last().unwrap();
        assert_eq!(refused.line(), line + 1);
        let expected = format!("line {} of the transcript, {last:?}: {error}", line + 1);
        assert_eq!(refused.to_string(), expected);
    }
}
