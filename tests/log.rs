//! The log: every entry once, in order, and never an end that is none.

mod support;

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use pumice::{Engine, Entry, ErrorKind, Log, Options, Position, Role};
use support::{Random, assert_error, assert_sound, names, open, open_replica, shown};

/// All entries up to the end.
fn rest(log: &mut Log) -> Vec<Entry> {
    std::iter::from_fn(|| log.next_entry(None).unwrap()).collect()
}

fn entries(engine: &Engine, after: Option<&Position>) -> Vec<Entry> {
    rest(&mut engine.log(after).unwrap())
}

/// Applies what a replica lacks. How many entries that were.
fn replicate(from: &Engine, to: &Engine) -> usize {
    let entries = entries(from, Some(&to.position().unwrap()));
    entries.iter().for_each(|entry| to.apply(entry).unwrap());
    assert_eq!(from.position().unwrap(), to.position().unwrap());
    entries.len()
}

#[track_caller]
fn assert_contiguous(entries: &[Entry], after: u64, up_to: u64) {
    let mut at = after;
    for entry in entries {
        assert_eq!(entry.first, at + 1);
        at = entry.last;
    }
    assert_eq!(at, up_to);
}

/// Puts what was written so far into tables, so that the next write begins another WAL file.
fn switch_wal(engine: &Engine, scrap: &Path) {
    let made = engine.create_checkpoint(scrap.join("scrap")).unwrap().path;
    fs::remove_dir_all(made).unwrap();
}

/// The WAL files that RocksDB has put aside, oldest first.
fn archived(data: &Path) -> Vec<std::path::PathBuf> {
    let folder = data.join("db/archive");
    names(&folder).into_iter().map(|name| folder.join(name)).collect()
}

/// The entries are the same bytes whether they come from memory, at once, or from the WAL, later; entries too long
/// for memory, and many small ones, and those before and behind them, come all and in order.
#[test]
fn memory_and_wal_give_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    let namespace = engine.default_namespace();
    let start = engine.position().unwrap();
    let mut random = Random(2);
    let mut follower = engine.log(Some(&start)).unwrap();
    let mut at_once = Vec::new();
    for turn in 0..6000u32 {
        let length = match turn {
            100 | 4000 | 5999 => 5 << 20,
            turn if turn % 50 == 0 => 100_000,
            _ => random.below(200),
        };
        namespace.put(&turn.to_be_bytes(), &random.bytes(8).repeat(length / 8)).unwrap();
        if turn == 3000 {
            switch_wal(&engine, dir.path());
        }
        // Now and then it falls behind what is kept in memory.
        if turn < 1000 || turn % 1500 == 0 {
            at_once.append(&mut rest(&mut follower));
        }
    }
    at_once.append(&mut rest(&mut follower));
    let position = engine.position().unwrap();
    assert_eq!(follower.position(), &position);
    assert_contiguous(&at_once, start.sequence, position.sequence);
    assert_eq!(at_once.len(), 6000);
    let later = entries(&engine, Some(&start));
    assert!(later == at_once);
    drop(follower);
    engine.close().unwrap();
    // Reopened, nothing is in memory.
    let engine = open(dir.path().join("data"));
    let reopened = entries(&engine, Some(&start));
    assert!(reopened[..6000] == at_once[..]);
    // And as bytes they come back the same.
    for entry in at_once.iter().step_by(97) {
        assert_eq!(Entry::decode(&entry.encode()).unwrap(), *entry);
    }
}

