//! What the tests stand on: directories, processes of their own, random numbers from a seed.
#![allow(dead_code, reason = "every test file uses another part of it")]

pub mod client;
pub mod commands;
pub mod kvrocks;
pub mod recorded;
pub mod redis;
pub mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pumice::{Depth, Engine, Error, ErrorKind, Options, Range, Role};

/// Opens for writing, with the role that the directory records.
pub fn open(path: impl AsRef<Path>) -> Engine {
    Engine::open(path, &Options::default()).unwrap()
}

/// Opens a directory as a replica.
pub fn open_replica(path: impl AsRef<Path>) -> Engine {
    Engine::open(path, &Options { role: Some(Role::Replica), ..Default::default() }).unwrap()
}

/// Everything that a dataset shows through the API: each namespace with its keys and values.
pub type Shown = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// All namespaces and strings of an engine.
pub fn shown(engine: &Engine) -> Shown {
    let snapshot = engine.snapshot().unwrap();
    let names = snapshot.namespaces().unwrap();
    names
        .into_iter()
        .map(|name| {
            let items = snapshot.namespace(&name).unwrap().items(&Range::default()).unwrap();
            let items = items.map(|item| item.map(|(key, value)| (key, value.unwrap_or_default()))).map(Result::unwrap);
            (name, items.collect())
        })
        .collect()
}

/// Fails when anything that must hold does not.
#[track_caller]
pub fn assert_sound(engine: &Engine) {
    let mut findings = engine.verify(Depth::Records).unwrap();
    // Its primary may be away just now.
    findings.retain(|finding| finding.what != "primary");
    assert_eq!(findings, []);
}

/// Fails unless the error is of that kind and its message has all of these words.
#[track_caller]
pub fn assert_error<T>(result: Result<T, Error>, kind: ErrorKind, words: &[&str]) {
    let Err(error) = result else { panic!("expected {kind:?} with {words:?}, got no error") };
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "no {word:?} in: {error}");
    }
}

/// Copies a folder with all in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(&from, &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// The names of the column families.
pub const FAMILIES: [&str; 7] = ["default", "metadata", "zset_score", "pubsub", "propagate", "stream", "search"];

/// The records of one family as they are stored, in order.
pub type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// All records of a closed directory, by family.
pub fn records(directory: &Path) -> BTreeMap<&'static str, Records> {
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf_for_read_only(&options, directory.join("db"), FAMILIES, false).unwrap();
    let of = |family: &str| {
        let records = db.iterator_cf(db.cf_handle(family).unwrap(), rocksdb::IteratorMode::Start);
        records.map(|record| record.unwrap()).map(|(key, value)| (key.into_vec(), value.into_vec())).collect()
    };
    FAMILIES.iter().map(|family| (*family, of(family))).collect()
}

/// Writes one record into a closed directory behind the engine's back, or removes it.
pub fn raw_write(directory: &Path, family: &str, key: &[u8], value: Option<&[u8]>) {
    let folder = fs::canonicalize(directory.join("db")).unwrap();
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), folder, FAMILIES).unwrap();
    let handle = db.cf_handle(family).unwrap();
    match value {
        Some(value) => db.put_cf(handle, key, value).unwrap(),
        None => db.delete_cf(handle, key).unwrap(),
    }
}

/// The metadata of a key that lives for ever, in the 64-bit form, with a version of nines.
pub fn raw_metadata(kind: u8, size: u64, rest: &[u8]) -> Vec<u8> {
    [&[0x80 | kind], &[0; 8][..], &[9; 8], &size.to_be_bytes(), rest].concat()
}

/// A subkey of such a key in the default namespace.
pub fn raw_subkey(name: &str, sub: &[u8]) -> Vec<u8> {
    [b"\x0b__namespace", &(name.len() as u32).to_be_bytes()[..], name.as_bytes(), &[9; 8], sub].concat()
}

/// A folder of the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Every name below a folder, with what it is, its bytes and when it was last changed.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, (String, Vec<u8>, i64, i64)> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<PathBuf, (String, Vec<u8>, i64, i64)>) {
        let status = fs::symlink_metadata(at).unwrap();
        let bytes = if status.is_symlink() {
            fs::read_link(at).unwrap().into_os_string().into_encoded_bytes()
        } else if status.is_file() {
            fs::read(at).unwrap()
        } else {
            Vec::new()
        };
        let kind = format!("{:?} {:o}", status.file_type(), status.mode());
        found.insert(at.strip_prefix(root).unwrap().to_owned(), (kind, bytes, status.mtime(), status.mtime_nsec()));
        if status.is_dir() {
            for entry in fs::read_dir(at).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// Names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Looks again and again until it is so. It gives up after a minute, so that no test waits for ever.
#[track_caller]
pub fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("gave up after a minute: {what}");
}

/// This test binary again, in a process of its own: it runs the test named `child`, which does `job`.
pub fn process(job: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env("PUMICE_JOB", job);
    command.env("PUMICE_JOB_PATHS", std::env::join_paths(arguments).unwrap());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Tells threads to end when it goes, also when a test fails, so that none is waited for in vain.
pub struct Ended<'a>(pub &'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether this process runs the test of that name alone, so that its memory can be measured. Elsewhere such a process is
/// started, and fails the test when it fails.
#[track_caller]
pub fn alone(test: &str) -> bool {
    if std::env::var_os("PUMICE_ALONE").is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("PUMICE_ALONE", "1");
    let output = run(command.stdin(Stdio::null()));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
    false
}

/// A folder that costs no disk where there is one with room enough, for tests that are not about the disk but use it a lot.
pub fn quick_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    // A container may have one of 64 MiB.
    let room = rustix::fs::statvfs(memory).is_ok_and(|found| found.f_bavail * found.f_frsize >= 4 << 30);
    let quick = room.then(|| tempfile::tempdir_in(memory).ok()).flatten();
    quick.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

/// A folder for sockets, whose paths may have 107 bytes, however long the path of the one for temporary files is.
pub fn socket_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/tmp").unwrap()
}

/// What the process was started for, when it is a child of a test.
pub fn job() -> Option<(String, Vec<PathBuf>)> {
    let job = std::env::var("PUMICE_JOB").ok()?;
    let paths = std::env::var_os("PUMICE_JOB_PATHS").unwrap_or_default();
    Some((job, std::env::split_paths(&paths).collect()))
}

/// Runs a child to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// What a process wrote, for a message.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Says aloud that a test cannot run here. It is written past the test harness, which hides what passing tests print.
pub fn skipped(reason: &str) {
    use std::io::Write;
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {name}: {reason}\n");
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Bytes as a word of a scenario.
pub fn encode(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".to_owned();
    }
    let mut word = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"_:./=-".contains(&byte) {
            word.push(char::from(byte));
        } else {
            word += &format!("%{byte:02x}");
        }
    }
    word
}

/// Random numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A file system of its own in memory; unmounted when it goes. `None` where mounting is not permitted.
pub struct Mount {
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Mount {
    pub fn new(mebibytes: u64) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::create_dir(&path).unwrap();
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|status| status.success()).then_some(Mount { path, _dir: dir })
    }

    /// Forbids or allows writing to all of it.
    pub fn set_read_only(&self, read_only: bool) {
        let mode = if read_only { "remount,ro" } else { "remount,rw" };
        assert!(Command::new("mount").args(["-o", mode]).arg(&self.path).status().unwrap().success(), "{mode}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
