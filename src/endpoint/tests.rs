use super::*;

#[track_caller]
fn check(description: &str, expected: TcpServerEndpoint) {
    assert_eq!(description.parse(), Ok(ServerEndpoint::Tcp(expected.clone())), "{description}");
    // The displayed form parses to the same endpoint.
    assert_eq!(
        expected.to_string().parse(),
        Ok(ServerEndpoint::Tcp(expected.clone())),
        "{expected}"
    );
}

#[track_caller]
fn check_error(description: &str, position: usize, message: &str) {
    let error = description.parse::<ServerEndpoint>().unwrap_err();
    assert_eq!(error.position(), position, "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(error.description(), description);
}

fn tcp(port: u16) -> TcpServerEndpoint {
    TcpServerEndpoint::new(port)
}

const V4: Ipv4Addr = Ipv4Addr::LOCALHOST;
const V6: Ipv6Addr = Ipv6Addr::LOCALHOST;

#[test]
fn descriptions_name_ports_interfaces_and_backlogs() {
    check("8007", tcp(8007));
    check("tcp:8007", tcp(8007));
    check("TCP:8007", tcp(8007));
    check("tcp:port=8007", tcp(8007));
    check("tcp:0", tcp(0));
    check("tcp:65535:127.0.0.1:5", tcp(65535).interface(V4).backlog(5));
    check("tcp:8007:interface=127.0.0.1", tcp(8007).interface(V4));
    check("tcp:interface=127.0.0.1:8007", tcp(8007).interface(V4));
    check("tcp:8007:backlog=7:interface=", tcp(8007).backlog(7));
}

#[test]
fn ipv6_addresses_may_be_escaped_bracketed_or_plain() {
    check(r"tcp:8007:interface=\:\:1", tcp(8007).interface(V6));
    check("tcp:8007:interface=[::1]", tcp(8007).interface(V6));
    check("tcp:8007:interface=::1", tcp(8007).interface(V6));
    check("tcp:8007:interface=::1:backlog=3", tcp(8007).interface(V6).backlog(3));
    check("tcp:8007:::1", tcp(8007).interface(V6));
    check("tcp:8007:[::1]:3", tcp(8007).interface(V6).backlog(3));
    check("tcp:interface=[::1]:8007", tcp(8007).interface(V6));
    check(r"tcp:interface=\:\:1:8007", tcp(8007).interface(V6));
    check("tcp:8007:interface=::", tcp(8007).interface(Ipv6Addr::UNSPECIFIED));
    let mapped = V4.to_ipv6_mapped();
    check("tcp:8007:interface=::ffff:127.0.0.1", tcp(8007).interface(mapped));
    check("tcp6:8007", tcp(8007).interface(Ipv6Addr::UNSPECIFIED));
    check("tcp6:8007:interface=::1", tcp(8007).interface(V6));
    check(r"tcp6:8007:9:\:\:1", tcp(8007).interface(V6).backlog(9));
}

#[test]
fn the_longest_ipv6_addresses_are_joined() {
    for (longest, backlog) in [("1:2:3:4:5:6:7:8", ""), ("1:2:3:4:5:6:7::", ":backlog=3")] {
        let expected = tcp(8007).interface(longest.parse::<Ipv6Addr>().unwrap());
        let expected = if backlog.is_empty() { expected } else { expected.backlog(3) };
        check(&format!("tcp:8007:interface={longest}{backlog}"), expected);
    }
    let v6: Ipv6Addr = "::2:3:4:5:6:7:8".parse().unwrap();
    check("tcp:8007:::2:3:4:5:6:7:8:3", tcp(8007).interface(v6).backlog(3));
}

/// Each of these is a megabyte; comparing every part with every other would take hours.
#[test]
fn a_long_description_is_rejected_as_fast_as_a_short_one() {
    const COUNT: usize = 1 << 20;
    let colons = ":".repeat(COUNT);
    check_error(&colons, 0, "unknown type of endpoint \"\"");
    check_error(&format!("tcp{colons}"), 4, "port \"\" is not a number");
    let parts = "1:".repeat(COUNT / 2);
    for text in [
        format!("tcp:8007:interface={colons}"),
        format!("tcp:8007:interface={parts}"),
        format!("tcp6:8007:1024:{parts}"),
        format!("tcp:8007:interface=::1:backlog=1:{parts}"),
        format!("tcp:8007:interface={}", "1".repeat(COUNT)),
        format!("tcp:8007:interface={}", "\\:".repeat(COUNT / 2)),
        format!("tcp:8007:{}", "a=b:".repeat(COUNT / 4)),
        format!("tcp:8007{}", "=".repeat(COUNT)),
    ] {
        let error = text.parse::<ServerEndpoint>().unwrap_err();
        assert!(error.position() <= text.len());
    }
}

#[test]
fn errors_give_the_position() {
    check_error("", 0, "unknown type of endpoint \"\"");
    check_error("tpc:8007", 0, "unknown type of endpoint \"tpc\"; known are tcp and tcp6");
    check_error("tcp", 3, "no port is given");
    check_error("tcp:", 4, "port \"\" is not a number from 0 to 65535");
    check_error("tcp:65536", 4, "port \"65536\"");
    check_error("70000", 0, "port \"70000\" is not a number from 0 to 65535");
    check_error("tcp:+80", 4, "port \"+80\"");
    check_error("tcp:-1", 4, "port \"-1\"");
    check_error("tcp:127.0.0.1:8007", 4, "port \"127.0.0.1\"");
    check_error("tcp:8007:interface=localhost", 19, "interface \"localhost\" is not an IP address");
    check_error("tcp:8007:interface=[::1", 19, "bracket that is not closed");
    check_error("tcp:8007:backlog=x", 17, "backlog \"x\" is not a number from 0 to 4294967295");
    check_error(
        "tcp:8007:color=red",
        9,
        "unexpected argument \"color\"; known are port, interface",
    );
    check_error("tcp:8007:127.0.0.1:5:6", 21, "unexpected argument \"6\"");
    check_error("tcp:8007:port=8008", 9, "port is given twice");
    check_error("tcp:interface=127.0.0.1", 23, "no port is given");
    check_error("tcp:8007\\", 8, "backslash with nothing to escape");
    check_error("tcp6:8007:interface=127.0.0.1", 20, "is not an IPv6 address");
    check_error("tcp:é:8007", 4, "port \"é\"");
    let error = "tcp:x".parse::<ServerEndpoint>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "port \"x\" is not a number from 0 to 65535 (at the mark: \"tcp:»x\")"
    );
}

