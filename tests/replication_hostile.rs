//! Primaries that say what they must not: the link tells, the engine serves what it had, and nothing is left behind.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pumice::{Engine, FollowOptions, LinkState};
use support::wire::resident_bytes;
use support::{alone, assert_sound, names, open, wait_until};

/// What a primary does next.
enum Say {
    Bytes(Vec<u8>),
    /// The same again and again, for as long as somebody takes it.
    Flood(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    Close,
}
use Say::{Bytes, Close, Flood, Hang};

type Script = Arc<dyn Fn(&[String]) -> Option<Vec<Say>> + Send + Sync>;

/// A primary that answers each request as the script says. Lives as long as the process.
fn start(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || drop(answer(stream, &script)));
        }
    });
    port
}

fn answer(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    while let Some(words) = request(&mut lines)? {
        for say in script(&words).unwrap_or_else(|| vec![Close]) {
            match say {
                Bytes(bytes) => stream.write_all(&bytes)?,
                Flood(bytes) => loop {
                    stream.write_all(&bytes)?;
                },
                // It hears all, acknowledgements too, and says nothing.
                Hang => while stream.read(&mut [0; 1024])? > 0 {},
                Close => return Ok(()),
            }
        }
    }
    Ok(())
}

fn request(lines: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = Vec::new();
    for _ in 0..line.trim_end()[1..].parse().unwrap() {
        line.clear();
        lines.read_line(&mut line)?;
        let mut bytes = vec![0; line.trim_end()[1..].parse::<usize>().unwrap() + 2];
        lines.read_exact(&mut bytes)?;
        words.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Ok(Some(words))
}

fn part<'a>(file: &'a [u8], offset: &str, length: &str) -> &'a [u8] {
    let (offset, length): (usize, usize) = (offset.parse().unwrap(), length.parse().unwrap());
    &file[offset..][..length]
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn array(items: &[&[u8]]) -> Vec<u8> {
    let head = format!("*{}\r\n", items.len()).into_bytes();
    items.iter().fold(head, |out, item| [out, bulk(item)].concat())
}

const ID: &[u8] = b"AAAAAAAAAAAAAAAA";

/// A checkpoint and its sync manifest.
#[derive(Clone)]
struct Checkpoint {
    files: BTreeMap<String, Vec<u8>>,
    /// The manifest up to its list of files.
    head: Vec<u8>,
}

impl Checkpoint {
    fn make(dir: &Path) -> Checkpoint {
        let engine = open(dir.join("made"));
        engine.default_namespace().put(b"of", b"the primary").unwrap();
        engine.create_checkpoint(dir.join("checkpoint")).unwrap();
        engine.close().unwrap();
        let read = |name: &String| std::fs::read(dir.join("checkpoint").join(name)).unwrap();
        let mut files: BTreeMap<String, Vec<u8>> =
            names(&dir.join("checkpoint")).into_iter().map(|name| (name.clone(), read(&name))).collect();
        let manifest = files.remove("PUMICE-MANIFEST").unwrap();
        let starts = files.keys().filter_map(|name| {
            let coded = [&[name.len() as u8], name.as_bytes()].concat();
            manifest.windows(coded.len()).position(|bytes| bytes == coded)
        });
        let first = starts.min().unwrap();
        assert_eq!(usize::from(manifest[first - 1]), files.len());
        Checkpoint { head: manifest[14..first - 1].to_vec(), files }
    }

