//! Lengths of records.

/// The longest plaintext of one record. (RFC 8446, section 5.1)
pub(crate) const RECORD_MAX: usize = 16 * 1024;

/// What a record adds to its plaintext, at most, with the cipher suites in use: a header of 5
/// bytes, a nonce of 8, a type and a tag of 16.
pub(crate) const RECORD_OVERHEAD: usize = 32;
