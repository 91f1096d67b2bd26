//! The reactor inside a tokio runtime: both on one thread, and neither holds up the other.

use super::{Echo, Room, reactor};
use crate::support::TIMEOUT;
use std::cell::Cell;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{timeout, timeout_at};
use twistor::shutdown::ShutdownReport;
use twistor::{Context, Protocol, Reactor, Remote};

/// Runs a reactor inside a tokio runtime until it has stopped.
async fn run_in_tokio(reactor: &mut Reactor) -> Result<ShutdownReport, Box<dyn Error>> {
    let descriptor = reactor.as_fd().try_clone_to_owned()?;
    #[allow(deprecated, reason = "the new one is unsafe; for an `OwnedFd` this one is sound")]
    let events = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
    loop {
        if let ControlFlow::Break(report) = reactor.turn(Some(Duration::ZERO))? {
            return Ok(report);
        }
        match reactor.next_deadline() {
            None => events.readable().await?.clear_ready(),
            // Work is left over: other tasks run first, no more. A timer would take a millisecond.
            Some(due) if due <= Instant::now() => tokio::task::yield_now().await,
            Some(due) => {
                if let Ok(ready) = timeout_at(due.into(), events.readable()).await {
                    ready?.clear_ready();
                }
            }
        }
    }
}

/// Runs a reactor beside `tasks`, which stop it, in a runtime of this thread.
fn run(reactor: &mut Reactor, tasks: impl Future<Output = ()> + Send + 'static) {
    // A loop that never waits would leave no time to the timeout below.
    let (remote, (running, end)) = (reactor.remote(), channel::<()>());
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            let _ = remote.call_from_thread(Reactor::stop);
        }
    });
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(run_with(reactor, tasks));
    drop(running);
    watchdog.join().unwrap();
}

async fn run_with(reactor: &mut Reactor, tasks: impl Future<Output = ()> + Send + 'static) {
    let tasks = tokio::spawn(tasks);
    let stopped = timeout(TIMEOUT, run_in_tokio(reactor)).await;
    tasks.abort();
    if let Err(error) = tasks.await {
        assert!(error.is_cancelled(), "a task panicked: {error}");
    }
    stopped.expect("the reactor does not stop").unwrap();
}

/// Stops a reactor when it is dropped: the task that owns it is over, or has panicked.
struct StopOnDrop {
    remote: Remote,
    delay: Duration,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let delay = self.delay;
        let stop = move |reactor: &mut Reactor| {
            reactor.call_later(delay, Reactor::stop);
        };
        let _ = self.remote.call_from_thread(stop);
    }
}

/// Sends messages to an echo, each when the last one has come back.
async fn talk(server: SocketAddr, messages: usize) {
    let mut client = TcpStream::connect(server).await.unwrap();
    for number in 0..messages {
        let message = format!("message {number:8}");
        client.write_all(message.as_bytes()).await.unwrap();
        let mut answer = vec![0; message.len()];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, message.as_bytes());
    }
}

/// Answers `count` questions of one client, and closes.
async fn answer(listener: TcpListener, count: usize) {
    let (mut client, _) = listener.accept().await.unwrap();
    for _ in 0..count {
        assert_eq!(client.read_u8().await.unwrap(), b'?');
        client.write_u8(b'!').await.unwrap();
    }
}

/// Asks, and asks again after each answer.
struct Asking {
    answers: Rc<Cell<usize>>,
}

impl<F> Protocol<F> for Asking {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("?");
    }

    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        assert_eq!(data, b"!");
        self.answers.set(self.answers.get() + 1);
        cx.transport.write("?");
    }
}

