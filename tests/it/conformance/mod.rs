//! The contract of a stream transport, for every carrier.

mod data;
mod dialling;
mod ends;
mod faulted;
mod flow;
mod halves;
mod limits;
mod pausing;
mod rates;
mod stopping;
mod waiting;

use crate::support::encryption::acceptor;
use crate::support::{Client, Cx, Event, LARGE, LARGE_SIMULATED, Server};
use std::sync::LazyLock;
use twistor::testing::{Conditions, Simulation};
use twistor::{ServerEndpoint, Settings};

/// Number of rough networks on which each test of the battery runs.
const SEEDS: u64 = 2;

/// Length of the records of the carriers that have a record layer. Odd, so that the ends of records
/// fall on those of nothing else.
const RECORD_LEN: usize = 999;

/// The network that carries the bytes.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Tcp4,
    Tcp6,
    /// A Unix socket with a path.
    #[cfg(unix)]
    Unix,
    /// A TCP socket that the reactor takes over, as it does with inherited ones.
    #[cfg(unix)]
    Adopted,
    /// TCP behind PROXY headers.
    Proxied,
    /// A simulated network without any delay.
    Ideal,
    /// A simulated network that delays and splits data, with this seed.
    Rough(u64),
    /// A Unix socket of a simulated host, under rough conditions with this seed.
    RoughUnix(u64),
    /// PROXY headers under rough conditions with this seed.
    RoughProxied(u64),
    /// TCP, and clients that connect to a host by its name, which has two addresses. Only the tests
    /// of outgoing connections run over it, and the next one.
    Named,
    /// Connecting by name under rough conditions with this seed.
    RoughNamed(u64),
    /// The simulated network of a run in which one call fails.
    Faulted {
        over_unix: bool,
        encrypted: bool,
    },
    /// Each of these in records, as under encryption: held by the stream in both directions.
    TcpRecords,
    IdealRecords,
    RoughRecords(u64),
    /// Each of these encrypted.
    Tls,
    IdealTls,
    RoughTls(u64),
}

impl Carrier {
    fn serve(self, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        self.serve_with(Settings::default(), act)
    }

    fn serve_with(self, settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        // Shown only when the test fails, for the search for the cause. (A run with a fault says
        // more of itself, and there are thousands.)
        if !matches!(self, Self::Faulted { .. }) {
            println!("over {self:?}");
        }
        let settings = self.settings(settings);
        let simulated = |at: ServerEndpoint, settings| {
            let (seed, conditions) = self.network();
            let simulation = Simulation::new(seed);
            simulation.set_conditions(conditions);
            Server::simulated(simulation, at, settings, act)
        };
        let real = |at: &str, settings| Server::with(at.parse().unwrap(), settings, act);
        let server = match self {
            Self::Tcp4 | Self::TcpRecords => real("tcp:0:interface=127.0.0.1", settings),
            Self::Tcp6 => real("tcp6:0:interface=[::1]", settings),
            #[cfg(unix)]
            Self::Unix => Server::unix(settings, act),
            #[cfg(unix)]
            Self::Adopted => {
                let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                Server::adopting(socket, settings, act)
            }
            Self::Named => real("tcp:0:interface=127.0.0.1", settings).dialling_by_name(),
            Self::RoughNamed(_) => simulated(self.simulated_at(), settings).dialling_by_name(),
            Self::Proxied => real("haproxy:tcp:0:interface=127.0.0.1", settings),
            Self::Tls => {
                let at: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse().unwrap();
                Server::with(at.encrypted(&acceptor()), settings, act)
            }
            Self::Faulted { .. } => faulted::serve(settings, act),
            Self::Ideal
            | Self::Rough(_)
            | Self::RoughUnix(_)
            | Self::RoughProxied(_)
            | Self::IdealTls
            | Self::RoughTls(_)
            | Self::IdealRecords
            | Self::RoughRecords(_) => simulated(self.simulated_at(), settings),
        };
        server.expect(&["started"]);
        server
    }

    // The exceptions.

