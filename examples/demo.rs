//! The main job in one run: opens what a real Kvrocks wrote, brings a whole dataset into a replica that goes on answering,
//! beside the way it is done elsewhere, and does the same over the wire. Ends with failure if anything is not as it
//! must be.

#[path = "../benches/common/mod.rs"]
mod common;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::elsewhere::{self, Served, stored_key, string};
use common::report::{Line, count, table, time};
use common::{Failure, Outcome, Random, Stretch, burn, fill, key, value, with_readers};
use pumice::{Depth, Engine, ErrorKind, FollowOptions, Namespace, Options, Range, Role, ServeOptions};

/// The new dataset: 16 namespaces and the default one, 510,000 keys.
const TENANTS: u32 = 16;
const KEYS: u32 = 30_000;
/// The dataset that the replica has before: two of these namespaces go, the others stay.
const OLD: [&str; 4] = ["legacy-a", "legacy-b", "tenant-01", "tenant-02"];
const OLD_KEYS: u32 = 20_000;
const QUIET: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    match run() {
        Ok(0) => {
            println!("\nAll as it must be.");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            println!("\n{wrong} of the checks above failed.");
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("\nfailed: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all parts, and tells how many checks failed.
fn run() -> Result<usize, Failure> {
    let dir = tempfile::tempdir()?;
    let mut checks = Checks::default();
    written_by_kvrocks(dir.path(), &mut checks)?;
    live_replica(dir.path(), &mut checks)?;
    Ok(checks.failed)
}

/// Checks that are said aloud when they fail.
#[derive(Default)]
struct Checks {
    failed: usize,
}

impl Checks {
    fn that(&mut self, holds: bool, what: &str) {
        if !holds {
            println!("  WRONG: {what}");
            self.failed += 1;
        }
    }

    fn clean(&mut self, engine: &Engine) -> Result<&'static str, Failure> {
        let findings = engine.verify(Depth::Records)?;
        for finding in &findings {
            self.that(false, &format!("{}: {finding}", engine.path().display()));
        }
        Ok(if findings.is_empty() { "nothing found" } else { "findings" })
    }
}

// ---- 1. A data directory of a real Kvrocks ----

fn written_by_kvrocks(dir: &Path, checks: &mut Checks) -> Result<(), Failure> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plain-zstd");
    let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture.join("expected.json"))?)?;
    let home = dir.join("kvrocks");
    bring_whole(&fixture.join("db"), &home.join("db"))?;
    let version = expected["server"]["git_sha1"].as_str().unwrap_or("?");
    println!("1. A data directory written by Apache Kvrocks ({version}), opened in this process\n");

    let engine = Engine::open(&home, &Options::default())?;
    let mut rows = vec![["namespace", "keys", "token"].map(str::to_owned).to_vec()];
    for name in engine.namespaces()? {
        let namespace = engine.namespace(&name)?;
        let token = namespace.token()?.map_or("-".to_owned(), |token| masked(&token));
        let name = if name == "__namespace" { "(default)".to_owned() } else { name };
        rows.push(vec![name, count(namespace.count()?), token]);
    }
    table(&rows);

    let (mut equal, mut all) = (0, 0);
    for read in expected["reads"].as_array().ok_or("expected.json has no reads")? {
        if read["cmd"][0] != "GET" {
            continue;
        }
        let namespace = match read["ns"].as_str() {
            None | Some("default") => engine.default_namespace(),
            Some(name) => engine.namespace(name)?,
        };
        let key = bytes(&read["cmd"][1]).ok_or("a GET without a key")?;
        let found = namespace.get(&key)?.map(|value| value.to_vec());
        all += 1;
        equal += usize::from(found == bytes(&read["reply"]));
    }
    println!("\n  read back what that server answered to GET: {equal} of {all} values equal");
    println!("  verify(): {}\n", checks.clean(&engine)?);
    checks.that(all > 0 && equal == all, "a value differs from what the server held");
    engine.close()?;
    Ok(())
}

