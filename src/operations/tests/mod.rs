//! Metrics pages and inspection ports.

mod exposition;
mod format;
#[cfg(all(unix, feature = "testing"))]
mod inspecting;
#[cfg(all(unix, feature = "testing"))]
mod long_listings;
#[cfg(feature = "testing")]
mod page;
#[cfg(feature = "metrics")]
mod publishing;
mod requests;
