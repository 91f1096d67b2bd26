//! TLS connections, by tokio-rustls.

use crate::{echo, quote, serve as serve_tcp, sink};
use std::future::Future;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use twistor_benches::tls::{Certificate, server_config};
use twistor_benches::{BLOCK, refuse};

pub fn serve(runtime: &Runtime, certificate: Certificate, name: &str) {
    let acceptor = TlsAcceptor::from(server_config(certificate));
    match name {
        "echo" => runtime.block_on(encrypted(acceptor, echo)),
        "sink" => runtime.block_on(encrypted(acceptor, sink)),
        "source" => runtime.block_on(encrypted(acceptor, source)),
        "quote" => runtime.block_on(encrypted(acceptor, |mut stream| async move {
            quote(&mut stream).await?;
            stream.shutdown().await
        })),
        _ => refuse("tokio tls-echo|tls-sink|tls-quote|tls-source"),
    }
}

/// Sends a block for each byte.
async fn source(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            stream.write_all(&BLOCK).await?;
        }
        stream.flush().await?;
    }
}

async fn encrypted<T>(acceptor: TlsAcceptor, connection: fn(TlsStream<TcpStream>) -> T)
where
    T: Future<Output = io::Result<()>> + Send + 'static,
{
    serve_tcp(move |stream| {
        let accepted = acceptor.accept(stream);
        async move { connection(accepted.await?).await }
    })
    .await;
}
