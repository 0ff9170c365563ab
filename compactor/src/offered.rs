//! Messages that the stream has offered and that take a while: it is told that somebody is at them, so
//! that those of one who died are soon offered to whoever comes after.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use backstock_proto::lease;

/// How long a message may take, without a word about it, until it is offered again.
pub(crate) const ACK_WAIT: Duration = lease::HOLDS;

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
