//! Replication where things break: killed processes, cut and stalled connections, a log that is gone, other primaries,
//! replicas that do not read, and calls from several threads.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use pumice::{Engine, FollowOptions, LinkState, Listener, Options, Position, Range, ServeOptions};
use support::wire::{Fault, Port, Proxy, Raw, resident_bytes};
use support::{Ended, Random, alone, assert_sound, names, open, open_replica, process, shown, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn serve(engine: &Engine) -> Listener {
    engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap()
}

fn follow(replica: &Engine, port: u16) {
    replica.follow("127.0.0.1", port, &FollowOptions::default()).unwrap();
}

fn linked(replica: &Engine) {
    assert!(replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap(), "{:?}", replica.link());
}

fn full_syncs(replica: &Engine) -> u64 {
    replica.link().unwrap().unwrap().full_syncs
}

/// Waits until the replica is where its primary is, which writes nothing meanwhile, and compares all of it.
#[track_caller]
fn assert_follows(replica: &Engine, primary: &Engine) {
    let position = primary.position().unwrap();
    wait_until("the replica has everything", || replica.position().is_ok_and(|own| own == position));
    assert!(shown(replica) == shown(primary), "equal positions, and other data");
    assert_sound(replica);
}

/// An engine that keeps as little of its log as can be.
fn forgetful(path: impl AsRef<Path>) -> Engine {
    let options = Options { wal_keep_bytes: 1, wal_keep: Duration::from_secs(1), ..Default::default() };
    Engine::open(path, &options).unwrap()
}

/// Writes so many values of 10 KB that no compression makes smaller, then has all of it in files.
fn fill(engine: &Engine, name: &str, count: usize, random: &mut Random) {
    for n in 0..count {
        engine.default_namespace().put(format!("{name}{n}").as_bytes(), &random.bytes(10_000)).unwrap();
    }
    flush(engine);
}

/// Has what was written in files, and begins another one of the log.
fn flush(engine: &Engine) {
    let beside = tempfile::tempdir().unwrap();
    engine.create_checkpoint(beside.path().join("checkpoint")).unwrap();
}

/// Not a test of its own: what the others run in a process of its own.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    println!();
    let port = std::env::var("PUMICE_PORT").unwrap().parse().unwrap();
    match job.as_str() {
        "primary" => be_primary(&paths[0], port),
        "replica" => be_replica(&paths[0], port),
        _ => panic!("unknown job {job}"),
    }
}

/// The writers of the primary, and whether each syncs what it writes.
const WRITERS: [bool; 3] = [true, false, true];

/// How many keys of a writer there are; fails where one is missing before the last, or the count is another.
fn counted(engine: &Engine, writer: usize) -> u64 {
    let snapshot = engine.snapshot().unwrap();
    let namespace = snapshot.namespace("__namespace").unwrap();
    let mut expected = 0;
    let range = Range { prefix: format!("w{writer}-").into_bytes(), ..Default::default() };
    for item in namespace.items(&range).unwrap() {
        let (key, _) = item.unwrap();
        expected += 1;
        assert_eq!(String::from_utf8(key).unwrap(), format!("w{writer}-{expected:08}"), "a write is missing");
    }
    let count = namespace.get(format!("count-{writer}").as_bytes()).unwrap();
    let count = count.map_or(0, |bytes| u64::from_be_bytes((*bytes).try_into().unwrap()));
    assert_eq!(count, expected, "writer {writer}: the count is of another moment than the keys");
    count
}