#[test]
fn any_text_parses_or_fails_without_a_panic() {
    // Every string over the characters that have a meaning, up to four of them.
    let alphabet = ['t', 'c', 'p', '8', ':', '=', '\\', '[', ']', 'é'];
    let mut texts = vec![String::new()];
    for _ in 0..4 {
        let longer = texts.iter().flat_map(|text| alphabet.map(|more| format!("{text}{more}")));
        texts = longer.collect();
        for text in &texts {
            for whole in [text.clone(), format!("tcp:{text}"), format!("tcp6:8:interface={text}")] {
                if let Err(error) = whole.parse::<ServerEndpoint>() {
                    assert!(whole.is_char_boundary(error.position()), "{error}");
                }
            }
        }
    }
}

#[test]
fn numbers_and_pairs_convert_into_endpoints() {
    assert_eq!(TcpServerEndpoint::from(80), tcp(80));
    assert_eq!(TcpServerEndpoint::from((V6, 80)), tcp(80).interface(V6));
    let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
    assert_eq!(TcpServerEndpoint::from(address).address(), address);
    let scoped: SocketAddr = "[fe80::1%3]:80".parse().unwrap();
    assert_eq!(TcpServerEndpoint::from(scoped).address(), scoped);
    assert_eq!(ServerEndpoint::from(tcp(80)).address().to_string(), "0.0.0.0:80");
}
