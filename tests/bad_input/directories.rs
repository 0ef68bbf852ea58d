//! Directories that are no data directory, or not this one's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use pumice::{Batch, Engine, Entry, ErrorKind, Namespace, Options, Role};

use crate::support::{assert_error, assert_sound, copy_tree, fixture, open, open_replica, shown, skipped, tree};

pub const FAMILIES: [&str; 7] = ["default", "metadata", "zset_score", "pubsub", "propagate", "stream", "search"];

/// A RocksDB with these column families, made in this order, so that this is the order of their ids.
pub fn make_rocksdb(path: &Path, families: &[&str]) {
    fs::create_dir_all(path).unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    let mut db = rocksdb::DB::open(&options, path).unwrap();
    for family in families.iter().filter(|family| **family != "default") {
        db.create_cf(family, &options).unwrap();
    }
    db.put_cf(db.cf_handle("pubsub").unwrap(), b"key", b"value").unwrap();
}

fn refuse(path: &Path, options: &Options, kind: ErrorKind, words: &[&str]) {
    let before = without_lock(path);
    assert_error(Engine::open(path, options), kind, words);
    assert!(without_lock(path) == before, "something was changed in {}", path.display());
}

/// All bytes and names, but for our lock, RocksDB's, and its text log.
fn without_lock(path: &Path) -> Vec<(std::path::PathBuf, String, Vec<u8>)> {
    if !path.exists() {
        return Vec::new();
    }
    let kept = |name: &Path| {
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        name != "LOCK" && !name.starts_with("LOG")
    };
    tree(path).into_iter().filter(|(name, _)| kept(name)).map(|(name, (kind, bytes, ..))| (name, kind, bytes)).collect()
}

/// What is no data directory is refused for what it is, for writing and for reading, and nothing in it is changed.
#[test]
fn not_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let both = [Options::default(), Options { read_only: true, ..Default::default() }];
    let no_create = Options { create: false, ..Default::default() };
    fs::write(root.join("file"), b"not a folder").unwrap();
    fs::create_dir_all(root.join("db-file")).unwrap();
    fs::write(root.join("db-file/db"), b"not a folder").unwrap();
    fs::create_dir_all(root.join("db-empty/db")).unwrap();
    fs::create_dir_all(root.join("db-other/db")).unwrap();
    fs::write(root.join("db-other/db/data.mdb"), b"another database").unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    make_rocksdb(&root.join("rocksdb"), &FAMILIES);
    fs::create_dir_all(root.join("elsewhere")).unwrap();
    symlink(root.join("rocksdb"), root.join("elsewhere/db")).unwrap();
    for options in &both {
        refuse(&root.join("file"), options, ErrorKind::InvalidArgument, &["file", "is a file", "expected the folder"]);
        refuse(&root.join("db-file"), options, ErrorKind::InvalidArgument, &["db-file/db", "is a file", "expected"]);
        refuse(
            &root.join("db-empty"),
            options,
            ErrorKind::InvalidArgument,
            &["db-empty/db", "not a RocksDB", "CURRENT"],
        );
        refuse(
            &root.join("db-other"),
            options,
            ErrorKind::InvalidArgument,
            &["db-other/db", "not a RocksDB", "CURRENT"],
        );
        refuse(&root.join("rocksdb"), options, ErrorKind::InvalidArgument, &["is a RocksDB folder itself", "db"]);
        refuse(&root.join("elsewhere"), options, ErrorKind::Unsupported, &["db is a link to", "rocksdb", "expected"]);
    }
    for options in [&both[1], &no_create] {
        refuse(&root.join("empty"), options, ErrorKind::NotFound, &["empty", "holds no database", "create"]);
        refuse(&root.join("nowhere"), options, ErrorKind::NotFound, &["nowhere", "holds no database"]);
        assert!(!root.join("nowhere").exists());
    }
    let little = Options { memory_budget: 1 << 20, ..Default::default() };
    refuse(
        &root.join("empty"),
        &little,
        ErrorKind::InvalidArgument,
        &["memory budget", "got 1048576", "expected at least"],
    );
    drop(open(root.join("empty")));
}

