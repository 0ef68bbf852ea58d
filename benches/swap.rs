//! No stop: how long two reader threads wait while a whole dataset of 17 namespaces and 510,000 keys is replaced, in
//! checkpoints of about 5, 50 and 400 SST files. Beside it a control, in which nothing is replaced and a thread takes
//! as much CPU as the apply did, and the way it is done elsewhere: close, rename, open. Then the memory that it takes.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::elsewhere::{self, Served, metadata, stored_key, string};
use common::report::{Figures, count, keep, ms, table};
use common::{Failure, Outcome, Random, Stretch, burn, fill, key, memory, thread_cpu, value, with_readers};
use pumice::{Engine, Namespace, Options, Role, Stage};
use serde_json::json;

const TENANTS: u32 = 16;
const KEYS: u32 = 30_000;
const FILES: [u64; 3] = [5, 50, 400];
const QUIET: Duration = Duration::from_millis(200);

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [command, checkpoint, dir] = args.as_slice()
        && command == "memory"
    {
        return memory_of_one(Path::new(checkpoint), Path::new(dir));
    }
    // The number of rounds, and the one number of files to look at.
    let rounds: u32 = args.first().map_or(Ok(25), |rounds| rounds.parse())?;
    let only: Option<u64> = args.get(1).map(|files| files.parse()).transpose()?;
    let dir = tempfile::tempdir()?;
    let mut raw = Vec::new();
    let mut rows = vec![
        ["", "Pumice, ms", "control, ms", "close/open, ms", "to control", "<= 2", "to close/open", ">= 10 at 400"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut times =
        vec![["", "Pumice, ms", "receive", "open", "publish", "CPU, ms", "close/open, ms"].map(str::to_owned).to_vec()];
    let mut failed = 0;
    for files in FILES.into_iter().filter(|&files| only.is_none_or(|only| only == files)) {
        let measured = Swaps::measure(&dir.path().join(format!("files-{files}")), files, rounds)?;
        failed += measured.failed;
        let what = format!("{} files", measured.files);
        let (ratio, shorter) = (measured.gap.over(&measured.control), measured.other_gap.over(&measured.gap));
        rows.push(vec![
            what.clone(),
            measured.gap.spread(1),
            measured.control.spread(1),
            measured.other_gap.spread(1),
            ratio.spread(2),
            met(ratio.median() <= 2.0),
            format!("1/{:.1}", shorter.median()),
            if files == 400 { met(shorter.median() >= 10.0) } else { "-".into() },
        ]);
        times.push(vec![
            what,
            measured.call.spread(1),
            format!("{:.0}", measured.stages[0].median()),
            format!("{:.0}", measured.stages[1].median()),
            format!("{:.0}", measured.stages[2].median()),
            format!("{:.0}", measured.cpu.median()),
            measured.other_call.spread(1),
        ]);
        raw.push(measured.json());
    }
    println!("\nLongest gap between two reads of 2 threads, {rounds} rounds, median (min to max)\n");
    table(&rows);
    println!("\n  reads that failed with Pumice: {failed}   {}", met(failed == 0));
    println!("\nFrom call to return\n");
    table(&times);

    if only.is_some() {
        return Ok(());
    }
    println!("\nMemory of a process that applies, with a budget of 32 MiB\n");
    let memory = memory_by_size(dir.path())?;
    keep("swap", &json!({ "rounds": rounds, "failed_reads": failed, "swaps": raw, "memory": memory }));
    Ok(())
}

fn met(met: bool) -> String {
    if met { "met" } else { "missed" }.to_owned()
}

/// What was measured with checkpoints of one number of files. Milliseconds.
#[derive(Default)]
struct Swaps {
    files: u64,
    failed: u64,
    reads: u64,
    gap: Figures,
    control: Figures,
    other_gap: Figures,
    call: Figures,
    stages: [Figures; 3],
    cpu: Figures,
    other_call: Figures,
    other_loading: Figures,
}

impl Swaps {
    fn measure(dir: &Path, files: u64, rounds: u32) -> Result<Swaps, Failure> {
        let checkpoints =
            [dataset(&dir.join("a"), b'a', KEYS, Some(files))?, dataset(&dir.join("b"), b'b', KEYS, Some(files))?];
        let mut swaps = Swaps { files: table_files(&checkpoints[1])?, ..Swaps::default() };
        let replica = Engine::open(dir.join("replica"), &Options { role: Some(Role::Replica), ..Options::default() })?;
        replica.apply_checkpoint(&checkpoints[0])?;
        let names = replica.namespaces()?;
        let handles: Vec<Namespace> = names.iter().map(|name| replica.namespace(name)).collect::<Result<_, _>>()?;
        let cache = elsewhere::cache(Options::default().memory_budget);
        std::fs::create_dir_all(dir.join("served"))?;
        let served = Served::start(&dir.join("served"), &checkpoints[0], cache)?;
        for round in 0..rounds as usize {
            let next = &checkpoints[(round + 1) % 2];
            print!("\r  {} files: round {} of {rounds}  ", swaps.files, round + 1);
            std::io::Write::flush(&mut std::io::stdout())?;
            swaps.round(&replica, &handles, &served, next)?;
        }
        println!();
        Ok(swaps)
    }

    fn round(&mut self, replica: &Engine, handles: &[Namespace], served: &Served, next: &Path) -> Result<(), Failure> {
        let (applied, stretch, control) = with_readers(
            "reader",
            2,
            |index| reader(handles, index),
            |readers| {
                // Warm up after the last round's swap.
                readers.during(QUIET, || {});
                let (applied, stretch) = readers.during(QUIET, || apply(replica, next));
                let used = applied.as_ref().map_or(Duration::ZERO, |applied| applied.cpu);
                let ((), control) = readers.during(QUIET, || burn(used));
                (applied, stretch, control)
            },
        );
        let applied = applied?;
        self.reads += stretch.reads + control.reads;
        self.failed += stretch.failed + control.failed;
        self.gap.add(ms(stretch.gap));
        self.control.add(ms(control.gap));
        self.call.add(ms(applied.stages.iter().sum()));
        self.cpu.add(ms(applied.cpu));
        for (stage, figures) in applied.stages.iter().zip(&mut self.stages) {
            figures.add(ms(*stage));
        }

        let names: Vec<Vec<u8>> = handles.iter().map(|handle| handle.name().to_vec()).collect();
        let (replaced, other): (Result<Duration, Failure>, Stretch) = with_readers(
            "other",
            2,
            |index| other_reader(served, &names, index),
            |readers| {
                readers.during(QUIET, || {});
                readers.during(QUIET, || {
                    let start = Instant::now();
                    served.replace(next).map(|()| start.elapsed())
                })
            },
        );
        self.other_call.add(ms(replaced?));
        self.other_gap.add(ms(other.gap));
        self.other_loading.add(other.failed as f64);
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "files": self.files,
            "reads": self.reads,
            "failed_reads": self.failed,
            "gap_ms": self.gap.json(),
            "control_gap_ms": self.control.json(),
            "close_rename_open_gap_ms": self.other_gap.json(),
            "call_ms": self.call.json(),
            "receive_ms": self.stages[0].json(),
            "open_ms": self.stages[1].json(),
            "publish_ms": self.stages[2].json(),
            "apply_cpu_ms": self.cpu.json(),
            "close_rename_open_call_ms": self.other_call.json(),
            "close_rename_open_loading_answers": self.other_loading.json(),
        })
    }
}

