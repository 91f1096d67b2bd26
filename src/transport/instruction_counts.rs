//! Instruction counts of the write buffer; see `src/instruction_counts/`.

use super::write_buffer::WriteBuffer;
use crate::instruction_counts::rounds;
use std::hint::black_box;

/// Appends all pieces to a write buffer, then sends them, at most `room` bytes in one call.
fn send(pieces: &[&[u8]], room: usize) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    // One buffer for all rounds: in a connection its memory goes to the pool and comes from there.
    let mut write_buffer = WriteBuffer::default();
    rounds(|counter| {
        let sent = counter.count(|| {
            pieces.iter().for_each(|piece| write_buffer.append(piece));
            let mut sent = 0;
            while !write_buffer.is_empty() {
                let count = black_box(write_buffer.run()).map_or(0, <[u8]>::len).min(room);
                write_buffer.consume(count);
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
    send(&[&[b'x'; 64]], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn append_100_times() {
    send(&[&[b'x'; 64][..]; 100], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn append_16k() {
    send(&[&[b'x'; 16 * 1024]], usize::MAX);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn short_writes() {
    send(&[&[b'x'; 64][..]; 100], 100);
}

/// Appends for a peer that is always behind, so that unsent bytes have to be moved to the front.
#[test]
#[ignore = "counted by benches/counts/check"]
fn backlog() {
    let mut write_buffer = WriteBuffer::default();
    write_buffer.append(&[b'x'; 1000]);
    rounds(|counter| {
        counter.count(|| {
            for _ in 0..100 {
                write_buffer.append(&[b'x'; 64]);
                write_buffer.consume(64);
            }
        });
        assert_eq!(write_buffer.len(), 1000);
        100
    });
}
