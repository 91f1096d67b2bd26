//! Conditions at their extremes.

use super::*;

/// Returns whether an echo of `bytes` comes back within an hour of the network's time.
fn echoes(conditions: Conditions, bytes: &[u8]) -> bool {
    let (simulation, _, address) = serve(conditions, Echo::default());
    let peer = simulation.peer("ann", address);
    peer.send(bytes);
    simulation.run_until(s(3600), || peer.received() == bytes)
}

#[test]
fn extreme_conditions_corrupt_nothing() {
    let ideal = Conditions::ideal;
    let bytes: Vec<u8> = (0..2000_u32).map(|at| at as u8).collect();
    for conditions in [
        ideal().latency(Duration::ZERO).jitter(Duration::ZERO).wakeup_delay(Duration::ZERO),
        ideal().bandwidth(1),
        ideal().bandwidth(u64::MAX),
        ideal().loss(1000),
        ideal().loss(u16::MAX),
        ideal().short_reads(1000),
        ideal().short_reads(u16::MAX),
        ideal().short_writes(999),
        ideal().short_writes(1000),
        ideal().short_writes(u16::MAX),
        ideal().spurious(1000).reorder(true),
        ideal().spurious(u16::MAX),
        ideal().send_buffer(0),
        ideal().send_buffer(1),
        ideal().send_buffer(usize::MAX),
        ideal().receive_buffer(0),
        ideal().receive_buffer(1),
        ideal().receive_buffer(usize::MAX),
        ideal().send_buffer(usize::MAX).receive_buffer(usize::MAX).short_writes(1000).loss(1000),
    ] {
        // At one byte a second, only this much arrives in the time.
        let bytes = if conditions.bandwidth == Some(1) { &bytes[..1000] } else { &bytes[..] };
        assert!(echoes(conditions.clone(), bytes), "{conditions:?}");
    }
    // Zero counts as one.
    assert_eq!(ideal().bandwidth(0), ideal().bandwidth(1));
}

#[test]
fn bytes_with_an_infinite_delay_never_arrive() {
    let ideal = Conditions::ideal;
    for conditions in [
        ideal().latency(Duration::MAX),
        ideal().latency(Duration::MAX).jitter(Duration::MAX).loss(1000).bandwidth(1),
        ideal().wakeup_delay(Duration::MAX),
        ideal().jitter(Duration::MAX),
    ] {
        assert!(!echoes(conditions.clone(), b"hello"), "{conditions:?}");
    }
    // Not even at the end of the network's time, which the simulation survives.
    let slow = ideal().latency(Duration::MAX).bandwidth(1);
    let (simulation, _, address) = serve(slow, Echo::default());
    let peer = simulation.peer("ann", address);
    peer.send("hello");
    simulation.run_for(Duration::MAX);
}
