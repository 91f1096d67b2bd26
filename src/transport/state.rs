//! Life cycle of a connection. Pure.

use crate::reason::Reason;

/// Life cycle of a connection: from open to lost.
///
/// ```text
///            pause / resume, peer's FIN, lose_write_connection
///              ┌────┐
///              ▼    │
///   ────────▶ Open ─┘──── both halves done ───────────┐
///              │ │                                     ▼
///              │ └─ lose_connection ─▶ Closing ──▶ all sent ─▶ (Done)
///              │                          │                       │
///              │ abort, fail, panic,      │ the same,             │
///              │ error of the socket      │ close_timeout         ▼
///              └───────▶ Ending(reason) ◀─┘─────────────────▶  Lost
///              │               ▲
///              │ write failed  │ all that had arrived is read
///              └──▶ Severed ───┘
/// ```
///
/// Callbacks only move it along the arrows. When the callback has returned, the loop asks for the
/// [`next`](Self::next) action and carries it out.
#[derive(Debug)]
pub(crate) enum State {
    /// Each half has its own state.
    Open { input: Input, output: Output },
    /// The sending half has failed. Bytes that have arrived are still delivered; then the
    /// connection ends with this reason.
    Severed { input: Input, reason: Box<Reason> },
    /// Graceful close: nothing is read, nothing more is accepted, and unsent bytes still leave.
    Closing,
    /// Over with this reason, which the loop has yet to carry out. (Boxed, since few are, and it
    /// would be the greater part of an idle connection's state.)
    Ending(Box<Reason>),
    /// The protocol has heard `connection_lost`, or is hearing it.
    Lost,
}

/// The receiving half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Flowing,
    Paused,
    /// Resumed, and the protocol has not heard it yet. Nothing is read before, so that a protocol
    /// which held bytes back sees them in order.
    Resuming,
    /// The peer has sent its FIN.
    Ended,
}

/// The sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Open,
    /// Half-close: a FIN follows once the write buffer is empty; nothing more is accepted.
    Finishing,
    /// Our FIN is sent.
    Finished,
}

/// The loop's next action for a connection, once a callback has returned and the write buffer was
/// offered to the socket.
#[derive(Debug)]
pub(crate) enum Action {
    Idle,
    /// Wait for the peer to take the unsent bytes before the connection closes.
    AwaitSent,
    /// Tell the protocol to stop writing.
    PauseProducer,
    /// Tell the protocol that it may write.
    ResumeProducer,
    /// Read the clock for the timeouts, and schedule the next check.
    UpdateTimeouts,
    /// Ask the rate limiter whether more may be sent.
    RefillRate,
    /// Read from the producer for the connection.
    Produce,
    /// Read what has arrived: nothing more can be sent.
    ReadRemaining,
    /// Tell the protocol that writes were rejected.
    ReportRejected,
    /// Tell the protocol that reading was resumed.
    Resume,
    /// Send our FIN.
    ShutdownWrite,
    /// The connection is over.
    End(Reason),
}

impl State {
    pub(crate) fn new() -> Self {
        Self::Open { input: Input::Flowing, output: Output::Open }
    }

    pub(crate) fn accepts_writes(&self) -> bool {
        matches!(self, Self::Open { output: Output::Open, .. })
    }

