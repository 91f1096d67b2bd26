//! Bytes that many connections send.

use super::Transport;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A segment shorter than this is copied to each connection, so that it leaves together with what
/// stands beside it: below, a copy costs less than what keeps track of a piece.
const SHARED_MIN: usize = 4 * 1024;

/// Bytes that are written once and sent to many: connections that cannot send them at once keep a
/// reference to them and no copy. Clones are the same bytes; it may be made by another thread.
///
/// ```
/// use std::collections::BTreeMap;
/// use twistor::{Segment, Transport};
///
/// fn tell_all(members: &BTreeMap<String, Transport>, picture: Vec<u8>) {
///     let picture = Segment::from(picture);
///     for member in members.values() {
///         member.write_segment(&picture);
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Segment(Arc<[u8]>);

impl Segment {
    pub(super) fn is_small(&self) -> bool {
        self.len() < SHARED_MIN
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Segment {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Segment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} bytes)", self.len())
    }
}

/// Sends the same bytes to many connections, as one message each: what is large is kept once for
/// all who cannot send it at once; what is small is copied together with what stands beside it.
///
/// What a member does not take counts as unsent for each of them; what becomes of those that do not
/// keep up is said by [`Transport::set_max_unsent`].
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
pub fn broadcast<'a>(to: impl IntoIterator<Item = &'a Transport>, message: impl AsRef<[u8]>) {
    let message = message.as_ref();
    if message.len() < SHARED_MIN {
        to.into_iter().for_each(|member| member.write(message));
    } else {
        let segment = Segment::from(message);
        to.into_iter().for_each(|member| member.write_segment(&segment));
    }
}
