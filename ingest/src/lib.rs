//! A webhook comes in; a durable event goes onto the stream; only then does Shopify hear 200.
//!
//! The modules read in the order of a request: who may deliver ([`secrets`]), how much may be under
//! way ([`admission`]), how a request is read and answered (`receive`), what makes it an event
//! ([`accept`](mod@accept)), and how that gets onto the stream ([`publish`]).
//!
//! What must not happen:
//! - a 200 without the stream's acknowledgement of just that event;
//! - a body that is parsed before its signature is checked, or changed by a single byte;
//! - memory or time without bound for anybody who can reach the port;
//! - a stream that is created here.

use std::sync::Arc;
use std::time::Duration;

use backstock_proto::listen::{self, Readiness};
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub mod accept;
pub mod admission;
mod complaint;
pub mod metrics;
pub mod publish;
mod receive;
mod rounds;
pub mod secrets;
mod watch;
mod wire;

pub use accept::{Refusal, accept};
pub use admission::Budget;
pub use publish::ServerSync;
pub use receive::Limits;
pub use secrets::ShopSecrets;

use admission::Admission;
use complaint::Complaints;
use metrics::Metrics;
use publish::Publisher;
use receive::Receiver;

/// How long Shopify waits for an answer before it counts the delivery as failed.
const SHOPIFY_DEADLINE: Duration = Duration::from_secs(5);

/// How ingest runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many partitions the store has.
    pub partitions: Partition,
    /// When the server writes to disk.
    pub sync: ServerSync,
    /// What one request may take.
    pub limits: Limits,
    /// How much may be under way at once.
    pub budget: Budget,
    /// What the listener allows.
    pub listen: listen::Limits,
}

/// What ingest works with.
pub struct Ingest {
    /// How it runs.
    pub config: Config,
    /// The connection to the streams, made with [`backstock_proto::stream::connect_options`].
    pub nats: async_nats::Client,
    /// Who may deliver.
    pub shops: ShopSecrets,
    /// Where it counts.
    pub registry: Registry,
    /// Where it says whether it can work.
    pub readiness: Readiness,
    /// When a delivery arrived.
    pub clock: Arc<dyn Clock>,
}

/// Why ingest does not run.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The deadlines contradict each other.
    #[error(
        "ingest's deadlines do not fit: body {body_read:?} and publish {publish:?} must be \
        shorter than the request's {request:?}, and that shorter than Shopify's 5 s"
    )]
    Deadlines {
        /// [`Limits::body_read`].
        body_read: Duration,
        /// [`Limits::publish`].
        publish: Duration,
        /// [`Limits::request`].
        request: Duration,
    },
    /// A metric of the same name is registered already.
    #[error("register ingest's metrics")]
    Metrics(#[from] prometheus::Error),
    /// The connection to NATS is closed for good.
    #[error("subscribe to NATS")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The listener failed.
    #[error("answer HTTP")]
    Listen(#[from] std::io::Error),
    /// What puts events on a stream panicked: nothing of its shops would be taken any more.
    #[error("publish events")]
    Publish(#[from] tokio::task::JoinError),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partitions: 1,
            sync: ServerSync::Always,
            limits: Limits {
                body_bytes_max: 16 * 1024 * 1024,
                body_read: Duration::from_secs(4),
                publish: Duration::from_secs(2),
                request: Duration::from_millis(4_500),
            },
            budget: Budget {
                requests_max: 4_096,
                bytes_max: 256 * 1024 * 1024,
                large_max: 12,
                shop_share: 0.5,
            },
            listen: listen::Limits::default(),
        }
    }
}

impl Ingest {
    /// Takes deliveries until `shutdown`, then finishes those under way and returns.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), IngestError> {
        let Self { config, nats, shops, registry, readiness, clock } = self;
        config.limits.check()?;
        let metrics = Arc::new(Metrics::register(&registry)?);
        let part = readiness.part("ingest");
        let (publisher, mut publishing) =
            Publisher::start(nats.clone(), config.partitions, config.sync, metrics.clone()).await?;
        let receiver = Receiver {
            limits: config.limits,
            secrets: shops,
            admission: Admission::new(config.budget, metrics.in_flight_bytes.clone()),
            publisher,
            metrics: metrics.clone(),
            complaints: Complaints::default(),
            clock,
        };
        let router = receive::router(receiver).merge(listen::probes(readiness, registry));
        let watching = watch::watch(nats, config.partitions, &metrics, part, shutdown.clone());
        let serving = listen::serve(listener, router, config.listen, shutdown);
        let working = async { tokio::join!(watching, serving) };
        tokio::select! {
            ((), served) = working => served?,
            Some(Err(panic)) = publishing.join_next() => return Err(panic.into()),
        }
        while publishing.join_next().await.is_some() {}
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<(), IngestError> {
        let Self { body_read, publish, request, .. } = *self;
        if body_read < request && publish < request && request < SHOPIFY_DEADLINE {
            Ok(())
        } else {
            Err(IngestError::Deadlines { body_read, publish, request })
        }
    }
}