    fn manifest(&self) -> Vec<u8> {
        self.manifest_of(
            self.files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64, crc32c::crc32c(bytes))),
        )
    }

    /// The files alone.
    fn listed(&self) -> Vec<u8> {
        self.manifest_of(self.files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64, 0)))
    }

    /// A manifest in its frame, with these files.
    fn manifest_of(&self, files: impl ExactSizeIterator<Item = (String, u64, u32)>) -> Vec<u8> {
        fn put(out: &mut Vec<u8>, number: u64) {
            match number {
                0..251 => out.push(number as u8),
                _ => {
                    out.push(253);
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        let mut payload = self.head.clone();
        put(&mut payload, files.len() as u64);
        for (name, size, crc) in files {
            put(&mut payload, name.len() as u64);
            payload.extend_from_slice(name.as_bytes());
            put(&mut payload, size);
            payload.push(252);
            payload.extend_from_slice(&crc.to_le_bytes());
        }
        let mut out = b"PUMICE\0\x03\x01\0".to_vec();
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&payload);
        let crc = crc32c::crc32c(&out);
        [out, crc.to_le_bytes().to_vec()].concat()
    }

    /// With one file replaced.
    fn with(&self, name: &str, bytes: &[u8]) -> Checkpoint {
        let mut changed = self.clone();
        changed.files.insert(name.to_owned(), bytes.to_vec());
        changed
    }

    /// What a Pumice with this checkpoint answers. It accepts no PSYNC.
    fn pumice(self, other: impl Fn(&[&str]) -> Option<Vec<Say>> + Send + Sync + 'static) -> Script {
        Arc::new(move |words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let honest = || match words[..] {
                ["replconf", "pumice", ..] => Some(array(&[
                    b"pumice",
                    b"1",
                    b"layout",
                    b"standalone",
                    b"run",
                    ID,
                    b"generation",
                    b"1",
                    b"id",
                    ID,
                    b"latest",
                    b"9",
                ])),
                ["PSYNC", ..] => Some(b"-DIVERGED honestly\r\n".to_vec()),
                ["PUMICE", "FILES", _] => Some(array(&[ID, &self.listed()])),
                ["PUMICE", "CHECKSUMS", _] => Some(array(&[ID, &self.manifest()])),
                ["PUMICE", "RANGE", _, name, offset, length] => Some(bulk(part(&self.files[name], offset, length))),
                _ => None,
            };
            other(&words).or_else(|| honest().map(|bytes| vec![Bytes(bytes)]))
        })
    }

    /// What a Kvrocks with this checkpoint answers.
    fn kvrocks(self, other: impl Fn(&[&str]) -> Option<Vec<Say>> + Send + Sync + 'static) -> Script {
        Arc::new(move |words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let honest = || match words[..] {
                ["replconf", ..] => Some(vec![Bytes(b"-ERR unknown option\r\n".to_vec())]),
                ["INFO", ..] => Some(vec![Bytes(bulk(b"kvrocks_mode:standalone\r\nprocess_id:1\r\n"))]),
                ["CONFIG", ..] => Some(vec![Bytes(b"*0\r\n".to_vec())]),
                ["_db_name"] => Some(vec![Bytes(b"change.me.db\r\n".to_vec())]),
                ["PSYNC", ..] => Some(vec![Bytes(b"-ERR sequence out of range\r\n".to_vec())]),
                ["_fetch_meta"] => {
                    let names: Vec<&str> = self.files.keys().map(String::as_str).collect();
                    Some(vec![Bytes(format!("{}\r\n", names.join(",")).into_bytes()), Close])
                }
                ["_fetch_file", names] => {
                    let file = |name: &str| {
                        let bytes = &self.files[name];
                        Bytes([format!("{}\r\n", bytes.len()).as_bytes(), bytes].concat())
                    };
                    Some(names.split(',').map(file).chain([Close]).collect())
                }
                _ => None,
            };
            other(&words).or_else(honest)
        })
    }
}

fn follow(replica: &Engine, port: u16) {
    replica.follow("127.0.0.1", port, &FollowOptions::default()).unwrap();
}

/// An engine with data of its own.
fn replica(dir: &Path) -> Engine {
    let engine = open(dir.join("r"));
    engine.default_namespace().put(b"own", b"data").unwrap();
    engine
}

