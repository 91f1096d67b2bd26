//! What vectors do not show.
