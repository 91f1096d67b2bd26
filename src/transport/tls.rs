//! TLS of a connection: what it has negotiated, and `start_tls` in mid-connection.

use super::Transport;
use super::connection::Connection;
use crate::driver::AnyStream;
use crate::limits::TimeoutTracker;
use crate::tls::{TlsInfo, TlsSide};
use std::io;

impl Transport {
    /// Returns what the TLS handshake of this connection has negotiated: version, application
    /// protocol, server name, the peer's certificates. `None` if the connection is not encrypted,
    /// or no longer there, or its handshake is not complete.
    ///
    /// Behind an endpoint with TLS the handshake is complete when
    /// [`build_protocol`](crate::Factory::build_protocol) and
    /// [`connection_made`](crate::Protocol::connection_made) are called; after
    /// [`start_tls`](Self::start_tls), when
    /// [`handshake_completed`](crate::Protocol::handshake_completed) is.
    ///
    /// It is put together at each call. (`getPeerCertificate`, `negotiatedProtocol`)
    pub fn tls(&self) -> Option<TlsInfo> {
        match &self.0.connection.borrow().stream {
            Some(AnyStream::Layer(layer)) => layer.tls_info(),
            _ => None,
        }
    }

    /// Encrypts the connection from now on, as STARTTLS of SMTP, IMAP and XMPP asks for. (RFC
    /// 3207; `startTLS`)
    ///
    /// What was written before leaves as it is, at the rate that is set. What is written afterwards
    /// waits until the handshake is complete, and is encrypted; a producer stays registered. The
    /// next bytes that are read are those of the peer's handshake, so reading must not be paused.
    ///
    /// When the handshake is complete the protocol hears
    /// [`handshake_completed`](crate::Protocol::handshake_completed). If it fails, the connection
    /// is lost, and the reason says why; if it is not complete within
    /// [`Settings::handshake_timeout`](crate::Settings::handshake_timeout), the protocol is
    /// [`timed_out`](crate::Protocol::timed_out) with
    /// [`Handshake`](crate::limits::TimeoutKind::Handshake).
    ///
    /// **Bytes that came with the request.** An attacker who can insert bytes into a plain
    /// connection can add a command behind STARTTLS, and a server that executes it after the
    /// handshake takes it for the client's. So a [`LineReceiver`](crate::LineReceiver) that has
    /// received more than the line fails its connection. Another protocol has to do so itself with
    /// what follows the request in `data`: drop it or fail, or hand it over by
    /// [`start_tls_with`](Self::start_tls_with) if it is the peer's handshake already.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists): the connection is encrypted.
    /// [`NotConnected`](io::ErrorKind::NotConnected): it is closing, or lost.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): descriptors wait to be sent, or the
    /// configuration cannot be used, or has panicked. Nothing has changed then.
    ///
    /// ```
    /// use twistor::tls::TlsAcceptor;
    /// use twistor::{LineContext, LineReceiver};
    ///
    /// struct Mail {
    ///     tls: TlsAcceptor,
    /// }
    ///
    /// impl<F> LineReceiver<F> for Mail {
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         if line.eq_ignore_ascii_case(b"STARTTLS") {
    ///             cx.send_line("220 Ready to start TLS");
    ///             if let Err(error) = cx.transport.start_tls(&self.tls) {
    ///                 cx.transport.fail(error);
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    pub fn start_tls(&self, side: impl Into<TlsSide>) -> io::Result<()> {
        self.start_tls_with(side, [])
    }

    /// Encrypts the connection, given the first bytes of the peer's handshake: for a protocol that
    /// has received them with the bytes before; see [`start_tls`](Self::start_tls).
    ///
    /// # Errors
    ///
    /// Those of [`start_tls`](Self::start_tls).
    pub fn start_tls_with(
        &self,
        side: impl Into<TlsSide>,
        received: impl AsRef<[u8]>,
    ) -> io::Result<()> {
        // `into` and `as_ref` are user code: they must not run while the connection is borrowed.
        let side = side.into();
        let received = received.as_ref();
        let mut connection = self.0.connection.borrow_mut();
        connection.start_tls(&side, received)?;
        self.mark_dirty(&mut connection);
        drop(connection);
        self.serve_later();
        Ok(())
    }
}

impl Connection {
    fn start_tls(&mut self, side: &TlsSide, received: &[u8]) -> io::Result<()> {
        let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if !self.state.is_open() || !self.state.accepts_writes() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if self.extras.as_ref().is_some_and(|extras| !extras.descriptors.is_empty()) {
            return invalid("descriptors wait to be sent, and TLS carries none".to_owned());
        }
        match &self.stream {
            None => return Err(io::ErrorKind::NotConnected.into()),
            Some(AnyStream::Layer(layer))
                if layer.is_handshaking() || layer.tls_info().is_some() =>
            {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Some(_) => {}
        }
        let session = side.session()?;
        let clear = self.write_buffer.as_ref().map_or(0, |it| it.len());
        self.begin_tls(session, clear, received);
        self.recount_held();
        let timeout = self.hub().handshake_timeout();
        let tracker = &mut self.extras_mut().timeouts;
        tracker.get_or_insert_with(|| Box::new(TimeoutTracker::new())).tls_begun(timeout);
        self.readiness.socket.readable = true;
        Ok(())
    }
}