/// Has the replica follow each of these primaries, and fails unless the link tells these words and nothing has changed.
fn assert_withstands(dir: &Path, replica: &Engine, cases: Vec<(&str, Script, &str)>) {
    let before = resident_bytes();
    let position = replica.position().unwrap();
    for (what, script, words) in cases {
        println!("{what}");
        follow(replica, start(script));
        let mut last = None;
        for _ in 0..2000 {
            last = replica.link().unwrap().unwrap().last_error;
            if last.as_ref().is_some_and(|error| error.contains(words)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(last.as_ref().is_some_and(|error| error.contains(words)), "{what}: {last:?}, expected {words:?}");
        replica.detach().unwrap();
        assert_eq!(replica.default_namespace().get(b"own").unwrap().unwrap(), b"data", "{what}");
        assert_eq!(replica.position().unwrap(), position, "{what}");
        let generations = dir.join("r/generations");
        let (incoming, left): (Vec<_>, Vec<_>) =
            names(&generations).into_iter().partition(|name| name.ends_with(".incoming"));
        // What one primary sent rightly would be taken for what the next one has to send.
        incoming.iter().for_each(|name| drop(std::fs::remove_dir_all(generations.join(name))));
        assert_eq!(left, ["000001", "000001.history"], "{what}");
        assert_eq!(names(&dir.join("r")), ["LOCK", "db", "generations", "state"], "{what}");
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 400 << 20, "{what}: {grown} bytes more");
    }
    assert_eq!(names(dir), ["checkpoint", "made", "r"]);
    assert_sound(replica);
}

fn all<const N: usize>(says: [Say; N]) -> Option<Vec<Say>> {
    Some(says.into_iter().collect())
}

fn bytes(text: &str) -> Say {
    Bytes(text.as_bytes().to_vec())
}

/// What the tests below change is what makes the difference: unchanged, both kinds of primary are taken.
#[test]
fn honest_primaries() {
    for kvrocks in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::make(dir.path());
        let replica = replica(dir.path());
        follow(&replica, start(if kvrocks { checkpoint.kvrocks(|_| None) } else { checkpoint.pumice(|_| None) }));
        wait_until("it has the primary's data", || {
            replica.default_namespace().get(b"of").unwrap().is_some_and(|value| *value == *b"the primary")
        });
        assert!(replica.default_namespace().get(b"own").unwrap().is_none());
    }
}

/// In the handshake and in the feed.
#[test]
fn on_the_link() {
    if !alone("on_the_link") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = Checkpoint::make(dir.path());
    let replica = replica(dir.path());
    let hello =
        |say: fn() -> Say| made.clone().pumice(move |words| if words[0] == "replconf" { all([say()]) } else { None });
    let feed = |say: fn(u64) -> Vec<u8>| {
        made.clone().pumice(move |words| match words {
            ["PSYNC", .., next] => all([bytes("+OK\r\n"), Bytes(say(next.parse().unwrap())), Hang]),
            _ => None,
        })
    };
    fn batch(first: u64, count: u32, records: &[u8]) -> Vec<u8> {
        bulk(&[&first.to_le_bytes()[..], &count.to_le_bytes(), records].concat())
    }
    // One put into the family `metadata`.
    const PUT: &[u8] = b"\x05\x01\x01k\x01v";
    let cases: Vec<(&str, Script, &str)> = vec![
        ("an endless line", hello(|| Flood(vec![b'+'; 1 << 16])), "without an end"),
        ("an endless line of an error", hello(|| Flood(vec![b'-'; 1 << 16])), "without an end"),
        ("a bulk of 2^63", hello(|| bytes("$9223372036854775808\r\n")), "9223372036854775808"),
        ("an array of 2^63 - 1", hello(|| bytes("*9223372036854775807\r\n")), "9223372036854775807"),
        ("arrays in arrays", hello(|| Flood(b"*1\r\n".to_vec())), "in each other"),
        ("a frame of 2^63", feed(|_| b"$9223372036854775808\r\n".to_vec()), "length of a frame"),
        ("a frame of -1", feed(|_| b"$-1\r\n".to_vec()), "length of a frame"),
        ("no frame", feed(|_| vec![b'a'; 1 << 20]), "length of a frame"),
        ("a batch of five that has one", feed(|next| batch(next, 5, PUT)), "batch"),
        ("a batch of one that has two", feed(|next| batch(next, 1, &[PUT, PUT].concat())), "batch"),
        ("a batch of 2^32 - 1", feed(|next| batch(next, u32::MAX, PUT)), "batch"),
        ("garbage in a batch", feed(|next| batch(next, 1, &[0xff; 100])), "batch"),
        ("a batch too far", feed(|next| batch(next + 1, 1, PUT)), "first sequence"),
        ("a batch again", feed(|next| batch(next - 1, 1, PUT)), "first sequence"),
        ("a batch at the end of all", feed(|_| batch(u64::MAX, 1, PUT)), "batch"),
    ];
    assert_withstands(dir.path(), &replica, cases);
}

