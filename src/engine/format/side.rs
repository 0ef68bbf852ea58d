//! Our side files: a frame `"PUMICE\0", u8 file kind, u16 format, u32 length, payload, u32 crc32c` of all before it,
//! little-endian, around a payload in bincode 2's standard configuration (varints, little-endian).
//!
//! The payload is read item by item, so that a claimed number of items allocates nothing before they are there.

use std::collections::HashSet;

use bincode::config;

use super::key::Layout;
use super::registry::check_replication_id;
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The name of the sync manifest's file in a checkpoint.
pub const MANIFEST_NAME: &str = "PUMICE-MANIFEST";

const MAGIC: &[u8; 7] = b"PUMICE\0";
const FORMAT: u16 = 1;
/// The format of `state` since it knows of topologies. The one before is read too.
const STATE_FORMAT: u16 = 2;
const MAX_FILES: usize = 1_000_000;
const MAX_PAST: usize = 10_000;
const MAX_FILE_NAME: usize = 255;
/// What bincode may take for one item; the longest is a file name.
pub(super) const MAX_ITEM: usize = 4096;

/// Which side file a frame holds: its byte after the magic.
#[derive(Clone, Copy)]
pub(super) enum File {
    State = 1,
    History = 2,
    Manifest = 3,
}

impl File {
    fn format(self) -> u16 {
        if let File::State = self { STATE_FORMAT } else { FORMAT }
    }

    fn name(self) -> &'static str {
        match self {
            File::State => "state",
            File::History => "history",
            File::Manifest => "sync manifest",
        }
    }

    pub(super) fn bad(self, message: String) -> Error {
        Error::new(ErrorKind::Corruption, format!("{}, {message}", self.name()))
    }
}

