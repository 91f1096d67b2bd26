//! Split invariance: a protocol does the same however its bytes are cut.

use super::diff::diff;
use super::transcript::escaped;
use super::{CallbackCounts, Conditions, End, Peer, Random, Server, Simulation};
use crate::{Factory, Reactor};
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// Cuts in two that are tried: all of an input with at most `CUTS_MAX`, as many random ones of a
/// longer one.
const CUTS_MAX: usize = 4096;

/// Random ways of cutting that are tried, and the most pieces of each.
const RANDOM_WAYS: usize = 64;
const RANDOM_PIECES: usize = 32;

/// A fixed seed: every run tries the same cuts.
const SEED: u64 = 0x5eed;

/// Time that may pass while a protocol holds its input back.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Characters of a piece that are shown on either side of a cut, and pieces that are shown.
const SHOWN_CHARS: usize = 24;
const SHOWN_PIECES: usize = 12;

/// Asserts that a protocol does the same however its bytes arrive: whole, byte by byte, split in
/// two at every place (at 4096 random places of more than 4097 bytes), and in random splits, each
/// time with a new protocol. In some runs [`Reactor::should_yield`](crate::Reactor::should_yield)
/// returns true, in 999 or 500 of a thousand calls ([`Conditions::yields`]). At the end the client
/// half-closes.
///
/// A network delivers bytes in arbitrary pieces, and a protocol that takes a piece for a message
/// works only until it is deployed. Compared are the bytes that came back, how the connection ended
/// for the client, the reason that `connection_lost` received, whether reading was paused before
/// the client finished, and how often
/// [`read_connection_lost`](crate::Protocol::read_connection_lost) and
/// [`connection_lost`](crate::Protocol::connection_lost) ran. If the connection was reset, the
/// number of bytes that came back before that is a matter of timing, and is not compared.
///
/// Time passes only while the protocol holds input back (a pause, a yield), before and after the
/// client finishes, for some 70 minutes each at most. Each protocol is built by a clone of the
/// factory: state that clones share differs from one to the next.
///
/// ```
/// use twistor::{LineContext, LineReceiver, Lines, testing};
///
/// struct Upper;
///
/// impl<F> LineReceiver<F> for Upper {
///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
///         cx.send_line(line.to_ascii_uppercase());
///     }
/// }
///
/// testing::assert_split_invariant(|| Lines::new(Upper), "one\r\ntwo\r\n\r\nno end");
/// ```
///
/// A protocol that answers each piece is caught:
///
/// ```should_panic
/// use twistor::{Context, Protocol, testing};
///
/// struct Ok;
///
/// impl<F> Protocol<F> for Ok {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, _data: &[u8]) {
///         cx.transport.write("OK\r\n");
///     }
/// }
///
/// testing::assert_split_invariant(|| Ok, "one\r\n");
/// ```
///
/// # Panics
///
/// If two outcomes differ; shows the pieces and the difference. If the protocol or its factory
/// panics; shows the panic and the pieces.
#[track_caller]
pub fn assert_split_invariant<F: Factory + Clone>(factory: F, bytes: impl AsRef<[u8]>) {
    let connect = || {
        let server = Server::new(factory.clone());
        server.simulation().allow_panics();
        server.connect()
    };
    assert_invariant(connect, bytes.as_ref());
}

/// Asserts that a server does the same however the bytes arrive that a client sends to one of its
/// ports: as [`assert_split_invariant`], for a server of several factories or ports, or for a
/// protocol whose factory cannot be cloned. `boot` sets up the reactor, each time a new one, as for
/// [`Simulation::host`].
///
/// Compared is what happens on the connection to `port`; state that one boot shares with the next
/// differs from one to the next.
///
/// ```
/// use twistor::{LineContext, LineReceiver, Lines, testing};
///
/// struct Upper;
///
/// impl<F> LineReceiver<F> for Upper {
///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
///         cx.send_line(line.to_ascii_uppercase());
///     }
/// }
///
/// let boot = |reactor: &mut twistor::Reactor| {
///     reactor.listen_tcp(8007, || Lines::new(Upper))?;
///     reactor.listen_tcp(8017, || Lines::new(Upper).delimiter("\n"))?;
///     Ok(())
/// };
/// testing::assert_split_invariant_on(boot, 8017, "one\ntwo\n\nno end");
/// ```
///
/// # Panics
///
/// As [`assert_split_invariant`], and if `boot` fails.
#[track_caller]
pub fn assert_split_invariant_on<T: 'static>(
    boot: impl FnMut(&mut Reactor) -> Result<T, Box<dyn Error>> + 'static,
    port: u16,
    bytes: impl AsRef<[u8]>,
) {
    let boot = Rc::new(RefCell::new(boot));
    let connect = || {
        let (simulation, boot) = (Simulation::new(0), Rc::clone(&boot));
        simulation.allow_panics();
        let host = simulation.host("server", move |reactor| (*boot.borrow_mut())(reactor));
        simulation.peer("client", host.address(port))
    };
    assert_invariant(connect, bytes.as_ref());
}