/// Where a part of the log is gone, before the position or behind it, the reader says NotFound with what is kept;
/// never the end, and never an entry from beyond the gap.
#[test]
fn a_gap_is_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = open(&data);
    let namespace = engine.default_namespace();
    let start = engine.position().unwrap();
    let mut positions = vec![start.clone()];
    for file in 0..6u32 {
        for key in 0..10u32 {
            namespace.put(&key.to_be_bytes(), &file.to_be_bytes()).unwrap();
        }
        positions.push(engine.position().unwrap());
        switch_wal(&engine, dir.path());
    }
    // Opened anew, so that nothing is in memory.
    engine.close().unwrap();
    let engine = open(&data);
    assert_contiguous(&entries(&engine, Some(&start)), start.sequence, engine.position().unwrap().sequence);
    let files = archived(&data);
    assert!(files.len() >= 6, "{files:?}");

    // A file in the middle goes: what is before it comes, then the gap.
    let aside = dir.path().join("aside");
    fs::rename(&files[3], &aside).unwrap();
    let mut log = engine.log(Some(&start)).unwrap();
    let mut came = Vec::new();
    let error = loop {
        match log.next_entry(None) {
            Ok(Some(entry)) => came.push(entry),
            Ok(None) => panic!("a gap looked like the end after {} entries", came.len()),
            Err(e) => break e,
        }
    };
    assert_contiguous(&came, start.sequence, positions[3].sequence);
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains(&positions[3].to_string()) && error.message().contains("full sync"), "{error}");
    // It stays so, also for one that waits, and for one that begins there.
    assert_error(log.next_entry(Some(Duration::from_millis(1))), ErrorKind::NotFound, &["no longer reaches back"]);
    assert_eq!(log.position(), &positions[3]);
    let mut log = engine.log(Some(&positions[3])).unwrap();
    assert_error(log.next_entry(None), ErrorKind::NotFound, &["no longer reaches back"]);
    // From behind the gap on, all is there; and when the file comes back, so is the rest.
    let end = engine.position().unwrap().sequence;
    assert_contiguous(&entries(&engine, Some(&positions[4])), positions[4].sequence, end);
    fs::rename(&aside, &files[3]).unwrap();
    assert_contiguous(&entries(&engine, Some(&start)), start.sequence, end);

    // The oldest files go.
    for file in &files[..3] {
        fs::remove_file(file).unwrap();
    }
    for position in &positions[..3] {
        let mut log = engine.log(Some(position)).unwrap();
        let words = [&position.to_string()[..], "no longer reaches back", "oldest kept is", "full sync"];
        assert_error(log.next_entry(None), ErrorKind::NotFound, &words);
    }
    let all = entries(&engine, None);
    assert_contiguous(&all, positions[3].sequence, end);
    assert_eq!(engine.info().unwrap().oldest_sequence, all[0].first);
    // Every file of the past goes: there is only what was written since.
    for file in archived(&data) {
        fs::remove_file(file).unwrap();
    }
    let mut log = engine.log(Some(&positions[4])).unwrap();
    assert_error(log.next_entry(None), ErrorKind::NotFound, &["no longer reaches back"]);
    engine.default_namespace().put(b"new", b"value").unwrap();
    assert_error(log.next_entry(None), ErrorKind::NotFound, &["no longer reaches back"]);
    let all = entries(&engine, None);
    assert_eq!(all.last().unwrap().last, engine.position().unwrap().sequence);
    assert_sound(&engine);
}

/// A position inside an entry is InvalidArgument that names the entry's ends, from memory and from the WAL.
#[test]
fn inside_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    let start = engine.position().unwrap();
    let mut batch = engine.batch();
    for key in 0..5u8 {
        batch.put(&engine.default_namespace(), &[key], b"v").unwrap();
    }
    batch.commit(None).unwrap();
    let end = engine.position().unwrap();
    assert_eq!(end.sequence, start.sequence + 5);
    for reopened in [false, true] {
        let engine = if reopened {
            engine.close().unwrap();
            open(dir.path().join("data"))
        } else {
            engine.clone()
        };
        for sequence in start.sequence + 1..end.sequence {
            let inside = Position { sequence, ..start.clone() };
            let read = engine.log(Some(&inside)).and_then(|mut log| log.next_entry(None));
            let spans = format!("{} to {}", start.sequence + 1, end.sequence);
            assert_error(read, ErrorKind::InvalidArgument, &["inside an entry", &spans]);
        }
        assert_eq!(entries(&engine, Some(&start))[0].last, end.sequence);
    }
}

/// Waiting at the tail ends with the entry that another thread commits, or with nothing when none comes.
#[test]
fn waiting_at_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    let mut log = engine.log(Some(&engine.position().unwrap())).unwrap();
    assert!(log.next_entry(None).unwrap().is_none());
    assert!(log.next_entry(Some(Duration::from_millis(20))).unwrap().is_none());
    let (sender, receiver) = mpsc::channel();
    let follower = std::thread::spawn(move || {
        while let Some(entry) = log.next_entry(Some(Duration::from_secs(600))).unwrap() {
            if sender.send(entry.last).is_err() {
                break;
            }
        }
    });
    // One at a time: each is waited for before the next is written.
    for key in 0..200u32 {
        engine.default_namespace().put(&key.to_be_bytes(), b"v").unwrap();
        let last = receiver.recv_timeout(Duration::from_secs(60)).expect("the waiting reader was not woken");
        assert_eq!(last, engine.position().unwrap().sequence);
    }
    drop(receiver);
    engine.default_namespace().put(b"last", b"v").unwrap();
    follower.join().unwrap();
}

