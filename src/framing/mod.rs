//! Framing: from bytes to messages, above `data_received`.

mod delimiter;
mod line_context;
mod line_rate;
mod line_receiver;
mod line_transport;
mod lines;
mod splitter;

#[cfg(test)]
mod tests;

pub use delimiter::Delimiter;
pub use line_context::LineContext;
pub use line_receiver::LineReceiver;
pub use line_transport::LineTransport;
pub use lines::Lines;