/// An entry that can never be applied is not asked for again and again: its sender is left alone for some seconds.
#[test]
fn an_entry_that_always_fails() {
    let dir = tempfile::tempdir().unwrap();
    let made = Checkpoint::make(dir.path());
    let replica = replica(dir.path());
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let port = start(made.pumice(move |words| match words {
        ["PSYNC", .., next] => {
            counted.fetch_add(1, Ordering::Relaxed);
            // A put of a registry that is none, in the family `propagate`.
            let put = [b"\x05\x04\x12__namespace_keys__\x07".as_slice(), b"garbage"].concat();
            let first: u64 = next.parse().unwrap();
            let batch = [&first.to_le_bytes()[..], &1u32.to_le_bytes(), &put].concat();
            all([bytes("+OK\r\n"), Bytes(bulk(&batch)), Hang])
        }
        _ => None,
    }));
    let position = replica.position().unwrap();
    follow(&replica, port);
    let status = || replica.link().unwrap().unwrap();
    wait_until("it waits", || status().state == LinkState::Waiting && asked.load(Ordering::Relaxed) > 0);
    assert!(status().last_error.unwrap().contains("registry"), "{:?}", status());
    // It waits for five seconds at least, the shortest times together for a fraction of this.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(replica.position().unwrap(), position);
    replica.detach().unwrap();
    assert_sound(&replica);
}

