//! Names in any script, and when two names are the same.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer names would fill the others' screens. In characters, not bytes: a limit in bytes would
/// leave most scripts half as many letters as English, or fewer.
pub(crate) const LENGTH_MAX: usize = 32;

/// How many combining marks may follow a letter: enough for scripts that put vowels and tones
/// there, such as Burmese and Tibetan. A pile of marks would cover the lines above.
const MARKS_MAX: usize = 5;

/// A name as it is shown to the others.
pub(crate) struct Name {
    shown: String,
    key: String,
}

impl Name {
    /// Returns the name, unless it could be mistaken for nothing, or for more than a name: it
    /// consists of letters and digits of any script, with their marks, and of `-`, `_`, `.` and
    /// single spaces.
    pub(crate) fn new(text: &str) -> Option<Self> {
        // Unicode encodes `ë` in two ways: as one character, or as a letter and a mark.
        let shown: String = text.nfc().collect();
        let length = shown.chars().count();
        if !(1..=LENGTH_MAX).contains(&length) || shown.contains("  ") || !is_spelled(&shown) {
            return None;
        }
        let key = shown.nfkd().collect::<String>().to_lowercase();
        Some(Self { shown, key })
    }

    /// Returns a key that is equal for names that look the same: they differ in case, in the
    /// encoding of a letter, or in its width.
    ///
    /// Letters of different scripts have different keys though some look alike, such as the Latin
    /// and the Cyrillic `a`. Finding those takes a table of all such letters, which is too much for
    /// an example.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Returns true if each character may be in a name, and each mark follows a letter or digit.
fn is_spelled(name: &str) -> bool {
    let mut marks_left = 0;
    name.chars().all(|c| match c {
        '-' | '_' | '.' | ' ' => {
            marks_left = 0;
            true
        }
        _ if is_blank(c) => false,
        _ if is_combining_mark(c) => {
            let fits = marks_left > 0;
            marks_left -= usize::from(fits);
            fits
        }
        _ => {
            marks_left = MARKS_MAX;
            c.is_alphanumeric()
        }
    })
}

/// Returns true for invisible letters and marks: with them, two names could look the same. (Other
/// invisible characters, and those that change the direction of the text, are neither letters nor
/// marks.)
fn is_blank(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::Name;

    fn key(text: &str) -> Option<String> {
        Name::new(text).map(|name| name.key().to_owned())
    }

    #[test]
    fn letters_and_digits_of_any_script_make_names() {
        let names = "Ann a-b_c.d 2 Zoë Łukasz Ægir Nguyễn Νίκος Юлия שרה محمد ٣ \
            क्षमा น้อง မြွှေ ལྷ 美咲 ガブリエル 서연";
        for name in names.split(' ').chain(["Ann B. 2"]) {
            assert_eq!(Name::new(name).map(|it| it.shown), Some(name.to_owned()));
        }
    }

    #[test]
    fn names_that_differ_in_case_or_encoding_are_the_same() {
        let same = [
            ("Ann", "aNN"),
            ("ZOË", "zoë"),
            ("zo\u{eb}", "zoe\u{308}"),
            ("J\u{30c}", "\u{1f0}"),
            ("ΝΊΚΟΣ", "νίκος"),
            ("Юлия", "ЮЛИЯ"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
            ("Ｂｏｂ", "bob"),
            ("\u{212a}ai", "kai"),
        ];
        for (one, other) in same {
            assert!(key(one).is_some());
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        assert_ne!(key("zoë"), key("zoe"));
        assert_eq!(Name::new("zoe\u{308}").unwrap().shown(), "zo\u{eb}");
    }

    #[test]
    fn names_have_no_invisible_or_direction_changing_characters() {
        let hidden = "\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\
            \u{17b4}\u{180b}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{202a}\
            \u{202e}\u{2060}\u{2066}\u{2069}\u{206f}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\
            \u{ffa0}\u{fff9}\u{e0001}\u{e0041}\u{e0100}";
        for c in hidden.chars() {
            assert_eq!(key(&format!("A{c}nn")), None, "{}", c.escape_unicode());
        }
    }

    #[test]
    fn names_have_only_letters_digits_and_some_punctuation() {
        for text in ["", "<Bob>", "A  nn", "A\tnn", "Ann!", "@", "€", "☺", "\u{fffd}"] {
            assert_eq!(key(text), None, "{text:?}");
        }
    }

    #[test]
    fn marks_follow_a_letter_and_are_limited() {
        for text in ["\u{308}", "-\u{308}", "A \u{308}nn"] {
            assert_eq!(key(text), None, "{text:?}");
        }
        assert!(key(&format!("q{}", "\u{308}".repeat(5))).is_some());
        assert_eq!(key(&format!("q{}", "\u{308}".repeat(6))), None);
    }

    #[test]
    fn the_length_of_a_name_is_counted_in_characters() {
        assert!(key(&"ë".repeat(32)).is_some() && key(&"e\u{308}".repeat(32)).is_some());
        assert_eq!(key(&"ë".repeat(33)), None);
    }
}
