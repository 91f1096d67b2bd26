//! Races between the addresses of a host, as data: played by `HappyEyeballs` alone, and by a
//! reactor on a simulated network.
//!
//! A case is `ADDRESSES OPTIONS => STARTS: OUTCOME`. An address is its family, and what its server
//! does how long after the attempt: `6a100` answers after 100 ms, `4r0` refuses at once, `6m` is
//! mute, and an attempt to `4u` fails at once, since the host is unreachable. `cancel 300`,
//! `stop 300` and `timeout 300` end the race at that time, in milliseconds; `bind 4` is a local
//! address of IPv4. Addresses are numbered in the order of the resolver: `1@250` starts the second
//! one at that time, and with the outcome `1 at 350` it is connected.

use std::io::ErrorKind;
use std::time::Duration;

/// The longest time of a case.
pub(crate) const TIMEOUT: u64 = 30_000;

/// The attempt delay of all cases.
pub(crate) const DELAY: Duration = Duration::from_millis(250);

const CASES: &str = "
    4a0 => 0@0: 0 at 0
    4a100 => 0@0: 0 at 100
    6a2000 => 0@0: 0 at 2000
    4a29999 => 0@0: 0 at 29999
    4r0 => 0@0: refused at 0
    6r100 => 0@0: refused at 100
    4u => 0@0: unreachable at 0
    4m timeout 1000 => 0@0: timed-out at 1000

    6a100 4a0 => 0@0: 0 at 100
    6a249 4a0 => 0@0: 0 at 249
    6a250 4a0 => 0@0: 0 at 250
    6a251 4a0 => 0@0 1@250: 1 at 250
    6a300 4a100 => 0@0 1@250: 0 at 300
    6a300 4a50 => 0@0 1@250: 0 at 300
    6a350 4a99 => 0@0 1@250: 1 at 349
    6a2000 4m => 0@0 1@250: 0 at 2000
    6m 4a100 => 0@0 1@250: 1 at 350
    6m 4a2000 => 0@0 1@250: 1 at 2250
    4m 6a100 => 0@0 1@250: 1 at 350

    6r0 4a0 => 0@0 1@0: 1 at 0
    6r100 4a100 => 0@0 1@100: 1 at 200
    6u 4a100 => 0@0 1@0: 1 at 100
    6r300 4a100 => 0@0 1@250: 1 at 350
    6r300 4m timeout 1000 => 0@0 1@250: timed-out at 1000
    6r0 4r0 => 0@0 1@0: refused at 0
    6r100 4r100 => 0@0 1@100: refused at 200
    6u 4r100 => 0@0 1@0: unreachable at 100
    6r100 4u => 0@0 1@100: refused at 100
    6r400 4r100 => 0@0 1@250: refused at 400
    6m 4r100 timeout 1000 => 0@0 1@250: timed-out at 1000
    4r0 6a10 => 0@0 1@0: 1 at 10
    6m 4m timeout 1000 => 0@0 1@250: timed-out at 1000
    6m 4m timeout 200 => 0@0: timed-out at 200

    6m 6m 4a10 => 0@0 2@250: 2 at 260
    6m 6a10 4m => 0@0 2@250 1@500: 1 at 510
    4m 4m 6a10 => 0@0 2@250: 2 at 260
    6r0 6a10 4m => 0@0 2@0 1@250: 1 at 260
    6r0 6r0 4a10 => 0@0 2@0: 2 at 10
    6r0 6a10 4r5 => 0@0 2@0 1@5: 1 at 15
    6r10 6r10 4r10 => 0@0 2@10 1@20: refused at 30
    6m 6r10 4m timeout 2000 => 0@0 2@250 1@500: timed-out at 2000
    6a600 6m 4m => 0@0 2@250 1@500: 0 at 600
    6m 6a50 4r100 => 0@0 2@250 1@350: 1 at 400
    6m 6m 6a10 4r50 4m => 0@0 3@250 1@300 4@550 2@800: 2 at 810
    6m 6m 6m 4m 4m 4a20 => 0@0 3@250 1@500 4@750 2@1000 5@1250: 5 at 1270
    6u 6u 4u 4a0 => 0@0 2@0 1@0 3@0: 3 at 0
    6u 6u 4u => 0@0 2@0 1@0: unreachable at 0

    6a10 4a20 bind 4 => 1@0: 1 at 20
    6a10 bind 4 => : invalid at 0
    6m 4a10 6a10 bind 6 => 0@0 2@250: 2 at 260
    6r0 4a10 bind 6 => 0@0: refused at 0
    4a10 6u bind 6 => 1@0: unreachable at 0

    6m 4m cancel 0 => 0@0: aborted at 0
    6m 4m cancel 100 => 0@0: aborted at 100
    6m 4m cancel 300 => 0@0 1@250: aborted at 300
    6a100 4a0 cancel 50 => 0@0: aborted at 50
    6a300 4a100 cancel 299 => 0@0 1@250: aborted at 299
    6r100 4a300 cancel 250 => 0@0 1@100: aborted at 250
    6r0 4r100 cancel 99 => 0@0 1@0: aborted at 99
    6m 4m stop 100 => 0@0: aborted at 100
    6m 4m stop 250 => 0@0 1@250: aborted at 250
    6a500 4a400 stop 499 => 0@0 1@250: aborted at 499
    6r0 4a1000 stop 999 => 0@0 1@0: aborted at 999

    6a500 timeout 500 => 0@0: 0 at 500
    6a501 timeout 500 => 0@0: timed-out at 500
    6m 4a100 timeout 250 => 0@0 1@250: timed-out at 250
    6r100 4a400 timeout 500 => 0@0 1@100: 1 at 500
