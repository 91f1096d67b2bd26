//! How clients of a shared port are served.

use super::{Greeter, Greeters, Running, any, receive, ways};
#[cfg(unix)]
use crate::support::Folder;
use crate::support::{Client, TIMEOUT};
use std::io::ErrorKind;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use twistor::error::ListenError;
use twistor::limits::ConnectionLimits;
use twistor::shards::{Balance, SharedPort};
use twistor::{Address, Reactor};

#[test]
fn all_clients_are_served_and_all_shards_serve() {
    for port in ways() {
        let what = format!("{port:?}");
        let running = Running::start(2, port);
        let mut clients: Vec<_> = (0..200).map(|_| running.connect()).collect();
        for (number, (client, _)) in clients.iter_mut().enumerate() {
            let line = format!("number {number}");
            client.send(&line);
            client.expect(&line);
        }
        let first = clients.iter().filter(|(_, index)| *index == 0).count();
        match what.contains("Acceptor") {
            true => assert_eq!(first, 100, "{what}"),
            // By chance: so few on one of two shards happen once in ten billion times.
            false => assert!((50..150).contains(&first), "{first} of 200 on shard 0"),
        }
        let metrics = running.handle.metrics(TIMEOUT);
        assert_eq!(metrics.total().open, 200, "{what}");
        let open: Vec<_> = metrics.shards().iter().map(|it| it.as_ref().unwrap().open).collect();
        assert_eq!(open, [first, 200 - first]);
        drop(clients);
        running.handle.stop();
        running.join().unwrap();
    }
}

#[test]
fn a_client_goes_to_the_shard_with_the_fewest_connections() {
    let running = Running::start(3, SharedPort::acceptor(any(), Balance::LeastConnections));
    let mut clients: Vec<Option<(Client, usize)>> =
        (0..30).map(|_| Some(running.connect())).collect();
    // All clients of shard 1 leave.
    clients.iter_mut().for_each(|client| drop(client.take_if(|(_, index)| *index == 1)));
    while running.handle.metrics(TIMEOUT).total().open > 20 {
        std::thread::yield_now();
    }
    let later: Vec<_> = (0..10).map(|_| running.connect()).collect();
    assert!(later.iter().all(|(_, index)| *index == 1), "the gap is filled first");
    running.handle.stop();
    running.join().unwrap();
}

#[test]
fn a_shard_that_does_not_listen_or_no_longer_gets_no_clients() {
    let port = SharedPort::acceptor(any(), Balance::RoundRobin);
    let shards = super::shards(3);
    let handle = shards.handle();
    let (opened_in, opened) = channel();
    let thread = std::thread::spawn(move || {
        shards.run(|reactor, shard| {
            let index = shard.index();
            if index < 2 {
                let port = port.listen(reactor, shard, move || Greeter { index })?;
                opened_in.send((port.local_address(), port.id()))?;
            }
            Ok(())
        })
    });
    let ((address, _), (_, second)) = (receive(&opened), receive(&opened));
    let running = Running { address, handle, thread };
    let indices = |running: &Running| [(); 6].map(|()| running.connect().1);
    assert_eq!(indices(&running), [0, 1, 0, 1, 0, 1]);
    let (closed_in, closed) = channel();
    let close =
        move |reactor: &mut Reactor| closed_in.send(reactor.stop_listening(second)).unwrap();
    running.remote(1).call_from_thread(close).unwrap();
    assert!(receive(&closed));
    assert_eq!(indices(&running), [0; 6]);
    running.handle.stop();
    running.join().unwrap();
}

/// Those that another shard has been given still go there when the port is open again.
/// Starts two shards on a port. The returned function has the first one close the port and open it
/// again, with another factory, and returns the new address.
fn start_to_reopen(port: SharedPort) -> (Running, impl FnOnce(&Running) -> Address) {
    let port = Arc::new(port);
    let shards = super::shards(2);
    let handle = shards.handle();
    let (opened_in, opened) = channel();
    let (again, opened_in) = (Arc::clone(&port), Mutex::new(opened_in));
    let thread = std::thread::spawn(move || {
        shards.run(|reactor, shard| {
            let index = shard.index();
            let port = port.listen(reactor, shard, Greeters { index })?;
            let opened = (port.local_address(), port.id(), shard.clone());
            opened_in.lock().unwrap().send(opened)?;
            Ok(())
        })
    });
    let ((address, first, shard), _second) = (receive(&opened), receive(&opened));
    let reopen = move |running: &Running| {
        let (reopened_in, reopened) = channel();
        let reopen = move |reactor: &mut Reactor| {
            assert!(reactor.stop_listening(first));
            let port = again.listen(reactor, &shard, Greeters { index: 0 }).unwrap();
            reopened_in.send(port.local_address()).unwrap();
        };
        running.remote(0).call_from_thread(reopen).unwrap();
        receive(&reopened)
    };
    (Running { address, handle, thread }, reopen)
}

#[test]
fn a_port_that_the_first_shard_opens_again_is_shared_as_before() {
    for port in ways() {
        let what = format!("{port:?}");
        let (running, reopen) = start_to_reopen(port);
        assert_eq!(reopen(&running), running.address, "{what}");
        let clients: Vec<_> = (0..100).map(|_| running.connect()).collect();
        let second = clients.iter().filter(|(_, index)| *index == 1).count();
        match what.contains("Acceptor") {
            true => assert_eq!(second, 50, "{what}"),
            // By chance: less on one of two shards happens once in a quadrillion times.
            false => assert!((10..90).contains(&second), "{second} of 100 on shard 1"),
        }
        running.handle.stop();
        running.join().unwrap();
    }
}

