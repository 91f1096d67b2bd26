//! Broadcast: one message to many connections, stored once.

use super::Transport;
use bytes::Bytes;

/// Shared bytes shorter than this are copied to each connection, so that they leave together with
/// their neighbours: below, a copy costs less than keeping track of a piece.
pub(super) const SHARED_MIN: usize = 4 * 1024;

/// Writes one message to many connections, in the order of `to`. A message of at least 4 KiB is
/// stored once for all connections that cannot send it at once; a shorter one is copied to each,
/// and leaves together with its other writes.
///
/// Each connection decides for itself, as with [`Transport::write_bytes`]: a closing one drops the
/// message, and a slow consumer buffers it. Buffered bytes count as unsent for each connection in
/// full. [`Transport::set_max_unsent`] limits them, and chooses what happens to slow consumers;
/// [`OverflowPolicy::DropNew`](crate::limits::OverflowPolicy::DropNew) suits broadcasts.
///
/// ```
/// use std::collections::BTreeMap;
/// use twistor::{Transport, broadcast};
///
/// fn tell_the_others(members: &BTreeMap<String, Transport>, name: &str, text: &str) {
///     let others = members.iter().filter(|(other, _)| *other != name);
///     broadcast(others.map(|(_, member)| member), format!("<{name}> {text}\r\n"));
/// }
/// ```
pub fn broadcast<'a>(to: impl IntoIterator<Item = &'a Transport>, message: impl Into<Bytes>) {
    let message = message.into();
    if message.len() < SHARED_MIN {
        to.into_iter().for_each(|member| member.write(&message));
    } else {
        to.into_iter().for_each(|member| member.write_bytes(message.clone()));
    }
}
