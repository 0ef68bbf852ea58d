//! What lies on disk is Kvrocks' own: what is written here a Kvrocks can read, and what a Kvrocks wrote is read here.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pumice::{Compression, Engine, ErrorKind, Namespace, Options, Ttl, WriteOptions};
use rocksdb::AsColumnFamilyRef;
use serde_json::Value as Json;
use support::{assert_sound, copy_tree, fixture, names, open, skipped, wait_until};

const FAMILIES: [&str; 7] = ["default", "metadata", "zset_score", "pubsub", "propagate", "stream", "search"];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Writes by every operation there is, over several WAL files and tables. Gives the position before them.
fn write_everything(engine: &Engine, scrap: &Path) -> pumice::Position {
    let start = engine.position().unwrap();
    let default = engine.default_namespace();
    default.put(b"foo", b"bar").unwrap();
    let a = engine.create_namespace("a", Some("token-2")).unwrap();
    let b = engine.create_namespace("b", Some("token-1")).unwrap();
    for key in 0..3000u32 {
        a.put(&key.to_be_bytes(), &[b'v'; 100]).unwrap();
    }
    engine.create_checkpoint(scrap.join("flushed")).unwrap();
    a.clear().unwrap();
    a.put(b"", b"").unwrap();
    let ttl = WriteOptions { ttl: Some(Duration::from_secs(1 << 30)), sync: Some(true) };
    a.put_with(b"expires", b"x", &ttl).unwrap();
    b.put(b"gone", b"x").unwrap();
    b.delete(b"gone").unwrap();
    b.put(b"k", b"v").unwrap();
    assert!(b.expire(b"k", Duration::from_secs(1 << 30)).unwrap() && b.persist(b"k").unwrap());
    assert!(b.put_if(b"k", b"v2", Some(b"v")).unwrap());
    let mut batch = engine.batch();
    batch.put(&a, b"1", b"one").unwrap();
    batch.put(&b, b"1", b"one").unwrap();
    batch.delete(&default, b"nothing").unwrap();
    batch.commit(None).unwrap();
    let dropped = engine.create_namespace("dropped", Some("token-3")).unwrap();
    dropped.put(b"k", b"v").unwrap();
    engine.drop_namespace("dropped").unwrap();
    b.set_token("token-0").unwrap();
    start
}

