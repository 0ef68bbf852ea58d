//! A dataset coming in over the wire: from the checkpoint of a primary to the current generation, atomically.
//!
//! Between Pumice peers every file is compared with the sync manifest, wherever its bytes came from: from the wire, from
//! what an earlier try had received, or from the living generation. A Kvrocks tells names alone: of an earlier
//! try with the same primary only finished `.sst` and `.blob` files are kept, whose names are never used twice.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::log;
use super::pieces::{Arriving, EndsInPanic, Next, Queue, partial_name, pieces_name};
use super::session::Peer;
use super::session::fetch::{Fetch, FetchEvent};
use super::sync_in::{self, Linked, Watch};
use super::sync_status::Counters;
use super::tcp::{Connection, Received, Stop};
use crate::engine::clock;
use crate::engine::directory::Directory;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::failpoint::step;
use crate::engine::format::side::{History, MANIFEST_NAME, ManifestFile, SyncManifest, encode_manifest};
use crate::engine::format::state::DesiredLink;
use crate::engine::generation::Store;
use crate::engine::instance::Instance;
use crate::engine::storage::files;

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Release);
}

/// What an earlier try has received: in which folder, and of which data.
#[derive(PartialEq, Eq)]
pub struct Incoming {
    number: u64,
    dataset: Option<String>,
}

impl Incoming {
    pub fn dataset(&self) -> Option<String> {
        self.dataset.clone()
    }
}

/// One full sync, for the wish under which the link runs.
pub struct FullSync<'a> {
    pub instance: &'a Instance,
    pub desired: &'a DesiredLink,
    pub wish: u64,
    pub node_id: Option<&'a str>,
    pub stop: &'a Arc<Stop>,
    pub counters: &'a Counters,
    /// 16 characters, drawn when the engine was opened.
    pub run_id: &'a str,
    /// What tells the primary's data from other data at its address.
    pub dataset: Option<&'a str>,
    /// Whether it is known that the living dataset has entries that the primary does not have.
    pub diverged: bool,
}

/// As many files as a Kvrocks fetches over one connection, and how many connections it opens for more.
const FEW_FILES: usize = 20;
const CONNECTIONS: usize = 4;
/// A primary that makes a checkpoint is silent for that long at most.
const SILENCE: Duration = Duration::from_secs(60);

