//! Replication over loopback, each figure beside a named peer in the same run: the seed scenario under readers, full
//! syncs beside a plain copy, what a delta and a resumed sync move, the log applied beside raw writes, the time from a
//! commit to where a replica shows it beside a pair of Redis servers, and what a replica that does not read costs.

#[path = "../common/mod.rs"]
mod common;
mod report;
mod wire;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use common::report::{Figures, keep, ms, table};
use common::{Failure, Outcome, Random, burn, elsewhere, fill, key, value, with_readers};
use pumice::{Engine, Entry, FollowOptions, LinkState, Listener, Namespace, Options, Role, ServeOptions};
use report::{Report, Target};
use rocksdb::WriteBatch;
use serde_json::json;
use wire::{Client, Proxy, RedisPair};

const TENANTS: u32 = 16;
const KEYS: u32 = 30_000;
const SOON: Duration = Duration::from_secs(120);
const QUIET: Duration = Duration::from_millis(100);
/// Rounds of what takes a fifth of a second.
const MANY: usize = 25;

type Part = fn(&Path, usize, &mut Report) -> Result<(), Failure>;

fn main() -> Result<(), Failure> {
    // The number of rounds, and the one part to run.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let rounds: usize = args.first().map_or(Ok(3), |rounds| rounds.parse())?;
    let mut report = Report::default();
    let parts: [(&str, Part); 7] = [
        ("seed", seed),
        ("sync", full_syncs),
        ("delta", delta),
        ("resume", resume),
        ("apply", apply),
        ("visible", visible),
        ("stalled", stalled),
    ];
    for (part, run) in parts {
        if args.get(1).is_none_or(|only| only == part) {
            let began = Instant::now();
            let dir = tempfile::tempdir()?;
            run(dir.path(), rounds, &mut report)?;
            println!("  {part}: measured in {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    println!(
        "\nReplication over loopback, {rounds} rounds in turns (9 of 60 MB, {MANY} of entries and of puts), median (min to max)\n"
    );
    table(&report.rows);
    if args.len() < 2 {
        keep("replication", &json!({ "rounds": rounds, "figures": report.raw }));
    }
    Ok(())
}

fn serve(engine: &Engine) -> Result<Listener, Failure> {
    Ok(engine.serve("127.0.0.1:0", &ServeOptions::default())?)
}

fn follow(replica: &Engine, port: u16) -> Result<(), Failure> {
    Ok(replica.follow("127.0.0.1", port, &FollowOptions::default())?)
}

fn caught_up(replica: &Engine, primary: &Engine) -> Result<(), Failure> {
    match replica.wait_for(&primary.position()?, SOON)? {
        true => Ok(()),
        false => Err(format!("the replica did not catch up: {:?}", replica.link()?).into()),
    }
}

fn linked(replica: &Engine) -> Result<(), Failure> {
    match replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(()))? {
        true => Ok(()),
        false => Err(format!("the link did not come to stream: {:?}", replica.link()?).into()),
    }
}

/// A primary with so many namespaces beside the default one, each with `KEYS` keys.
fn primary(path: &Path, dataset: u8, tenants: u32) -> Result<Engine, Failure> {
    let primary = Engine::open(path, &Options::default())?;
    let mut namespaces = vec![primary.default_namespace()];
    for number in 1..=tenants {
        namespaces.push(primary.create_namespace(format!("tenant-{number:02}"), None)?);
    }
    fill(&primary, dataset, &namespaces, KEYS, &mut |_| {})?;
    Ok(primary)
}

/// An engine with an entry of its own: only a full sync makes it a replica of another.
fn diverged(path: &Path) -> Result<Engine, Failure> {
    let engine = Engine::open(path, &Options::default())?;
    engine.default_namespace().put(b"own", b"entry")?;
    Ok(engine)
}

/// A replica with the data of one primary follows another, under readers.
fn seed(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const OLD: u32 = 8;
    let (old, new) = (primary(&dir.join("old"), b'a', OLD)?, primary(&dir.join("new"), b'b', TENANTS)?);
    let checkpoint = old.create_checkpoint(dir.join("checkpoint"))?;
    let listener = serve(&new)?;
    let (mut visible, mut gap, mut control, mut failed) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default());
    for round in 0..rounds {
        let path = dir.join(format!("replica-{round}"));
        let replica = Engine::open(&path, &Options { role: Some(Role::Replica), ..Options::default() })?;
        replica.apply_checkpoint(&checkpoint.path)?;
        let handles: Vec<Namespace> =
            replica.namespaces()?.iter().map(|name| replica.namespace(name)).collect::<Result<_, _>>()?;
        assert_eq!(handles.len(), OLD as usize + 1);
        let (took, stretch, beside) = with_readers(
            "reader",
            2,
            |index| reader(&handles, index),
            |readers| {
                readers.during(QUIET, || {});
                let (took, stretch) = readers.during(QUIET, || -> Result<Duration, Failure> {
                    let began = Instant::now();
                    follow(&replica, listener.address().port())?;
                    linked(&replica)?;
                    assert_eq!(replica.namespaces()?.len(), TENANTS as usize + 1);
                    Ok(began.elapsed())
                });
                let cpu = took.as_ref().map_or(Duration::ZERO, |&took| took) / 2;
                let ((), beside) = readers.during(QUIET, || burn(cpu));
                (took, stretch, beside)
            },
        );
        visible.add(ms(took?));
        gap.add(ms(stretch.gap));
        control.add(ms(beside.gap));
        failed.add((stretch.failed + beside.failed) as f64);
        drop(handles);
        replica.close()?;
        fs::remove_dir_all(&path)?;
    }
    let most: Figures = std::iter::once(failed.max()).collect();
    report.alone("seed: reads that failed", &most, 0, &most, Target::AtMost(0.0));
    report.alone("seed: follow() to 17 namespaces, ms", &visible, 0, &visible, Target::None);
    report.beside("seed: longest gap, ms", &gap, 1, &control, "CPU taken", &gap.over(&control), Target::None);
    Ok(())
}