    /// Returns false if a connection cannot be reset. An abort is then a close: the peer reads what
    /// was sent before, and does not learn that there was more. Only a close of a side that has not
    /// read everything is an error for the other one.
    fn resets(self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Unix => false,
            Self::RoughUnix(_) | Self::Faulted { over_unix: true, .. } => false,
            _ => true,
        }
    }

    /// Returns false if peers cannot be told apart by their addresses, so that no limit counts
    /// them one by one.
    fn tells_peers_apart(self) -> bool {
        self.resets()
    }

    /// Returns true if a connection is made only when both sides have sent something, so that
    /// neither a client over a limit nor one that the loop has no time for can be answered.
    fn shakes_hands(self) -> bool {
        match self {
            Self::Tls | Self::IdealTls | Self::RoughTls(_) => true,
            Self::Faulted { encrypted, .. } => encrypted,
            _ => false,
        }
    }

    /// Returns false if there is no urgent data. Of the systems with Unix sockets only Linux has it
    /// on them.
    fn has_urgent_data(self) -> bool {
        #[cfg(unix)]
        if matches!(self, Self::Unix) {
            let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
            return crate::support::Socket::Unix(socket).send_urgent().is_ok();
        }
        true
    }

    /// Returns true if the bytes go over a simulated network, and so take more time than on the
    /// machine and fit into smaller buffers.
    fn is_simulated(self) -> bool {
        match self {
            Self::Tcp4 | Self::Tcp6 | Self::Proxied | Self::Named | Self::TcpRecords => false,
            Self::Tls => false,
            #[cfg(unix)]
            Self::Unix | Self::Adopted => false,
            _ => true,
        }
    }

    /// Returns how many bytes are more than all the buffers in between hold, as `cx.factory.large`
    /// tells the server's protocols.
    fn large(self) -> usize {
        if self.is_simulated() { LARGE_SIMULATED } else { LARGE }
    }

    /// Expects that the server aborts the connection.
    #[track_caller]
    fn expect_abort(self, client: Client) {
        if self.resets() {
            client.expect_reset();
        } else {
            drop(client.rest_and_end());
        }
    }

    /// Returns true if a socket may take a part of a short write, although it has room for all.
    fn splits_writes(self) -> bool {
        match self {
            Self::Rough(_)
            | Self::RoughUnix(_)
            | Self::RoughProxied(_)
            | Self::RoughRecords(_)
            | Self::RoughTls(_)
            | Self::RoughNamed(_)
            | Self::Faulted { .. } => true,
            Self::Tcp4 | Self::Tcp6 | Self::Proxied | Self::Named | Self::Ideal => false,
            Self::TcpRecords | Self::IdealRecords | Self::Tls | Self::IdealTls => false,
            #[cfg(unix)]
            Self::Unix | Self::Adopted => false,
        }
    }

    /// Expects the last bytes of a connection that offers them to the socket once: if that does not
    /// take them all, a reset follows.
    #[track_caller]
    fn expect_last(self, client: Client, bytes: &str) {
        let (heard, in_order) = client.rest_and_end();
        assert!(bytes.as_bytes().starts_with(&heard), "{heard:?}");
        let whole = heard.len() == bytes.len();
        assert!(whole && in_order || self.splits_writes(), "{heard:?}");
        assert!(whole || !in_order || !self.resets(), "{heard:?}");
    }

    /// Expects that a client over a limit is rejected with this message.
    #[track_caller]
    fn expect_rejection(self, client: Client, message: &str) {
        if self.shakes_hands() {
            assert_eq!(client.rest_and_end(), (Vec::new(), false), "dropped at once");
        } else {
            self.expect_last(client, message);
        }
    }

    /// Returns the settings of a server, with the layers of the carrier.
    fn settings(self, settings: Settings) -> Settings {
        match self {
            Self::TcpRecords | Self::IdealRecords | Self::RoughRecords(_) => in_records(settings),
            _ => settings,
        }
    }

    /// Returns where a server listens on a simulated network.
    fn simulated_at(self) -> ServerEndpoint {
        let at = match self {
            Self::RoughUnix(_) => "unix:/run/server",
            Self::RoughProxied(_) => "haproxy:tcp:8000:trust=0.0.0.0/0",
            _ => "tcp:8000",
        };
        let at: ServerEndpoint = at.parse().unwrap();
        match self {
            Self::IdealTls | Self::RoughTls(_) => at.encrypted(&acceptor()),
            _ => at,
        }
    }

    /// Returns the seed and the conditions of its simulated network.
    fn network(self) -> (u64, Conditions) {
        match self {
            Self::Rough(seed)
            | Self::RoughUnix(seed)
            | Self::RoughProxied(seed)
            | Self::RoughTls(seed)
            | Self::RoughNamed(seed)
            | Self::RoughRecords(seed) => (seed, rough()),
            _ => (0, Conditions::ideal()),
        }
    }
}

