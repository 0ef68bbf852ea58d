//! A disk that is full, and free again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pumice::{Engine, Error, ErrorKind, Options, Role};

use crate::support::{Mount, Random, assert_sound, names, open, shown, skipped, wait_until};

const NO_MOUNT: &str = "mounting a file system is not permitted";

fn ballast(disk: &Mount, mebibytes: usize) -> std::path::PathBuf {
    let path = disk.path.join("ballast");
    fs::write(&path, vec![1; mebibytes << 20]).unwrap();
    path
}

/// Fills what is left of a disk, to the last byte.
fn fill(disk: &Mount) -> std::path::PathBuf {
    use std::io::Write;
    let path = disk.path.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    let mut piece = vec![1; 1 << 20];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(0) | Err(_) => piece.truncate(piece.len() / 2),
            Ok(_) => {}
        }
    }
    path
}

/// Values that were acknowledged, in an engine on a disk of its own.
struct Ground {
    disk: Mount,
    options: Options,
    acked: BTreeMap<Vec<u8>, Vec<u8>>,
    random: Random,
    next: u64,
}

impl Ground {
    fn make(mebibytes: u64, memory_budget: usize, sync: bool) -> Option<Ground> {
        let options = Options { memory_budget, sync, ..Default::default() };
        let disk = Mount::new(mebibytes)?;
        Some(Ground { disk, options, acked: BTreeMap::new(), random: Random(1), next: 0 })
    }

    fn open(&self) -> Engine {
        Engine::open(self.disk.path.join("data"), &self.options).unwrap()
    }

    /// One more write of a new key.
    fn write(&mut self, engine: &Engine) -> Result<(), Error> {
        let (key, value) = (format!("key{:08}", self.next).into_bytes(), self.random.bytes(32 << 10));
        self.next += 1;
        engine.default_namespace().put(&key, &value)?;
        self.acked.insert(key, value);
        Ok(())
    }

    /// Every write that was acknowledged reads as it was written.
    #[track_caller]
    fn assert_all_there(&self, engine: &Engine) {
        let namespace = engine.default_namespace();
        for (key, value) in &self.acked {
            let found = namespace.get(key).unwrap();
            assert!(found.is_some_and(|found| found == *value), "{} is not there", String::from_utf8_lossy(key));
        }
    }
}

fn full_and_free(mut ground: Ground, ballast_mebibytes: usize) {
    let ballast = ballast(&ground.disk, ballast_mebibytes);
    let engine = ground.open();
    ground.write(&engine).unwrap();
    let start = engine.position().unwrap();
    let error = loop {
        match ground.write(&engine) {
            Ok(()) => assert!(ground.next < 20_000, "the disk never filled"),
            Err(e) => break e,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.message().contains("No space left"), "{error}");
    assert!(ground.acked.len() > 100);
    ground.assert_all_there(&engine);
    // It stays full: every write says so, every read goes on, and none of the refused ones appears.
    for _ in 0..20 {
        let error = ground.write(&engine).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    let items = engine.default_namespace().count().unwrap();
    assert_eq!(items, ground.acked.len() as u64);
    assert!(engine.create_checkpoint(ground.disk.path.join("checkpoint")).is_err());
    assert!(!ground.disk.path.join("checkpoint").exists());

    fs::remove_file(ballast).unwrap();
    let mut last = String::new();
    wait_until("writes go on", || match ground.write(&engine) {
        Ok(()) => true,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Io, "{e}");
            last = e.to_string();
            false
        }
    });
    println!("refused {} writes, the last with: {last}", ground.next as usize - ground.acked.len());
    for _ in 0..50 {
        ground.write(&engine).unwrap();
    }
    engine.flush().unwrap();
    ground.assert_all_there(&engine);
    assert_sound(&engine);
    // The log has an entry for every write and nothing else, across the time when the disk was full.
    let mut log = engine.log(Some(&start)).unwrap();
    let mut entries = 1;
    while log.next_entry(None).unwrap().is_some() {
        entries += 1;
    }
    drop(log);
    assert_eq!(entries, ground.acked.len());
    engine.close().unwrap();

    let engine = ground.open();
    ground.assert_all_there(&engine);
    assert_eq!(engine.default_namespace().count().unwrap(), ground.acked.len() as u64);
    assert_sound(&engine);
    engine.close().unwrap();
}

