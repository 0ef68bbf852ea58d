//! The program `pumice`, run as its users run it.
#![cfg(feature = "cli")]

#[path = "../support/mod.rs"]
mod support;

mod link;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pumice::{Engine, Node, Options, Role, Topology, TopologyOptions, WriteOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use support::{Random, assert_sound, copy_tree, fixture, job, names, open, process, raw_write, records, said, shown};

/// The program with these arguments, its streams captured.
fn pumice<const N: usize>(arguments: [&dyn AsRef<std::ffi::OsStr>; N]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pumice"));
    command.args(arguments.map(|argument| argument.as_ref())).env_remove("PUMICE_PASSWORD");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// SIGHUP, or SIGTERM where these tests were started with it ignored, as by `nohup`, and with them what they start.
fn hangup() -> Signal {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let is_ignored = u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1;
    if is_ignored { Signal::TERM } else { Signal::HUP }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The document that it prints, and its exit status.
#[track_caller]
fn document(command: &mut Command) -> (Json, i32) {
    let output = command.arg("--json").output().unwrap();
    let Ok(json) = serde_json::from_slice(&output.stdout) else { panic!("no JSON: {}", said(&output)) };
    (json, output.status.code().unwrap())
}

/// The document of a run that succeeds.
#[track_caller]
fn good(command: &mut Command) -> Json {
    let (json, status) = document(command);
    assert_eq!(status, 0, "{json:#}");
    json
}

/// The one line in which it says what went wrong, of a run that ends with that status.
#[track_caller]
fn complaint(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{}", said(output));
    assert!(output.stdout.is_empty(), "{}", said(output));
    let stages = ["open", "count", "verify", "receive", "checksum", "publish", "convert"];
    let progress = |line: &&str| stages.iter().any(|stage| line.starts_with(&format!("pumice: {stage}")));
    // `convert: --to …` is a complaint and `convert: 4 KiB` is not.
    let lines: Vec<&str> =
        text(&output.stderr).lines().filter(|line| line.contains("type") || !progress(line)).collect();
    let [line] = lines[..] else { panic!("expected one line: {}", said(output)) };
    line.strip_prefix("pumice: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// What a closed directory holds: for each namespace the keys by type, those expired, and all bytes of it; by the bytes of
/// its records alone.
fn model(directory: &Path, cluster: bool) -> BTreeMap<String, (BTreeMap<String, u64>, u64, u64)> {
    const NAMES: [&str; 12] = [
        "none",
        "string",
        "hash",
        "list",
        "set",
        "zset",
        "bitmap",
        "sortedint",
        "stream",
        "MBbloom--",
        "ReJSON-RL",
        "hyperloglog",
    ];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut found: BTreeMap<String, (BTreeMap<String, u64>, u64, u64)> = BTreeMap::new();
    let all = records(directory);
    for (family, records) in &all {
        if !["metadata", "default", "zset_score", "stream"].contains(family) {
            continue;
        }
        for (key, value) in records {
            let name = String::from_utf8(key[1..=usize::from(key[0])].to_vec()).unwrap();
            let (kinds, expired, bytes) = found.entry(name).or_default();
            *bytes += (key.len() + value.len()) as u64;
            if *family != "metadata" {
                continue;
            }
            assert!(value[0] & 0x80 != 0, "the fixtures have the 64-bit form");
            let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().unwrap());
            let kind = usize::from(value[0] & 15);
            let expires = number(1);
            if (expires != 0 && expires < now) || ((2..=7).contains(&kind) && number(17) == 0) {
                *expired += 1;
            } else {
                *kinds.entry(NAMES[kind].to_owned()).or_default() += 1;
            }
        }
    }
    assert!(!cluster || found.len() == 1);
    found
}

/// The figures of inspect are what is there: keys by type, expired ones, all bytes, in every namespace of every fixture.
#[test]
fn inspect_counts_what_a_kvrocks_wrote() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["plain-wal", "plain-zstd", "plain-lz4", "plain-snappy", "cluster-zstd"] {
        let path = dir.path().join(name);
        copy_tree(&fixture(name).join("db"), &path.join("db"));
        let before = support::tree(&path);
        let json = good(&mut pumice([&"inspect", &path, &"--verify"]));
        assert!(support::tree(&path) == before, "inspect changed something in {name}");
        let mut expected = model(&path, name == "cluster-zstd");
        let found = json["namespaces"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for namespace in found {
            let (kinds, expired, bytes) = expected.remove(namespace["name"].as_str().unwrap()).unwrap();
            assert_eq!(namespace["registered"], true);
            let types = namespace["types"].as_object().unwrap();
            let counted: BTreeMap<String, u64> =
                types.iter().map(|(kind, usage)| (kind.clone(), usage["keys"].as_u64().unwrap())).collect();
            assert_eq!(counted, kinds, "{name} {}", namespace["name"]);
            assert_eq!(namespace["keys"].as_u64().unwrap(), kinds.values().sum::<u64>());
            let sum: u64 = types.values().map(|usage| usage["bytes"].as_u64().unwrap()).sum();
            assert_eq!(namespace["bytes"], sum);
            assert_eq!(namespace["expired"]["keys"], expired);
            let rest = namespace["expired"]["bytes"].as_u64().unwrap() + namespace["remains_bytes"].as_u64().unwrap();
            assert_eq!(sum + rest, bytes, "{name} {}", namespace["name"]);
        }
        assert_eq!(json["layout"], if name == "cluster-zstd" { "cluster" } else { "standalone" });
        assert_eq!((&json["generation"], &json["role"]), (&json!(0), &json!("primary")));
        assert_eq!(json["unreadable_records"], 0);
        assert_eq!(json["verify"], json!({ "depth": "records", "findings": [] }));
        let expected: Json = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let types = &found[0]["types"];
        for row in expected["reads"].as_array().unwrap() {
            if row["cmd"][0] == "TYPE" && row["ns"] == "default" && row["reply"]["s"] != "none" {
                assert!(types[row["reply"]["s"].as_str().unwrap()]["keys"].as_u64() > Some(0), "{row}");
            }
        }
    }
}

/// A directory that a topology governs says so: version, nodes, who it is, role and epoch; one without says none.
#[test]
fn inspect_shows_the_topology() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    open(&path).close().unwrap();
    let json = good(&mut pumice([&"inspect", &path]))["topology"].clone();
    assert_eq!((&json["version"], &json["node_id"], &json["nodes"]), (&Json::Null, &Json::Null, &json!([])));
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let nodes = vec![Node::primary(&a, "host-a", 1).with_slots(&[(0, 9)]), Node::replica(&b, "host-b", 2, &a)];
    let inspected = |version: u64, nodes: Vec<Node>| {
        let engine = open(&path);
        engine.set_topology(&Topology::new(version, nodes).unwrap(), &b, &TopologyOptions::default()).unwrap();
        engine.close().unwrap();
        let output = pumice([&"inspect", &path]).output().unwrap();
        (good(&mut pumice([&"inspect", &path]))["topology"].clone(), text(&output.stdout).to_owned())
    };
    let (json, shown) = inspected(7, nodes);
    let expected = json!({ "version": 7, "node_id": b, "role": "replica", "epoch": 0, "nodes": [
        { "id": a, "host": "host-a", "port": 1, "primary": null, "slots": [[0, 9]] },
        { "id": b, "host": "host-b", "port": 2, "primary": a, "slots": [] },
    ]});
    assert_eq!(json, expected);
    for words in
        ["role         replica", "epoch        0", "topology     version 7, 2 nodes", &format!("node id      {b}\n")]
    {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
    let (json, shown) = inspected(8, vec![Node::primary(&a, "host-a", 1)]);
    assert_eq!((&json["role"], &json["version"]), (&json!("detached"), &json!(8)));
    assert!(shown.contains("version 8, 1 node\n") && shown.contains(&format!("{b} (not listed)")), "{shown}");
}

/// A data directory with three namespaces, one of them not registered, and what inspect must say about it.
fn make(path: &Path) -> Engine {
    let engine = open(path);
    let mut random = Random(1);
    for (name, keys) in [("a", 100), ("b", 2000)] {
        let namespace = engine.create_namespace(name, None).unwrap();
        for key in 0..keys {
            namespace.put(format!("{key}").as_bytes(), &random.bytes(50)).unwrap();
        }
    }
    let options = WriteOptions { ttl: Some(std::time::Duration::from_secs(1 << 20)), sync: None };
    engine.default_namespace().put_with(b"k", b"v", &options).unwrap();
    engine
}

/// Position, log, layout, role, generation and files are those of the engine; a namespace without registration is shown
/// as such; sizes are exact for programs and readable for people.
#[test]
fn inspect_shows_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = make(&path);
    let checkpoint = dir.path().join("checkpoint");
    engine.create_checkpoint(&checkpoint).unwrap();
    engine.apply_checkpoint(&checkpoint).unwrap();
    engine.close().unwrap();
    raw_write(&path, "propagate", b"__namespace_keys__", Some(br#"{"token":"a"}"#));
    let json = good(&mut pumice([&"inspect", &path]));
    let options = Options { read_only: true, create: false, ..Default::default() };
    let engine = Engine::open(&path, &options).unwrap();
    let info = engine.info().unwrap();
    let id = engine.position().unwrap().replication_id;
    assert_eq!(json["position"], json!({ "replication_id": id, "sequence": info.position.sequence }));
    assert_eq!(json["log"], json!({ "oldest": info.oldest_sequence, "latest": info.position.sequence }));
    assert_eq!(
        (&json["generation"], &json["layout"], &json["role"]),
        (&json!(2), &json!("standalone"), &json!("primary"))
    );
    assert_eq!((&json["table_files"], &json["table_bytes"]), (&json!(info.table_files), &json!(info.table_bytes)));
    let rows: Vec<_> = json["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["name"], &row["registered"], &row["keys"]))
        .collect();
    let expected = json!([["__namespace", true, 1], ["a", true, 100], ["b", false, 2000]]);
    for (row, expected) in rows.iter().zip(expected.as_array().unwrap()) {
        assert_eq!(json!([row.0, row.1, row.2]), *expected);
    }
    assert_eq!(rows.len(), 3);
    assert_eq!(json["namespaces"][1]["types"]["string"]["bytes"], 100 * (2 + 9 + 50) + 190);

    let output = pumice([&"inspect", &path]).output().unwrap();
    let shown = text(&output.stdout);
    for words in [
        format!("position     {id} {}", info.position.sequence),
        "b (not registered)  string  2,000".to_owned(),
        "all                         2,101".to_owned(),
        "KiB".to_owned(),
    ] {
        assert!(shown.contains(&words), "no {words:?} in\n{shown}");
    }
    let brief = good(&mut pumice([&"inspect", &path, &"--brief"]));
    assert_eq!(brief["namespaces"][2], json!({ "name": "b", "registered": false }));
    assert!(brief.get("other_bytes").is_none());
    engine.close().unwrap();
}

/// A record that cannot be decoded is counted, found by verify, and makes the exit status 1.
#[test]
fn findings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    open(&path).close().unwrap();
    raw_write(&path, "metadata", b"\x0b__namespacebad", Some(b"\x82"));
    let (json, status) = document(&mut pumice([&"inspect", &path, &"--verify", &"quick"]));
    assert_eq!((status, &json["verify"]["depth"]), (0, &json!("quick")));
    assert_eq!(json["unreadable_records"], 1);
    let (json, status) = document(&mut pumice([&"inspect", &"--verify=records", &path]));
    assert_eq!((status, &json["verify"]["findings"][0]["what"]), (1, &json!("record")));
    let output = pumice([&"inspect", &path, &"--brief", &"--verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("verify records: 1 found\n  record: "), "{}", said(&output));
}

/// Checkpoint, apply to a new directory and to a full one, inspect, release: the same data and the same position.
#[test]
fn there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let engine = make(&at("data"));
    let expected = shown(&engine);
    engine.close().unwrap();
    let made = good(&mut pumice([&"checkpoint", &at("data"), &at("backup")]));
    let files: u64 = names(&at("backup")).iter().filter(|name| *name != "PUMICE-MANIFEST").count() as u64;
    assert_eq!(made["files"], files);
    let mut bytes = 0;
    for name in names(&at("backup")).iter().filter(|name| *name != "PUMICE-MANIFEST") {
        bytes += fs::metadata(at("backup").join(name)).unwrap().len();
    }
    assert_eq!(made["bytes"], bytes);

    open(at("full")).default_namespace().put(b"old", b"x").unwrap();
    for name in ["new", "full"] {
        let applied = good(&mut pumice([&"apply", &at(name), &at("backup")]));
        assert_eq!(applied["namespaces"], 3);
        let sequence = applied["position"]["sequence"].as_u64().unwrap();
        assert_eq!(
            sequence,
            made["position"]["sequence"].as_u64().unwrap() + 1,
            "a primary begins a history of its own"
        );
        let inspected = good(&mut pumice([&"inspect", &at(name)]));
        assert_eq!((&inspected["position"], &inspected["generation"]), (&applied["position"], &json!(2)));
        let engine = open(at(name));
        assert!(shown(&engine) == expected);
        assert_sound(&engine);
    }
    // A replica stands where the checkpoint stands.
    Engine::open(at("replica"), &Options { role: Some(Role::Replica), ..Default::default() }).unwrap().close().unwrap();
    let applied = good(&mut pumice([&"apply", &at("replica"), &at("backup"), &"--verify"]));
    assert_eq!((&applied["position"], &applied["role"]), (&made["position"], &json!("replica")));

    assert_eq!(good(&mut pumice([&"release", &at("new")]))["released"], true);
    assert_eq!(names(&at("new")), ["db"]);
    assert!(at("new").join("db").symlink_metadata().unwrap().is_dir());
    assert!(shown(&open(at("new"))) == expected);
}

/// Convert gives figures that inspect gives too, in either direction, and says what it left out.
#[test]
fn convert_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    copy_tree(&fixture("plain-zstd").join("db"), &at("plain").join("db"));
    let made =
        good(&mut pumice([&"convert", &at("plain"), &at("cluster"), &"--to", &"cluster", &"--namespace", &"alpha"]));
    assert_eq!((&made["layout"], &made["namespace"]), (&json!("cluster"), &json!("__namespace")));
    assert!(made["left_out"][0].as_str().unwrap().contains("3 other namespaces"), "{made}");
    let back = good(&mut pumice([
        &"convert",
        &at("cluster"),
        &at("back"),
        &"--to=standalone",
        &"--namespace=alpha",
        &"--compression",
        &"zstd",
    ]));
    assert_eq!((&back["keys"], &back["records"]), (&made["keys"], &made["records"]));
    let [plain, cluster, back] =
        ["plain", "cluster", "back"].map(|name| good(&mut pumice([&"inspect", &at(name), &"--verify"])));
    assert_eq!((&cluster["layout"], &back["layout"]), (&json!("cluster"), &json!("standalone")));
    let alpha = plain["namespaces"].as_array().unwrap().iter().find(|row| row["name"] == "alpha").unwrap();
    assert_eq!(back["namespaces"][1], *alpha);
    assert_eq!(cluster["namespaces"][0]["keys"], alpha["keys"]);
    let output = pumice([&"convert", &at("plain"), &at("third"), &"--to", &"cluster"]).output().unwrap();
    assert!(
        text(&output.stdout).contains("left out      3 other namespaces with data (\"alpha\", \"beta\", \"gamma\")")
    );
    assert!(text(&output.stderr).contains("pumice: convert: "), "{}", said(&output));
}

/// Every wrong input is one line that says what, which and what to do next: exit 1 for what is there or not, 2 for what
/// was typed. Nothing is made.
#[test]
fn bad_input() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    open(at("data")).close().unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("file"), "x").unwrap();
    let none = at("none");
    let before = support::tree(dir.path());
    for (arguments, status, words) in [
        (vec!["inspect".into(), none.clone()], 1, "none holds no database"),
        (vec!["inspect".into(), at("empty")], 1, "empty holds no database"),
        (vec!["inspect".into(), at("file")], 1, "file is a file; expected the folder that holds db/"),
        (vec!["inspect".into(), at("data").join("db")], 1, "is a RocksDB folder itself; give the folder that holds it"),
        (vec!["checkpoint".into(), none.clone(), at("x")], 1, "none holds no database"),
        (vec!["apply".into(), at("new"), none.clone()], 1, "there is no such folder"),
        (vec!["apply".into(), at("new"), at("empty")], 1, "it has no CURRENT file"),
        (vec!["apply".into(), at("empty"), none.clone()], 1, "there is no such folder"),
        (vec!["release".into(), none.clone()], 1, "none holds no database"),
        (vec!["convert".into(), none.clone(), at("x"), "--to".into(), "cluster".into()], 1, "none holds no database"),
        (vec!["convert".into(), at("data"), at("x"), "--to=standalone".into()], 1, "standalone layout already"),
        (vec!["convert".into(), at("data"), at("empty"), "--to=cluster".into()], 1, "name one that does not"),
        (
            vec!["convert".into(), at("data"), at("file").join("x"), "--to=cluster".into()],
            1,
            "file is a file; expected a folder to make it in",
        ),
        (vec![], 2, "a command is missing; type one of: pumice serve"),
        (vec!["inspekt".into(), at("data")], 2, "\"inspekt\": there is none of that name; type one of"),
        (vec!["inspect".into()], 2, "DIR is missing; type: pumice inspect DIR"),
        (vec!["checkpoint".into(), at("data")], 2, "TARGET is missing; type: pumice checkpoint DIR TARGET"),
        (vec!["release".into(), at("data"), at("x")], 2, "expected nothing behind DIR; type: pumice release DIR"),
        (vec!["convert".into(), at("data"), at("x")], 2, "--to is missing; type: pumice convert SOURCE TARGET"),
        (vec!["serve".into(), none.clone(), "--listen=foo".into()], 2, "--listen: got \"foo\", expected HOST:PORT"),
        (vec!["serve".into(), none.clone(), "--listen=127.0.0.1:99999".into()], 2, "99999\", expected HOST:PORT"),
        (vec!["follow".into(), none.clone(), "foo".into()], 2, "\"foo\": expected HOST:PORT"),
        (vec!["inspect".into(), at("data"), "--jason".into()], 2, "invalid option '--jason'; type: pumice inspect"),
    ] {
        let mut command = pumice([]);
        let output = command.args(&arguments).output().unwrap();
        let line = complaint(&output, status);
        assert!(line.contains(words), "{arguments:?}: no {words:?} in {line:?}");
        assert!(support::tree(dir.path()).keys().eq(before.keys()), "{arguments:?} left something");
    }
    // Checkpoints of a real directory: the engine writes when it opens, but makes nothing.
    for (target, words) in [
        (at("empty"), "name one that does not"),
        (at("file").join("x"), "file is a file; expected a folder to make it in"),
    ] {
        let line = complaint(&pumice([&"checkpoint", &at("data"), &target]).output().unwrap(), 1);
        assert!(line.contains(words), "{line}");
    }
    let (json, status) = document(&mut pumice([&"inspect", &none]));
    assert_eq!((status, &json["error"]["kind"]), (1, &json!("NotFound")));
}

/// A directory that another process has open is Busy, by every command, naming it and the process.
#[test]
fn a_directory_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    make(&at("data")).close().unwrap();
    good(&mut pumice([&"checkpoint", &at("data"), &at("backup")]));
    let mut holder = process("hold", &[&at("data")]).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")), "the holder ended");
    for mut command in [
        pumice([&"inspect", &at("data")]),
        pumice([&"checkpoint", &at("data"), &at("x")]),
        pumice([&"apply", &at("data"), &at("backup")]),
        pumice([&"release", &at("data")]),
        pumice([&"convert", &at("data"), &at("x"), &"--to", &"cluster"]),
    ] {
        let line = complaint(&command.output().unwrap(), 1);
        assert!(line.contains("data is open in process ") && line.contains(&holder.id().to_string()), "{line}");
        let (json, _) = document(&mut command);
        assert_eq!(json["error"]["kind"], "Busy");
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    good(&mut pumice([&"inspect", &at("data")]));
}

/// What the processes do that tests start.
#[test]
fn child() {
    let Some((job, paths)) = job() else { return };
    assert_eq!(job, "hold");
    let engine = open(&paths[0]);
    println!("held");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    engine.close().unwrap();
}

/// Version and help are on standard output, with exit status 0.
#[test]
fn version_and_help() {
    let output = pumice([&"--version"]).output().unwrap();
    assert_eq!(text(&output.stdout), format!("pumice {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [["--help", ""], ["help", "convert"], ["inspect", "--help"]] {
        let output = pumice([]).args(arguments.iter().filter(|word| !word.is_empty())).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
        assert!(text(&output.stdout).contains("pumice inspect") || text(&output.stdout).contains("--to LAYOUT"));
    }
}

/// A reader who has seen enough is no error.
#[test]
fn a_closed_pipe() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = pumice([&"--help"]).stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[cfg(feature = "failpoints")]
mod at_a_step {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;

    /// A directory to work on, with another dataset in it, and a checkpoint of many pieces.
    fn ground(dir: &Path) -> [PathBuf; 3] {
        let at = ["source", "backup", "old"].map(|name| dir.join(name));
        let engine = make(&at[0]);
        engine.create_checkpoint(&at[1]).unwrap();
        engine.close().unwrap();
        open(&at[2]).default_namespace().put(b"old", b"x").unwrap();
        at
    }

    /// Ctrl-C, SIGTERM, and a terminal that closes, in the middle of convert, apply and checkpoint ends them with a word and
    /// 128 and its number, and leaves nothing half: no target, no directory that was not there, the old dataset where there
    /// was one.
    #[test]
    fn signals() {
        let dir = tempfile::tempdir().unwrap();
        let [source, backup, old] = ground(dir.path());
        let (target, new) = (dir.path().join("target"), dir.path().join("new"));
        let before = names(dir.path());
        for (step, mut command, signal) in [
            ("convert::write", pumice([&"convert", &source, &target, &"--to", &"cluster"]), Signal::INT),
            ("convert::write", pumice([&"convert", &source, &target, &"--to", &"cluster"]), hangup()),
            ("apply::some", pumice([&"apply", &new, &backup]), Signal::INT),
            ("apply::some", pumice([&"apply", &old, &backup]), Signal::INT),
            ("apply::received", pumice([&"apply", &old, &backup]), Signal::TERM),
            ("checkpoint::created", pumice([&"checkpoint", &source, &target]), Signal::INT),
        ] {
            // The step takes long enough for the signal to come before its end.
            let mut child = command.env("FAILPOINTS", format!("{step}=sleep(3000)")).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            // The first thing said behind `open` is said inside of what can be stopped.
            assert!(lines.any(|line| !line.unwrap().contains("open")), "{step}: it ended before it began");
            send(&child, signal);
            if signal == Signal::HUP {
                std::thread::sleep(std::time::Duration::from_millis(100));
                send(&child, signal);
            }
            let rest: Vec<String> = lines.map(Result::unwrap).collect();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{step}: {rest:?}");
            assert!(rest.last().unwrap().contains("cancelled by the caller"), "{step}: {rest:?}");
            assert!(output.stdout.is_empty());
            assert_eq!(names(dir.path()), before, "{step}");
            assert!(names(&old.join("generations")).iter().all(|name| !name.contains("incoming")));
            assert_eq!(open(&old).default_namespace().get(b"old").unwrap().unwrap(), b"x", "{step}");
        }
        assert_sound(&open(&source));
    }

    /// A convert that is killed, or whose disk is full, at any step leaves no target; the next one succeeds.
    #[test]
    fn convert_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let [source, ..] = ground(dir.path());
        let target = dir.path().join("target");
        let before = names(dir.path());
        for step in ["convert::write", "1*off->convert::write", "create::ready", "promote::persisted", "convert::ready"]
        {
            let (count, step) = step.split_once("->").map_or(("", step), |(count, step)| (count, step));
            let count = if count.is_empty() { String::new() } else { format!("{count}->") };
            let convert = || pumice([&"convert", &source, &target, &"--to", &"cluster", &"--namespace", &"b"]);
            let output = convert().env("FAILPOINTS", format!("{step}={count}return(full)")).output().unwrap();
            assert!(complaint(&output, 1).contains("No space left"), "{step}: {}", said(&output));
            assert_eq!(names(dir.path()), before, "{step}");
            let output = convert().env("FAILPOINTS", format!("{step}={count}return(kill)")).output().unwrap();
            assert_eq!(output.status.signal(), Some(9), "{step}: {}", said(&output));
            assert!(!target.exists(), "{step}");
            for left in names(dir.path()).iter().filter(|name| name.ends_with(".incomplete")) {
                fs::remove_dir_all(dir.path().join(left)).unwrap();
            }
            assert_eq!(good(&mut convert())["keys"], 2000);
            assert_sound(&open(&target));
            fs::remove_dir_all(&target).unwrap();
        }
    }
}
