//! `NodeId`: what a node is called by the others.

use std::fmt;
use std::str::FromStr;
use twistor::Reactor;

/// The id of a node, as 32 hexadecimal digits in the text of messages. Others are no ids, so that
/// what is kept of a node is small, whoever has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u128);

impl NodeId {
    /// Returns an id that no other node has, nor this one after a restart.
    pub(crate) fn new(reactor: &mut Reactor) -> Self {
        let (high, low) = (reactor.random(), reactor.random());
        Self(u128::from(high) << 64 | u128::from(low))
    }

    #[cfg(test)]
    pub(crate) const fn from_number(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // One text for each id; and no sign, which numbers may have.
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

#[test]
fn ids_are_32_digits() {
    for number in [0, 0xa5 << 120, u128::MAX] {
        let id = NodeId(number);
        assert_eq!((id.to_string().len(), id.to_string().parse()), (32, Ok(id)));
    }
    let digits = |first: &str| format!("{first:0<32}");
    for bad in ["", "n", &digits("A"), &digits("+"), &digits(" "), &"0".repeat(33), &"é".repeat(16)]
    {
        assert_eq!(bad.parse::<NodeId>(), Err(()), "{bad}");
    }
}