/// A RocksDB with a column family that is not Kvrocks' is Unsupported, and one whose ids are not Kvrocks' is
/// Corruption, also as a checkpoint; one of an older Kvrocks with fewer of them opens.
#[test]
fn other_column_families() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let newer: Vec<&str> = FAMILIES.into_iter().chain(["index"]).collect();
    let mut swapped = FAMILIES;
    swapped.swap(1, 2);
    make_rocksdb(&root.join("newer/db"), &newer);
    make_rocksdb(&root.join("swapped/db"), &swapped);
    make_rocksdb(&root.join("older/db"), &FAMILIES[..5]);
    let words = ["column family", "index", "unknown", "newer Kvrocks", "expected only default, metadata"];
    assert_error(Engine::open(root.join("newer"), &Options::default()), ErrorKind::Unsupported, &words);
    let words_swapped = ["column family metadata", "got id 2", "expected 1"];
    assert_error(Engine::open(root.join("swapped"), &Options::default()), ErrorKind::Corruption, &words_swapped);
    let engine = open(root.join("older"));
    engine.default_namespace().put(b"k", b"v").unwrap();

    assert_error(engine.apply_checkpoint(root.join("newer/db")), ErrorKind::Unsupported, &words);
    assert_error(engine.apply_checkpoint(root.join("swapped/db")), ErrorKind::Corruption, &words_swapped);
    assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"v");
    engine.close().unwrap();
    drop(open(root.join("older")));

    // What was refused is still what it was.
    for (name, families) in [("newer", &newer[..]), ("swapped", &swapped[..])] {
        let path = root.join(name).join("db");
        let found = rocksdb::DB::list_cf(&rocksdb::Options::default(), &path).unwrap();
        assert_eq!(found, families);
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &path, families).unwrap();
        assert_eq!(db.get_cf(db.cf_handle("pubsub").unwrap(), b"key").unwrap().unwrap(), b"value");
    }
}

/// A layout or a role other than the recorded one is InvalidArgument with both, and says what to call instead.
#[test]
fn other_layout_and_role() {
    let dir = tempfile::tempdir().unwrap();
    for (name, cluster, words) in [
        ("plain-zstd", true, ["key layout", "got standalone", "asked for cluster"]),
        ("cluster-zstd", false, ["key layout", "got cluster", "asked for standalone"]),
    ] {
        let path = dir.path().join(name);
        copy_tree(&fixture(name).join("db"), &path.join("db"));
        let other = Options { cluster: Some(cluster), ..Default::default() };
        assert_error(Engine::open(&path, &other), ErrorKind::InvalidArgument, &words);
        let engine = open(&path);
        assert_eq!(engine.info().unwrap().layout, if cluster { "standalone" } else { "cluster" });
        engine.default_namespace().put(b"k", b"v").unwrap();
        engine.close().unwrap();
        assert_error(Engine::open(&path, &other), ErrorKind::InvalidArgument, &words);
        let replica = Options { role: Some(Role::Replica), ..Default::default() };
        let words = ["role", "recorded as primary", "asked for replica", "apply_checkpoint()"];
        assert_error(Engine::open(&path, &replica), ErrorKind::InvalidArgument, &words);
        assert_eq!(open(&path).default_namespace().get(b"k").unwrap().unwrap(), b"v");
    }
    let path = dir.path().join("replica");
    open_replica(&path).close().unwrap();
    let primary = Options { role: Some(Role::Primary), ..Default::default() };
    let words = ["role", "recorded as replica", "asked for primary", "promote()"];
    assert_error(Engine::open(&path, &primary), ErrorKind::InvalidArgument, &words);
}

