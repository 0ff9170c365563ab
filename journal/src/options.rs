//! Every RocksDB option that differs from its default, or that we rely on, with its reason.

use rocksdb::{
    BlockBasedOptions, Cache, ChecksumType, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, LogLevel, Options as RocksOptions,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How much memory the store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Blocks, indexes and filters kept in memory, in bytes. A hard bound.
    pub cache_bytes: usize,
    /// What is written but not yet in a sorted file, over all families, in bytes.
    pub write_buffer_bytes: usize,
    /// Whether what is written is compressed; a test that looks for bytes in files wants to see them.
    pub compressed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 * MIB, write_buffer_bytes: 64 * MIB, compressed: true }
    }
}

impl Options {
    /// The memory of one store, divided among several in the same process.
    #[must_use]
    pub fn divided(self, stores: usize) -> Self {
        let part = |bytes: usize| (bytes / stores.max(1)).max(8 * MIB);
        Self {
            cache_bytes: part(self.cache_bytes),
            write_buffer_bytes: part(self.write_buffer_bytes),
            ..self
        }
    }

    /// Small enough that a test sees flushes, compactions and cache misses.
    pub fn for_testing() -> Self {
        Self { cache_bytes: 2 * MIB, write_buffer_bytes: 2 * MIB, compressed: true }
    }
}

/// A column family. What each holds is said in [`crate::keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Versions,
    Heads,
    Timeline,
    Identity,
    Ops,
    Meta,
}

impl Family {
    pub(crate) const ALL: [Self; 6] =
        [Self::Versions, Self::Heads, Self::Timeline, Self::Identity, Self::Ops, Self::Meta];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Heads => "heads",
            Self::Timeline => "timeline",
            Self::Identity => "identity",
            Self::Ops => "ops",
            Self::Meta => "meta",
        }
    }
}

/// The options of the database as a whole.
pub(crate) fn database(options: Options) -> RocksOptions {
    let mut db = RocksOptions::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    // Stop at the first sign of damage instead of carrying on with what is left.
    db.set_paranoid_checks(true);
    // The default, point-in-time recovery, silently drops everything after a damaged record. This
    // one forgives only a record that a crash cut short, and refuses to open otherwise.
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A log that is missing or shorter than what was synced is noticed when opening.
    db.set_track_and_verify_wals_in_manifest(true);
    // Each append is one record, written and synced before it is acknowledged.
    db.set_manual_wal_flush(false);
    // Logs are replayed when opening: this bounds how long that takes.
    db.set_max_total_wal_size(256 * MIB as u64);
    // All families together; the largest is flushed first.
    db.set_db_write_buffer_size(options.write_buffer_bytes);
    // One flush and one compaction beside the writer and the readers.
    db.set_max_background_jobs(2);
    // Handles are opened when needed and bounded, so that a limit of 1,024 is never met.
    db.set_max_open_files(512);
    // Write files back as they grow, so that a sync never waits for a whole sorted file.
    db.set_bytes_per_sync(MIB as u64);
    // RocksDB's own log: what went wrong, within bounds. It holds no values.
    db.set_log_level(LogLevel::Warn);
    db.set_keep_log_file_num(4);
    db.set_max_log_file_size(4 * MIB);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db
}

/// All families, sharing one cache.
pub(crate) fn families(options: Options) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.cache_bytes);
    let mut families = vec![ColumnFamilyDescriptor::new(
        rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
        small(&cache, options),
    )];
    families.extend(Family::ALL.map(|family| {
        let mut chosen = match family {
            Family::Versions => versions(&cache, options),
            Family::Heads => heads(&cache, options),
            Family::Timeline | Family::Identity | Family::Ops | Family::Meta => {
                small(&cache, options)
            }
        };
        if !options.compressed {
            chosen.set_compression_type(DBCompressionType::None);
            chosen.set_bottommost_compression_type(DBCompressionType::None);
        }
        ColumnFamilyDescriptor::new(family.name(), chosen)
    }));
    families
}

/// What of [`versions`] can only be set by its name, when the store is open. A dictionary is trained on
/// the beginning of a file; without a bound, all of the file is held in memory meanwhile.
pub(crate) const VERSIONS_ONCE_OPEN: [(&str, &str); 1] =
    [("bottommost_compression_opts.max_dict_buffer_bytes", "4194304")];

fn versions(cache: &Cache, options: Options) -> RocksOptions {
    let mut blocks = blocks(cache);
    // Versions of a resource are neighbours and nearly the same: a block that holds many of them
    // stores each difference about once. Larger blocks save more and cost more per cold read.
    blocks.set_block_size(256 * KIB);
    let mut cf = family(&blocks);
    // Half of what may be unwritten, so that one is filled while the other is flushed.
    cf.set_write_buffer_size(options.write_buffer_bytes / 2);
    // Young files are read back and rewritten soon: cheap to write. Most bytes end at the bottom:
    // there they are small. The dictionary carries what one block cannot see into the next.
    cf.set_compression_type(DBCompressionType::Lz4);
    cf.set_bottommost_compression_type(DBCompressionType::Zstd);
    cf.set_bottommost_compression_options(-14, 3, 0, (16 * KIB) as i32, true);
    cf.set_bottommost_zstd_max_train_bytes((MIB) as i32, true);
    cf
}

fn heads(cache: &Cache, options: Options) -> RocksOptions {
    let mut blocks = blocks(cache);
    blocks.set_block_size(16 * KIB);
    // Each append asks for a head, often of a resource that has none yet.
    blocks.set_bloom_filter(10.0, false);
    let mut cf = family(&blocks);
    cf.set_write_buffer_size(options.write_buffer_bytes / 4);
    // Heads are overwritten again and again; what is replaced leaves before it is written.
    cf.set_compression_type(DBCompressionType::Lz4);
    cf.set_bottommost_compression_type(DBCompressionType::Zstd);
    cf
}

fn small(cache: &Cache, options: Options) -> RocksOptions {
    let mut blocks = blocks(cache);
    blocks.set_block_size(16 * KIB);
    let mut cf = family(&blocks);
    cf.set_write_buffer_size(options.write_buffer_bytes / 4);
    cf.set_compression_type(DBCompressionType::Lz4);
    cf.set_bottommost_compression_type(DBCompressionType::Zstd);
    cf
}

fn blocks(cache: &Cache) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Indexes and filters count against the cache, so that memory does not grow with the store.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Checked on every read; the fastest of those that RocksDB knows.
    blocks.set_checksum_type(ChecksumType::XXH3);
    blocks.set_format_version(6);
    blocks
}

fn family(blocks: &BlockBasedOptions) -> RocksOptions {
    let mut cf = RocksOptions::default();
    cf.set_block_based_table_factory(blocks);
    // Levels sized from the bottom up: nearly all bytes are at the bottom, well compressed.
    cf.set_level_compaction_dynamic_level_bytes(true);
    cf
}

/// A database with the options of a store and nothing of ours in it, and the name of the family
/// that would hold versions. For measurements against RocksDB alone.
#[doc(hidden)]
pub fn bare_rocksdb(
    path: &std::path::Path,
    options: Options,
) -> Result<(rocksdb::DB, &'static str), rocksdb::Error> {
    let db = rocksdb::DB::open_cf_descriptors(&database(options), path, families(options))?;
    Ok((db, Family::Versions.name()))
}
