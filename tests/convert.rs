//! A dataset in the other key layout is the same dataset.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pumice::{ConvertOptions, Converted, Engine, ErrorKind, Options, WriteOptions};
use serde_json::{Value as Json, json};
use support::{assert_error, assert_sound, copy_tree, fixture, names, open, raw_write, records, skipped, wait_until};

fn convert(source: &Path, target: &Path, cluster: bool, namespace: Option<&str>) -> pumice::Result<Converted> {
    let namespace = namespace.map(|name| name.as_bytes().to_vec());
    let options = ConvertOptions { cluster, namespace, ..Default::default() };
    pumice::convert(source, target, &options, &mut |_| ControlFlow::Continue(()))
}

/// A record's family, the key that it belongs to, and the rest of its raw key; then its value. Versions are zero.
type Unversioned = BTreeMap<(String, Vec<u8>, Vec<u8>), Vec<u8>>;

/// All records of a namespace that are alive in a closed directory, without versions, slots and namespace.
fn unversioned(directory: &Path, namespace: &[u8], cluster: bool) -> Unversioned {
    let mut found = Unversioned::new();
    let mut versions = BTreeMap::new();
    let head = [&[namespace.len() as u8], namespace].concat();
    let slot = if cluster { 2 } else { 0 };
    let all = records(directory);
    for (raw, value) in &all["metadata"] {
        let Some(key) = raw.strip_prefix(&head[..]).map(|rest| &rest[slot..]) else { continue };
        let mut value = value.clone();
        if ![1, 10].contains(&(value[0] & 15)) {
            let at = if value[0] & 0x80 != 0 { 9 } else { 5 };
            versions.insert(key.to_vec(), value[at..at + 8].to_vec());
            value[at..at + 8].fill(0);
        }
        found.insert(("metadata".to_owned(), key.to_vec(), Vec::new()), value);
    }
    for family in ["default", "zset_score", "stream"] {
        for (raw, value) in &all[family] {
            let Some(rest) = raw.strip_prefix(&head[..]).map(|rest| &rest[slot..]) else { continue };
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (key, rest) = rest[4..].split_at(length);
            let (version, sub) = rest.split_at(8);
            if versions.get(key).is_some_and(|current| current == version) {
                found.insert((family.to_owned(), key.to_vec(), sub.to_vec()), value.clone());
            }
        }
    }
    found
}

/// What stands behind the version in the records of a stream's consumers, and of what they were given.
const OF_CONSUMER: [u8; 9] = [255, 255, 255, 255, 255, 255, 255, 255, 2];
const PENDING: [u8; 9] = [255, 255, 255, 255, 255, 255, 255, 255, 3];

/// What a standalone Kvrocks wrote, converted, is record for record what a Kvrocks cluster wrote for the same commands.
#[test]
fn the_records_of_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let (there, target) = (dir.path().join("there"), dir.path().join("target"));
    copy_tree(&fixture("cluster-zstd").join("db"), &there.join("db"));
    let expected = unversioned(&there, b"__namespace", true);
    for name in ["plain-zstd", "plain-lz4", "plain-snappy"] {
        let here = dir.path().join(name);
        copy_tree(&fixture(name).join("db"), &here.join("db"));
        convert(&here, &target, true, None).unwrap();
        let converted = unversioned(&target, b"__namespace", true);
        assert!(converted.len() > 1500, "{}", converted.len());
        assert!(converted.keys().eq(expected.keys()), "{name}");
        for (place, value) in &converted {
            let (family, key, sub) = place;
            // What the server took from its clock: short expiries, and when a stream's consumers last came.
            let of_clock = match &key[..] {
                b"str:exp:past" | b"hash:past" => family == "metadata",
                _ => family == "stream" && (sub.starts_with(&OF_CONSUMER) || sub.starts_with(&PENDING)),
            };
            assert!(of_clock || expected[place] == *value, "{name}: {place:?}");
            assert_eq!(expected[place].len(), value.len(), "{name}: {place:?}");
        }
        fs::remove_dir_all(&target).unwrap();
    }
}