pub(super) fn frame(file: File, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(18 + payload.len());
    out.extend_from_slice(MAGIC);
    out.push(file as u8);
    out.extend_from_slice(&file.format().to_le_bytes());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The payload of a frame, and its format.
pub(super) fn unframe(file: File, bytes: &[u8]) -> Result<(&[u8], u16)> {
    let short = || file.bad(format!("length: got {} bytes, expected at least 18", bytes.len()));
    let (magic, rest) = bytes.split_first_chunk::<7>().ok_or_else(short)?;
    let (&[kind], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
    if magic != MAGIC {
        return Err(file.bad(format!("magic: got {}, expected {}", shown(magic), shown(MAGIC))));
    }
    if kind != file as u8 {
        return Err(file.bad(format!("file kind: got {kind}, expected {}", file as u8)));
    }
    let (format, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let format = u16::from_le_bytes(*format);
    if format == 0 || format > file.format() {
        let message = format!("{}, format: got {format}, expected {}", file.name(), file.format());
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_le_bytes(*length);
    let (payload, crc) = rest.split_last_chunk::<4>().ok_or_else(short)?;
    if usize::try_from(length) != Ok(payload.len()) {
        return Err(file.bad(format!("length: got a payload of {} bytes, expected {length}", payload.len())));
    }
    let crc = u32::from_le_bytes(*crc);
    let computed = crc32c::crc32c(bytes.get(..bytes.len() - 4).unwrap_or_default());
    if crc != computed {
        return Err(file.bad(format!("crc32c: got {crc:#010x}, expected {computed:#010x}")));
    }
    Ok((payload, format))
}

/// Appends one item in bincode.
pub(super) fn put(out: &mut Vec<u8>, item: impl bincode::Encode) {
    let written = bincode::encode_into_std_write(item, out, config::standard());
    // Numbers and strings have no unwritable value and a Vec takes any bytes.
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Takes items of bincode off a payload.
pub(super) struct Reader<'a> {
    pub(super) file: File,
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn open(file: File, bytes: &'a [u8]) -> Result<Reader<'a>> {
        Ok(Reader { file, rest: unframe(file, bytes)?.0 })
    }

    pub(super) fn take<T: bincode::Decode<()>>(&mut self, what: &str) -> Result<T> {
        self.take_within::<T, MAX_ITEM>(what)
    }

    pub(super) fn take_within<T: bincode::Decode<()>, const LIMIT: usize>(&mut self, what: &str) -> Result<T> {
        let config = config::standard().with_limit::<LIMIT>();
        let (item, length) = bincode::decode_from_slice::<T, _>(self.rest, config)
            .map_err(|error| self.file.bad(format!("{what}: got {error}, expected a valid item")))?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(item)
    }

    /// A number of items to come. Each takes a byte at least.
    fn take_count(&mut self, what: &str, limit: usize) -> Result<usize> {
        let count = self.take::<u64>(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= limit && count <= self.rest.len() => Ok(count),
            _ => {
                let limit = limit.min(self.rest.len());
                Err(self.file.bad(format!("number of {what}: got {count}, expected at most {limit}")))
            }
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.file.bad(format!("payload: got {} bytes after the end, expected none", self.rest.len())))
    }
}

/// A replication id that is no longer current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastId {
    /// The id; empty for the time before the first.
    pub id: String,
    /// The last sequence number for which it was current.
    pub ended: u64,
}

/// The history of a generation: its key layout, and which replication id was current when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// How keys are laid out.
    pub layout: Layout,
    /// The current replication id; empty when there is none.
    pub current: String,
    /// The former ids, oldest first.
    pub past: Vec<PastId>,
}

impl History {
    /// The id under which the position `sequence` was reached.
    pub fn id_at(&self, sequence: u64) -> &str {
        let index = self.past.partition_point(|past| past.ended < sequence);
        self.past.get(index).map_or(&self.current, |past| &past.id)
    }

    /// Whether a position of another engine lies on this history. The empty id proves nothing and lies on none.
    pub fn contains(&self, id: &str, sequence: u64) -> bool {
        !id.is_empty() && self.id_at(sequence) == id
    }

    /// Makes `new_id` current after the sequence number `ended`.
    pub fn change(&mut self, new_id: impl Into<String>, ended: u64) {
        let former = std::mem::replace(&mut self.current, new_id.into());
        // An id that was current for no position at all leaves no trace.
        if self.past.last().is_none_or(|past| past.ended < ended) {
            self.past.push(PastId { id: former, ended });
        }
        if self.past.len() > MAX_PAST {
            // The first stays: it says whose dataset this is.
            self.past.drain(1..=self.past.len() - MAX_PAST);
        }
    }

    /// Forgets the ids that ended before `oldest`, the oldest position that can still be continued, but for the first of
    /// all, which says whose dataset this is.
    pub fn forget_before(&mut self, oldest: u64) {
        let origin = self.past.iter().position(|past| !past.id.is_empty());
        let mut index = 0;
        self.past.retain(|past| {
            index += 1;
            past.ended >= oldest || origin == Some(index - 1)
        });
    }

    /// The first replication id of this dataset, which all have that took it over, whoever is its primary. Empty where
    /// there never was one.
    pub fn origin(&self) -> &str {
        let first = self.past.iter().find(|past| !past.id.is_empty());
        first.map_or(&self.current, |past| &past.id)
    }

    /// Takes over the first id from a primary whose history this one goes on: it may have been known here since a later one
    /// only. Whether that is news.
    pub fn begin_with(&mut self, origin: &str) -> bool {
        if self.origin() == origin {
            return false;
        }
        self.past.retain(|past| past.ended > 0);
        self.past.insert(0, PastId { id: origin.to_owned(), ended: 0 });
        if self.past.len() > MAX_PAST {
            self.past.remove(1);
        }
        true
    }

    fn append(&self, out: &mut Vec<u8>) {
        put(
            out,
            match self.layout {
                Layout::Standalone => 1u8,
                Layout::Cluster => 2u8,
            },
        );
        put(out, self.current.as_str());
        put(out, self.past.len() as u64);
        for past in &self.past {
            put(out, (past.id.as_str(), past.ended));
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<History> {
        let file = reader.file;
        let layout = match reader.take::<u8>("layout")? {
            1 => Layout::Standalone,
            2 => Layout::Cluster,
            other => return Err(file.bad(format!("layout: got {other}, expected 1 or 2"))),
        };
        let current = read_id(reader)?;
        let count = reader.take_count("past ids", MAX_PAST)?;
        let mut past: Vec<PastId> = Vec::new();
        for _ in 0..count {
            let id = read_id(reader)?;
            let ended = reader.take::<u64>("end of a past id")?;
            if let Some(before) = past.last()
                && before.ended >= ended
            {
                let message = format!("end of past id {id:?}: got {ended}, expected more than {}", before.ended);
                return Err(file.bad(message));
            }
            past.push(PastId { id, ended });
        }
        Ok(History { layout, current, past })
    }
}

fn read_id(reader: &mut Reader<'_>) -> Result<String> {
    let id = reader.take::<String>("replication id")?;
    if !id.is_empty() {
        check_replication_id(id.as_bytes()).map_err(|error| error.context(reader.file.name()))?;
    }
    Ok(id)
}

/// Writes the history of a generation.
pub fn encode_history(history: &History) -> Vec<u8> {
    let mut payload = Vec::new();
    history.append(&mut payload);
    frame(File::History, &payload)
}

/// Reads the history of a generation.
pub fn decode_history(bytes: &[u8]) -> Result<History> {
    let mut reader = Reader::open(File::History, bytes)?;
    let history = History::read(&mut reader)?;
    reader.finish()?;
    Ok(history)
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// The name, without a folder.
    pub name: String,
    /// The length in bytes.
    pub size: u64,
    /// The checksum of the content.
    pub crc32c: u32,
}

/// The sync manifest: all files of a checkpoint and the position that they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncManifest {
    /// The latest sequence number in the checkpoint.
    pub sequence: u64,
    /// The history up to there.
    pub history: History,
    /// The files.
    pub files: Vec<ManifestFile>,
}

impl SyncManifest {
    /// Whether another one has the same position, names and sizes, whatever their checksums.
    pub fn lists_the_same(&self, other: &SyncManifest) -> bool {
        let pairs = self.files.iter().zip(&other.files);
        (self.sequence, &self.history, self.files.len()) == (other.sequence, &other.history, other.files.len())
            && pairs.into_iter().all(|(a, b)| (&a.name, a.size) == (&b.name, b.size))
    }
}

/// Writes a sync manifest.
pub fn encode_manifest(manifest: &SyncManifest) -> Vec<u8> {
    let mut payload = Vec::new();
    put(&mut payload, manifest.sequence);
    manifest.history.append(&mut payload);
    put(&mut payload, manifest.files.len() as u64);
    for file in &manifest.files {
        put(&mut payload, (file.name.as_str(), file.size, file.crc32c));
    }
    frame(File::Manifest, &payload)
}

/// Reads a sync manifest and checks every name in it.
pub fn decode_manifest(bytes: &[u8]) -> Result<SyncManifest> {
    let kind = File::Manifest;
    let mut reader = Reader::open(kind, bytes)?;
    let sequence = reader.take::<u64>("sequence")?;
    let history = History::read(&mut reader)?;
    let count = reader.take_count("files", MAX_FILES)?;
    let mut files: Vec<ManifestFile> = Vec::new();
    let mut total = 0u64;
    for _ in 0..count {
        let (name, size, crc32c) = reader.take::<(String, u64, u32)>("file")?;
        check_file_name(&name).map_err(|error| error.context(kind.name()))?;
        total = total
            .checked_add(size)
            .ok_or_else(|| kind.bad(format!("sizes of all files: got more than {}, expected less", u64::MAX)))?;
        files.push(ManifestFile { name, size, crc32c });
    }
    reader.finish()?;
    let mut names = HashSet::with_capacity(files.len());
    if let Some(twice) = files.iter().find(|file| !names.insert(file.name.as_str())) {
        return Err(kind.bad(format!("file {}: got it twice, expected it once", twice.name)));
    }
    if !names.contains("CURRENT") {
        return Err(kind.bad("file CURRENT: got none, expected one".to_string()));
    }
    Ok(SyncManifest { sequence, history, files })
}

/// Checks that a name is one that RocksDB gives to a file of a checkpoint: `CURRENT`, `IDENTITY`, `MANIFEST-<n>`,
/// `OPTIONS-<n>`, `<n>.sst`, `<n>.blob` or `<n>.log`. Names from a peer are used as paths only after this.
pub fn check_file_name(name: impl AsRef<[u8]>) -> Result<()> {
    let name = name.as_ref();
    let number = [b"MANIFEST-".as_slice(), b"OPTIONS-"]
        .into_iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .or_else(|| [b".sst".as_slice(), b".blob", b".log"].into_iter().find_map(|suffix| name.strip_suffix(suffix)));
    let good = match number {
        Some(digits) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        None => name == b"CURRENT" || name == b"IDENTITY",
    };
    if good && name.len() <= MAX_FILE_NAME {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corruption, format!("file name: got {}, expected a RocksDB checkpoint's", shown(name))))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::super::state::{decode_state, tests::STATE};
    use super::*;

    const HISTORY: &str = "50554d49434500 02 0100 2b000000 02 104142434445464748494a4b4c4d4e4f50 02 00 07 \
        1030313233343536373839414243444546 fc70110100 9c321a8f";
    const MANIFEST: &str = "50554d49434500 03 0100 52000000 fd0000000000010000 \
        02 104142434445464748494a4b4c4d4e4f50 02 00 07 1030313233343536373839414243444546 fc70110100 \
        02 0743555252454e54 10 fcefbeadde 0a3030303132332e737374 fb2c01 05 c0e84721";

    const A: &str = "AAAAAAAAAAAAAAAA";
    const B: &str = "BBBBBBBBBBBBBBBB";
    const C: &str = "CCCCCCCCCCCCCCCC";

    fn history() -> History {
        let past =
            vec![PastId { id: String::new(), ended: 7 }, PastId { id: "0123456789ABCDEF".to_string(), ended: 70_000 }];
        History { layout: Layout::Cluster, current: "ABCDEFGHIJKLMNOP".to_string(), past }
    }

    fn file(name: &str) -> ManifestFile {
        ManifestFile { name: name.to_string(), size: 1, crc32c: 2 }
    }

    fn manifest(names: &[&str]) -> SyncManifest {
        SyncManifest { sequence: 1, history: history(), files: names.iter().map(|name| file(name)).collect() }
    }

    #[track_caller]
    fn corrupt<T: std::fmt::Debug>(result: Result<T>, message: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.message().contains(message), "{error}");
    }

    /// The bytes of all side files never change.
    #[test]
    fn golden_bytes() {
        assert_eq!(encode_history(&history()), hex(HISTORY));
        assert_eq!(decode_history(&hex(HISTORY)).unwrap(), history());
        let manifest = SyncManifest {
            sequence: 1 << 40,
            history: history(),
            files: vec![
                ManifestFile { name: "CURRENT".to_string(), size: 16, crc32c: 0xDEADBEEF },
                ManifestFile { name: "000123.sst".to_string(), size: 300, crc32c: 5 },
            ],
        };
        assert_eq!(encode_manifest(&manifest), hex(MANIFEST));
        assert_eq!(decode_manifest(&hex(MANIFEST)).unwrap(), manifest);
    }

    /// One flipped bit anywhere, a cut, a byte more or another file kind: refused.
    #[test]
    fn damage() {
        for bytes in [hex(STATE), hex(HISTORY), hex(MANIFEST)] {
            let decode = |bytes: &[u8]| {
                [decode_state(bytes).is_ok(), decode_history(bytes).is_ok(), decode_manifest(bytes).is_ok()]
            };
            assert_eq!(decode(&bytes).iter().filter(|ok| **ok).count(), 1);
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&bytes), [false; 3], "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), [false; 3], "cut at {cut}");
            }
            assert_eq!(decode(&[&bytes[..], b"x"].concat()), [false; 3]);
        }
    }

    /// A later format is Unsupported, with both numbers; other faults are Corruption naming the file.
    #[test]
    fn kinds_of_faults() {
        let mut bytes = hex(HISTORY);
        bytes[8] = 2;
        let error = decode_history(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unsupported, "history, format: got 2, expected 1"));
        corrupt(decode_state(&hex(HISTORY)), "state, file kind: got 2, expected 1");
        corrupt(decode_state(b"something else, long enough"), "state, magic");
        corrupt(decode_history(&frame(File::History, &[3, 0, 0])), "history, layout: got 3");
        corrupt(decode_history(&frame(File::History, b"\x01\x03abc\x00")), "history");
    }

    /// Claimed numbers and lengths are refused before anything is allocated for them.
    #[test]
    fn claimed_sizes() {
        let claim = |count: u64| {
            let mut payload = vec![1, 0];
            put(&mut payload, count);
            payload.extend_from_slice(&[0; 40]);
            decode_history(&frame(File::History, &payload))
        };
        corrupt(claim(u64::MAX), "number of past ids: got 18446744073709551615, expected at most 40");
        corrupt(claim(41), "number of past ids: got 41, expected at most 40");
        let mut payload = vec![1];
        put(&mut payload, u64::MAX);
        corrupt(decode_history(&frame(File::History, &payload)), "history, replication id");
        let past = (1..=10_001).map(|ended| PastId { id: A.to_string(), ended }).collect();
        let history = History { layout: Layout::Standalone, current: B.to_string(), past };
        corrupt(decode_history(&encode_history(&history)), "got 10001, expected at most 10000");
    }

    /// Each position belongs to exactly the id that was current when it was reached.
    #[test]
    fn who_was_current() {
        let mut history = History { layout: Layout::Standalone, current: A.to_string(), past: Vec::new() };
        history.change(B, 10);
        history.change(C, 20);
        for (sequence, id) in [(0, A), (10, A), (11, B), (20, B), (21, C), (u64::MAX, C)] {
            assert_eq!(history.id_at(sequence), id, "at {sequence}");
            for other in [A, B, C] {
                assert_eq!(history.contains(other, sequence), other == id, "{other} at {sequence}");
            }
        }
        assert_eq!(decode_history(&encode_history(&history)).unwrap(), history);
        history.forget_before(10);
        assert_eq!(history.past.len(), 2);
        history.change(A, 30);
        history.forget_before(21);
        let left: Vec<&str> = history.past.iter().map(|past| past.id.as_str()).collect();
        assert_eq!((left, history.origin()), (vec![A, C], A), "the first stays, and says whose dataset it is");
        // An id that ends where it began was never current.
        history.change(B, 30);
        assert_eq!((history.past.len(), history.id_at(31)), (2, B));
    }

    /// A history that is known here since a later id takes over the first one of its primary's, and what it knew stays.
    #[test]
    fn the_first_id() {
        let mut history = History { layout: Layout::Standalone, current: B.to_string(), past: Vec::new() };
        history.change(C, 20);
        for origin in [A, "DDDDDDDDDDDDDDDD", A] {
            assert!(history.begin_with(origin) && !history.begin_with(origin));
            assert_eq!((history.origin(), history.past.len()), (origin, 2));
            for (sequence, id) in [(1, B), (20, B), (21, C)] {
                assert!(history.contains(id, sequence) && !history.contains(origin, sequence), "{id} at {sequence}");
            }
            assert_eq!(decode_history(&encode_history(&history)).unwrap(), history);
        }
        history.forget_before(21);
        assert_eq!((history.origin(), history.past.len()), (A, 1));
        for ended in 30..=MAX_PAST as u64 + 40 {
            history.change(C, ended);
        }
        assert!(history.begin_with(B));
        assert_eq!((history.origin(), history.past.len()), (B, MAX_PAST));
        // What never had an id begins with that of its primary.
        let mut history = History { layout: Layout::Standalone, current: String::new(), past: Vec::new() };
        assert!(history.begin_with(A));
        history.change(B, 0);
        assert_eq!((history.origin(), history.id_at(1)), (A, B));
    }

    /// Having no id proves nothing about a position, and a history that is never trimmed stays readable.
    #[test]
    fn edges_of_history() {
        let mut history = History { layout: Layout::Standalone, current: String::new(), past: Vec::new() };
        assert!(!history.contains("", 5));
        for ended in 1..=10_050 {
            history.change(A, ended);
        }
        assert_eq!(history.past.len(), MAX_PAST);
        assert_eq!(decode_history(&encode_history(&history)).unwrap(), history);
        history.past.swap(3, 4);
        corrupt(decode_history(&encode_history(&history)), "end of past id");
    }

    /// Only the names of a RocksDB checkpoint pass, and a refusal shows the name escaped and short.
    #[test]
    fn file_names() {
        for name in ["CURRENT", "IDENTITY", "MANIFEST-000011", "OPTIONS-7", "000123.sst", "1.blob", "000010.log"] {
            check_file_name(name).unwrap();
        }
        let long = format!("{}.sst", "1".repeat(4_000));
        for name in [
            "",
            ".",
            "..",
            "../CURRENT",
            "/etc/passwd",
            "a/000123.sst",
            "CURRENT\0",
            "current",
            "LOCK",
            "LOG",
            ".sst",
            "MANIFEST-",
            "MANIFEST-1a",
            "-1.sst",
            "١.sst",
            "000123.sst.tmp",
            "OPTIONS-7.dbtmp",
            MANIFEST_NAME,
            &long,
        ] {
            let error = check_file_name(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
            assert!(error.message().len() < 250 && !error.message().contains('\0'), "{error}");
        }
        check_file_name(format!("{}.sst", "1".repeat(251))).unwrap();
        assert!(check_file_name(format!("{}.sst", "1".repeat(252))).is_err());
    }

    /// A manifest with a bad name, a name twice, no CURRENT or impossible sizes is refused.
    #[test]
    fn bad_manifests() {
        let decode = |names: &[&str]| decode_manifest(&encode_manifest(&manifest(names)));
        assert_eq!(decode(&["CURRENT", "1.sst"]).unwrap().files.len(), 2);
        corrupt(decode(&["1.sst"]), "sync manifest, file CURRENT: got none");
        corrupt(decode(&["CURRENT", "1.sst", "1.sst"]), "sync manifest, file 1.sst: got it twice");
        corrupt(decode(&["CURRENT", "../x"]), "sync manifest: file name: got \"../x\"");
        let mut huge = manifest(&["CURRENT", "1.sst"]);
        huge.files[0].size = u64::MAX;
        corrupt(decode_manifest(&encode_manifest(&huge)), "sizes of all files");
    }
}
