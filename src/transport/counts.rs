//! What the out-buffer costs; see `src/counts/`.

use super::outbox::Outbox;
use crate::counts::rounds;
use std::hint::black_box;

/// Appends all pieces to an outbox, and then sends them, at most `room` bytes in one call.
fn pass(pieces: &[&[u8]], room: usize) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    // It keeps its memory, which in a transport goes to the pool and comes from there.
    let mut outbox = Outbox::default();
    rounds(|counter| {
        let sent = counter.count(|| {
            pieces.iter().for_each(|piece| outbox.append(piece));
            let mut sent = 0;
            while !outbox.is_empty() {
                let count = black_box(outbox.run()).map_or(0, <[u8]>::len).min(room);
                outbox.consume(count);
                sent += count;
            }
            sent
        });
        assert_eq!(sent, length);
        1
    });
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn append_64_bytes() {
    pass(&[&[b'x'; 64]], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn append_100_times() {
    pass(&[&[b'x'; 64][..]; 100], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn append_16k() {
    pass(&[&[b'x'; 16 * 1024]], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn short_writes() {
    pass(&[&[b'x'; 64][..]; 100], 100);
}

/// A peer that is always behind, so that what is unsent has to be moved to the front.
#[test]
#[ignore = "counted by benches/counts/check"]
fn backlog() {
    let mut outbox = Outbox::default();
    outbox.append(&[b'x'; 1000]);
    rounds(|counter| {
        counter.count(|| {
            for _ in 0..100 {
                outbox.append(&[b'x'; 64]);
                outbox.consume(64);
            }
        });
        assert_eq!(outbox.len(), 1000);
        100
    });
}