/// In a full sync from a Pumice.
#[test]
fn in_a_full_sync() {
    if !alone("in_a_full_sync") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = Checkpoint::make(dir.path());
    let replica = replica(dir.path());
    let manifest = |manifest: Vec<u8>| {
        made.clone().pumice(move |words| match words {
            ["PUMICE", "FILES" | "CHECKSUMS", _] => all([Bytes(array(&[ID, &manifest]))]),
            _ => None,
        })
    };
    let files = |more: &[(&str, u64)]| {
        let honest = made.files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64, crc32c::crc32c(bytes)));
        let more = more.iter().map(|(name, size)| ((*name).to_owned(), *size, 0));
        manifest(made.manifest_of(honest.chain(more).collect::<Vec<_>>().into_iter()))
    };
    let range = |say: fn(&[u8]) -> Vec<Say>| {
        let known = made.files.clone();
        made.clone().pumice(move |words| match words {
            ["PUMICE", "RANGE", _, name, offset, length] => Some(say(part(&known[*name], offset, length))),
            _ => None,
        })
    };
    let mut flipped = made.manifest();
    flipped[20] ^= 1;
    let million = (0..1_000_000).map(|n| (format!("{n:06}.sst"), 0, 0)).chain([("CURRENT".to_owned(), 0, 0)]);
    let million: Vec<(String, u64, u32)> = million.take(1_000_001).skip(1).collect();
    let cases: Vec<(&str, Script, &str)> = vec![
        ("a manifest with a wrong checksum", manifest(flipped), "crc32c"),
        ("a manifest that ends early", manifest(made.manifest()[..40].to_vec()), "length"),
        (
            "a manifest of 2^63 bytes",
            made.clone().pumice(|words| match words {
                ["PUMICE", "CHECKSUMS", _] => all([bytes("*2\r\n$16\r\nAAAAAAAAAAAAAAAA\r\n$9223372036854775807\r\n")]),
                _ => None,
            }),
            "9223372036854775807",
        ),
        ("a million files", manifest(made.manifest_of(million.into_iter())), "expected at most"),
        ("a name that leads out", files(&[("../../../escaped.sst", 3)]), "file name"),
        ("an absolute name", files(&[("/tmp/000001.sst", 3)]), "file name"),
        ("a name twice", files(&[("CURRENT", 3)]), "twice"),
        ("sizes that do not add up", files(&[("000901.sst", u64::MAX), ("000902.sst", 2)]), "sizes"),
        ("more than the disk has room for", files(&[("000901.sst", 1 << 60)]), "free"),
        (
            "other files in the end than at first",
            {
                let other = made.with("000901.sst", b"more").manifest();
                made.clone().pumice(move |words| match words {
                    ["PUMICE", "CHECKSUMS", _] => all([Bytes(array(&[ID, &other]))]),
                    _ => None,
                })
            },
            "other files",
        ),
        (
            "another checkpoint in the end than at first",
            {
                let manifest = made.manifest();
                made.clone().pumice(move |words| match words {
                    ["PUMICE", "CHECKSUMS", _] => all([Bytes(array(&[b"BBBBBBBBBBBBBBBB", &manifest]))]),
                    _ => None,
                })
            },
            "got the checkpoint BBBBBBBBBBBBBBBB",
        ),
        (
            "no list at first",
            made.clone().pumice(|words| match words {
                ["PUMICE", "FILES", _] => all([Bytes(array(&[ID, b""]))]),
                _ => None,
            }),
            "no list of files",
        ),
        ("a file of 2^63 bytes", range(|_| vec![bytes("$9223372036854775808\r\n")]), "9223372036854775808"),
        ("an endless size", range(|_| vec![Flood(vec![b'$'; 1 << 16])]), "line"),
        ("a file longer than told", range(|file| vec![Bytes(bulk(&[file, b"more"].concat()))]), "expected"),
        (
            "more bytes than told",
            range(|file| {
                vec![
                    Bytes(format!("${}\r\n", file.len()).into_bytes()),
                    Bytes(file.to_vec()),
                    Flood(vec![b'x'; 1 << 16]),
                ]
            }),
            "expected a line end",
        ),
        (
            "a file that ends early",
            range(|file| {
                vec![Bytes(format!("${}\r\n", file.len()).into_bytes()), Bytes(file[..file.len() - 1].to_vec()), Close]
            }),
            "closed the connection",
        ),
        (
            "other bytes",
            range(|file| {
                let changed: Vec<u8> = file.iter().map(|byte| byte ^ 1).collect();
                vec![Bytes(bulk(&changed))]
            }),
            "crc32c",
        ),
        ("a CURRENT that is garbage", made.with("CURRENT", b"garbage").pumice(|_| None), "CURRENT"),
        (
            "a CURRENT that leads out",
            made.with("CURRENT", b"MANIFEST-../../../made/db/CURRENT\n").pumice(|_| None),
            "RocksDB",
        ),
        (
            "a file that is missing",
            {
                let mut less = made.clone();
                less.files.retain(|name, _| !name.starts_with("MANIFEST-"));
                less.pumice(|_| None)
            },
            "RocksDB",
        ),
    ];
    assert_withstands(dir.path(), &replica, cases);
    assert!(!Path::new("/tmp/000001.sst").exists());
}