/// Asserts that each of the servers, to which `connect` connects, does the same.
#[track_caller]
fn assert_invariant(connect: impl Fn() -> Peer, bytes: &[u8]) {
    let mut whole = outcome(&connect, &[bytes], 0);
    for Way { cuts, yields } in ways(bytes.len()) {
        let pieces = pieces(bytes, &cuts);
        let mut other = outcome(&connect, &pieces, yields);
        if whole.end == Some(End::Reset) && other.end == whole.end {
            // One output begins with the other. The longer one says more about the outputs to come.
            let both = whole.output.len().min(other.output.len());
            if other.output[..both] == whole.output[..both] {
                if other.output.len() > both {
                    whole.output.clone_from(&other.output);
                }
                other.output.clone_from(&whole.output);
            }
        }
        // Most are equal, and need no text.
        if whole.compared() == other.compared() {
            continue;
        }
        if let Some((_, list)) = diff(&whole.entries(), &other.entries(), |_| "") {
            panic!(
                "what the protocol does depends on how its bytes arrive \
                 (- whole, + {})\n\n{}\n{list}",
                way(&pieces, yields),
                shown(&pieces)
            );
        }
    }
}

/// Outcome of one run.
#[derive(Debug)]
struct Outcome {
    output: Vec<u8>,
    end: Option<End>,
    reason: Option<String>,
    paused: bool,
    calls: CallbackCounts,
}

#[track_caller]
fn outcome(connect: impl Fn() -> Peer, pieces: &[&[u8]], yields: u16) -> Outcome {
    let peer = connect();
    peer.simulation().set_conditions(Conditions::ideal().yields(yields));
    pieces.iter().for_each(|piece| peer.send(piece));
    wait_while_held(&peer);
    let paused = is_paused(&peer);
    peer.close_write();
    wait_while_held(&peer);
    let reason = peer.lost_reason().map(|reason| reason.to_string());
    let outcome = Outcome {
        output: peer.take_received(),
        end: peer.close_kind(),
        reason,
        paused,
        calls: peer.calls(),
    };
    // At the end protocols hear of it, and may panic as well.
    peer.simulation().finish();
    let panics = peer.simulation().take_panics().join("\n");
    if !panics.is_empty() {
        panic!("{panics}\n\nwhen the bytes arrive {}\n\n{}", way(pieces, yields), shown(pieces));
    }
    outcome
}

/// Says in a few words how the bytes arrive.
fn way(pieces: &[&[u8]], yields: u16) -> String {
    let count = match pieces.len() {
        1 => "whole".to_owned(),
        count => format!("in {count} pieces"),
    };
    count + if yields > 0 { ", should_yield returning true" } else { "" }
}

/// Waits until nothing holds input back any more.
fn wait_while_held(peer: &Peer) {
    let mut step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while (is_paused(peer) || is_held(peer)) && waited < PAUSE_MAX {
        peer.advance(step);
        waited += step;
        // Most pauses are short, and some have no end.
        step *= 2;
    }
}

fn is_paused(peer: &Peer) -> bool {
    peer.lost_reason().is_none() && peer.transport().is_some_and(|transport| transport.is_paused())
}

fn is_held(peer: &Peer) -> bool {
    peer.lost_reason().is_none()
        && peer.transport().is_some_and(|transport| transport.connection().holds_input())
}

impl Outcome {
    /// Returns what must be equal.
    fn compared(&self) -> impl PartialEq {
        let Self { output, end, reason, paused, calls } = self;
        let lost = [calls.read_connection_lost(), calls.connection_lost()];
        (output, end, reason, paused, lost)
    }

