//! Finger (RFC 1288), with three ports on one table of users: to ask, to set a status, and pages.
//!
//! `cargo run --example finger [FINGER [STATUS [PAGES]]]`, then
//! `echo 'ann Out for lunch' | nc -N 127.0.0.1 8008`, `echo ann | nc 127.0.0.1 8007` and
//! `curl http://127.0.0.1:8009/ann`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{
    Delimiter, Factory, FactoryKey, LineContext, LineReceiver, Lines, Reactor, ServerEndpoint,
    build_protocol,
};

/// The most users that the table holds, so that clients cannot fill the memory.
const USERS_MAX: usize = 10_000;

/// The users and what they are doing. It is the factory behind the port that sets a status; the
/// other services reach it by its key.
#[derive(Clone, Default)]
struct Table {
    users: BTreeMap<String, String>,
}

impl Factory for Table {
    build_protocol!(Lines<SetStatus>, |_table| Lines::new(SetStatus));
}

/// `NAME STATUS` sets a status, `NAME` alone removes it.
struct SetStatus;

impl LineReceiver<Table> for SetStatus {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, Table>, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (name, status) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let users = &mut cx.factory.users;
        let answer = match (name, status) {
            ("", _) => "a name is missing",
            (_, "") => match users.remove(name) {
                Some(_) => "removed",
                None => "there is no such user",
            },
            _ if users.len() >= USERS_MAX && !users.contains_key(name) => "the table is full",
            _ => {
                users.insert(name.to_owned(), status.to_owned());
                "set"
            }
        };
        cx.send_line(answer);
    }
}

/// What a user is doing, or a text that says why that is not known.
fn look_up(reactor: &mut Reactor, table: FactoryKey<Table>, name: &str) -> Result<String, String> {
    let status = reactor.with_factory(table, |table, _| table.users.get(name).cloned());
    status.map_err(|error| error.to_string())?.ok_or_else(|| "there is no such user".to_owned())
}

/// Answers one name, and closes.
struct Finger {
    table: FactoryKey<Table>,
}

impl<F> LineReceiver<F> for Finger {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        let name = String::from_utf8_lossy(line);
        let status = look_up(cx.reactor, self.table, name.trim());
        cx.send_line(status.unwrap_or_else(|why| why));
        cx.transport.lose_connection();
    }
}

/// Serves one page to a browser: `GET /NAME`.
struct Page {
    table: FactoryKey<Table>,
    /// From the first line of the request.
    name: Option<String>,
}

impl<F> LineReceiver<F> for Page {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        match &self.name {
            None => {
                let path = line.split(' ').nth(1).unwrap_or("/");
                self.name = Some(path.trim_start_matches('/').to_owned());
            }
            // The empty line ends the headers, none of which matters here.
            Some(name) if line.is_empty() => {
                let (status, body) = match look_up(cx.reactor, self.table, name) {
                    Ok(doing) => ("200 OK", doing),
                    Err(why) => ("404 Not Found", why),
                };
                cx.send_line(format!("HTTP/1.0 {status}\r\nContent-Type: text/plain\r\n"));
                cx.send_line(body);
                cx.transport.lose_connection();
            }
            Some(_) => {}
        }
    }
}

/// Opens the three ports.
fn serve(reactor: &mut Reactor, at: [&str; 3]) -> Result<[String; 3], Box<dyn Error>> {
    let mut parse = |at: &str| -> Result<ServerEndpoint, Box<dyn Error>> {
        let endpoint = at.parse()?;
        certificates::renew_those_of(&endpoint, reactor);
        Ok(endpoint)
    };
    let [finger_at, status_at, pages_at] = [parse(at[0])?, parse(at[1])?, parse(at[2])?];
    let status = status_at.listen(reactor, Table::default())?;
    let table = status.key();
    let finger = finger_at.listen(reactor, move || Lines::new(Finger { table }))?;
    let pages = pages_at.listen(reactor, move || Lines::new(Page { table, name: None }))?;
    Ok([finger.local_address(), status.local_address(), pages.local_address()]
        .map(|address| address.to_string()))
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let given: Vec<String> = env::args().skip(1).collect();
    let at = |index: usize, port: u16| {
        let default = format!("tcp:{port}:interface=127.0.0.1");
        given.get(index).cloned().unwrap_or(default)
    };
    let at = [at(0, 8007), at(1, 8008), at(2, 8009)];
    let mut reactor = Reactor::new()?;
    let [finger, status, pages] = serve(&mut reactor, at.each_ref().map(String::as_str))?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {finger}\nstatus: {status}\npages: {pages}");
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing::{Simulation, assert_split_invariant};

    const REMOVED: &str = "removed\r\na name is missing\r\nthere is no such user\r\n";

    #[test]
    fn three_ports_share_one_table() {
        let simulation = Simulation::new(1);
        let server = simulation.host("server", |reactor| {
            serve(reactor, ["8007", "8008", "8009"])?;
            Ok(())
        });
        let answer = |port: u16, request: &str| {
            let peer = simulation.peer("ann", server.address(port));
            peer.send(request);
            peer.close_write();
            String::from_utf8(peer.take_received()).unwrap()
        };
        assert_eq!(answer(8007, "ann\n"), "there is no such user\r\n");
        assert_eq!(answer(8008, "ann Out for lunch\r\n"), "set\r\n");
        assert_eq!(answer(8007, "ann\r\n"), "Out for lunch\r\n");
        let page = answer(8009, "GET /ann HTTP/1.0\r\nHost: server\r\n\r\n");
        assert!(page.starts_with("HTTP/1.0 200 OK\r\n"), "{page}");
        assert!(page.ends_with("\r\n\r\nOut for lunch\r\n"), "{page}");
        assert_eq!(answer(8008, "ann\n\nann\nbob"), REMOVED);
        assert!(answer(8009, "GET /ann HTTP/1.0\n\n").starts_with("HTTP/1.0 404 Not Found\r\n"));
    }

    #[test]
    fn statuses_do_not_depend_on_how_the_bytes_arrive() {
        assert_split_invariant(Table::default(), "ann here\r\nann\nann\n\nbob at sea");
    }
}
