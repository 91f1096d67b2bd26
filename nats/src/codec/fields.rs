//! The fields of a line: what stands between blanks.

use super::error::CodecError;

/// The most fields that a command has, its name not counted: `HMSG` with a reply subject.
const FIELDS_MAX: usize = 5;

/// The fields of a line that follow the command's name.
pub(super) struct Fields<'a> {
    line: &'a [u8],
    fields: [&'a [u8]; FIELDS_MAX],
    count: usize,
}

impl<'a> Fields<'a> {
    /// Splits what follows the name of the command in `line`.
    pub(super) fn split(line: &'a [u8], rest: &'a [u8]) -> Result<Self, CodecError> {
        let (mut fields, mut count) = ([&rest[..0]; FIELDS_MAX], 0);
        for field in rest.split(|&byte| is_blank(byte)).filter(|field| !field.is_empty()) {
            let Some(slot) = fields.get_mut(count) else {
                return Err(CodecError::new("too many fields", line));
            };
            (*slot, count) = (field, count + 1);
        }
        Ok(Self { line, fields, count })
    }

    pub(super) fn all(&self) -> &[&'a [u8]] {
        &self.fields[..self.count]
    }

    pub(super) fn error(&self, what: &'static str) -> CodecError {
        CodecError::new(what, self.line)
    }

    /// Returns a field as text: a subject, or the name of a group.
    pub(super) fn text(&self, field: &'a [u8]) -> Result<&'a str, CodecError> {
        std::str::from_utf8(field).map_err(|_| self.error("a subject that is not UTF-8"))
    }

    /// Returns a field as a number of decimal digits.
    pub(super) fn number(&self, field: &[u8]) -> Result<u64, CodecError> {
        // 19 digits fit in 64 bits. `parse` would take a sign as well.
        let is_number = (1..=19).contains(&field.len()) && field.iter().all(u8::is_ascii_digit);
        if !is_number {
            return Err(self.error("a field that should be a number"));
        }
        Ok(field.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    /// Returns a field as a number of bytes.
    pub(super) fn size(&self, field: &[u8]) -> Result<usize, CodecError> {
        let size = usize::try_from(self.number(field)?);
        size.map_err(|_| self.error("a payload larger than memory can be"))
    }

    /// Returns a field as a number of bytes, at most [`MAX_PAYLOAD`](super::MAX_PAYLOAD).
    pub(super) fn length(&self, field: &[u8]) -> Result<usize, CodecError> {
        let length = Some(self.size(field)?).filter(|length| *length <= super::MAX_PAYLOAD);
        length.ok_or_else(|| self.error("a payload above 64 MiB"))
    }
}

/// Splits a line into the name of its command and the rest, without the blanks around it.
pub(super) fn command(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&byte| is_blank(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    (name, rest.trim_ascii())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Appends a command's name, its fields, its numbers, and the end of the line.
pub(super) fn push_line(out: &mut Vec<u8>, name: &str, fields: &[&str], numbers: &[u64]) {
    out.extend_from_slice(name.as_bytes());
    for field in fields {
        out.push(b' ');
        out.extend_from_slice(field.as_bytes());
    }
    push_numbers(out, numbers.iter().copied());
    out.extend_from_slice(b"\r\n");
}

/// Appends decimal numbers, with a blank before each.
pub(super) fn push_numbers(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let mut digits = [b' '; 21];
        let (mut at, mut left) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        out.extend_from_slice(&digits[at - 1..]);
    }
}
