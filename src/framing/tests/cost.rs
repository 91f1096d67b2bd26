//! What splitting costs: counted, not timed.