fn be_primary(path: &Path, port: u16) {
    let engine = forgetful(path);
    let _listener = engine.serve(&format!("127.0.0.1:{port}"), &ServeOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for (writer, synced) in WRITERS.into_iter().enumerate() {
            let engine = engine.clone();
            scope.spawn(move || {
                for count in counted(&engine, writer) + 1.. {
                    let mut batch = engine.batch();
                    let namespace = engine.default_namespace();
                    batch.put(&namespace, format!("w{writer}-{count:08}").as_bytes(), &[b'v'; 300]).unwrap();
                    batch.put(&namespace, format!("count-{writer}").as_bytes(), &count.to_be_bytes()).unwrap();
                    batch.commit(Some(synced)).unwrap();
                    println!("acked {writer} {count}");
                    if writer == 1 && count % 100 == 0 {
                        let name = format!("ns{}", count / 100 % 7);
                        if engine.namespaces().unwrap().contains(&name) {
                            engine.drop_namespace(&name).unwrap();
                        } else {
                            engine.create_namespace(&name, None).unwrap().put(b"made", b"by writer 1").unwrap();
                        }
                    }
                    if writer == 1 && count % 500 == 0 {
                        flush(&engine);
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
        }
    });
}

fn be_replica(path: &Path, port: u16) {
    let engine = open_replica(path);
    // Before it follows anybody again, and all the time then.
    (0..WRITERS.len()).for_each(|writer| assert!(counted(&engine, writer) < u64::MAX));
    println!("opened");
    follow(&engine, port);
    loop {
        (0..WRITERS.len()).for_each(|writer| assert!(counted(&engine, writer) < u64::MAX));
        assert_sound(&engine);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Primary and replica are killed at random, again and again, with writers on: what the primary acknowledged is there,
/// the replica is a prefix at every moment, and in the end both are equal and sound. `PUMICE_SEED` repeats one,
/// `PUMICE_CHAOS_SECONDS` makes it longer.
#[test]
fn killed_at_random() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("PUMICE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("PUMICE_SEED={seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let paths = ["primary", "replica"].map(|name| dir.path().join(name));
    let port = Port::reserve();
    let acked = Arc::new(Mutex::new(BTreeMap::<usize, u64>::new()));
    let opened = Arc::new(Mutex::new(0));
    let start = |which: usize| -> Child {
        let job = ["primary", "replica"][which];
        let mut command = process(job, &[&paths[which]]);
        let mut child = command.env("PUMICE_PORT", port.number.to_string()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (acked, opened) = (Arc::clone(&acked), Arc::clone(&opened));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                if let ["acked", writer, count] = words[..] {
                    acked.lock().unwrap().insert(writer.parse().unwrap(), count.parse().unwrap());
                } else if line == "opened" {
                    *opened.lock().unwrap() += 1;
                }
            }
        });
        child
    };
    let mut children = [start(0), start(1)];
    let end = Instant::now() + Duration::from_secs(number("PUMICE_CHAOS_SECONDS").unwrap_or(18));
    let kill = |child: &mut Child| {
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL), "PUMICE_SEED={seed}: it ended by itself");
    };
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100 + random.below(1500) as u64));
        let which = random.below(2);
        kill(&mut children[which]);
        if random.below(4) == 0 {
            kill(&mut children[1 - which]);
            children[1 - which] = start(1 - which);
        }
        children[which] = start(which);
    }
    children.iter_mut().for_each(kill);

    let (primary, replica) = (open(&paths[0]), open_replica(&paths[1]));
    let acked = acked.lock().unwrap().clone();
    println!("acknowledged: {acked:?}, replicas opened: {}", opened.lock().unwrap());
    assert!(!acked.is_empty() && *opened.lock().unwrap() > 0);
    for writer in 0..WRITERS.len() {
        let (there, said) = (counted(&primary, writer), acked.get(&writer).copied().unwrap_or(0));
        assert!(there >= said, "PUMICE_SEED={seed}: {said} writes of {writer} were acknowledged, {there} are there");
        counted(&replica, writer);
    }
    let listener = serve(&primary);
    follow(&replica, listener.address().port());
    assert_follows(&replica, &primary);
    assert_sound(&primary);
}

/// Connections that break anywhere, in the middle of big files and of entries: the full sync goes on where it ended, is
/// done once, and the log goes on behind it.
#[test]
fn cut_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let primary = forgetful(dir.path().join("p"));
    let replica = open_replica(dir.path().join("r"));
    let mut random = Random(3);
    for part in 0..3 {
        fill(&primary, &format!("part{part}-"), 400, &mut random);
    }
    // The log no longer has it from the beginning.
    forget(&primary, &Position { replication_id: String::new(), sequence: 0 }, &mut random);
    let listener = serve(&primary);
    let proxy = Proxy::to(listener.address().port());
    // The link's connection and four for files, which break early; those after them break anywhere.
    let early = || Fault { cut: Some(1_000_000), piece: Some(30_000) };
    proxy.next([Fault::default(), early(), early(), early(), early()]);
    proxy.random(Some((Random(5), 5_000_000)));
    // The checkpoint that it will receive, whose files stay there as long as somebody fetches it.
    let mut fetching = Raw::pumice(listener.address().port());
    let id = fetching.ask(&["PUMICE", "CHECKPOINT"])[0].clone();
    let total = table_bytes(&dir.path().join("p/checkpoints").join(&id));
    follow(&replica, proxy.port);
    linked(&replica);
    assert!(proxy.asked().contains(&id), "another checkpoint was received");
    drop(fetching);
    assert!(total > 12_000_000, "{total}");
    let moved = proxy.moved();
    assert!((total..total * 3 / 2).contains(&moved), "{moved} bytes were moved for {total}");
    let asked = proxy.asked();
    let resumed = asked.windows(2).any(|words| words[0].ends_with(".sst") && words[1] != "0");
    assert!(resumed, "no file was asked for from its middle on: {asked:?}");
    assert!(proxy.connections() > 3, "nothing broke");

    proxy.random(Some((Random(7), 300_000)));
    for n in 0..300 {
        primary.default_namespace().put(format!("later{n}").as_bytes(), &random.bytes(10_000)).unwrap();
        if n % 50 == 0 {
            proxy.cut();
        }
    }
    let name = primary.create_namespace("late", None).unwrap();
    name.put(b"k", b"v").unwrap();
    wait_until("it gets further", || proxy.moved() > moved + 1_000_000);
    proxy.random(None);
    proxy.cut();
    assert_follows(&replica, &primary);
    assert_eq!(full_syncs(&replica), 1);
}

