//! One opened RocksDB.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use librocksdb_sys as ffi;
use parking_lot::{Mutex, RwLock};
use rocksdb::{AsColumnFamilyRef, AsRawPtr, DB, FlushOptions, Options};

use super::closing::Closing;
use super::filter::Filters;
use super::fork::{self, Process};
use super::options::{DbOptions, FAMILY_NAMES};
use super::{pace, tables};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::METADATA;
use crate::engine::format::key::Layout;

/// The directories that this process has open for writing, since RocksDB's own lock does not hold against it.
static OPEN: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

static IDS: AtomicU64 = AtomicU64::new(1);

/// Whether this process has that RocksDB directory open for writing.
pub fn is_open_here(path: &Path) -> bool {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    OPEN.lock().contains_key(&path)
}

type AfterClose = (Arc<Closing>, Box<dyn FnOnce() + Send>);

/// An opened RocksDB with Kvrocks' seven column families. Closed when the last holder lets go; leaked
/// in a forked child.
pub struct Db {
    inner: ManuallyDrop<DB>,
    raw: *mut ffi::rocksdb_t,
    families: [*mut ffi::rocksdb_column_family_handle_t; 7],
    raw_reads: *mut ffi::rocksdb_readoptions_t,
    raw_writes: *mut ffi::rocksdb_writeoptions_t,
    raw_patient_writes: *mut ffi::rocksdb_writeoptions_t,
    path: PathBuf,
    writer: bool,
    process: Process,
    id: u64,
    after_close: Mutex<Option<AfterClose>>,
    pub(super) filters: Arc<Filters>,
    /// Held by whoever flushes, together, and alone by whoever must have no flush.
    pub(super) flushes: RwLock<()>,
    held: Option<Box<dyn Any + Send + Sync>>,
}

// SAFETY: RocksDB's handle, column family handles and default options may be used from any thread.
unsafe impl Send for Db {}
unsafe impl Sync for Db {}

