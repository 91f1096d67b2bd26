//! The servers on tokio: its current-thread runtime, a task per connection, reads and writes by
//! hand.
//!
//! `tokio echo|lines|chat|quote|sink|broadcast`, by tokio-rustls `tokio
//! tls-echo|tls-sink|tls-quote|tls-source`, or `tls-rsa-..` with another key, and `tokio timers COUNT`. Each task has a read buffer
//! of its own, 16 KiB, the common way to write `echo`: idle connections pay for what they have used
//! of it, and a buffer shared by all, filled by `try_read`, would spare them.

mod members;
mod timers;
mod tls;

use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use twistor_benches::lines::each_line;
use twistor_benches::tls::over_tls;
use twistor_benches::{ACKNOWLEDGEMENT, QUOTE, SINK_LEN, announce, answer, refuse};

const READ_LEN: usize = 16 * 1024;
/// Streams are few, and more bytes in one read are fewer reads.
const STREAM_READ_LEN: usize = 64 * 1024;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some((certificate, name)) = over_tls(&workload) {
        return tls::serve(&runtime, certificate, name);
    }
    match workload.as_str() {
        "echo" => runtime.block_on(serve(echo)),
        "lines" => runtime.block_on(serve(lines)),
        "quote" => runtime.block_on(serve(quote)),
        "sink" => runtime.block_on(serve(sink)),
        "chat" => {
            let members = members::Members::default();
            runtime.block_on(serve(|stream| members::chat(stream, members.clone())));
        }
        "broadcast" => {
            let members = members::Members::default();
            runtime.block_on(serve(|stream| members::broadcast(stream, members.clone())));
        }
        "timers" => match arguments.next().and_then(|count| count.parse().ok()) {
            Some(count) => println!("{}", timers::measure(&runtime, count)),
            None => refuse("tokio timers COUNT"),
        },
        _ => refuse("tokio echo|lines|chat|quote|sink|broadcast|timers"),
    }
}

async fn serve<T>(mut connection: impl FnMut(TcpStream) -> T)
where
    T: Future<Output = std::io::Result<()>> + Send + 'static,
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

/// TCP, or TLS on it.
trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

async fn echo(mut stream: impl Socket) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        stream.write_all(&buffer).await?;
        // Of TCP this does nothing, and TLS keeps what the socket did not take.
        stream.flush().await?;
    }
}

async fn lines(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    let (mut partial, mut answers) = (Vec::new(), Vec::new());
    loop {
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        each_line(&mut partial, &buffer, |line| {
            answers.extend_from_slice(answer(line));
            answers.extend_from_slice(b"\r\n");
        });
        stream.write_all(&answers).await?;
        answers.clear();
    }
}

async fn quote(mut stream: impl Socket) -> std::io::Result<()> {
    stream.write_all(QUOTE).await
}

async fn sink(mut stream: impl Socket) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(STREAM_READ_LEN);
    let mut received = 0;
    loop {
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let acknowledged = received / SINK_LEN;
        received += buffer.len() as u64;
        for _ in acknowledged..received / SINK_LEN {
            stream.write_all(&[ACKNOWLEDGEMENT]).await?;
        }
        stream.flush().await?;
    }
}