/// Entries are whole and in order while many threads write and a reader follows.
#[test]
fn following_many_writers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    let replica = open_replica(dir.path().join("replica"));
    let mut log = engine.log(None).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4u32 {
            let namespace = engine.create_namespace(format!("n{writer}"), None).unwrap();
            let engine = &engine;
            scope.spawn(move || {
                for key in 0..500u32 {
                    let mut batch = engine.batch();
                    batch.put(&namespace, &key.to_be_bytes(), b"v").unwrap();
                    batch.put(&engine.default_namespace(), &writer.to_be_bytes(), &key.to_be_bytes()).unwrap();
                    batch.commit(Some(key % 100 == 0)).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let mut applied = 0;
            // The id, four namespaces, and their writes.
            while applied < 1 + 4 + 4 * 500 {
                let entry = log.next_entry(Some(Duration::from_secs(60))).unwrap().expect("an entry is missing");
                replica.apply(&entry).unwrap();
                applied += 1;
            }
        });
    });
    assert_eq!(replica.position().unwrap(), engine.position().unwrap());
    assert!(shown(&replica) == shown(&engine));
    assert_sound(&replica);
}

/// A reader goes on across a swap when its position is in the new history; else it says that it is not, or that the
/// log does not reach back. It never says that nothing came.
#[test]
fn across_a_swap() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("primary"));
    let namespace = primary.default_namespace();
    namespace.put(b"1", b"v").unwrap();
    let first = primary.create_checkpoint(dir.path().join("first")).unwrap();
    let replica = open_replica(dir.path().join("replica"));
    replica.apply_checkpoint(&first.path).unwrap();
    let mut behind = replica.log(Some(&first.position)).unwrap();
    assert!(behind.next_entry(None).unwrap().is_none());
    namespace.put(b"2", b"v").unwrap();
    let second = primary.create_checkpoint(dir.path().join("second")).unwrap();
    namespace.put(b"3", b"v").unwrap();

    // The second checkpoint has its tables flushed, so what leads there is not in its log.
    let mut at_end = replica.log(Some(&second.position)).err();
    assert_eq!(at_end.take().unwrap().kind(), ErrorKind::Diverged, "a position of the future");
    replica.apply_checkpoint(&second.path).unwrap();
    assert_error(behind.next_entry(None), ErrorKind::NotFound, &["no longer reaches back"]);
    let mut log = replica.log(Some(&second.position)).unwrap();
    assert!(log.next_entry(None).unwrap().is_none());
    assert_eq!(replicate(&primary, &replica), 1);
    assert_eq!(log.next_entry(None).unwrap().unwrap().last, primary.position().unwrap().sequence);

    // Back to the first checkpoint: the position is of the future now.
    replica.apply_checkpoint(&first.path).unwrap();
    assert_error(log.next_entry(None), ErrorKind::Diverged, &["not in this history", "full sync"]);
    // A reader that waits meanwhile hears of it.
    assert_eq!(replicate(&primary, &replica), 2);
    let mut log = replica.log(Some(&replica.position().unwrap())).unwrap();
    let waiting = std::thread::spawn(move || log.next_entry(Some(Duration::from_secs(600))).map(drop));
    replica.apply_checkpoint(&first.path).unwrap();
    assert_error(waiting.join().unwrap(), ErrorKind::Diverged, &["not in this history"]);

    // On a primary the applied dataset begins a history of its own, which goes on from the checkpoint's.
    let mut log = primary.log(Some(&primary.position().unwrap())).unwrap();
    primary.apply_checkpoint(&first.path).unwrap();
    assert_error(log.next_entry(None), ErrorKind::Diverged, &["not in this history"]);
    assert_error(primary.log(Some(&second.position)).map(drop), ErrorKind::Diverged, &["full sync"]);
    assert_sound(&primary);
    assert_sound(&replica);
}

