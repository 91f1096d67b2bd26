//! What nodes tell each other besides messages: that they are there and how far their streams are,
//! and the names that they have.

use super::node_id::NodeId;
use super::streams::Position;

/// The heartbeat of a node: its id, whether the others are to tell theirs at once, and its streams
/// by room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presence<'a> {
    pub(crate) node: NodeId,
    pub(crate) asks: bool,
    pub(crate) streams: Vec<(&'a str, Position)>,
}

impl<'a> Presence<'a> {
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{} {}\n", self.node, if self.asks { "?" } else { "." });
        for (room, Position { stream, message }) in &self.streams {
            text.push_str(&format!("{room} {stream} {message}\n"));
        }
        text
    }

    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(payload).ok()?.lines();
        let (node, asks) = lines.next()?.split_once(' ')?;
        let streams = lines.map(|line| {
            let (room, position) = line.split_once(' ')?;
            Some((room, parse_position(position)?))
        });
        let node = node.parse().ok()?;
        Some(Self { node, asks: asks == "?", streams: streams.collect::<Option<_>>()? })
    }
}

/// Names that members of a node have, or a name that one wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    pub(crate) node: NodeId,
    pub(crate) keys: Vec<&'a str>,
}

impl<'a> Claim<'a> {
    pub(crate) fn encode(&self) -> String {
        let node = self.node.to_string();
        std::iter::once(&node.as_str()).chain(&self.keys).copied().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(payload).ok()?.lines();
        Some(Self { node: lines.next()?.parse().ok()?, keys: lines.collect() })
    }
}

/// Parses the numbers of a stream and of a message in it.
pub(crate) fn parse_position(text: &str) -> Option<Position> {
    let (stream, message) = text.split_once(' ')?;
    Some(Position { stream: stream.parse().ok()?, message: message.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulletins_are_parsed_as_they_were_written() {
        let node = NodeId::from_number(7);
        let streams = vec![("tea", Position { stream: 3, message: 9 })];
        for presence in [
            Presence { node, asks: true, streams },
            Presence { node, asks: false, streams: Vec::new() },
        ] {
            assert_eq!(Presence::parse(presence.encode().as_bytes()), Some(presence));
        }
        for claim in [Claim { node, keys: vec!["ann", "bob b."] }, Claim { node, keys: Vec::new() }]
        {
            assert_eq!(Claim::parse(claim.encode().as_bytes()), Some(claim));
        }
        for bad in ["", "N", "n .", "N .\ntea", "N .\ntea 1", "N .\ntea x 1", "N .\ntea 1 -1"] {
            let bad = bad.replace('N', &node.to_string());
            assert_eq!(Presence::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Claim::parse(b""), None);
        assert_eq!(Claim::parse(b"n\nann"), None);
        assert_eq!(Claim::parse(b"\xff"), None);
    }
}
