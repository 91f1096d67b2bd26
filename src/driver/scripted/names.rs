//! Host names of a script, which the test resolves, and addresses that cannot be connected to.

use super::super::Ready;
use super::Script;
use crate::arena::Id;
use crate::resolver::Answer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Questions for addresses, in their order.
#[derive(Debug, Default)]
pub(super) struct Names {
    waiting: Vec<(Id, String, u16)>,
    answered: Vec<(Id, Answer)>,
    unreported: Vec<Id>,
    /// The latest question.
    latest: Option<Id>,
    /// No question can be asked.
    refuses: bool,
    /// How the next attempt to connect fails.
    connect_error: Option<io::Error>,
}

impl Names {
    pub(super) fn ask(&mut self, host: &str, port: u16, id: Id) -> io::Result<()> {
        if self.refuses {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.latest = Some(id);
        self.waiting.push((id, host.to_owned(), port));
        Ok(())
    }

    pub(super) fn check_connect(&mut self) -> io::Result<()> {
        self.connect_error.take().map_or(Ok(()), Err)
    }

    pub(super) fn take(&mut self, id: Id) -> Option<Answer> {
        let place = self.answered.iter().position(|(answered, _)| *answered == id)?;
        Some(self.answered.remove(place).1)
    }

    pub(super) fn cancel(&mut self, id: Id) {
        self.waiting.retain(|(waiting, ..)| *waiting != id);
        self.answered.retain(|(answered, _)| *answered != id);
    }

    pub(super) fn report(&mut self) -> impl Iterator<Item = Ready> {
        std::mem::take(&mut self.unreported).into_iter().map(|id| Ready::Resolved(id.to_bits()))
    }
}

impl Script {
    /// Returns the hosts whose addresses the reactor waits for, each with the port.
    pub(crate) fn asked(&self) -> Vec<String> {
        let inner = self.0.borrow();
        inner.names.waiting.iter().map(|(_, host, port)| format!("{host}:{port}")).collect()
    }

    /// Answers the oldest question.
    pub(crate) fn resolve(&self, answer: Result<Vec<SocketAddr>, io::ErrorKind>) {
        let names = &mut self.0.borrow_mut().names;
        let (id, ..) = names.waiting.remove(0);
        names.answered.push((id, answer.map_err(|kind| Arc::new(kind.into()))));
        names.unreported.push(id);
    }

    /// Reports that the latest question has an answer, whether it has one or not.
    pub(crate) fn report_answer(&self) {
        let names = &mut self.0.borrow_mut().names;
        names.unreported.extend(names.latest);
    }

    /// Makes the next attempt to connect fail at once.
    pub(crate) fn fail_connect(&self, error: io::Error) {
        self.0.borrow_mut().names.connect_error = Some(error);
    }

    /// From now on no question can be asked.
    pub(crate) fn refuse_questions(&self) {
        self.0.borrow_mut().names.refuses = true;
    }
}
