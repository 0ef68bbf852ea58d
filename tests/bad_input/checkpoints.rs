//! Checkpoints that are not what they should be.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pumice::{Engine, Error, ErrorKind, Stage};

use crate::support::{
    Random, Shown, assert_error, assert_sound, copy_tree, fixture, names, open, open_replica, process, run, said,
    shown, wait_until,
};

/// A replica with a dataset of its own, and a good checkpoint of another one.
struct Ground {
    dir: tempfile::TempDir,
    replica: Engine,
    path: PathBuf,
    before: Shown,
    good: PathBuf,
    after: Shown,
    turn: u32,
}

impl Ground {
    fn make() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let primary = open(dir.path().join("primary"));
        let first = primary.create_namespace("first", None).unwrap();
        first.put(b"k", b"first").unwrap();
        let old = primary.create_checkpoint(dir.path().join("old")).unwrap().path;
        let second = primary.create_namespace("second", None).unwrap();
        for key in 0..500 {
            second.put(format!("key{key}").as_bytes(), &[key as u8; 100]).unwrap();
        }
        primary.create_checkpoint(dir.path().join("flushed")).unwrap();
        for key in 0..50 {
            first.put(format!("more{key}").as_bytes(), b"more").unwrap();
        }
        let good = primary.create_checkpoint(dir.path().join("good")).unwrap().path;
        let path = dir.path().join("replica");
        let replica = open_replica(&path);
        replica.apply_checkpoint(old).unwrap();
        wait_until("the first generation is deleted", || names(&path.join("generations")).len() == 2);
        let (before, after) = (shown(&replica), shown(&primary));
        primary.close().unwrap();
        Ground { dir, replica, path, before, good, after, turn: 0 }
    }

    /// A copy of the good checkpoint, to be damaged.
    fn copy(&mut self) -> PathBuf {
        self.turn += 1;
        let copy = self.dir.path().join(format!("damaged-{}", self.turn));
        copy_tree(&self.good, &copy);
        copy
    }

    /// Applies a damaged checkpoint, which must fail and change nothing.
    #[track_caller]
    fn refuse(&self, damaged: &Path, kind: ErrorKind, words: &[&str]) {
        assert_error(self.replica.apply_checkpoint(damaged), kind, words);
        self.assert_unchanged();
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        assert!(shown(&self.replica) == self.before, "the engine shows something else");
        let current = self.replica.info().unwrap().generation;
        let left = [format!("{current:06}"), format!("{current:06}.history")];
        assert_eq!(names(&self.path.join("generations")), left);
    }

    /// The good checkpoint still applies, so nothing stands in the way.
    fn finish(self) {
        assert_sound(&self.replica);
        self.replica.apply_checkpoint(&self.good).unwrap();
        assert!(shown(&self.replica) == self.after);
        assert_sound(&self.replica);
    }
}

fn flip(file: &Path, bit: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(file, bytes).unwrap();
}

/// The files that the sync manifest lists.
fn listed(checkpoint: &Path) -> Vec<String> {
    let names: Vec<String> = names(checkpoint).into_iter().filter(|name| name != "PUMICE-MANIFEST").collect();
    let kinds: Vec<&str> = ["CURRENT", "MANIFEST", "OPTIONS", ".sst", ".log"]
        .into_iter()
        .filter(|kind| names.iter().any(|name| name.contains(kind)))
        .collect();
    assert_eq!(kinds.len(), 5, "a kind of file is missing: {names:?}");
    names
}

