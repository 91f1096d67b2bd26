//! Cost of splitting received bytes into lines: `data_received` of [`Lines`], without the loop.

use super::{ALL_ROUNDS, rounds, script};
use crate::driver::scripted::Peer;
use crate::{
    ConnectionId, Context, Delimiter, LineContext, LineReceiver, Lines, ListeningPort, Protocol,
    Reactor, Settings,
};
use std::hint::black_box;
use std::time::Duration;

/// Only adds up the lengths of its lines, so that the sum can be asserted. The bytes count as used,
/// or the optimiser would remove a needless copy of them.
struct Sum(usize);

impl<F> LineReceiver<F> for Sum {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, line: &[u8]) {
        self.0 += black_box(line).len();
    }
}

/// Only adds up the lengths of its data, in raw mode.
struct RawSum(usize);

impl<F> LineReceiver<F> for RawSum {
    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        cx.set_raw_mode();
    }

    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {}

    fn raw_data_received(&mut self, _: &mut LineContext<'_, F>, data: &[u8]) {
        self.0 += black_box(data).len();
    }
}

struct Answer;

impl<F> LineReceiver<F> for Answer {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line(match line {
            b"How are you?" => "Fine",
            _ => "I don't know what you mean",
        });
    }
}

type Factory<R> = fn() -> Lines<R>;

/// A receiver on a connection.
struct Fixture<R: LineReceiver<Factory<R>> + 'static> {
    reactor: Reactor,
    port: ListeningPort<Factory<R>>,
    id: ConnectionId,
    peer: Peer,
}

impl<R: LineReceiver<Factory<R>> + 'static> Fixture<R> {
    fn new(factory: Factory<R>) -> Self {
        let script = script();
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        let port = reactor.listen_tcp(8007, factory).unwrap();
        let peer = script.connect();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        Self { id: reactor.first_connection(), reactor, port, peer }
    }

    /// Delivers these segments in every round.
    fn deliver(mut self, segments: &[&[u8]]) -> Self {
        rounds(|counter| {
            self.with_lines(|lines, cx| {
                counter.count(|| segments.iter().for_each(|data| lines.data_received(cx, data)));
            });
            // Sends the answers.
            assert!(self.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
            1
        });
        self
    }

    fn with_lines<T>(
        &mut self,
        call: impl FnOnce(&mut Lines<R>, &mut Context<'_, Factory<R>>) -> T,
    ) -> T {
        self.reactor.with_protocol(&self.port, self.id, call).unwrap()
    }
}

#[track_caller]
fn expect_sum(mut fixture: Fixture<Sum>, each_round: usize) {
    let sum = fixture.with_lines(|lines, _| lines.receiver().0);
    assert_eq!(sum, each_round * ALL_ROUNDS);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn split_64() {
    let segment = b"How are you?\r\n".repeat(64);
    let fixture = Fixture::new(|| Lines::new(Sum(0))).deliver(&[&segment]);
    expect_sum(fixture, 12 * 64);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn split_64_newline() {
    let segment = b"How are you?\n".repeat(64);
    let lines = || Lines::new(Sum(0)).delimiter(Delimiter::Newline);
    expect_sum(Fixture::new(lines).deliver(&[&segment]), 12 * 64);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn cut_in_two() {
    let fixture = Fixture::new(|| Lines::new(Sum(0))).deliver(&[b"How are", b" you?\r\n"]);
    expect_sum(fixture, 12);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn long_64k() {
    let segment = [b'x'; 16 * 1024];
    let mut last = segment;
    last[16 * 1024 - 2..].copy_from_slice(b"\r\n");
    let lines = || Lines::new(Sum(0)).max_length(64 * 1024);
    let fixture = Fixture::new(lines).deliver(&[&segment, &segment, &segment, &last]);
    expect_sum(fixture, 64 * 1024 - 2);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn raw_16k() {
    let mut fixture = Fixture::new(|| Lines::new(RawSum(0))).deliver(&[&[b'\n'; 16 * 1024]]);
    let sum = fixture.with_lines(|lines, _| lines.receiver().0);
    assert_eq!(sum, 16 * 1024 * ALL_ROUNDS);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn answer_64() {
    let segment = b"How are you?\r\n".repeat(64);
    let fixture = Fixture::new(|| Lines::new(Answer)).deliver(&[&segment]);
    assert_eq!(fixture.peer.received(), b"Fine\r\n".repeat(64 * ALL_ROUNDS));
}
