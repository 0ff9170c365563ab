//! `backstock prove`

use std::io::IsTerminal as _;
use std::time::Duration;

use backstock_proto::Shop;
use backstock_restorer::proof::{Archive, Dangling, KindProof, Mismatch, Proof, ProofState};
use jiff::Zoned;

use super::api::{self, Api, Target};
use super::verify::size;
use super::{Answer, Exit, Failure, moment, page};

/// How often it is asked how far the proof is.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(clap::Args)]
#[command(after_help = "\
Rebuilds from history what was there when each kind was last read whole, and holds it against what
was seen then: every resource, every reference, the bytes of media in turn, and whether a plan would
make all of it anew in an empty shop. Nothing is written to the shop. Backstock does this every
night by itself. Needs a token with the scope admin. Exit code 1 if anything does not hold.

Examples:
  backstock prove
  backstock prove --last                        # what the last one found
  backstock prove --json | jq .mismatched")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Show the last one instead of making one
    #[arg(long)]
    last: bool,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/proofs");
    let (body, proof) = match args.last {
        true => last(&api, &shop, &path).await?,
        false => made(&api, &path).await?,
    };
    let mut answer = match args.target.server.json {
        true => Answer::json(&body),
        false => Answer::done(shown(&proof, &shop, now)),
    };
    if proof.state != ProofState::Proved {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

/// Has one made, and waits for its end.
async fn made(api: &Api, path: &str) -> Result<(Vec<u8>, Proof), Failure> {
    let watched = std::io::stderr().is_terminal();
    let mut body = api.post(path, None).await?;
    loop {
        let proof: Proof = api::read(&body)?;
        if watched {
            eprint!(
                "\r{} proved of {}",
                page::grouped(proof.proved),
                page::grouped(proof.compared)
            );
        }
        if proof.state.is_over() {
            if watched {
                eprint!("\r                                        \r");
            }
            return Ok((body, proof));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        body = api.get(&format!("{path}/{}", proof.id), &[]).await?;
    }
}

/// The newest that is over.
async fn last(api: &Api, shop: &Shop, path: &str) -> Result<(Vec<u8>, Proof), Failure> {
    let body = api.get(path, &[("limit", Some("20".into()))]).await?;
    let list: backstock_proto::journal::List<Proof> = api::read(&body)?;
    let over = list.items.into_iter().filter(|proof| proof.state.is_over());
    let proof = over.max_by_key(|proof| proof.finished_at).ok_or_else(|| {
        let make = format!("`backstock prove --shop {}` makes one", shop.name());
        Failure::new("no proof was made yet").then(make)
    })?;
    Ok((api.get(&format!("{path}/{}", proof.id), &[]).await?, proof))
}

/// A proof in one line.
pub(super) fn verdict(proof: &Proof, shop: &Shop, now: &Zoned) -> String {
    let when = proof.finished_at.map_or("some time ago".into(), |at| moment::age(at, now));
    let of = format!("{} of {}", page::grouped(proof.proved), page::grouped(proof.compared));
    match proof.state {
        ProofState::Proved => {
            let not = match proof.unproved() {
                0 => String::new(),
                kinds => format!("; {} not compared", page::count(kinds as u64, "kind")),
            };
            format!("{} {when}: {of}{not}.", page::good("Proved restorable"))
        }
        ProofState::Refuted => format!(
            "{} {when}: {of}; {} not as they should be. `backstock prove --last --shop {}` names them.",
            page::bad("Not proved restorable"),
            page::count(proof.mismatches, "resource"),
            shop.name(),
        ),
        ProofState::Failed => format!(
            "{} {when}: {}",
            page::bad("A proof could not be made"),
            proof.reason.as_deref().unwrap_or("no reason was given"),
        ),
        ProofState::Waiting | ProofState::Running => page::odd("A proof is being made."),
    }
}

fn shown(proof: &Proof, shop: &Shop, now: &Zoned) -> String {
    let mut text = format!("{}\n", verdict(proof, shop, now));
    if proof.state == ProofState::Failed {
        return text;
    }
    if let Some(at) = proof.at {
        let seconds = moment::length(proof.seconds);
        text += &format!("As of {}; it took {seconds}.\n", moment::shown(at, now));
    }
    for Mismatch { kind, id, why } in &proof.mismatched {
        text += &format!("  {} {kind} {id}: {why}\n", page::bad("✗"));
    }
    let listed = proof.mismatched.len() as u64;
    if proof.mismatches > listed {
        text += &format!("  and {} more\n", page::grouped(proof.mismatches - listed));
    }
    text += &format!(
        "{} would be made anew in an empty shop, for about {} points of the API's budget.\n",
        page::count(proof.restorable, "resource"),
        page::grouped(proof.cost.round() as u64),
    );
    for Archive { kind, why, resources } in &proof.archives {
        text += &format!("  {} of {kind} kept only: {why}\n", page::grouped(*resources));
    }
    let media = proof.media;
    text += &format!(
        "{} named, {} lost; {} read back, {}.\n",
        page::count(media.named, "media file"),
        page::grouped(media.lost),
        page::grouped(media.read),
        size(media.read_bytes),
    );
    text += &format!("{} followed.\n", page::count(proof.references.followed, "reference"));
    for Dangling { kind, id, to } in &proof.references.first {
        text += &format!("  {kind} {id} refers to {to}, which was not there in the shop either\n");
    }
    if proof.moved > 0 {
        let moved = page::count(proof.moved, "resource");
        text += &format!("{moved} changed while the shop was being read, and count neither way.\n");
    }
    for KindProof { kind, unproved, .. } in &proof.kinds {
        if let Some(why) = unproved {
            text += &format!("  {} {kind}: {why}\n", page::odd("not compared:"));
        }
    }
    text
}
