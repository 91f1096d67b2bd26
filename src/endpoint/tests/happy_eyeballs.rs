//! Which address of a host is tried when.

use super::race_cases::{self, Act, Case, DELAY, Ending, Family, Outcome};
use super::*;
use crate::address::HostnameAddress;
use crate::endpoint::happy_eyeballs::{HappyEyeballs, Step};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Instant;

fn host() -> HostnameAddress {
    HostnameAddress::new("db.example", 80)
}

/// The address with this number in the order of the resolver.
fn address(number: usize, family: Family) -> SocketAddr {
    let ip: IpAddr = match family {
        Family::V4 => [10, 0, 0, number as u8].into(),
        Family::V6 => [0xfd00, 0, 0, 0, 0, 0, 0, number as u16].into(),
    };
    (ip, 80).into()
}

fn number_of(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3].into(),
        IpAddr::V6(ip) => ip.segments()[7].into(),
    }
}

fn any(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Family::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The attempts that started, and the outcome, each with its time.
type Race = (Vec<(usize, u64)>, (Outcome, u64));

/// Plays a case, millisecond by millisecond.
fn play(case: &Case) -> Race {
    let addresses = case.addresses.iter().enumerate();
    let addresses = addresses.map(|(number, server)| address(number, server.family));
    let mut race = HappyEyeballs::new(addresses, case.bind.map(any), DELAY);
    let (beginning, mut starts) = (Instant::now(), Vec::new());
    // When which attempt has which result.
    let mut results: BTreeSet<(u64, usize, bool)> = BTreeSet::new();
    let (ending, end) = case.end;
    for now in 0..=end {
        loop {
            while let Some(&(at, attempt, answers)) = results.first().filter(|it| it.0 <= now) {
                results.remove(&(at, attempt, answers));
                if answers {
                    race.established(attempt);
                } else {
                    race.failed(attempt, ErrorKind::ConnectionRefused.into());
                }
            }
            let instant = beginning + Duration::from_millis(now);
            match race.step(instant) {
                Step::Start(attempt, address) => {
                    let number = number_of(address);
                    starts.push((number, now));
                    match case.addresses[number].act {
                        Act::Answer(after) => drop(results.insert((now + after, attempt, true))),
                        Act::Refuse(after) => drop(results.insert((now + after, attempt, false))),
                        Act::Mute => {}
                        Act::Unreachable => {
                            race.failed(attempt, ErrorKind::HostUnreachable.into());
                        }
                    }
                }
                Step::Won(_, address) => return (starts, (Outcome::Won(number_of(address)), now)),
                Step::Failed => {
                    let kind = race.into_error(&host()).kind();
                    return (starts, (Outcome::Failed(kind), now));
                }
                // A result that is due at once comes before the next step.
                Step::Wait(_) if results.first().is_some_and(|it| it.0 <= now) => {}
                Step::Wait(until) => {
                    assert!(until.is_none_or(|until| until > instant), "it would spin");
                    break;
                }
            }
        }
    }
    let kind = match ending {
        Ending::Timeout => race.into_error(&host()).kind(),
        Ending::Cancel | Ending::Stop => ErrorKind::ConnectionAborted,
    };
    (starts, (Outcome::Failed(kind), end))
}

#[test]
fn all_races_go_as_the_table_says() {
    let cases = race_cases::all();
    assert!(cases.len() >= 60);
    for case in cases {
        assert_eq!(play(&case), (case.starts.clone(), case.outcome), "{}", case.text);
    }
}

fn starts(addresses: &[(usize, Family)]) -> Vec<usize> {
    let addresses = addresses.iter().map(|(number, family)| address(*number, *family));
    let mut race = HappyEyeballs::new(addresses, None, DELAY);
    let mut numbers = Vec::new();
    while let Step::Start(attempt, address) = race.step(Instant::now()) {
        numbers.push(number_of(address));
        race.failed(attempt, ErrorKind::ConnectionRefused.into());
    }
    numbers
}

#[test]
fn families_alternate_and_an_address_is_tried_once() {
    use Family::{V4, V6};
    assert!(starts(&[]).is_empty());
    let all = [(1, V6), (2, V6), (1, V6), (3, V6), (4, V4), (4, V4), (5, V4)];
    assert_eq!(starts(&all), [1, 4, 2, 5, 3]);
    let many: Vec<(usize, Family)> = (0..200).map(|number| (number, V4)).collect();
    assert_eq!(starts(&many), (0..64).collect::<Vec<_>>());
    let both = many.into_iter().chain([(201, V6)]).collect::<Vec<_>>();
    assert_eq!(starts(&both)[..3], [0, 201, 1], "the other family is among the first");
}

#[test]
fn an_endless_delay_tries_the_next_address_only_after_a_failure() {
    let addresses = [address(0, Family::V6), address(1, Family::V4)];
    let mut race = HappyEyeballs::new(addresses, None, Duration::MAX);
    let now = Instant::now();
    assert_eq!(race.step(now), Step::Start(0, addresses[0]));
    assert_eq!(race.step(now + Duration::from_secs(1 << 30)), Step::Wait(None));
    race.failed(0, ErrorKind::ConnectionRefused.into());
    assert_eq!(race.step(now), Step::Start(1, addresses[1]));
    assert_eq!(race.step(now), Step::Wait(None));
    race.established(1);
    race.established(0);
    assert_eq!(race.step(now), Step::Won(1, addresses[1]), "the first one wins");
}

#[test]
fn the_error_names_every_address_with_its_reason_and_has_the_kind_of_the_first() {
    let text = |error: &io::Error| error.to_string();
    let v6 = [address(0, Family::V6), address(1, Family::V6)];
    let addresses = [v6[0], address(2, Family::V4), v6[1]];
    let mut race = HappyEyeballs::new(addresses, Some(any(Family::V6)), DELAY);
    let now = Instant::now();
    assert_eq!(race.step(now), Step::Start(0, v6[0]));
    race.failed(0, ErrorKind::NetworkUnreachable.into());
    assert_eq!(race.step(now), Step::Start(2, v6[1]));
    race.failed(2, ErrorKind::ConnectionRefused.into());
    assert_eq!(race.step(now), Step::Failed);
    let error = race.into_error(&host());
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
    let errors = error.get_ref().unwrap().downcast_ref::<AttemptErrors>().unwrap();
    assert_eq!(errors.host().to_string(), "db.example:80");
    let kinds = errors.attempts().iter().map(|(address, error)| (*address, error.kind()));
    let expected = [
        (v6[0], ErrorKind::NetworkUnreachable),
        (addresses[1], ErrorKind::InvalidInput),
        (v6[1], ErrorKind::ConnectionRefused),
    ];
    assert!(kinds.eq(expected));
    assert_eq!(
        text(&error),
        "[fd00::]:80: network unreachable; 10.0.0.2:80: left out, since the local address has the \
         other IP version; [fd00::1]:80: connection refused"
    );

    // After the timeout, with one attempt under way, and one that has not started.
    let mut race = HappyEyeballs::new(v6, None, DELAY);
    assert_eq!(race.step(now), Step::Start(0, v6[0]));
    let error = race.into_error(&host());
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        text(&error),
        "[fd00::]:80: no answer within the timeout; [fd00::1]:80: not tried within the timeout"
    );
}