/// Tag, and whether it takes a sequence number, of every record of a batch; fails on any that Kvrocks never writes.
fn tags(batch: &[u8]) -> Vec<u8> {
    fn varint(rest: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (&byte, after) = rest.split_first().unwrap();
            *rest = after;
            value |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    fn skip(rest: &mut &[u8]) {
        let length = varint(rest);
        *rest = &rest[length..];
    }
    let count = u32::from_le_bytes(batch[8..12].try_into().unwrap());
    let mut rest = &batch[12..];
    let mut tags = Vec::new();
    while let Some((&tag, after)) = rest.split_first() {
        rest = after;
        match tag {
            0x03 => skip(&mut rest),
            // Without a family it is the first one, `default`.
            0x0F => {
                skip(&mut rest);
                skip(&mut rest);
            }
            0x04 => {
                assert!(varint(&mut rest) < 7);
                skip(&mut rest);
            }
            0x05 | 0x0E => {
                assert!(varint(&mut rest) < 7);
                skip(&mut rest);
                skip(&mut rest);
            }
            _ => panic!("a record with tag {tag:#04x}"),
        }
        tags.push(tag);
    }
    assert_eq!(tags.iter().filter(|tag| **tag != 0x03).count(), count as usize);
    tags
}

/// The batches in a WAL file: 32 KiB blocks of `crc32c, u16 length, type, payload`. Only whole, first, middle and last
/// pieces may be there: no recycled, compressed or chained ones.
fn wal_batches(file: &Path) -> Vec<Vec<u8>> {
    const BLOCK: usize = 32 << 10;
    let bytes = fs::read(file).unwrap();
    let (mut batches, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at + 7 <= bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < 7 {
            at += left;
            continue;
        }
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let kind = bytes[at + 6];
        let payload = &bytes[at + 7..at + 7 + length];
        let unmasked = crc32c::crc32c(&bytes[at + 6..at + 7 + length]);
        let masked = unmasked.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(bytes[at..at + 4], masked.to_le_bytes(), "{} at {at}", file.display());
        open.extend_from_slice(payload);
        match kind {
            1 | 4 => batches.push(std::mem::take(&mut open)),
            2 | 3 => {}
            _ => panic!("{} at {at}: a log record of type {kind}", file.display()),
        }
        at += 7 + length;
    }
    assert!(open.is_empty());
    batches
}

/// What RocksDB has in one family, in order.
fn raw(db: &rocksdb::DB, family: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let handle = db.cf_handle(family).unwrap();
    let records = db.iterator_cf(handle, rocksdb::IteratorMode::Start).map(|record| record.unwrap());
    records.map(|(key, value)| (key.into_vec(), value.into_vec())).collect()
}

/// The RocksDB of a closed directory has Kvrocks' seven column families under their ids, the comparator and the table
/// format that an older RocksDB reads, plain WAL files with only the records that Kvrocks writes, and in them nothing
/// but the user's keys, the registry and the replication id.
#[test]
fn what_lies_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let options = Options { compression: Compression::Zstd, ..Default::default() };
    let engine = Engine::open(&path, &options).unwrap();
    let start = write_everything(&engine, dir.path());
    let before = now_ms();
    let position = engine.position().unwrap();
    let mut log = engine.log(Some(&start)).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = log.next_entry(None).unwrap() {
        entries.push(entry);
    }
    drop(log);
    engine.close().unwrap();
    let folder = path.join("db");

    // The files, by their bytes.
    let found: BTreeSet<String> = names(&folder).iter().map(|name| kind_of_file(name)).collect();
    let expected = ["CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST", "OPTIONS", "archive", "log", "sst"];
    assert_eq!(found, expected.map(str::to_owned).into());
    let tables: Vec<PathBuf> = files_of(&folder, ".sst");
    assert!(!tables.is_empty());
    for table in tables {
        let bytes = fs::read(table).unwrap();
        let (version, magic) = bytes[bytes.len() - 12..].split_at(4);
        assert_eq!(magic, 0x88e2_41b7_85f4_cff7u64.to_le_bytes());
        assert_eq!(version, 5u32.to_le_bytes());
    }
    let options = names(&folder).into_iter().filter(|name| name.starts_with("OPTIONS")).max().unwrap();
    let options = fs::read_to_string(folder.join(options)).unwrap();
    for (line, times) in [
        ("  comparator=leveldb.BytewiseComparator", 7),
        ("  merge_operator=nullptr", 7),
        ("  prefix_extractor=nullptr", 7),
        ("  persist_user_defined_timestamps=true", 7),
        ("  num_levels=7", 7),
        ("  format_version=5", 7),
        ("  index_type=kBinarySearch", 7),
        ("  partition_filters=false", 7),
        ("  recycle_log_file_num=0", 1),
        ("  manual_wal_flush=false", 1),
        ("  unordered_write=false", 1),
        ("  enable_pipelined_write=false", 1),
        ("  two_write_queues=false", 1),
        ("  allow_2pc=false", 1),
        ("  wal_compression=kNoCompression", 1),
        ("  track_and_verify_wals_in_manifest=false", 1),
        ("  track_and_verify_wals=false", 1),
    ] {
        assert_eq!(options.lines().filter(|found| *found == line).count(), times, "{line:?} in OPTIONS");
    }
    let mut written = Vec::new();
    for wal in files_of(&folder.join("archive"), ".log").into_iter().chain(files_of(&folder, ".log")) {
        written.extend(wal_batches(&wal));
    }
    assert_eq!(written.len(), entries.len() + 1, "one record of the log for each entry");
    for (batch, entry) in written[1..].iter().zip(&entries) {
        let tags = tags(batch);
        assert_eq!(batch[..], entry.bytes[..]);
        // Each ends with the replication id.
        let note = format!("\x03\x12r {}", position.replication_id);
        assert!(batch.ends_with(note.as_bytes()) && tags.len() > 1);
    }

    // The families, by their ids.
    let found = rocksdb::DB::list_cf(&rocksdb::Options::default(), &folder).unwrap();
    assert_eq!(found, FAMILIES);
    let db = rocksdb::DB::open_cf_for_read_only(&rocksdb::Options::default(), &folder, FAMILIES, false).unwrap();
    for (id, family) in FAMILIES.iter().enumerate() {
        let handle = db.cf_handle(family).unwrap().inner();
        // SAFETY: the handle is of the database that is open here.
        assert_eq!(unsafe { librocksdb_sys::rocksdb_column_family_handle_get_id(handle) }, id as u32, "{family}");
    }

    // The records, by their bytes.
    for family in ["default", "zset_score", "pubsub", "stream", "search"] {
        assert_eq!(raw(&db, family), [], "{family}");
    }
    let registry = br#"{"token-0":"b","token-2":"a"}"#.to_vec();
    let id = position.replication_id.clone().into_bytes();
    assert_eq!(id.len(), 16);
    assert_eq!(raw(&db, "propagate"), [(b"__namespace_keys__".to_vec(), registry), (b"replication_id_".to_vec(), id)]);
    let metadata = raw(&db, "metadata");
    let plain = |value: &[u8]| [&hex("81 0000000000000000")[..], value].concat();
    let expires = metadata.iter().find(|(key, _)| key == b"\x01aexpires").unwrap().1.clone();
    assert_eq!((expires.len(), expires[0], expires[9]), (10, 0x81, b'x'));
    let expire_ms = u64::from_be_bytes(expires[1..9].try_into().unwrap());
    assert!(expire_ms <= before + (1000 << 30) && expire_ms > before, "{expire_ms}");
    assert_eq!(
        metadata,
        [
            (b"\x01a".to_vec(), plain(b"")),
            (b"\x01a1".to_vec(), plain(b"one")),
            (b"\x01aexpires".to_vec(), expires),
            (b"\x01b1".to_vec(), plain(b"one")),
            (b"\x01bk".to_vec(), plain(b"v2")),
            (hex("0b5f5f6e616d657370616365 666f6f"), hex("81 0000000000000000 626172")),
        ]
    );
    drop(db);
    let engine = open(&path);
    assert_eq!(engine.namespaces().unwrap(), ["__namespace", "a", "b"]);
    assert_sound(&engine);
}

