//! The reactor inside the loop of a program at a terminal, on a pseudo-terminal.

use super::{Room, reactor};
use crate::support::{Client, TIMEOUT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use twistor::metrics::Metrics;
use twistor::shutdown::ShutdownReport;
use twistor::system_event::{Phase, SystemEvent};
use twistor::{Delimiter, LineContext, LineReceiver, Lines, Reactor, Reason, Remote, Transport};

/// Period of the clock on the screen.
const PERIOD: Duration = Duration::from_millis(20);

/// The longest wait of a poll: some systems reject one of many days.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends what the user types to a server, line by line, until Ctrl-D or a hang-up.
fn run_at_terminal(
    reactor: &mut Reactor,
    mut terminal: &File,
    server: &Transport,
) -> Result<ShutdownReport, Box<dyn Error>> {
    let mut typing = true;
    loop {
        if let ControlFlow::Break(report) = reactor.turn(Some(Duration::ZERO))? {
            return Ok(report);
        }
        let deadline = reactor.next_deadline();
        let wait = deadline.map(|due| due.saturating_duration_since(Instant::now()).min(WAIT_MAX));
        let descriptor = reactor.as_fd();
        let mut polled = vec![PollFd::new(&descriptor, PollFlags::IN)];
        if typing {
            polled.push(PollFd::new(&terminal, PollFlags::IN));
        }
        match poll(&mut polled, wait.map(Timespec::try_from).transpose()?.as_ref()) {
            Err(Errno::INTR) => continue, // A signal, such as SIGWINCH.
            result => result?,
        };
        if polled.get(1).is_some_and(|terminal| !terminal.revents().is_empty()) {
            let mut line = [0; 4096];
            match terminal.read(&mut line)? {
                0 => {
                    typing = false;
                    reactor.stop_gracefully(Duration::from_secs(5));
                }
                count => server.write(&line[..count]),
            }
        }
    }
}

/// Shows received lines on the terminal, and a clock from the line `clock` on.
struct Screen {
    terminal: Rc<File>,
    /// Number of times the clock was shown.
    ticks: Rc<Cell<u64>>,
}

impl<F> LineReceiver<F> for Screen {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        show(&self.terminal, &String::from_utf8_lossy(line));
        if line == b"clock" {
            let (terminal, ticks) = (Rc::clone(&self.terminal), Rc::clone(&self.ticks));
            cx.reactor.call_every(PERIOD, move |_| {
                ticks.set(ticks.get() + 1);
                show(&terminal, &format!("tick {}", ticks.get()));
                ControlFlow::Continue(())
            });
        }
    }

    fn connection_lost(&mut self, _cx: &mut LineContext<'_, F>, reason: &Reason) {
        show(&self.terminal, if reason.is_done() { "closed gracefully" } else { "lost" });
    }
}

/// Shows a line, if the terminal is still there.
fn show(mut terminal: &File, line: &str) {
    let _ = writeln!(terminal, "{line}");
}

/// What is left of a program at its end.
struct Outcome {
    report: ShutdownReport,
    metrics: Metrics,
    ticks: u64,
}

/// A chat client, as a program would start it.
fn chat(terminal: File, server: SocketAddr) -> Outcome {
    let mut reactor = reactor();
    let (terminal, ticks) = (Rc::new(terminal), Rc::new(Cell::new(0)));
    let screen = (Rc::clone(&terminal), Rc::clone(&ticks));
    let build = move || {
        let (terminal, ticks) = screen.clone();
        Lines::new(Screen { terminal, ticks })
    };
    let connector = reactor.connect_tcp(server, build).unwrap();
    // It takes some time until the program may end.
    reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, |reactor| {
        let guard = reactor.hold_shutdown();
        reactor.call_later(5 * PERIOD, move |_| drop(guard));
    });
    let report = run_at_terminal(&mut reactor, &terminal, connector.transport()).unwrap();
    Outcome { report, metrics: reactor.metrics(), ticks: ticks.get() }
}

/// The chat's server, on a reactor in a thread of its own.
struct Server {
    address: SocketAddr,
    remote: Remote,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new() -> Self {
        let (ready_in, ready) = channel();
        let thread = std::thread::spawn(move || {
            let mut reactor = reactor();
            let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), Room::default()).unwrap();
            let address = port.local_address().socket_addr().unwrap();
            ready_in.send((address, reactor.remote())).unwrap();
            reactor.run().unwrap();
        });
        let (address, remote) = ready.recv_timeout(TIMEOUT).unwrap();
        Self { address, remote, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.remote.call_from_thread(Reactor::stop);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))) || std::thread::panicking());
    }
}

/// The user of a program, who types and reads the screen.
struct User {
    /// The other end of the terminal.
    keyboard_and_screen: File,
    /// All that was on the screen.
    screen: String,
    /// How much of that they have looked at.
    seen: usize,
    program: Receiver<Outcome>,
}

