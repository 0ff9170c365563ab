//! What the shop has of a kind and what history has of it, read whole and put aside by resource.

use std::path::Path;

use backstock_proto::Kind;
use backstock_proto::admin::ask::finished;
use backstock_proto::admin::bulk;
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{PullError, Puller, Run};
use crate::reconcile::Window;
use crate::spill::{BUCKETS, Buckets, Spill, lines};
use crate::tree::{Grown, TreeError, Trees};

/// Bulk lines that are handed on together, and how many such portions may wait.
const LINES_TOGETHER: usize = 250;
const PORTIONS_AHEAD: usize = 2;

/// What was read of a kind, by bucket.
pub(super) enum Nodes {
    /// Lines of a bulk result, which are yet to be put together.
    Grown(Grown),
    /// Plain nodes.
    Plain(Buckets),
}

impl Puller {
    /// Everything that history has of the kind, put aside by resource.
    pub(super) async fn heads(&self, kind: &Kind) -> Result<Buckets, PullError> {
        let spec = kind.spec();
        let mut spill = Spill::new(&self.scratch)?;
        let mut heads = self.journal.heads(&self.shop, kind, None).await?;
        while let Some(head) = heads.try_next().await? {
            let key = spec.map_or_else(|| head.id.to_string(), |spec| (spec.ask_for)(&head.id));
            let line = serde_json::to_vec(&head)
                .map_err(|e| PullError::Unreadable(format!("a head cannot be written: {e}")))?;
            spill.put(&key, &line)?;
        }
        Ok(spill.finish()?)
    }

    /// Asks for everything and puts it aside. What changed before its window began is in it.
    pub(super) async fn nodes(
        &self,
        run: &mut Run,
        pull: &'static Pull,
    ) -> Result<(Nodes, Window), PullError> {
        let Way::Bulk { children, owner } = &pull.way else {
            let window = run.window(self.now());
            let (mut spill, mut read) = (Spill::new(&self.scratch)?, 0);
            let take = |nodes: Vec<Value>| {
                read += nodes.len() as u64;
                put_aside(&mut spill, run.spec, &nodes)
            };
            self.asker.all(pull, take).await?;
            run.stages.of = Some(read);
            return Ok((Nodes::Plain(spill.finish()?), window));
        };
        let mut turn = run.turn.take();
        let operated = self.operation(run, pull);
        let (operation, started) = match &mut turn {
            Some(turn) => turn.let_go(operated).await?,
            None => operated.await?,
        };
        run.turn = turn;
        let window = run.window(started);
        run.stages.of = operation.roots();
        let mut trees = Trees::new(&self.scratch, children, *owner)?;
        let Some(url) = &operation.url else {
            // Nothing was found, which is no error.
            let nothing = trees.finish(&self.scratch, operation.lines())?;
            return Ok((Nodes::Grown(nothing), window));
        };
        let lines = bulk::lines(&self.asker.client, url).await?;
        let mut together = lines.ready_chunks(LINES_TOGETHER);
        let (send, mut receive) = mpsc::channel::<Vec<String>>(PORTIONS_AHEAD);
        let (scratch, expected) = (self.scratch.clone(), operation.lines());
        let growing = tokio::task::spawn_blocking(move || {
            while let Some(lines) = receive.blocking_recv() {
                lines.iter().try_for_each(|line| trees.line(line))?;
            }
            Ok::<_, TreeError>((trees, scratch, expected))
        });
        while let Some(chunk) = together.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<_>, _>>();
            if send.send(chunk.map_err(PullError::Lines)?).await.is_err() {
                break;
            }
        }
        drop(send);
        let (trees, scratch, expected) = growing.await??;
        let spec = run.spec;
        let grown = tokio::task::spawn_blocking(move || {
            Nodes::of_bulk(spec, pull, trees.finish(&scratch, expected)?, &scratch)
        });
        Ok((grown.await??, window))
    }
}

impl Nodes {
    /// The resources of a bulk result. Its lines lie by the ids that stand in them; where a resource is
    /// looked for by another one, as a document is by a picture's, it is put there.
    fn of_bulk(spec: &Spec, pull: &Pull, grown: Grown, scratch: &Path) -> Result<Self, PullError> {
        let lie_there = match pull.explode {
            None => spec.also_gid_types.is_empty(),
            // They are asked for by what they are parts of, whose lines they are among.
            Some(_) => spec
                .pulls
                .iter()
                .any(|pull| matches!(pull.way, Way::ById { .. }) && pull.explode.is_some()),
        };
        if lie_there {
            return Ok(Self::Grown(grown));
        }
        let mut spill = Spill::new(scratch)?;
        for bucket in 0..BUCKETS {
            for node in grown.nodes(&grown.lines(bucket)?)? {
                put_aside(&mut spill, spec, &finished(vec![node?], pull))?;
            }
        }
        Ok(Self::Plain(spill.finish()?))
    }