/// In a full sync from a Kvrocks.
#[test]
fn in_a_full_sync_by_name() {
    if !alone("in_a_full_sync_by_name") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = Checkpoint::make(dir.path());
    let replica = replica(dir.path());
    let listed = |say: fn() -> Vec<Say>| made.clone().kvrocks(move |words| (words[0] == "_fetch_meta").then(say));
    let sent = |say: fn() -> Vec<Say>| made.clone().kvrocks(move |words| (words[0] == "_fetch_file").then(say));
    let cases: Vec<(&str, Script, &str)> = vec![
        ("an endless list", listed(|| vec![Flood(vec![b'a'; 1 << 16])]), "line"),
        (
            "a name that leads out",
            listed(|| vec![bytes("CURRENT,MANIFEST-1,../../escaped.sst\r\n"), Close]),
            "file name",
        ),
        ("an absolute name", listed(|| vec![bytes("CURRENT,MANIFEST-1,/tmp/000001.sst\r\n"), Close]), "file name"),
        ("nothing", listed(|| vec![bytes("\r\n"), Close]), "file name"),
        (
            "a million names",
            listed(|| {
                let names: Vec<String> = (0..1_000_000).map(|n| format!("{n}.sst")).collect();
                vec![bytes(&names.join(",")), bytes("\r\n"), Close]
            }),
            "line",
        ),
        (
            "many short names",
            listed(|| {
                let names: Vec<String> = (0..200_000).map(|n| format!("{n}.sst")).collect();
                vec![bytes(&names.join(",")), bytes("\r\n"), Close]
            }),
            "names",
        ),
        ("a file of 2^63 bytes", sent(|| vec![bytes("9223372036854775808\r\n"), Hang]), "9223372036854775808"),
        ("more than the disk has room for", sent(|| vec![bytes("1152921504606846976\r\n"), Hang]), "free"),
        ("a negative size", sent(|| vec![bytes("-1\r\n"), Close]), "the primary answered"),
        ("an endless size", sent(|| vec![Flood(vec![b'1'; 1 << 16])]), "line"),
        ("a file that ends early", sent(|| vec![bytes("100\r\nabc"), Close]), "closed the connection"),
        ("no files", sent(|| vec![Close]), "closed the connection"),
        ("a CURRENT that is garbage", made.with("CURRENT", b"garbage").kvrocks(|_| None), "CURRENT"),
        (
            "more than was asked for",
            {
                let files = made.files.clone();
                made.clone().kvrocks(move |words| match words {
                    ["_fetch_file", names] => {
                        let of = |name: &str| {
                            Bytes([format!("{}\r\n", files[name].len()).as_bytes(), &files[name]].concat())
                        };
                        Some(names.split(',').map(of).chain([bytes("5\r\nagain"), Close]).collect())
                    }
                    _ => None,
                })
            },
            "expected nothing more",
        ),
        (
            "no Kvrocks at all",
            made.clone().kvrocks(|words| (words[0] == "INFO").then(|| vec![Bytes(bulk(b"redis_version:7\r\n"))])),
            "kvrocks_mode",
        ),
    ];
    assert_withstands(dir.path(), &replica, cases);
}

/// A primary that says nothing, at any point, keeps nobody from reading, nor from detaching, closing and dropping at once.
#[test]
fn silent() {
    let dir = tempfile::tempdir().unwrap();
    let made = Checkpoint::make(dir.path());
    let states =
        [LinkState::Handshake, LinkState::Handshake, LinkState::Syncing, LinkState::Syncing, LinkState::Streaming];
    for (step, state) in ["replconf", "PSYNC", "FILES", "RANGE", "feed"].into_iter().zip(states) {
        for end in ["detach", "close", "drop"] {
            let replica = open(dir.path().join("r"));
            let script = made.clone().pumice(move |words| match words {
                ["PSYNC", ..] if step == "feed" => all([bytes("+OK\r\n"), Hang]),
                ["PUMICE", "RANGE", ..] if step == "RANGE" => all([bytes("$100"), Hang]),
                _ => words.contains(&step).then(|| vec![Hang]),
            });
            follow(&replica, start(script));
            wait_until("it is there", || replica.link().unwrap().unwrap().state == state);
            assert!(replica.default_namespace().get(b"of").unwrap().is_none(), "{step}");
            match end {
                "detach" => replica.detach().unwrap(),
                "close" => replica.close().unwrap(),
                _ => {}
            }
            drop(replica);
        }
    }
}
