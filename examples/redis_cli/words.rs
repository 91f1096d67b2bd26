//! The words of a line, with quotes, as `redis-cli` takes them.

/// Splits a line at white space. A word in double quotes may have `\n`, `\r`, `\t`, `\xHH` and
/// other escaped characters in it, and one in single quotes `\'`.
pub(crate) fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some((&first, behind)) = rest.split_first() {
        let (word, end) = match first {
            b'"' | b'\'' => quoted(first, behind)?,
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        if end.first().is_some_and(|next| !next.is_ascii_whitespace()) {
            return Err("no space behind a quote that ends a word".to_owned());
        }
        words.push(word);
        rest = end.trim_ascii_start();
    }
    Ok(words)
}

/// Returns the word up to the quote that ends it, and what is behind that.
fn quoted(quote: u8, mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [] => return Err(format!("a {} that is not closed", char::from(quote))),
            [end, rest @ ..] if *end == quote => return Ok((word, rest)),
            [b'\\', b'x', high, low, rest @ ..] if quote == b'"' && is_hex(*high, *low) => {
                word.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'\\', b'\'', rest @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest
            }
            [b'\\', escaped, rest @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        };
    }
}

fn is_hex(high: u8, low: u8) -> bool {
    high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |digit| digit as u8)
}