impl User {
    /// Starts the program at a new terminal.
    fn start(server: SocketAddr) -> Self {
        // The terminal must not become the controlling one of this process.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let mut options = File::options();
        let terminal = options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let terminal = terminal.open(path).unwrap();
        let (outcome_in, program) = channel();
        std::thread::spawn(move || {
            let _ = outcome_in.send(chat(terminal, server));
        });
        Self { keyboard_and_screen: master.into(), screen: String::new(), seen: 0, program }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard_and_screen.write_all(keys.as_bytes()).unwrap();
    }

    /// Returns the end of what was on the screen.
    fn last_seen(&self) -> &str {
        &self.screen[self.screen.len().saturating_sub(200)..]
    }

    /// Reads what is new on the screen; false if the program has closed the terminal.
    #[track_caller]
    fn reads(&mut self, awaited: &str) -> bool {
        let timeout = Timespec::try_from(TIMEOUT).unwrap();
        let mut polled = [PollFd::new(&self.keyboard_and_screen, PollFlags::IN)];
        let count = poll(&mut polled, Some(&timeout)).unwrap();
        assert!(count > 0, "{awaited:?} does not come: {:?}", self.last_seen());
        let mut output = [0; 4096];
        // Linux reports a closed terminal as an error.
        let count = self.keyboard_and_screen.read(&mut output).unwrap_or_default();
        self.screen.push_str(std::str::from_utf8(&output[..count]).unwrap());
        count > 0
    }

    /// Waits for this on the screen, below what they have seen.
    #[track_caller]
    fn sees(&mut self, awaited: &str) {
        let start = Instant::now();
        while !self.screen[self.seen..].contains(awaited) {
            assert!(start.elapsed() < TIMEOUT, "{awaited:?} does not come: {:?}", self.last_seen());
            assert!(self.reads(awaited), "the program has ended: {:?}", self.last_seen());
        }
        self.seen += self.screen[self.seen..].find(awaited).unwrap() + awaited.len();
    }

    /// Waits until the program has ended; returns all that was on the screen.
    #[track_caller]
    fn sees_end(mut self) -> (Outcome, String) {
        let start = Instant::now();
        while self.reads("the end") {
            assert!(start.elapsed() < TIMEOUT, "the program does not end: {:?}", self.last_seen());
        }
        (self.program.recv_timeout(TIMEOUT).unwrap(), self.screen)
    }
}

/// Another member of the chat, without a terminal.
fn member(server: &Server) -> Client {
    let mut client = Client::connect(server.address);
    client.expect(Room::WELCOME);
    client
}

/// Asserts that the loop ran because of events only: `lines` typed or received, and some ticks.
#[track_caller]
fn assert_few_turns(outcome: &Outcome, lines: usize) {
    // Besides: the connection's beginning, the welcome, the stop, its end, the close.
    let events = lines as u64 + outcome.ticks + 5;
    // A turn for each, and one for what it leaves over.
    let (turns, turns_max) = (outcome.metrics.turns, 2 * events);
    assert!(turns <= turns_max, "{turns_max} turns would do: {}", outcome.metrics);
}

#[test]
fn a_chat_at_a_terminal_runs_and_ends_without_spinning() {
    const LINES: usize = 20;
    let server = Server::new();
    let mut other = member(&server);
    let mut user = User::start(server.address);
    user.sees("welcome\r\n");
    for number in 0..LINES {
        user.types(&format!("line {number}\n"));
        other.expect(format!("line {number}\n"));
        other.send(format!("answer {number}\n"));
        user.sees(&format!("answer {number}\r\n"));
    }
    // Then only the clock moves.
    other.send("clock\n");
    for _ in 0..5 {
        user.sees("tick ");
    }
    user.types("goodbye\n\x04");
    let (outcome, screen) = user.sees_end();
    other.expect("goodbye\n");
    assert!(screen.contains("closed gracefully\r\n"), "{screen:?}");
    assert_eq!((outcome.report.drained, outcome.report.aborted), (1, 0));
    assert_few_turns(&outcome, 2 * LINES + 3);
}

/// A terminal that is gone stays readable, and the program waits for something else before it ends.
#[test]
fn a_chat_whose_terminal_is_gone_ends_without_spinning() {
    let server = Server::new();
    let mut other = member(&server);
    let mut user = User::start(server.address);
    user.sees("welcome\r\n");
    user.types("hello\n");
    other.expect("hello\n");
    let User { keyboard_and_screen, program, .. } = user;
    drop(keyboard_and_screen);
    let outcome = program.recv_timeout(TIMEOUT).expect("the program does not end");
    assert_eq!((outcome.report.drained, outcome.report.aborted), (1, 0));
    assert_few_turns(&outcome, 2);
}
