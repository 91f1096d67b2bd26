//! Lines out of a stream of bytes, for the libraries that leave the splitting to their user.

use memchr::memchr;

/// Calls for each line that ends within `data`, without its `\n` or `\r\n`. What follows the last
/// one is kept in `partial` until the rest of it has come.
pub fn each_line(partial: &mut Vec<u8>, data: &[u8], mut call: impl FnMut(&[u8])) {
    let mut rest = data;
    while let Some(end) = memchr(b'\n', rest) {
        let mut line = &rest[..end];
        rest = &rest[end + 1..];
        if !partial.is_empty() {
            partial.extend_from_slice(line);
            line = partial;
        }
        call(line.strip_suffix(b"\r").unwrap_or(line));
        partial.clear();
    }
    partial.extend_from_slice(rest);
}
