//! `Letter`: its envelope and its text.

/// Recipients of one letter; RFC 5321 asks for a hundred at least.
pub(crate) const RECIPIENTS_MAX: usize = 100;

/// Bytes of one letter, so that clients cannot fill the memory.
pub(crate) const LETTER_MAX: usize = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Letter {
    /// Empty for a letter that says that another could not be delivered.
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: Vec<u8>,
}

impl Letter {
    /// Begins a letter, as `FROM:<ann@example.org> SIZE=2000` says.
    pub(crate) fn begin(sender: &str) -> Result<Self, &'static str> {
        let (from, parameters) = address(sender, "FROM:").ok_or("501 not like FROM:<ann>")?;
        let size = parameters.split(' ').find_map(|it| strip_start(it, "SIZE="));
        if size.is_some_and(|size| size.parse::<usize>().is_ok_and(|size| size > LETTER_MAX)) {
            return Err("552 the letter is too large");
        }
        Ok(Self { from: from.to_owned(), ..Self::default() })
    }

    /// Adds a recipient, as `TO:<bob@example.org>` says.
    pub(crate) fn add(&mut self, recipient: &str) -> Result<(), &'static str> {
        let (to, _) = address(recipient, "TO:").ok_or("501 not like TO:<bob>")?;
        if self.to.len() == RECIPIENTS_MAX {
            return Err("452 too many recipients");
        }
        self.to.push(to.to_owned());
        Ok(())
    }

    /// Adds a line of the text. Returns false if the letter is too large then.
    pub(crate) fn write(&mut self, line: &[u8]) -> bool {
        // A leading dot is doubled on the way.
        self.text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        self.text.push(b'\n');
        self.text.len() <= LETTER_MAX
    }
}

/// Divides `FROM:<ann> SIZE=2000` into the address and the parameters.
fn address<'a>(text: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    strip_start(text, start)?.trim_start().strip_prefix('<')?.split_once('>')
}

fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &text[start.len()..])
}
