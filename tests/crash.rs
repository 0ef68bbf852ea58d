//! Processes that are killed, or whose disk is full, at every named step of what touches the disk.
#![cfg(feature = "failpoints")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use pumice::{ConvertOptions, Engine, ErrorKind, EventKind, FollowOptions, LinkState, Options, Role, ServeOptions};
use support::wire::Proxy;
use support::{
    Random, Shown, assert_sound, copy_tree, names, open, open_replica, process, run, said, shown, wait_until,
};

/// Which dataset a directory holds after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Old,
    New,
}
use Holds::{New, Old};

/// What a call that fails at a step leaves behind in the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    /// The call fails, and the next one succeeds.
    Clean,
    /// The call fails, and so do all later writes until the directory is opened again.
    Poisons,
    /// The step is done in the background, behind the call.
    Behind,
    /// The link tells the failure, and tries again by itself.
    Retried,
    /// It is only tried with a process that is killed.
    Untried,
}
use Failing::{Behind, Clean, Poisons, Retried, Untried};

/// One step: the job in which it lies, how often it is passed before, other failpoints that lead there, and what
/// the directory holds after it.
struct Step {
    job: &'static str,
    name: &'static str,
    before: u32,
    also: &'static str,
    killed: Holds,
    failing: Failing,
}

const fn step(job: &'static str, name: &'static str, before: u32, killed: Holds, failing: Failing) -> Step {
    Step { job, name, before, also: "", killed, failing }
}

const fn dropping(name: &'static str, killed: Holds, failing: Failing) -> Step {
    Step { job: "drop", name, before: 0, also: "reclaim::any=return(x);", killed, failing }
}

const STEPS: &[Step] = &[
    // A replica opens with one write of its history.
    step("apply", "apply::listed", 0, Old, Clean),
    step("apply", "apply::some", 0, Old, Clean),
    step("apply", "apply::some", 2, Old, Clean),
    step("apply", "apply::received", 0, Old, Clean),
    step("apply", "apply::renamed", 0, Old, Clean),
    step("apply", "history::write", 1, Old, Clean),
    step("apply", "apply::opened", 0, Old, Clean),
    step("apply", "apply::publish", 0, Old, Clean),
    step("apply", "publish::linked", 0, Old, Clean),
    step("apply", "apply::linked", 0, New, Poisons),
    step("apply", "apply::swap", 0, New, Poisons),
    step("apply", "apply::retire", 0, New, Behind),
    step("apply", "apply::retired", 0, New, Behind),
    // A primary draws a replication id when it opens, and again in what it applies.
    step("apply_as_primary", "commit::write", 1, Old, Clean),
    step("apply_as_primary", "history::write", 2, Old, Clean),
    step("apply_as_primary", "history::write", 3, Old, Clean),
    step("apply_as_primary", "publish::linked", 0, Old, Clean),
    step("apply_as_primary", "apply::swap", 0, New, Poisons),
    // A replica follows a primary in the same process, which has another history.
    step("full_sync", "sync::manifest", 0, Old, Retried),
    step("full_sync", "sync::data", 0, Old, Retried),
    step("full_sync", "sync::data", 3, Old, Retried),
    step("full_sync", "sync::file", 0, Old, Retried),
    step("full_sync", "sync::file", 3, Old, Retried),
    step("full_sync", "apply::received", 0, Old, Retried),
    step("full_sync", "apply::renamed", 0, Old, Retried),
    step("full_sync", "apply::opened", 0, Old, Retried),
    step("full_sync", "publish::linked", 0, Old, Retried),
    step("full_sync", "apply::linked", 0, New, Untried),
    step("full_sync", "apply::swap", 0, New, Untried),
    // The same where the primary looks like a Kvrocks.
    step("full_sync_by_name", "sync::listed", 0, Old, Retried),
    step("full_sync_by_name", "sync::file", 0, Old, Retried),
    step("full_sync_by_name", "sync::file", 3, Old, Retried),
    step("full_sync_by_name", "apply::renamed", 0, Old, Retried),
    step("create", "state::write", 0, Old, Clean),
    step("create", "history::write", 0, Old, Clean),
    step("create", "create::ready", 0, Old, Clean),
    step("create", "commit::write", 0, Old, Clean),
    step("create", "history::write", 1, Old, Clean),
    step("adopt", "adopt::linked", 0, Old, Clean),
    Step { job: "adopt", name: "adopt::waiting", before: 0, also: "exchange=return(x);", killed: Old, failing: Clean },
    Step { job: "adopt", name: "adopt::moved", before: 0, also: "exchange=return(x);", killed: Old, failing: Clean },
    Step { job: "adopt", name: "adopt::done", before: 0, also: "exchange=return(x);", killed: Old, failing: Clean },
    step("adopt", "adopt::done", 0, Old, Clean),
    step("adopt", "state::write", 0, Old, Clean),
    step("promote", "state::write", 0, Old, Poisons),
    step("promote", "promote::persisted", 0, Old, Poisons),
    step("promote", "commit::write", 0, Old, Poisons),
    step("promote", "history::write", 1, Old, Poisons),
    step("release", "release::begin", 0, Old, Clean),
    step("release", "release::moved", 0, Old, Clean),
    Step {
        job: "release",
        name: "release::moved",
        before: 0,
        also: "exchange=return(x);",
        killed: Old,
        failing: Clean,
    },
    step("checkpoint", "checkpoint::created", 0, Old, Clean),
    step("checkpoint", "checkpoint::ready", 0, Old, Clean),
    step("convert", "convert::write", 0, Old, Clean),
    step("convert", "convert::ready", 0, Old, Clean),
    // A namespace is dropped, and its space given back. Killed in the middle it is there without its data.
    dropping("commit::sync", Old, Poisons),
    dropping("reclaim::synced", Old, Behind),
    dropping("reclaim::files", Old, Behind),
    dropping("reclaim::compact", New, Behind),
    dropping("reclaim::compacted", New, Behind),
    step("write", "commit::write", 1, Old, Clean),
    step("sync", "commit::sync", 0, New, Poisons),
];