    /// Returns the same as text, to be shown.
    fn entries(&self) -> Vec<String> {
        let lines = self.output.split_inclusive(|&byte| byte == b'\n');
        let mut entries: Vec<String> =
            lines.map(|line| format!("sent back: {}", escaped(line))).collect();
        let Self { end, reason, paused, calls, .. } = self;
        entries.push(format!(
            "reading {} before the client finished",
            match paused {
                true => "was paused",
                false => "was not paused",
            }
        ));
        entries.push(format!("read_connection_lost: {}", calls.read_connection_lost()));
        entries.push(match reason {
            Some(reason) => format!("connection_lost: {}, {reason}", calls.connection_lost()),
            None => format!("connection_lost: {}", calls.connection_lost()),
        });
        entries.push(match end {
            Some(end) => format!("the client saw: {end:?}"),
            None => "the client saw no end".to_owned(),
        });
        entries
    }
}

/// One way in which the bytes arrive.
struct Way {
    /// Offsets of the cuts, in order.
    cuts: Vec<usize>,
    /// How many in a thousand calls of `should_yield` return true.
    yields: u16,
}

fn ways(length: usize) -> impl Iterator<Item = Way> {
    let mut random = Random::new(SEED);
    let last = length.saturating_sub(1);
    let whole = std::iter::once(Way { cuts: Vec::new(), yields: 999 });
    let bytewise = std::iter::once((1..length).collect());
    let twos = (0..last.min(CUTS_MAX)).map({
        let mut random = random.split();
        move |index| vec![1 + if last <= CUTS_MAX { index } else { random.below(last) }]
    });
    let others = (0..RANDOM_WAYS).map(move |_| {
        let count = 2 + random.below(RANDOM_PIECES - 2);
        let mut cuts: Vec<usize> = (0..count).map(|_| 1 + random.below(last)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    });
    // A difference is easiest to understand from two pieces.
    let calm = twos.chain(bytewise).map(|cuts| Way { cuts, yields: 0 });
    let others = others.map(|cuts| Way { cuts, yields: 500 });
    calm.chain(others).filter(move |_| last > 0).chain(whole)
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect()
}

/// Shows the pieces, one per line: both sides of each cut, as far as they help.
fn shown(pieces: &[&[u8]]) -> String {
    let mut lines: Vec<String> = pieces
        .iter()
        .take(SHOWN_PIECES)
        .map(|piece| format!("piece: {}", abbreviated(piece)))
        .collect();
    if pieces.len() > SHOWN_PIECES {
        lines.push(format!("and {} more pieces", pieces.len() - SHOWN_PIECES));
    }
    lines.join("\n")
}

fn abbreviated(piece: &[u8]) -> String {
    let text = escaped(piece);
    let length = text.chars().count();
    if length <= 3 * SHOWN_CHARS {
        return text;
    }
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    let end: String = text.chars().skip(length - SHOWN_CHARS).collect();
    format!("{start} ... {end} ({} bytes)", piece.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, LineContext, LineReceiver, Lines, Protocol, Transport};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A protocol that answers every piece.
    struct Piecewise;

    impl<F> Protocol<F> for Piecewise {
        fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
            match data {
                b"pause" => cx.transport.pause_reading(),
                b"abort" => cx.transport.abort_connection(),
                b"close" => cx.transport.lose_connection(),
                _ => cx.transport.write("OK\n"),
            }
        }
    }

    #[track_caller]
    fn differs<F: Factory + Clone>(factory: F, bytes: impl AsRef<[u8]>, shown: &str) {
        let check = AssertUnwindSafe(|| assert_split_invariant(factory, bytes));
        let text = *catch_unwind(check).unwrap_err().downcast::<String>().unwrap();
        let title = "what the protocol does depends on how its bytes arrive (- whole, + in ";
        let shown_now = text.strip_prefix(title).unwrap();
        assert!(shown_now == shown, "{text}");
    }

    #[test]
    fn answers_to_single_pieces_are_caught() {
        differs(
            || Piecewise,
            "one\n",
            "2 pieces)

piece: o
piece: ne\\n

       sent back: OK\\n
     + sent back: OK\\n
       reading was not paused before the client finished
       read_connection_lost: 1
       connection_lost: 1, connection closed gracefully
       the client saw: Closed",
        );
    }

    #[test]
    fn pauses_and_ends_are_compared() {
        differs(
            || Piecewise,
            "pause",
            "2 pieces)

piece: p
piece: ause

     - reading was paused before the client finished
     - read_connection_lost: 0
     - connection_lost: 0
     - the client saw no end
     + sent back: OK\\n
     + sent back: OK\\n
     + reading was not paused before the client finished
     + read_connection_lost: 1
     + connection_lost: 1, connection closed gracefully
     + the client saw: Closed",
        );
        differs(
            || Piecewise,
            "abort",
            "2 pieces)

piece: a
piece: bort

     + sent back: OK\\n
     + sent back: OK\\n
       reading was not paused before the client finished
     - read_connection_lost: 0
     - connection_lost: 1, connection aborted by this side
     - the client saw: Reset
     + read_connection_lost: 1
     + connection_lost: 1, connection closed gracefully
     + the client saw: Closed",
        );
    }

    #[test]
    fn a_panic_of_the_protocol_is_shown_with_the_pieces() {
        /// Takes pieces for messages, and does not expect some.
        struct Fragile(&'static [u8]);

        impl<F> Protocol<F> for Fragile {
            fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
                assert!(data != self.0, "not expected");
            }
        }

        let panics = |piece: &'static str, shown: &str| {
            let factory = move || Fragile(piece.as_bytes());
            let check = AssertUnwindSafe(|| assert_split_invariant(factory, "one"));
            let text = *catch_unwind(check).unwrap_err().downcast::<String>().unwrap();
            let title = "Fragile of 10.0.0.2:49152 panicked in data_received (host server): \
                         not expected\n\nwhen the bytes arrive ";
            assert_eq!(text.strip_prefix(title).expect(&text), shown);
        };
        panics("one", "whole\n\npiece: one");
        panics("ne", "in 2 pieces\n\npiece: o\npiece: ne");
        panics("n", "in 3 pieces\n\npiece: o\npiece: n\npiece: e");
    }

    #[test]
    fn a_panic_at_the_end_of_a_run_is_shown() {
        #[derive(Clone)]
        struct Late;

        impl Factory for Late {
            type Protocol = Piecewise;

            fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Piecewise> {
                Some(Piecewise)
            }

            fn stop_factory(&mut self, _: &mut Reactor) {
                panic!("at the end");
            }
        }

        let check = || assert_split_invariant(Late, "");
        let text = *catch_unwind(check).unwrap_err().downcast::<String>().unwrap();
        assert!(text.starts_with("stop_factory of Piecewise panicked"), "{text}");
    }

    #[test]
    fn one_of_several_ports_is_compared() {
        let boot = |reactor: &mut Reactor| {
            let upper = reactor.listen_tcp(1, || Lines::new(Impatient(0)))?;
            reactor.listen_tcp(2, || Piecewise)?;
            Ok(upper)
        };
        assert_split_invariant_on(boot, 1, "one\r\ntwo\r\n");
        let check = || assert_split_invariant_on(boot, 2, "one\r\n");
        let text = *catch_unwind(check).unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("piece: o\npiece: ne\\r\\n\n"), "{text}");
    }

    #[test]
    fn long_pieces_are_shown_where_they_were_cut() {
        let pieces: Vec<&[u8]> = vec![&[b'a'; 72], &[b'b'; 73], b"\xff"];
        let (start, end) = ("b".repeat(24), "b".repeat(24));
        assert_eq!(
            shown(&pieces),
            format!("piece: {}\npiece: {start} ... {end} (73 bytes)\npiece: \\xff", "a".repeat(72))
        );
        assert!(shown(&[b"a".as_slice(); 20]).ends_with("\npiece: a\nand 8 more pieces"));
    }

    /// A protocol that echoes each line, and aborts at the third, together with its unsent bytes.
    struct Impatient(usize);

    impl<F> LineReceiver<F> for Impatient {
        fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
            self.0 += 1;
            cx.send_line(line);
            if self.0 == 3 {
                cx.transport.abort_connection();
            }
        }
    }

    #[test]
    fn output_before_a_reset_is_not_compared() {
        assert_split_invariant(|| Lines::new(Impatient(0)), "one\r\ntwo\r\nthree\r\nfour\r\n");
    }

    #[test]
    fn every_cut_of_a_short_input_is_tried_and_many_of_a_long_one() {
        for length in 0..2 {
            assert_eq!(ways(length).count(), 1, "whole, but with should_yield returning true");
        }
        for length in [2, 3, 100, CUTS_MAX + 2] {
            let ways: Vec<Vec<usize>> = ways(length).map(|way| way.cuts).collect();
            assert_eq!(ways.len(), (length - 1).min(CUTS_MAX) + 1 + RANDOM_WAYS + 1);
            assert!(length > CUTS_MAX || (1..length).all(|cut| ways.contains(&vec![cut])));
            let bytes = vec![0; length];
            let (whole, cut) = ways.split_last().unwrap();
            assert!(whole.is_empty());
            for way in cut {
                let pieces = pieces(&bytes, way);
                assert!(pieces.len() > 1 && pieces.iter().all(|piece| !piece.is_empty()));
                assert_eq!(pieces.concat(), bytes);
            }
        }
    }
}