/// There and back gives every record of the namespace as it was: metadata, subkeys, scores, streams, expired keys and
/// remains, with their versions.
#[test]
fn there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    for (name, namespace) in [("plain-wal", "__namespace"), ("plain-zstd", "alpha"), ("plain-snappy", "gamma")] {
        let at = |place: &str| dir.path().join(format!("{name}-{place}"));
        copy_tree(&fixture(name).join("db"), &at("source").join("db"));
        let there = convert(&at("source"), &at("cluster"), true, Some(namespace)).unwrap();
        assert_eq!((there.layout, &there.namespace[..]), ("cluster", &b"__namespace"[..]));
        assert_eq!(there.left_out.len(), 1, "{:?}", there.left_out);
        let back = convert(&at("cluster"), &at("back"), false, Some(namespace)).unwrap();
        assert_eq!((back.layout, &back.namespace[..]), ("standalone", namespace.as_bytes()));
        assert_eq!((back.keys, back.records), (there.keys, there.records));
        assert!(back.left_out.is_empty(), "{:?}", back.left_out);

        let head = [&[namespace.len() as u8], namespace.as_bytes()].concat();
        let (source, back) = (records(&at("source")), records(&at("back")));
        for family in ["metadata", "default", "zset_score", "stream"] {
            let of_namespace: Vec<_> = source[family].iter().filter(|(key, _)| key.starts_with(&head)).collect();
            assert!(!of_namespace.is_empty(), "{family}");
            assert_eq!(back[family].iter().collect::<Vec<_>>(), of_namespace, "{name}, {family}");
        }
        let scripts = |records: &[(Vec<u8>, Vec<u8>)]| -> Vec<(Vec<u8>, Vec<u8>)> {
            records.iter().filter(|(key, _)| key.starts_with(b"lua_")).cloned().collect()
        };
        assert!(!scripts(&source["propagate"]).is_empty());
        assert_eq!(scripts(&back["propagate"]), scripts(&source["propagate"]));
        assert_eq!(names(dir.path()).iter().filter(|name| name.contains("incomplete")).count(), 0);
    }
}

/// Converted strings read as they did, in either direction, and the target is a sound primary whose log starts behind
/// the conversion.
#[test]
fn strings_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for (name, cluster) in [("plain-zstd", true), ("plain-wal", true), ("cluster-zstd", false)] {
        let (source, target) = (dir.path().join(name), dir.path().join(format!("{name}-target")));
        copy_tree(&fixture(name).join("db"), &source.join("db"));
        let made = convert(&source, &target, cluster, None).unwrap();
        let engine = open(&target);
        assert_eq!(engine.info().unwrap().layout, if cluster { "cluster" } else { "standalone" });
        let expected: Json = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let mut read = 0;
        for row in expected["reads"].as_array().unwrap() {
            let [command, key] = &row["cmd"].as_array().unwrap()[..] else { continue };
            if row["ns"] != "default" || command != "GET" {
                continue;
            }
            let found = engine.default_namespace().get(&bytes(key)).map(|found| found.map(|value| value.to_vec()));
            match found {
                Ok(Some(value)) => assert_eq!(value, bytes(&row["reply"]), "{key}"),
                Ok(None) => assert!(row["reply"].is_null(), "{key}"),
                Err(e) => assert!(row["reply"]["e"].is_string(), "{key}: {e}"),
            }
            read += 1;
        }
        assert!(read > 10, "{read}");
        assert_sound(&engine);
        assert!(engine.info().unwrap().oldest_sequence >= made.records, "{made:?}");
        engine.default_namespace().put(b"more", b"x").unwrap();
    }
}

/// A random dataset of our own survives there and back, into a namespace with a token of its own.
#[test]
fn our_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = support::Random(7);
    let (source, cluster, back) = (dir.path().join("source"), dir.path().join("cluster"), dir.path().join("back"));
    let engine = open(&source);
    let a = engine.create_namespace("a", None).unwrap();
    let mut expected = BTreeMap::new();
    for _ in 0..5000 {
        let length = random.below(12);
        let (key, value) = (random.bytes(length), random.bytes(40));
        a.put(&key, &value).unwrap();
        expected.insert(key, value);
    }
    let ttl = WriteOptions { ttl: Some(std::time::Duration::from_secs(1 << 20)), sync: None };
    a.put_with(b"{tag}expires", b"x", &ttl).unwrap();
    expected.insert(b"{tag}expires".to_vec(), b"x".to_vec());
    engine.close().unwrap();
    let made = convert(&source, &cluster, true, Some("a")).unwrap();
    assert_eq!((made.keys, made.left_out.len()), (expected.len() as u64, 0));
    let engine = open(&cluster);
    assert_eq!(engine.position().unwrap().sequence, made.position.sequence + 1);
    for (key, value) in &expected {
        assert_eq!(engine.default_namespace().get(key).unwrap().unwrap(), value);
    }
    engine.close().unwrap();
    convert(&cluster, &back, false, Some("b")).unwrap();
    let engine = open(&back);
    assert_eq!(engine.namespaces().unwrap(), ["__namespace", "b"]);
    assert_eq!(engine.namespace("b").unwrap().token().unwrap().unwrap().len(), 40);
    assert_eq!(support::shown(&engine)["b"], expected);
    assert!(matches!(engine.namespace("b").unwrap().ttl(b"{tag}expires").unwrap(), pumice::Ttl::Left(_)));
}

