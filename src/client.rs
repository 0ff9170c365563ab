//! The verbs that people type. They speak HTTP to a running restorer and own no data.
//!
//! Each verb has a file of its own: what can be asked, the request, and the page it becomes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Zoned;

mod api;
mod apply;
mod change_sets;
mod changes;
mod checkpoint;
mod diff;
mod erase;
mod export;
mod find;
mod incidents;
mod job;
mod log;
mod mark;
mod moment;
mod page;
mod plan;
mod prove;
mod reconcile;
mod resource;
mod retain;
mod rollback;
mod shops;
mod show;
mod status;
mod subscribe;
mod token;
mod value;
mod verify;

/// What people ask of a running Backstock.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// The shops that the token sees, and how each is
    Shops(shops::Args),
    /// How a shop's history is doing: counts, lag, gaps
    Status(status::Args),
    /// Search, also for what no longer exists
    Find(find::Args),
    /// A resource as it was at any moment
    Show(show::Args),
    /// The life of a resource, version by version
    Log(log::Args),
    /// What changed in a resource between two moments
    Diff(diff::Args),
    /// What changed in the shop, newest first
    Changes(changes::Args),
    /// Undo a change-set, what an app did, or everything between two moments
    Rollback(rollback::Args),
    /// Note down a safety point, such as an app that is about to be installed
    Mark(mark::Args),
    /// What the guard saw, and what it did about it
    Incidents(incidents::ListArgs),
    /// Say that what the guard saw was meant
    Dismiss(incidents::DismissArgs),
    /// Compare history with the shop now, and put history right
    #[command(visible_alias = "backfill")]
    Reconcile(reconcile::Args),
    /// Subscribe the shop to what is kept, and mend its subscriptions
    Subscribe(subscribe::Args),
    /// Thin old history now, see how much would go, or have everything kept
    Retain(retain::Args),
    /// What would bring the shop back to how it was, without writing anything
    Plan(Box<plan::Args>),
    /// The whole shop as of any moment in one file, media included
    Export(export::ExportArgs),
    /// Plan from an export, also of another shop
    Import(export::ImportArgs),
    /// Apply a plan to the shop
    Apply(apply::Args),
    /// How a job gets on, or how it ended
    Job(job::JobArgs),
    /// The jobs of a shop, newest first
    Jobs(job::JobsArgs),
    /// Say yes to a job that another person asked for
    #[command(after_help = job::APPROVE_HELP)]
    Approve(job::ControlArgs),
    /// End a job; what it wrote stays
    #[command(after_help = job::CANCEL_HELP)]
    Cancel(job::ControlArgs),
    /// Have a job stand still
    #[command(after_help = job::PAUSE_HELP)]
    Pause(job::ControlArgs),
    /// Have a job go on that stands still
    #[command(after_help = job::RESUME_HELP)]
    Resume(job::ControlArgs),
    /// Take up what failed in a job
    #[command(after_help = job::RETRY_HELP)]
    Retry(job::ControlArgs),
    /// Take back what a job wrote
    #[command(after_help = job::UNDO_HELP)]
    Undo(job::ControlArgs),
    /// Prove that the shop could be restored, without writing anything
    Prove(prove::Args),
    /// Read all of history back and check every digest
    Verify(verify::Args),
    /// Copy the journal into the object store now
    Checkpoint(checkpoint::Args),
    /// Take a person, or a whole shop, out of everything that is kept
    Erase(erase::EraseArgs),
    /// What is erased, and receipts of what was
    Erasures(erase::ErasuresArgs),
    /// Everything that is held of a customer
    DataRequest(erase::DataRequestArgs),
    /// Tokens of the HTTP API
    #[command(subcommand, after_help = token::HELP)]
    Token(token::Verb),
    /// Completions for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS_HELP: &str = "\
Examples:
  backstock completions bash > ~/.local/share/bash-completion/completions/backstock
  backstock completions zsh > ~/.zfunc/_backstock
  backstock completions fish > ~/.config/fish/completions/backstock.fish";

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Undecided = 3,
}

/// What a verb has to say.
struct Answer {
    text: String,
    exit: Exit,
}

/// Why a verb could not do what it was asked, and what to do about it.
#[derive(Debug)]
struct Failure {
    what: String,
    next: Option<String>,
    exit: Exit,
    /// Whether it may pass by itself, so that whoever waits asks again.
    passing: bool,
}

