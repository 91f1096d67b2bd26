//! async-nats, on the runtime of tokio with one thread.

use crate::{SUBJECT, Stopwatch, say_ready};
use bytes::Bytes;
use futures::StreamExt;
use std::error::Error;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Result<Runtime, std::io::Error> {
    Builder::new_current_thread().enable_all().build()
}

pub(crate) fn publish(count: usize, size: usize, server: &str) -> Result<(), Box<dyn Error>> {
    runtime()?.block_on(async {
        let client = async_nats::connect(server).await?;
        client.flush().await?;
        let payload = Bytes::from(vec![b'x'; size]);
        let stopwatch = Stopwatch::start();
        for _ in 0..count {
            client.publish(SUBJECT, payload.clone()).await?;
        }
        client.flush().await?;
        stopwatch.print();
        Ok(())
    })
}

pub(crate) fn subscribe(count: usize, server: &str) -> Result<(), Box<dyn Error>> {
    runtime()?.block_on(async {
        // Otherwise messages are dropped that the runtime takes in before this task sees them.
        let options = async_nats::ConnectOptions::new().subscription_capacity(count + 1);
        let client = options.connect(server).await?;
        let mut messages = client.subscribe(SUBJECT).await?;
        client.flush().await?;
        say_ready();
        let (mut bytes, mut stopwatch) = (0, None);
        for _ in 0..count {
            let message = messages.next().await.ok_or("the subscription has ended")?;
            stopwatch.get_or_insert_with(Stopwatch::start);
            bytes += message.payload.len();
        }
        assert!(bytes > 0);
        if let Some(stopwatch) = stopwatch {
            stopwatch.print();
        }
        Ok(())
    })
}