fn kind_of_file(name: &str) -> String {
    if name.starts_with("LOG") {
        return "LOG".to_owned();
    }
    match name.split_once(['-', '.']) {
        Some((number, extension)) if number.bytes().all(|byte| byte.is_ascii_digit()) => extension.to_owned(),
        Some((kind, _)) => kind.to_owned(),
        None => name.to_owned(),
    }
}

fn files_of(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let names = names(folder).into_iter().filter(|name| name.ends_with(extension));
    names.map(|name| folder.join(name)).collect()
}

/// The bytes of a string write in the log are those of Kvrocks, in both layouts, and so is its key on disk.
#[test]
fn the_bytes_of_a_write() {
    let dir = tempfile::tempdir().unwrap();
    for (cluster, key) in [(false, "0b5f5f6e616d657370616365 666f6f"), (true, "0b5f5f6e616d657370616365 2f96 666f6f")] {
        let path = dir.path().join(cluster.to_string());
        let options = Options { cluster: Some(cluster), ..Default::default() };
        let engine = Engine::open(&path, &options).unwrap();
        let start = engine.position().unwrap();
        engine.default_namespace().put(b"foo", b"bar").unwrap();
        let entry = engine.log(Some(&start)).unwrap().next_entry(None).unwrap().unwrap();
        let sequence = start.sequence + 1;
        let expected = [
            &sequence.to_le_bytes()[..],
            &hex("01000000 03 01 31 05 01"),
            &[hex(key).len() as u8],
            &hex(key),
            &hex("0c 81 0000000000000000 626172"),
            b"\x03\x12r ",
            start.replication_id.as_bytes(),
        ]
        .concat();
        assert_eq!(entry.bytes[..], expected);
        engine.close().unwrap();
        let folder = path.join("db");
        let db = rocksdb::DB::open_cf_for_read_only(&rocksdb::Options::default(), &folder, FAMILIES, false).unwrap();
        assert_eq!(raw(&db, "metadata"), [(hex(key), hex("81 0000000000000000 626172"))]);
    }
}