/// A directory that was copied without its link is Corruption naming the generations that are there, with the way
/// out, and not a byte is changed; with the link made again, all is there.
#[test]
fn copied_without_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    engine.create_namespace("n", None).unwrap().put(b"k", b"v").unwrap();
    engine.close().unwrap();
    let both = [Options::default(), Options { read_only: true, ..Default::default() }];

    let copy = dir.path().join("copy");
    copy_tree(&path, &copy);
    fs::remove_file(copy.join("db")).unwrap();
    for options in &both {
        refuse(&copy, options, ErrorKind::Corruption, &["copy", "db is missing", "generations/000001", "ln -s"]);
    }
    symlink("generations/000009", copy.join("db")).unwrap();
    for options in &both {
        refuse(&copy, options, ErrorKind::Corruption, &["db names generations/000009", "generations/000001 is here"]);
    }
    fs::remove_file(copy.join("db")).unwrap();
    symlink("generations/000001", copy.join("db")).unwrap();
    let engine = open(&copy);
    assert_eq!(engine.namespace("n").unwrap().get(b"k").unwrap().unwrap(), b"v");
    assert_sound(&engine);

    // One that has its link, but lost the generation.
    fs::remove_dir_all(path.join("generations/000001")).unwrap();
    for options in &both {
        refuse(&path, options, ErrorKind::Corruption, &["db names generations/000001, which is not there"]);
    }
}

/// With an unreadable state file it opens detached, reads, and refuses writes naming the file; promotion makes it whole.
#[test]
fn unreadable_state() {
    let dir = tempfile::tempdir().unwrap();
    for (number, damage) in [&b""[..], b"nonsense", &[0xFF; 100]].iter().enumerate() {
        let path = dir.path().join(number.to_string());
        let engine = open(&path);
        engine.default_namespace().put(b"k", b"v").unwrap();
        engine.close().unwrap();
        fs::write(path.join("state"), damage).unwrap();
        let engine = open(&path);
        assert_eq!(engine.role().unwrap(), Role::Detached);
        assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"v");
        let words = ["takes no writes", "state file is unreadable", "promote()"];
        assert_error(engine.default_namespace().put(b"k", b"x"), ErrorKind::ReadOnly, &words);
        assert_error(engine.create_namespace("n", None), ErrorKind::ReadOnly, &words);
        assert!(engine.info().unwrap().refuses_writes.is_some());
        engine.close().unwrap();
        assert_eq!(fs::read(path.join("state")).unwrap(), *damage, "the evidence is gone");
        let engine = open(&path);
        engine.promote().unwrap();
        engine.default_namespace().put(b"k", b"x").unwrap();
        assert_sound(&engine);
        engine.close().unwrap();
        assert_eq!(open(&path).role().unwrap(), Role::Primary);
    }
}

/// Everything that would change something answers ReadOnly in a directory that was opened read-only.
#[track_caller]
fn refuses_writes(engine: &Engine, name: &str, checkpoint: &Path, entry: &Entry) {
    let namespace: Namespace = engine.namespace(name).unwrap();
    let words = ["takes no writes", "opened read-only"];
    let mut batch: Batch = engine.batch();
    batch.put(&namespace, b"k", b"v").unwrap();
    for refused in [
        namespace.put(b"k", b"v"),
        namespace.put_if(b"k", b"v", None).map(drop),
        namespace.delete(b"k").map(drop),
        namespace.expire(b"k", std::time::Duration::from_secs(1)).map(drop),
        namespace.persist(b"k").map(drop),
        namespace.clear(),
        namespace.set_token("token"),
        batch.commit(None),
        engine.create_namespace("new", None).map(drop),
        engine.drop_namespace(name),
        engine.apply_checkpoint(checkpoint),
        engine.apply(entry),
    ] {
        assert_error(refused, ErrorKind::ReadOnly, &words);
    }
    assert!(matches!(engine.promote().map_err(|e| e.kind()), Ok(()) | Err(ErrorKind::ReadOnly)));
    let made = checkpoint.with_extension("made");
    assert_error(engine.create_checkpoint(&made), ErrorKind::Unsupported, &["read-only"]);
    assert!(!made.exists());
}

