//! The same servers on twistor, as in its examples.
//!
//! `twistor [--busy-poll MICROSECONDS] echo|lines|chat|quote|sink|broadcast|pipe`, over TLS `twistor
//! tls-echo|tls-sink|tls-quote|tls-source`, or `tls-rsa-..` with another key, and `twistor timers COUNT`.

mod broadcast;
mod chat;
mod pipe;
mod simple;
mod timers;

use broadcast::Broadcast;
use chat::Chat;
use pipe::Pipes;
use simple::{Answer, Echo, Quote, Sink, Source};
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;
use twistor::tls::{Certificates, Identity, TlsAcceptor};
use twistor::{Lines, Reactor, Settings};
use twistor_benches::tls::over_tls;
use twistor_benches::{announce, refuse};

const BUSY_POLL: &str = "--busy-poll";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let busy_poll = busy_poll(&mut arguments)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut reactor = Reactor::with_settings(Settings::default().busy_poll(busy_poll))?;
    let at = (Ipv4Addr::LOCALHOST, 0);
    if let [Some((certificate, name))] =
        arguments.iter().map(|it| over_tls(it)).collect::<Vec<_>>()[..]
    {
        let identity = Identity::from_pem(certificate.chain, certificate.key)?;
        let acceptor = TlsAcceptor::builder(&Certificates::new(identity)).build();
        announce(match name {
            "echo" => reactor.listen_tls(at, &acceptor, || Echo)?.local_address(),
            "source" => reactor.listen_tls(at, &acceptor, || Source)?.local_address(),
            "quote" => reactor.listen_tls(at, &acceptor, || Quote)?.local_address(),
            "sink" => reactor.listen_tls(at, &acceptor, Sink::default)?.local_address(),
            _ => refuse("twistor does one of echo, quote, sink and source over TLS"),
        });
        reactor.run()?;
        return Ok(());
    }
    let address = match arguments[..] {
        ["echo"] => reactor.listen_tcp(at, || Echo)?.local_address(),
        ["lines"] => reactor.listen_tcp(at, || Lines::new(Answer))?.local_address(),
        ["chat"] => reactor.listen_tcp(at, Chat::default())?.local_address(),
        ["quote"] => reactor.listen_tcp(at, || Quote)?.local_address(),
        ["sink"] => reactor.listen_tcp(at, Sink::default)?.local_address(),
        ["broadcast"] => reactor.listen_tcp(at, Broadcast::default())?.local_address(),
        ["pipe"] => reactor.listen_tcp(at, Pipes::default())?.local_address(),
        ["timers", count] => {
            println!("{}", timers::time(&mut reactor, count.parse()?)?);
            return Ok(());
        }
        _ => refuse(
            "twistor does one of echo, lines, chat, quote, sink, broadcast, pipe and timers \
             COUNT; name it",
        ),
    };
    announce(address);
    reactor.run()?;
    Ok(())
}

/// Takes the option out of the arguments, wherever it stands.
fn busy_poll(arguments: &mut Vec<String>) -> Result<Duration, Box<dyn Error>> {
    let Some(at) = arguments.iter().position(|argument| argument == BUSY_POLL) else {
        return Ok(Duration::ZERO);
    };
    let end = arguments.len().min(at + 2);
    let value = arguments.drain(at..end).nth(1).and_then(|value| value.parse().ok());
    let wanted = format!("{BUSY_POLL} needs a whole number of microseconds, like 50");
    Ok(value.map(Duration::from_micros).ok_or(wanted)?)
}
