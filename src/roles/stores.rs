//! The stores of the partitions that a process keeps: opened, brought back from a checkpoint, and read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use backstock_journal::checkpoint::{self, CheckpointError, Checkpoints};
use backstock_journal::{CheckpointsTo, Options, Reader, Store};
use backstock_proto::Timestamp;
use backstock_proto::journal::{Journal, Spread};
use backstock_proto::storage::{self, ObjectStore};
use backstock_proto::stream::Partition;
use tracing::{info, warn};

use super::tidy;
use crate::config::Config;
use crate::nats::{self, Connected};
use crate::process::Process;

/// The stores of the partitions that this process keeps.
pub(crate) type Stores = Vec<(Partition, Arc<Store>)>;

/// The partitions that this process keeps.
pub(super) fn kept(config: &Config) -> Vec<Partition> {
    let (index, journals) = (config.journal.index, config.http.journals.len().max(1));
    (0..config.nats.partitions).filter(|p| usize::from(*p) % journals == index).collect()
}

/// What the journal of a partition is called where it says whether it is ready.
pub(super) fn part_of(config: &Config, partition: Partition) -> String {
    match config.nats.partitions {
        1 => "journal".into(),
        _ => format!("journal of partition {partition}"),
    }
}

/// Opens the stores under the data directory. Only one process can.
pub(crate) async fn open_stores(process: &Process, config: &Config) -> anyhow::Result<Stores> {
    let (kept, storage) = (kept(config), config.storage()?);
    let options = Options::default().divided(kept.len());
    tidy(config);
    tell_of_others(&config.data_dir.join("journal"), &kept);
    let mut stores = Stores::with_capacity(kept.len());
    for partition in kept {
        let (path, now) = (store_path(config, partition), process.clock.now());
        if !Store::is_at(&path) {
            Box::pin(bring_back(&storage, partition, &path, now)).await?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let store = Store::open(&path, options, now)
            .with_context(|| format!("open the journal in {}", path.display()))?;
        match checkpoint::clear_beside(&path) {
            Ok(0) => {}
            Ok(cleared) => info!(partition, cleared, "removed what a killed process left here"),
            Err(error) => {
                let path = path.display();
                warn!(partition, %path, %error, "what a killed process left here is not erased");
            }
        }
        stores.push((partition, Arc::new(store)));
    }
    Ok(stores)
}

fn store_path(config: &Config, partition: Partition) -> PathBuf {
    config.data_dir.join(format!("journal/{partition}"))
}

/// Where there is no store, the newest checkpoint comes back, if there is one: the partition was another
/// journal's, or the disk is new, and the stream does not hold what is older. That the stream is lost as
/// well is for a person to say.
async fn bring_back(
    storage: &Arc<dyn ObjectStore>,
    partition: Partition,
    path: &Path,
    now: Timestamp,
) -> anyhow::Result<()> {
    let checkpoints = Checkpoints::new(storage.clone(), partition);
    match checkpoints.recover(path, false, &**storage, now).await {
        Ok(made) => {
            let (at, applied) = (made.at, made.applied_seq);
            info!(partition, %at, applied, "there was no store: the newest checkpoint is back");
            Ok(())
        }
        Err(CheckpointError::None(_)) => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!(
                "partition {partition} has no store in {}, and its checkpoint cannot be brought back. \
                 Nothing is begun anew as long as there is one",
                path.display()
            )
        }),
    }
}

/// Names the stores in `dir` that this journal does not keep, or no longer: nobody reads them, and what
/// is erased stays in them.
fn tell_of_others(dir: &Path, kept: &[Partition]) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let stores = entries.filter_map(Result::ok).map(|entry| entry.path());
    for path in stores.filter(|path| Store::is_at(path)) {
        let name = path.file_name().and_then(|name| name.to_str());
        let partition = name.and_then(|name| name.parse::<Partition>().ok());
        if let Some(partition) = partition.filter(|partition| !kept.contains(partition)) {
            warn!(
                partition, path = %path.display(),
                "this journal does not keep the partition, and a store of it lies here: what is \
                 erased stays in it. Remove it, unless another journal on this disk keeps it"
            );
        }
    }
}