/// Directories to copy from, made once, and what they show.
struct Ground {
    dir: tempfile::TempDir,
    old: Shown,
    new: Shown,
}

impl Ground {
    fn make() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let shown = ["old", "new"].map(|name| {
            let engine = open(dir.path().join(format!("{name}-primary")));
            engine.default_namespace().put(b"which", name.as_bytes()).unwrap();
            for number in 0..3 {
                let namespace = engine.create_namespace(format!("{name}-{number}"), None).unwrap();
                for key in 0..100 {
                    namespace.put(format!("{name}{key}").as_bytes(), name.as_bytes()).unwrap();
                }
                if number == 1 {
                    // What was written so far lies in SST files, the rest in the WAL of the checkpoint.
                    engine.create_checkpoint(dir.path().join(format!("{name}-flushed"))).unwrap();
                }
            }
            engine.create_checkpoint(dir.path().join(name)).unwrap();
            let shown = shown(&engine);
            engine.close().unwrap();
            shown
        });
        let replica = open_replica(dir.path().join("replica"));
        replica.apply_checkpoint(dir.path().join("old")).unwrap();
        replica.close().unwrap();
        let [old, new] = shown;
        Ground { dir, old, new }
    }

    /// The directory that a job starts from.
    fn prepare(&self, job: &str, to: &Path) {
        let from = |name: &str| self.dir.path().join(name);
        match job {
            "create" => {}
            "adopt" => copy_tree(&from("old"), &to.join("db")),
            "apply" | "promote" | "full_sync" | "full_sync_by_name" => copy_tree(&from("replica"), to),
            _ => copy_tree(&from("old-primary"), to),
        }
    }

    /// Fails unless the engine shows one of the two datasets, whole.
    #[track_caller]
    fn assert_holds(&self, engine: &Engine, job: &str, holds: Holds) {
        let nothing = BTreeMap::from([("__namespace".to_owned(), BTreeMap::new())]);
        let expected = match (job, holds) {
            ("create", _) => &nothing,
            ("write" | "sync", holds) => {
                let found = engine.default_namespace().get(b"new").unwrap();
                assert_eq!(found.is_some(), holds == New);
                assert_eq!(engine.default_namespace().get(b"too").unwrap().is_some(), holds == New);
                return;
            }
            ("drop", holds) => {
                let mut expected = self.old.clone();
                match holds {
                    Old => expected.get_mut("old-0").unwrap().clear(),
                    New => drop(expected.remove("old-0")),
                }
                assert!(shown(engine) == expected, "{holds:?} expected");
                return;
            }
            (_, Old) => &self.old,
            (_, New) => &self.new,
        };
        assert!(shown(engine) == *expected, "it holds neither the old dataset nor the new one: {holds:?} expected");
    }
}

