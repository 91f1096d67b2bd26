//! The servers on monoio: a task per connection, buffers that are lent to each read and write, its
//! driver for io_uring where the system has it and for epoll where not.
//!
//! `monoio echo|lines|chat|quote|sink|broadcast`; with `MONOIO_FORCE_LEGACY_DRIVER=1` in the
//! environment it takes epoll anyway. Each task has a read buffer of its own, 16 KiB, as the
//! ownership of buffers asks for.

mod members;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use twistor_benches::lines::each_line;
use twistor_benches::{ACKNOWLEDGEMENT, QUOTE, SINK_LEN, announce, answer, refuse};

const READ_LEN: usize = 16 * 1024;
/// Streams are few, and more bytes in one read are fewer reads.
const STREAM_READ_LEN: usize = 64 * 1024;

fn main() {
    let workload = std::env::args().nth(1).unwrap_or_default();
    let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer();
    let mut runtime = builder.build().unwrap();
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
        "timers" => refuse(
            "monoio has timers only as futures, which a task of their own must wait for: there is \
             none to hold, to push back and to cancel from elsewhere",
        ),
        _ => refuse("monoio echo|lines|chat|quote|sink|broadcast"),
    }
}

async fn serve<T>(mut connection: impl FnMut(TcpStream) -> T)
where
    T: Future<Output = io::Result<()>> + 'static,
{
    let options = ListenerOpts::new().reuse_addr(true).reuse_port(false).backlog(1024);
    let address = (Ipv4Addr::LOCALHOST, 0);
    let listener = TcpListener::bind_with_config(address, &options).unwrap();
    announce(listener.local_addr().unwrap());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                monoio::spawn(connection(stream));
            }
            // Without a descriptor to spare each attempt fails at once, until one comes free.
            Err(_) => monoio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        let count;
        (count, buffer) = stream.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
    }
}

async fn lines(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    let (mut partial, mut answers) = (Vec::new(), Vec::new());
    loop {
        let count;
        (count, buffer) = stream.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        each_line(&mut partial, &buffer, |line| {
            answers.extend_from_slice(answer(line));
            answers.extend_from_slice(b"\r\n");
        });
        let written;
        (written, answers) = stream.write_all(answers).await;
        written?;
        answers.clear();
    }
}

async fn quote(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(QUOTE).await.0.map(|_| ())
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(STREAM_READ_LEN);
    let mut received = 0;
    loop {
        let count;
        (count, buffer) = stream.read(buffer).await;
        let count = count?;
        if count == 0 {
            return Ok(());
        }
        let acknowledged = received / SINK_LEN;
        received += count as u64;
        for _ in acknowledged..received / SINK_LEN {
            stream.write_all(&[ACKNOWLEDGEMENT]).await.0?;
        }
    }
}