/// Brings the newest checkpoint of every partition that this process keeps back, where there is one and
/// no store yet. A store that is there and lost its stream forgets that.
pub(crate) async fn recover(
    config: Config,
    from: Option<String>,
    stream_lost: bool,
) -> anyhow::Result<()> {
    let process = Process::new()?;
    let url = from.as_deref().or(config.storage.url.as_deref());
    let storage = storage::open(url, &config.data_dir, &config.storage.keys()?)?;
    // Where it is noted what was erased since.
    let usual = config.storage()?;
    let (mut done, mut undone) = (0, None);
    for partition in kept(&config) {
        let (path, now) = (store_path(&config, partition), process.clock.now());
        let checkpoints = Checkpoints::new(storage.clone(), partition);
        let began = std::time::Instant::now();
        match checkpoints.recover(&path, stream_lost, &*usual, now).await {
            Ok(made) => {
                let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
                println!(
                    "partition {partition}: as of {}, up to event {}, {bytes} bytes in {:.1} s",
                    made.at,
                    made.applied_seq,
                    began.elapsed().as_secs_f64()
                );
                done += 1;
            }
            Err(CheckpointError::Occupied(_)) if stream_lost && Store::is_at(&path) => {
                let store = Store::open(&path, Options::default(), now)?;
                store.forget_stream()?;
                store.close()?;
                println!("partition {partition}: is there already, and takes the next stream");
                done += 1;
            }
            Err(error @ CheckpointError::Occupied(_)) if Store::is_at(&path) => {
                println!("partition {partition}: is there already");
                undone = Some(error);
            }
            Err(error @ CheckpointError::None(_)) => {
                println!("partition {partition}: nothing to bring back");
                undone = undone.or(Some(error));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("bring partition {partition} back"));
            }
        }
    }
    if let Some(error) = undone.filter(|_| done == 0) {
        return Err(error).context("nothing was brought back");
    }
    println!(
        "Start Backstock now. {}",
        if stream_lost {
            "A new stream is made, and every shop is pulled anew."
        } else {
            "What came after the checkpoint is read from the stream."
        }
    );
    Ok(())
}

/// The history in some stores.
pub(crate) fn read(
    process: &Process,
    config: &Config,
    stores: &Stores,
) -> anyhow::Result<Arc<dyn Journal>> {
    let (storage, keys) = (config.storage()?, config.storage.keys()?);
    let copies: Arc<[String]> = config.storage.copies.clone().into();
    let reader = |partition: Partition, store: &Arc<Store>| -> Arc<dyn Journal> {
        let reader = Reader::new(store.clone(), process.clock.clone());
        Arc::new(reader.checkpointing(CheckpointsTo {
            partition,
            storage: storage.clone(),
            url: config.storage.url.clone(),
            copies: copies.clone(),
            keys: keys.clone(),
        }))
    };
    let mut places = vec![Vec::new(); usize::from(config.nats.partitions)];
    for (partition, store) in stores {
        places[usize::from(*partition)].push(reader(*partition, store));
    }
    if let [only] = places.as_slice()
        && let [only] = only.as_slice()
    {
        return Ok(only.clone());
    }
    Ok(Arc::new(Spread::new(config.nats.partitions, places)))
}

/// Makes sure that the stores' streams are there. Only for a store that never saw one is it created.
pub(crate) async fn ensure_streams(
    config: &Config,
    stores: &Stores,
    nats: &Connected,
) -> anyhow::Result<()> {
    let jetstream = async_nats::jetstream::new(nats.client.clone());
    for (partition, store) in stores {
        let stream = backstock_proto::stream::stream_config(
            (*partition, config.nats.partitions),
            config.nats.replicas,
            config.nats.stream_bytes_max / i64::from(config.nats.partitions),
        );
        let ensure = || backstock_journal::stream::ensure_stream(&jetstream, store, stream.clone());
        nats::patiently(ensure, |error| error.retryable()).await?;
    }
    Ok(())
}
