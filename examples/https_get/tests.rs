//! Answers of servers in memory, and targets. `tests/it/tls/` has answers of real servers.

use super::answer::BODY_MAX;
use super::target::Target;
use super::{IDLE, Request, connector};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{Peer, accept, check_client};

#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a request, its output, and whether the answer is complete.
fn request() -> (Request, Output, Rc<Cell<bool>>) {
    let (output, succeeded) = (Output::default(), Rc::new(Cell::new(false)));
    let request = Request {
        host: "localhost:8443".to_owned(),
        path: "/path".to_owned(),
        output: Box::new(output.clone()),
        succeeded: Rc::clone(&succeeded),
    };
    (request, output, succeeded)
}

/// Returns a server that a request has come to, the output, and whether the answer is complete.
fn requested() -> (Peer, Output, Rc<Cell<bool>>) {
    let (request, output, succeeded) = request();
    (accept(request), output, succeeded)
}

#[test]
fn a_page_is_got_as_its_transcript_says() {
    let (request, output, succeeded) = request();
    check_client(request, include_str!("page.transcript"));
    assert!(succeeded.get());
    assert_eq!(*output.0.borrow(), b"hello\r\n");
    let (request, _, succeeded) = self::request();
    check_client(request, "is refused\n 1 min passes");
    assert!(!succeeded.get());
}

#[test]
fn bodies_end_as_their_headers_say() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, "hello"),
        ("HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhell", false, "hell"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", true, "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", false, ""),
        ("HTTP/1.0 200 OK\n\nhello", true, "hello"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nno", true, "no"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", true, ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n\
             5\r\nhello\r\n00a;x=y\r\n, chunked\n\r\n0\r\nX: y\r\n\r\n",
            true,
            "hello, chunked\n",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n", false, "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false, ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz", false, ""),
        ("HTTP/1.1 200 OK\r\nContent-Le", false, ""),
        ("SSH-2.0-server\r\n", false, ""),
        ("", false, ""),
    ];
    for (answer, is_complete, body) in cases {
        for piece in [1, answer.len().max(1)] {
            let (server, output, succeeded) = requested();
            assert!(
                server.take_received().starts_with(b"GET /path HTTP/1.1\r\nHost: localhost:8443")
            );
            answer.as_bytes().chunks(piece).for_each(|piece| server.send(piece));
            server.close_write();
            assert_eq!(succeeded.get(), is_complete, "{answer}");
            assert_eq!(String::from_utf8_lossy(&output.0.borrow()), body, "{answer}");
        }
    }
}

#[test]
fn a_body_without_an_end_of_its_own_must_not_be_cut_short() {
    let (server, _, succeeded) = requested();
    server.send("HTTP/1.1 200 OK\r\n\r\nhel");
    server.reset();
    assert!(!succeeded.get());
}

#[test]
fn servers_that_send_too_much_or_nothing_are_left() {
    let header = "X: y\r\n".repeat(300);
    for answer in [
        format!("HTTP/1.1 200 OK\r\n{header}"),
        format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(10_000)),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_MAX + 1),
    ] {
        let (server, _, succeeded) = requested();
        server.send(answer);
        assert!(server.lost_reason().is_some() && !succeeded.get());
    }
    let (server, _, succeeded) = requested();
    server.advance(IDLE + Duration::from_secs(1));
    assert!(server.lost_reason().is_some() && !succeeded.get());
}

#[test]
fn urls_say_what_is_asked_for() {
    let connector = twistor::testing::tls::connector();
    let target = |url: &str| Target::from_url(url, &connector);
    for (url, endpoint, host, path) in [
        ("https://example.org", "tls:tcp:example.org:443", "example.org", "/"),
        ("https://[::1]:8443/a/b?c=d#e", "tls:tcp:[::1]:8443", "[::1]:8443", "/a/b?c=d"),
        ("https://127.0.0.1?c", "tls:tcp:127.0.0.1:443", "127.0.0.1", "/?c"),
    ] {
        let target = target(url).unwrap();
        let given = target.endpoint.to_string();
        assert!(given.starts_with(endpoint), "{given} instead of {endpoint}");
        assert_eq!((&*target.host, &*target.path), (host, path));
    }
    for url in [
        "http://example.org/",
        "https://ann:secret@example.org/",
        "https://example.org:https/",
        "https://",
        "https://example.org/a b",
        "https://example.org/a\r\nX: y",
        "https://exa mple.org/",
    ] {
        assert!(target(url).is_err(), "{url}");
    }
    let endpoint = "tcp:127.0.0.1:8080".parse().unwrap();
    assert_eq!(Target::at(endpoint, "/a").unwrap().host, "127.0.0.1:8080");
}

#[test]
fn roots_that_cannot_be_read_are_an_error() {
    let error = connector(Some("/no/such/file".to_owned())).unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}