/// A released directory is one folder named db, with a RocksDB in it, and opens again as it was.
#[test]
fn released() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    write_everything(&engine, dir.path());
    let expected = support::shown(&engine);
    engine.close().unwrap();
    pumice::release(&path).unwrap();
    assert_eq!(names(&path), ["db"]);
    assert!(path.join("db").symlink_metadata().unwrap().is_dir());
    assert!(names(&path.join("db")).iter().all(|name| !name.to_lowercase().contains("pumice")));
    assert!(support::shown(&open(&path)) == expected);
}

/// A reply as the fixtures write it down.
fn text(reply: &Json) -> Option<Vec<u8>> {
    match reply {
        Json::String(text) => Some(text.clone().into_bytes()),
        Json::Object(object) => object.get("hex").map(|digits| hex(digits.as_str().unwrap())),
        _ => None,
    }
}

/// What a Kvrocks answered to one read, this engine answers too. False when the read is none that it has.
fn same_answer(namespace: &Namespace, command: &str, key: &[u8], reply: &Json) -> bool {
    match command {
        "GET" => match namespace.get(key) {
            Ok(found) => assert_eq!(found.map(|found| found.to_vec()), text(reply), "GET {}", key.escape_ascii()),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WrongType, "{e}");
                assert!(reply["e"].as_str().is_some_and(|reply| reply.starts_with("WRONGTYPE")), "{reply} for {e}");
            }
        },
        "EXISTS" => assert_eq!(Json::from(u8::from(namespace.exists(key).unwrap())), *reply),
        "TYPE" => {
            let kind = namespace.kind(key).unwrap().map_or("none", |kind| kind.name());
            assert_eq!(kind, reply["s"].as_str().unwrap(), "TYPE {}", key.escape_ascii());
        }
        "PEXPIRETIME" => {
            let before = now_ms();
            let found = namespace.ttl(key).unwrap();
            let after = now_ms();
            match (found, reply.as_i64().unwrap()) {
                (Ttl::Missing, -2) | (Ttl::Forever, -1) => {}
                (Ttl::Left(left), at) => {
                    let (at, left) = (at as u64, left.as_millis() as u64);
                    assert!(before + left <= at && at <= after + left, "{at} expected, {left} ms left at {after}");
                }
                (found, reply) => panic!("PEXPIRETIME {}: got {found:?}, expected {reply}", key.escape_ascii()),
            }
        }
        _ => return false,
    }
    true
}

