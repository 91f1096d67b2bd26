//! The server name that a client asks for, noted while its hello is processed.

pub(super) fn take() -> Option<Box<str>> {
    None
}