impl FullSync<'_> {
    pub fn counters() -> Counters {
        Counters::new()
    }

    /// Receives the primary's dataset and makes it the current one. What was received of it stays for the next try when
    /// it fails. `received` says what an earlier try in this link's life has left.
    ///
    /// Gives a warning when the old dataset had entries of its own, and is kept for them.
    pub fn run(&self, peer: Peer, received: &mut Option<Incoming>) -> Result<Option<String>> {
        let _applying = self.instance.begin_apply()?;
        let directory = {
            let guard = self.instance.lock()?;
            guard.check_wish(self.wish)?;
            guard.check_changeable()?;
            guard.directory()?
        };
        let number = directory.incoming_number()?;
        let incoming = directory.incoming(number);
        let earlier = Some(Incoming { number, dataset: self.dataset.map(str::to_owned) });
        // The same name can mean another file in the data of another primary.
        if peer == Peer::Kvrocks && (*received != earlier || self.dataset.is_none()) {
            files::remove_dir(&incoming)?;
        }
        fs::create_dir_all(&incoming).map_err(|e| Error::io(format!("create {}", incoming.display()), e))?;
        *received = earlier;
        let brought = match peer {
            Peer::Pumice => self.receive_manifest(&incoming),
            Peer::Kvrocks => self.receive_names(&incoming),
        };
        let (names, manifest) = brought.inspect_err(|e| {
            // A disk that is full must not be kept full by half a dataset.
            if e.is_full_disk() {
                let _ = files::remove_dir(&incoming);
            }
        })?;
        let former = Arc::clone(&self.instance.generation()?.store);
        let theirs = manifest.as_ref().map(|manifest| (manifest.history.clone(), manifest.sequence));
        let mut tell = |_: &sync_in::Progress| match self.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let mut watch = Watch::new(self.instance, &mut tell);
        // Those of a manifest are durable: each was synced where it came in, or is linked from the living dataset.
        let unsynced = names.iter().filter(|_| manifest.is_none());
        let paths: Vec<PathBuf> = unsynced.map(|name| incoming.join(name)).collect();
        let installed = sync_in::complete(&directory, number, &paths, &mut watch).and_then(|()| {
            let linked = Linked { wish: self.wish, diverged: self.diverged };
            sync_in::install(self.instance, &directory, number, manifest, false, Some(linked), &mut watch)
        });
        *received = None;
        let kept = sync_in::clean_up(installed, &directory, number)?;
        Ok(kept.then(|| self.gave_up(&directory, &former, theirs)))
    }

    /// What the former dataset had and the primary's has not.
    fn gave_up(&self, directory: &Directory, former: &Arc<Store>, theirs: Option<(History, u64)>) -> String {
        let counted = theirs.and_then(|(history, latest)| log::own_entries(former, &history, latest).ok());
        let what = counted.map_or("entries of its own".to_owned(), |(shared, entries)| {
            format!("{entries} entries of its own after sequence {shared}")
        });
        format!(
            "diverged from {}:{}: this engine gave up {what}; its former data is kept in {} until discard()",
            self.desired.host,
            self.desired.port,
            directory.generation(former.number).display()
        )
    }

    fn check(&self) -> Result<()> {
        if self.stop.is_stopped() {
            return Err(Error::new(ErrorKind::Closed, "full sync: the link was stopped"));
        }
        Ok(())
    }

    /// All files of a Pumice's checkpoint, each as its manifest says. What cannot be here yet is fetched while the primary
    /// reads its files for their checksums; every file is compared in the end.
    fn receive_manifest(&self, incoming: &Path) -> Result<(Vec<String>, Option<SyncManifest>)> {
        let mut first = self.connect(Fetch::pumice(self.desired.password.clone()))?;
        let (id, listed) = first.files(self.run_id)?;
        // It says that what is here can go on after a restart. Nobody reads it.
        fs::write(incoming.join(MANIFEST_NAME), encode_manifest(&listed))
            .map_err(|e| Error::io(format!("write {}", incoming.join(MANIFEST_NAME).display()), e))?;
        step!("sync::manifest");
        add(&self.counters.files, listed.files.len() as u64);
        add(&self.counters.bytes, listed.files.iter().map(|file| file.size).sum());
        self.forget_unlisted(incoming, &listed)?;
        let living = self.instance.generation()?.store.db.path().to_owned();
        let (maybe_here, mut missing): (Vec<_>, Vec<_>) =
            listed.files.iter().partition(|file| may_be_here(&living, incoming, file));
        let partial = |file: &&ManifestFile| {
            let sizes = [partial_name(&file.name), pieces_name(&file.name)].map(|name| size_of(&incoming.join(name)));
            sizes.into_iter().flatten().max().unwrap_or(0)
        };
        let needed = missing.iter().map(|file| file.size.saturating_sub(partial(file)));
        check_room(incoming, needed.fold(0, u64::saturating_add))?;
        // The longest first, so that all connections end at about the same time.
        missing.sort_by_key(|file| Reverse(file.size));
        let queue = Queue::of(missing);
        let received = Mutex::new(HashMap::new());
        let fetch = |connection: Option<FileConnection<'_>>| -> Result<()> {
            let _ends = EndsInPanic(&queue);
            let mut connection = connection;
            while let Some(next) = queue.next() {
                let fetched: Result<()> = (|| {
                    let arriving = match next {
                        Next::Help(arriving) => arriving,
                        Next::Begin(file) => self.begin_file(incoming, file, &queue)?,
                    };
                    let connection = match &mut connection {
                        Some(connection) => connection,
                        none => none.insert(self.connect(Fetch::pumice(self.desired.password.clone()))?),
                    };
                    if let Some(crc) = self.fetch_pieces(connection, &id, &arriving)? {
                        received.lock().insert(arriving.file.name.as_str(), crc);
                    }
                    Ok(())
                })();
                fetched.inspect_err(|_| queue.end())?;
            }
            Ok(())
        };
        let lead = || {
            let _ends = EndsInPanic(&queue);
            let manifest = first.checkpoint(&id)?;
            if !manifest.lists_the_same(&listed) {
                let message = format!("sync manifest of {id}: got other files than were listed before");
                return Err(Error::new(ErrorKind::Corruption, message));
            }
            let mut reader = files::PieceReader::new();
            for file in maybe_here {
                self.check()?;
                let Some(sure) = manifest.files.iter().find(|sure| sure.name == file.name) else { continue };
                if self.is_here(&living, incoming, sure, &mut reader)? {
                    self.counters.reuse(file.size);
                    add(&self.counters.files_done, 1);
                } else {
                    check_room(incoming, file.size)?;
                    queue.add(file);
                }
            }
            queue.all_are_in();
            fetch(Some(first))?;
            Ok(manifest)
        };
        let others = CONNECTIONS.min(listed.files.len()).saturating_sub(1);
        let manifest = std::thread::scope(|scope| {
            let others: Vec<_> = (0..others).map(|_| scope.spawn(|| fetch(None))).collect();
            let led = lead().inspect_err(|_| queue.end());
            others.into_iter().fold(led, |result, other| {
                let there = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                // Who leads ends because of the others, who know why.
                there.and(result)
            })
        })?;
        self.check()?;
        let received = received.into_inner();
        for file in &manifest.files {
            let Some(&crc) = received.get(file.name.as_str()).filter(|&&crc| crc != file.crc32c) else { continue };
            files::remove_file(&incoming.join(&file.name))?;
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("full sync, file {}: got crc32c {crc:08x}, expected {:08x}", file.name, file.crc32c),
            ));
        }
        let names = manifest.files.iter().map(|file| file.name.clone()).collect();
        Ok((names, Some(manifest)))
    }

    /// Deletes what an earlier try received and this checkpoint does not have.
    fn forget_unlisted(&self, incoming: &Path, manifest: &SyncManifest) -> Result<()> {
        let mut wanted: HashSet<String> = HashSet::from([MANIFEST_NAME.to_owned()]);
        for file in &manifest.files {
            wanted.insert(partial_name(&file.name));
            wanted.insert(pieces_name(&file.name));
            wanted.insert(file.name.clone());
        }
        keep_only(incoming, |name| wanted.contains(name))
    }

    /// Whether a file is in `incoming` already, or can be linked from the living generation: proven by its checksum.
    fn is_here(
        &self,
        living: &Path,
        incoming: &Path,
        file: &ManifestFile,
        reader: &mut files::PieceReader,
    ) -> Result<bool> {
        let target = incoming.join(&file.name);
        let equal = |path: &Path, reader: &mut files::PieceReader| -> Result<bool> {
            if fs::metadata(path).map_or(true, |found| !found.is_file() || found.len() != file.size) {
                return Ok(false);
            }
            let mut crc = 0;
            reader.read(path, |piece| {
                crc = crc32c::crc32c_append(crc, piece);
                self.check()
            })?;
            Ok(crc == file.crc32c)
        };
        if fs::symlink_metadata(&target).is_ok() {
            if equal(&target, reader)? {
                files::sync_file(&target)?;
                return Ok(true);
            }
            files::remove_file(&target)?;
        }
        let local = living.join(&file.name);
        if !is_unchanging(&file.name) || !equal(&local, reader)? {
            return Ok(false);
        }
        // Compaction may delete it meanwhile, and a file system may refuse to link: then it comes over the wire.
        let linked = fs::hard_link(&local, &target).is_ok();
        if linked {
            files::remove_file(&incoming.join(partial_name(&file.name)))?;
            files::remove_file(&incoming.join(pieces_name(&file.name)))?;
        }
        Ok(linked)
    }

    /// Begins a file where an earlier try ended. Others may help with it from then on.
    fn begin_file<'m>(&self, incoming: &Path, file: &'m ManifestFile, queue: &Queue<'m>) -> Result<Arc<Arriving<'m>>> {
        let begun = Arriving::begin(file, incoming, |kept| {
            self.counters.reuse(kept as u64);
            self.check()
        });
        let begun = begun.map(Arc::new);
        queue.begun(begun.as_ref().ok());
        begun
    }

    /// Pieces of a file, until all were given to somebody. Gives the checksum of the file to whoever brought what it lacked.
    fn fetch_pieces(
        &self,
        connection: &mut FileConnection<'_>,
        id: &str,
        arriving: &Arriving<'_>,
    ) -> Result<Option<u32>> {
        let file = arriving.file;
        let mut whole = file.size == 0;
        while let Some((from, length)) = arriving.take() {
            let (mut at, mut crc) = (from, 0);
            connection.range(id, &file.name, from, length, &mut |data| {
                arriving.write(data, at)?;
                crc = crc32c::crc32c_append(crc, data);
                at += data.len() as u64;
                add(&self.counters.bytes_done, data.len() as u64);
                step!("sync::data");
                Ok(())
            })?;
            whole = arriving.put(from, length, crc);
        }
        if !whole {
            return Ok(None);
        }
        // Here and not with all others at the end: the disk works while other connections receive.
        let crc = arriving.finish()?;
        add(&self.counters.files_done, 1);
        step!("sync::file");
        Ok(Some(crc))
    }

    /// All files of a Kvrocks' checkpoint.
    fn receive_names(&self, incoming: &Path) -> Result<(Vec<String>, Option<SyncManifest>)> {
        let mut names = Vec::new();
        self.connect(Fetch::names(self.desired.password.clone()))?.until_closed(&mut |event| {
            if let FetchEvent::Names(listed) = event {
                names = listed;
            }
            Ok(())
        })?;
        add(&self.counters.files, names.len() as u64);
        let listed: HashSet<&str> = names.iter().map(String::as_str).collect();
        keep_only(incoming, |name| is_unchanging(name) && listed.contains(name))?;
        step!("sync::listed");
        let here = |name: &&String| fs::metadata(incoming.join(name)).ok();
        let missing: Vec<&String> = names.iter().filter(|name| here(name).is_none()).collect();
        for name in names.iter().filter_map(|name| here(&name)) {
            add(&self.counters.bytes, name.len());
            self.counters.reuse(name.len());
            add(&self.counters.files_done, 1);
        }
        let connections = if missing.len() <= FEW_FILES { 1 } else { CONNECTIONS };
        let shares: Vec<Vec<String>> = (0..connections)
            .map(|n| missing.iter().skip(n).step_by(connections).map(|name| (*name).clone()).collect())
            .filter(|share: &Vec<String>| !share.is_empty())
            .collect();
        std::thread::scope(|scope| {
            let fetching: Vec<_> =
                shares.into_iter().map(|share| scope.spawn(move || self.fetch_share(incoming, share))).collect();
            let joined = |fetch: ScopedJoinHandle<'_, Result<()>>| {
                fetch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            fetching.into_iter().try_for_each(joined)
        })?;
        self.check()?;
        Ok((names, None))
    }

    /// A share of the files over one connection.
    fn fetch_share(&self, incoming: &Path, names: Vec<String>) -> Result<()> {
        let mut open: Option<(Writing, PathBuf, PathBuf)> = None;
        let expected = names.len();
        let mut done = 0;
        let fetch = Fetch::files(self.desired.password.clone(), names, u64::MAX >> 1);
        self.connect(fetch)?.until_closed(&mut |event| {
            match event {
                FetchEvent::Begin { name, size } => {
                    let (partial, target) = (incoming.join(partial_name(name)), incoming.join(name));
                    let failed = |e| Error::io(format!("write {}", partial.display()), e);
                    check_room(incoming, size)?;
                    let file = File::create(&partial).map_err(failed)?;
                    add(&self.counters.bytes, size);
                    open = Some((Writing { file, length: 0, begun: 0 }, partial, target));
                }
                FetchEvent::Data(data) => {
                    if let Some((file, partial, _)) = &mut open {
                        file.write(data).map_err(|e| Error::io(format!("write {}", partial.display()), e))?;
                        add(&self.counters.bytes_done, data.len() as u64);
                    }
                }
                FetchEvent::End => {
                    if let Some((_, partial, target)) = open.take() {
                        rename(&partial, &target)?;
                        add(&self.counters.files_done, 1);
                        done += 1;
                        step!("sync::file");
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        if done < expected {
            let message = format!("full sync from {}: got {done} files, expected {expected}", self.desired.host);
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(())
    }

    fn connect(&self, mut fetch: Fetch) -> Result<FileConnection<'_>> {
        self.check()?;
        fetch.node_id = self.node_id.map(str::to_owned);
        let DesiredLink { host, port, tls, .. } = self.desired;
        let connection = Connection::open(host, *port, tls.as_ref(), SILENCE, self.stop)?;
        let mut opened = FileConnection { connection, fetch, ready: false, buffer: vec![0; 256 << 10], sync: self };
        let FileConnection { connection, fetch, ready, .. } = &mut opened;
        fetch.start(&mut |event| match event {
            FetchEvent::Send(bytes) => connection.send(bytes),
            event => {
                *ready |= matches!(event, FetchEvent::Ready);
                Ok(())
            }
        })?;
        Ok(opened)
    }
}

/// One connection that brings files.
struct FileConnection<'a> {
    connection: Connection,
    fetch: Fetch,
    /// Whether the primary lets us ask.
    ready: bool,
    buffer: Vec<u8>,
    sync: &'a FullSync<'a>,
}

impl FileConnection<'_> {
    /// Reads once. `false` when the peer has closed.
    fn read(&mut self, on: &mut dyn FnMut(FetchEvent<'_>) -> Result<()>) -> Result<bool> {
        self.sync.check()?;
        match self.connection.receive(&mut self.buffer)? {
            Received::Bytes(read) => {
                let (connection, ready) = (&mut self.connection, &mut self.ready);
                self.fetch.receive(clock::monotonic_ms(), &self.buffer[..read], &mut |event| match event {
                    FetchEvent::Send(bytes) => connection.send(bytes),
                    event => {
                        *ready |= matches!(event, FetchEvent::Ready);
                        on(event)
                    }
                })?;
                Ok(true)
            }
            Received::Quiet => Err(Error::new(
                ErrorKind::Io,
                format!("full sync from {}: got nothing for {SILENCE:?}", self.connection.peer()),
            )),
            // A Kvrocks never says over TLS that it ends. What matters is that all lengths were kept.
            Received::Closed | Received::Cut => {
                self.fetch.closed()?;
                Ok(false)
            }
        }
    }

    fn until_closed(&mut self, on: &mut dyn FnMut(FetchEvent<'_>) -> Result<()>) -> Result<()> {
        while self.read(on)? {}
        Ok(())
    }

    /// Reads until `done` says so.
    fn until(&mut self, on: &mut dyn FnMut(FetchEvent<'_>) -> Result<bool>) -> Result<()> {
        let mut done = false;
        while !done {
            let open = self.read(&mut |event| {
                done |= on(event)?;
                Ok(())
            })?;
            if !open && !done {
                let message = format!("full sync from {}: the connection was closed", self.connection.peer());
                return Err(Error::new(ErrorKind::Io, message));
            }
        }
        Ok(())
    }

    fn until_ready(&mut self) -> Result<()> {
        if self.ready {
            return Ok(());
        }
        self.until(&mut |event| Ok(matches!(event, FetchEvent::Ready)))
    }

    /// The files of a checkpoint, without their checksums.
    fn files(&mut self, run_id: &str) -> Result<(String, SyncManifest)> {
        self.until_ready()?;
        let request = self.fetch.request_files(run_id)?;
        self.connection.send(&request)?;
        self.answer()?.ok_or_else(|| Error::new(ErrorKind::Corruption, "full sync: got no list of files, expected one"))
    }

    /// The sync manifest of a checkpoint, once the primary has it.
    fn checkpoint(&mut self, id: &str) -> Result<SyncManifest> {
        loop {
            let request = self.fetch.request_checksums(id)?;
            self.connection.send(&request)?;
            let Some((got, manifest)) = self.answer()? else { continue };
            if got == id {
                return Ok(manifest);
            }
            let message = format!("full sync: got the checkpoint {got}, expected {id}");
            return Err(Error::new(ErrorKind::Corruption, message));
        }
    }

    /// A checkpoint, `None` where it is not known yet.
    fn answer(&mut self) -> Result<Option<(String, SyncManifest)>> {
        let mut found = None;
        self.until(&mut |event| {
            Ok(match event {
                FetchEvent::Checkpoint { id, manifest } => {
                    found = Some((id, manifest));
                    true
                }
                event => matches!(event, FetchEvent::NotYet),
            })
        })?;
        Ok(found)
    }

    fn range(
        &mut self,
        id: &str,
        name: &str,
        offset: u64,
        length: u64,
        data: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.until_ready()?;
        let request = self.fetch.request_range(id, name, offset, length)?;
        self.connection.send(&request)?;
        self.until(&mut |event| match event {
            FetchEvent::Data(bytes) => data(bytes).map(|()| false),
            FetchEvent::End => Ok(true),
            _ => Ok(false),
        })
    }
}

/// A file that is written from its beginning. The disk works on it meanwhile.
struct Writing {
    file: File,
    /// How long it is, and up to where the disk was told to begin.
    length: u64,
    begun: u64,
}

impl Writing {
    fn write(&mut self, data: &[u8]) -> std::io::Result<()> {
        const BEHIND: u64 = 4 << 20;
        self.file.write_all(data)?;
        self.length += data.len() as u64;
        if self.length - self.begun >= BEHIND {
            files::write_behind(&self.file, self.begun, self.length - self.begun);
            self.begun = self.length;
        }
        Ok(())
    }
}

/// Refuses what the file system has no room for, before the first byte of it.
fn check_room(incoming: &Path, needed: u64) -> Result<()> {
    let free = files::free_bytes(incoming)?;
    if needed <= free {
        return Ok(());
    }
    let what =
        format!("full sync into {}: got files of {needed} bytes, expected at most the {free} free", incoming.display());
    Err(Error::io(what, std::io::Error::from(std::io::ErrorKind::StorageFull)))
}

fn size_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len())
}

/// Whether a file of that name and size is here, so that it may be that file.
fn may_be_here(living: &Path, incoming: &Path, file: &ManifestFile) -> bool {
    let is_so = |folder: &Path| size_of(&folder.join(&file.name)) == Some(file.size);
    // What is in `incoming` under its own name is there to be looked at, whatever its size.
    fs::symlink_metadata(incoming.join(&file.name)).is_ok() || (is_unchanging(&file.name) && is_so(living))
}

/// Names that RocksDB never uses twice in one database.
pub fn is_unchanging(name: &str) -> bool {
    name.ends_with(".sst") || name.ends_with(".blob")
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io(format!("rename {}", from.display()), e))
}

fn keep_only(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let failed = |e| Error::io(format!("list {}", folder.display()), e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_str().is_some_and(&wanted) {
            files::remove_file(&entry.path())?;
        }
    }
    Ok(())
}
