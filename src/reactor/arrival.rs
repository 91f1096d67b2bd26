//! Arrival: the stages of a connection before it has a protocol.

use super::Reactor;
use super::client_service::Ended;
use super::panic::guard;
use super::queues::Overdue;
use super::table::{Arriving, Established, Queued, Reaching, Slot, Stage};
use super::timers::TimerAction;
use crate::address::Network;
use crate::arena::Id;
use crate::driver::Stream;
use crate::proxy_protocol::{Decoded, ProxyDecoder, ProxyHeader};
use crate::tls::TlsSide;
use crate::transport::Transport;
use std::io;

/// How an attempt to pass the stages of an arriving connection has ended.
enum Progress {
    /// It waits for an event.
    Blocked,
    Arrived,
}

/// Bytes of a PROXY header that one call reads: nearly all of them are shorter.
const HEADER_READ_LEN: usize = 512;

impl Reactor {
    /// Begins the arrival of an accepted connection with its first stage. `counted` is the network
    /// that it was counted for.
    pub(super) fn begin_arrival(
        &mut self,
        stage: Stage,
        tls: Option<TlsSide>,
        counted: Option<Network>,
        transport: impl FnOnce(Id) -> Transport,
    ) {
        let due = self.due_in(self.settings.handshake_timeout);
        let awaits_hello = matches!(stage, Stage::Accepted);
        let id = self.connections.insert_with(|id| {
            let timeout = self.timers.set(due, TimerAction::ArrivalTimeout(id));
            Slot::Arriving(Arriving::boxed(transport(id), timeout, stage, tls, counted))
        });
        self.out_of_band_arriving += usize::from(self.is_arriving_out_of_band(id));
        // A PROXY header has mostly arrived by now. A client's hello has not, so a session begins
        // with its first byte, and a client that says nothing has none.
        match self.connections.get(id) {
            Some(Slot::Arriving(arriving)) if awaits_hello => arriving.transport.clone().register(),
            _ => self.check_arriving(id),
        }
    }

