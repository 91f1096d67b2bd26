//! A listing that takes several turns.

use crate::address::Address;
use crate::inspection::{ConnectionSummary, FactorySummary, InspectionCursor, PortSummary};
use crate::reactor::Reactor;
use std::fmt::Write;

/// A listing, and how far it has come.
#[derive(Debug)]
pub(super) struct Listing {
    subject: Subject,
    cursor: InspectionCursor,
}

#[derive(Debug)]
pub(super) enum Subject {
    /// Connections whose protocol's name contains this.
    Connections {
        name: String,
    },
    Factories,
    Ports,
}

impl Listing {
    pub(super) fn of(subject: Subject) -> Self {
        Self { subject, cursor: InspectionCursor::default() }
    }

    /// Returns the next lines, perhaps none; `None` at the end.
    pub(super) fn next(&mut self, reactor: &Reactor) -> Option<String> {
        let (mut lines, cursor) = (String::new(), &mut self.cursor);
        match &self.subject {
            Subject::Connections { name } => {
                let connections = reactor.next_connections(cursor)?;
                let listed = connections.iter().filter(|it| it.protocol.contains(name));
                listed.for_each(|it| add_connection(&mut lines, it));
            }
            Subject::Factories => {
                let factories = reactor.next_factories(cursor)?;
                factories.iter().for_each(|it| add_factory(&mut lines, it));
            }
            Subject::Ports => {
                reactor.next_ports(cursor)?.iter().for_each(|it| add_port(&mut lines, it));
            }
        }
        Some(lines)
    }
}

// Writing to a string does not fail. The names of protocols have spaces, and so come last.

fn add_connection(lines: &mut String, it: &ConnectionSummary) {
    let side = if it.is_outgoing { "connected" } else { "accepted" };
    let reading = if it.is_paused { "paused" } else { "active" };
    let ConnectionSummary { id, protocol, state, unsent, .. } = it;
    let peer = word(&it.peer);
    let _ = writeln!(
        lines,
        "{id} side={side} state={state} reading={reading} unsent={unsent} peer={peer} \
         protocol={protocol}"
    );
}

fn add_factory(lines: &mut String, it: &FactorySummary) {
    let FactorySummary { protocol, connections, uses, is_started, rejections } = it;
    let rejected = rejections.connections
        + rejections.per_peer
        + rejections.factory
        + rejections.exhausted
        + rejections.handshake;
    let _ = writeln!(
        lines,
        "connections={connections} uses={uses} started={is_started} rejected={rejected} \
         protocol={protocol}"
    );
}

fn add_port(lines: &mut String, it: &PortSummary) {
    let accepting = if it.is_waiting { "waiting" } else { "active" };
    let (address, protocol) = (word(&it.address), &it.protocol);
    let _ = writeln!(lines, "{address} accepting={accepting} protocol={protocol}");
}

/// Returns an address as one word of a line: white space and backslashes are escaped, as in
/// `unix:/run/a\u{20}b`. A peer chooses the name of its Unix socket, and could put fields into it.
fn word(address: &Address) -> String {
    let mut word = String::new();
    for character in address.to_string().chars() {
        match character {
            '\\' => word.push_str("\\\\"),
            _ if character.is_whitespace() => word.extend(character.escape_unicode()),
            _ => word.push(character),
        }
    }
    word
}