impl Db {
    /// Opens the RocksDB in `path`: replays its WAL, and creates it or missing families when the options say so.
    /// `held` is let go once it is closed.
    pub fn open(path: &Path, options: &DbOptions, held: Option<Box<dyn Any + Send + Sync>>) -> Result<Arc<Db>> {
        let exists = path.join("CURRENT").exists();
        if !exists && !options.create {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("{} is not a RocksDB directory: it has no CURRENT file", path.display()),
            ));
        }
        fork::started();
        let mut db_options = options.db(path);
        let one_by_one = options.beside && tables::are_many(path);
        if one_by_one {
            // As few as RocksDB takes.
            db_options.set_max_open_files(20);
        }
        if exists {
            check_families(&db_options, path, options.read_only)?;
            pace::rest();
        }
        let filters = Filters::new();
        let inner = if options.read_only {
            DB::open_cf_descriptors_read_only(&db_options, path, options.families(&filters), false)
        } else {
            DB::open_cf_descriptors(&db_options, path, options.families(&filters))
        }
        .map_err(|e| storage_error(&format!("open RocksDB {}", path.display()), e.into_string()))?;

        let mut families = [std::ptr::null_mut(); 7];
        for (id, name) in FAMILY_NAMES.iter().enumerate() {
            let handle = inner.cf_handle(name).map(|handle| handle.inner()).ok_or_else(|| {
                Error::new(ErrorKind::Corruption, format!("column family {name} is missing in {}", path.display()))
            })?;
            // SAFETY: the handle was just given by the open database.
            let found = unsafe { ffi::rocksdb_column_family_handle_get_id(handle) };
            if found as usize != id {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    format!("column family {name} in {}: got id {found}, expected {id}", path.display()),
                ));
            }
            families[id] = handle;
        }
        // SAFETY: the database outlives `raw`; the options are destroyed in `drop`.
        let (raw, raw_reads, raw_writes, raw_patient_writes) = unsafe {
            let writes = ffi::rocksdb_writeoptions_create();
            ffi::rocksdb_writeoptions_set_no_slowdown(writes, 1);
            let reads = ffi::rocksdb_readoptions_create();
            (inner.as_raw_ptr(), reads, writes, ffi::rocksdb_writeoptions_create())
        };
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !options.read_only {
            *OPEN.lock().entry(path.clone()).or_default() += 1;
        }
        let db = Arc::new(Db {
            inner: ManuallyDrop::new(inner),
            raw,
            families,
            raw_reads,
            raw_writes,
            raw_patient_writes,
            path,
            writer: !options.read_only,
            process: Process::current(),
            id: IDS.fetch_add(1, Ordering::Relaxed),
            after_close: Mutex::new(None),
            filters,
            flushes: RwLock::new(()),
            held,
        });
        if one_by_one {
            db.keep_tables_open()?;
        }
        Ok(db)
    }

    /// From now on a table file that is opened stays open, and is found without a look-up.
    fn keep_tables_open(&self) -> Result<()> {
        let mut error = std::ptr::null_mut();
        // SAFETY: both lists have one string each and outlive the call.
        unsafe {
            let (name, value) = (c"max_open_files".as_ptr(), c"-1".as_ptr());
            ffi::rocksdb_set_db_options(self.raw, 1, &raw const name, &raw const value, &raw mut error);
        }
        taken("keep table files open", error)
    }

    /// Refuses a folder with column families that this version does not know, before anything in it is changed.
    pub fn check_families(path: &Path, options: &DbOptions) -> Result<()> {
        check_families(&options.db(path), path, options.read_only)
    }

    /// From now on compactions leave out what is dead for good, its keys being of that layout.
    pub fn leave_out_dead(&self, layout: Layout) {
        self.filters.begin(self.raw, self.families[METADATA as usize], layout);
    }

    /// How long compactions keep what has expired.
    pub fn set_grace(&self, grace: Duration) {
        self.filters.set_grace(grace);
    }

    /// Until when, in Unix milliseconds, this database has what its primary had: what expired before may be left out.
    pub fn set_level(&self, level_ms: u64) {
        self.filters.set_level(level_ms);
    }

    /// Tells it from every other database that this process had open.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rocks(&self) -> &DB {
        &self.inner
    }

    pub(super) fn raw(&self) -> *mut ffi::rocksdb_t {
        self.raw
    }

    pub(super) fn family(&self, family: u32) -> &impl AsColumnFamilyRef {
        self.inner.cf_handle(FAMILY_NAMES[family as usize]).expect("all families were checked at open")
    }

    /// The last sequence number written.
    pub fn latest_sequence(&self) -> u64 {
        // SAFETY: the database is open while `self` lives.
        unsafe { ffi::rocksdb_get_latest_sequence_number(self.raw) }
    }

    /// One record, pinned where RocksDB keeps it.
    pub fn get(self: &Arc<Self>, family: u32, key: &[u8], snapshot: Option<&Snapshot>) -> Result<Option<Pinned>> {
        stop_counting();
        let reads = snapshot.map_or(self.raw_reads, |snapshot| snapshot.raw_reads);
        let mut error = std::ptr::null_mut();
        // SAFETY: key and options outlive the call; the result is freed by `Pinned` before the database closes.
        let slice = unsafe {
            ffi::rocksdb_get_pinned_cf(
                self.raw,
                reads,
                self.families[family as usize],
                key.as_ptr().cast(),
                key.len(),
                &raw mut error,
            )
        };
        taken("read", error)?;
        if slice.is_null() {
            return Ok(None);
        }
        let mut length = 0;
        // SAFETY: the slice is valid until destroyed.
        let data = unsafe { ffi::rocksdb_pinnableslice_value(slice, &raw mut length) };
        Ok(Some(Pinned { slice, data: data.cast(), length, db: Arc::clone(self) }))
    }

    /// Many records of one family, in the order of the keys.
    pub fn get_many(
        self: &Arc<Self>,
        family: u32,
        keys: &[impl AsRef<[u8]>],
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<Option<Pinned>>> {
        stop_counting();
        // RocksDB takes longer to bring them into its order.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|&one, &other| keys[one].as_ref().cmp(keys[other].as_ref()));
        let slice = |key: &[u8]| ffi::rocksdb_slice_t { data: key.as_ptr().cast(), size: key.len() };
        let sorted: Vec<ffi::rocksdb_slice_t> = order.iter().map(|&place| slice(keys[place].as_ref())).collect();
        let mut slices = vec![std::ptr::null_mut(); keys.len()];
        let mut errors: Vec<*mut c_char> = vec![std::ptr::null_mut(); keys.len()];
        let reads = snapshot.map_or(self.raw_reads, |snapshot| snapshot.raw_reads);
        // SAFETY: all arrays have `keys.len()` places and outlive the call.
        unsafe {
            ffi::rocksdb_batched_multi_get_cf_slice(
                self.raw,
                reads,
                self.families[family as usize],
                keys.len(),
                sorted.as_ptr(),
                slices.as_mut_ptr(),
                errors.as_mut_ptr(),
                true,
            );
        }
        let mut values: Vec<Option<Pinned>> = std::iter::repeat_with(|| None).take(keys.len()).collect();
        for (place, slice) in order.into_iter().zip(slices).filter(|(_, slice)| !slice.is_null()) {
            let mut length = 0;
            // SAFETY: the slice is valid until destroyed.
            let data = unsafe { ffi::rocksdb_pinnableslice_value(slice, &raw mut length) };
            values[place] = Some(Pinned { slice, data: data.cast(), length, db: Arc::clone(self) });
        }
        let mut result = Ok(values);
        for error in errors {
            if let Err(e) = taken("read", error) {
                result = Err(e);
            }
        }
        result
    }

    /// Writes one serialised batch as one WAL record. It survives a killed process when this returns, and a
    /// power cut after [`Db::sync_wal`]. Waits while memtables must be flushed first; fails when that cannot be done.
    pub fn write(&self, batch: &[u8]) -> Result<()> {
        self.write_with(batch, self.raw_writes, self.raw_patient_writes)
    }

    /// As [`Db::write`], past the WAL: it survives nothing before [`Db::flush_memtables`], and no follower can read it.
    pub fn write_unlogged(&self, batch: &[u8]) -> Result<()> {
        // SAFETY: options of this call alone, destroyed once after it.
        unsafe {
            let writes = [ffi::rocksdb_writeoptions_create(), ffi::rocksdb_writeoptions_create()];
            ffi::rocksdb_writeoptions_set_no_slowdown(writes[0], 1);
            for writes in writes {
                ffi::rocksdb_writeoptions_disable_WAL(writes, 1);
            }
            let written = self.write_with(batch, writes[0], writes[1]);
            for writes in writes {
                ffi::rocksdb_writeoptions_destroy(writes);
            }
            written
        }
    }

    fn write_with(
        &self,
        batch: &[u8],
        hasty: *mut ffi::rocksdb_writeoptions_t,
        patient: *mut ffi::rocksdb_writeoptions_t,
    ) -> Result<()> {
        // SAFETY: the bytes are copied by `create_from`.
        let raw = unsafe { ffi::rocksdb_writebatch_create_from(batch.as_ptr().cast(), batch.len()) };
        let written = self.write_raw(raw, hasty, patient);
        // SAFETY: destroyed once, after the write.
        unsafe { ffi::rocksdb_writebatch_destroy(raw) };
        written
    }

    /// RocksDB itself would wait for room in its memtables inside the write, and not come back when the flush that
    /// makes room fails on a full disk. So it is asked not to wait, and asked again.
    fn write_raw(
        &self,
        batch: *mut ffi::rocksdb_writebatch_t,
        hasty: *mut ffi::rocksdb_writeoptions_t,
        patient: *mut ffi::rocksdb_writeoptions_t,
    ) -> Result<()> {
        const PATIENCE: u32 = 2_000;
        let mut idle = 0;
        loop {
            let written = self.write_once(batch, hasty);
            match &written {
                Err(e) if e.message().contains("Write stall") => {}
                _ => return written,
            }
            if self.shared_property("rocksdb.is-write-stopped") == 0 {
                // It is slowed down, not stopped: there RocksDB knows best how long.
                return self.write_once(batch, patient);
            }
            let running = self.shared_property("rocksdb.num-running-flushes")
                + self.shared_property("rocksdb.num-running-compactions");
            idle = if running == 0 { idle + 1 } else { 0 };
            if idle == PATIENCE {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!(
                        "write: {} takes none before it has flushed or compacted, and it does neither",
                        self.path.display()
                    ),
                ));
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn write_once(
        &self,
        batch: *mut ffi::rocksdb_writebatch_t,
        options: *mut ffi::rocksdb_writeoptions_t,
    ) -> Result<()> {
        let mut error = std::ptr::null_mut();
        // SAFETY: batch and options live during the call.
        unsafe { ffi::rocksdb_write(self.raw, options, batch, &raw mut error) };
        taken("write", error)
    }

    /// Makes every record written so far survive a power cut. Blocks for one fsync.
    pub fn sync_wal(&self) -> Result<()> {
        self.inner.flush_wal(true).map_err(|e| storage_error("sync the WAL", e.into_string()))
    }

    /// Writes all memtables to SST files and waits for it.
    pub fn flush_memtables(&self) -> Result<()> {
        let _flushes = self.flushes.read();
        let families: Vec<_> = (0..FAMILY_NAMES.len() as u32).map(|id| self.family(id)).collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.inner.flush_cfs_opt(&families, &options).map_err(|e| storage_error("flush memtables", e.into_string()))
    }

    /// A view of this moment.
    pub fn snapshot(self: &Arc<Self>) -> Snapshot {
        self.filters.add_snapshot();
        // SAFETY: released in `Snapshot::drop`, which holds the database open.
        unsafe {
            let raw = ffi::rocksdb_create_snapshot(self.raw);
            let raw_reads = ffi::rocksdb_readoptions_create();
            ffi::rocksdb_readoptions_set_snapshot(raw_reads, raw);
            Snapshot { raw, raw_reads, sequence: ffi::rocksdb_snapshot_get_sequence_number(raw), db: Arc::clone(self) }
        }
    }

    /// Keeps every file, those of the log too, until the guard goes.
    pub fn hold_files(self: &Arc<Self>) -> Result<HeldFiles> {
        self.inner.disable_file_deletions().map_err(|e| storage_error("hold files", e.into_string()))?;
        Ok(HeldFiles { db: Arc::clone(self), process: Process::current() })
    }

    /// Reads every data block of every file and compares its checksum.
    pub fn verify_checksums(&self) -> Result<()> {
        let mut error = std::ptr::null_mut();
        // SAFETY: the database is open while `self` lives.
        unsafe { ffi::rocksdb_verify_checksum(self.raw, &raw mut error) };
        taken("verify checksums", error)
    }

    /// Stops flushes and compactions for good. Reads go on.
    pub fn stop_background_work(&self) {
        self.inner.cancel_all_background_work(false);
    }

    /// What to do once the database is closed. It is then closed on a thread of its own, so that the last
    /// reader does not pay for it; `closing` tells when that is done.
    pub fn after_close(&self, closing: &Arc<Closing>, work: impl FnOnce() + Send + 'static) {
        *self.after_close.lock() = Some((Arc::clone(closing), Box::new(work)));
    }

    /// An integer property of RocksDB, summed over all families; 0 when it is unknown.
    pub fn property(&self, name: &str) -> u64 {
        (0..FAMILY_NAMES.len() as u32)
            .map(|id| self.inner.property_int_value_cf(self.family(id), name).ok().flatten().unwrap_or(0))
            .sum()
    }

    /// An integer property of the whole RocksDB; 0 when it is unknown.
    pub fn shared_property(&self, name: &str) -> u64 {
        self.inner.property_int_value(name).ok().flatten().unwrap_or(0)
    }

    /// About how many bytes of keys and values a family holds, records that were replaced since included.
    pub fn raw_bytes(&self, family: u32) -> u64 {
        let handle = self.family(family);
        let tables = self.inner.property_value_cf(handle, "rocksdb.aggregated-table-properties").ok().flatten();
        let in_tables = tables.as_deref().map_or(0, |tables| {
            let of = |name: &str| -> Option<u64> { tables.split(name).nth(1)?.split(';').next()?.trim().parse().ok() };
            of("raw key size=").unwrap_or(0) + of("raw value size=").unwrap_or(0)
        });
        let in_memory = self.inner.property_int_value_cf(handle, "rocksdb.cur-size-all-mem-tables").ok().flatten();
        in_tables + in_memory.unwrap_or(0)
    }

    /// Number and bytes of the live SST files.
    pub fn table_files(&self) -> (u64, u64) {
        let files = self.inner.live_files().unwrap_or_default();
        (files.len() as u64, files.iter().map(|file| file.size as u64).sum())
    }
}

/// Keeps RocksDB from counting in thread-local variables what the calling thread does, which nobody asks for. In a
/// shared library every look at such a variable is a call, and a read takes about a hundred of them.
#[inline]
pub(super) fn stop_counting() {
    const DISABLE: i32 = 1;
    thread_local!(static STOPPED: Cell<bool> = const { Cell::new(false) });
    if !STOPPED.get() {
        STOPPED.set(true);
        // SAFETY: it sets a variable of this thread.
        unsafe { ffi::rocksdb_set_perf_level(DISABLE) };
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        // SAFETY: dropped once, here; nothing else holds these pointers any more.
        let inner = unsafe {
            ffi::rocksdb_readoptions_destroy(self.raw_reads);
            ffi::rocksdb_writeoptions_destroy(self.raw_writes);
            ffi::rocksdb_writeoptions_destroy(self.raw_patient_writes);
            ManuallyDrop::take(&mut self.inner)
        };
        let path = std::mem::take(&mut self.path);
        let (held, writer, filters) = (self.held.take(), self.writer, Arc::clone(&self.filters));
        let close = move || {
            // A compaction may be asking the database for metadata until it has ended.
            inner.cancel_all_background_work(true);
            filters.end();
            pace::rest();
            drop(inner);
            if writer {
                let mut open = OPEN.lock();
                match open.get_mut(&path) {
                    Some(times) if *times > 1 => *times -= 1,
                    _ => drop(open.remove(&path)),
                }
            }
            drop(held);
        };
        match self.after_close.get_mut().take() {
            None => close(),
            Some((closing, work)) => closing.run(move || {
                close();
                pace::rest();
                work();
            }),
        }
    }
}

/// A value where RocksDB keeps it. Holds the database open; leaked in a forked child.
pub struct Pinned {
    /// Null for bytes of our own.
    slice: *mut ffi::rocksdb_pinnableslice_t,
    data: *const u8,
    length: usize,
    db: Arc<Db>,
}

// SAFETY: a pinned slice is read-only memory with its own reference on the block.
unsafe impl Send for Pinned {}
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Bytes that RocksDB does not have yet, to be read as if it had.
    pub fn copied(db: &Arc<Db>, bytes: &[u8]) -> Pinned {
        let data = Box::into_raw(Box::<[u8]>::from(bytes));
        Pinned { slice: std::ptr::null_mut(), data: data.cast(), length: bytes.len(), db: Arc::clone(db) }
    }
}

