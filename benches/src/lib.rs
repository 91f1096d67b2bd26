//! What the servers of a comparison have in common: the work they do.

/// Answers of the line servers, as in the example `answer`.
pub fn answer(line: &[u8]) -> &'static [u8] {
    match line {
        b"How are you?" => b"Fine",
        _ => b"I don't know what you mean",
    }
}

/// What the quote servers send before they close, as in the example `qotd`.
pub const QUOTE: &[u8] = b"An apple a day keeps the doctor away\r\n";

/// Where a server tells the runner that it listens.
pub fn announce(address: impl std::fmt::Display) {
    println!("listening on {address}");
}