    /// The lines of a bucket, where they were put aside.
    pub(super) fn lines(&self, bucket: usize) -> Result<Vec<u8>, PullError> {
        Ok(match self {
            Self::Grown(grown) => grown.lines(bucket)?,
            Self::Plain(buckets) => buckets.read(bucket)?,
        })
    }

    /// The resources of a bucket, one after the other, from its lines.
    pub(super) fn of_lines<'a>(
        &'a self,
        pull: &'a Pull,
        bytes: &'a [u8],
    ) -> Result<Box<dyn Iterator<Item = Result<Value, PullError>> + 'a>, PullError> {
        Ok(match self {
            Self::Plain(_) => Box::new(lines(bytes).map(|line| {
                serde_json::from_slice(line).map_err(|e| PullError::Unreadable(e.to_string()))
            })),
            Self::Grown(grown) => Box::new(grown.nodes(bytes)?.flat_map(|node| match node {
                Ok(node) => finished(vec![node], pull).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error.into())],
            })),
        })
    }
}

/// Puts plain nodes aside. They may have been exploded from others, which go by other ids.
fn put_aside(spill: &mut Spill, spec: &Spec, nodes: &[Value]) -> Result<(), PullError> {
    for node in nodes {
        let key = (spec.id)(node).map(|id| (spec.ask_for)(&id)).unwrap_or_default();
        spill.put(&key, node.to_string().as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use backstock_proto::kind::ALL;
    use serde_json::json;

    use super::*;
    use crate::spill::bucket_of;

    /// The resources of a bulk result, each of which lies where it is looked for.
    fn found(kind: &str, lines: &[Value]) -> BTreeSet<String> {
        let spec = ALL.iter().find(|spec| spec.name == kind).expect("a kind");
        let pull = spec.pulls.iter().find(|pull| pull.name == "bulk").expect("a way");
        let Way::Bulk { children, owner } = &pull.way else {
            panic!("{kind} is not asked in bulk")
        };
        let scratch = tempfile::tempdir().expect("a directory");
        let mut trees = Trees::new(scratch.path(), children, *owner).expect("a place");
        lines.iter().for_each(|line| trees.line(&line.to_string()).expect("a line"));
        let grown = trees.finish(scratch.path(), Some(lines.len() as u64)).expect("all lines");
        let nodes = Nodes::of_bulk(spec, pull, grown, scratch.path()).expect("nodes");
        let mut found = BTreeSet::new();
        for bucket in 0..BUCKETS {
            let lines = nodes.lines(bucket).expect("lines");
            for node in nodes.of_lines(pull, &lines).expect("nodes") {
                let id = (spec.id)(&node.expect("a node")).expect("an id");
                assert_eq!(bucket_of(&(spec.ask_for)(&id)), bucket, "{id}");
                assert!(found.insert(id.to_string()), "{id} was found already");
            }
        }
        found
    }

    #[test]
    fn a_file_of_any_type_lies_where_files_are_looked_for() {
        let types = ["MediaImage", "GenericFile", "Video", "ExternalVideo", "Model3d"];
        let line = |(n, of): (usize, &&str)| {
            let id = format!("gid://shopify/{of}/{n}");
            json!({"__typename": of, "id": id})
        };
        let lines: Vec<Value> = types.iter().enumerate().map(line).collect();
        assert_eq!(found("file", &lines).len(), types.len());
    }

    #[test]
    fn parts_lie_where_they_are_looked_for_whether_by_their_own_id_or_by_their_owners() {
        for (kind, of, part) in [
            ("inventory_level", "InventoryItem", "InventoryLevel"),
            ("company_contact", "Company", "CompanyContact"),
            ("metaobject", "MetaobjectDefinition", "Metaobject"),
        ] {
            let owner = |n: usize| format!("gid://shopify/{of}/{n}");
            let lines = (0..40).map(|n| match n % 4 {
                0 => json!({"__typename": of, "id": owner(n)}),
                at => json!({
                    "__typename": part,
                    "id": format!("gid://shopify/{part}/{n}"),
                    "location": {"id": format!("gid://shopify/Location/{at}")},
                    "__parentId": owner(n - at),
                }),
            });
            assert_eq!(found(kind, &lines.collect::<Vec<_>>()).len(), 30, "{kind}");
        }
    }
}
