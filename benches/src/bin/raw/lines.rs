//! Lines, and an answer to each.

use crate::connection::Connections;
use crate::server::Service;
use twistor_benches::answer;
use twistor_benches::lines::each_line;

#[derive(Default)]
pub struct Lines {
    /// To one segment, which leave in one write.
    answers: Vec<u8>,
}

impl Service for Lines {
    /// The beginning of a line whose end has yet to come.
    type State = Vec<u8>;

    fn received(&mut self, connections: &mut Connections<Vec<u8>>, key: usize, data: &[u8]) {
        let connection = &mut connections.open[key];
        each_line(&mut connection.state, data, |line| {
            self.answers.extend_from_slice(answer(line));
            self.answers.extend_from_slice(b"\r\n");
        });
        if !self.answers.is_empty() {
            connection.send(&self.answers);
            self.answers.clear();
        }
    }
}
