//! A model of one engine or server: a list of batches, how far back its log reaches, and a checkpoint as files.

use std::sync::Arc;

use crate::engine::format::batch::{Batch, BatchBuilder, METADATA, PROPAGATE, Record};
use crate::engine::format::fuzz::Random;
use crate::engine::format::key::Layout;
use crate::engine::format::log_data::replication_id_log;
use crate::engine::format::registry::REPLICATION_ID_KEY;
use crate::engine::format::side::{History, ManifestFile, SyncManifest};
use crate::engine::replication::position::Position;
use crate::engine::replication::session::Peer;
use crate::engine::replication::session::admission::Admissions;
use crate::engine::replication::session::primary::{Facts, Place};
use crate::engine::replication::session::replica::Own;

#[derive(Clone)]
pub struct Entry {
    pub first: u64,
    pub last: u64,
    pub bytes: Arc<[u8]>,
    /// Of this batch and all before it.
    pub chain: u64,
}

/// Where a node is and, in one number, everything that it holds.
pub type Mark = (u64, u64);

pub struct Checkpoint {
    pub id: String,
    pub sequence: u64,
    pub files: Vec<(String, Vec<u8>)>,
    pub manifest: SyncManifest,
}

impl Checkpoint {
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(file, _)| file == name).map(|(_, bytes)| &bytes[..])
    }
}

pub struct Node {
    pub flavour: Peer,
    /// A Pumice always has ids; a Kvrocks when it is told to.
    pub ids: bool,
    pub run_id: String,
    pub entries: Vec<Entry>,
    /// The first entry that is still in the log.
    pub log_start: usize,
    pub history: History,
    pub admissions: Admissions,
    pub admitted: Option<String>,
    pub generation: u64,
    pub checkpoint: Option<Checkpoint>,
}

pub fn word(random: &mut Random) -> String {
    (0..16).map(|_| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[random.below(36)])).collect()
}

fn no_history() -> History {
    History { layout: Layout::Standalone, current: String::new(), past: Vec::new() }
}

impl Node {
    pub fn new(flavour: Peer, ids: bool, random: &mut Random) -> Node {
        Node {
            flavour,
            ids,
            run_id: word(random),
            entries: Vec::new(),
            log_start: 0,
            history: no_history(),
            admissions: Admissions::default(),
            admitted: None,
            generation: 1,
            checkpoint: None,
        }
    }