/// How many bytes the tables in a folder have.
fn table_bytes(folder: &Path) -> u64 {
    names(folder)
        .iter()
        .filter(|name| name.ends_with(".sst"))
        .map(|name| folder.join(name).metadata().unwrap().len())
        .sum()
}

/// A log that no longer reaches back to the replica's position: one full sync.
#[test]
fn the_log_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let primary = forgetful(dir.path().join("p"));
    let replica = open_replica(dir.path().join("r"));
    let listener = serve(&primary);
    follow(&replica, listener.address().port());
    linked(&replica);
    primary.default_namespace().put(b"before", b"1").unwrap();
    assert_follows(&replica, &primary);
    let position = replica.position().unwrap();
    replica.close().unwrap();
    let mut random = Random(1);
    forget(&primary, &position, &mut random);
    let replica = open(dir.path().join("r"));
    linked(&replica);
    assert_follows(&replica, &primary);
    assert_eq!(full_syncs(&replica), 1);
}

/// Writes until the log no longer reaches back to a position.
fn forget(primary: &Engine, position: &Position, random: &mut Random) {
    wait_until("the log goes", || {
        fill(primary, "more", 20, random);
        primary.log(Some(position)).and_then(|mut log| log.next_entry(None)).is_err()
    });
}

/// What was written while a replica took its files stays in the log until it has that too, so that a long full sync does
/// not end in another.
#[test]
fn the_log_waits_for_a_full_sync() {
    let dir = tempfile::tempdir().unwrap();
    let primary = forgetful(dir.path().join("p"));
    let mut random = Random(2);
    fill(&primary, "a", 20, &mut random);
    let port = serve_for_long(&primary);
    let listed = Raw::pumice(port).ask(&["PUMICE", "CHECKPOINT"]);
    assert_eq!(listed.len(), 2);
    let position = primary.position().unwrap();
    // More than lies in sockets.
    for part in 0..4 {
        fill(&primary, &format!("b{part}-"), 400, &mut random);
    }
    let mut replica = Raw::pumice(port);
    let next = (position.sequence + 1).to_string();
    assert_eq!(replica.ask(&["PSYNC", &position.replication_id, &next]), ["OK"]);
    wait_until("it is fed", || primary.feeds().unwrap().len() == 1);
    for part in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        fill(&primary, &format!("c{part}-"), 10, &mut random);
    }
    let latest = primary.position().unwrap().sequence;
    let mut at = position.sequence;
    while at < latest {
        let frame = replica.bulk().unwrap_or_else(|| panic!("the feed ended at {at}, before {latest}"));
        if let Some((first, count)) = batch_header(&frame) {
            assert_eq!(first, at + 1);
            at = first + count - 1;
        }
    }
    wait_until("the checkpoint goes", || names(&dir.path().join("p/checkpoints")).is_empty());
}

/// The first sequence of a batch, and how many records it has; `None` for what is no batch.
fn batch_header(frame: &[u8]) -> Option<(u64, u64)> {
    let (sequence, rest) = frame.split_first_chunk::<8>().filter(|_| !frame.starts_with(b"_pumice "))?;
    Some((u64::from_le_bytes(*sequence), u64::from(u32::from_le_bytes(*rest.first_chunk::<4>()?))))
}

/// Serves an engine for as long as it is open.
fn serve_for_long(engine: &Engine) -> u16 {
    let listener = serve(engine);
    let port = listener.address().port();
    std::mem::forget(listener);
    port
}

