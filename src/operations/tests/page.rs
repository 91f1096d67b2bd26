//! The page over a simulated network.

use super::format::Page;
use crate::limits::ConnectionLimits;
use crate::metrics::MetricsPage;
use crate::testing::{End, Peer, Server, assert_split_invariant};
use crate::{Context, Protocol, Settings};
use std::time::Duration;

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// Returns head and body of the response, whose length is as the head says.
#[track_caller]
fn response(peer: &Peer) -> (String, String) {
    let text = String::from_utf8(peer.take_received()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    assert_eq!(peer.close_kind(), Some(End::Closed), "{head}");
    assert!(head.contains("\r\nConnection: close"), "{head}");
    let length = head.split("\r\nContent-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    if !body.is_empty() {
        assert_eq!(length.parse(), Ok(body.len()));
    }
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_page_has_its_own_connections_under_its_own_label() {
    let server = Server::new(|| Echo);
    let address = server.host().address(9100);
    server.reactor(|reactor| reactor.listen_tcp(9100, MetricsPage::new()).unwrap());
    let _open = server.connect();
    for round in 1..=3 {
        let scraper = server.simulation().peer("scraper", address);
        scraper.send(GET);
        let (head, body) = response(&scraper);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
        let page = Page::parse(&body);
        let accepted =
            |protocol| page.value("twistor_connections_accepted_total", &[("protocol", protocol)]);
        assert_eq!((accepted("Echo"), accepted("Lines<MetricsRequest>")), (1.0, f64::from(round)));
    }
}

#[test]
fn a_head_has_no_body_and_an_error_its_status() {
    let server = Server::new(MetricsPage::new());
    for (request, status) in [
        (GET.replace("GET", "HEAD"), "200 OK"),
        (GET.replace("/metrics", "/"), "404 Not Found"),
        (GET.replace("GET", "DELETE"), "405 Method Not Allowed"),
        (GET.replace("Host: a\r\n", ""), "400 Bad Request"),
        ("\u{16}\u{3}\u{1}\n".to_owned(), "400 Bad Request"),
        (format!("GET /{} HTTP/1.1", "x".repeat(9000)), "431 Request Header Fields Too Large"),
        (
            format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(2000)),
            "431 Request Header Fields Too Large",
        ),
        ("\r\n".repeat(5000), "431 Request Header Fields Too Large"),
    ] {
        let peer = server.connect();
        peer.send(&request);
        let (head, body) = response(&peer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert_eq!(head.contains("\r\nAllow: GET, HEAD"), status.starts_with("405"), "{head}");
        assert_eq!(body, "", "{request:?}");
    }
    assert_eq!(server.reactor(|reactor| reactor.connection_count()), 0);
}

#[test]
fn a_request_that_does_not_come_is_timed_out_and_one_that_trickles_too() {
    let server = Server::new(MetricsPage::new());
    let (silent, slow) = (server.connect(), server.connect());
    for byte in GET.bytes().take(9) {
        slow.send([byte]);
        server.advance(Duration::from_secs(1));
    }
    assert_eq!(silent.close_kind(), None);
    server.advance(Duration::from_secs(1));
    for peer in [silent, slow] {
        assert!(response(&peer).0.starts_with("HTTP/1.1 408 "));
    }
}

#[test]
fn the_answer_does_not_depend_on_how_the_request_arrives() {
    assert_split_invariant(MetricsPage::new(), GET.replace("/metrics", "/other").as_bytes());
}

#[test]
fn a_scrape_is_admitted_when_the_reactor_is_full_and_while_it_drains() {
    let settings = Settings::default().max_connections(1);
    let server = Server::with_settings(settings, || Echo);
    server.reactor(|reactor| reactor.listen_tcp(9100, MetricsPage::new()).unwrap());
    let scraper = || server.simulation().peer("scraper", server.host().address(9100));
    let open = server.connect();
    assert!(server.connect().close_kind().is_some(), "the reactor is full");
    // Sixteen that keep their places, and one too many.
    let holders: Vec<Peer> = (0..16).map(|_| scraper()).collect();
    assert_eq!(scraper().close_kind(), Some(End::Closed));
    assert!(holders.iter().all(Peer::is_connected));
    // They do not count for the others.
    open.close_write();
    assert!(server.connect().is_connected());
    holders.into_iter().for_each(|it| it.reset());

    let slow = server.connect();
    slow.stop_reading();
    slow.send("x".repeat(1_000_000));
    server.reactor(|reactor| {
        reactor.set_limits(server.port(), ConnectionLimits::new());
        reactor.stop_gracefully(Duration::from_secs(5));
    });
    server.simulation().settle();
    let during = scraper();
    during.send(GET);
    let page = response(&during).1;
    assert!(page.contains("twistor_connections{protocol=\"Echo\"} 1\n"), "{page}");
}

#[test]
fn a_drain_does_not_wait_for_a_scraper_that_continues_to_send() {
    let server = Server::new(|| Echo);
    let simulation = server.simulation();
    server.reactor(|reactor| reactor.listen_tcp(9100, MetricsPage::new()).unwrap());
    let client = server.connect();
    client.stop_reading();
    client.send("x".repeat(1_000_000));
    server.reactor(|reactor| reactor.stop_gracefully(Duration::from_secs(100)));
    let scraper = simulation.peer("scraper", server.host().address(9100));
    scraper.send(GET);
    assert!(response(&scraper).0.starts_with("HTTP/1.1 200 OK\r\n"));
    client.resume_reading();
    for _ in 0..10 {
        scraper.send(GET);
        simulation.run_for(Duration::from_millis(100));
    }
    assert!(server.host().has_stopped());
}

#[test]
fn scrapers_that_have_not_arrived_take_no_places_and_a_drain_leaves_them_alone() {
    let server = Server::with_settings(Settings::default().max_connections(1), || Echo);
    let behind_a_proxy = "haproxy:tcp:9100:trust=10.0.0.0/8";
    server.reactor(|reactor| reactor.listen(behind_a_proxy, MetricsPage::new()).unwrap());
    let scraper = || server.simulation().peer("scraper", server.host().address(9100));
    let (silent, late) = (scraper(), scraper());
    let client = server.connect();
    assert_eq!(client.close_kind(), None, "the others have not arrived");
    client.stop_reading();
    client.send("x".repeat(1_000_000));
    server.reactor(|reactor| reactor.stop_gracefully(Duration::from_secs(5)));
    late.send(format!("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n{GET}"));
    assert!(response(&late).0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!((silent.close_kind(), server.host().has_stopped()), (None, false));
    client.resume_reading();
    server.advance(Duration::from_secs(1));
    let report = server.host().report().unwrap();
    assert_eq!((report.drained, report.aborted), (1, 0), "{report}");
    assert!(silent.close_kind().is_some());
}
