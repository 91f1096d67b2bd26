//! The client's end of TLS, by rustls' buffered engine: another one than the library uses.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, OnceLock};
use twistor::testing::tls::{AUTHORITY, LOCALHOST};
use twistor::tls::TlsAcceptor;
use twistor::tls::rustls::client::Resumption;
use twistor::tls::rustls::pki_types::pem::PemObject;
use twistor::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use twistor::tls::rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// The TLS session of a test's client: it takes the server's ciphertext, and returns its own.
pub(crate) struct Encryption {
    engine: ClientConnection,
    /// The last bytes failed, or are those of a connection that is over.
    has_failed: bool,
}

/// What the bytes of a server mean.
pub(crate) enum Decrypted {
    /// So far nothing.
    Nothing,
    Data(Vec<u8>),
    /// The server has said that it sends nothing more.
    Closed,
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap()).unwrap();
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // Servers of several tests may issue the same ticket, since a seed decides on it.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    };
    Arc::clone(CONFIG.get_or_init(make))
}

impl Encryption {
    pub(crate) fn new() -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut engine = ClientConnection::new(config(), name).unwrap();
        engine.set_buffer_limit(None);
        Self { engine, has_failed: false }
    }

    /// Returns true until the handshake is complete, or has failed.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.engine.is_handshaking() && !self.has_failed
    }

    /// Returns the bytes that are to be sent.
    pub(crate) fn outgoing(&mut self) -> Vec<u8> {
        let mut outgoing = Vec::new();
        while self.engine.wants_write() {
            self.engine.write_tls(&mut outgoing).unwrap();
        }
        outgoing
    }

    pub(crate) fn encrypt(&mut self, data: &[u8]) -> Vec<u8> {
        self.engine.writer().write_all(data).unwrap();
        self.outgoing()
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.engine.send_close_notify();
        self.outgoing()
    }

    /// Decrypts what has come from the server.
    pub(crate) fn decrypt(&mut self, mut received: &[u8]) -> Decrypted {
        let mut data = Vec::new();
        let mut closed = false;
        while !received.is_empty() && !closed && !self.has_failed {
            self.engine.read_tls(&mut received).unwrap();
            self.has_failed = self.engine.process_new_packets().is_err();
            closed = match self.engine.reader().read_to_end(&mut data) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            };
        }
        match data.is_empty() {
            false => Decrypted::Data(data),
            true if closed => Decrypted::Closed,
            true => Decrypted::Nothing,
        }
    }

    /// Returns true once the server has said that it sends nothing more.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.engine.reader().read(&mut [0]), Ok(0))
    }
}

/// Returns the server's side of TLS in the tests of the battery. It issues no tickets: a client
/// that closes its connection with unread bytes resets it, and the tests' clients read only on
/// request.
pub(crate) fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(LOCALHOST.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate], key).unwrap();
    config.send_tls13_tickets = 0;
    TlsAcceptor::new(Arc::new(config))
}