    /// Continues with an arriving connection, after an event of the poller or a request to end it.
    pub(super) fn check_arriving(&mut self, id: Id) {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return };
        let (transport, has_tls) = (arriving.transport.clone(), arriving.has_tls());
        let is_reaching = matches!(arriving.stage, Stage::Reaching(_));
        transport.connection().clear_dirty();
        transport.connection().begin_serving();
        if self.end_given_up(id, &transport) {
            return;
        }
        if is_reaching {
            match self.reach_host(id, &transport) {
                Ok(true) => {}
                Ok(false) => return transport.list_unsent(),
                Err(error) => return self.fail_arriving(id, error),
            }
        }
        if has_tls && !self.has_time_for_handshake(id) {
            return;
        }
        self.pass_stages(id, &transport);
    }

    /// Fails an arriving connection that was given up: aborted, or closed with nothing to send.
    /// Returns true if it was.
    pub(super) fn end_given_up(&mut self, id: Id, transport: &Transport) -> bool {
        let Some(reason) = transport.connection().given_up() else { return false };
        match self.connections.get(id) {
            Some(Slot::Arriving(arriving)) if !arriving.has_failed() => {}
            _ => return false,
        }
        // Displays the reason, which may be the user's own error.
        let error = guard(|| io::Error::from(&reason));
        let error = error.unwrap_or_else(|panic| io::Error::other(panic.0.to_string()));
        self.fail_arriving(id, error);
        if let Err(panic) = guard(|| drop(reason)) {
            let peer = transport.peer_address();
            self.report_panic(format_args!("dropping an error of {peer} panicked"), &panic);
        }
        true
    }

    /// Passes as many stages of an arriving connection as possible without waiting.
    pub(super) fn pass_stages(&mut self, id: Id, transport: &Transport) {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return };
        let has_tls = arriving.has_tls();
        let progress = arriving.advance();
        if has_tls {
            self.record_handshake(transport);
        }
        match progress {
            Ok(Progress::Blocked) => {
                transport.list_unsent();
                transport.register();
                self.check_arriving_later(id);
            }
            Ok(Progress::Arrived) => self.arrived(id, transport),
            Err(error) => self.fail_arriving(id, error),
        }
    }

    /// Ends the arrival: builds the protocol, and reads what came behind the last stage.
    fn arrived(&mut self, id: Id, transport: &Transport) {
        self.end_arriving_out_of_band(id);
        let Some(slot) = self.connections.get_mut(id) else { return };
        let established = Slot::Established(Established::new(transport.clone()));
        let mut counted = None;
        if let Slot::Arriving(arriving) = std::mem::replace(slot, established) {
            self.timers.cancel(arriving.timeout);
            arriving.retry.map(|retry| self.timers.cancel(retry));
            counted = arriving.counted;
        }
        transport.connection().established();
        transport.connection().put_layers(|socket| self.settings.layered(socket));
        if !transport.is_outgoing() && counted.is_none() {
            if let Err(message) = self.admit_peer(transport) {
                self.recorder.totals.rejected += 1;
                self.refuse(id, transport, message);
                self.release_place(transport, None);
                return self.release_factory(transport);
            }
        }
        self.establish(id, transport);
        if let Some(connection) = self.connections.find(id) {
            // In this turn, and behind what the peer has sent already.
            if transport.connection().holds_handshake() {
                transport.settle_later();
            }
            self.serve_again(&connection);
        }
    }

    /// Sets a timer for an attempt that no edge may announce, unless it has one.
    fn check_arriving_later(&mut self, id: Id) {
        let delay = match self.connections.get(id) {
            Some(Slot::Arriving(arriving)) if arriving.retry.is_none() => {
                arriving.transport.connection().connect_retry_delay()
            }
            _ => None,
        };
        let retry = delay.map(|delay| self.set_timer_action(delay, TimerAction::RetryConnect(id)));
        if let (Some(Slot::Arriving(arriving)), Some(retry)) = (self.connections.get_mut(id), retry)
        {
            arriving.retry = Some(retry);
        }
    }

    /// Queues an attempt to be checked again, after its retry delay.
    pub(super) fn retry_connecting(&mut self, id: Id) {
        if let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) {
            arriving.retry = None;
            self.queues.ready.push(id);
        }
    }

    /// Queues an arriving connection whose timeout has expired for a last check: the bytes may have
    /// come while the loop was late.
    pub(super) fn arrival_timed_out(&mut self, id: Id) {
        self.queues.ready.push(id);
        self.queues.overdue.push(Overdue { id, looks: 1 });
    }

    /// Fails an arriving connection that still waits after its timeout. If its handshake is queued,
    /// the peer may have sent its part in time, and that is looked at first.
    pub(super) fn fail_overdue_arriving(&mut self, id: Id) {
        if let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) {
            if arriving.queued != Queued::No {
                arriving.queued = Queued::Overdue;
                return;
            }
        }
        let error = self.take_reaching(id).map(Reaching::into_error);
        self.fail_arriving(id, error.unwrap_or(io::ErrorKind::TimedOut.into()));
    }

    /// Gives an arriving connection up, since the reactor drains or stops.
    pub(super) fn abort_arriving(&mut self, id: Id) {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return };
        if !self.is_arriving_out_of_band(id) {
            self.record_abandoned(arriving.transport.unsent());
        }
        let stopping = "the reactor is stopping";
        self.fail_arriving(id, io::Error::new(io::ErrorKind::ConnectionAborted, stopping));
    }

    /// Ends an arriving connection. An attempt to connect is reported to its factory by
    /// `connection_failed`; no factory has heard of an accepted connection.
    pub(super) fn fail_arriving(&mut self, id: Id, error: io::Error) {
        drop(self.take_reaching(id));
        self.end_arriving_out_of_band(id);
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return };
        self.timers.cancel(arriving.timeout);
        arriving.retry.map(|retry| self.timers.cancel(retry));
        let (transport, counted) = (arriving.transport.clone(), arriving.counted);
        let factory = transport.factory();
        self.drop_reader(transport.end_extras());
        // A plain release suffices: no peer was connected that a reset could inform.
        drop(transport.connection().release());
        self.connections.remove(id);
        let peer = transport.peer_address();
        self.report_tls_panic(&transport, &error);
        if !transport.is_outgoing() {
            self.release_place(&transport, counted);
            if has_left(&error) {
                log::debug!("{peer} left before its connection was made: {error}");
            } else {
                self.recorder.totals.rejected += 1;
                self.warn_not_arrived(factory, &peer, &error);
            }
            return self.release_factory(&transport);
        }
        let name = self.protocol_name(factory);
        // The error may be that of the user's resolver.
        if let Err(panic) = guard(|| log::debug!("{name} could not connect to {peer}: {error}")) {
            self.report_panic(format_args!("logging an error of {peer} panicked"), &panic);
        }
        #[cfg(feature = "testing")]
        self.notify_observer(&transport, super::Happening::NotMade(error.kind()));
        let told =
            self.with_erased(factory, |factory, reactor| factory.fail(&transport, &error, reactor));
        self.record_call();
        if let Some(Err(panic)) = told {
            let name = self.protocol_name(factory);
            self.report_panic(
                format_args!("connection_failed of the factory of {name} of {peer} panicked"),
                &panic,
            );
        }
        if let Some(service) = transport.service() {
            self.client_service_over(service, &transport, Ended::Failed(error));
        }
        self.release_factory(&transport);
    }
}

