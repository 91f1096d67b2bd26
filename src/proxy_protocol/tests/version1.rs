//! Version 1: the grammar of the line.

use super::{addresses, decode, header, refusal};
use crate::proxy_protocol::{Command, LINE_MAX, ProxyErrorKind, Version};

#[test]
fn the_lines_of_the_specification_are_decoded() {
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    for (line, length, expected) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n".to_owned(),
            47,
            Some(("192.168.0.1:56324".to_owned(), "192.168.0.11:443".to_owned())),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".to_owned(),
            56,
            Some(("255.255.255.255:65535".to_owned(), "255.255.255.255:65535".to_owned())),
        ),
        (
            format!("PROXY TCP6 {full} {full} 65535 65535\r\n"),
            104,
            Some((format!("[{full}]:65535"), format!("[{full}]:65535"))),
        ),
        ("PROXY UNKNOWN\r\n".to_owned(), 15, None),
        (format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n"), LINE_MAX, None),
    ] {
        let request = format!("{line}GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n");
        let (header, consumed) = decode(request.as_bytes()).unwrap();
        assert_eq!((consumed, line.len()), (length, length), "{line}");
        assert_eq!((header.version(), header.command()), (Version::V1, Command::Proxy));
        let addresses = addresses(&header).map(|(from, to)| (from.to_string(), to.to_string()));
        assert_eq!(addresses, expected, "{line}");
        assert_eq!(header.tlvs().count(), 0);
    }
}

#[test]
fn addresses_and_ports_have_the_forms_that_the_specification_allows() {
    for (line, source, destination) in [
        ("PROXY TCP4 0.0.0.0 1.2.3.4 0 1\r\n", "0.0.0.0:0", "1.2.3.4:1"),
        ("PROXY TCP6 :: ::1 0 65535\r\n", "[::]:0", "[::1]:65535"),
        (
            "PROXY TCP6 2001:DB8::aBcD 2001:0db8:0:0:0:0:0:0001 1 2\r\n",
            "[2001:db8::abcd]:1",
            "[2001:db8::1]:2",
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n",
            "[::ffff:192.0.2.1]:1",
            "[::ffff:192.0.2.2]:2",
        ),
    ] {
        let (from, to) = addresses(&header(line.as_bytes())).unwrap();
        assert_eq!((from.to_string().as_str(), to.to_string().as_str()), (source, destination));
    }
}

#[test]
fn what_follows_unknown_is_ignored() {
    for line in [
        &b"PROXY UNKNOWN \r\n"[..],
        b"PROXY UNKNOWN  anything TCP4 \0\xff\t99999\r\n",
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n",
    ] {
        assert_eq!(header(line).source(), None, "{}", line.escape_ascii());
    }
}

#[test]
fn bytes_that_begin_no_header_are_refused_at_the_first_that_differs() {
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\r\n"[..], 0),
        (b"\x16\x03\x01", 0),
        (b"\n", 0),
        (b"proxy TCP4", 0),
        (b" PROXY", 0),
        (b"POST /", 1),
        (b"PRI * HTTP/2.0", 2),
        (b"PROXY\t", 5),
        (b"PROXY\r\n", 5),
        (b"\r\nPROXY", 2),
        (b"\r\n\r\n\r\n", 4),
        (b"\r\n\r\n\0\r\nQUIT\r", 11),
    ] {
        let byte = bytes[at];
        assert_eq!(refusal(bytes), (at, ProxyErrorKind::NoHeader { byte }));
    }
}

#[test]
fn a_line_that_differs_from_the_grammar_is_refused_where_it_differs() {
    use ProxyErrorKind::{Address, Line, LineTooLong, Port, Protocol};
    let line = |byte| Line { byte };
    for (bytes, at, kind) in [
        ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 6, Protocol),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", 6, Protocol),
        ("PROXY TCP5", 9, Protocol),
        ("PROXY UDP4", 7, Protocol),
        ("PROXY TCP4\r\n", 10, Protocol),
        ("PROXY UNKNOWNS\r\n", 13, Protocol),
        ("PROXY UNKNOWN\n", 13, Protocol),
        ("PROXY UNKNOWN 1\n", 15, line(b'\n')),
        ("PROXY UNKNOWN 1\r1\r\n", 16, line(b'1')),
        ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", 11, line(b' ')),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", 19, line(b' ')),
        ("PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n", 18, line(b'\t')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", 30, line(b' ')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", 30, line(b'\n')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", 31, line(b'\r')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", 28, line(b'\r')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", 29, line(b'\r')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", 30, line(b' ')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", 27, line(b'+')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", 27, line(b'-')),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n", 28, line(b'x')),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", 11, line(b':')),
        ("PROXY TCP6 fe80::1%2 ::1 1 2\r\n", 18, line(b'%')),
        ("PROXY TCP6 [::1] ::1 1 2\r\n", 11, line(b'[')),
        ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", 11, Address),
        ("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", 11, Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n", 19, Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n", 19, Address),
        ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", 11, Address),
        ("PROXY TCP4 1.2.3.4. 1.2.3.4 1 2\r\n", 11, Address),
        ("PROXY TCP6 1::2::3 ::1 1 2\r\n", 11, Address),
        ("PROXY TCP6 ::1 1:2:3:4:5:6:7 1 2\r\n", 15, Address),
        ("PROXY TCP6 ::1 1:2:3:4:5:6:7:8:9 1 2\r\n", 15, Address),
        ("PROXY TCP6 ::1 00001:: 1 2\r\n", 15, Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", 27, Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n", 29, Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 00 2\r\n", 27, Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 99999999999999999999999\r\n", 29, Port),
        (&format!("PROXY TCP4 {}", "1".repeat(200)), LINE_MAX, LineTooLong),
        (&format!("PROXY UNKNOWN {}\r\n", "f".repeat(92)), LINE_MAX, LineTooLong),
    ] {
        assert_eq!(refusal(bytes.as_bytes()), (at, kind), "{bytes}");
    }
}

#[test]
fn the_longest_line_has_the_length_of_the_specification() {
    let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_MAX - 16));
    assert_eq!(line.len(), LINE_MAX);
    assert_eq!(header(line.as_bytes()).source(), None);
}
