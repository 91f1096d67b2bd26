//! The contract of a stream transport, kept by every carrier.

mod data;
mod ends;

use crate::support::{Cx, Event, Server};
use twistor::Settings;

/// What carries the bytes.
#[derive(Clone, Copy)]
enum Carrier {
    Tcp4,
    Tcp6,
}

impl Carrier {
    fn serve(self, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        self.serve_with(Settings::default(), act)
    }

    fn serve_with(self, settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        let at = match self {
            Self::Tcp4 => "127.0.0.1:0",
            Self::Tcp6 => "[::1]:0",
        };
        let server = Server::with(at.parse().unwrap(), settings, act);
        server.expect(&["started"]);
        server
    }
}

macro_rules! battery {
    ($($subject:ident: $($name:ident),* ;)*) => {
        mod tcp4 { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Tcp4); })*)* }
        mod tcp6 { $($(#[test] fn $name() {
            if crate::support::has_ipv6() {
                super::$subject::$name(super::Carrier::Tcp6);
            }
        })*)* }
    };
}

battery! {
    data:
        an_echo_of_any_size_comes_back_whole,
        what_a_client_sends_before_it_closes_is_answered,
        a_paused_connection_reads_nothing_but_notices_a_reset,
        pausing_when_made_sticks,
        a_timer_comes_back_to_its_protocol,
        addresses_are_those_of_the_sockets,
        socket_options_can_be_set,
        formatted_writes_arrive;
    ends:
        losing_the_connection_delivers_everything_to_one_who_reads_late,
        losing_the_connection_delivers_everything_to_one_who_goes_on_talking,
        losing_the_connection_stops_the_reading,
        what_is_written_after_losing_the_connection_is_dropped,
        aborting_resets_and_discards,
        aborting_a_full_connection_is_not_held_up,
        a_peer_that_takes_nothing_is_given_up,
        a_reset_by_the_peer_is_told_with_its_error,
        a_close_by_the_peer_flushes_first,
        a_half_closed_connection_can_be_written_to,
        closing_the_writing_half_goes_on_reading,
        failing_tells_the_reason_and_closes_in_order,
        kept_handles_are_harmless;
}

/// Bytes in which a missing piece shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256 * 13) as u8).collect()
}