    pub fn latest(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.last)
    }

    pub fn mark(&self) -> Mark {
        self.entries.last().map_or((0, 0), |entry| (entry.last, entry.chain))
    }

    /// Appends a batch, which must be the next.
    pub fn push(&mut self, bytes: &[u8]) {
        let batch = Batch::parse(bytes).expect("a whole batch");
        assert_eq!(batch.sequence(), self.latest() + 1, "an entry out of place");
        assert!(batch.count() > 0, "an entry of nothing");
        for record in batch.records() {
            if let Record::Put { family: PROPAGATE, key, value } = record
                && key == REPLICATION_ID_KEY
            {
                self.history.change(String::from_utf8_lossy(value), batch.sequence() - 1);
            }
        }
        let chain = bytes.iter().fold(self.mark().1 ^ 0xCBF2_9CE4_8422_2325, |chain, &byte| {
            (chain ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
        let (first, last) = (batch.sequence(), batch.last_sequence());
        self.entries.push(Entry { first, last, bytes: bytes.into(), chain });
    }

    /// Keeps only the first entries.
    pub fn truncate(&mut self, length: usize) {
        let entries = std::mem::take(&mut self.entries);
        self.replace(entries.iter().take(length).map(|entry| &entry.bytes[..]));
        self.log_start = self.log_start.min(length);
    }

    fn replace<'a>(&mut self, batches: impl Iterator<Item = &'a [u8]>) {
        self.entries.clear();
        self.history = no_history();
        batches.for_each(|bytes| self.push(bytes));
    }

    fn finish(&mut self, mut builder: BatchBuilder) -> Mark {
        let id = self.id();
        if !id.is_empty() {
            builder.log_data_with(&replication_id_log(&id));
        }
        self.push(&builder.finish(self.latest() + 1));
        self.mark()
    }

    /// A write of its own, unlike any other.
    pub fn write(&mut self, random: &mut Random) -> Mark {
        let mut builder = BatchBuilder::new();
        builder.log_data(b"1");
        let length = if random.below(50) == 0 { 20_000 } else { random.below(60) };
        for _ in 0..1 + random.below(3) {
            let value = [&random.next().to_le_bytes()[..], &vec![b'v'; length]].concat();
            builder.put(METADATA, b"key", &value);
        }
        self.finish(builder)
    }

    /// Draws a new id, as it does when it becomes a primary.
    pub fn draw_id(&mut self, random: &mut Random) -> Option<Mark> {
        if !self.ids {
            return None;
        }
        let id = word(random);
        let mut builder = BatchBuilder::new();
        builder.put(PROPAGATE, REPLICATION_ID_KEY, id.as_bytes());
        builder.log_data_with(&replication_id_log(&id));
        self.push(&builder.finish(self.latest() + 1));
        Some(self.mark())
    }

    /// The id of its latest entry.
    pub fn id(&self) -> String {
        self.history.current.clone()
    }

    pub fn locate(&self, next: u64) -> Place {
        let latest = self.latest();
        if next > latest {
            return if next == latest + 1 { Place::End } else { Place::Ahead };
        }
        let index = self.entries.partition_point(|entry| entry.last < next);
        match self.entries[index].first == next {
            _ if index < self.log_start => Place::Gone,
            true => Place::Start,
            false => Place::Inside,
        }
    }

    /// The entry that starts there, while it is in the log.
    pub fn entry(&self, first: u64) -> Option<&Entry> {
        let index = self.entries.partition_point(|entry| entry.first < first);
        self.entries.get(index).filter(|entry| entry.first == first && index >= self.log_start)
    }

    pub fn own(&self) -> Own {
        let last = self.entries.get(self.log_start..).and_then(<[Entry]>::last);
        Own {
            position: Position { replication_id: self.id(), sequence: self.latest() },
            layout: Layout::Standalone,
            last: last.map(|entry| (entry.first, entry.bytes.to_vec())),
            admitted: self.admitted.clone(),
            received: None,
            run_id: self.run_id.clone(),
            node_id: None,
            epoch: None,
        }
    }

    pub fn facts(&self) -> Facts {
        Facts {
            run_id: self.run_id.clone(),
            generation: self.generation,
            history: self.history.clone(),
            latest: self.latest(),
            layout: Layout::Standalone,
            primary: true,
            node_id: None,
            epoch: Default::default(),
            ended: None,
            members: None,
        }
    }

    /// The checkpoint that is served: the old one while the log still reaches back to it.
    pub fn checkpoint(&mut self, random: &mut Random) -> &Checkpoint {
        let usable = self.checkpoint.as_ref().is_some_and(|checkpoint| {
            random.below(2) == 0 && matches!(self.locate(checkpoint.sequence + 1), Place::Start | Place::End)
        });
        if !usable {
            self.checkpoint = None;
        }
        let (id, with_log) = (word(random), random.below(2) == 0);
        let (entries, log_start) = (&self.entries, self.log_start);
        self.checkpoint.get_or_insert_with(|| make_checkpoint(entries, log_start, id, with_log, self.history.clone()))
    }

    /// Opens what a full sync brought. Damage is found, as RocksDB finds it.
    pub fn restore(&mut self, files: &[(String, Vec<u8>)]) -> bool {
        let find = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, bytes)| bytes.as_slice());
        let (Some(b"MANIFEST-000001\n"), Some(manifest)) = (find("CURRENT"), find("MANIFEST-000001")) else {
            return false;
        };
        let mut batches: Vec<&[u8]> = Vec::new();
        let mut expected = Vec::new();
        let mut counts = Vec::new();
        for name in ["000002.sst", "000003.log"] {
            let Some(mut content) = find(name) else { return false };
            expected.extend(crc32c::crc32c(content).to_le_bytes());
            while let Some((length, rest)) = content.split_first_chunk::<4>() {
                let Some((batch, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else {
                    return false;
                };
                batches.push(batch);
                content = rest;
            }
            counts.push(batches.len());
        }
        if expected != manifest {
            return false;
        }
        self.replace(batches.into_iter());
        self.log_start = counts[0];
        self.generation += 1;
        self.checkpoint = None;
        true
    }
}

fn make_checkpoint(entries: &[Entry], log_start: usize, id: String, with_log: bool, history: History) -> Checkpoint {
    // Most of the data is in a table, what is in the log as well is the end of it.
    let split = if with_log { log_start.max(entries.len().saturating_sub(3)) } else { entries.len() };
    let content = |entries: &[Entry]| {
        let mut out = Vec::new();
        for entry in entries {
            out.extend((entry.bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&entry.bytes);
        }
        out
    };
    let (table, log) = (content(&entries[..split]), content(&entries[split..]));
    let manifest = [crc32c::crc32c(&table).to_le_bytes(), crc32c::crc32c(&log).to_le_bytes()].concat();
    let files = vec![
        ("CURRENT".to_owned(), b"MANIFEST-000001\n".to_vec()),
        ("MANIFEST-000001".to_owned(), manifest),
        ("000002.sst".to_owned(), table),
        ("000003.log".to_owned(), log),
    ];
    let sequence = entries.last().map_or(0, |entry| entry.last);
    let listed = files.iter().map(|(name, bytes)| ManifestFile {
        name: name.clone(),
        size: bytes.len() as u64,
        crc32c: crc32c::crc32c(bytes),
    });
    let manifest = SyncManifest { sequence, history, files: listed.collect() };
    Checkpoint { id, sequence, files, manifest }
}
