//! `Reply`: what a server answers.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Self>),
}

impl Reply {
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, margin: usize) -> fmt::Result {
        match self {
            Self::Status(text) => f.write_str(&shown(text)),
            Self::Error(text) => write!(f, "(error) {}", shown(text)),
            Self::Integer(number) => write!(f, "(integer) {number}"),
            Self::Bulk(bytes) => {
                write!(f, "\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'"))
            }
            Self::Nil => f.write_str("(nil)"),
            Self::Array(items) if items.is_empty() => f.write_str("(empty array)"),
            Self::Array(items) => {
                let width = items.len().to_string().len();
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        write!(f, "\n{:margin$}", "")?;
                    }
                    write!(f, "{:>width$}) ", at + 1)?;
                    item.write(f, margin + width + 2)?;
                }
                Ok(())
            }
        }
    }
}

/// Returns a text without what would affect a screen instead of being read on it.
fn shown(text: &[u8]) -> String {
    let escaped = |it: &u8| match it {
        b'\'' | b'"' | b'\\' => char::from(*it).to_string(),
        _ => it.escape_ascii().to_string(),
    };
    text.iter().map(escaped).collect()
}

/// As `redis-cli` shows it.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