/// After a promotion a former sibling goes on without a full sync, by the history; the old primary, which wrote on,
/// and a sibling that is ahead, are refused as Diverged; so are their entries.
#[test]
fn promotion() {
    let dir = tempfile::tempdir().unwrap();
    let old = open(dir.path().join("old"));
    old.create_namespace("n", None).unwrap().put(b"1", b"v").unwrap();
    let checkpoint = old.create_checkpoint(dir.path().join("checkpoint")).unwrap().path;
    let [heir, sibling, ahead] = ["heir", "sibling", "ahead"].map(|name| {
        let replica = open_replica(dir.path().join(name));
        replica.apply_checkpoint(&checkpoint).unwrap();
        replica
    });
    old.namespace("n").unwrap().put(b"2", b"v").unwrap();
    replicate(&old, &heir);
    let common = heir.position().unwrap();
    old.namespace("n").unwrap().put(b"3", b"v").unwrap();
    replicate(&old, &ahead);

    heir.promote().unwrap();
    heir.promote().unwrap();
    assert_eq!(heir.role().unwrap(), Role::Primary);
    assert_ne!(heir.position().unwrap().replication_id, common.replication_id);
    heir.namespace("n").unwrap().put(b"4", b"v").unwrap();
    heir.create_namespace("m", None).unwrap();
    // The sibling even lacks what the heir had before it was promoted.
    assert_eq!(replicate(&heir, &sibling), 4);
    assert!(shown(&sibling) == shown(&heir));
    assert_sound(&sibling);

    for (engine, position) in [(&old, old.position()), (&ahead, ahead.position())] {
        let position = position.unwrap();
        assert_error(heir.log(Some(&position)).map(drop), ErrorKind::Diverged, &[&position.to_string(), "full sync"]);
        let entry = entries(&heir, Some(&common)).remove(1);
        let refused = engine.apply(&entry).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Diverged | ErrorKind::InvalidArgument), "{refused}");
    }
    // Its entry follows another history, though its numbers would fit.
    let entry = entries(&old, Some(&common)).remove(0);
    let mut forged = entries(&heir, Some(&common)).remove(0);
    assert_eq!(forged.first, entry.first);
    forged.replication_id = "0123456789ABCDEF".to_owned();
    let late = open_replica(dir.path().join("late"));
    late.apply_checkpoint(&checkpoint).unwrap();
    replicate_up_to(&old, &late, common.sequence);
    assert_error(late.apply(&forged), ErrorKind::Diverged, &["0123456789ABCDEF", "full sync"]);
    late.apply(&entry).unwrap();

    // All of it is remembered over a reopening of both.
    let (heir_path, sibling_path) = (heir.path().to_owned(), sibling.path().to_owned());
    heir.close().unwrap();
    sibling.close().unwrap();
    let (heir, sibling) = (open(heir_path), open(sibling_path));
    assert_eq!(sibling.role().unwrap(), Role::Replica);
    assert!(heir.log(Some(&common)).is_ok());
    assert_error(heir.log(Some(&old.position().unwrap())).map(drop), ErrorKind::Diverged, &["full sync"]);
    assert_eq!(replicate(&heir, &sibling), 1);
    assert_sound(&heir);
    assert_sound(&sibling);
}

fn replicate_up_to(from: &Engine, to: &Engine, sequence: u64) {
    for entry in entries(from, Some(&to.position().unwrap())) {
        if entry.last <= sequence {
            to.apply(&entry).unwrap();
        }
    }
}

/// Every reopening of a primary draws an id and remembers the former ones with their ends: a replica of any of them
/// goes on, and a position behind the end of an id is Diverged.
#[test]
fn reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("primary");
    let replica = open_replica(dir.path().join("replica"));
    let mut ends = Vec::new();
    for round in 0..6u8 {
        let engine = open(&path);
        engine.default_namespace().put(b"k", &[round]).unwrap();
        ends.push(engine.position().unwrap());
        if round == 2 {
            replicate(&engine, &replica);
        }
        if round % 2 == 0 {
            engine.close().unwrap();
        }
        drop(engine);
    }
    let engine = open(&path);
    let ids: std::collections::BTreeSet<_> = ends.iter().map(|position| &position.replication_id).collect();
    assert_eq!(ids.len(), ends.len());
    for end in &ends {
        let after = entries(&engine, Some(end));
        assert_contiguous(&after, end.sequence, engine.position().unwrap().sequence);
        assert_eq!(after[0].replication_id, end.replication_id);
        let beyond = Position { sequence: end.sequence + 1, ..end.clone() };
        assert_error(engine.log(Some(&beyond)).map(drop), ErrorKind::Diverged, &[&beyond.to_string(), "full sync"]);
        let before = Position { sequence: 0, ..end.clone() };
        assert_error(engine.log(Some(&before)).map(drop), ErrorKind::Diverged, &["full sync"]);
    }
    assert_eq!(replicate(&engine, &replica), 7);
    assert_eq!(replica.default_namespace().get(b"k").unwrap().unwrap(), [5]);
    // One that has nothing begins at the beginning.
    let fresh = open_replica(dir.path().join("fresh"));
    assert_eq!(replicate(&engine, &fresh), 13);
    assert!(shown(&fresh) == shown(&engine));
    for sequence in [1, u64::MAX] {
        let nowhere = Position { replication_id: String::new(), sequence };
        assert_error(engine.log(Some(&nowhere)).map(drop), ErrorKind::Diverged, &["full sync"]);
    }
    assert_sound(&fresh);
}

/// A replica writes nothing of its own: its log is its primary's, byte for byte, also after it was closed and opened.
#[test]
fn a_replica_repeats_its_primary() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("primary"));
    let path = dir.path().join("replica");
    for round in 0..3u8 {
        let namespace = primary.create_namespace(format!("n{round}"), None).unwrap();
        for key in 0..50u8 {
            namespace.put(&[key], &[round]).unwrap();
        }
        primary.drop_namespace("n0").ok();
        let options = Options { role: Some(Role::Replica), sync: round == 1, ..Default::default() };
        let replica = Engine::open(&path, &options).unwrap();
        replicate(&primary, &replica);
        assert!(entries(&replica, None) == entries(&primary, None));
        replica.close().unwrap();
    }
}
