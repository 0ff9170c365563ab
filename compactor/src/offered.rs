//! Messages that the stream has offered and that take a while: it is told that somebody is at them, so
//! that those of one who died are soon offered to whoever comes after.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use backstock_proto::lease;
use futures::StreamExt;

/// How long a message may take, without a word about it, until it is offered again.
pub(crate) const ACK_WAIT: Duration = lease::HOLDS;

/// Most bytes that are taken at once, and more than the largest message has.
const BYTES_MAX: usize = 24 << 20;

/// The messages that are offered next, at most `most`, once there are any: those that come within
/// `gather`.
pub(crate) async fn next(
    consumer: &PullConsumer,
    most: usize,
    gather: Duration,
) -> anyhow::Result<Vec<Message>> {
    loop {
        let batch = consumer.fetch().max_messages(most).max_bytes(BYTES_MAX).expires(gather);
        let mut batch = std::pin::pin!(batch.messages().await?);
        let mut messages = Vec::new();
        while let Some(message) = batch.next().await {
            match message {
                Ok(message) => messages.push(message),
                // That the bytes are full comes as an error too. Another one comes again.
                Err(_) if !messages.is_empty() => break,
                Err(error) => anyhow::bail!("{error}"),
            }
        }
        if !messages.is_empty() {
            return Ok(messages);
        }
        // A batch that is empty at once would be asked for again at once.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Works on what some messages ask for.
pub(crate) async fn during<T>(messages: &[Message], work: impl Future<Output = T>) -> T {
    let tell = async {
        loop {
            tokio::time::sleep(lease::RENEW_EVERY).await;
            for message in messages {
                // One that is not heard is offered again, which does no harm.
                let _unheard = message.ack_with(AckKind::Progress).await;
            }
        }
    };
    tokio::select! {
        done = work => done,
        never = tell => never,
    }
}
