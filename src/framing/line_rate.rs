//! Rate limit for the delivery of lines.

use crate::limits::TokenBucket;
use crate::protocol::Context;
use crate::reactor::TimerId;
use std::time::Duration;

/// Rate limiter for the lines of one connection.
#[derive(Debug)]
pub(super) struct LineRate {
    bucket: TokenBucket,
    /// Timer that ends the hold, while the next line is held back.
    held: Option<TimerId>,
}

impl LineRate {
    pub(super) fn new(count: u32, span: Duration) -> Self {
        Self { bucket: TokenBucket::new(count, span, count), held: None }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Takes a token for a delivered line. Returns true if none is left, so that the next line is
    /// held back.
    pub(super) fn delivered<F>(&mut self, cx: &mut Context<'_, F>) -> bool {
        let now = cx.reactor.now();
        // There was a token, or the line would have been held back.
        let _ = self.bucket.take(now);
        let next = self.bucket.next(now).filter(|_| cx.transport.connection().delivers());
        let Some(next) = next else { return false };
        cx.transport.connection().hold_input();
        self.held = Some(cx.set_timer(next.saturating_duration_since(now)));
        true
    }

    /// Ends the hold if `timer` is its timer; returns true if it was.
    pub(super) fn end_hold(&mut self, timer: TimerId) -> bool {
        let ends = self.held == Some(timer);
        if ends {
            self.held = None;
        }
        ends
    }
}