impl Deref for Pinned {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: RocksDB keeps `length` bytes at `data` until the slice is destroyed.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.slice.is_null() {
            let bytes = std::ptr::slice_from_raw_parts_mut(self.data.cast_mut(), self.length);
            // SAFETY: `copied` took it out of a box of that length, which nobody else holds.
            drop(unsafe { Box::from_raw(bytes) });
        } else if self.db.process.is_current() {
            // SAFETY: destroyed once, before the database that it holds open.
            unsafe { ffi::rocksdb_pinnableslice_destroy(self.slice) };
        }
    }
}

/// A consistent view of one moment. Holds the database open; leaked in a forked child.
pub struct Snapshot {
    raw: *const ffi::rocksdb_snapshot_t,
    raw_reads: *mut ffi::rocksdb_readoptions_t,
    sequence: u64,
    db: Arc<Db>,
}

// SAFETY: a snapshot and its read options are only read.
unsafe impl Send for Snapshot {}
unsafe impl Sync for Snapshot {}

impl Snapshot {
    /// The last sequence that it sees.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn raw(&self) -> *const ffi::rocksdb_snapshot_t {
        self.raw
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.db.process.is_current() {
            // SAFETY: released once, before the database that it holds open.
            unsafe {
                ffi::rocksdb_readoptions_destroy(self.raw_reads);
                ffi::rocksdb_release_snapshot(self.db.raw, self.raw);
            }
            self.db.filters.remove_snapshot();
        }
    }
}

