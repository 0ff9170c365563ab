//! `backstock export` and `backstock import`

use std::path::{Path, PathBuf};

use backstock_proto::Timestamp;
use backstock_restorer::export::Import;
use jiff::Zoned;
use serde_json::json;
use tokio::fs::File;

use super::api::{self, Api, Target};
use super::value::Length;
use super::{Answer, Failure, instant, moment, page, plan};

/// Rows of a plan that are shown.
const ROWS: usize = 100;

#[derive(clap::Args)]
#[command(after_help = "\
One file: a tar of the shop's resources, one a line, and the bytes of its media, compressed with
Zstandard. `backstock import` plans from it, also into another shop.

Examples:
  backstock export
  backstock export --at \"yesterday 14:00\" --out acme.tar.zst")]
pub(crate) struct ExportArgs {
    /// As it was at this moment; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// The file to write; by default one named after the shop and the moment
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
#[command(after_help = "\
The file is kept and checked, and planned from: what it holds and the shop has not is created, what
differs is updated. Resources of another shop are found again by their handles, paths and codes.
Nothing is written to the shop until the plan is applied.

Examples:
  backstock import acme.tar.zst
  backstock import acme.tar.zst --shop acme-staging
  backstock import acme.tar.zst --dry-run")]
pub(crate) struct ImportArgs {
    /// The file that `backstock export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only check the file and say what it holds; make no plan
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn export(args: ExportArgs, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let at = args.at.unwrap_or_else(|| Timestamp::from_micros(now.timestamp().as_microsecond()));
    let out = args.out.unwrap_or_else(|| {
        let digits: String = at.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{}-{digits}.tar.zst", shop.name()).into()
    });
    // Nobody finds a file that is not whole.
    let part = out.with_extension("part");
    let file = File::create(&part).await.map_err(|e| not_opened(&part, &e))?;
    let path = format!("/v1/shops/{shop}/export");
    let bytes = match api.download(&path, &[("at", api::instant(Some(at)))], file).await {
        Ok(bytes) => bytes,
        Err(failure) => {
            let _it_may_be_gone = tokio::fs::remove_file(&part).await;
            return Err(failure);
        }
    };
    tokio::fs::rename(&part, &out).await.map_err(|e| not_opened(&out, &e))?;
    if args.target.server.json {
        let said = json!({"file": out, "shop": shop, "at": at, "bytes": bytes});
        return Answer::json_list(&said);
    }
    Ok(Answer::done(format!(
        "{} as of {} is in {}, {} bytes.\n",
        shop,
        moment::shown(at, now),
        page::strong(out.display()),
        page::grouped(bytes)
    )))
}

pub(super) async fn import(args: ImportArgs, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let file = File::open(&args.file).await.map_err(|e| not_opened(&args.file, &e))?;
    let body = api.upload(&format!("/v1/shops/{shop}/exports"), file).await?;
    let import: Import = api::read(&body)?;
    if args.dry_run {
        return Ok(match args.target.server.json {
            true => Answer::json(&body),
            false => Answer::done(held(&import, now)),
        });
    }
    let request = json!({"export": import.id});
    let body = api.post(&format!("/v1/shops/{shop}/plans"), Some(&request)).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let planned = plan::told(&api, &shop, &body, (ROWS, Length::Short), now).await?;
    Ok(Answer::done(held(&import, now) + "\n" + &planned))
}

/// What a file holds.
fn held(import: &Import, now: &Zoned) -> String {
    let manifest = &import.manifest;
    let mut text = format!(
        "{} as of {}: {}, {}\n",
        page::strong(&manifest.shop),
        moment::shown(manifest.at, now),
        page::count(manifest.resources, "resource"),
        match manifest.media {
            1 => "1 medium".to_owned(),
            media => format!("{} media", page::grouped(media)),
        }
    );
    if manifest.media_missing > 0 {
        let missing = page::grouped(manifest.media_missing);
        text += &format!("  {}\n", page::odd(format!("without {missing} that were never kept")));
    }
    for (kind, n) in &manifest.kinds {
        text += &format!("  {kind}  {}\n", page::grouped(*n));
    }
    text
}

fn not_opened(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
