use super::*;
use crate::{Context, Protocol};
use std::time::Duration;

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

#[test]
fn five_lines() {
    let peer = connect(|| Echo);
    peer.send("hello");
    assert_eq!(peer.take(), b"hello");
    peer.finish();
    assert_eq!(peer.end(), Some(End::Closed));
}

fn rough_echo(simulation: &Simulation) {
    simulation.set_conditions(Conditions::rough());
    let server = simulation.host("server", |reactor| {
        reactor.listen_tcp(8007, || Echo)?;
        Ok(())
    });
    let ann = simulation.peer("ann", server.address(8007));
    let data: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
    ann.send(&data);
    assert!(simulation.run_until(Duration::from_secs(600), || ann.received().len() == data.len()));
    assert!(ann.take() == data);
    ann.finish();
    assert!(simulation.run_until(Duration::from_secs(10), || ann.end() == Some(End::Closed)));
    drop(ann);
    simulation.run_for(Duration::from_secs(60));
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn a_rough_network_brings_everything_and_a_seed_replays() {
    let first = explore(20, rough_echo);
    let second = explore(20, rough_echo);
    assert_eq!(first.hash, second.hash);
    println!("{first}");
}
