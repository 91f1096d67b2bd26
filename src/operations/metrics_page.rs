//! A page with the metrics of its reactor, for Prometheus.

use super::request_head::{Method, RequestError, RequestHead};
use crate::build_protocol;
use crate::framing::{Delimiter, LineContext, LineReceiver, Lines};
use crate::limits::{ConnectionLimits, TimeoutKind, Timeouts};
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::io;
use std::time::Duration;

/// Most bytes of a request's head: nginx allows a line as much (`large_client_header_buffers`), and
/// a scrape has some hundreds.
const HEAD_MAX: usize = 8 * 1024;

/// Longest time from connecting to the end of a request's head, and for the answer to leave. What
/// scrapes is a program, on this network.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most connections at a time: a few scrapers, each with one, and people who look.
const CONNECTIONS_MAX: usize = 16;

/// Serves the metrics of its reactor to Prometheus, as the page `/metrics` of a port of its own.
///
/// ```no_run
/// use twistor::Reactor;
/// use twistor::metrics::MetricsPage;
///
/// let mut reactor = Reactor::new()?;
/// reactor.listen("tcp:9100:interface=127.0.0.1", MetricsPage::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `GET /metrics` returns the text of
/// [`Metrics::prometheus_text`](crate::metrics::Metrics::prometheus_text). The page is made at
/// once, since its length depends on the number of the program's types of protocols, and not on
/// that of its connections or factories. Each connection carries one request, and is then closed: a
/// scrape comes every few seconds, and nothing has to be kept in between.
///
/// The port is for operators. It works while the others are full or drain: it does not count
/// against [`Settings::max_connections`](crate::Settings::max_connections), is not closed by a
/// drain, and a drain does not wait for it. A successor that listens there as well takes it over
/// with the other ports (`Reactor::hand_over`).
///
/// It has limits of its own: 16 connections, 8 KiB for a request, 10 seconds for it to arrive, and
/// 20 seconds for a connection in all, so that a scraper that does not read its answer keeps no
/// place. [`Reactor::set_limits`] and [`Reactor::set_timeouts`] set others, once it listens: all of
/// them, so set a [`max_lifetime`](crate::limits::Timeouts::max_lifetime) together with the rest.
///
/// Its own connections and callbacks are in the figures with their own label `protocol`. All
/// that can connect can read the page, so listen on an interface that only the scraper reaches.
#[derive(Clone, Debug, Default)]
pub struct MetricsPage(());

impl MetricsPage {
    /// Creates the factory of the page.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Factory for MetricsPage {
    build_protocol!(Lines<MetricsRequest>, |_page| Lines::new(MetricsRequest {
        head: RequestHead::AwaitRequestLine,
        len: 0,
    }));

    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        if let Some(key) = reactor.key_of(self) {
            let limits = ConnectionLimits::new().max_connections(CONNECTIONS_MAX);
            let timeouts = Timeouts::new().handshake(TIMEOUT).max_lifetime(2 * TIMEOUT);
            reactor.serve_out_of_band(key, limits, timeouts);
        }
        Ok(())
    }
}

/// A connection to the page, which carries one request.
#[derive(Debug)]
pub struct MetricsRequest {
    head: RequestHead,
    /// Bytes of the head so far.
    len: usize,
}

impl<F> LineReceiver<F> for MetricsRequest {
    // Servers may accept a bare LF (RFC 9112, 2.2), which people type.
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = HEAD_MAX;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        self.len += line.len() + 2;
        let answer = match self.len > HEAD_MAX {
            true => Some(Err(RequestError::HeadTooLarge)),
            false => self.head.line(line),
        };
        match answer {
            None => {}
            Some(Ok(method)) => {
                let page = cx.reactor.metrics().prometheus_text();
                let headers = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
                respond(cx.transport, "200 OK", headers, &page, method);
            }
            Some(Err(error)) => reject(cx.transport, error),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, F>, _line: &[u8]) {
        reject(cx.transport, RequestError::HeadTooLarge);
    }

    fn timed_out(&mut self, cx: &mut LineContext<'_, F>, kind: TimeoutKind) {
        match kind {
            TimeoutKind::Handshake => reject(cx.transport, RequestError::RequestTimeout),
            _ => cx.transport.time_out(kind),
        }
    }

    /// A drain does not concern this port.
    fn drain_requested(&mut self, _cx: &mut LineContext<'_, F>) {}
}

fn reject(transport: &Transport, error: RequestError) {
    let headers = match error {
        RequestError::MethodNotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    // Without a body, which the answer to a HEAD must not have.
    respond(transport, error.status(), headers, "", Method::Get);
}

/// Answers the request, and closes the connection.
fn respond(transport: &Transport, status: &str, headers: &str, body: &str, method: Method) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    transport.write(head);
    if method == Method::Get {
        transport.write(body);
    }
    transport.handshake_done();
    transport.lose_connection();
}
