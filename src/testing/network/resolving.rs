//! Resolving: hosts ask for the addresses of names.

use super::names::{NameFaults, Question};
use super::{Event, Network};
use crate::resolver::Answer;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Returns an error with the words of `getaddrinfo(3)`.
fn lookup_error(why: &str) -> io::Error {
    io::Error::other(format!("failed to lookup address information: {why}"))
}

impl Network {
    /// Gives a name these addresses, in place of those that it had.
    pub(in crate::testing) fn set_name(&mut self, name: &str, ips: Vec<IpAddr>) {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.names.given.insert(name.to_ascii_lowercase(), ips);
    }

    /// Asks for the addresses of a name. The answer takes as long as a packet to a name server and
    /// one back; with an answer of its own, the host asks no server.
    pub(in crate::testing) fn resolve(
        &mut self,
        node: usize,
        (name, port): (&str, u16),
        token: usize,
        own: Option<Answer>,
    ) {
        self.names.asked += 1;
        let number = self.names.asked;
        self.trace.note(self.now, "host asks for a name", node as u64, u64::from(port));
        self.trace.note_bytes(name.as_bytes());
        let faults = self.nodes[node].name_faults;
        let is_local = own.is_some();
        let question = Question { number, name: (name.to_owned(), port), answer: own };
        self.names.questions.insert((node, token), question);
        let mut delay = Duration::ZERO;
        if !is_local {
            if faults.mute > self.now {
                return;
            }
            let (latency, jitter) = (self.conditions.latency, self.conditions.jitter);
            delay = latency.saturating_mul(2).saturating_add(self.random.up_to(jitter * 2));
            let (until, by) = faults.slow;
            if until > self.now {
                delay = delay.saturating_add(by);
            }
        }
        self.schedule_in(delay, Event::NameAnswer { node, token, number });
    }

    /// Handles the arrival of an answer.
    pub(super) fn name_answer(&mut self, node: usize, token: usize, number: u64) {
        let is_asked = |question: &Question| question.number == number;
        if !self.names.questions.get(&(node, token)).is_some_and(is_asked) {
            return;
        }
        let is_failing = self.nodes[node].name_faults.failing > self.now;
        let Some(question) = self.names.questions.get(&(node, token)) else { return };
        let answer = match &question.answer {
            Some(own) => own.clone(),
            None if is_failing => {
                Err(Arc::new(lookup_error("Temporary failure in name resolution")))
            }
            None => self.addresses_of(&question.name),
        };
        let count = answer.as_ref().map_or(0, Vec::len);
        if let Some(question) = self.names.questions.get_mut(&(node, token)) {
            question.answer = Some(answer);
        }
        self.trace.note(self.now, "host has the addresses of a name", node as u64, count as u64);
        self.nodes[node].ready_answers.push(token);
        self.wake(node);
    }

    fn addresses_of(&self, (name, port): &(String, u16)) -> Answer {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let ips = match (self.names.given.get(&name), self.find_node(&name)) {
            (Some(ips), _) => ips.clone(),
            (None, Some(node)) => self.nodes[node].ips().to_vec(),
            (None, None) => return Err(Arc::new(lookup_error("Name or service not known"))),
        };
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect())
    }

    /// Removes and returns the answer to a question, if it has arrived.
    pub(in crate::testing) fn take_answer(&mut self, node: usize, token: usize) -> Option<Answer> {
        if self.nodes[node].ready_answers.contains(&token) {
            // It has arrived, but the poller has not reported it.
            return None;
        }
        let question = self.names.questions.get_mut(&(node, token))?;
        let answer = question.answer.take()?;
        self.names.questions.remove(&(node, token));
        Some(answer)
    }

    pub(in crate::testing) fn cancel_resolve(&mut self, node: usize, token: usize) {
        self.names.questions.remove(&(node, token));
        self.nodes[node].ready_answers.retain(|ready| *ready != token);
    }

    /// Forgets the questions of a host whose power has failed.
    pub(super) fn forget_questions(&mut self, node: usize) {
        self.names.questions.retain(|(asking, _), _| *asking != node);
        self.nodes[node].ready_answers.clear();
        self.nodes[node].name_faults = NameFaults::default();
    }

    /// Returns the number of questions that are not over.
    #[cfg(test)]
    pub(in crate::testing) fn question_count(&self) -> usize {
        self.names.questions.len()
    }
}
