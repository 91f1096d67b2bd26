//! Bytes that many connections send.

use super::Transport;
use bytes::Bytes;

/// Shared bytes shorter than this are copied to each connection, so that they leave together with
/// what stands beside them: below, a copy costs less than keeping track of a piece.
pub(super) const SHARED_MIN: usize = 4 * 1024;

/// Sends the same bytes to many connections, as one message each. A large message is kept once for
/// all connections that cannot send it at once; a small one is copied together with what stands
/// beside it.
///
/// What a member does not take counts as unsent for that member; [`Transport::set_max_unsent`] says
/// what happens to slow consumers.
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