/// Lets RocksDB take writes again by itself after a full disk was freed.
pub(super) fn recover_from_full_disk(options: &mut Options) {
    // SAFETY: the options hold their own reference to the file manager after the call.
    unsafe {
        let env = ffi::rocksdb_create_default_env();
        let files = ffi::rocksdb_sst_file_manager_create(env);
        ffi::rocksdb_options_set_sst_file_manager(options.as_raw_ptr(), files);
        ffi::rocksdb_sst_file_manager_destroy(files);
        ffi::rocksdb_env_destroy(env);
    }
}

/// Refuses a database with a column family that this version does not know, or that it cannot add.
fn check_families(options: &Options, path: &Path, read_only: bool) -> Result<()> {
    let found = DB::list_cf(options, path)
        .map_err(|e| storage_error(&format!("list column families of {}", path.display()), e.into_string()))?;
    for name in &found {
        if !FAMILY_NAMES.contains(&name.as_str()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "column family {} in {} is unknown: the directory is of a newer Kvrocks, or not of a Kvrocks; \
                     expected only {}",
                    crate::engine::error::shown(name.as_bytes()),
                    path.display(),
                    FAMILY_NAMES.join(", ")
                ),
            ));
        }
    }
    if let Some(missing) = FAMILY_NAMES.iter().find(|name| read_only && !found.iter().any(|known| known == *name)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "column family {missing} is missing in {}: an older Kvrocks wrote it; open it once for writing, which adds it",
                path.display()
            ),
        ));
    }
    Ok(())
}

