//! Directories that somebody else has open.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout};

use pumice::{Engine, ErrorKind, Options};

use super::directories::{FAMILIES, make_rocksdb};
use crate::support::{assert_error, assert_sound, copy_tree, fixture, open, open_replica, process, run, said};

/// A process that holds something until it is told to let go.
struct Holder {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Holder {
    fn start(job: &str, path: &Path) -> Holder {
        let mut child = process(job, &[path]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let held = lines.find(|line| line.as_ref().is_ok_and(|line| line == "held"));
        assert!(held.is_some(), "the other process could not open {}", path.display());
        Holder { child, lines }
    }

    fn id(&self) -> String {
        format!("process {}", self.child.id())
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        assert!(self.lines.any(|line| line.unwrap() == "job done"));
    }
}

fn hold() {
    println!("held");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Holds a RocksDB open, as a running Kvrocks does.
pub fn hold_rocksdb(path: &Path) {
    let _db = rocksdb::DB::open_cf(&rocksdb::Options::default(), path, FAMILIES).unwrap();
    hold();
}

/// Says whether a RocksDB can be opened for writing.
pub fn open_rocksdb(path: &Path) {
    match rocksdb::DB::open_cf(&rocksdb::Options::default(), path, FAMILIES) {
        Ok(_) => println!("could open"),
        Err(e) => println!("could not open: {e}"),
    }
}

pub fn hold_engine(path: &Path) {
    let read_only = path.join("read_only").exists();
    let _engine = Engine::open(path, &Options { read_only, ..Default::default() }).unwrap();
    hold();
}

/// Two opens of one directory for writing are Busy naming the process, be it this one or another; when that process
/// is gone, killed too, the directory opens.
#[test]
fn two_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    engine.default_namespace().put(b"k", b"v").unwrap();
    let read_only = Options { read_only: true, ..Default::default() };
    for options in [&Options::default(), &read_only] {
        assert_error(Engine::open(&path, options), ErrorKind::Busy, &["data", "this process"]);
    }
    assert_error(pumice::release(&path), ErrorKind::Busy, &["data", "this process"]);
    // The refused opens took nothing from the open one.
    engine.default_namespace().put(b"k", b"v2").unwrap();
    engine.close().unwrap();

    let holder = Holder::start("hold engine", &path);
    for options in [&Options::default(), &read_only] {
        assert_error(Engine::open(&path, options), ErrorKind::Busy, &["data", &holder.id()]);
    }
    assert_error(pumice::release(&path), ErrorKind::Busy, &["data", &holder.id()]);
    holder.end();
    open(&path).close().unwrap();

    let mut holder = Holder::start("hold engine", &path);
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    assert_sound(&open(&path));

    std::fs::write(path.join("read_only"), b"").unwrap();
    let holder = Holder::start("hold engine", &path);
    assert_error(Engine::open(&path, &Options::default()), ErrorKind::Busy, &["data", "read-only"]);
    let reader = Engine::open(&path, &read_only).unwrap();
    assert_eq!(reader.default_namespace().get(b"k").unwrap().unwrap(), b"v2");
    reader.close().unwrap();
    holder.end();
    assert_sound(&open(&path));
}

/// A source, or a folder to adopt, that another process has open in RocksDB is Busy naming the process, and that
/// process is not disturbed.
#[test]
fn held_by_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvrocks");
    copy_tree(&fixture("plain-zstd").join("db"), &path.join("db"));
    let replica = open_replica(dir.path().join("replica"));

    let holder = Holder::start("hold rocksdb", &path.join("db"));
    let words = ["db", "RocksDB", &holder.id()];
    for options in [Options::default(), Options { read_only: true, ..Default::default() }] {
        assert_error(Engine::open(&path, &options), ErrorKind::Busy, &words);
    }
    assert_error(replica.apply_checkpoint(path.join("db")), ErrorKind::Busy, &words);
    assert!(path.join("db").symlink_metadata().unwrap().is_dir(), "it was adopted");
    assert!(!path.join("generations").exists());
    holder.end();

    replica.apply_checkpoint(path.join("db")).unwrap();
    assert!(replica.namespace("alpha").unwrap().count().unwrap() > 0);
    assert_sound(&open(&path));
}

/// The same when this very process has it open through RocksDB itself: Busy, and its lock still holds off others.
#[test]
fn held_by_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvrocks");
    make_rocksdb(&path.join("db"), &FAMILIES);
    let replica = open_replica(dir.path().join("replica"));
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), path.join("db"), FAMILIES).unwrap();
    for options in [Options::default(), Options { read_only: true, ..Default::default() }] {
        assert_error(Engine::open(&path, &options), ErrorKind::Busy, &["db", "RocksDB", "open"]);
    }
    assert_error(replica.apply_checkpoint(path.join("db")), ErrorKind::Busy, &["db", "RocksDB", "open"]);
    let output = run(&mut process("open rocksdb", &[&path.join("db")]));
    assert!(said(&output).contains("could not open"), "the lock was lost: {}", said(&output));
    db.put_cf(db.cf_handle("pubsub").unwrap(), b"still", b"writes").unwrap();
    drop(db);
    let output = run(&mut process("open rocksdb", &[&path.join("db")]));
    assert!(said(&output).contains("could open"), "{}", said(&output));
    replica.apply_checkpoint(path.join("db")).unwrap();
    assert_sound(&open(&path));
}

/// A lock file of RocksDB that nobody holds is in nobody's way, and what a server may still do to its folder while we
/// hold it is nothing: it cannot open it.
#[test]
fn stale_lock_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvrocks");
    copy_tree(&fixture("plain-zstd").join("db"), &path.join("db"));
    std::fs::write(path.join("db/LOCK"), b"").unwrap();
    std::fs::write(path.join("LOCK"), b"99999").unwrap();
    let replica = open_replica(dir.path().join("replica"));
    let mut tried = false;
    replica
        .apply_checkpoint_watched(path.join("db"), false, &mut |progress| {
            if !tried && progress.files_done == 1 {
                tried = true;
                let output = run(&mut process("open rocksdb", &[&path.join("db")]));
                assert!(said(&output).contains("could not open"), "{}", said(&output));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(tried);
    let engine = open(&path);
    let output = run(&mut process("open rocksdb", &[&path.join("db/")]));
    assert!(said(&output).contains("could not open"), "{}", said(&output));
    assert_sound(&engine);
}