/// Random reads of namespaces that both datasets have; each value must be that of one of them.
fn reader(handles: &[Namespace], index: usize) -> impl FnMut() -> Outcome + '_ {
    let mut random = Random::new(index as u64 + 1);
    move || {
        let namespace = &handles[random.below(handles.len() as u32) as usize];
        let number = random.below(KEYS);
        let right = |found: &[u8]| [b'a', b'b'].iter().any(|&set| found == value(set, namespace.name(), number));
        match namespace.get(&key(number)) {
            Ok(Some(found)) if right(&found) => Outcome::Good,
            _ => Outcome::Failed,
        }
    }
}

/// Full syncs of two sizes, each from `follow()` to where the data is there, beside a copy of the same files.
fn full_syncs(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    for (what, large, rounds) in [("60 MB", false, rounds.max(9)), ("500 MB", true, rounds.min(3))] {
        let dir = dir.join(what);
        let home = dir.join("primary");
        fs::create_dir(&dir)?;
        let filled = if large { large_primary(&home)? } else { primary(&home, b'b', TENANTS)? };
        let checkpoint = filled.create_checkpoint(dir.join("checkpoint"))?;
        filled.close()?;
        drop(filled);
        let rate = |took: Duration| checkpoint.bytes as f64 / took.as_secs_f64() / 1e6;
        let [mut first, mut again, mut copy] = [(); 3].map(|()| Figures::default());
        let mut stages = [(); 3].map(|()| Figures::default());
        for round in 0..rounds {
            // It has read none of its files yet.
            let primary = Engine::open(&home, &Options::default())?;
            let listener = serve(&primary)?;
            let path = dir.join(format!("replica-{round}"));
            for (figures, known) in [(&mut first, false), (&mut again, true)] {
                let took = full_sync(&path, listener.address().port())?;
                figures.add(rate(took.iter().sum()));
                stages.iter_mut().zip(took).filter(|_| !known).for_each(|(figures, took)| figures.add(ms(took)));
            }
            primary.close()?;

            let began = Instant::now();
            copy_synced(&checkpoint.path, &path)?;
            copy.add(rate(began.elapsed()));
            fs::remove_dir_all(&path)?;
        }
        for (which, ours) in [("", &first), (", the next one", &again)] {
            let what = format!("full sync of {what}{which}, MB/s");
            let target = if which.is_empty() { Target::AtLeast(0.8) } else { Target::None };
            report.beside(&what, ours, 0, &copy, "copy, crc32c, fsync", &ours.over(&copy), target);
        }
        for (stage, figures) in ["checkpoint", "transfer", "open, publish"].iter().zip(&stages) {
            report.alone(&format!("  of it {stage}, ms"), figures, 0, figures, Target::None);
        }
        fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// How long it took until the files were listed, until all were here, and until the data was visible.
fn full_sync(path: &Path, port: u16) -> Result<[Duration; 3], Failure> {
    let replica = diverged(path)?;
    let began = Instant::now();
    follow(&replica, port)?;
    let [mut listed, mut here] = [Duration::ZERO; 2];
    while let Some(link) = replica.link()?.filter(|link| link.state != LinkState::Streaming) {
        let now = began.elapsed();
        match link.sync {
            Some(sync) if sync.bytes == 0 => (listed, here) = (now, now),
            Some(sync) if sync.bytes_done < sync.bytes => here = now,
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let visible = began.elapsed();
    replica.close()?;
    fs::remove_dir_all(path)?;
    Ok([listed, here - listed, visible - here])
}

/// About 500 MB in values of 1000 bytes.
fn large_primary(path: &Path) -> Result<Engine, Failure> {
    let primary = Engine::open(path, &Options::default())?;
    let namespace = primary.create_namespace("large", None)?;
    let mut random = Random::new(5);
    let noise: Vec<u8> = (0..1 << 20).map(|_| random.below(256) as u8).collect();
    for from in (0..480_000).step_by(500) {
        let mut batch = primary.batch();
        for number in from..from + 500 {
            let at = random.below((1 << 20) - 1000) as usize;
            batch.put(&namespace, &key(number), &noise[at..at + 1000])?;
        }
        batch.commit(None)?;
    }
    Ok(primary)
}

/// A plain copy: each file read once, written, its checksum taken, and synced.
fn copy_synced(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir(to)?;
    let mut buffer = vec![0; 256 << 10];
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (mut source, mut target) = (File::open(entry.path())?, File::create(to.join(entry.file_name()))?);
        let mut crc = 0;
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            crc = crc32c::crc32c_append(crc, &buffer[..read]);
            target.write_all(&buffer[..read])?;
        }
        std::hint::black_box(crc);
        target.sync_all()?;
    }
    Ok(File::open(to)?.sync_all()?)
}

/// How much of a dataset comes over the wire after a hundredth of its keys was updated.
fn delta(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let primary = primary(&dir.join("primary"), b'b', TENANTS)?;
    let listener = serve(&primary)?;
    let proxy = Proxy::start(listener.address().port())?;
    let replica = diverged(&dir.join("replica"))?;
    follow(&replica, proxy.port)?;
    linked(&replica)?;
    let handles: Vec<Namespace> =
        primary.namespaces()?.iter().map(|name| primary.namespace(name)).collect::<Result<_, _>>()?;
    let mut random = Random::new(3);
    let mut part = Figures::default();
    for _ in 0..rounds {
        replica.detach()?;
        for _ in 0..KEYS * (TENANTS + 1) / 100 {
            let namespace = &handles[random.below(TENANTS + 1) as usize];
            let number = random.below(KEYS);
            namespace.put(&key(number), &value(b'c', namespace.name(), number))?;
        }
        // With an entry of its own the log does not help it.
        replica.promote()?;
        replica.default_namespace().put(b"own", b"entry")?;
        proxy.restart(u64::MAX);
        follow(&replica, proxy.port)?;
        linked(&replica)?;
        replica.discard()?;
        part.add(100.0 * proxy.moved() as f64 / dataset_bytes(&dir.join("primary/db"))? as f64);
    }
    report.alone("delta after 1% updates: % of the bytes moved", &part, 1, &part, Target::AtMost(25.0));
    Ok(())
}

fn dataset_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "sst") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// How much of a dataset moves again when the replica is closed at half of it, and opened again.
fn resume(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let primary = primary(&dir.join("primary"), b'b', TENANTS)?;
    let listener = serve(&primary)?;
    let bytes = primary.create_checkpoint(dir.join("checkpoint"))?.bytes;
    let proxy = Proxy::start(listener.address().port())?;
    let mut part = Figures::default();
    for round in 0..rounds {
        let path = dir.join(format!("replica-{round}"));
        let replica = diverged(&path)?;
        proxy.restart(bytes / 2);
        follow(&replica, proxy.port)?;
        proxy.wait_full();
        replica.close()?;
        drop(replica);
        proxy.restart(u64::MAX);
        let replica = Engine::open(&path, &Options::default())?;
        linked(&replica)?;
        part.add(100.0 * proxy.moved() as f64 / bytes as f64);
        replica.close()?;
        fs::remove_dir_all(&path)?;
    }
    report.alone("sync cut at half: % of the bytes moved again", &part, 1, &part, Target::AtMost(60.0));
    Ok(())
}

/// The log applied, through the link and through `Engine::apply`, beside the same batches written by a bare RocksDB.
fn apply(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let primary = Engine::open(dir.join("primary"), &Options::default())?;
    let namespace = primary.create_namespace("ns", None)?;
    let listener = serve(&primary)?;
    let as_replica = Options { role: Some(Role::Replica), ..Options::default() };
    let (over_link, by_call) =
        (Engine::open(dir.join("link"), &as_replica)?, Engine::open(dir.join("call"), &as_replica)?);
    let checkpoint = primary.create_checkpoint(dir.join("checkpoint"))?;
    for replica in [&over_link, &by_call] {
        replica.apply_checkpoint(&checkpoint.path)?;
    }
    elsewhere::bring(&checkpoint.path, &dir.join("raw"))?;
    let raw = elsewhere::open(&dir.join("raw"), &elsewhere::cache(Options::default().memory_budget))?;
    let mut random = Random::new(9);
    // Flushes fall on one or the other: a median of few rounds says little.
    let rounds = rounds.max(MANY);
    for (what, entries, records) in [("of 1 record", 50_000u32, 1u32), ("of 100 records", 1_000, 100)] {
        let (mut link, mut call, mut bare) = (Figures::default(), Figures::default(), Figures::default());
        let mut begun = Figures::default();
        for round in 0..=rounds {
            over_link.detach()?;
            let before = primary.position()?;
            for _ in 0..entries {
                let mut batch = primary.batch();
                for _ in 0..records {
                    let number = random.below(1_000_000);
                    batch.put(&namespace, &key(number), &value(b'a', b"ns", number))?;
                }
                batch.commit(None)?;
            }
            let mut log = primary.log(Some(&before))?;
            let mut written: Vec<Entry> = Vec::new();
            while let Some(entry) = log.next_entry(None)? {
                written.push(entry);
            }
            let mut batches: Vec<WriteBatch> =
                written.iter().map(|entry| WriteBatch::from_data(&entry.bytes)).collect();
            let rate = |took: Duration| f64::from(entries * records) / took.as_secs_f64() / 1e3;

            let mut run = |which: usize| -> Result<Duration, Failure> {
                let began = Instant::now();
                match which {
                    0 => return follow_log(&over_link, &primary, listener.address().port(), &mut begun),
                    1 => written.iter().try_for_each(|entry| by_call.apply(entry))?,
                    _ => std::mem::take(&mut batches).into_iter().try_for_each(|batch| raw.write(batch))?,
                }
                Ok(began.elapsed())
            };
            // In another order each time. The first round only warms up.
            let mut took = [Duration::ZERO; 3];
            for turn in 0..3 {
                let which = (round + turn) % 3;
                // What the engines flush and compact of the turn before does not fall on this one.
                std::thread::sleep(QUIET);
                took[which] = run(which)?;
            }
            if round > 0 {
                link.add(rate(took[0]));
                call.add(rate(took[1]));
                bare.add(rate(took[2]));
            }
        }
        for (how, ours) in [("link", &link), ("Engine::apply", &call)] {
            let what = format!("entries {what} by {how}, 1000 records/s");
            report.beside(&what, ours, 0, &bare, "raw DB::write", &ours.over(&bare), Target::AtLeast(0.85));
        }
        // The primary's log is gone through from the beginning of its file.
        report.alone("  follow() until they come, ms", &begun, 1, &begun, Target::None);
    }
    Ok(())
}

/// How long all entries take over the link that a replica lacks, had the first of them been the first of many: by what
/// comes after the first ones. What passes before those goes to `begun`.
fn follow_log(replica: &Engine, primary: &Engine, port: u16, begun: &mut Figures) -> Result<Duration, Failure> {
    let (from, to) = (replica.position()?.sequence, primary.position()?.sequence);
    let began = Instant::now();
    follow(replica, port)?;
    let first = loop {
        let at = replica.position()?.sequence;
        if at > from {
            break at;
        }
        assert!(began.elapsed() < SOON, "no entry has come: {:?}", replica.link()?);
        std::thread::sleep(Duration::from_micros(200));
    };
    begun.add(ms(began.elapsed()));
    let began = Instant::now();
    caught_up(replica, primary)?;
    Ok(began.elapsed().mul_f64((to - from) as f64 / (to - first).max(1) as f64))
}

/// From before a put on the primary to where the replica shows it, and to where the primary knows that: on idle engines.
fn visible(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const PUTS: usize = 400;
    let primary = Engine::open(dir.join("primary"), &Options::default())?;
    let replica = Engine::open(dir.join("replica"), &Options { role: Some(Role::Replica), ..Options::default() })?;
    let (at_primary, at_replica) = (serve(&primary)?, serve(&replica)?);
    follow(&replica, at_primary.address().port())?;
    linked(&replica)?;
    let namespace = primary.default_namespace();
    let mut pairs = vec![(Client::to(at_primary.address().port())?, Client::to(at_replica.address().port())?)];
    let redis = RedisPair::start(dir)?;
    match &redis {
        Some(redis) => pairs.push((Client::to(redis.ports[0])?, Client::to(redis.ports[1])?)),
        None => println!("  redis-server is not installed: nothing stands beside the time to visible"),
    }
    let quantiles = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        [times[times.len() / 2], times[times.len() * 99 / 100]]
    };
    let mut here = [Figures::default(), Figures::default()];
    let mut acked = here.clone();
    let mut polled = vec![here.clone(); 2];
    let mut waited = here.clone();
    let us = |began: Instant| began.elapsed().as_secs_f64() * 1e6;
    let idle = || std::thread::sleep(Duration::from_millis(1));
    for _ in 0..rounds {
        let [mut visible_us, mut acked_us] = [Vec::new(), Vec::new()];
        for number in 0..PUTS as u32 {
            idle();
            let began = Instant::now();
            namespace.put(&key(number), b"value")?;
            let position = primary.position()?;
            assert!(replica.wait_for(&position, SOON)?);
            visible_us.push(us(began));
            idle();
            let began = Instant::now();
            namespace.put(&key(number), b"value")?;
            assert_eq!(primary.wait_acked(&primary.position()?, 1, SOON)?, 1);
            acked_us.push(us(began));
        }
        quantiles(&mut visible_us).into_iter().zip(&mut here).for_each(|(figure, figures)| figures.add(figure));
        quantiles(&mut acked_us).into_iter().zip(&mut acked).for_each(|(figure, figures)| figures.add(figure));
        for (pair, figures) in pairs.iter_mut().zip(&mut polled) {
            let mut times = Vec::new();
            for number in 0..PUTS {
                idle();
                let value = format!("{}:{number}", figures[0].median());
                times.push(pair.0.set_until_seen(&mut pair.1, &value)?.as_secs_f64() * 1e6);
            }
            quantiles(&mut times).into_iter().zip(figures).for_each(|(figure, figures)| figures.add(figure));
        }
        if let Some((client, _)) = pairs.get_mut(1) {
            let mut times = Vec::new();
            for _ in 0..PUTS {
                idle();
                let began = Instant::now();
                client.call(&["SET", "waited", "value"])?;
                client.call(&["WAIT", "1", "0"])?;
                times.push(us(began));
            }
            quantiles(&mut times).into_iter().zip(&mut waited).for_each(|(figure, figures)| figures.add(figure));
        }
    }
    let target = [Target::AtMost(300.0), Target::None];
    for (index, which) in ["p50", "p99"].into_iter().enumerate() {
        let what = format!("put to visible, in process, {which}, us");
        report.alone(&what, &here[index], 0, &here[index], target[index]);
    }
    if redis.is_none() {
        return Ok(());
    }
    let target = [Target::AtMost(1.0), Target::None];
    for (index, which) in ["p50", "p99"].into_iter().enumerate() {
        // A Redis is reached by a socket alone.
        let (ours, theirs) = (&here[index], &polled[1][index]);
        let what = format!("  beside SET to visible, {which}, us");
        report.beside(&what, ours, 0, theirs, "redis-server pair", &ours.over(theirs), target[index]);
    }
    for (index, which) in ["p50", "p99"].into_iter().enumerate() {
        let [ours, theirs] = [&polled[0][index], &polled[1][index]];
        let what = format!("SET to visible, by socket, {which}, us");
        report.beside(&what, ours, 0, theirs, "redis-server pair", &ours.over(theirs), target[index]);
    }
    for (index, which) in ["p50", "p99"].into_iter().enumerate() {
        let (ours, theirs) = (&acked[index], &waited[index]);
        let what = format!("put to acknowledged, {which}, us");
        report.beside(&what, ours, 0, theirs, "redis-server WAIT 1", &ours.over(theirs), Target::None);
    }
    Ok(())
}