fn in_records(settings: Settings) -> Settings {
    settings.record_layer(RECORD_LEN)
}

/// Rough conditions with buffers through which the megabytes of some tests pass in few steps.
fn rough() -> Conditions {
    const BUFFER: usize = 200_000;
    Conditions::rough().send_buffer(BUFFER).receive_buffer(BUFFER).bandwidth(50_000_000)
}

macro_rules! battery {
    ($($subject:ident: $($name:ident),* ;)*) => {
        mod tcp4 { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Tcp4); })*)* }
        mod tcp6 { $($(#[test] fn $name() {
            if crate::support::has_ipv6() {
                super::$subject::$name(super::Carrier::Tcp6);
            }
        })*)* }
        #[cfg(unix)]
        mod unix { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Unix); })*)* }
        #[cfg(unix)]
        mod adopted { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::Adopted);
        })*)* }
        mod proxied { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::Proxied);
        })*)* }
        mod rough_proxied { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::RoughProxied(1));
        })*)* }
        mod ideal { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Ideal); })*)* }
        mod rough_unix { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::RoughUnix(1));
        })*)* }
        mod rough { $($(#[test] fn $name() {
            for seed in 1..=super::SEEDS {
                super::$subject::$name(super::Carrier::Rough(seed));
            }
        })*)* }
        mod ideal_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::Ideal, test);
        })*)* }
        mod rough_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::Rough(1), test);
        })*)* }
        mod unix_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::RoughUnix(1), test);
        })*)* }
        mod records_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::RoughRecords(1), test);
        })*)* }
        mod proxied_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::RoughProxied(1), test);
        })*)* }
        mod tcp_records { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::TcpRecords);
        })*)* }
        mod ideal_records { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::IdealRecords);
        })*)* }
        mod rough_records { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::RoughRecords(1));
        })*)* }
        mod tls_with_faults { $($(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::$subject::$name);
            super::faulted::survives(name, super::Carrier::RoughTls(1), test);
        })*)* }
        mod tls { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Tls); })*)* }
        mod ideal_tls { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::IdealTls);
        })*)* }
        mod rough_tls { $($(#[test] fn $name() {
            super::$subject::$name(super::Carrier::RoughTls(1));
        })*)* }
    };
}

/// The tests of outgoing connections, by name.
macro_rules! by_name {
    ($($name:ident),*) => {
        mod named { $(#[test] fn $name() {
            super::dialling::$name(super::Carrier::Named);
        })* }
        mod rough_named { $(#[test] fn $name() {
            super::dialling::$name(super::Carrier::RoughNamed(1));
        })* }
        mod named_with_faults { $(#[test] fn $name() {
            let (name, test) = (stringify!($name), super::dialling::$name);
            super::faulted::survives(name, super::Carrier::RoughNamed(1), test);
        })* }
    };
}

by_name! {
    writes_before_the_connection_arrive_and_are_answered,
    a_refused_attempt_is_reported_and_stops_the_factory,
    an_attempt_is_cancelled_at_once,
    writes_before_a_graceful_close_are_delivered,
    a_reset_by_the_other_side_is_reported_with_its_error,
    many_simultaneous_attempts_are_all_served,
    both_sides_may_send_everything_before_they_read
}