#[test]
fn clients_of_a_factory_that_served_the_port_before_do_not_count_as_load() {
    let port = SharedPort::acceptor(any(), Balance::LeastConnections);
    let (running, reopen) = start_to_reopen(port);
    let mut before: Vec<_> = (0..20).map(|_| running.connect()).collect();
    reopen(&running);
    let after: Vec<_> = (0..10).map(|_| running.connect()).collect();
    assert!(after.iter().all(|(_, index)| *index == 0), "a new factory has no clients");
    // One by one the clients of the old factory leave, and others come.
    let mut later = Vec::new();
    while let Some(old) = before.iter().position(|(_, index)| *index == 0) {
        before.remove(old);
        let open = before.len() + after.len() + later.len();
        while running.handle.metrics(TIMEOUT).total().open > open {
            std::thread::yield_now();
        }
        later.push(running.connect());
    }
    assert_eq!(later.iter().filter(|(_, index)| *index == 0).count(), 5, "of ten");
    running.handle.stop();
    running.join().unwrap();
}

#[test]
fn a_shard_listens_once_at_a_time_on_a_port_that_one_accepts_for_all() {
    let port = SharedPort::acceptor(any(), Balance::RoundRobin);
    let ended = super::shards(2).run(|reactor, shard| {
        let index = shard.index();
        let first = port.listen(reactor, shard, Greeters { index })?;
        let second = port.listen(reactor, shard, Greeters { index }).unwrap_err();
        let ListenError::Bind { source, .. } = &second else { panic!("{second}") };
        assert_eq!(source.kind(), ErrorKind::AddrInUse, "{second}");
        assert!(reactor.stop_listening(&first));
        port.listen(reactor, shard, Greeters { index })?;
        reactor.call_when_running(Reactor::stop);
        Ok(())
    });
    assert_eq!(ended.unwrap().shards().len(), 2);
}

#[test]
fn each_shard_limits_the_clients_that_it_receives() {
    let port = SharedPort::acceptor(any(), Balance::RoundRobin);
    let running = Running::start_with(super::shards(2), port, |reactor, _, port| {
        let limits = ConnectionLimits::new().max_connections(3).reject_message("full\n");
        reactor.set_limits(port, limits);
    });
    let _clients = [(); 6].map(|()| running.connect());
    for _ in 0..4 {
        assert_eq!(Client::connect(running.address.clone()).line(), "full");
    }
    let total = running.handle.metrics(TIMEOUT).total();
    assert_eq!((total.open, total.rejected, total.handed_over), (6, 4, 5));
    running.handle.stop();
    running.join().unwrap();
}

/// A shard at its accept rate leaves clients in its queue; the others are served meanwhile.
#[test]
fn an_accept_rate_of_one_shard_does_not_hold_up_the_others() {
    for limited in [0, 1] {
        let port = SharedPort::acceptor(any(), Balance::RoundRobin);
        let running = Running::start_with(super::shards(2), port, move |reactor, shard, port| {
            if shard.index() == limited {
                let hour = Duration::from_secs(3600);
                let limits = ConnectionLimits::new().accept_rate(1, hour).accept_burst(1);
                reactor.set_limits(port, limits);
            }
        });
        let sockets: Vec<_> = (0..10).map(|_| Client::connect(running.address.clone())).collect();
        // The acceptor itself has no queue: what it cannot take is for others.
        let served = if limited == 0 { 10 } else { 6 };
        loop {
            let metrics = running.handle.metrics(TIMEOUT);
            if metrics.total().open == served {
                let limited = metrics.shards()[limited].as_ref().unwrap();
                assert_eq!(limited.open, 1);
                break;
            }
            std::thread::yield_now();
        }
        drop(sockets);
        running.handle.stop();
        running.join().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_can_be_accepted_for_all_shards_and_not_be_reused() {
    let folder = Folder::new();
    let endpoint = format!("unix:{}", folder.join("shared.sock").display());
    let port = SharedPort::acceptor(endpoint.parse().unwrap(), Balance::RoundRobin);
    let running = Running::start(2, port);
    assert_eq!([(); 4].map(|()| running.connect().1), [0, 1, 0, 1]);
    running.handle.stop();
    running.join().unwrap();

    let port = SharedPort::reuse_port(endpoint.parse().unwrap());
    let error = super::shards(2)
        .run(|reactor, shard| {
            port.listen(reactor, shard, || Greeter { index: 0 })?;
            Ok(())
        })
        .unwrap_err();
    assert!(error.to_string().ends_with("let one shard accept for all"), "{error}");
}

#[test]
fn the_first_shard_has_to_listen() {
    for port in ways() {
        let error = super::shards(2)
            .run(|reactor, shard| {
                if shard.index() == 1 {
                    port.listen(reactor, shard, || Greeter { index: 1 })?;
                }
                Ok(())
            })
            .unwrap_err();
        let expected = "cannot set up shard 1: cannot listen on 127.0.0.1:0: the first shard has \
                        to listen on a shared port before the others";
        assert_eq!(error.to_string(), expected);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_is_shared_only_if_all_of_its_sockets_are() {
    let mut reactor = Reactor::new().unwrap();
    let greeter = || Greeter { index: 0 };
    let shared = "tcp:0:interface=127.0.0.1:reusePort=1";
    let port = reactor.listen(shared, greeter).unwrap().local_address().port().unwrap();
    let alone = format!("tcp:{port}:interface=127.0.0.1");
    assert!(matches!(reactor.listen(&alone, greeter), Err(ListenError::Bind { .. })));
    reactor.listen(&format!("{alone}:reusePort=1"), greeter).unwrap();
}