/// One `apply_checkpoint`: how long each stage took, and the CPU time of the calling thread.
struct Applied {
    stages: [Duration; 3],
    cpu: Duration,
}

fn apply(replica: &Engine, checkpoint: &Path) -> Result<Applied, Failure> {
    let cpu = thread_cpu();
    let mut stages = [Duration::ZERO; 3];
    let mut at = (0, Instant::now());
    replica.apply_checkpoint_watched(checkpoint, false, &mut |progress| {
        let stage = match progress.stage {
            Stage::Open => 1,
            Stage::Publish => 2,
            _ => 0,
        };
        if stage != at.0 {
            stages[at.0] += at.1.elapsed();
            at = (stage, Instant::now());
        }
        ControlFlow::Continue(())
    })?;
    stages[at.0] += at.1.elapsed();
    Ok(Applied { stages, cpu: thread_cpu() - cpu })
}

/// Random reads of random namespaces; each value must be that of one of the two datasets.
fn reader(handles: &[Namespace], index: usize) -> impl FnMut() -> Outcome + '_ {
    let mut random = Random::new(index as u64 + 1);
    move || {
        let namespace = &handles[random.below(handles.len() as u32) as usize];
        let number = random.below(KEYS);
        match namespace.get(&key(number)) {
            Ok(Some(found)) if is_right(&found, namespace.name(), number) => Outcome::Good,
            _ => Outcome::Failed,
        }
    }
}

/// The same reads on the other way. LOADING is tried again after a moment, as a client does.
fn other_reader<'a>(served: &'a Served, names: &'a [Vec<u8>], index: usize) -> impl FnMut() -> Outcome + 'a {
    let mut random = Random::new(index as u64 + 1);
    let mut stored = Vec::new();
    move || {
        let name = &names[random.below(names.len() as u32) as usize];
        let number = random.below(KEYS);
        stored_key(&mut stored, name, &key(number));
        match served.read(&stored, |found| found.is_some_and(|found| is_right(string(&found), name, number))) {
            Some(true) => Outcome::Good,
            Some(false) => Outcome::Failed,
            None => {
                std::thread::sleep(Duration::from_micros(100));
                Outcome::Failed
            }
        }
    }
}

