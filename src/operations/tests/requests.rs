//! Heads of requests, and commands.

use crate::operations::request_head::{Method, RequestError, RequestHead};

/// Returns the answer to a head, and the number of lines that it took.
fn answer(head: &str) -> (Option<Result<Method, RequestError>>, usize) {
    let mut request = RequestHead::AwaitRequestLine;
    for (number, line) in head.split("\r\n").enumerate() {
        if let Some(answer) = request.line(line.as_bytes()) {
            return (Some(answer), number + 1);
        }
    }
    (None, 0)
}

#[test]
fn a_request_gets_the_answer_that_http_demands() {
    use RequestError::{BadRequest, MethodNotAllowed, NotFound, VersionNotSupported};
    let host = "Host: a\r\n\r\n";
    for (line, headers, expected) in [
        ("GET /metrics HTTP/1.1", host, Ok(Method::Get)),
        ("HEAD /metrics HTTP/1.1", host, Ok(Method::Head)),
        ("\r\nGET /metrics HTTP/1.1", host, Ok(Method::Get)),
        ("GET /metrics?name[]=up HTTP/1.1", host, Ok(Method::Get)),
        ("GET http://a:9100/metrics HTTP/1.1", host, Ok(Method::Get)),
        ("GET HTTP://a/metrics HTTP/1.1", host, Ok(Method::Get)),
        ("GET /metrics HTTP/1.0", "\r\n", Ok(Method::Get)),
        ("GET /metrics HTTP/1.0", "X-a: b\r\n\r\n", Ok(Method::Get)),
        ("GET /metrics HTTP/1.1", "hOST:\r\nAccept: */*\r\n\r\n", Ok(Method::Get)),
        ("GET / HTTP/1.1", host, Err(NotFound)),
        ("GET /metrics/ HTTP/1.1", host, Err(NotFound)),
        ("GET http://a HTTP/1.1", host, Err(NotFound)),
        ("OPTIONS * HTTP/1.1", host, Err(NotFound)),
        ("POST /metrics HTTP/1.1", host, Err(MethodNotAllowed)),
        ("get /metrics HTTP/1.1", host, Err(MethodNotAllowed)),
        ("GET /metrics HTTP/2.0", "", Err(VersionNotSupported)),
        ("GET /metrics HTTP/1.1", "\r\n", Err(BadRequest)),
        ("GET /metrics HTTP/1.1", "Host: a\r\nHost: b\r\n\r\n", Err(BadRequest)),
        ("GET /metrics HTTP/1.1", "Host : a\r\n\r\n", Err(BadRequest)),
        ("GET /metrics HTTP/1.1", "Host: a\r\n folded\r\n\r\n", Err(BadRequest)),
        ("GET /metrics HTTP/1.1", "no colon\r\n\r\n", Err(BadRequest)),
        ("GET /metrics", "", Err(BadRequest)),
        ("GET  /metrics HTTP/1.1", "", Err(BadRequest)),
        ("GET metrics HTTP/1.1", "", Err(BadRequest)),
        ("GET /met\u{7}rics HTTP/1.1", "", Err(BadRequest)),
        ("GET /metrics HTTP/11", "", Err(BadRequest)),
        ("GET /metrics http/1.1", "", Err(BadRequest)),
        ("G:T /metrics HTTP/1.1", "", Err(BadRequest)),
        ("CONNECT a:1 HTTP/1.1", "", Err(BadRequest)),
        ("\u{16}\u{3}\u{1}", "", Err(BadRequest)),
    ] {
        let head = format!("{line}\r\n{headers}");
        assert_eq!(answer(&head).0, Some(expected), "{head:?}");
    }
    assert_eq!(answer("GET /metrics HTTP/1.1\r\nHost: a").0, None, "it is not complete");
    let mut bytes = RequestHead::AwaitRequestLine;
    assert_eq!(bytes.line(b"GET /\xff HTTP/1.1"), Some(Err(BadRequest)));
}

#[cfg(unix)]
#[test]
fn commands_are_parsed_or_the_error_says_what_is_wrong() {
    use crate::operations::inspector_command::Command;
    use log::LevelFilter;
    use std::time::Duration;
    for (line, expected) in [
        ("help", Command::Help),
        (" quit\r", Command::Quit),
        ("connections", Command::Connections { name: None }),
        (
            "connections  Lines<Chat, &str> ",
            Command::Connections { name: Some("Lines<Chat, &str>") },
        ),
        ("close 3.7", Command::Close { id: "3.7" }),
        ("abort 3.7", Command::Abort { id: "3.7" }),
        ("drain", Command::Drain { deadline: None }),
        ("drain 30", Command::Drain { deadline: Some(Duration::from_secs(30)) }),
        ("log Debug", Command::Log { level: LevelFilter::Debug }),
    ] {
        assert_eq!(Command::parse(line).as_ref(), Ok(&expected), "{line}");
    }
    for (line, expected) in [
        ("", "unknown command \"\"; help lists them"),
        ("a\u{1b}[2J", "unknown command \"a\\u{1b}[2J\"; help lists them"),
        ("close", "close needs the id of a connection"),
        ("drain soon", "\"soon\" is no number of seconds"),
        ("drain +1", "\"+1\" is no number of seconds"),
        ("drain 99999999999999999999", "\"99999999999999999999\" is no number of seconds"),
        ("log", "log needs a level: off, error, warn, info, debug or trace"),
        ("log loud", "\"loud\" is no log level"),
        ("ports 1", "ports takes no argument"),
    ] {
        assert_eq!(Command::parse(line), Err(expected.to_owned()), "{line}");
    }
}