/// On a full disk writes answer Io and reads go on; once there is room again writes go on by themselves, and no
/// acknowledged write is lost.
#[test]
fn full_and_free_again() {
    match Ground::make(48, 16 << 20, false) {
        Some(ground) => full_and_free(ground, 24),
        None => skipped(NO_MOUNT),
    }
}

/// The same when every write is synced, and with the memory that an engine takes by default.
#[test]
fn full_and_free_again_when_synced() {
    match Ground::make(192, Options::default().memory_budget, true) {
        Some(ground) => full_and_free(ground, 128),
        None => skipped(NO_MOUNT),
    }
}

fn dataset(path: &Path, mark: u8) -> std::path::PathBuf {
    let engine = open(path.with_extension("primary"));
    let mut random = Random(u64::from(mark));
    let namespace = engine.create_namespace(format!("n{mark}"), None).unwrap();
    for key in 0..200u32 {
        namespace.put(&key.to_be_bytes(), &random.bytes(32 << 10)).unwrap();
    }
    engine.create_checkpoint(path).unwrap().path
}

/// A checkpoint applied on a full disk is Io; the old dataset is served, nothing half made is left, and once there
/// is room the same call succeeds.
#[test]
fn apply_on_a_full_disk() {
    let Some(disk) = Mount::new(48) else { return skipped(NO_MOUNT) };
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dataset(&dir.path().join("old"), 1), dataset(&dir.path().join("new"), 2));
    let path = disk.path.join("data");
    let options = Options { role: Some(Role::Replica), memory_budget: 16 << 20, ..Default::default() };
    let engine = Engine::open(&path, &options).unwrap();
    engine.apply_checkpoint(&old).unwrap();
    wait_until("the first generation is deleted", || names(&path.join("generations")).len() == 2);
    let (before, left) = (shown(&engine), names(&path.join("generations")));
    // With no room at all, and with room for a part of it.
    for room in [0, 1, 3, 5] {
        let ballast = ballast(&disk, room);
        let filler = fill(&disk);
        fs::remove_file(ballast).unwrap();
        let error = engine.apply_checkpoint(&new).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.message().contains("No space left"), "{error}");
        assert!(shown(&engine) == before);
        assert_eq!(names(&path.join("generations")), left, "with {room} MiB of room");
        assert_eq!(names(&path), ["LOCK", "db", "generations", "state"]);
        fs::remove_file(filler).unwrap();
    }
    engine.apply_checkpoint(&new).unwrap();
    assert_eq!(engine.namespaces().unwrap(), ["__namespace", "n2"]);
    assert_sound(&engine);
    engine.close().unwrap();
    let engine = Engine::open(&path, &options).unwrap();
    assert_eq!(engine.namespace("n2").unwrap().count().unwrap(), 200);
    assert_sound(&engine);
}

/// A directory is not created, nor opened, on a full disk: the error is Io, and once there is room it works.
#[test]
fn open_on_a_full_disk() {
    let Some(disk) = Mount::new(48) else { return skipped(NO_MOUNT) };
    let options = Options { memory_budget: 16 << 20, ..Default::default() };
    let path = disk.path.join("data");
    let filler = fill(&disk);
    let error = Engine::open(&path, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    fs::remove_file(filler).unwrap();
    let engine = Engine::open(&path, &options).unwrap();
    engine.create_namespace("n", None).unwrap().put(b"k", b"v").unwrap();
    engine.close().unwrap();

    let filler = fill(&disk);
    let error = Engine::open(&path, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    fs::remove_file(filler).unwrap();
    let engine = Engine::open(&path, &options).unwrap();
    assert_eq!(engine.namespace("n").unwrap().get(b"k").unwrap().unwrap(), b"v");
    assert_sound(&engine);
}