/// A file of a checkpoint that is missing, cut, longer, swapped with another or not listed is Corruption that names
/// the file.
#[test]
fn files_that_are_not_as_listed() {
    let mut ground = Ground::make();
    for name in listed(&ground.good) {
        let damaged = ground.copy();
        fs::remove_file(damaged.join(&name)).unwrap();
        let (kind, word) = match name.as_str() {
            "CURRENT" => (ErrorKind::InvalidArgument, "CURRENT"),
            _ => (ErrorKind::Corruption, "missing"),
        };
        ground.refuse(&damaged, kind, &[&name, word]);

        let damaged = ground.copy();
        let bytes = fs::read(damaged.join(&name)).unwrap();
        // The file is linked into the good checkpoint's copies by nobody: these are true copies.
        for other in [&bytes[..bytes.len().saturating_sub(1)], &[&bytes[..], b"x"].concat(), b""] {
            if other.len() == bytes.len() {
                continue;
            }
            fs::write(damaged.join(&name), other).unwrap();
            let got = format!("got {} bytes", other.len());
            ground.refuse(&damaged, ErrorKind::Corruption, &[&name, &got, &format!("expected {}", bytes.len())]);
        }
    }

    let damaged = ground.copy();
    let tables: Vec<PathBuf> =
        names(&damaged).into_iter().filter(|name| name.ends_with(".sst")).map(|name| damaged.join(name)).collect();
    assert!(tables.len() > 1);
    fs::rename(&tables[0], damaged.join("x")).unwrap();
    fs::rename(&tables[1], &tables[0]).unwrap();
    fs::rename(damaged.join("x"), &tables[1]).unwrap();
    ground.refuse(&damaged, ErrorKind::Corruption, &[".sst", "got", "expected"]);

    let damaged = ground.copy();
    fs::copy(&tables[0], damaged.join("999999.sst")).unwrap();
    ground.refuse(&damaged, ErrorKind::Corruption, &["999999.sst", "not in its sync manifest"]);
    ground.finish();
}

/// One flipped bit, wherever in whatever file, is Corruption that names the file and both checksums.
#[test]
fn flipped_bits() {
    let mut ground = Ground::make();
    let mut random = Random(3);
    let damaged = ground.copy();
    let mut flips = 0;
    for name in listed(&ground.good) {
        let file = damaged.join(&name);
        let bits = fs::metadata(&file).unwrap().len() as usize * 8;
        let mut places = vec![0, bits.saturating_sub(1)];
        places.extend((0..12).map(|_| random.below(bits.max(1))));
        for bit in places.into_iter().filter(|&bit| bit < bits) {
            flip(&file, bit);
            ground.refuse(&damaged, ErrorKind::Corruption, &[&name, "got crc32c", "expected"]);
            flip(&file, bit);
            flips += 1;
        }
    }
    assert!(flips > 60, "{flips}");

    let manifest = damaged.join("PUMICE-MANIFEST");
    let bits = fs::metadata(&manifest).unwrap().len() as usize * 8;
    for bit in (0..bits).step_by(37) {
        flip(&manifest, bit);
        let error = ground.replica.apply_checkpoint(&damaged).unwrap_err();
        // A later format number is not a fault of the file.
        let kind = if (64..80).contains(&bit) { ErrorKind::Unsupported } else { ErrorKind::Corruption };
        assert_eq!(error.kind(), kind, "bit {bit}: {error}");
        assert!(error.message().contains("sync manifest"), "{error}");
        flip(&manifest, bit);
    }
    ground.assert_unchanged();
    ground.replica.apply_checkpoint(&damaged).unwrap();
    assert!(shown(&ground.replica) == ground.after, "the copy was not put right again");
    ground.before = ground.after.clone();
    ground.finish();
}

