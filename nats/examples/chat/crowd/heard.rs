//! What one user has heard of the others, and whether it may be so.

/// The last line that a user has heard of each speaker. A crowd has tens of thousands of users, so
/// the lines themselves are not kept.
#[derive(Default)]
pub(super) struct Heard {
    /// By the numbers of the speakers' stays, in their order.
    last: Vec<Last>,
    /// Number of times that something was told to be missing, or perhaps.
    notices: u32,
}

struct Last {
    stay: u32,
    line: u32,
    /// The notices up to this line.
    notices: u32,
}

impl Heard {
    /// Something is missing, or perhaps; or the user was not in the room for a while.
    pub(super) fn note_gap(&mut self) {
        self.notices += 1;
    }

    /// A line is heard. Returns what is wrong about that: it was heard before, or it comes after a
    /// gap of which nobody has told.
    pub(super) fn hear(&mut self, stay: u32, line: u32) -> Result<(), String> {
        let notices = self.notices;
        let at = match self.last.binary_search_by_key(&stay, |last| last.stay) {
            Ok(at) => at,
            Err(at) => {
                self.last.insert(at, Last { stay, line, notices });
                return Ok(());
            }
        };
        let last = &mut self.last[at];
        let (before, is_told) = (last.line, notices > last.notices);
        if line <= before {
            return Err(format!("line {line} of stay {stay} after line {before}"));
        }
        if line > before + 1 && !is_told {
            return Err(format!("line {line} of stay {stay} after line {before}, and no notice"));
        }
        (last.line, last.notices) = (line, notices);
        Ok(())
    }

    /// Returns the last line heard of a stay.
    pub(super) fn last(&self, stay: u32) -> Option<u32> {
        let at = self.last.binary_search_by_key(&stay, |last| last.stay).ok()?;
        Some(self.last[at].line)
    }
}

#[test]
fn lines_are_heard_once_and_a_gap_needs_a_notice() {
    let mut heard = Heard::default();
    assert_eq!((heard.hear(7, 4), heard.hear(3, 1), heard.hear(7, 5)), (Ok(()), Ok(()), Ok(())));
    assert_eq!((heard.last(7), heard.last(3), heard.last(5)), (Some(5), Some(1), None));
    assert!(heard.hear(7, 5).is_err() && heard.hear(7, 4).is_err(), "heard before");
    assert!(heard.hear(7, 7).is_err(), "no notice");
    heard.note_gap();
    assert!(heard.hear(7, 5).is_err(), "a notice excuses no repetition");
    assert_eq!((heard.hear(7, 7), heard.hear(3, 9)), (Ok(()), Ok(())));
    assert!(heard.hear(7, 9).is_err(), "the notice was before");
}