/// A checkpoint is there for every replica that fetches it, also when another one of the same host comes back first, and
/// is gone when none does.
#[test]
fn a_checkpoint_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    primary.default_namespace().put(b"k", b"v").unwrap();
    let port = serve_for_long(&primary);
    let (mut first, mut second) = (Raw::pumice(port), Raw::pumice(port));
    let id = first.ask(&["PUMICE", "CHECKPOINT"])[0].clone();
    assert_eq!(second.ask(&["PUMICE", "CHECKPOINT"])[0], id);
    let Position { replication_id, sequence } = primary.position().unwrap();
    let mut back = Raw::pumice(port);
    assert_eq!(back.ask(&["PSYNC", &replication_id, &(sequence + 1).to_string()]), ["OK"]);
    wait_until("it is fed", || primary.feeds().unwrap().len() == 1);
    drop(first);
    let current = second.ask(&["PUMICE", "RANGE", &id, "CURRENT", "0", "16"]);
    assert!(current[0].starts_with("MANIFEST-"), "{current:?}");
    drop(second);
    wait_until("the checkpoint goes", || names(&dir.path().join("p/checkpoints")).is_empty());
    assert!(Raw::pumice(port).ask(&["PUMICE", "RANGE", &id, "CURRENT", "0", "16"])[0].contains("not served any more"));
}

/// Two primaries take turns at one port: the replica has the data of the one or of the other, never of both. A sequence
/// inside an entry and one of another history are refused.
#[test]
fn primaries_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let primaries = ["a", "b"].map(|name| {
        let engine = open(dir.path().join(name));
        // Equal lengths, other bytes.
        (0..50).for_each(|n| engine.default_namespace().put(format!("{name}{n}").as_bytes(), b"v").unwrap());
        engine
    });
    let ports = [serve_for_long(&primaries[0]), serve_for_long(&primaries[1])];
    let replica = open_replica(dir.path().join("r"));
    let proxy = Proxy::to(ports[0]);
    follow(&replica, proxy.port);
    let (done, looked, watched) = (AtomicBool::new(false), AtomicU64::new(0), replica.clone());
    std::thread::scope(|scope| {
        let _ended = Ended(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = shown(&watched).remove("__namespace").unwrap();
                let of = |letter: u8| found.keys().any(|key| key[0] == letter);
                assert!(!(of(b'a') && of(b'b')), "data of both: {:?}", found.keys());
                looked.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_until("somebody looks", || looked.load(Ordering::Relaxed) > 0);
        for turn in 0..5 {
            let primary = &primaries[turn % 2];
            proxy.lead_to(ports[turn % 2]);
            proxy.cut();
            primary.default_namespace().put(format!("{}turn{turn}", ["a", "b"][turn % 2]).as_bytes(), b"v").unwrap();
            assert_follows(&replica, primary);
        }
    });
    let mut batch = primaries[0].batch();
    ["x", "y", "z"].iter().for_each(|key| {
        batch.put(&primaries[0].default_namespace(), key.as_bytes(), b"1").unwrap();
    });
    batch.commit(None).unwrap();
    let Position { replication_id, sequence } = primaries[0].position().unwrap();
    let other = primaries[1].position().unwrap().replication_id;
    let psync = |id: &str, next: u64| Raw::pumice(ports[0]).ask(&["PSYNC", id, &next.to_string()])[0].clone();
    for (id, next) in [(&replication_id, sequence), (&replication_id, sequence + 2), (&other, sequence + 1)] {
        let refused = psync(id, next);
        assert!(refused.starts_with("DIVERGED"), "{id} {next}: {refused}");
    }
    assert_eq!(psync(&replication_id, sequence + 1), "OK");
}

/// From the moment that it is detached a replica takes nothing more, also of what had come before and of a primary that
/// goes on writing.
#[test]
fn detached_in_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let port = serve_for_long(&primary);
    let done = AtomicBool::new(false);
    let mut moved = Vec::new();
    std::thread::scope(|scope| {
        let _ended = Ended(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                primary.default_namespace().put(b"k", b"v").unwrap();
            }
        });
        for round in 0..15 {
            follow(&replica, port);
            let before = replica.position().unwrap().sequence;
            wait_until("it streams", || replica.position().unwrap().sequence > before + 100);
            replica.detach().unwrap();
            let at = replica.position().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            moved.extend((replica.position().unwrap() != at).then_some(round));
        }
    });
    assert!(moved.is_empty(), "it took something in rounds {moved:?}");
}

