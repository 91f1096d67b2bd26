//! The contract of a stream transport, kept by every carrier.

mod data;
mod dialling;
mod ends;
mod flow;
mod halves;
mod limits;
mod pausing;
mod rates;
mod stopping;
mod waiting;

use crate::support::{Cx, Event, Server};
use twistor::Settings;
use twistor::testing::{Conditions, Simulation};

/// Each test of the battery runs on so many rough networks.
const SEEDS: u64 = 2;

/// What carries the bytes.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Tcp4,
    Tcp6,
    /// A simulated network without any delay.
    Ideal,
    /// One that delays, cuts and reorders, as this seed says.
    Rough(u64),
}

impl Carrier {
    fn serve(self, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        self.serve_with(Settings::default(), act)
    }

    fn serve_with(self, settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        // Read by whoever looks for the cause of a failure, and by nobody else.
        println!("over {self:?}");
        let simulated = |seed, conditions, settings| {
            let simulation = Simulation::new(seed);
            simulation.set_conditions(conditions);
            Server::simulated(simulation, settings, act)
        };
        let server = match self {
            Self::Tcp4 => Server::with("127.0.0.1:0".parse().unwrap(), settings, act),
            Self::Tcp6 => Server::with("[::1]:0".parse().unwrap(), settings, act),
            Self::Ideal => simulated(0, Conditions::ideal(), settings),
            Self::Rough(seed) => simulated(seed, rough(), settings),
        };
        server.expect(&["started"]);
        server
    }
}

/// Buffers through which the megabytes of some tests get in few steps.
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
        mod ideal { $($(#[test] fn $name() { super::$subject::$name(super::Carrier::Ideal); })*)* }
        mod rough { $($(#[test] fn $name() {
            for seed in 1..=super::SEEDS {
                super::$subject::$name(super::Carrier::Rough(seed));
            }
        })*)* }
    };
}

battery! {
    data:
        an_echo_of_any_size_comes_back_whole,
        what_a_client_sends_before_it_closes_is_answered,
        everything_around_urgent_data_is_answered,
        a_client_that_sends_all_before_it_reads_is_answered,
        writes_of_all_sizes_keep_their_order,
        what_is_written_from_elsewhere_arrives_in_order,
        a_broadcast_to_many_arrives_whole_at_each,
        a_loop_that_polls_busily_serves_all_the_same,
        a_timer_comes_back_to_its_protocol,
        timers_end_with_their_connection,
        addresses_are_those_of_the_sockets,
        socket_options_can_be_set,
        formatted_writes_arrive,
        what_a_thread_has_computed_is_answered;
    pausing:
        a_paused_connection_reads_nothing_but_notices_a_reset,
        pausing_when_made_sticks,
        resuming_is_heard_once_and_before_what_was_held_back,
        a_reader_that_stops_and_goes_loses_nothing,
        a_protocol_that_yields_is_called_again_first_and_loses_nothing,
        a_close_is_noticed_behind_what_was_held_back,
        losing_a_paused_connection_keeps_the_goodbye;
    ends:
        losing_the_connection_delivers_everything_to_one_who_reads_late,
        losing_the_connection_delivers_everything_to_one_who_goes_on_talking,
        losing_the_connection_stops_the_reading,
        what_is_written_after_losing_the_connection_is_dropped,
        aborting_resets_and_discards,
        aborting_a_full_connection_is_not_held_up,
        a_peer_that_takes_nothing_is_given_up,
        a_reset_by_the_peer_is_told_with_its_error,
        a_reset_is_noticed_while_closing,
        failing_tells_the_reason_and_closes_in_order,
        a_stream_that_is_cut_short_does_not_look_whole,
        the_first_reason_stays,
        a_transport_says_where_it_is_in_its_life,
        many_ends_at_once_are_told_once_each,
        kept_handles_are_harmless,
        a_protocol_may_do_anything_to_every_other;
    flow:
        a_reader_is_sent_whole_to_one_who_reads_late,
        a_reader_ends_with_its_connection,
        a_reader_that_fails_leaves_no_stream_that_looks_whole,
        a_producer_with_nothing_to_give_does_not_outlive_its_peer,
        a_producer_that_writes_in_a_loop_is_told_when_to_stop,
        a_proxy_holds_no_more_than_the_mark_and_passes_everything,
        a_consumer_that_is_gone_ends_its_producer,
        a_producer_is_paused_and_resumed_in_turn,
        above_the_limit_a_slow_reader_is_lost,
        with_too_much_unsent_in_all_the_slowest_is_lost,
        within_a_callback_no_more_is_unsent_in_all_than_may_be,
        a_slow_member_misses_whole_messages_and_the_others_none,
        refused_writes_are_told;
    limits:
        who_is_one_too_many_is_told_so_until_somebody_goes,
        a_rate_lets_everybody_in_by_and_by;
    rates:
        an_echo_at_a_rate_comes_back_whole,
        those_who_share_a_rate_are_all_served,
        losing_the_connection_delivers_everything_at_its_rate;
    dialling:
        what_is_written_before_it_is_connected_arrives_and_is_answered,
        where_nobody_listens_the_factory_is_told_and_stopped,
        an_attempt_is_given_up_at_once,
        what_was_written_before_a_loss_in_order_is_delivered,
        a_reset_by_the_other_side_is_told_with_its_error,
        many_at_once_are_all_served;
    waiting:
        a_silent_client_is_closed_in_order,
        a_client_that_never_reads_is_reset,
        a_handshake_a_byte_at_a_time_comes_to_an_end,
        whoever_has_spoken_in_time_is_not_blamed_for_a_late_loop,
        a_protocol_says_goodbye_to_whom_it_has_waited_for;
    halves:
        a_close_by_the_peer_flushes_first,
        a_half_closed_connection_can_be_written_to,
        closing_the_writing_half_goes_on_reading,
        closing_the_writing_half_sends_what_was_written_first,
        both_sides_may_close_at_the_same_time,
        a_reset_after_a_half_close_is_noticed;
    stopping:
        idle_paused_half_closed_and_flushing_connections_all_hear_of_it_once,
        aborted_in_the_last_turn_and_during_shutdown,
        draining_delivers_everything_and_then_stops,
        clients_that_wait_to_be_accepted_are_served_before_a_drain,
        draining_ends_at_its_deadline;
}

/// Bytes in which a missing piece shows.
fn pattern(length: usize) -> Vec<u8> {
    // They repeat after so many.
    const PERIOD: usize = 64 * 1024;
    let period: Vec<u8> = (0..PERIOD).map(|at| (at * 7 + at / 256 * 13) as u8).collect();
    let mut bytes = period.repeat(length.div_ceil(PERIOD));
    bytes.truncate(length);
    bytes
}
