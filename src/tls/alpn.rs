//! Names of application protocols (ALPN, RFC 7301).

/// The longest name: its length is sent as one byte.
const NAME_MAX: usize = 255;

/// Checks names that a program has given.
///
/// # Panics
///
/// If a name is empty or too long: both sides would fail each handshake.
pub(super) fn protocol_names<P: Into<Vec<u8>>>(names: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    let names: Vec<Vec<u8>> = names.into_iter().map(Into::into).collect();
    for name in &names {
        assert!(
            (1..=NAME_MAX).contains(&name.len()),
            "the name of an application protocol has {} bytes: it must have 1 to {NAME_MAX}",
            name.len()
        );
    }
    names
}
