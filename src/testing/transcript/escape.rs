//! Escaping: bytes as text, and text as bytes. Pure.

/// Returns bytes in the form that follows `raw:`: everything invisible is escaped.
pub(in crate::testing) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                c if is_seen(c) => text.push(c),
                c => push_hex(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_hex(&mut text, chunk.invalid());
    }
    // Spaces at the ends are invisible.
    let spaces = text.len() - text.trim_end_matches(' ').len();
    text.truncate(text.len() - spaces);
    push_hex(&mut text, &b" ".repeat(spaces));
    if text.starts_with(' ') {
        text.replace_range(..1, "\\x20");
    }
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
}

fn is_seen(c: char) -> bool {
    // The standard library knows which characters cannot be printed.
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

/// True if every character is visible, wherever the text does not begin or end with it.
pub(super) fn is_readable(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || is_seen(c))
}

/// Parses the form that follows `raw:`, or returns what is wrong with it.
pub(super) fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut length = 1;
        bytes.push(match after.chars().next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                length = 3;
                let digits = after.get(1..3).filter(|digits| !digits.contains('+'));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                byte.ok_or("\\x needs two hexadecimal digits")?
            }
            Some(other) => {
                return Err(format!("there is no \\{other}; there are \\r \\n \\t \\0 \\\\ \\xNN"));
            }
            None => return Err("a single \\ at the end; a backslash is \\\\".to_owned()),
        });
        rest = &after[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_can_be_reversed() {
        for (bytes, text) in [
            (&b"plain text, 'quoted' \"twice\""[..], "plain text, 'quoted' \"twice\""),
            (b"\r\n\t\0\\", "\\r\\n\\t\\0\\\\"),
            (b"\xff\x7f\x1b[2J", "\\xff\\x7f\\x1b[2J"),
            ("äöü \u{202e}".as_bytes(), "äöü \\xe2\\x80\\xae"),
            (b"  a  ", "\\x20 a\\x20\\x20"),
            (b" ", "\\x20"),
            (b"", ""),
        ] {
            assert_eq!(escaped(bytes), text);
            assert_eq!(unescaped(text).unwrap(), bytes);
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&escaped(&all)).unwrap(), all);
    }

    #[test]
    fn wrong_escapes_are_explained() {
        for (text, error) in [
            ("a\\q", "there is no \\q; there are \\r \\n \\t \\0 \\\\ \\xNN"),
            ("\\x1", "\\x needs two hexadecimal digits"),
            ("\\x+1", "\\x needs two hexadecimal digits"),
            ("\\xää", "\\x needs two hexadecimal digits"),
            ("a\\", "a single \\ at the end; a backslash is \\\\"),
        ] {
            assert_eq!(unescaped(text), Err(error.to_owned()));
        }
    }
}