/// Does the job's call on a directory: what a test kills or lets fail.
fn act(job: &str, engine: &Engine, path: &Path, new: &Path) -> pumice::Result<()> {
    match job {
        "apply" | "apply_as_primary" => engine.apply_checkpoint(new),
        "full_sync" | "full_sync_by_name" => {
            follow(job, engine, new);
            Ok(())
        }
        "promote" => engine.promote(),
        "checkpoint" => engine.create_checkpoint(path.with_extension("made")).map(drop),
        "drop" => {
            engine.compact()?;
            engine.drop_namespace("old-0")?;
            engine.wait_reclaimed();
            Ok(())
        }
        "write" | "sync" => {
            let mut batch = engine.batch();
            batch.put(&engine.default_namespace(), b"new", b"1")?;
            batch.put(&engine.default_namespace(), b"too", b"1")?;
            batch.commit(Some(job == "sync"))
        }
        _ => panic!("unknown job {job}"),
    }
}

/// Follows the primary of the new dataset until the link streams. Gives what it asked for, and the failures it told of.
fn follow(job: &str, engine: &Engine, new: &Path) -> (Vec<String>, Vec<String>) {
    let primary = open(new.with_file_name("new-primary"));
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut proxy = Proxy::to(listener.address().port());
    if job == "full_sync_by_name" {
        proxy = proxy.like_kvrocks();
    }
    let options = FollowOptions { announce_port: 7777, ..Default::default() };
    // The link shows a failure only until its next try is under way.
    let events = engine.events().unwrap();
    engine.follow("127.0.0.1", proxy.port, &options).unwrap();
    wait_until("the dataset is there", || {
        let link = engine.link().unwrap().unwrap();
        // An engine feeds no Kvrocks that compares its last entry: none does.
        link.state == LinkState::Streaming || (job == "full_sync_by_name" && link.full_syncs > 0)
    });
    let position = primary.position().unwrap();
    assert!(engine.wait_for(&position, Duration::from_secs(60)).unwrap(), "{:?}", engine.link());
    let events = std::iter::from_fn(|| events.next(Some(Duration::ZERO)));
    let told = events.filter(|event| event.kind == EventKind::Link).map(|event| event.message).collect();
    (proxy.asked(), told)
}

/// One namespace in the cluster layout, beside the directory.
fn convert(path: &Path) -> pumice::Result<()> {
    let options = ConvertOptions { cluster: true, namespace: Some(b"old-0".to_vec()), ..Default::default() };
    pumice::convert(path, path.with_extension("made"), &options, &mut |_| ControlFlow::Continue(())).map(drop)
}

/// What a full sync that broke off has left: for each file, how much of it.
fn received(path: &Path) -> Vec<(String, u64)> {
    let folders = names(&path.join("generations")).into_iter().filter(|name| name.ends_with(".incoming"));
    let mut found = Vec::new();
    for folder in folders.map(|name| path.join("generations").join(name)) {
        let size = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
        found.extend(names(&folder).into_iter().map(|name| (name.clone(), size(&name))));
    }
    found
}

/// What was there is not asked for again: nothing of a file that broke off in order, and of one whose pieces were arriving when
/// the process died the last four.
#[track_caller]
fn assert_resumed(received: &[(String, u64)], asked: &[String]) {
    for (name, size) in received.iter().filter(|(name, size)| name != "PUMICE-MANIFEST" && *size > 0) {
        let file = name.trim_end_matches(".partial").trim_end_matches(".pieces");
        let offsets: Vec<&String> = asked.windows(2).filter(|words| words[0] == file).map(|words| &words[1]).collect();
        // A primary that was opened again has another CURRENT, and what it names; tables never change.
        let whole = offsets.is_empty() || (!file.ends_with(".sst") && offsets == ["0"]);
        let first = offsets.iter().map(|offset| offset.parse::<u64>().unwrap()).min();
        let sure = size.div_ceil(512 << 10).saturating_sub(4) * (512 << 10);
        let rest = name.ends_with(".partial") && first == Some(*size);
        let pieces = name.ends_with(".pieces") && first == Some(sure);
        assert!(whole || rest || pieces, "{name} of {size} bytes was there, and asked for from {offsets:?} on");
    }
}

/// Not a test of its own: what the others run in a process of its own.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    println!();
    let (path, new) = (&paths[0], &paths[1]);
    match job.split_once(' ') {
        Some(("once", job)) => once(job, path, new),
        Some(("twice", rest)) => {
            let (failing, job) = rest.split_once(' ').unwrap();
            twice(job, failing, path, new);
        }
        _ if job == "write for ever" => write_for_ever(path),
        _ if job == "apply for ever" => apply_for_ever(path, new, &paths[2]),
        _ => panic!("unknown job {job}"),
    }
    println!("job done");
}

