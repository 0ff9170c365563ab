//! One connection to the server, one message at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{HeaderMap, Request};
use backstock_proto::ack::{Refused, Reply};
use backstock_proto::event;
use tokio::time::timeout_at;

use crate::publish::{Answer, NotStored, Pending, Stored};

/// How often a publish under way looks whether the connection is still the one it began on.
const CONNECTION_CHECK: Duration = Duration::from_millis(50);

/// The connection that a partition publishes on.
pub(crate) struct Wire {
    pub(crate) client: async_nats::Client,
    /// The stream that must acknowledge.
    pub(crate) stream: String,
    /// Which connection has seen something stored anew, counted as [`Wire::connects`] does.
    proved: AtomicU64,
}

/// What became of one message.
enum Sent {
    /// It was stored just now.
    New,
    /// The server remembers having stored it.
    Duplicate,
    /// The connection was lost before an answer came.
    Lost,
    /// It was not stored.
    Failed(NotStored),
}

impl Wire {
    pub(crate) fn new(client: async_nats::Client, stream: String) -> Self {
        Self { client, stream, proved: AtomicU64::new(0) }
    }

    /// How often a connection has been made. Differs before and after a reconnect.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits for a connection, and says which.
    async fn connected(&self) -> u64 {
        while !self.is_connected() {
            tokio::time::sleep(CONNECTION_CHECK).await;
        }
        self.connects()
    }

    /// Waits until the connection is no longer the one that `connects` counted.
    pub(crate) async fn lost(&self, connects: u64) {
        while self.is_connected() && self.connects() == connects {
            tokio::time::sleep(CONNECTION_CHECK).await;
        }
    }

    /// Waits until the client has handed everything to the operating system, or until the connection
    /// is lost and the client has let go of it.
    pub(crate) async fn flushed(&self) {
        let connects = self.connects();
        tokio::select! {
            // It fails only once the client is closed, and then holds nothing.
            _ = self.client.flush() => {}
            () = self.lost(connects) => {}
        }
    }

    /// Something was stored anew on this connection, so that what stood before it is synced too.
    pub(crate) fn proved(&self, connects: u64) {
        self.proved.store(connects, Ordering::Relaxed);
    }

    /// Whether something was stored anew on this connection, and it is still the one that answers.
    fn is_proved(&self, connects: u64) -> bool {
        self.proved.load(Ordering::Relaxed) == connects && self.connects() == connects
    }

    /// Publishes one message and answers for it. If the connection is lost meanwhile, or the server
    /// had the message before, it goes out again, for as long as somebody waits.
    pub(crate) async fn publish(&self, pending: Pending) {
        let answer = match timeout_at(pending.deadline, self.settle(&pending)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(NotStored::NoAck),
        };
        let slot = pending.answer(answer);
        if answer == Err(NotStored::NoAck) {
            self.flushed().await;
        }
        drop(slot);
    }

    async fn settle(&self, pending: &Pending) -> Answer {
        loop {
            let connects = self.connected().await;
            match self.send(pending, pending.headers.clone()).await {
                Sent::Lost => {}
                Sent::Failed(why) => return Err(why),
                Sent::New => {
                    self.proved(connects);
                    return Ok(Stored::New);
                }
                Sent::Duplicate if self.is_proved(connects) => return Ok(Stored::Duplicate),
                Sent::Duplicate => match self.send_again(pending).await {
                    Sent::Lost => {}
                    Sent::Failed(why) => return Err(why),
                    Sent::New | Sent::Duplicate => {
                        self.proved(connects);
                        return Ok(Stored::Duplicate);
                    }
                },
            }
        }
    }

    /// Has a message stored once more that the server remembers from before it was restarted. If it
    /// was killed before it could sync, what it remembers may stand in memory only, where a power
    /// cut would take it. A message that it stores anew is synced, and with it all before in the
    /// same file. The journal recognises the copy.
    async fn send_again(&self, pending: &Pending) -> Sent {
        self.send(pending, event::without_msg_id(&pending.headers)).await
    }

    /// Sends one message and waits for its acknowledgement, as long as the connection lasts. The
    /// caller bounds the time: the client may block for ever while it is disconnected.
    async fn send(&self, pending: &Pending, headers: HeaderMap) -> Sent {
        let connects = self.connects();
        let request =
            Request::new().headers(headers).payload(pending.payload.clone()).timeout(None);
        let reply = tokio::select! {
            biased;
            () = self.lost(connects) => return Sent::Lost,
            reply = self.client.send_request(pending.subject.clone(), request) => reply,
        };
        match reply {
            Ok(message) => self.outcome(Reply::read(&message), pending),
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders => Sent::Failed(NotStored::NoStream),
                RequestErrorKind::Other => {
                    tokio::time::sleep(CONNECTION_CHECK).await;
                    Sent::Lost
                }
                _ => {
                    let trace_id = pending.trace.trace_id();
                    tracing::error!(stream = %self.stream, %trace_id, %error, "failed to publish");
                    Sent::Failed(NotStored::Rejected)
                }
            },
        }
    }

    fn outcome(&self, reply: Reply, pending: &Pending) -> Sent {
        match reply {
            Reply::Acked(ack) if ack.stream == self.stream && ack.duplicate => Sent::Duplicate,
            Reply::Acked(ack) if ack.stream == self.stream => Sent::New,
            Reply::Refused(Refused::NoStream) => Sent::Failed(NotStored::NoStream),
            Reply::Refused(Refused::Full(_)) => Sent::Failed(NotStored::Full),
            other => {
                let trace_id = pending.trace.trace_id();
                tracing::error!(stream = %self.stream, %trace_id, answer = ?other, "the stream refused");
                Sent::Failed(NotStored::Rejected)
            }
        }
    }
}
