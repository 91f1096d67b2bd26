//! Tests of the simulated network, one property of it at a time.

mod accepting;
mod breaking;
mod connecting;
#[cfg(feature = "tls")]
mod encrypted;
mod extremes;
mod hand_over;
mod hosts;
mod names;
mod outages;
mod panicking;
mod paths;
mod racing;
mod replaying;
mod single_faults;
mod unix_sockets;

use super::*;
use crate::{Context, Protocol, Reason, Settings};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const PORT: u16 = 8007;

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Events that the protocols of a test have seen.
#[derive(Clone, Default)]
struct Log {
    /// Number of bytes, over all protocols.
    received: Rc<Cell<usize>>,
    /// Number of pieces in which they arrived.
    pieces: Rc<Cell<usize>>,
    /// The last byte of each piece.
    order: Rc<RefCell<Vec<u8>>>,
    lost: Rc<RefCell<Vec<Reason>>>,
}

/// Greets each client with `greeting` bytes, and then echoes.
#[derive(Clone, Default)]
struct Echo {
    greeting: usize,
    log: Log,
}

impl<F> Protocol<F> for Echo {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(vec![b'.'; self.greeting]);
    }

    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        self.log.received.set(self.log.received.get() + data.len());
        self.log.pieces.set(self.log.pieces.get() + 1);
        self.log.order.borrow_mut().extend(data.last());
        cx.transport.write(data);
    }

    fn connection_lost(&mut self, _: &mut Context<'_, F>, reason: &Reason) {
        self.log.lost.borrow_mut().push(reason.clone());
    }
}

impl Log {
    /// Returns why the only connection ended, in a word.
    #[track_caller]
    fn reason(&self) -> String {
        let [reason] = &self.lost.borrow()[..] else { panic!("{:?}", self.lost) };
        match reason {
            Reason::Lost(error) => format!("{:?}", error.kind()),
            reason => format!("{reason:?}"),
        }
    }
}

/// Starts a server of `echo` on a network with these conditions.
fn serve(conditions: Conditions, echo: Echo) -> (Simulation, Host, SocketAddr) {
    serve_with(Settings::default(), conditions, echo)
}

fn serve_with(
    settings: Settings,
    conditions: Conditions,
    echo: Echo,
) -> (Simulation, Host, SocketAddr) {
    let simulation = Simulation::new(1);
    simulation.set_conditions(conditions);
    let host = simulation.host_with("server", settings, move |reactor| {
        let echo = echo.clone();
        reactor.listen_tcp(PORT, move || echo.clone())?;
        Ok(())
    });
    let address = host.address(PORT);
    (simulation, host, address)
}

#[test]
fn a_test_of_an_echo_takes_five_lines() {
    let peer = connect(Echo::default);
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello");
    peer.close_write();
    assert_eq!(peer.close_kind(), Some(End::Closed));
}