fn once(job: &str, path: &Path, new: &Path) {
    match job {
        "create" | "adopt" => drop(open(path)),
        "release" => pumice::release(path).unwrap(),
        "convert" => convert(path).unwrap(),
        _ => {
            let engine = open(path);
            act(job, &engine, path, new).unwrap();
            engine.close().unwrap();
        }
    }
}

/// The call fails as on a full disk, then again it does not.
fn twice(job: &str, failing: &str, path: &Path, new: &Path) {
    let step = std::env::var("FAILPOINTS").unwrap();
    let step = step.split(';').next_back().unwrap().split('=').next().unwrap().to_owned();
    let check = |failed: pumice::Result<()>| {
        let error = failed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.message().contains(&format!("step {step}")), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
        error
    };
    match job {
        "create" | "adopt" => {
            check(Engine::open(path, &Options::default()).map(drop));
            drop(open(path));
        }
        "release" => {
            check(pumice::release(path));
            pumice::release(path).unwrap();
        }
        "convert" => {
            check(convert(path));
            assert!(!path.with_extension("made").exists());
            convert(path).unwrap();
        }
        _ => {
            let engine = open(path);
            let before = shown(&engine);
            if failing == "Behind" {
                act(job, &engine, path, new).unwrap();
                return;
            }
            if failing == "Retried" {
                let (_, told) = follow(job, &engine, new);
                assert!(told.iter().any(|error| error.contains(&format!("step {step}"))), "{told:?}");
                assert_eq!(engine.default_namespace().get(b"which").unwrap().unwrap(), b"new");
                assert!(engine.link().unwrap().unwrap().full_syncs > 0);
                assert_sound(&engine);
                engine.close().unwrap();
                return;
            }
            let error = check(act(job, &engine, path, new));
            if failing == "Poisons" {
                assert!(error.message().contains("opened again"), "it does not say what to do: {error}");
                assert_eq!(engine.default_namespace().get(b"which").unwrap().is_some(), before.len() > 1);
                let refused = engine.default_namespace().put(b"x", b"y").unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
                assert!(refused.message().contains(&step), "it does not say why: {refused}");
                assert!(!engine.verify(pumice::Depth::Quick).unwrap().is_empty());
                engine.close().unwrap();
                drop(engine);
                let engine = open(path);
                assert_sound(&engine);
                return;
            }
            assert!(shown(&engine) == before, "something was changed");
            assert_sound(&engine);
            act(job, &engine, path, new).unwrap();
            assert_sound(&engine);
            engine.close().unwrap();
        }
    }
}

fn failpoints(step: &Step, action: &str) -> String {
    let Step { name, before, also, .. } = step;
    match before {
        0 => format!("{also}{name}={action}"),
        _ => format!("{also}{name}={before}*off->{action}"),
    }
}

/// Only the current generation, its history and nothing half made is left.
#[track_caller]
fn assert_tidy(path: &Path) {
    let link = fs::read_link(path.join("db")).unwrap();
    let number = link.file_name().unwrap().to_str().unwrap().to_owned();
    let mut found = names(&path.join("generations"));
    // What a full sync leaves on purpose: what goes on, and what was given up.
    let kept: Vec<String> = found
        .iter()
        .filter_map(|name| name.strip_suffix(".kept"))
        .filter(|kept| **kept != number)
        .map(str::to_owned)
        .collect();
    found.retain(|name| !name.ends_with(".incoming") && *name != format!("{number}.kept"));
    found.retain(|name| !kept.iter().any(|kept| name.starts_with(kept)));
    assert_eq!(found, [number.clone(), format!("{number}.history")]);
    assert_eq!(names(path), ["LOCK", "db", "generations", "state"]);
}

