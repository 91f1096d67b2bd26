mod happy_eyeballs;
pub(crate) mod race_cases;
#[cfg(all(feature = "tls", feature = "testing"))]
mod tls;

use super::*;
use crate::proxy_protocol::{ProxyHeader, TrustedNetworks, Version};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

#[track_caller]
fn check(description: &str, expected: impl Into<ServerEndpoint>) {
    let expected: ServerEndpoint = expected.into();
    assert_eq!(description.parse(), Ok(expected.clone()), "{description}");
    // The displayed form parses to the same endpoint.
    assert_eq!(expected.to_string().parse(), Ok(expected.clone()), "{expected}");
}

#[track_caller]
fn check_error(description: &str, position: usize, message: &str) {
    let error = description.parse::<ServerEndpoint>().unwrap_err();
    assert_eq!(error.position(), position, "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(format!("{error:?}"), error.to_string(), "as `main` prints it");
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
    check("tcp:8007:reusePort=1", tcp(8007).reuse_port(true));
    check("tcp:8007:backlog=5:reusePort=0", tcp(8007).backlog(5));
    check("tcp6:8007:reusePort=1:interface=::1", tcp(8007).interface(V6).reuse_port(true));
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
    check_error("tpc:8007", 0, "unknown type of endpoint \"tpc\"; known are tcp, tcp6");
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
    check_error("tcp:8007:127.0.0.1:5:1:6", 23, "unexpected argument \"6\"");
    check_error("tcp:8007:reusePort=2", 19, "reusePort \"2\" is not 0 or 1");
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
            for whole in [
                text.clone(),
                format!("tcp:{text}"),
                format!("tcp6:8:interface={text}"),
                format!("unix:{text}"),
                format!("systemd:{text}"),
            ] {
                if let Err(error) = whole.parse::<ServerEndpoint>() {
                    assert!(whole.is_char_boundary(error.position()), "{error}");
                }
                if let Err(error) = whole.parse::<ClientEndpoint>() {
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
    assert_eq!(ServerEndpoint::from(tcp(80)).address().unwrap().to_string(), "0.0.0.0:80");
}

#[test]
fn descriptions_name_unix_sockets() {
    let unix = UnixServerEndpoint::new;
    check("unix:/run/web.sock", unix("/run/web.sock"));
    check("unix:web.sock:mode=660", unix("web.sock").mode(0o660));
    check("unix:/run/web.sock:0600:5", unix("/run/web.sock").mode(0o600).backlog(5));
    check("unix:address=/run/web.sock", unix("/run/web.sock"));
    check(r"unix:/a\:b\=c\\", unix(r"/a:b=c\"));
    check("unix:[/a:b]", unix("/a:b"));
    check("unix:@name", UnixServerEndpoint::abstract_name("name"));
    check("unix:./@name", unix("./@name"));
    check_error("unix", 4, "no address is given");
    check_error("unix:", 5, "address \"\" is not a path");
    check_error("unix:/a:mode=888", 13, "mode \"888\" is not an octal number from 0 to 777");
    check_error("unix:/a:mode=1777", 13, "mode \"1777\"");
    check_error("unix:/a:mode=+7", 13, "mode \"+7\"");
    check_error(
        "unix:/a:lockfile=1",
        8,
        "unexpected argument \"lockfile\"; known are address, mode",
    );
    assert_eq!(unix("/a").mode(0o4777), unix("/a").mode(0o777));
}

#[test]
fn descriptions_name_inherited_sockets() {
    check("fd:3", InheritedEndpoint::descriptor(3));
    check("systemd:name=web", InheritedEndpoint::systemd_name("web"));
    check(r"systemd:name=a\:b", InheritedEndpoint::systemd_name("a:b"));
    check("systemd:index=1", InheritedEndpoint::systemd_index(1));
    let unix: ServerEndpoint = "systemd:domain=UNIX:index=0".parse().unwrap();
    check("systemd:UNIX:0", unix.clone());
    assert_ne!(unix, InheritedEndpoint::systemd_index(0).into());
    for domain in ["INET", "INET6", "UNIX"] {
        let description = format!("systemd:name=web:domain={domain}");
        check(&description, description.parse::<ServerEndpoint>().unwrap());
    }
    check_error("fd", 2, "no descriptor is given");
    check_error("fd:x", 3, "descriptor \"x\" is not a number from 0 to 2147483647");
    check_error("fd:4294967295", 3, "descriptor \"4294967295\" is not a number");
    check_error("systemd:domain=INET", 19, "no name or index is given");
    check_error("systemd:domain=IPX:index=0", 15, "domain \"IPX\" is not INET, INET6 or UNIX");
    check_error("systemd:index=0:name=web", 21, "a socket has either a name or an index");
    assert_eq!(ServerEndpoint::from(InheritedEndpoint::descriptor(3)).address(), None);
}

#[track_caller]
fn check_client(description: &str, expected: impl Into<ClientEndpoint>) {
    let expected: ClientEndpoint = expected.into();
    assert_eq!(description.parse(), Ok(expected.clone()), "{description}");
    assert_eq!(expected.to_string().parse(), Ok(expected.clone()), "{expected}");
}

#[track_caller]
fn check_client_error(description: &str, position: usize, message: &str) {
    let error = description.parse::<ClientEndpoint>().unwrap_err();
    assert_eq!(error.position(), position, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn descriptions_name_servers_to_connect_to() {
    let (v4, v6) = (TcpClientEndpoint::new((V4, 80)), TcpClientEndpoint::new((V6, 80)));
    check_client("tcp:127.0.0.1:80", v4.clone());
    check_client("tcp:host=127.0.0.1:port=80", v4.clone());
    check_client("tcp:[::1]:80", v6.clone());
    check_client(r"tcp:\:\:1:80", v6.clone());
    check_client("tcp:host=::1:port=80", v6.clone());
    check_client("tcp:port=80:host=::1", v6.clone());
    let seconds = |seconds| Duration::from_millis(seconds);
    check_client("tcp:127.0.0.1:80:timeout=10", v4.clone().timeout(seconds(10_000)));
    check_client("tcp:127.0.0.1:80:0.25", v4.clone().timeout(seconds(250)));
    let longest = v4.clone().timeout(Duration::MAX);
    check_client("tcp:127.0.0.1:80:timeout=99999999999999999999999", longest);
    check_client("tcp:127.0.0.1:80:bindAddress=127.0.0.2", v4.bind(([127, 0, 0, 2], 0)));
    check_client("tcp:[::1]:80:bindAddress=::1", v6.bind((V6, 0)));
    check_client("unix:/run/web.sock", UnixClientEndpoint::new("/run/web.sock"));
    check_client(
        "unix:@web:timeout=1",
        UnixClientEndpoint::abstract_name("web").timeout(seconds(1000)),
    );
}

#[test]
fn descriptions_name_hosts() {
    let host = |name| HostnameEndpoint::new(name, 443).unwrap();
    let ten = Duration::from_secs(10);
    check_client("tcp:example.org:443", host("example.org"));
    check_client("tcp:host=example.org.:port=443", host("example.org."));
    check_client("tcp:localhost:443:timeout=10", host("localhost").timeout(ten));
    let bound = host("example.org").timeout(ten).bind((V6, 0));
    check_client("tcp:example.org:443:timeout=10:bindAddress=::1", bound);
    check_client("tcp:bindAddress=[::1]:example.org:443", host("example.org").bind((V6, 0)));
    let behind = ClientEndpoint::from(host("web")).proxy_header(ProxyHeader::local());
    check_client("haproxy:tcp:web:443", behind);
    assert_eq!(ClientEndpoint::from(host("web")).address().to_string(), "web:443");
    assert_eq!((host("web").host(), host("web").port()), ("web", 443));
}

#[test]
fn an_ip_address_in_place_of_a_name_is_the_endpoint_of_that_address() {
    let scoped: SocketAddr = "[fe80::1%2]:80".parse().unwrap();
    for (literal, address) in [
        ("127.0.0.1", (V4, 80).into()),
        ("::1", (V6, 80).into()),
        ("[::1]", (V6, 80).into()),
        ("fe80::1%2", scoped),
    ] {
        let endpoint = HostnameEndpoint::new(literal, 80).unwrap();
        let (timeout, local) = (Duration::from_secs(1), SocketAddr::from((V4, 7)));
        let expected = TcpClientEndpoint::new(address).timeout(timeout).bind(local);
        let endpoint = ClientEndpoint::from(endpoint.timeout(timeout).bind(local));
        assert_eq!(endpoint, expected.into());
        assert!(matches!(endpoint.destination(), Destination::Address(_)), "not resolved");
    }
    check_client("tcp:[fe80::1%2]:80", TcpClientEndpoint::new(scoped));
}

#[test]
fn the_attempt_delay_has_a_minimum() {
    let delay = |delay| HostnameEndpoint::new("a", 1).unwrap().attempt_delay(delay).delay();
    assert_eq!(delay(Duration::ZERO), Duration::from_millis(10));
    assert_eq!(delay(Duration::MAX), Duration::MAX);
}

#[test]
fn errors_in_client_descriptions_give_the_position() {
    check_client_error("", 0, "unknown type of endpoint \"\"; known are tcp, unix");
    check_client_error("fd:3", 0, "unknown type of endpoint \"fd\"");
    check_client_error("80", 0, "host \"80\" is not a host name or an IP address: its last part");
    check_client_error("tcp::80", 4, "host \"\" is not a host name or an IP address: it is empty");
    check_client_error("tcp:a b:80", 4, "it has a ' '");
    check_client_error("tcp:fe80::1:80", 9, "port \"\" is not a number");
    check_client_error("tcp:127.0.0.1", 13, "no port is given");
    check_client_error("tcp:port=80", 11, "no host is given");
    check_client_error(
        "tcp:127.0.0.1:80:timeout=-1",
        25,
        "timeout \"-1\" is not a number of seconds",
    );
    check_client_error("tcp:127.0.0.1:80:timeout=inf", 25, "timeout \"inf\"");
    check_client_error("tcp:127.0.0.1:80:timeout=", 25, "timeout \"\"");
    check_client_error(
        "tcp:127.0.0.1:80:bindAddress=::1",
        29,
        "bindAddress \"::1\" is not of the IP version of the host",
    );
}

#[test]
fn haproxy_wraps_any_endpoint_and_names_trusted_networks() {
    let behind = |inner: ServerEndpoint, networks: &str| {
        inner.proxy_protocol(TrustedNetworks::default().and(networks.parse().unwrap()))
    };
    let plain = ServerEndpoint::from(tcp(8080)).proxy_protocol(TrustedNetworks::default());
    check("haproxy:tcp:8080", plain.clone());
    check("haproxy:8080", plain);
    let unix = ServerEndpoint::from(UnixServerEndpoint::new("/run/web.sock"));
    check("haproxy:unix:/run/web.sock", unix.proxy_protocol(TrustedNetworks::default()));
    let one = behind(tcp(8080).into(), "10.0.0.0/8");
    check("haproxy:tcp:8080:trust=10.0.0.0/8", one.clone());
    check("haproxy:trust=10.0.0.0/8:tcp:8080", one);
    let more = behind(tcp(8080).interface(V4).into(), "10.0.0.0/8,2001:db8::/32,192.0.2.1");
    let trusts = "trust=10.0.0.0/8:interface=127.0.0.1:trust=[2001:db8::]/32:trust=192.0.2.1";
    check(&format!("haproxy:tcp:8080:{trusts}"), more.clone());
    check(r"haproxy:tcp:8080:127.0.0.1:trust=10.0.0.0/8,2001\:db8\:\:/32,192.0.2.1", more);
    check_error("haproxy", 7, "no type of endpoint is given");
    check_error("haproxy:tpc:80", 8, "unknown type of endpoint \"tpc\"");
    check_error("haproxy:haproxy:tcp:80", 0, "haproxy is given twice");
    check_error("haproxy:tcp:70000", 12, "port \"70000\"");
    check_error("haproxy:tcp:80:trust=10.0.0.1/8", 21, "10.0.0.1 has bits set behind the first 8");
    check_error("haproxy:tcp:80:trust=10.0.0.0/8,x", 32, "\"x\" is not an IP address");
    check_error("tcp:80:trust=10.0.0.0/8", 7, "unexpected argument \"trust\"");
    let local = |inner: ClientEndpoint| inner.proxy_header(ProxyHeader::local());
    let server = ClientEndpoint::from(TcpClientEndpoint::new((V4, 80)));
    check_client("haproxy:tcp:127.0.0.1:80", local(server.clone()));
    check_client("haproxy:tcp:127.0.0.1:80:version=2", local(server.clone()));
    let first = ProxyHeader::local().with_version(Version::V1);
    check_client("haproxy:tcp:127.0.0.1:80:version=1", server.proxy_header(first));
    check_client("haproxy:unix:@web", local(UnixClientEndpoint::abstract_name("web").into()));
    check_client_error("haproxy:tcp:127.0.0.1:80:version=3", 33, "version \"3\" is not 1 or 2");
    check_client_error("haproxy:haproxy:unix:@web", 0, "haproxy is given twice");
}