/// Bytes as expected.json writes them; `None` for a missing key.
fn bytes(value: &serde_json::Value) -> Option<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let hex = value["hex"].as_str()?;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// A token as it may be shown: enough to know it by.
fn masked(token: &str) -> String {
    token.chars().enumerate().map(|(place, letter)| if place < 4 { letter } else { '*' }).collect()
}

/// Copies a folder, so that the original stays as it is.
fn bring_whole(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            bring_whole(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

// ---- 2. A whole dataset into a living replica ----

fn live_replica(dir: &Path, checks: &mut Checks) -> Result<(), Failure> {
    println!("2. A whole new dataset for a replica that goes on answering\n");
    let primary = Engine::open(dir.join("primary"), &Options::default())?;
    let mut namespaces = vec![primary.default_namespace()];
    for number in 1..=TENANTS {
        namespaces.push(primary.create_namespace(format!("tenant-{number:02}"), None)?);
    }
    let mut line = Line::new("keys written on the primary:", u64::from(TENANTS + 1) * u64::from(KEYS));
    fill(&primary, b'n', &namespaces, KEYS, &mut |written| line.tell(written))?;
    let checkpoint = primary.create_checkpoint(dir.join("checkpoint"))?;
    println!(
        "  checkpoint: {} files, {} MB, position {}\n",
        checkpoint.files,
        count(checkpoint.bytes / 1_000_000),
        checkpoint.position
    );

    // What replica and the other way hold before: an older dataset of another primary.
    let older = older_dataset(dir)?;
    let replica = Engine::open(dir.join("replica"), &Options { role: Some(Role::Replica), ..Options::default() })?;
    replica.apply_checkpoint(&older)?;
    let before = replica.namespaces()?.len();

    // The swap, under two readers.
    let visible = OnceLock::new();
    let (swap, control) = with_readers(
        "reader",
        2,
        |index| reader(&replica, index, &visible),
        |readers| {
            let mut used = Duration::ZERO;
            let (swapped, stretch) = readers.during(QUIET, || {
                let (start, cpu) = (Instant::now(), common::thread_cpu());
                let applied = replica.apply_checkpoint(&checkpoint.path);
                used = common::thread_cpu() - cpu;
                applied.map(|()| start)
            });
            // The same readers with nothing to wait for but a thread that wants as much CPU.
            let ((), control) = readers.during(QUIET, || burn(used));
            (swapped.map(|start| Swap { start, stretch }), control)
        },
    );
    let swap = swap?;
    let to_visible = visible.get().map(|at: &Instant| *at - swap.start);
    let after = replica.namespaces()?.len();

    // The log from there on.
    let entries = carry_on(&primary, &replica, &namespaces)?;

    // The same with close, rename, open.
    std::fs::create_dir_all(dir.join("elsewhere"))?;
    let cache = elsewhere::cache(Options::default().memory_budget);
    let served = Served::start(&dir.join("elsewhere"), &older, cache)?;
    let else_before = served.namespaces().unwrap_or(0);
    let else_visible = OnceLock::new();
    let (else_start, else_stretch) = with_readers(
        "other",
        2,
        |index| other_reader(&served, index, &else_visible),
        |readers| {
            let (replaced, stretch) = readers.during(QUIET, || {
                let start = Instant::now();
                served.replace(&checkpoint.path).map(|()| start)
            });
            replaced.map(|start| (start, stretch))
        },
    )?;
    let else_to_visible = else_visible.get().map(|at: &Instant| *at - else_start);
    let else_after = served.namespaces().unwrap_or(0);

    let shown = |time_to: Option<Duration>| time_to.map_or("never".to_owned(), time);
    let row = |what: &str, here: String, there: String| vec![what.to_owned(), here, there];
    table(&[
        row("", "Pumice".into(), "close, rename, open".into()),
        row("namespaces before", before.to_string(), else_before.to_string()),
        row("namespaces after", after.to_string(), else_after.to_string()),
        row("reads done by 2 threads", count(swap.stretch.reads), count(else_stretch.reads)),
        row("reads that failed", count(swap.stretch.failed), format!("{} (LOADING)", count(else_stretch.failed))),
        row("longest gap between two reads", time(swap.stretch.gap), time(else_stretch.gap)),
        row("  with as much CPU taken, and no swap", time(control.gap), "".into()),
        row("from call to all namespaces visible", shown(to_visible), shown(else_to_visible)),
    ]);
    println!(
        "\n  Pumice reads every file and compares its checksum before it swaps, and makes it survive a power cut;\n  \
         the other column does neither. Gaps of some milliseconds are three threads on {} CPUs.\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    println!("  log after the checkpoint: {} entries applied one by one, a namespace among them", count(entries));
    let (here, there) = (replica.position()?, primary.position()?);
    println!("  positions: primary {there}, replica {here}");
    println!("  verify(): {} on the primary, {} on the replica", checks.clean(&primary)?, checks.clean(&replica)?);

    checks.that(swap.stretch.failed + control.failed == 0, "a read failed on the replica");
    checks.that(before == OLD.len() + 1 && after == TENANTS as usize + 1, "the namespaces are not those expected");
    checks.that(to_visible.is_some(), "no reader saw all namespaces");
    checks.that(here == there, "the positions differ");
    checks.that(replica.namespaces()?.len() == after + 1, "the namespace made after the checkpoint is missing");
    for name in replica.namespaces()? {
        let (a, b) = (primary.namespace(&name)?, replica.namespace(&name)?);
        checks.that(same(&a, &b)?, &format!("namespace {name} differs between primary and replica"));
    }
    over_the_wire(dir, &primary, checks)
}

// ---- 3. The same over the wire ----

fn over_the_wire(dir: &Path, primary: &Engine, checks: &mut Checks) -> Result<(), Failure> {
    println!("\n3. The same over the wire: a fresh replica follows\n");
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default())?;
    let (host, port) = (listener.address().host(), listener.address().port());
    let follower = Engine::open(dir.join("follower"), &Options { role: Some(Role::Replica), ..Options::default() })?;
    let start = Instant::now();
    follower.follow(&host, port, &FollowOptions::default())?;
    let linked = follower.wait_linked(Some(Duration::from_secs(60)), &mut |_| ControlFlow::Continue(()))?;
    let took = start.elapsed();
    let (there, names) = (primary.position()?, follower.namespaces()?.len());

    const COMMITS: usize = 200;
    let mut visible = Vec::with_capacity(COMMITS);
    for number in 0..COMMITS {
        let start = Instant::now();
        primary.default_namespace().put(b"beat", &number.to_le_bytes())?;
        checks.that(follower.wait_for(&primary.position()?, Duration::from_secs(10))?, "a commit did not arrive");
        visible.push(start.elapsed());
    }
    visible.sort_unstable();
    table(&[
        vec!["namespaces on it".to_owned(), names.to_string()],
        vec!["from follow() to all of them".to_owned(), time(took)],
        vec![format!("from put() here to visible there, median of {COMMITS}"), time(visible[COMMITS / 2])],
    ]);
    println!("\n  a Kvrocks follows it alike: SLAVEOF {host} {port}; and it would follow a Kvrocks by the same call");
    checks.that(linked && names == primary.namespaces()?.len(), "the follower lacks namespaces");
    checks.that(follower.position()? == primary.position()? && there.sequence > 0, "the follower is elsewhere");
    println!("  verify(): {} on the follower", checks.clean(&follower)?);
    Ok(())
}

/// Whether two namespaces hold the same, key by key.
fn same(a: &Namespace, b: &Namespace) -> Result<bool, Failure> {
    let (mut a, mut b) = (a.items(&Range::default())?, b.items(&Range::default())?);
    loop {
        match (a.next_item()?, b.next_item()?) {
            (None, None) => return Ok(true),
            (a, b) if a == b => {}
            _ => return Ok(false),
        }
    }
}

struct Swap {
    start: Instant,
    stretch: Stretch,
}

/// The dataset that is replaced, as a checkpoint.
fn older_dataset(dir: &Path) -> Result<std::path::PathBuf, Failure> {
    let primary = Engine::open(dir.join("older"), &Options::default())?;
    let mut namespaces = vec![primary.default_namespace()];
    for name in OLD {
        namespaces.push(primary.create_namespace(name, None)?);
    }
    fill(&primary, b'o', &namespaces, OLD_KEYS, &mut |_| {})?;
    let path = primary.create_checkpoint(dir.join("older-checkpoint"))?.path;
    primary.close()?;
    Ok(path)
}

/// Reads random keys of random namespaces and compares each value with what its dataset has there. What must not be:
/// an error, a missing or wrong value, old data after new.
fn reader<'a>(replica: &'a Engine, index: usize, visible: &'a OnceLock<Instant>) -> impl FnMut() -> Outcome + 'a {
    let mut random = Random::new(index as u64 + 1);
    let mut handles: Vec<Namespace> = Vec::new();
    let mut reads = 0u32;
    let mut seen_new = false;
    move || {
        if reads.is_multiple_of(64) {
            // Who is there now. Handles of those that went are let go, and asking is one of the reads.
            let Ok(names) = replica.namespaces() else { return Outcome::Failed };
            if names.len() > TENANTS as usize {
                visible.get_or_init(Instant::now);
            }
            let Ok(found) = names.iter().map(|name| replica.namespace(name)).collect() else {
                // A name that was listed a moment ago can be gone by now.
                return Outcome::Good;
            };
            handles = found;
        }
        reads += 1;
        let namespace = &handles[random.below(handles.len() as u32) as usize];
        let number = random.below(OLD_KEYS);
        match namespace.get(&key(number)) {
            Ok(Some(found)) if found == value(b'n', namespace.name(), number) => {
                seen_new = true;
                Outcome::Good
            }
            Ok(Some(found)) if found == value(b'o', namespace.name(), number) && !seen_new => Outcome::Good,
            // The right answer once the dataset has no such namespace.
            Err(e) if e.kind() == ErrorKind::NotFound && namespace.name().starts_with(b"legacy") => {
                reads = 0;
                Outcome::Good
            }
            _ => Outcome::Failed,
        }
    }
}

/// The same reads on the other way. LOADING is tried again after a moment, as a client does.
fn other_reader<'a>(served: &'a Served, index: usize, visible: &'a OnceLock<Instant>) -> impl FnMut() -> Outcome + 'a {
    let mut random = Random::new(index as u64 + 1);
    let mut stored = Vec::new();
    let reads = Cell::new(0u32);
    move || {
        let again = || {
            std::thread::sleep(Duration::from_micros(100));
            Outcome::Failed
        };
        if reads.get().is_multiple_of(64) {
            match served.namespaces() {
                Some(names) if names > TENANTS as usize => drop(visible.get_or_init(Instant::now)),
                Some(_) => {}
                None => return again(),
            }
        }
        reads.set(reads.get() + 1);
        let name: &[u8] = [&b"__namespace"[..], b"tenant-01", b"tenant-02"][random.below(3) as usize];
        let number = random.below(OLD_KEYS);
        stored_key(&mut stored, name, &key(number));
        let right = |found: &[u8]| [b'o', b'n'].iter().any(|&dataset| found == value(dataset, name, number));
        match served.read(&stored, |found| found.is_some_and(|found| right(string(&found)))) {
            Some(true) => Outcome::Good,
            Some(false) => Outcome::Failed,
            None => again(),
        }
    }
}

/// Writes on the primary, a namespace among it, and applies its log on the replica entry by entry.
fn carry_on(primary: &Engine, replica: &Engine, namespaces: &[Namespace]) -> Result<u64, Failure> {
    for number in 0..2_000 {
        namespaces[number as usize % namespaces.len()].put(&key(KEYS + number), b"written after the checkpoint")?;
    }
    primary.create_namespace("made-later", None)?.put(b"key", b"value")?;
    let mut log = primary.log(Some(&replica.position()?))?;
    let mut entries = 0;
    while let Some(entry) = log.next_entry(None)? {
        replica.apply(&entry)?;
        entries += 1;
    }
    Ok(entries)
}
