//! Whether the streams are there, and how full they are.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Info, Stream};
use backstock_proto::listen::Part;
use backstock_proto::stream::{self, Partition};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, StreamGauges};

/// How often the streams are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Keeps the role's readiness and the streams' gauges up to date until `shutdown`. A missing stream
/// is reported, never created: an empty one in its place would hide that history is gone.
pub(crate) async fn watch(
    client: async_nats::Client,
    partitions: Partition,
    metrics: &Metrics,
    part: Part,
    shutdown: CancellationToken,
) {
    let mut before = String::from("is starting");
    let mut missing: Vec<String> = Vec::new();
    for partition in 0..partitions {
        metrics.stream(partition);
    }
    loop {
        let looked = look(&client, partitions, metrics).await;
        if let Ok(some) = &looked
            && *some != missing
        {
            match some.as_slice() {
                [] => tracing::info!("ingest has every stream again"),
                some => {
                    tracing::error!(reason = some.join("; "), "webhooks of some shops are refused")
                }
            }
            missing.clone_from(some);
        }
        let now = looked.err().unwrap_or_default();
        if now != before {
            match now.as_str() {
                "" => tracing::info!("ingest is ready"),
                reason => tracing::error!(reason, "ingest is not ready"),
            }
        }
        if now.is_empty() {
            part.ready();
        } else {
            part.not_ready(now.clone());
        }
        before = now;
        tokio::select! {
            () = shutdown.cancelled() => break part.not_ready("is stopping"),
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// What is wrong with single streams; the shops of all others are not to suffer from it. `Err` says what
/// is wrong with all of them. Both are to be read after the role's name.
async fn look(
    client: &async_nats::Client,
    partitions: Partition,
    metrics: &Metrics,
) -> Result<Vec<String>, String> {
    if client.connection_state() != async_nats::connection::State::Connected {
        return Err("is not connected to NATS".into());
    }
    let mut context = jetstream::new(client.clone());
    context.set_timeout(PERIOD);
    // All at once: one without a leader does not answer.
    let asked = join_all((0..partitions).map(|partition| ask(&context, partition))).await;
    let mut missing = Vec::new();
    for (partition, asked) in (0..partitions).zip(asked) {
        match asked {
            Ok(stream) => gauge(stream.cached_info(), partition, metrics),
            Err(reason) => {
                metrics.stream(partition).copies.set(0);
                missing.push(reason);
            }
        }
    }
    match missing.first() {
        Some(first) if missing.len() == usize::from(partitions) => Err(first.clone()),
        _ => Ok(missing),
    }
}

async fn ask(context: &jetstream::Context, partition: Partition) -> Result<Stream, String> {
    let name = stream::stream_name(partition);
    let stream = context.get_stream(&name).await;
    stream.map_err(|error| format!("has no stream {name} to write to: {error}"))
}

fn gauge(info: &Info, partition: Partition, metrics: &Metrics) {
    let StreamGauges { bytes, used, copies } = metrics.stream(partition);
    let held = info.state.bytes;
    bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
    let limit = info.config.max_bytes;
    used.set(if limit > 0 { held as f64 / limit as f64 } else { 0.0 });
    copies.set(copies_of(info));
}

/// How many servers hold all of a stream: its leader, and who is up to date. A server alone does.
fn copies_of(info: &Info) -> i64 {
    let Some(cluster) = &info.cluster else { return 1 };
    let followers = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline).count();
    i64::from(cluster.leader.is_some()) + i64::try_from(followers).unwrap_or(i64::MAX)
}