/// After the job was cut short: one dataset, whole, and a second try succeeds.
fn check_after(ground: &Ground, step: &Step, holds: Holds, path: &Path, new: &Path) {
    let engine = open(path);
    ground.assert_holds(&engine, step.job, holds);
    assert_sound(&engine);
    assert_tidy(path);
    match step.job {
        "create" | "adopt" => {}
        "full_sync" => {
            let received = received(path);
            // Until all of it is synced, what is there goes on.
            if (step.name.starts_with("sync::") || step.name == "apply::received") && holds == Old {
                assert!(received.iter().any(|(name, _)| name == "PUMICE-MANIFEST"), "{received:?}");
            }
            let (asked, _) = follow(step.job, &engine, new);
            assert_resumed(&received, &asked);
        }
        "release" => {
            engine.close().unwrap();
            pumice::release(path).unwrap();
            assert_eq!(names(path), ["db"]);
            let engine = open(path);
            ground.assert_holds(&engine, step.job, holds);
            assert_sound(&engine);
            return;
        }
        "convert" => {
            engine.close().unwrap();
            let made = path.with_extension("made");
            assert!(!made.exists(), "what was not converted whole has its name");
            convert(path).unwrap();
            assert_eq!(shown(&open(&made))["__namespace"], ground.old["old-0"]);
            return;
        }
        "promote" => {
            engine.promote().unwrap();
            assert_eq!(engine.role().unwrap(), Role::Primary);
            engine.default_namespace().put(b"x", b"y").unwrap();
        }
        "checkpoint" => {
            let made = path.with_extension("made");
            assert!(!made.exists(), "a checkpoint that was not finished has its name");
            engine.create_checkpoint(&made).unwrap();
        }
        "drop" => {
            if holds == Old {
                act(step.job, &engine, path, new).unwrap();
            }
            ground.assert_holds(&engine, step.job, New);
        }
        job => act(job, &engine, path, new).unwrap(),
    }
    match step.job {
        "apply" | "apply_as_primary" | "full_sync" | "full_sync_by_name" => {
            ground.assert_holds(&engine, step.job, New);
        }
        "write" | "sync" => ground.assert_holds(&engine, step.job, New),
        _ => {}
    }
    assert_sound(&engine);
    engine.close().unwrap();
}

/// A process killed at any step leaves a directory that opens with the old dataset or the new one, whole and sound,
/// as the step says, with nothing lying about; the same call then succeeds.
#[test]
fn killed_at_every_step() {
    let ground = Ground::make();
    let new = ground.dir.path().join("new");
    for (index, step) in STEPS.iter().enumerate() {
        let path = ground.dir.path().join(format!("killed-{index}"));
        ground.prepare(step.job, &path);
        let points = failpoints(step, "return(kill)");
        println!("{}: {points}", step.job);
        let output = run(process(&format!("once {}", step.job), &[&path, &new]).env("FAILPOINTS", &points));
        assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{points} was not reached: {}", said(&output));
        check_after(&ground, step, step.killed, &path, &new);
        fs::remove_dir_all(&path).unwrap();
    }
}

/// A step that fails as on a full disk fails its call with Io naming the step; the engine goes on serving the old
/// dataset, whole, and the next try succeeds. Where it may not go on writing, the error says so, and a reopened
/// directory is sound.
#[test]
fn failing_at_every_step() {
    let ground = Ground::make();
    let new = ground.dir.path().join("new");
    for (index, step) in STEPS.iter().enumerate() {
        if step.failing == Untried {
            continue;
        }
        let path = ground.dir.path().join(format!("failing-{index}"));
        ground.prepare(step.job, &path);
        let points = failpoints(step, "1*return(full)");
        println!("{}: {points}", step.job);
        let job = format!("twice {:?} {}", step.failing, step.job);
        let output = run(process(&job, &[&path, &new]).env("FAILPOINTS", &points));
        let done = output.status.success() && String::from_utf8_lossy(&output.stdout).contains("job done");
        assert!(done, "{points}: {}", said(&output));
        fs::remove_dir_all(path.with_extension("made")).ok();
        if step.job == "release" {
            assert_eq!(names(&path), ["db"]);
        }
        let holds = match (step.job, step.failing) {
            ("drop", Poisons) => Old,
            ("drop", _) => New,
            ("apply" | "apply_as_primary" | "write" | "sync" | "full_sync" | "full_sync_by_name", _) => New,
            _ => Old,
        };
        check_after(&ground, step, holds, &path, &new);
        fs::remove_dir_all(&path).unwrap();
    }
}

