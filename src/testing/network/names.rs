//! Names of a network: host names, and the questions of hosts for their addresses. Data only.

use crate::resolver::Answer;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The names of a network, and the questions for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names that a test has given, besides those of the hosts.
    pub(super) given: BTreeMap<String, Vec<IpAddr>>,
    /// Questions that are not over, by the host and the packed id that its reactor gave them.
    pub(super) questions: BTreeMap<(usize, usize), Question>,
    /// Number of questions so far.
    pub(super) asked: u64,
}

#[derive(Debug)]
pub(super) struct Question {
    /// Distinguishes it from others that had its id.
    pub(super) number: u64,
    pub(super) name: (String, u16),
    pub(super) answer: Option<Answer>,
}

/// What a fault does to the questions of a host, until when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameFaults {
    /// Answers take this much longer.
    pub(super) slow: (u64, Duration),
    pub(super) failing: u64,
    pub(super) mute: u64,
}