/// Every GET, EXISTS, TYPE and PEXPIRETIME that real servers answered, in every namespace and with every codec, is
/// answered the same from the directories that they left, and from their backups.
#[test]
fn what_a_kvrocks_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = 0;
    for name in ["plain-wal", "plain-zstd", "plain-lz4", "plain-snappy", "cluster-zstd"] {
        let expected: Json = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let path = dir.path().join(name);
        copy_tree(&fixture(name).join("db"), &path.join("db"));
        let engine = open(&path);
        let check = |engine: &Engine| {
            let mut rows = 0;
            for read in expected["reads"].as_array().unwrap() {
                let namespace = match read["ns"].as_str().unwrap() {
                    "default" => engine.default_namespace(),
                    name => engine.namespace(name).unwrap(),
                };
                let command = read["cmd"].as_array().unwrap();
                if let [command, key] = &command[..] {
                    let key = text(key).unwrap();
                    rows += usize::from(same_answer(&namespace, command.as_str().unwrap(), &key, &read["reply"]));
                }
            }
            rows
        };
        let here = check(&engine);
        assert!(here > 50, "{name}: {here}");
        rows += here;
        for (namespace, token) in expected["namespaces"].as_object().unwrap() {
            if namespace != "default" {
                let found = engine.namespace(namespace).unwrap().token().unwrap();
                assert_eq!(found.as_deref(), token.as_str());
            }
        }
        assert_sound(&engine);

        // The backup lacks what came after it; what it has, it has the same.
        copy_tree(&fixture(name).join("backup"), &dir.path().join("backup"));
        engine.apply_checkpoint(dir.path().join("backup")).unwrap();
        assert!(engine.default_namespace().get(b"str:plain").unwrap().unwrap() == b"hello from default");
        assert_sound(&engine);
        fs::remove_dir_all(dir.path().join("backup")).unwrap();
    }
    println!("{rows} rows");
    assert!(rows > 300, "{rows}");
}

/// A connection that speaks RESP.
struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, words: &[&str]) -> String {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.trim_end();
        match line.split_at(1) {
            ("$", "-1") => "(nil)".to_owned(),
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                String::from_utf8(bytes[..bytes.len() - 2].to_vec()).unwrap()
            }
            ("*", count) => (0..count.parse::<usize>().unwrap()).map(|_| self.reply()).collect::<Vec<_>>().join(" "),
            _ => line.to_owned(),
        }
    }
}

/// A real Kvrocks, where one is named, serves a closed directory as its own: strings, expiries and namespaces.
#[test]
fn a_real_kvrocks_reads_it() {
    let Some(server) = std::env::var_os("PUMICE_KVROCKS") else { return skipped("PUMICE_KVROCKS is not set") };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    write_everything(&engine, dir.path());
    engine.close().unwrap();
    let reserved = support::wire::Port::reserve();
    let port = reserved.number;
    let configuration = dir.path().join("kvrocks.conf");
    let lines = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\nrequirepass rootpw\nrepl-namespace-enabled yes\n",
        path.display()
    );
    fs::write(&configuration, lines).unwrap();
    let mut server = Command::new(server).arg("-c").arg(&configuration).stdout(Stdio::null()).spawn().unwrap();
    let mut client = None;
    wait_until("the server listens", || {
        client = TcpStream::connect(("127.0.0.1", port)).ok().map(|stream| Client(BufReader::new(stream)));
        client.is_some() || server.try_wait().unwrap().is_some()
    });
    let mut client = client.expect("the server ended instead of listening");
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_eq!(client.ask(&["AUTH", "rootpw"]), "+OK");
        assert_eq!(client.ask(&["GET", "foo"]), "bar");
        let namespaces = client.ask(&["NAMESPACE", "GET", "*"]);
        let words: BTreeSet<&str> = namespaces.split(' ').collect();
        assert_eq!(words, ["__namespace", "a", "b", "rootpw", "token-0", "token-2"].into());
        assert_eq!(client.ask(&["AUTH", "token-2"]), "+OK");
        assert_eq!((client.ask(&["GET", "1"]), client.ask(&["GET", ""])), ("one".to_owned(), String::new()));
        assert_eq!(client.ask(&["DBSIZE"]).chars().next(), Some(':'));
        assert_eq!(client.ask(&["TTL", "1"]), ":-1");
        assert!(client.ask(&["TTL", "expires"])[1..].parse::<i64>().unwrap() > 1_000_000);
        assert_eq!(client.ask(&["AUTH", "token-0"]), "+OK");
        assert_eq!((client.ask(&["GET", "k"]), client.ask(&["GET", "gone"])), ("v2".to_owned(), "(nil)".to_owned()));
    }));
    let _ = server.kill();
    server.wait().unwrap();
    told.unwrap();
}
