//! Operations: what the people who run a server see of it. Metrics for a monitoring system, and a
//! port for inspection.

mod exposition;
mod figure;
#[cfg(unix)]
mod inspection_session;
#[cfg(unix)]
mod inspector;
#[cfg(unix)]
mod inspector_command;
#[cfg(unix)]
mod listing;
mod metrics_page;
mod request_head;

#[cfg(test)]
mod tests;

#[cfg(unix)]
pub use inspector::Inspector;
pub use metrics_page::MetricsPage;