/// Without a sync manifest RocksDB's own checksums find flipped bits of tables when they are asked for, and a CURRENT
/// that names nothing, or nonsense, is a typed error.
#[test]
fn damage_without_a_manifest() {
    let mut ground = Ground::make();
    let damaged = ground.copy();
    fs::remove_file(damaged.join("PUMICE-MANIFEST")).unwrap();
    let mut random = Random(5);
    let tables: Vec<String> = names(&damaged).into_iter().filter(|name| name.ends_with(".sst")).collect();
    let verified =
        |ground: &Ground| ground.replica.apply_checkpoint_watched(&damaged, true, &mut |_| ControlFlow::Continue(()));
    for name in &tables {
        let file = damaged.join(name);
        let bytes = fs::metadata(&file).unwrap().len() as usize;
        for _ in 0..6 {
            // Data blocks come first. RocksDB compares those; partitions of filters and indexes only when it reads by
            // them, and some bytes of the footer never.
            let bit = random.below(if bytes > 10_000 { bytes / 2 } else { 40 } * 8);
            flip(&file, bit);
            assert_error(verified(&ground), ErrorKind::Corruption, &["RocksDB says"]);
            ground.assert_unchanged();
            flip(&file, bit);
        }
    }
    let version = names(&damaged).into_iter().find(|name| name.starts_with("MANIFEST-")).unwrap();
    let file = damaged.join(&version);
    // The records of RocksDB's MANIFEST: crc32c, u16 length, type, payload. A broken length looks like the torn end of
    // a file that was being written, which RocksDB takes; all that its checksums cover must be found.
    let bytes = fs::read(&file).unwrap();
    let mut records = Vec::new();
    let mut at = 0;
    while at + 7 <= bytes.len() {
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        records.push((at, at + 7 + length));
        at += 7 + length;
    }
    assert!(at == bytes.len() && records.len() > 5);
    for (start, end) in records {
        let payload = (end > start + 7).then(|| start + 7 + random.below(end - start - 7));
        for byte in [Some(start + random.below(4)), payload].into_iter().flatten() {
            let bit = byte * 8 + random.below(8);
            flip(&file, bit);
            assert_error(verified(&ground), ErrorKind::Corruption, &["RocksDB says"]);
            ground.assert_unchanged();
            flip(&file, bit);
        }
    }
    let current = fs::read(damaged.join("CURRENT")).unwrap();
    for stale in [&b"MANIFEST-000001\n"[..], b"MANIFEST-999999\n", b"", b"nonsense", b"../../MANIFEST-000001\n"] {
        fs::write(damaged.join("CURRENT"), stale).unwrap();
        let error = ground.replica.apply_checkpoint(&damaged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        ground.assert_unchanged();
    }
    fs::write(damaged.join("CURRENT"), current).unwrap();
    fs::remove_file(damaged.join(&tables[0])).unwrap();
    ground.refuse(&damaged, ErrorKind::Corruption, &[&tables[0]]);
    ground.finish();
}

/// A table file that cannot be opened, or whose first block cannot be read, is found before the swap, without a manifest
/// and without being asked to verify: whichever of many it is.
#[test]
fn unreadable_tables() {
    let mut ground = Ground::make();
    let primary = open(ground.dir.path().join("many"));
    let namespace = primary.create_namespace("many", None).unwrap();
    for turn in 0..3 {
        for key in 0..10 {
            namespace.put(format!("{turn}-{key}").as_bytes(), b"value").unwrap();
            namespace.set(b"set").add(&[format!("{turn}-{key}")]).unwrap();
            namespace.sorted_set(b"scores").add(&[(f64::from(key), format!("{turn}-{key}"))]).unwrap();
        }
        namespace.execute(&["XADD", "stream", "*", "field", "value"]).unwrap();
        namespace.execute(&["PUBLISH", "channel", "message"]).unwrap();
        primary.create_namespace(format!("tenant-{turn}"), None).unwrap();
        primary.create_checkpoint(ground.dir.path().join(format!("many-{turn}"))).unwrap();
    }
    ground.good = ground.dir.path().join("many-2");
    ground.after = shown(&primary);
    primary.close().unwrap();

    let damaged = ground.copy();
    fs::remove_file(damaged.join("PUMICE-MANIFEST")).unwrap();
    let tables: Vec<String> = names(&damaged).into_iter().filter(|name| name.ends_with(".sst")).collect();
    // So many that RocksDB is not left to open them all in one go.
    assert!(tables.len() > 16, "{tables:?}");
    for name in &tables {
        let file = damaged.join(name);
        let end = fs::metadata(&file).unwrap().len() as usize * 8;
        for bit in [end - 1, 9] {
            flip(&file, bit);
            ground.refuse(&damaged, ErrorKind::Corruption, &[name]);
            flip(&file, bit);
        }
    }
    ground.finish();
}

/// A frame as side files have it: `"PUMICE\0", kind, u16 format, u32 length, payload, u32 crc32c`.
fn framed(kind: u8, format: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"PUMICE\0".to_vec();
    bytes.push(kind);
    bytes.extend(format.to_le_bytes());
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// A number as bincode writes it.
fn varint(number: u64) -> Vec<u8> {
    match number {
        0..=250 => vec![number as u8],
        251..=0xFFFF => [&[251][..], &(number as u16).to_le_bytes()].concat(),
        0x1_0000..=0xFFFF_FFFF => [&[252][..], &(number as u32).to_le_bytes()].concat(),
        _ => [&[253][..], &number.to_le_bytes()].concat(),
    }
}

/// A sync manifest with these files: sequence, layout, no id, no former ids, then name, size and checksum of each.
fn manifest_of(files: &[(&[u8], u64)], count: u64) -> Vec<u8> {
    let mut payload = [varint(9), vec![1], varint(0), varint(0), varint(count)].concat();
    for (name, size) in files {
        payload.extend([varint(name.len() as u64), name.to_vec(), varint(*size), varint(0)].concat());
    }
    framed(3, 1, &payload)
}

/// A sync manifest with a name that could lead out of the folder, or that is no file of a RocksDB, or with
/// impossible numbers, is refused for what it says, before any file of that name is touched.
#[test]
fn hostile_manifests() {
    let mut ground = Ground::make();
    let damaged = ground.copy();
    let manifest = damaged.join("PUMICE-MANIFEST");
    let outside = ground.dir.path().join("outside");
    fs::write(&outside, b"secret").unwrap();
    let long = [&b"1".repeat(3996)[..], b".sst"].concat();
    let bad: [&[u8]; 12] = [
        b"../outside",
        b"..",
        b".",
        b"/etc/passwd",
        b"",
        &long,
        b"000001.sst\0",
        b"\0",
        b"a/000001.sst",
        b"000001.sst/../../outside",
        b"LOCK",
        b"\xff.sst",
    ];
    for name in bad {
        fs::write(&manifest, manifest_of(&[(b"CURRENT", 16), (name, 6)], 2)).unwrap();
        ground.refuse(&damaged, ErrorKind::Corruption, &["sync manifest", "file"]);
    }
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
    for (bytes, words) in [
        (manifest_of(&[(b"CURRENT", 16), (b"1.sst", 1), (b"1.sst", 1)], 3), &["1.sst", "twice"][..]),
        (manifest_of(&[(b"1.sst", 1)], 1), &["CURRENT", "got none"]),
        (manifest_of(&[], 0), &["CURRENT", "got none"]),
        (manifest_of(&[(b"CURRENT", u64::MAX), (b"1.sst", u64::MAX)], 2), &["sizes of all files"]),
        (manifest_of(&[(b"CURRENT", 16)], u64::MAX), &["number of files", "got 18446744073709551615"]),
        (manifest_of(&[(b"CURRENT", 16)], 999_999), &["number of files", "got 999999"]),
        (manifest_of(&[(b"CURRENT", 16), (b"1.sst", 5)], 1), &["after the end"]),
        (framed(2, 1, b"\x09\x01\0\0\0"), &["file kind", "got 2", "expected 3"]),
        (b"PUMICE\0".to_vec(), &["length", "got 7 bytes"]),
        (Vec::new(), &["length", "got 0 bytes"]),
        (vec![0; 1000], &["magic"]),
    ] {
        fs::write(&manifest, bytes).unwrap();
        ground.refuse(&damaged, ErrorKind::Corruption, &[&["sync manifest"], words].concat());
    }
    fs::write(&manifest, framed(3, 2, b"\x09\x01\0\0\0")).unwrap();
    ground.refuse(&damaged, ErrorKind::Unsupported, &["sync manifest", "format", "got 2", "expected 1"]);
    ground.finish();
}

/// Claims of giant numbers cost no memory: they are refused before anything is allocated for them.
#[test]
fn giant_claims_cost_nothing() {
    let output = run(&mut process("giant claims", &[]));
    let done = String::from_utf8_lossy(&output.stdout).contains("job done");
    assert!(output.status.success() && done, "{}", said(&output));
}

/// In a process of its own, so that its memory can be measured.
pub fn giant_claims() {
    let mut ground = Ground::make();
    let damaged = ground.copy();
    let before = peak_memory();
    for claim in [1 << 20, 1 << 32, 1 << 40, 1 << 62, u64::MAX] {
        let name = [varint(1), varint(claim), b"CURRENT".to_vec()].concat();
        let payload = [varint(9), vec![1], varint(0), varint(0), name].concat();
        for payload in
            [payload, [varint(9), vec![1], varint(claim)].concat(), [varint(9), vec![1, 0], varint(claim)].concat()]
        {
            fs::write(damaged.join("PUMICE-MANIFEST"), framed(3, 1, &payload)).unwrap();
            ground.refuse(&damaged, ErrorKind::Corruption, &["sync manifest", "got"]);
        }
    }
    // The kernel sums the counts of its cores only now and then, so the peak can be told a little lower later.
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    ground.finish();
}

/// The most memory that this process ever had, in bytes.
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A link in a checkpoint, under the name of a file, is Corruption that names it, with and without a sync manifest.
#[test]
fn links_inside() {
    let mut ground = Ground::make();
    let outside = ground.dir.path().join("outside");
    for name in listed(&ground.good) {
        for with_manifest in [true, false] {
            let damaged = ground.copy();
            fs::rename(damaged.join(&name), &outside).unwrap();
            symlink(&outside, damaged.join(&name)).unwrap();
            if !with_manifest {
                fs::remove_file(damaged.join("PUMICE-MANIFEST")).unwrap();
            }
            ground.refuse(&damaged, ErrorKind::Corruption, &[&name, "not a regular file"]);
            fs::remove_dir_all(damaged).unwrap();
        }
    }
    let damaged = ground.copy();
    fs::remove_file(damaged.join("PUMICE-MANIFEST")).unwrap();
    fs::create_dir(damaged.join("000001.log")).unwrap();
    ground.refuse(&damaged, ErrorKind::Corruption, &["000001.log", "not a regular file"]);
    ground.finish();
}

/// What is no checkpoint, or one of another layout, is refused with a word on what was expected.
#[test]
fn no_checkpoints() {
    let ground = Ground::make();
    let root = ground.dir.path();
    ground.refuse(&root.join("nowhere"), ErrorKind::NotFound, &["nowhere", "no such folder"]);
    fs::create_dir(root.join("empty")).unwrap();
    ground.refuse(&root.join("empty"), ErrorKind::InvalidArgument, &["empty", "CURRENT", "expected"]);
    fs::write(root.join("file"), b"x").unwrap();
    ground.refuse(&root.join("file"), ErrorKind::InvalidArgument, &["file", "expected a folder"]);
    ground.refuse(&root.join("primary"), ErrorKind::InvalidArgument, &["primary", "CURRENT", "db"]);
    let cluster = root.join("cluster");
    copy_tree(&fixture("cluster-zstd").join("backup"), &cluster);
    ground.refuse(&cluster, ErrorKind::InvalidArgument, &["key layout", "got cluster", "asked for standalone"]);
    ground.refuse(&ground.path.join("db"), ErrorKind::Busy, &["this process"]);
    ground.finish();
}

/// An apply that its caller cancels, in whatever stage, is Busy and changes nothing; so is a checkpoint being made.
#[test]
fn cancelled() {
    let ground = Ground::make();
    let mut looks = 0;
    let mut stages = Vec::new();
    for last in 0.. {
        let mut seen = 0;
        let mut stage = Stage::Receive;
        let applied = ground.replica.apply_checkpoint_watched(&ground.good, false, &mut |progress| {
            stage = progress.stage;
            seen += 1;
            if seen > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match applied {
            Ok(()) => break,
            Err(e) => {
                assert_error(Err::<(), Error>(e), ErrorKind::Busy, &["cancelled", stage.name(), "nothing was changed"]);
                ground.assert_unchanged();
                stages.push(stage);
                looks += 1;
            }
        }
    }
    stages.dedup();
    assert_eq!(stages, [Stage::Receive, Stage::Open, Stage::Publish]);
    assert!(looks > 5);
    let made = ground.dir.path().join("made");
    for last in 0.. {
        let mut seen = 0;
        let result = ground.replica.create_checkpoint_watched(&made, &mut |_| {
            seen += 1;
            if seen > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match result {
            Ok(_) => break,
            Err(e) => assert_eq!(e.kind(), ErrorKind::Busy, "{e}"),
        }
        assert!(!made.exists() && !ground.dir.path().join("made.incomplete").exists());
    }
    assert!(made.exists());
    ground.finish();
}