/// A replica that reads nothing costs neither the writers nor another replica anything, and is dropped when it has read
/// nothing for the send timeout; what is kept for it is bounded.
#[test]
fn a_replica_that_does_not_read() {
    if !alone("a_replica_that_does_not_read") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let options = ServeOptions { send_timeout: Duration::from_millis(300), ..Default::default() };
    let listener = primary.serve("127.0.0.1:0", &options).unwrap();
    let port = listener.address().port();
    follow(&replica, port);
    linked(&replica);
    let mut stuck = Raw::pumice(port);
    assert_eq!(stuck.ask(&["PSYNC", "1"]), ["OK"]);
    wait_until("both are fed", || primary.feeds().unwrap().len() == 2);
    let before = resident_bytes();
    let value = Random(1).bytes(100_000);
    for n in 0..600 {
        primary.default_namespace().put(format!("key{}", n % 50).as_bytes(), &value).unwrap();
    }
    assert_follows(&replica, &primary);
    wait_until("the one that does not read is dropped", || primary.feeds().unwrap().len() == 1);
    assert_eq!(primary.wait_acked(&primary.position().unwrap(), 1, SOON).unwrap(), 1);
    let grown = resident_bytes().saturating_sub(before);
    // Both engines' write buffers are in it.
    assert!(grown < 400 << 20, "{grown} bytes more");
    drop(stuck);
}

/// Follow, detach, promote and close from several threads, in the middle of full syncs and of streaming: every call
/// returns, and what is there is one dataset, whole.
#[test]
fn everything_at_once() {
    let (done, watch) = mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(Duration::from_secs(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("everything_at_once: a call did not return");
            std::process::abort();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(9);
    let primaries = ["a", "b"].map(|name| {
        let engine = open(dir.path().join(name));
        fill(&engine, name, 200, &mut random);
        engine
    });
    let slow = ServeOptions { sync_bytes_per_second: Some(8_000_000), ..Default::default() };
    let listeners = primaries.each_ref().map(|primary| primary.serve("127.0.0.1:0", &slow).unwrap());
    let ports = listeners.each_ref().map(|listener| listener.address().port());
    let path = dir.path().join("r");
    for round in 0..3 {
        let replica = open(&path);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (engine, mut random) = (replica.clone(), Random(round * 10 + thread));
                let primaries = &primaries;
                scope.spawn(move || {
                    for n in 0..25 {
                        // Each may be refused, once the engine is closed.
                        let _ = match random.below(8) {
                            0..3 => engine.follow("127.0.0.1", ports[random.below(2)], &FollowOptions::default()),
                            3 => engine.detach(),
                            4 => engine.promote(),
                            5 => engine.link().map(drop),
                            6 => primaries[random.below(2)].default_namespace().put(b"n", b"v"),
                            _ => engine.discard().map(drop),
                        };
                        if thread == 0 && n == 20 && round > 0 {
                            engine.close().unwrap();
                        }
                        std::thread::sleep(Duration::from_millis(random.below(60) as u64));
                    }
                });
            }
        });
        drop(replica);
        let replica = open(&path);
        assert_sound(&replica);
        let found = shown(&replica).remove("__namespace").unwrap();
        let count = |letter: &[u8]| found.keys().filter(|key| key.starts_with(letter)).count();
        let whole = [(0, 0), (200, 0), (0, 200)].contains(&(count(b"a"), count(b"b")));
        assert!(whole, "round {round}: {} of a, {} of b", count(b"a"), count(b"b"));
        follow(&replica, ports[0]);
        assert_follows(&replica, &primaries[0]);
    }
    done.send(()).unwrap();
    watchdog.join().unwrap();
}

/// An engine that is dropped while it looks for a primary that does not answer is gone at once.
#[test]
fn dropped_while_connecting() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&silent, 0).unwrap();
    let address = silent.local_addr().unwrap();
    // Its queue is full: further connections are not even refused.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    let replica = open_replica(dir.path().join("r"));
    follow(&replica, address.port());
    std::thread::sleep(Duration::from_millis(50));
    // Waiting where the system refuses what its queue has no room for.
    let state = replica.link().unwrap().unwrap().state;
    assert!(matches!(state, LinkState::Connecting | LinkState::Waiting), "{state:?}");
    drop(replica);
    drop(open(dir.path().join("r")));
}