/// Puts while a replica has stopped to read, beside puts without it.
fn stalled(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const PUTS: u32 = 40_000;
    let primary = Engine::open(dir.join("primary"), &Options::default())?;
    let namespace = primary.default_namespace();
    let listener = serve(&primary)?;
    let mut random = Random::new(11);
    let mut puts = || -> Result<f64, Failure> {
        let began = Instant::now();
        for _ in 0..PUTS {
            let number = random.below(100_000);
            namespace.put(&key(number), &value(b'a', b"ns", number))?;
        }
        Ok(f64::from(PUTS) / began.elapsed().as_secs_f64() / 1e3)
    };
    puts()?;
    let rounds = rounds.max(MANY);
    let (mut with, mut without) = (Figures::default(), Figures::default());
    for round in 0..rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                without.add(puts()?);
                continue;
            }
            let mut replica = Client::to(listener.address().port())?;
            replica.call(&["PSYNC", "1"])?;
            // What the sockets hold fills up, and its feed waits.
            let mut sent = 0;
            loop {
                std::thread::sleep(QUIET);
                let now = primary.feeds()?.first().map_or(0, |feed| feed.sent);
                if now > 0 && now == sent {
                    break;
                }
                sent = now;
            }
            with.add(puts()?);
            drop(replica);
            while !primary.feeds()?.is_empty() {
                std::thread::sleep(QUIET);
            }
        }
    }
    let ratio = with.over(&without);
    report.beside(
        "puts with a replica that does not read, 1000/s",
        &with,
        0,
        &without,
        "without it",
        &ratio,
        Target::AtLeast(0.95),
    );
    Ok(())
}
