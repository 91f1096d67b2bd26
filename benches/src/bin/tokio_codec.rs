//! The line servers on tokio with tokio-util's codecs, as its tutorials write them.
//!
//! `tokio-codec lines|chat`. `LinesCodec` reads text: a line that is not UTF-8 ends the connection,
//! and what is unfinished at the end of a stream counts as a line. It writes `\n`, so that an
//! answer brings its own `\r`. Each connection has a read buffer of 16 KiB, as in `tokio`.

use futures::{SinkExt, StreamExt, stream};
use slab::Slab;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{BytesCodec, FramedRead, FramedWrite, LinesCodec, LinesCodecError};
use twistor_benches::{announce, answer, refuse};

const READ_LEN: usize = 16 * 1024;
/// Buffered bytes from which a sink writes before it takes more.
const GATHERED_LEN: usize = 64 * 1024;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("lines") => runtime.block_on(serve(lines)),
        Some("chat") => {
            let members = Members::default();
            runtime.block_on(serve(|stream| chat(stream, members.clone())));
        }
        _ => refuse("tokio-codec lines|chat: the others have no messages for a codec to split"),
    }
}

async fn serve<T>(mut connection: impl FnMut(TcpStream) -> T)
where
    T: Future<Output = Result<(), LinesCodecError>> + Send + 'static,
{
    let listener = listen().unwrap();
    announce(listener.local_addr().unwrap());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream));
            }
            // Without a descriptor to spare each attempt fails at once, until one comes free.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // What is accepted inherits it, at no call per connection.
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(1024)
}

/// `forward` flushes whenever no whole line is left to read: once for what one read has brought.
async fn lines(mut stream: TcpStream) -> Result<(), LinesCodecError> {
    let (reader, writer) = stream.split();
    let lines = FramedRead::with_capacity(reader, LinesCodec::new(), READ_LEN);
    let answers = FramedWrite::new(writer, LinesCodec::new());
    lines.map(|line| line.map(|line| text(answer(line.as_bytes())))).forward(answers).await
}

/// An answer as text that ends in the half of `\r\n` that the codec leaves out.
fn text(answer: &'static [u8]) -> &'static str {
    match answer {
        b"Fine" => "Fine\r",
        _ => "I don't know what you mean\r",
    }
}

/// The channels of the members who have a name.
type Members = Arc<Mutex<Slab<UnboundedSender<Bytes>>>>;

/// A place among the members, left when it is dropped.
struct Membership {
    members: Members,
    key: usize,
}

impl Membership {
    fn new(members: Members, outbox: UnboundedSender<Bytes>) -> Self {
        let key = members.lock().unwrap().insert(outbox);
        Self { members, key }
    }

    /// Fails for those alone whose writing has failed, and who are about to leave.
    fn say(&self, message: &Bytes) {
        for (key, outbox) in &*self.members.lock().unwrap() {
            if key != self.key {
                let _ = outbox.send(message.clone());
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.members.lock().unwrap().remove(self.key);
    }
}

async fn chat(stream: TcpStream, members: Members) -> Result<(), LinesCodecError> {
    let (reader, writer) = stream.into_split();
    let (outbox, inbox) = unbounded_channel();
    tokio::spawn(write_gathered(writer, inbox));
    let mut lines = FramedRead::with_capacity(reader, LinesCodec::new(), READ_LEN);
    let _ = outbox.send(Bytes::from_static(b"What's your name?\r\n"));
    let Some(name) = lines.next().await.transpose()? else { return Ok(()) };
    let _ = outbox.send(format!("Welcome, {name}!\r\n").into());
    let membership = Membership::new(members, outbox);
    while let Some(line) = lines.next().await.transpose()? {
        membership.say(&format!("<{name}> {line}\r\n").into());
    }
    Ok(())
}

/// All that has gathered leaves in one write.
async fn write_gathered(
    writer: OwnedWriteHalf,
    mut inbox: UnboundedReceiver<Bytes>,
) -> std::io::Result<()> {
    let mut sink = FramedWrite::new(writer, BytesCodec::new());
    sink.set_backpressure_boundary(GATHERED_LEN);
    let mut messages = Vec::new();
    while inbox.recv_many(&mut messages, 1024).await > 0 {
        sink.send_all(&mut stream::iter(messages.drain(..).map(Ok))).await?;
    }
    Ok(())
}