/// A replica that says what it must not is refused or cut off, gets no file that a checkpoint does not list, and the
/// engine goes on serving.
#[test]
fn hostile_replicas() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    primary.default_namespace().put(b"k", b"v").unwrap();
    let port = serve_for_long(&primary);
    let mut fetching = Raw::pumice(port);
    let id = fetching.ask(&["PUMICE", "CHECKPOINT"])[0].clone();
    let outside = dir.path().join("secret").display().to_string();
    for name in ["../../secret", "../LOCK", &outside, "..", "", "LOCK", "000000.sst", "CURRENT/", "PUMICE-MANIFEST"] {
        let refused = fetching.ask(&["PUMICE", "RANGE", &id, name, "0", "1"]);
        assert!(refused[0].starts_with("ERR") || refused[0].contains("does not list"), "{name}: {refused:?}");
        let refused = Raw::connect(port).ask(&["_fetch_file", &format!("CURRENT,{name}")]);
        assert!(refused[0].starts_with("ERR") || refused[0].contains("does not list"), "{name}: {refused:?}");
    }
    let most = u64::MAX.to_string();
    for range in [["17", "0"], ["16", "1"], ["0", "17"], ["1", &most], [&most, "1"], [&most, &most], ["0", "-1"]] {
        let refused = fetching.ask(&["PUMICE", "RANGE", &id, "CURRENT", range[0], range[1]]);
        assert!(refused[0].starts_with("ERR"), "{range:?}: {refused:?}");
    }
    for number in ["18446744073709551616", "-1", "x", ""] {
        for range in [[number, "1"], ["1", number]] {
            let refused = fetching.ask(&["PUMICE", "RANGE", &id, "CURRENT", range[0], range[1]]);
            assert!(refused[0].starts_with("ERR"), "{range:?}: {refused:?}");
        }
    }
    assert!(fetching.ask(&["PUMICE", "RANGE", &id, "CURRENT", "0", "16"])[0].starts_with("MANIFEST-"));
    let Position { replication_id, sequence } = primary.position().unwrap();
    let beyond = (sequence + 1).to_string();
    for garbage in [
        Raw::request(&["replconf", "ack", &beyond, "0"]),
        Raw::request(&["replconf", "ack", "18446744073709551616"]),
        b"hello\r\n".to_vec(),
        b"*2000000000\r\n".to_vec(),
        b"*1\r\n$9223372036854775808\r\n".to_vec(),
        vec![b'a'; 1 << 20],
    ] {
        let mut replica = Raw::pumice(port);
        assert_eq!(replica.ask(&["PSYNC", &replication_id, &beyond]), ["OK"]);
        let _ = replica.stream.write_all(&garbage);
        let mut rest = Vec::new();
        let _ = replica.stream.read_to_end(&mut rest);
        wait_until("the feed ends", || primary.feeds().unwrap().is_empty());
    }
    assert_eq!(primary.default_namespace().get(b"k").unwrap().unwrap(), b"v");
    let replica = open_replica(dir.path().join("r"));
    follow(&replica, port);
    assert_follows(&replica, &primary);
}

/// Entries of any size come whole and in order at whatever pace they are written, also when the replica stops to read for a
/// while: those that their writer sends, those that the feed's thread sends, and those that the socket takes a part of.
#[test]
fn at_any_pace() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let proxy = Proxy::to(listener.address().port());
    replica.follow("127.0.0.1", proxy.port, &FollowOptions::default()).unwrap();
    assert!(replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap());
    let namespace = primary.default_namespace();
    let seed = 11;
    println!("seed {seed}");
    let mut random = Random(seed);
    for round in 0..60 {
        let stalled = round % 10 == 9;
        proxy.stall(stalled);
        // Enough for what sockets hold, each far enough behind the other to be sent by who writes it.
        let (puts, pause) = match random.below(3) {
            _ if stalled => (3000, 250),
            0 => (1 + random.below(3), 1000),
            1 => (20, 250),
            _ => (200, 0),
        };
        for _ in 0..puts {
            let most = 1 << random.below(14);
            let size = if stalled { 3900 } else { random.below(most) };
            namespace.put(random.below(500).to_string().as_bytes(), &random.bytes(size)).unwrap();
            if pause > 0 {
                std::thread::sleep(Duration::from_micros(pause));
            }
        }
        proxy.stall(false);
        assert!(replica.wait_for(&primary.position().unwrap(), SOON).unwrap(), "{:?}", replica.link());
    }
    assert_eq!(shown(&replica), shown(&primary));
    let link = replica.link().unwrap().unwrap();
    assert_eq!((link.full_syncs, proxy.connections()), (0, 1), "{link:?}");
    assert_sound(&replica);
}
