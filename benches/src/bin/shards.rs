//! A server on several cores that computes before it answers, for what a second core brings.
//!
//! `shards COUNT acceptor|reuse-port ROUNDS` answers each message with itself, after a computation
//! of this many rounds.

use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;
use twistor::shards::{Balance, Shards, SharedPort};
use twistor::{Context, Protocol, TcpServerEndpoint};
use twistor_benches::{announce, refuse};

#[derive(Clone, Copy)]
struct Compute {
    rounds: u64,
}

impl<F> Protocol<F> for Compute {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        black_box(compute(black_box(self.rounds)));
        cx.transport.write(data);
    }
}

/// A chain of multiplications, none of which can begin before the last is done.
fn compute(rounds: u64) -> u64 {
    (0..rounds).fold(1, |value, round| (value ^ round).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, way, rounds] = &arguments[..] else {
        refuse("shards COUNT acceptor|reuse-port ROUNDS");
    };
    let at = TcpServerEndpoint::from((Ipv4Addr::LOCALHOST, 0)).into();
    let port = match way.as_str() {
        "acceptor" => SharedPort::acceptor(at, Balance::RoundRobin),
        "reuse-port" => SharedPort::reuse_port(at),
        _ => refuse("a port is shared by `acceptor` or `reuse-port`"),
    };
    let compute = Compute { rounds: rounds.parse()? };
    Shards::new(count.parse()?).run(|reactor, shard| {
        let listening = port.listen(reactor, shard, move || compute)?;
        if shard.index() + 1 == shard.count() {
            announce(listening.local_address());
        }
        Ok(())
    })?;
    Ok(())
}