fn is_right(found: &[u8], name: &[u8], number: u32) -> bool {
    let Some(&dataset @ (b'a' | b'b')) = found.first() else { return false };
    found == value(dataset, name, number)
}

/// Makes a checkpoint of a dataset whose data lies in about `files` SST files, or in those that come of themselves.
fn dataset(dir: &Path, name: u8, keys: u32, files: Option<u64>) -> Result<PathBuf, Failure> {
    let home = dir.join("primary");
    let options = Options::default();
    let primary = Engine::open(&home, &options)?;
    let mut namespaces = vec![primary.default_namespace()];
    for number in 1..=TENANTS {
        namespaces.push(primary.create_namespace(format!("tenant-{number:02}"), Some(&format!("token-{number:02}")))?);
    }
    fill(&primary, name, &namespaces, keys, &mut |_| {})?;
    primary.close()?;
    drop((namespaces, primary));

    if let Some(files) = files {
        // Rewritten with smaller files; on disk nothing tells it from data that grew over years.
        let folder = std::fs::canonicalize(home.join("db"))?;
        let db = elsewhere::open(&folder, &elsewhere::cache(64 << 20))?;
        let family = metadata(&db);
        db.flush_cf(family)?;
        let mut compact = rocksdb::CompactOptions::default();
        compact.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        let bytes = db.live_files()?.iter().map(|file| file.size as u64).sum::<u64>();
        let mut size = bytes / files;
        // A file ends behind the block that reaches its size: the second time knows by how much.
        for _ in 0..2 {
            db.set_options_cf(family, &[("target_file_size_base", &size.to_string())])?;
            db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &compact);
            size = size * db.live_files()?.len() as u64 / files;
        }
    }
    let primary = Engine::open(&home, &options)?;
    let checkpoint = primary.create_checkpoint(dir.join("checkpoint"))?;
    primary.close()?;
    Ok(checkpoint.path)
}

fn table_files(folder: &Path) -> Result<u64, Failure> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        files += u64::from(entry?.path().extension().is_some_and(|extension| extension == "sst"));
    }
    Ok(files)
}

/// Applies datasets of one and of five sizes, each in a process of its own.
fn memory_by_size(dir: &Path) -> Result<serde_json::Value, Failure> {
    let mut rows = vec![
        ["keys", "checkpoint, MB", "before, MB", "most while applying", "after", "grown"].map(str::to_owned).to_vec(),
    ];
    let mut raw = Vec::new();
    for times in [1, 5] {
        let place = dir.join(format!("memory-{times}"));
        let keys = KEYS * times;
        let checkpoint = dataset(&place, b'a', keys, None)?;
        let out = Command::new(std::env::current_exe()?)
            .args([Path::new("memory"), &checkpoint, &place.join("replica")])
            .output()?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into_owned().into());
        }
        let figures: serde_json::Value = serde_json::from_slice(&out.stdout)?;
        let mb = |name: &str| format!("{:.1}", figures[name].as_f64().unwrap_or(f64::NAN) / 1e6);
        let keys = u64::from(keys) * u64::from(TENANTS + 1);
        let grown = (figures["most"].as_f64().unwrap_or(f64::NAN) - figures["before"].as_f64().unwrap_or(0.0)) / 1e6;
        rows.push(vec![count(keys), mb("checkpoint"), mb("before"), mb("most"), mb("after"), format!("{grown:.1}")]);
        raw.push(json!({ "keys": keys, "grown_mb": grown, "bytes": figures }));
    }
    table(&rows);
    let grown = |index: usize| raw[index]["grown_mb"].as_f64().unwrap_or(f64::NAN);
    let ratio = grown(1) / grown(0);
    println!("\n  growth with 5 times the data: {ratio:.2} times, expected at most 1.25   {}", met(ratio <= 1.25));
    Ok(raw.into())
}

/// Applies a checkpoint twice under two readers, and prints how much memory the process had.
fn memory_of_one(checkpoint: &Path, dir: &Path) -> Result<(), Failure> {
    let options = Options { role: Some(Role::Replica), memory_budget: 32 << 20, ..Options::default() };
    let replica = Engine::open(dir, &options)?;
    let before = memory("VmRSS");
    replica.apply_checkpoint(checkpoint)?;
    let names = replica.namespaces()?;
    let handles: Vec<Namespace> = names.iter().map(|name| replica.namespace(name)).collect::<Result<_, _>>()?;
    let (applied, stretch) = with_readers(
        "reader",
        2,
        |index| reader(&handles, index),
        |readers| readers.during(Duration::from_millis(1500), || replica.apply_checkpoint(checkpoint)),
    );
    applied?;
    let size: u64 = std::fs::read_dir(checkpoint)?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
    println!(
        "{}",
        json!({
            "checkpoint": size, "before": before, "most": memory("VmHWM"), "after": memory("VmRSS"),
            "reads": stretch.reads, "failed_reads": stretch.failed,
        })
    );
    Ok(())
}