/// A read-only open shows everything, refuses every write, and leaves every name, byte and time in the directory as
/// it was: in a Kvrocks' own, in one of ours, and in one of ours that a crash left untidy.
#[test]
fn read_only_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let ours = root.join("ours");
    let engine = open(&ours);
    let namespace = engine.create_namespace("alpha", None).unwrap();
    namespace.put(b"k", b"v").unwrap();
    let checkpoint = engine.create_checkpoint(root.join("checkpoint")).unwrap();
    namespace.put(b"k2", b"v").unwrap();
    let entry = engine.log(Some(&checkpoint.position)).unwrap().next_entry(None).unwrap().unwrap();
    let expected = shown(&engine);
    engine.close().unwrap();
    let untidy = root.join("untidy");
    copy_tree(&ours, &untidy);
    fs::create_dir_all(untidy.join("generations/000002.incoming")).unwrap();
    fs::write(untidy.join("generations/000002.incoming/000001.sst"), b"half").unwrap();
    symlink("generations/000002", untidy.join("db.next")).unwrap();
    fs::write(untidy.join("LOCK"), b"4194305").unwrap();
    let foreign = root.join("foreign");
    copy_tree(&fixture("plain-wal").join("db"), &foreign.join("db"));

    for path in [&ours, &untidy, &foreign] {
        let before = tree(path);
        let read_only = Options { read_only: true, ..Default::default() };
        for _ in 0..2 {
            let engine = Engine::open(path, &read_only).unwrap();
            assert!(tree(path) == before, "opening changed {}", path.display());
            if path != &foreign {
                assert!(shown(&engine) == expected);
            }
            let found = engine.namespace("alpha").unwrap().count().unwrap();
            assert!(found > 0);
            refuses_writes(&engine, "alpha", &checkpoint.path, &entry);
            let another = Engine::open(path, &read_only).unwrap();
            assert_eq!(another.namespace("alpha").unwrap().count().unwrap(), found);
            let mut log = engine.log(None).unwrap();
            while log.next_entry(None).unwrap().is_some() {}
            drop(log);
            assert_eq!(engine.verify(pumice::Depth::Records).unwrap(), []);
            engine.close().unwrap();
            another.close().unwrap();
            assert!(tree(path) == before, "closing changed {}", path.display());
        }
        let engine = open(path);
        assert_sound(&engine);
    }
}

/// A directory that cannot be written is Io naming the path, for writing, and opens read-only.
#[test]
fn unwritable() {
    let Some(disk) = crate::support::Mount::new(64) else { return skipped("mounting a file system is not permitted") };
    let path = disk.path.join("data");
    let foreign = disk.path.join("foreign");
    copy_tree(&fixture("plain-zstd").join("db"), &foreign.join("db"));
    let engine = open(&path);
    engine.default_namespace().put(b"k", b"v").unwrap();
    let checkpoint = engine.create_checkpoint(disk.path.join("checkpoint")).unwrap().path;
    engine.close().unwrap();
    disk.set_read_only(true);
    let options = Options::default();
    for path in [&path, &foreign, &disk.path.join("new")] {
        let words = [path.to_str().unwrap(), "Read-only file system"];
        assert_error(Engine::open(path, &options), ErrorKind::Io, &words);
    }
    let read_only = Options { read_only: true, ..Default::default() };
    let engine = Engine::open(&path, &read_only).unwrap();
    assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"v");
    let kvrocks = Engine::open(&foreign, &read_only).unwrap();
    assert!(kvrocks.namespace("alpha").unwrap().count().unwrap() > 0);
    // A checkpoint is only read, so one on a read-only disk applies.
    let dir = tempfile::tempdir().unwrap();
    let replica = open_replica(dir.path());
    replica.apply_checkpoint(&checkpoint).unwrap();
    assert_eq!(replica.default_namespace().get(b"k").unwrap().unwrap(), b"v");
    drop((engine, kvrocks));
    disk.set_read_only(false);
    assert_sound(&open(&path));
}