";

#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The case as it is written, for messages.
    pub(crate) text: &'static str,
    pub(crate) addresses: Vec<Server>,
    pub(crate) bind: Option<Family>,
    /// How the race ends if nobody wins, and when.
    pub(crate) end: (Ending, u64),
    /// The attempts, each with the time at which it starts.
    pub(crate) starts: Vec<(usize, u64)>,
    pub(crate) outcome: (Outcome, u64),
}

/// An address of the host, and the server behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) family: Family,
    pub(crate) act: Act,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// After these milliseconds.
    Answer(u64),
    Refuse(u64),
    Mute,
    Unreachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Timeout,
    Cancel,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Won(usize),
    Failed(ErrorKind),
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

fn family(text: &str) -> Family {
    match text {
        "4" => Family::V4,
        "6" => Family::V6,
        other => panic!("{other:?} is not a family"),
    }
}

fn outcome(text: &str) -> Outcome {
    Outcome::Failed(match text {
        "refused" => ErrorKind::ConnectionRefused,
        "unreachable" => ErrorKind::HostUnreachable,
        "timed-out" => ErrorKind::TimedOut,
        "aborted" => ErrorKind::ConnectionAborted,
        "invalid" => ErrorKind::InvalidInput,
        winner => return Outcome::Won(number(winner) as usize),
    })
}

impl Case {
    fn parse(text: &'static str) -> Self {
        let (race, expected) = text.split_once("=>").expect("an arrow");
        let (mut addresses, mut bind, mut end) = (Vec::new(), None, (Ending::Timeout, TIMEOUT));
        let mut words = race.split_whitespace();
        while let Some(word) = words.next() {
            let mut time = || number(words.next().expect("a time"));
            match word {
                "timeout" => end = (Ending::Timeout, time()),
                "cancel" => end = (Ending::Cancel, time()),
                "stop" => end = (Ending::Stop, time()),
                "bind" => bind = words.next().map(family),
                address => {
                    let act = match &address[1..2] {
                        "a" => Act::Answer(number(&address[2..])),
                        "r" => Act::Refuse(number(&address[2..])),
                        "m" => Act::Mute,
                        _ => Act::Unreachable,
                    };
                    addresses.push(Server { family: family(&address[..1]), act });
                }
            }
        }
        let (starts, ends) = expected.split_once(':').expect("an outcome");
        let (what, at) = ends.split_once(" at ").expect("its time");
        let start = |text: &str| {
            let (attempt, at) = text.split_once('@').expect("the time of a start");
            (number(attempt) as usize, number(at))
        };
        let starts = starts.split_whitespace().map(start).collect();
        Self { text, addresses, bind, end, starts, outcome: (outcome(what.trim()), number(at)) }
    }
}

/// Returns all cases.
pub(crate) fn all() -> Vec<Case> {
    CASES.lines().map(str::trim).filter(|line| !line.is_empty()).map(Case::parse).collect()
}