/// Turns RocksDB's error string into an error, and frees it.
pub(super) fn taken(what: &str, error: *mut c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: RocksDB gives a C string that the caller frees.
    let text = unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        ffi::rocksdb_free(error.cast());
        text
    };
    Err(storage_error(what, text))
}

/// The kind that RocksDB's words stand for (rocksdb: util/status.cc).
pub(super) fn storage_error(what: &str, text: String) -> Error {
    let kind = if text.starts_with("Corruption") || text.starts_with("Not found") || text.contains("No such file") {
        ErrorKind::Corruption
    } else if text.starts_with("IO error") && text.contains("lock") && text.contains("LOCK") {
        ErrorKind::Busy
    } else if text.starts_with("IO error") {
        ErrorKind::Io
    } else if text.starts_with("Invalid argument") {
        ErrorKind::InvalidArgument
    } else if text.starts_with("Not implemented") {
        ErrorKind::Unsupported
    } else if text.starts_with("Resource busy") || text.starts_with("Operation aborted") {
        ErrorKind::Busy
    } else {
        ErrorKind::Io
    };
    Error::new(kind, format!("{what}: RocksDB says {text}"))
}
/// While it lives no file of the database goes.
pub struct HeldFiles {
    db: Arc<Db>,
    process: Process,
}

impl Drop for HeldFiles {
    fn drop(&mut self) {
        if self.process.is_current() {
            // Where it fails they stay for longer, until the database is opened again.
            let _ = self.db.inner.enable_file_deletions();
        }
    }
}
