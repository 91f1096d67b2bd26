//! Subjects: the names under which messages are published, and which a subscription asks for.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// A subject to publish to, checked: tokens that are not empty, between dots, without blanks,
/// control characters and wildcards.
///
/// Methods that take a subject check it, whatever type it has. This type serves to put a subject
/// together from parts, some of which come from strangers:
///
/// ```
/// use twistor_nats::Subject;
///
/// let room = "tea";
/// assert_eq!(Subject::from_tokens(["chat", "room", room])?.as_str(), "chat.room.tea");
/// for room in ["tea.secret", "*", ">", "", "tea\r\nPUB x 0", "a b"] {
///     assert!(Subject::from_tokens(["chat", "room", room]).is_err());
/// }
/// # Ok::<(), twistor_nats::error::InvalidSubject>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Box<str>);

impl Subject {
    /// Checks a subject.
    ///
    /// # Errors
    ///
    /// [`InvalidSubject`] says what is wrong with it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidSubject> {
        let text = text.as_ref();
        check_subject(text)?;
        Ok(Self(text.into()))
    }

    /// Joins tokens with dots. No token can become two, or a wildcard.
    ///
    /// # Errors
    ///
    /// [`InvalidSubject`], for a token that is empty, contains a dot, or must not be in a subject.
    pub fn from_tokens<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidSubject> {
        let mut text = String::new();
        for (at, token) in tokens.into_iter().enumerate() {
            let token = token.as_ref();
            if token.contains('.') {
                return Err(InvalidSubject::new("a token contains a dot", token));
            }
            if at > 0 {
                text.push('.');
            }
            text.push_str(token);
        }
        Self::new(text)
    }

    /// Returns the subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A subject, or the name of a queue group, that cannot be sent to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSubject {
    why: &'static str,
    text: String,
}

impl InvalidSubject {
    fn new(why: &'static str, text: &str) -> Self {
        // A part of it is enough, and a stranger may have sent it.
        Self { why, text: text.chars().take(64).collect() }
    }
}

impl fmt::Display for InvalidSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid subject {:?}: {}", self.text, self.why)
    }
}

impl Error for InvalidSubject {}

/// The longest subject, in bytes: two of them, the numbers and the name of the command fit in
/// [`MAX_CONTROL_LINE`](super::MAX_CONTROL_LINE).
const LENGTH_MAX: usize = 2000;

/// Checks a subject to publish to.
pub(crate) fn check_subject(text: &str) -> Result<(), InvalidSubject> {
    check(text, false)
}

/// Checks a subject to subscribe to, which may have wildcards: `*` for a token, and `>` at the end
/// for one or more.
pub(crate) fn check_filter(text: &str) -> Result<(), InvalidSubject> {
    check(text, true)
}

/// Checks the name of a queue group.
pub(crate) fn check_group(text: &str) -> Result<(), InvalidSubject> {
    let fail = |why| Err(InvalidSubject::new(why, text));
    match text {
        "" => fail("the name of a queue group is empty"),
        _ if text.len() > LENGTH_MAX => fail("it is longer than 2000 bytes"),
        _ if !is_clean(text) => fail("it contains a blank or a control character"),
        _ => Ok(()),
    }
}

fn check(text: &str, wildcards: bool) -> Result<(), InvalidSubject> {
    let fail = |why| Err(InvalidSubject::new(why, text));
    if text.is_empty() {
        return fail("it is empty");
    }
    if text.len() > LENGTH_MAX {
        return fail("it is longer than 2000 bytes");
    }
    if !is_clean(text) {
        return fail("it contains a blank or a control character");
    }
    let bytes = text.as_bytes();
    let mut start = 0;
    for at in 0..=bytes.len() {
        if at < bytes.len() && bytes[at] != b'.' {
            continue;
        }
        let token = &bytes[start..at];
        match token {
            b"" => return fail("a token is empty"),
            b"*" | b">" if !wildcards => return fail("a wildcard, which is for subscriptions"),
            b">" if at < bytes.len() => return fail("the wildcard > is not at the end"),
            b"*" | b">" => {}
            _ if token.iter().any(|byte| matches!(byte, b'*' | b'>')) => {
                return fail("a wildcard is a token of its own");
            }
            _ => {}
        }
        start = at + 1;
    }
    Ok(())
}

/// Returns true if a text has no character that could end a field or a line, or that is invisible.
fn is_clean(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().all(|byte| byte.is_ascii_graphic());
    }
    !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_tokens_between_dots() {
        for good in ["a", "a.b", "$SYS.REQ", "_INBOX.x.1", "räume.tee", "a-b_c.d:e", "x/y"] {
            assert!(check_subject(good).is_ok() && check_filter(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "a\r\nb",
            "a\nb",
            "a\0b",
            "\u{7f}",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{a0}b",
            "a*",
            "*a",
            "a.b*",
            ">a",
            "a>",
            ">.a",
            "a.>.b",
        ];
        for bad in bad {
            assert!(check_subject(bad).is_err() && check_filter(bad).is_err(), "{bad:?}");
        }
        for wildcard in ["*", ">", "a.*", "*.b", "a.*.c", "a.>", "*.*", "*.>"] {
            assert!(check_subject(wildcard).is_err() && check_filter(wildcard).is_ok());
        }
        assert!(check_subject(&"a".repeat(2000)).is_ok());
        assert!(check_subject(&"a".repeat(2001)).is_err());
    }

    #[test]
    fn a_name_from_a_stranger_stays_one_token() {
        for room in ["", "a.b", "*", ">", "a b", "a\r\nSUB > 1", "a\0", "é\u{2028}"] {
            assert!(Subject::from_tokens(["chat", room]).is_err(), "{room:?}");
        }
        assert_eq!(&*Subject::from_tokens(["chat", "tee"]).unwrap(), "chat.tee");
        assert!(Subject::from_tokens([""; 0]).is_err());
    }

    #[test]
    fn groups_are_words() {
        assert!(check_group("workers").is_ok() && check_group("a.b").is_ok());
        for bad in ["", "a b", "a\r\n", &"g".repeat(2001)] {
            assert!(check_group(bad).is_err());
        }
    }

    #[test]
    fn errors_say_what_and_why_without_the_whole_text() {
        let error = Subject::new(format!("a b{}", "x".repeat(5000))).unwrap_err().to_string();
        assert!(error.starts_with("invalid subject \"a bxx") && error.len() < 200, "{error}");
    }
}