/// The reactor serves clients that are tasks, is the client of a task, and has timers, all at once.
/// Nothing is forgotten, and a turn runs only when something has happened.
#[test]
fn tasks_and_a_reactor_share_a_tokio_runtime_without_spinning() {
    const CLIENTS: usize = 4;
    const MESSAGES: usize = 100;
    const TICKS: u64 = 20;
    const PERIOD: Duration = Duration::from_millis(5);
    // Each message and tick is one event, and so are, of each connection, its beginning, its end
    // and the close. There may be a turn for the event, and one for what that leaves over.
    let events = (CLIENTS + 1) * (MESSAGES + 3) + TICKS as usize;
    let turns_max = 2 * events as u64;

    let mut reactor = reactor();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    let ticks = Rc::new(Cell::new(0));
    let ticked = Rc::clone(&ticks);
    reactor.call_every(PERIOD, move |reactor| {
        ticked.set(ticked.get() + reactor.elapsed_periods());
        if reactor.metrics().turns > turns_max {
            // It spins, and might leave no time to the tasks.
            reactor.stop();
        }
        if ticked.get() < TICKS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    // Without the descriptor, all else would wait for this.
    reactor.call_later(Duration::from_secs(3600), |_| unreachable!());
    let answers = Rc::new(Cell::new(0));
    // All ticks are due before that.
    let stop = StopOnDrop { remote: reactor.remote(), delay: PERIOD * TICKS as u32 };

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let asked = Rc::clone(&answers);
    let build = move || Asking { answers: Rc::clone(&asked) };
    reactor.connect_tcp(listener.local_addr().unwrap(), build).unwrap();
    run(&mut reactor, async move {
        let _stop = stop;
        let server = tokio::spawn(answer(TcpListener::from_std(listener).unwrap(), MESSAGES));
        for client in [(); CLIENTS].map(|()| tokio::spawn(talk(address, MESSAGES))) {
            client.await.unwrap();
        }
        server.await.unwrap();
    });

    let metrics = reactor.metrics();
    assert!(metrics.turns <= turns_max, "{turns_max} turns would do: {metrics}");
    assert_eq!((ticks.get() >= TICKS, answers.get()), (true, MESSAGES), "{metrics}");
    assert_eq!((metrics.accepted, metrics.connected, metrics.panics), (CLIENTS as u64, 1, 0));
}

/// Without a timer, the runtime waits for the descriptor alone.
#[test]
fn a_task_s_calls_wake_a_reactor_that_waits() {
    const CALLS: u8 = 100;
    let mut reactor = reactor();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), Room::default()).unwrap();
    let (address, key) = (port.local_address().socket_addr().unwrap(), port.key());
    let remote = reactor.remote();
    let stop = StopOnDrop { remote: remote.clone(), delay: Duration::ZERO };
    run(&mut reactor, async move {
        let _stop = stop;
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut welcome = [0; Room::WELCOME.len()];
        client.read_exact(&mut welcome).await.unwrap();
        for number in 0..CALLS {
            let tell = move |reactor: &mut Reactor| {
                reactor.with_factory(key, |room, _| room.tell([number], None)).unwrap();
            };
            remote.call_from_thread(tell).unwrap();
            assert_eq!(client.read_u8().await.unwrap(), number);
        }
    });
    let metrics = reactor.metrics();
    // A turn for each call, some for the connection and the stop, and as many again.
    let turns_max = 2 * (u64::from(CALLS) + 5);
    assert!(metrics.turns <= turns_max, "{turns_max} turns would do: {metrics}");
}

#[test]
fn a_reactor_that_never_waits_leaves_time_to_tasks() {
    const MESSAGES: usize = 100;
    let mut reactor = reactor();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    reactor.call_every(Duration::ZERO, |_| ControlFlow::Continue(()));
    let stop = StopOnDrop { remote: reactor.remote(), delay: Duration::ZERO };
    run(&mut reactor, async move {
        let _stop = stop;
        talk(address, MESSAGES).await;
    });
    assert_eq!(reactor.metrics().lost, 1);
    assert_eq!(reactor.metrics().bytes_received, (MESSAGES * "message 00000000".len()) as u64);
}
