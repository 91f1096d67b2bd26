//! The protocols that need no factory of their own.

use twistor::{Context, Delimiter, LineContext, LineReceiver, Protocol};
use twistor_benches::{ACKNOWLEDGEMENT, BLOCK, QUOTE, SINK_LEN, answer};

pub struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

pub struct Quote;

impl<F> Protocol<F> for Quote {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(QUOTE);
        cx.transport.lose_connection();
    }
}

/// Sends a block for each byte.
pub struct Source;

impl<F> Protocol<F> for Source {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        for _ in data {
            cx.transport.write(&BLOCK[..]);
        }
    }
}

pub struct Answer;

impl<F> LineReceiver<F> for Answer {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line(answer(line));
    }
}

#[derive(Default)]
pub struct Sink {
    /// Bytes since the last acknowledgement.
    received: u64,
}

impl<F> Protocol<F> for Sink {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        self.received += data.len() as u64;
        while self.received >= SINK_LEN {
            self.received -= SINK_LEN;
            cx.transport.write([ACKNOWLEDGEMENT]);
        }
    }
}
