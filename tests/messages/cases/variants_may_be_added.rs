//! Matches that a later version could break.

use twistor::Delimiter;
use twistor::error::CallError;
use twistor::limits::OverflowPolicy;
use twistor::system_event::SystemEvent;
use twistor::testing::Received;

fn matches(
    delimiter: Delimiter,
    error: CallError<()>,
    policy: OverflowPolicy,
    event: SystemEvent,
    received: Received,
) {
    match delimiter {
        Delimiter::Exact(_) | Delimiter::Newline => {}
    }
    match error {
        CallError::QueueFull(()) | CallError::ReactorGone(()) => {}
    }
    match policy {
        OverflowPolicy::Close | OverflowPolicy::Reject | OverflowPolicy::DropNew => {}
    }
    match event {
        SystemEvent::Startup | SystemEvent::Shutdown => {}
    }
    match received {
        Received::Data(_) | Received::End(_) | Received::Nothing => {}
    }
}

fn main() {}