/// Does what was asked, on a runtime of its own, and says how it ended: 0 done, 1 failed, 2 usage, 3
/// conflicts need a decision.
pub(crate) fn run(verb: Verb) -> ExitCode {
    match begin(verb) {
        Ok(answer) => {
            // Nobody to read it, as after `| head`, is no failure.
            let _ = anstream::stdout().lock().write_all(answer.text.as_bytes());
            ExitCode::from(answer.exit as u8)
        }
        Err(failure) => {
            let _ = anstream::stderr().lock().write_all(failure.shown().as_bytes());
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn begin(verb: Verb) -> Result<Answer, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("cannot begin: {e}")))?;
    runtime.block_on(Box::pin(answer(verb, &Zoned::now())))
}

async fn answer(verb: Verb, now: &Zoned) -> Result<Answer, Failure> {
    match verb {
        Verb::Shops(args) => shops::answer(args, now).await,
        Verb::Status(args) => status::answer(args, now).await,
        Verb::Find(args) => find::answer(args, now).await,
        Verb::Show(args) => show::answer(args, now).await,
        Verb::Log(args) => log::answer(args, now).await,
        Verb::Diff(args) => diff::answer(args, now).await,
        Verb::Changes(args) => changes::answer(args, now).await,
        Verb::Rollback(args) => rollback::answer(args).await,
        Verb::Mark(args) => mark::answer(args, now).await,
        Verb::Incidents(args) => incidents::list(args, now).await,
        Verb::Dismiss(args) => incidents::dismiss(args).await,
        Verb::Reconcile(args) => reconcile::answer(args).await,
        Verb::Subscribe(args) => subscribe::answer(args).await,
        Verb::Retain(args) => retain::answer(args).await,
        Verb::Plan(args) => plan::answer(*args, now).await,
        Verb::Export(args) => export::export(args, now).await,
        Verb::Import(args) => export::import(args, now).await,
        Verb::Apply(args) => apply::answer(args).await,
        Verb::Job(args) => job::job(args).await,
        Verb::Jobs(args) => job::jobs(args, now).await,
        Verb::Approve(args) => job::again(args, "approve").await,
        Verb::Cancel(args) => job::control(args, "cancel").await,
        Verb::Pause(args) => job::control(args, "pause").await,
        Verb::Resume(args) => job::control(args, "resume").await,
        Verb::Retry(args) => job::again(args, "retry").await,
        Verb::Undo(args) => job::again(args, "undo").await,
        Verb::Prove(args) => prove::answer(args, now).await,
        Verb::Verify(args) => verify::answer(args).await,
        Verb::Checkpoint(args) => checkpoint::answer(args).await,
        Verb::Erase(args) => erase::erase(args, now).await,
        Verb::Erasures(args) => erase::erasures(args, now).await,
        Verb::DataRequest(args) => erase::data_request(args).await,
        Verb::Token(verb) => token::answer(verb),
        Verb::Completions { shell } => Ok(completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> Answer {
    let mut command = <crate::Cli as clap::CommandFactory>::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "backstock", &mut script);
    Answer::done(String::from_utf8_lossy(&script).into_owned())
}

impl Answer {
    fn done(text: String) -> Self {
        Self { text, exit: Exit::Done }
    }

    /// The API's JSON, as it was answered.
    fn json(body: &[u8]) -> Self {
        let mut text = String::from_utf8_lossy(body).into_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self::done(text)
    }

    /// The pages of a list as one. The items are as they were answered.
    fn json_list<T: serde::Serialize>(list: &T) -> Result<Self, Failure> {
        let text = serde_json::to_vec(list);
        text.map(|text| Self::json(&text))
            .map_err(|e| Failure::new(format!("the list cannot be written: {e}")))
    }
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), next: None, exit: Exit::Failed, passing: false }
    }

    /// With what to do next.
    fn then(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// One that may pass by itself.
    fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    fn shown(&self) -> String {
        let mut text = format!("{}: {}\n", page::bad("error"), self.what);
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  {next}");
        }
        text
    }
}

/// An instant on the command line.
fn instant(text: &str) -> Result<backstock_proto::Timestamp, String> {
    moment::parse(text, &Zoned::now()).map_err(|e| e.to_string())
}