/// What cannot be converted is refused with a reason and leaves nothing, or left out with a word.
#[test]
fn refused_or_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, cluster, target) = (dir.path().join("plain"), dir.path().join("cluster"), dir.path().join("target"));
    let engine = open(&plain);
    engine.default_namespace().put(b"k", b"v").unwrap();
    assert_error(convert(&plain, &target, true, None), ErrorKind::Busy, &["plain", "this process"]);
    engine.close().unwrap();
    copy_tree(&fixture("cluster-zstd").join("db"), &cluster.join("db"));
    for (result, kind, words) in [
        (convert(&plain, &target, false, None), ErrorKind::InvalidArgument, "has the standalone layout already"),
        (convert(&cluster, &target, true, None), ErrorKind::InvalidArgument, "has the cluster layout already"),
        (convert(&plain, &target, true, Some("x")), ErrorKind::NotFound, "namespace \"x\""),
        (convert(&cluster, &target, false, Some("")), ErrorKind::InvalidArgument, "is empty"),
        (convert(&plain, &cluster, true, None), ErrorKind::AlreadyExists, "name one that does not"),
        (convert(&dir.path().join("none"), &target, true, None), ErrorKind::NotFound, "holds no database"),
        (convert(&plain, &plain.join("generations/000009"), true, None), ErrorKind::InvalidArgument, "its own files"),
    ] {
        assert_error(result, kind, &[words]);
    }
    // In front of a cluster's slot bytes there can be another namespace only by a mistake.
    raw_write(&cluster, "metadata", b"\x01a\x2f\x96foo", Some(b"\x81\0\0\0\0\0\0\0\0bar"));
    assert_error(convert(&cluster, &target, false, None), ErrorKind::Unsupported, &["namespace \"a\""]);
    raw_write(&cluster, "metadata", b"\x01a\x2f\x96foo", None);
    let ours = dir.path().join("ours");
    convert(&plain, &ours, true, None).unwrap();
    raw_write(&ours, "metadata", b"\x0b__namespace\x2f\x97foo", Some(b"\x81\0\0\0\0\0\0\0\0bar"));
    assert_error(convert(&ours, &target, false, None), ErrorKind::Corruption, &["got slot 12183, expected 12182"]);
    let mut stop = |_: &pumice::Progress| ControlFlow::Break(());
    let options = ConvertOptions { cluster: true, ..Default::default() };
    assert_error(pumice::convert(&plain, &target, &options, &mut stop), ErrorKind::Busy, &["cancelled", "convert"]);
    assert_eq!(names(dir.path()), ["cluster", "ours", "plain"]);

    let db = plain.join("db");
    assert!(db.symlink_metadata().unwrap().is_symlink());
    raw_write(&plain, "search", b"\x0b__namespace\x00\x00\x00\x00\x01i", Some(b"\0\x02"));
    let made = convert(&plain, &target, true, None).unwrap();
    assert!(made.left_out.len() == 1 && made.left_out[0].starts_with("search indexes"), "{:?}", made.left_out);
    assert_eq!(records(&target)["search"], []);
}