/// Every step of the source is in the table, so that a new one cannot be forgotten.
#[test]
fn the_table_has_every_step() {
    fn collect(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(text.split("step!(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20, "{found:?}");
    for name in found {
        // Those that stand for a file system without exchange, and for much to reclaim, are used by others.
        let known = name == "exchange" || name == "reclaim::any" || STEPS.iter().any(|step| step.name == name);
        assert!(known, "{name} is not in the table");
    }
}

/// Write number `number`: puts of three keys at once, and now and then a namespace made, cleared or dropped.
fn write(engine: &Engine, number: u64) {
    let name = format!("n{}", number / 50 % 3);
    match number % 50 {
        0 => drop(engine.create_namespace(&name, Some(&format!("token-{number}"))).unwrap()),
        20 => engine.namespace(&name).unwrap().clear().unwrap(),
        49 => engine.drop_namespace(&name).unwrap(),
        _ => {
            let namespace = engine.namespace(&name).unwrap();
            let mut batch = engine.batch();
            for part in ["a", "b", "c"] {
                batch.put(&namespace, format!("{part}{number}").as_bytes(), &number.to_be_bytes()).unwrap();
            }
            batch.put(&engine.default_namespace(), b"last", &number.to_be_bytes()).unwrap();
            batch.commit(None).unwrap();
        }
    }
}

/// What is there after the first `count` writes.
fn after_writes(count: u64) -> Shown {
    let mut shown = Shown::from([("__namespace".to_owned(), BTreeMap::new())]);
    for number in 0..count {
        let name = format!("n{}", number / 50 % 3);
        match number % 50 {
            0 => drop(shown.insert(name, BTreeMap::new())),
            20 => shown.get_mut(&name).unwrap().clear(),
            49 => drop(shown.remove(&name)),
            _ => {
                let value = number.to_be_bytes().to_vec();
                let keys = shown.get_mut(&name).unwrap();
                keys.extend(["a", "b", "c"].map(|part| (format!("{part}{number}").into_bytes(), value.clone())));
                shown.get_mut("__namespace").unwrap().insert(b"last".to_vec(), value);
            }
        }
    }
    shown
}

/// Goes on behind the last write that is there.
fn write_for_ever(path: &Path) {
    let engine = open(path);
    let mut number = std::env::var("PUMICE_FROM").unwrap().parse().unwrap();
    loop {
        write(&engine, number);
        number += 1;
        println!("acked {number}");
    }
}

/// A process killed at any moment while it writes has, when it is opened again, exactly the writes that it had
/// acknowledged, or these and the one that it was at; never a part of one, and none out of order.
#[test]
fn killed_while_writing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut random = Random(7);
    let mut count = 0;
    for round in 0..12 {
        let mut child =
            process("write for ever", &[&path, &path]).env("PUMICE_FROM", count.to_string()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acked = count;
        let mut wanted = 1 + random.below(400);
        let mut killed = false;
        while let Some(Ok(line)) = lines.next() {
            let Some(number) = line.strip_prefix("acked ") else { continue };
            acked = number.parse().unwrap();
            wanted -= usize::from(wanted > 0);
            if wanted == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));

        let engine = open(&path);
        let found = shown(&engine);
        // A drop is two writes: between them the namespace is there without its data.
        let mut half = after_writes(acked);
        if acked % 50 == 49 {
            half.get_mut(&format!("n{}", acked / 50 % 3)).unwrap().clear();
        }
        let exact = (acked..=acked + 1).find(|&count| after_writes(count) == found);
        count = exact.unwrap_or(acked);
        assert!(exact.is_some() || found == half, "round {round}: {acked} were acknowledged, and that is not there");
        assert_sound(&engine);
        engine.close().unwrap();
    }
    assert!(count > 0);
}

fn apply_for_ever(path: &Path, old: &Path, new: &Path) {
    let engine = open(path);
    loop {
        engine.apply_checkpoint(new).unwrap();
        println!("acked new");
        engine.apply_checkpoint(old).unwrap();
        println!("acked old");
    }
}

/// A process killed at any moment of one apply after the other has one of the two datasets, whole, and the next
/// apply succeeds.
#[test]
fn killed_while_applying() {
    let ground = Ground::make();
    let path = ground.dir.path().join("killed");
    let [old, new] = ["old", "new"].map(|name| ground.dir.path().join(name));
    ground.prepare("apply", &path);
    let mut random = Random(11);
    for _ in 0..12 {
        let paths: [&Path; 3] = [&path, &old, &new];
        let mut child = process("apply for ever", &paths).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("acked"))).unwrap().unwrap();
        std::thread::sleep(Duration::from_micros(random.below(60_000) as u64));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let engine = open(&path);
        let found = shown(&engine);
        assert!(found == ground.old || found == ground.new, "neither dataset is there, whole");
        assert_sound(&engine);
        assert_tidy(&path);
        engine.apply_checkpoint(&old).unwrap();
        ground.assert_holds(&engine, "apply", Old);
        engine.close().unwrap();
    }
}
