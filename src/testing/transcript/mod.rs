//! Transcripts: sessions as text, of what clients send and what they receive, in order.

mod backend;
mod difference;
mod escape;
mod parse;
mod play;
mod step;

#[cfg(test)]
mod tests;

pub use backend::{Backend, Clients, Received};
pub use difference::Difference;
pub use parse::ParseTranscriptError;

pub(super) use escape::escaped;

use super::{Host, Server};
use crate::Factory;
use std::str::FromStr;
use step::Step;

/// A session of one or more clients, as text, one step per line.
///
/// ```text
/// NAME connects
/// NAME C: text               the client sends the text and a line end
/// NAME S: text               the client receives exactly this line next
/// NAME C raw: bytes\r\n\x00  sends without a line end
/// NAME S raw: bytes          receives exactly these bytes next
/// NAME finishes              sends a FIN, and still receives (half-close)
/// NAME resets                resets the connection
/// NAME stops reading         becomes a slow consumer
/// NAME reads on              resumes reading
/// NAME is closed             the server closes gracefully, and sends nothing before
/// NAME is reset              the server resets the connection, whatever came before
/// NAME hears nothing         the client has received nothing unmentioned
/// 1500 ms pass               also s, min, h
/// ```
///
/// A name has no spaces. A step without a name is one of the unnamed client, which connects by
/// itself at the beginning. Blank lines and lines that begin with `#` are ignored, and lines may be
/// indented. Text extends to the end of its line. `raw` knows `\r`, `\n`, `\t`, `\0`, `\\` and
/// `\xNN`. A received line ends with CR LF.
///
/// Everything must be mentioned: bytes that a client receives without a step for them are a
/// difference, and so is the server's close, unless the client finished or reset before. (`is
/// reset` alone ignores what came before.)
///
/// In memory, everything that follows from a step has happened when the next one begins. A backend
/// over sockets waits for expected bytes, and cannot know what comes later: there, `hears nothing`
/// and the end of the transcript only find what has arrived already. A step that the server answers
/// makes sure that nothing else is under way.
#[derive(Clone, Debug)]
pub struct Transcript {
    steps: Vec<Step>,
    line_end: Vec<u8>,
}

impl Transcript {
    /// Parses a session from text; the documentation of [`Transcript`] lists the steps.
    pub fn parse(text: &str) -> Result<Self, ParseTranscriptError> {
        Ok(Self { steps: parse::steps(text)?, line_end: step::LINE_END.into() })
    }

    /// Sets the line end that clients send, CR LF by default. Lines that they receive end with CR
    /// LF in any case.
    #[must_use]
    pub fn line_end(self, line_end: impl AsRef<[u8]>) -> Self {
        Self { line_end: line_end.as_ref().into(), ..self }
    }

    /// Plays the transcript to its end on a backend, and returns what differed.
    pub fn play(&self, backend: &mut impl Backend) -> Result<(), Difference> {
        play::play(&self.steps, &self.line_end, backend)
    }
}

impl FromStr for Transcript {
    type Err = ParseTranscriptError;

    fn from_str(text: &str) -> Result<Self, ParseTranscriptError> {
        Self::parse(text)
    }
}

/// Plays a [`Transcript`] on a server in memory.
///
/// ```
/// use twistor::{Context, Protocol, testing};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// testing::check(
///     || Echo,
///     "ann connects
///      bob connects
///      ann C: hello
///      ann S: hello
///      bob C raw: \\x00\\xff
///      bob S raw: \\x00\\xff
///      bob hears nothing
///      ann finishes
///      ann is closed",
/// );
/// ```
///
/// # Panics
///
/// If something else happens than the transcript says, with the difference; if the text is not a
/// transcript; and if a callback panics (see [`Simulation`](super::Simulation)).
#[track_caller]
pub fn check<F: Factory>(factory: F, transcript: &str) {
    play_or_panic(transcript, &mut Clients::of(&Server::new(factory)));
}

/// Plays a [`Transcript`] on a port of a host: for a server with several factories or ports, whose
/// clients then see each other's effects. [`Clients::on`] says where the clients are.
///
/// ```
/// use twistor::testing::{self, Simulation};
/// use twistor::{Context, Protocol};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server", |reactor| {
///     reactor.listen_tcp(8007, || Echo)?;
///     reactor.listen_tcp(8017, || Echo)?;
///     Ok(())
/// });
/// testing::check_on(&server, 8007, "C: hello\n S: hello");
/// testing::check_on(&server, 8017, "C: hello\n S: hello");
/// ```
///
/// # Panics
///
/// As [`check`].
#[track_caller]
pub fn check_on<T>(host: &Host<T>, port: u16, transcript: &str) {
    play_or_panic(transcript, &mut Clients::on(host, port));
}

#[track_caller]
fn play_or_panic(transcript: &str, clients: &mut Clients) {
    let transcript = match Transcript::parse(transcript) {
        Ok(transcript) => transcript,
        Err(error) => panic!("{error}"),
    };
    if let Err(difference) = transcript.play(clients) {
        panic!("{difference}");
    }
}