fn bytes(reply: &Json) -> Vec<u8> {
    match reply {
        Json::String(text) => text.clone().into_bytes(),
        other => {
            let digits = other["hex"].as_str().unwrap_or_else(|| panic!("{other}"));
            (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
        }
    }
}

/// A server of its own, ended when it goes, and a connection to it.
struct Server {
    process: Child,
    stream: BufReader<TcpStream>,
    _reserved: support::wire::Port,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(program: &std::ffi::OsStr, scrap: &Path, data: &Path, more: &str) -> Server {
        let reserved = support::wire::Port::reserve();
        let port = reserved.number;
        let configuration = scrap.join(format!("kvrocks-{port}.conf"));
        let lines = format!("bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\n{more}", data.display());
        fs::write(&configuration, lines).unwrap();
        let mut process = Command::new(program).arg("-c").arg(&configuration).stdout(Stdio::null()).spawn().unwrap();
        let mut stream = None;
        wait_until("the server listens", || {
            stream = TcpStream::connect(("127.0.0.1", port)).ok().map(BufReader::new);
            stream.is_some() || process.try_wait().unwrap().is_some()
        });
        let mut server =
            Server { process, stream: stream.expect("the server ended instead of listening"), _reserved: reserved };
        if more.contains("cluster-enabled yes") {
            let id = "c".repeat(40);
            let nodes = format!("{id} 127.0.0.1 {port} master - 0-16383");
            for words in [vec!["CLUSTERX", "SETNODEID", &id], vec!["CLUSTERX", "SETNODES", &nodes, "1"]] {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                assert_eq!(server.ask(&words), json!({ "s": "OK" }));
            }
        }
        server
    }

    fn ask(&mut self, words: &[Vec<u8>]) -> Json {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    /// A reply as the fixtures write it down.
    fn reply(&mut self) -> Json {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        match line.trim_end().split_at(1) {
            ("$" | "*", "-1") => Json::Null,
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                match String::from_utf8(bytes) {
                    Ok(text) => Json::String(text),
                    Err(e) => {
                        let hex: String = e.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                        json!({ "hex": hex })
                    }
                }
            }
            ("*", count) => (0..count.parse::<usize>().unwrap()).map(|_| self.reply()).collect(),
            (":", number) => json!(number.parse::<i64>().unwrap()),
            ("+", text) => json!({ "s": text }),
            ("-", text) => json!({ "e": text }),
            other => panic!("{other:?}"),
        }
    }
}

/// A real Kvrocks, where one is named, serves a converted directory: in cluster mode what came from a standalone one, and
/// the other way round, with the answers to reads of every type that the original server gave.
#[test]
fn a_real_kvrocks_serves_it() {
    let Some(program) = std::env::var_os("PUMICE_KVROCKS") else { return skipped("PUMICE_KVROCKS is not set") };
    let dir = tempfile::tempdir().unwrap();
    for (name, cluster) in [("plain-zstd", true), ("cluster-zstd", false)] {
        let (source, target) = (dir.path().join(name), dir.path().join(format!("{name}-target")));
        copy_tree(&fixture(name).join("db"), &source.join("db"));
        convert(&source, &target, cluster, None).unwrap();
        pumice::release(&target).unwrap();
        let mode = if cluster { "cluster-enabled yes\n" } else { "" };
        let mut server = Server::start(&program, dir.path(), &target, mode);
        let expected: Json = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let mut commands = std::collections::BTreeSet::new();
        for row in expected["reads"].as_array().unwrap().iter().filter(|row| row["ns"] == "default") {
            let words: Vec<Vec<u8>> = row["cmd"].as_array().unwrap().iter().map(bytes).collect();
            let command = String::from_utf8(words[0].clone()).unwrap();
            // Many keys are in many slots, and cursors are the server's own.
            if ["MGET", "SCAN"].contains(&command.as_str()) {
                continue;
            }
            assert_eq!(server.ask(&words), row["reply"], "{}", row["cmd"]);
            commands.insert(command);
        }
        for command in ["HGETALL", "LRANGE", "ZRANGE", "SMEMBERS", "XRANGE", "GETBIT", "PFCOUNT", "BF.EXISTS", "FCALL"]
        {
            assert!(commands.contains(command), "no {command} among {commands:?}");
        }
    }
}

/// An engine refuses to be opened in the layout that its converted directory does not have.
#[test]
fn the_layout_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    open(&source).close().unwrap();
    convert(&source, &target, true, None).unwrap();
    let options = Options { cluster: Some(false), ..Default::default() };
    assert_error(Engine::open(&target, &options), ErrorKind::InvalidArgument, &["got cluster", "asked for standalone"]);
    assert_eq!(open(&target).info().unwrap().layout, "cluster");
}
