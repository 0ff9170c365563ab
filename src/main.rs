//! Backstock keeps every version of everything in a Shopify store, and puts any of it back.
//!
//! This is the binary: the command line, the configuration, and the order in which roles start and
//! stop. What the roles do is in their own crates.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nix::sys::stat::{Mode, umask};

use crate::config::Config;

mod client;
mod config;
#[cfg(test)]
mod documented;
mod nats;
mod process;
mod roles;
mod secrets;
mod serve;
mod telemetry;
mod tokens;

/// Reading documents is mostly making and dropping small values. This one is fast at that, and gives back
/// what is no longer used; RocksDB takes its memory from it, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keeps every version of everything in a Shopify store, and puts any of it back.
#[derive(Parser)]
#[command(name = "backstock", version, max_term_width = 100, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every role in one process, with a nats-server of its own.
    #[command(after_help = SERVE_HELP)]
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
        /// Where everything is kept; goes before the configuration's data_dir.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Receive webhooks and put them on the stream.
    #[command(after_help = INGEST_HELP)]
    Ingest(ConfigArgs),
    /// Keep the history: consume the stream into RocksDB, answer what it holds.
    #[command(after_help = JOURNAL_HELP)]
    Journal(ConfigArgs),
    /// Reconcile with the Admin API.
    #[command(after_help = COMPACTOR_HELP)]
    Compactor(ConfigArgs),
    /// Answer the HTTP API.
    #[command(after_help = RESTORER_HELP)]
    Restorer(ConfigArgs),
    /// Bring the journal back from a checkpoint.
    #[command(after_help = "\
Brings back the newest checkpoint of every partition that has no store here. What came after it is
read from the stream when Backstock starts. If the stream is lost as well, say so: a new one is made,
also for stores that are here, and every shop is pulled anew.

Examples:
  backstock recover --from s3://bucket/prefix
  backstock recover --from file:///mnt/backup/backstock --stream-lost")]
    Recover {
        #[command(flatten)]
        config: ConfigArgs,
        /// Where the checkpoints are; the configuration's storage.url by default.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// The stream that the store was filled from is gone for good.
        #[arg(long)]
        stream_lost: bool,
    },
    /// Check the configuration and print it, secrets masked.
    #[command(after_help = CHECK_CONFIG_HELP)]
    CheckConfig(ConfigArgs),
    #[command(flatten)]
    Client(client::Verb),
    /// Become the nats-server that `serve` supervises.
    #[command(hide = true)]
    ExecNatsServer { binary: PathBuf, dir: PathBuf, parent: i32 },
}

const HELP: &str = "\
Examples:
  backstock serve
  backstock status
  backstock find \"enamel mug\"
  backstock plan --at \"yesterday 14:00\" --kind product
  backstock rollback --app \"Bulk Editor\" --dry-run";

const SERVE_HELP: &str = "\
Takes webhooks at http.ingest, answers the page and the API at http.restorer. Without nats.url it
starts a nats-server below the data directory and ends it again. SIGTERM ends all of it in order.

Examples:
  backstock serve
  backstock serve --config /etc/backstock/backstock.toml --data-dir /var/lib/backstock";

const INGEST_HELP: &str = "\
One of the roles of `backstock serve`, in a process of its own. Needs nats.url in the configuration.

Examples:
  backstock ingest --config /etc/backstock/backstock.toml";

const JOURNAL_HELP: &str = "\
One of the roles of `backstock serve`, in a process of its own. Needs nats.url in the configuration.

Examples:
  backstock journal --config /etc/backstock/backstock.toml";

const COMPACTOR_HELP: &str = "\
One of the roles of `backstock serve`, in a process of its own. Needs nats.url in the configuration.
Several share the shops.

Examples:
  backstock compactor --config /etc/backstock/backstock.toml";

const RESTORER_HELP: &str = "\
One of the roles of `backstock serve`, in a process of its own: the page, the API and what writes to
shops. Needs nats.url in the configuration.

Examples:
  backstock restorer --config /etc/backstock/backstock.toml";

const CHECK_CONFIG_HELP: &str = "\
Says what is wrong with it, one line for each fault, and then ends with 1. Nothing is started.

Examples:
  backstock check-config
  backstock check-config --config /etc/backstock/backstock.toml";

#[derive(Args)]
struct ConfigArgs {
    /// The configuration; `backstock.toml` in the working directory by default, if there is one.
    #[arg(long, value_name = "FILE", env = "BACKSTOCK_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is kept and what is saved speaks of people: other users of the machine have no part in it.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Client(verb) => Ok(client::run(verb)),
        Command::ExecNatsServer { binary, dir, parent } => {
            Err(nats::exec_server(&binary, &dir, parent))
        }
        Command::CheckConfig(args) => {
            let config = args.load()?;
            secrets::read(&config.shop)?;
            print!("{}", config.shown()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve { config, data_dir } => {
            let mut config = config.load()?;
            if let Some(dir) = data_dir {
                config.data_dir = dir;
            }
            begin("backstock", config, serve::run)
        }
        Command::Recover { config, from, stream_lost } => {
            let recover = move |config| roles::recover(config, from, stream_lost);
            begin("backstock-recover", config.load()?, recover)
        }
        Command::Ingest(args) => begin("backstock-ingest", args.load()?, roles::ingest),
        Command::Journal(args) => begin("backstock-journal", args.load()?, roles::journal),
        Command::Compactor(args) => begin("backstock-compactor", args.load()?, roles::compactor),
        Command::Restorer(args) => begin("backstock-restorer", args.load()?, roles::restorer),
    }
}

impl ConfigArgs {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }
}

/// Runs a role on a runtime of its own, whose spans name it `service`. Its stores are closed when this
/// returns.
fn begin<F, R>(service: &'static str, config: Config, role: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Config) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    telemetry::begin(&config.log)?;
    // Both TLS users, NATS and HTTP, take the process's provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let spans = telemetry::spans::begin(&config.telemetry, service, runtime.handle())?;
    let ended = runtime.block_on(Box::pin(role(config)));
    if let Some(spans) = spans {
        runtime.block_on(spans.finish());
    }
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    if let Err(error) = &ended {
        tracing::error!("{error:#}");
    }
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
