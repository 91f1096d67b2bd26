//! Transcripts: sessions as text, of what clients send and what they receive, in order.

mod backend;
mod difference;
mod escape;
mod parse;
mod peers;
mod play;
mod step;

#[cfg(test)]
mod tests;

pub use backend::{Backend, Received, Role};
pub use difference::Difference;
pub use parse::ParseTranscriptError;
pub use peers::Peers;

pub(super) use escape::escaped;

use super::{Client, Host, Listener, Server};
use crate::Factory;
use std::str::FromStr;
use step::Step;

/// A session of one or more clients with a server, as text, one step per line.
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
/// NAME is refused            the client tries to connect, and the server refuses it
/// NAME gets no answer        the client tries to connect, and the server does not answer
/// NAME hears nothing         the client has received nothing unmentioned
/// NAME says nothing          the client has sent nothing unmentioned
/// 1500 ms pass               also s, min, h
/// ```
///
/// The test plays one side, and the other one is tested: [`check`] plays the clients of a server,
/// [`check_client`] the server of a client. So each line is what the test does, or what it expects
/// next; the text is the same for both. What only the test can do needs the side that it plays: a
/// client that is tested cannot be told to stop reading, and `gets no answer` is for clients only.
/// `hears nothing` asks for what a server has sent, and `says nothing` for what a client has; each
/// holds if the test plays that side itself.
///
/// A name has no spaces. A step without a name is one of the unnamed client, which connects by
/// itself at the beginning. Blank lines and lines that begin with `#` are ignored, and lines may be
/// indented. Text extends to the end of its line. `raw` knows `\r`, `\n`, `\t`, `\0`, `\\` and
/// `\xNN`. A received line ends with CR LF.
///
/// Everything must be mentioned: bytes that come without a step for them are a difference, and so
/// is a close, unless the side that the test plays has finished, closed or reset the connection
/// before. (`is reset`, or `resets` of a client that is tested, ignores what came before.) A client
/// that is tested connects once for each `connects`, `is refused` and `gets no answer`, and another
/// attempt is a difference.
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
    play_or_panic(transcript, &mut Peers::of(&Server::new(factory)));
}

/// Plays a [`Transcript`] on a port of a host: for a server with several factories or ports, whose
/// clients then see each other's effects. [`Peers::on`] says where the clients are.
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
    play_or_panic(transcript, &mut Peers::on(host, port));
}

/// Plays a [`Transcript`] with a client in memory, which connects once or several times: the test
/// is its server.
///
/// ```
/// use twistor::{LineContext, LineReceiver, Lines, testing};
///
/// struct Asking;
///
/// impl<F> LineReceiver<F> for Asking {
///     fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
///         cx.send_line("How are you?");
///     }
///
///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, _line: &[u8]) {
///         cx.transport.lose_connection();
///     }
/// }
///
/// testing::check_client(|| Lines::new(Asking), "C: How are you?\n S: Fine\n finishes");
/// ```
///
/// # Panics
///
/// As [`check`].
#[track_caller]
pub fn check_client<F: Factory>(factory: F, transcript: &str) {
    play_or_panic(transcript, &mut Peers::of_client(&Client::new(factory)));
}

/// Plays a [`Transcript`] with whatever connects to a listener, such as a client that connects
/// again after each loss.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use std::time::Duration;
/// use twistor::testing::{Simulation, check_client_on};
/// use twistor::{Context, Factory, FactoryKey, Protocol, Reactor, Reason, Transport};
///
/// struct Greeting;
///
/// impl Protocol<Persistent> for Greeting {
///     fn connection_made(&mut self, cx: &mut Context<'_, Persistent>) {
///         cx.transport.write("hello\r\n");
///     }
///
///     fn connection_lost(&mut self, cx: &mut Context<'_, Persistent>, _: &Reason) {
///         connect_later(cx.factory.0, cx.key(), cx.reactor);
///     }
/// }
///
/// struct Persistent(SocketAddr);
///
/// impl Factory for Persistent {
///     twistor::build_protocol!(Greeting, |_| Greeting);
///
///     fn connection_failed(&mut self, _: &Transport, _: &io::Error, reactor: &mut Reactor) {
///         connect_later(self.0, reactor.key_of(self).unwrap(), reactor);
///     }
/// }
///
/// fn connect_later(address: SocketAddr, key: FactoryKey<Persistent>, reactor: &mut Reactor) {
///     reactor.call_later(Duration::from_secs(1), move |reactor| {
///         reactor.connect_tcp(address, key).unwrap();
///     });
/// }
///
/// let simulation = Simulation::new(1);
/// let listener = simulation.listen("server", 8007);
/// let address = listener.address();
/// simulation.host("client", move |reactor| {
///     let key = reactor.add_factory(Persistent(address))?;
///     Ok(reactor.connect_tcp(address, key)?)
/// });
/// check_client_on(
///     &listener,
///     "is refused
///      1 s passes
///      connects
///      C: hello
///      is closed
///      1 s passes
///      connects
///      C: hello",
/// );
/// ```
///
/// # Panics
///
/// As [`check`].
#[track_caller]
pub fn check_client_on(listener: &Listener, transcript: &str) {
    play_or_panic(transcript, &mut Peers::at(listener));
}

#[track_caller]
fn play_or_panic(transcript: &str, peers: &mut Peers) {
    let transcript = match Transcript::parse(transcript) {
        Ok(transcript) => transcript,
        Err(error) => panic!("{error}"),
    };
    if let Err(difference) = transcript.play(peers) {
        panic!("{difference}");
    }
}
