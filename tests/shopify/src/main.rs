//! The simulator as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use shopify::access::Client;
use shopify::admin::cost::Plan;
use shopify::admin::schema::{Schemas, Version};
use shopify::catalog::Size;
use shopify::dispatch::Dispatch;
use shopify::disturbance::Disturbance;
use shopify::events::AppConfig;
use shopify::fault::Fault;
use shopify::gid;
use shopify::measure::{measure, measure_deliveries};
use shopify::server;
use shopify::shop::VariantLimit;
use shopify::simulator::{Settings, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Reading and answering documents is mostly making and dropping small values.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A simulated Shopify store.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Opens a shop: serves its Admin API and sends its webhooks.
    Serve(Box<Serve>),
    /// Measures the simulator itself.
    Measure {
        /// Where `schema.sh` left the schemas.
        #[arg(long, default_value = "target/shopify")]
        schemas: PathBuf,
        /// Seconds for each figure.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
}

#[derive(Args)]
struct Serve {
    /// Where the shop is served.
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// The shop's permanent name.
    #[arg(long, default_value = "acme.myshopify.com")]
    shop: String,
    /// The app's client secret, which signs webhooks.
    #[arg(long, default_value = "hush")]
    secret: String,
    /// Where webhooks go; none are sent when absent.
    #[arg(long)]
    webhooks: Option<String>,
    /// The API version of webhooks.
    #[arg(long, default_value = "2026-10")]
    api_version: String,
    /// The app's `shopify.app.toml`: its own subscriptions, of both families, take the place of
    /// those to every topic.
    #[arg(long)]
    app_config: Option<PathBuf>,
    /// Products in the catalog.
    #[arg(long, default_value_t = 200)]
    products: u64,
    /// Every so many products is a big one; 0 for none.
    #[arg(long, default_value_t = 50)]
    big_every: u64,
    /// Variants of a big product, at most 2048.
    #[arg(long, default_value_t = 150)]
    big_variants: u64,
    /// Customers; as many as products when absent.
    #[arg(long)]
    customers: Option<u64>,
    /// Orders already placed; half as many as products when absent.
    #[arg(long)]
    orders: Option<u64>,
    /// Collections; a twentieth of the products and four when absent.
    #[arg(long)]
    collections: Option<u64>,
    /// The shop was opened just now: it has what Shopify gives each, and nothing else.
    #[arg(long, conflicts_with_all = ["products", "customers", "orders", "collections"])]
    empty: bool,
    /// Which of several shops this is: no two have an id in common.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..gid::SHOPS))]
    nth_shop: u64,
    /// Deeds per second; each makes one to a dozen webhooks.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// The one source of chance: the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the shop's clock begins (RFC 3339); now when absent.
    #[arg(long)]
    start: Option<Timestamp>,
    /// Probability that a webhook is sent twice.
    #[arg(long, default_value_t = 0.0)]
    duplicate: f64,
    /// Probability that a webhook is late.
    #[arg(long, default_value_t = 0.0)]
    delay: f64,
    /// The longest such delay, in seconds.
    #[arg(long, default_value_t = 5.0)]
    delay_max: f64,
    /// Probability that later webhooks overtake one.
    #[arg(long, default_value_t = 0.0)]
    reorder: f64,
    /// Probability that a webhook is held back until `POST /_sim/late`.
    #[arg(long, default_value_t = 0.0)]
    late: f64,
    /// Probability that a webhook is never sent.
    #[arg(long, default_value_t = 0.0)]
    drop: f64,
    /// The longest that an entry of the shop's own log takes to show, in seconds.
    #[arg(long, default_value_t = 90)]
    log_late: u64,
    /// How long one second of Shopify's four hours of retries takes, in seconds.
    #[arg(long, default_value_t = 0.001)]
    retry_scale: f64,
    /// The app's token for the Admin API.
    #[arg(long, default_value = "shpat_backstock")]
    token: String,
    /// The app's id, for the client credentials grant.
    #[arg(long, default_value = "backstock")]
    client_id: String,
    /// The app's title, as events show it.
    #[arg(long, default_value = "Backstock")]
    app: String,
    /// The app may not write theme files.
    #[arg(long)]
    no_theme_exemption: bool,
    /// The app is not approved for customers' data: what identifies them is null.
    #[arg(long)]
    no_protected_data: bool,
    /// The app lacks the scope `read_publications`.
    #[arg(long)]
    no_publications: bool,
    /// The app has no access to orders older than sixty days.
    #[arg(long)]
    no_old_orders: bool,
    /// From so many variants on, apps make no more than a few new ones a day.
    #[arg(long, default_value_t = 50_000)]
    variants_free: u64,
    /// How many that are: 1,000 when absent, and no limit from the plan Plus on.
    #[arg(long)]
    variants_a_day: Option<u64>,
    /// What the shop's plan allows of the Admin API.
    #[arg(long, value_enum, default_value_t = PlanName::Standard)]
    plan: PlanName,
    /// A fault and how often it strikes, like `internal=0.01`; may be repeated.
    #[arg(long = "fault", value_parser = fault)]
    faults: Vec<(Fault, f64)>,
    /// Where `schema.sh` left the schemas.
    #[arg(long, default_value = "target/shopify")]
    schemas: PathBuf,
    /// Webhook requests under way at once.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
}

impl Serve {
    fn variant_limit(&self) -> Option<VariantLimit> {
        let usual = match self.plan {
            PlanName::Standard | PlanName::Advanced => Some(1_000),
            PlanName::Plus | PlanName::Enterprise | PlanName::Unlimited => None,
        };
        let per_day = self.variants_a_day.or(usual)?;
        Some(VariantLimit::new(self.variants_free, per_day))
    }
}

fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (name, often) = text.split_once('=').ok_or("a fault is written name=probability")?;
    let fault = Fault::parse(name).ok_or_else(|| format!("no fault is called {name}"))?;
    let often: f64 = often.parse().map_err(|_| format!("{often} is no probability"))?;
    if !(0.0..=1.0).contains(&often) {
        return Err(format!("{often} is no probability"));
    }
    Ok((fault, often))
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PlanName {
    Standard,
    Advanced,
    Plus,
    Enterprise,
    Unlimited,
}

impl From<PlanName> for Plan {
    fn from(name: PlanName) -> Self {
        match name {
            PlanName::Standard => Self::Standard,
            PlanName::Advanced => Self::Advanced,
            PlanName::Plus => Self::Plus,
            PlanName::Enterprise => Self::Enterprise,
            PlanName::Unlimited => Self::Unlimited,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Serve(serve) => run(*serve).await,
        Command::Measure { schemas, seconds } => {
            let schemas = Schemas::in_directory(&schemas);
            let schema = schemas.get(Version::V2026_10).map_err(|error| anyhow!("{error}"))?;
            let each = Duration::from_secs_f64(seconds);
            let mut figures = measure(schema, each);
            figures.push(measure_deliveries(each).await?);
            for figure in figures {
                println!("{:>9.0} {}", figure.per_second, figure.what);
            }
            Ok(())
        }
    }
}

async fn run(serve: Serve) -> anyhow::Result<()> {
    gid::of_shop(serve.nth_shop);
    let listener = TcpListener::bind(serve.listen).await.context("listen")?;
    let address = listener.local_addr().context("listen")?;
    let stop = CancellationToken::new();
    let simulator =
        Simulator::start(serve.settings(address), stop.clone()).context("start webhooks")?;
    simulator.shop().protected_data = !serve.no_protected_data;
    simulator.shop().publications = !serve.no_publications;
    simulator.shop().all_orders = !serve.no_old_orders;
    simulator.shop().variant_limit = serve.variant_limit();
    simulator.shop().log_late = serve.log_late;
    for (fault, probability) in &serve.faults {
        simulator.faults().often(*fault, *probability);
    }
    if let Some(path) = &serve.app_config {
        let text = std::fs::read_to_string(path).context("read the app's configuration")?;
        simulator.deploy(&AppConfig::parse(&text)?)?;
    }
    println!("{} is open on http://{address}", serve.shop);
    tokio::spawn({
        let stop = stop.clone();
        async move {
            stopped().await;
            stop.cancel();
        }
    });
    server::serve(simulator, listener, stop).await.context("serve")
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

impl Serve {
    fn size(&self) -> Size {
        if self.empty {
            return Size::empty();
        }
        let usual = Size::of_products(self.products);
        Size {
            big_every: self.big_every,
            big_variants: self.big_variants,
            customers: self.customers.unwrap_or(usual.customers),
            orders: self.orders.unwrap_or(usual.orders),
            collections: self.collections.unwrap_or(usual.collections),
            ..usual
        }
    }

    fn settings(&self, address: SocketAddr) -> Settings {
        Settings {
            shop: self.shop.clone(),
            seed: self.seed,
            size: self.size(),
            founded: self.start,
            webhooks: self.webhooks.clone(),
            api_version: self.api_version.clone(),
            rate: self.rate,
            dispatch: Dispatch {
                secret: self.secret.clone(),
                disturbance: Disturbance {
                    drop: self.drop,
                    duplicate: self.duplicate,
                    delay: self.delay,
                    reorder: self.reorder,
                    late: self.late,
                    delay_max: Duration::from_secs_f64(self.delay_max.max(0.0)),
                },
                retry_scale: self.retry_scale,
                concurrency: self.concurrency.max(1),
                seed: self.seed,
            },
            base: format!("http://{address}"),
            clients: vec![Client {
                title: self.app.clone(),
                client_id: self.client_id.clone(),
                client_secret: self.secret.clone(),
                token: self.token.clone(),
                theme_exemption: !self.no_theme_exemption,
            }],
            plan: self.plan.into(),
            schemas: self.schemas.clone(),
        }
    }
}
