//! Sessions as text: what clients send and what they receive, in order.

mod difference;
mod escape;
mod parse;
mod play;
mod stage;
mod step;

#[cfg(test)]
mod tests;

pub use difference::Difference;
pub use parse::ParseTranscriptError;
pub use stage::{Backend, Clients, Received};

pub(super) use escape::escaped;

use super::Server;
use crate::Factory;
use std::str::FromStr;
use step::Step;

/// A session of one client or several, as text, one step a line.
///
/// ```text
/// NAME connects
/// NAME C: text               the client sends the text and a line end
/// NAME S: text               the client receives exactly this line next
/// NAME C raw: bytes\r\n\x00  sends without a line end
/// NAME S raw: bytes          receives exactly these bytes next
/// NAME finishes              sends a FIN, and goes on receiving
/// NAME resets                resets the connection
/// NAME stops reading         takes nothing more
/// NAME reads on
/// NAME is closed             the server closes in order, and sends nothing before
/// NAME is reset              the server resets the connection, whatever came before
/// NAME hears nothing         nothing is there that was not mentioned
/// 1500 ms pass               also s, min, h
/// ```
///
/// A name has no spaces. Without one, the one client without a name is meant; it need not connect,
/// for it does so at the beginning. Blank lines and lines that begin with `#` say nothing, and
/// lines may be indented. Text is taken up to the end of its line. `raw` knows `\r`, `\n`, `\t`,
/// `\0`, `\\` and `\xNN`. A line that is received ends with CR LF.
///
/// Everything has to be mentioned: what comes to a client and stands in no step is a difference,
/// and so is the server's close, unless the client finished or reset before. (`is reset` alone
/// does not look at what came before.)
///
/// In memory all that follows from a step has happened when the next one begins. A stage over
/// sockets waits for what is to come, and cannot know what will come later: there, `hears nothing`
/// and the end of the transcript only find what is there already. A step that the server answers
/// makes sure that this is all.
#[derive(Clone, Debug)]
pub struct Transcript {
    steps: Vec<Step>,
    line_end: Vec<u8>,
}

impl Transcript {
    /// Reads a transcript.
    pub fn parse(text: &str) -> Result<Self, ParseTranscriptError> {
        Ok(Self { steps: parse::steps(text)?, line_end: step::LINE_END.into() })
    }

    /// What clients end their lines with, CR LF by default. What they receive ends with CR LF in
    /// any case.
    #[must_use]
    pub fn line_end(self, line_end: impl AsRef<[u8]>) -> Self {
        Self { line_end: line_end.as_ref().into(), ..self }
    }

    /// Plays it on a stage, to its end, and says what differed.
    pub fn play(&self, stage: &mut impl Backend) -> Result<(), Difference> {
        play::play(&self.steps, &self.line_end, stage)
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
/// If something else happens than the transcript says, and shows the difference; and if the text is
/// no transcript.
#[track_caller]
pub fn check<F: Factory>(factory: F, transcript: &str) {
    let transcript = match Transcript::parse(transcript) {
        Ok(transcript) => transcript,
        Err(error) => panic!("{error}"),
    };
    let server = Server::new(factory);
    if let Err(difference) = transcript.play(&mut Clients::of(&server)) {
        panic!("{difference}");
    }
}
