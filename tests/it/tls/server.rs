//! A server of this library, for the clients of others: the first line of a client says what it
//! wants.

use super::{describe, long_text};
use crate::support::TIMEOUT;
use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use twistor::testing::tls::{LOCALHOST, RSA, WILDCARD};
use twistor::tls::{Certificates, ClientAuthentication, TlsAcceptor};
use twistor::{
    Context, Factory, Producer, Protocol, Reactor, Reason, Remote, ServerEndpoint, Settings,
    Transport,
};

/// A server that ends with the test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    remote: Remote,
    ends: Receiver<Served>,
    thread: Option<JoinHandle<()>>,
}

/// A connection that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) received: usize,
    /// The client's close of its sending half was noticed.
    pub(super) was_half_closed: bool,
    pub(super) reason: String,
}

/// Returns an acceptor with certificates of three types of keys, which speaks `irc` and `chat`.
pub(super) fn acceptor(clients: ClientAuthentication) -> TlsAcceptor {
    let certificates = Certificates::new(LOCALHOST.identity());
    certificates.add(WILDCARD.identity());
    certificates.add(RSA.identity());
    TlsAcceptor::builder(&certificates).alpn(["irc", "chat"]).client_authentication(clients).build()
}

impl Server {
    /// Starts a server whose clients may have a certificate.
    pub(super) fn start() -> Self {
        Self::with(&acceptor(ClientAuthentication::Optional(super::roots())))
    }

    pub(super) fn with(acceptor: &TlsAcceptor) -> Self {
        let endpoint: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse().unwrap();
        Self::at(endpoint.encrypted(acceptor))
    }

    pub(super) fn at(endpoint: ServerEndpoint) -> Self {
        let (ready_in, ready) = channel();
        let (ends_in, ends) = channel();
        let thread = std::thread::spawn(move || {
            let settings = Settings::default().handle_signals(false);
            let mut reactor = Reactor::with_settings(settings).unwrap();
            let port = endpoint.listen(&mut reactor, Services { ends: ends_in }).unwrap();
            let address = port.local_address().socket_addr().unwrap();
            ready_in.send((address, reactor.remote())).unwrap();
            reactor.run().unwrap();
        });
        let (address, remote) = ready.recv_timeout(TIMEOUT).unwrap();
        Self { address, remote, ends, thread: Some(thread) }
    }

    pub(super) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// Returns the next connection that has ended.
    #[track_caller]
    pub(super) fn served(&self) -> Served {
        self.ends.recv_timeout(TIMEOUT).expect("a connection that does not end")
    }

    /// Expects that a connection has ended gracefully, of a client that sent this much.
    #[track_caller]
    pub(super) fn expect_done(&self, received: usize) {
        let served = self.served();
        assert_eq!((served.received, &*served.reason), (received, "done"), "{served:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.remote.call_from_thread(Reactor::stop);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

struct Services {
    ends: Sender<Served>,
}

impl Factory for Services {
    type Protocol = Service;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Service> {
        Some(Service { asks: Asks::Begun(Vec::new()), received: 0, was_half_closed: false })
    }
}

struct Service {
    asks: Asks,
    received: usize,
    was_half_closed: bool,
}

/// What the client asks for.
enum Asks {
    /// The beginning of the first line.
    Begun(Vec<u8>),
    /// `info`, or a page over HTTP: what was negotiated, and the close. The page `/long` is the
    /// long text, and `/cut` is cut short.
    Told,
    /// `echo`: its bytes, and the close when it closes.
    Echo,
    /// `count`: how many bytes it has sent, when it has closed its sending half.
    Count,
    /// `exchange`: the long text both ways at once, and the close when it has come.
    Exchange { left: usize },
}

impl Service {
    fn begin(&mut self, cx: &Context<'_, Services>, line: &str) {
        let info = cx.transport.tls().map_or("plain".to_owned(), |tls| describe(&tls));
        self.asks = match line {
            "echo" => Asks::Echo,
            "count" => Asks::Count,
            "exchange" => {
                cx.transport.register_producer(Producer::reader(Cursor::new(long_text())));
                Asks::Exchange { left: super::LONG }
            }
            _ => {
                if line.starts_with("GET ") {
                    cx.transport.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                }
                match line.split(' ').nth(1) {
                    Some("/long") => {
                        cx.transport.register_producer(Producer::reader(Cursor::new(long_text())));
                    }
                    Some("/cut") => {
                        // Long enough to leave at once.
                        cx.transport.write(vec![b'x'; 1 << 16]);
                        cx.transport.abort_connection();
                    }
                    _ => cx.transport.write(info + "\n"),
                }
                cx.transport.lose_connection();
                Asks::Told
            }
        };
    }
}

impl Protocol<Services> for Service {
    fn data_received(&mut self, cx: &mut Context<'_, Services>, data: &[u8]) {
        let mut data = data;
        if let Asks::Begun(line) = &mut self.asks {
            line.extend_from_slice(data);
            let Some(end) = line.iter().position(|byte| *byte == b'\n') else { return };
            data = &data[data.len() + end + 1 - line.len()..];
            let line = String::from_utf8_lossy(&line[..end]).trim_end().to_owned();
            self.begin(cx, &line);
        }
        self.received += data.len();
        match &mut self.asks {
            Asks::Echo => cx.transport.write(data),
            Asks::Exchange { left } => {
                *left -= data.len();
                if *left == 0 {
                    cx.transport.lose_connection();
                }
            }
            _ => {}
        }
    }

    fn read_connection_lost(&mut self, cx: &mut Context<'_, Services>) {
        self.was_half_closed = true;
        if matches!(self.asks, Asks::Count) {
            cx.transport.write(format!("{} bytes\n", self.received));
        }
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Services>, reason: &Reason) {
        let reason = super::client::name(reason);
        let Self { received, was_half_closed, .. } = *self;
        // The test may have ended.
        let _ = cx.factory.ends.send(Served { received, was_half_closed, reason });
    }
}