battery! {
    data:
        an_echo_of_any_size_comes_back_whole,
        bytes_sent_before_a_close_are_answered,
        data_around_urgent_data_is_answered,
        a_client_that_sends_everything_before_it_reads_is_answered,
        writes_of_all_sizes_keep_their_order,
        writes_from_other_callbacks_arrive_in_order,
        a_broadcast_to_many_arrives_whole_at_each,
        a_busy_polling_loop_serves_like_any_other,
        a_timer_comes_back_to_its_protocol,
        timers_end_with_their_connection,
        addresses_are_those_of_the_sockets,
        socket_options_can_be_set,
        formatted_writes_arrive,
        results_of_threads_are_sent;
    pausing:
        a_paused_connection_reads_nothing_but_notices_a_reset,
        pausing_when_made_sticks,
        resuming_is_reported_once_and_before_held_back_data,
        a_reader_that_stops_and_goes_loses_nothing,
        a_protocol_that_yields_is_called_again_first_and_loses_nothing,
        a_close_is_noticed_after_held_back_data,
        losing_a_paused_connection_keeps_the_goodbye;
    ends:
        losing_the_connection_delivers_everything_to_a_late_reader,
        losing_the_connection_delivers_everything_to_a_peer_that_keeps_sending,
        losing_the_connection_stops_the_reading,
        writes_after_losing_the_connection_are_dropped,
        aborting_resets_and_discards,
        aborting_a_full_connection_is_not_held_up,
        a_peer_that_takes_nothing_is_closed_by_the_close_timeout,
        a_reset_by_the_peer_is_reported_with_its_error,
        a_reset_is_noticed_while_closing,
        failing_reports_the_reason_and_closes_gracefully,
        a_stream_that_is_cut_short_does_not_look_whole,
        the_first_reason_stays,
        a_transport_reports_its_state,
        many_simultaneous_ends_are_reported_once_each,
        kept_handles_are_harmless,
        a_protocol_may_do_anything_to_every_other;
    flow:
        a_reader_is_sent_whole_to_a_late_reader,
        a_reader_ends_with_its_connection,
        a_reader_that_fails_leaves_no_stream_that_looks_whole,
        a_producer_with_nothing_to_give_does_not_outlive_its_peer,
        a_producer_that_writes_in_a_loop_sees_the_high_water_mark,
        a_proxy_holds_no_more_than_the_high_water_mark_and_passes_everything,
        a_lost_consumer_ends_its_producer,
        a_producer_is_paused_and_resumed_in_turn,
        above_max_unsent_a_slow_consumer_is_closed,
        above_max_unsent_total_the_slowest_consumer_is_closed,
        within_a_callback_max_unsent_total_is_never_exceeded,
        a_slow_member_misses_whole_messages_and_the_others_none,
        rejected_writes_are_reported;
    limits:
        clients_over_the_limit_are_rejected_until_one_leaves,
        an_accept_rate_accepts_every_client_in_the_end;
    rates:
        an_echo_under_a_rate_limit_comes_back_whole,
        connections_sharing_a_rate_limit_are_all_served,
        losing_the_connection_delivers_everything_under_a_rate_limit;
    dialling:
        writes_before_the_connection_arrive_and_are_answered,
        a_refused_attempt_is_reported_and_stops_the_factory,
        an_attempt_is_cancelled_at_once,
        writes_before_a_graceful_close_are_delivered,
        a_reset_by_the_other_side_is_reported_with_its_error,
        many_simultaneous_attempts_are_all_served,
        both_sides_may_send_everything_before_they_read;
    waiting:
        a_silent_client_is_closed_gracefully,
        a_client_that_never_reads_is_reset,
        a_handshake_a_byte_at_a_time_is_timed_out,
        a_late_loop_does_not_time_out_a_client_that_sent_in_time,
        a_protocol_says_goodbye_after_a_timeout;
    halves:
        a_close_by_the_peer_flushes_first,
        a_half_closed_connection_can_be_written_to,
        closing_the_writing_half_keeps_reading,
        closing_the_writing_half_sends_earlier_writes_first,
        both_sides_may_close_at_the_same_time,
        a_reset_after_a_half_close_is_noticed;
    stopping:
        connections_in_every_state_get_connection_lost_once,
        connections_aborted_in_the_last_turn_or_during_shutdown_get_connection_lost,
        draining_delivers_everything_and_then_stops,
        clients_waiting_to_be_accepted_are_served_before_a_drain,
        draining_ends_at_its_deadline;
}

/// Returns bytes in which a missing piece shows. They are computed once, and not in each test: a
/// debug build takes long for megabytes.
fn pattern(length: usize) -> &'static [u8] {
    /// The period of the pattern, in bytes.
    const PERIOD: usize = 64 * 1024;
    static LONGEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let period: Vec<u8> = (0..PERIOD).map(|at| (at * 7 + at / 256 * 13) as u8).collect();
        period.repeat(LARGE / PERIOD)
    });
    &LONGEST[..length]
}