    /// Returns true if unsent bytes may leave: best effort, without waiting, even after a callback
    /// has failed.
    pub(crate) fn sends(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Closing => true,
            Self::Ending(reason) => !reason.is_abortive() && !matches!(**reason, Reason::Lost(_)),
            Self::Severed { .. } | Self::Lost => false,
        }
    }

    #[inline]
    fn input(&self) -> Option<Input> {
        match self {
            Self::Open { input, .. } | Self::Severed { input, .. } => Some(*input),
            Self::Closing | Self::Ending(_) | Self::Lost => None,
        }
    }

    #[inline]
    fn input_mut(&mut self) -> Option<&mut Input> {
        match self {
            Self::Open { input, .. } | Self::Severed { input, .. } => Some(input),
            Self::Closing | Self::Ending(_) | Self::Lost => None,
        }
    }

    /// Returns true if a close or half-close waits for the producer, whose writes are accepted.
    pub(crate) fn waits_for_producer(&self) -> bool {
        matches!(self, Self::Closing | Self::Open { output: Output::Finishing, .. })
    }

    /// Returns true if the peer's FIN has not been read, and reading has not ended.
    /// Returns true if the FIN of a half-close is due.
    pub(crate) fn is_half_closing(&self) -> bool {
        matches!(self, Self::Open { output: Output::Finishing, .. })
    }

    pub(crate) fn will_read(&self) -> bool {
        self.input().is_some_and(|input| input != Input::Ended)
    }

    pub(crate) fn reads(&self) -> bool {
        self.input() == Some(Input::Flowing)
    }

    /// Returns true if neither a read nor a write would meet an error of the socket, so that it has
    /// to be asked for.
    pub(crate) fn ignores_input(&self) -> bool {
        match self {
            Self::Open { input, .. } => *input != Input::Flowing,
            Self::Closing => true,
            Self::Severed { .. } | Self::Ending(_) | Self::Lost => false,
        }
    }

    pub(crate) fn is_disconnecting(&self) -> bool {
        matches!(self, Self::Closing | Self::Ending(_))
    }

    pub(crate) fn is_severed(&self) -> bool {
        matches!(self, Self::Severed { .. })
    }

    /// Returns true if the connection is ending otherwise than by a graceful close.
    pub(crate) fn is_breaking(&self) -> bool {
        matches!(self, Self::Severed { .. } | Self::Ending(_))
    }

    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Returns true if received bytes are still delivered.
    #[inline]
    pub(crate) fn delivers(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Severed { .. })
    }

    pub(crate) fn is_resuming(&self) -> bool {
        self.input() == Some(Input::Resuming)
    }

    /// Returns the name of the state, for the `Debug` text of a transport.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Closing => "closing",
            Self::Severed { .. } | Self::Ending(_) => "ending",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.input() == Some(Input::Paused)
    }

    /// Returns true if this side does not read what the peer may be sending. (A peer that has sent
    /// its FIN sends nothing.)
    pub(crate) fn holds_input(&self) -> bool {
        matches!(self.input(), Some(Input::Paused | Input::Resuming))
    }

    pub(crate) fn pause(&mut self) {
        if let Some(input @ (Input::Flowing | Input::Resuming)) = self.input_mut() {
            *input = Input::Paused;
        }
    }

    /// Resumes reading. True if that changed anything.
    pub(crate) fn resume(&mut self) -> bool {
        match self.input_mut() {
            Some(input @ Input::Paused) => {
                *input = Input::Resuming;
                true
            }
            _ => false,
        }
    }

    /// Continues reading: the protocol is hearing `reading_resumed`.
    pub(crate) fn resumed(&mut self) {
        if let Some(input @ Input::Resuming) = self.input_mut() {
            *input = Input::Flowing;
        }
    }

    /// Ends the receiving half: the peer's FIN has been read.
    pub(crate) fn end_input(&mut self) {
        if let Some(input) = self.input_mut() {
            *input = Input::Ended;
        }
    }

    /// Begins a half-close. True if that changed anything.
    pub(crate) fn lose_write(&mut self) -> bool {
        match self {
            Self::Open { output: output @ Output::Open, .. } => {
                *output = Output::Finishing;
                true
            }
            _ => false,
        }
    }

    /// Ends the sending half: our FIN has been sent.
    pub(crate) fn output_finished(&mut self) {
        if let Self::Open { output: output @ Output::Finishing, .. } = self {
            *output = Output::Finished;
        }
    }

    /// Begins a graceful close. True if that changed anything.
    pub(crate) fn lose(&mut self) -> bool {
        match std::mem::replace(self, Self::Closing) {
            Self::Open { .. } => true,
            // The protocol does not want the remaining bytes.
            Self::Severed { reason, .. } => {
                *self = Self::Ending(reason);
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// Records that the sending half has failed: nothing more can be sent, but bytes that have
    /// arrived are still delivered, if they are wanted.
    pub(crate) fn sever(&mut self, reason: Reason) {
        match self {
            Self::Open { input: input @ (Input::Flowing | Input::Resuming), .. } => {
                *self = Self::Severed { input: *input, reason: Box::new(reason) };
            }
            _ => drop(self.end(reason)),
        }
    }

    /// Ends a connection whose sending half has failed, since nothing more has arrived. False if
    /// the connection was not in that state.
    pub(crate) fn read_out(&mut self) -> bool {
        self.is_severed() && self.lose()
    }

    /// Ends the connection. The first reason stays, but a panic replaces it: whatever else a
    /// callback that panicked has asked for, the panic is why the connection ends. Returns the
    /// displaced reason.
    pub(crate) fn end(&mut self, reason: Reason) -> Option<Reason> {
        if self.is_severed() {
            self.lose();
        }
        match self {
            Self::Open { .. } | Self::Closing => {
                *self = Self::Ending(Box::new(reason));
                None
            }
            Self::Ending(first) if matches!(reason, Reason::Panicked(_)) => {
                Some(std::mem::replace(&mut **first, reason))
            }
            Self::Ending(_) | Self::Severed { .. } | Self::Lost => Some(reason),
        }
    }

    /// Returns why an attempt to connect is dropped, if it is. `nothing_waits` says that it has
    /// neither unsent bytes nor a producer.
    pub(crate) fn given_up(&self, nothing_waits: bool) -> Option<Reason> {
        match self {
            Self::Closing if nothing_waits => Some(Reason::Aborted),
            Self::Ending(reason) => Some((**reason).clone()),
            _ => None,
        }
    }

    /// Returns the loop's next action, given whether everything accepted has been sent.
    pub(crate) fn next(&self, all_sent: bool) -> Action {
        match self {
            Self::Open { input: Input::Ended, output: Output::Finished } if all_sent => {
                Action::End(Reason::Done)
            }
            Self::Open { output: Output::Finishing, .. } if all_sent => Action::ShutdownWrite,
            // Nothing is left but to send the rest, as in a close: after the FIN of a stream that
            // ends with a record, that record.
            Self::Open { input: Input::Ended, output: Output::Finishing | Output::Finished } => {
                Action::AwaitSent
            }
            Self::Open { input: Input::Resuming, .. }
            | Self::Severed { input: Input::Resuming, .. } => Action::Resume,
            Self::Severed { input: Input::Flowing, .. } => Action::ReadRemaining,
            Self::Severed { reason, .. } => Action::End((**reason).clone()),
            Self::Closing if all_sent => Action::End(Reason::Done),
            Self::Closing => Action::AwaitSent,
            Self::Ending(reason) => Action::End((**reason).clone()),
            Self::Open { .. } | Self::Lost => Action::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(next: Action) -> bool {
        matches!(next, Action::End(Reason::Done))
    }

    #[test]
    fn closing_waits_for_the_write_buffer() {
        let mut state = State::new();
        assert!(state.lose());
        assert!(!state.lose(), "a second call changes nothing");
        assert!(!state.accepts_writes() && !state.reads() && state.is_disconnecting());
        assert!(matches!(state.next(false), Action::AwaitSent));
        assert!(done(state.next(true)));
    }

    #[test]
    fn a_connection_with_both_halves_closed_is_done() {
        for input_first in [true, false] {
            let mut state = State::new();
            if input_first {
                state.end_input();
            }
            assert!(state.lose_write());
            assert!(!state.lose_write(), "idempotent");
            assert!(!state.accepts_writes());
            let waits = state.next(false);
            let as_good_as_closing = matches!(waits, Action::AwaitSent);
            assert!(as_good_as_closing || matches!(waits, Action::Idle), "the buffer goes first");
            assert_eq!(as_good_as_closing, input_first);
            assert!(matches!(state.next(true), Action::ShutdownWrite));
            state.output_finished();
            assert_eq!(done(state.next(true)), input_first);
            state.end_input();
            assert!(done(state.next(true)));
        }
    }

    #[test]
    fn a_pause_resumed_at_once_is_still_heard_once() {
        let mut state = State::new();
        assert!(!state.resume(), "was not paused");
        state.pause();
        assert!(!state.reads() && state.ignores_input());
        assert!(state.resume());
        assert!(!state.resume());
        assert!(!state.reads(), "not before the protocol has heard it");
        assert!(matches!(state.next(true), Action::Resume));
        state.resumed();
        assert!(state.reads() && matches!(state.next(true), Action::Idle));
    }

    #[test]
    fn the_first_reason_stays_but_a_panic_overrides() {
        let mut state = State::new();
        state.lose();
        state.end(Reason::Aborted);
        state.end(Reason::Overflow);
        assert!(matches!(state.next(false), Action::End(Reason::Aborted)));
        state.end(Reason::Panicked("boom".into()));
        assert!(matches!(state.next(false), Action::End(Reason::Panicked(_))));
        assert!(!state.lose() && !state.resume() && !state.lose_write());
    }

    #[test]
    fn a_failed_write_waits_for_bytes_that_have_arrived() {
        let broken = || Reason::lost(std::io::ErrorKind::BrokenPipe.into());
        let lost = |next: Action| matches!(next, Action::End(Reason::Lost(_)));
        let mut state = State::new();
        state.sever(broken());
        assert!(state.reads() && state.delivers() && !state.is_disconnecting());
        assert!(!state.accepts_writes() && !state.sends() && !state.is_open());
        assert!(matches!(state.next(false), Action::ReadRemaining));
        state.end_input();
        assert!(lost(state.next(false)), "the peer's FIN is the last of it");
        // So is anything else that ends the reading, and the reason is the first one.
        let endings: [fn(&mut State); 4] = [
            |state| state.pause(),
            |state| assert!(state.lose()),
            |state| assert!(state.read_out()),
            |state| drop(state.end(Reason::Aborted)),
        ];
        for end in endings {
            let mut state = State::new();
            state.sever(broken());
            end(&mut state);
            assert!(lost(state.next(true)));
        }
        // What does not read has nothing to wait for.
        for stop in [State::pause as fn(&mut State), State::end_input, |it| assert!(it.lose())] {
            let mut state = State::new();
            stop(&mut state);
            state.sever(broken());
            assert!(lost(state.next(true)));
        }
        assert!(!State::new().read_out());
        assert_eq!(size_of::<State>(), 16, "there is one for each connection");
    }

    #[test]
    fn nothing_revives_a_lost_connection() {
        let mut state = State::Lost;
        state.pause();
        state.end_input();
        state.end(Reason::Aborted);
        assert!(!state.lose() && !state.resume() && !state.lose_write());
        assert!(state.is_lost() && !state.accepts_writes() && !state.is_disconnecting());
        assert!(matches!(state.next(true), Action::Idle));
    }
}