/// Returns true if a client has ended the connection itself, as health checks and port scans do.
fn has_left(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

impl Arriving {
    pub(super) fn boxed(
        transport: Transport,
        timeout: Id,
        stage: Stage,
        tls: Option<TlsSide>,
        counted: Option<Network>,
    ) -> Box<Self> {
        Box::new(Self { transport, timeout, retry: None, stage, tls, queued: Queued::No, counted })
    }

    fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Failed(_))
    }

    /// Returns true if nothing but what the peer sends can continue it.
    pub(super) fn awaits_peer(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::ReceivingHeader(_))
    }

    /// Returns true if it makes a TLS handshake, or will.
    fn has_tls(&self) -> bool {
        self.tls.is_some() || matches!(self.stage, Stage::Handshaking)
    }

    /// Passes as many stages as possible without waiting.
    fn advance(&mut self) -> io::Result<Progress> {
        loop {
            let transport = &self.transport;
            let is_passed = match &mut self.stage {
                Stage::Failed(error) => {
                    return Err(std::mem::replace(error, io::ErrorKind::Other.into()));
                }
                // It has its stream first.
                Stage::Reaching(_) => return Ok(Progress::Blocked),
                Stage::Connecting { header } => {
                    if !transport.connection().is_established()? {
                        return Ok(Progress::Blocked);
                    }
                    if let Some(bytes) = header.take() {
                        self.stage = Stage::SendingHeader { bytes, sent: 0 };
                        continue;
                    }
                    true
                }
                Stage::Accepted => true,
                Stage::SendingHeader { bytes, sent } => {
                    send_header(transport.connection().stream_mut()?, bytes, sent)?
                }
                Stage::ReceivingHeader(decoder) => {
                    let header = receive_header(transport.connection().stream_mut()?, decoder)?;
                    let has_all = header.is_some();
                    if let Some(header) = header {
                        transport.connection().set_proxied(header);
                    }
                    has_all
                }
                Stage::Handshaking => transport.connection().handshake()?,
            };
            match self.tls.take_if(|_| is_passed) {
                Some(side) => {
                    transport.connection().put_tls(&side)?;
                    self.stage = Stage::Handshaking;
                }
                None if is_passed => return Ok(Progress::Arrived),
                None => return Ok(Progress::Blocked),
            }
        }
    }
}

/// Sends what is left of a PROXY header. Returns true if that was all.
fn send_header(stream: &mut dyn Stream, bytes: &[u8], sent: &mut usize) -> io::Result<bool> {
    while *sent < bytes.len() {
        match stream.write(&bytes[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Fails if the peer has closed and sent nothing more: a health check of the proxy itself connects,
/// and leaves at once.
fn expect_peer(stream: &mut dyn Stream) -> io::Result<()> {
    match stream.peek(&mut [0]) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
            // The system tells an error once.
            _ => Err(error),
        },
    }
}

/// Reads a PROXY header, and no byte behind it. Returns `None` if it has not all arrived.
fn receive_header(
    stream: &mut dyn Stream,
    decoder: &mut ProxyDecoder,
) -> io::Result<Option<ProxyHeader>> {
    let mut buffer = [0; HEADER_READ_LEN];
    loop {
        let wanted = decoder.wanted().min(buffer.len());
        match stream.read(&mut buffer[..wanted]) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, decoder.truncated()));
            }
            Ok(count) => match decoder.receive(&buffer[..count]) {
                Ok(Decoded::Complete { header, .. }) => {
                    if header.source().is_none() {
                        expect_peer(stream)?;
                    }
                    return Ok(Some(header));
                }
                Ok(_) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // Or a descriptor came before these bytes: there is no protocol yet to take it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                drop(stream.take_descriptor());
            }
            Err(error) => return Err(error),
        }
    }
}
