//! What compaction leaves out: records that are dead for good.
//! Kvrocks: storage/compact_filter.cc MetadataFilter, SubKeyFilter, PubSubFilter.
//!
//! RocksDB does not mind snapshots here. So while one is open nothing is left out; and since whoever takes a snapshot
//! is counted before it is taken, a count of none that is read *after* a record was judged proves that no
//! snapshot saw it alive.

use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use librocksdb_sys as ffi;
use parking_lot::RwLock;
use rocksdb::{AsRawPtr, Options};

use crate::engine::clock::now_ms;
use crate::engine::format::batch::{DEFAULT, METADATA, PUBSUB, STREAM, ZSET_SCORE};
use crate::engine::format::key::{Layout, decode_subkey, slot};
use crate::engine::format::metadata::{Kind, Metadata, decode_metadata};

/// How long an expired key and what belongs to it are kept, where this engine says what has expired: an EXPIRE or a
/// PERSIST may be about to be written that found it alive.
pub const GRACE: Duration = Duration::from_secs(5 * 60);

/// The same where another says so, whose clock may be behind.
pub const GRACE_OF_REPLICA: Duration = Duration::from_secs(60 * 60);

/// What the filters of one database judge by.
pub struct Filters {
    snapshots: AtomicUsize,
    grace_ms: AtomicU64,
    /// When this database was last known to have everything that its primary had, in Unix milliseconds: what that one has
    /// kept alive since then is not known here. For ever on a primary.
    level_ms: AtomicU64,
    /// Nothing is left out before it is there, nor after it has gone. RocksDB owns the filters, so they may not hold the
    /// database open: the last of them would wait for itself.
    view: RwLock<Option<View>>,
}

/// How metadata is looked up.
struct View {
    db: *mut ffi::rocksdb_t,
    metadata: *mut ffi::rocksdb_column_family_handle_t,
    reads: *mut ffi::rocksdb_readoptions_t,
    layout: Layout,
}

// SAFETY: RocksDB's handles and read options may be used from any thread.
unsafe impl Send for View {}
unsafe impl Sync for View {}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: made by `Filters::begin`, destroyed once.
        unsafe { ffi::rocksdb_readoptions_destroy(self.reads) };
    }
}

impl View {
    /// Judges the newest metadata there is, which is at least as new as any subkey in a file: they are written together.
    /// `None` when it could not be read.
    fn metadata<R>(&self, key: &[u8], judge: impl FnOnce(Option<&[u8]>) -> R) -> Option<R> {
        let mut error = std::ptr::null_mut();
        // SAFETY: the database is open while the view is there; key and options outlive the call, and the slice the
        // judgement.
        unsafe {
            let slice = ffi::rocksdb_get_pinned_cf(
                self.db,
                self.reads,
                self.metadata,
                key.as_ptr().cast(),
                key.len(),
                &raw mut error,
            );
            if !error.is_null() {
                ffi::rocksdb_free(error.cast());
                return None;
            }
            if slice.is_null() {
                return Some(judge(None));
            }
            let mut length = 0;
            let value = ffi::rocksdb_pinnableslice_value(slice, &raw mut length);
            let judged = catch_unwind(AssertUnwindSafe(|| judge(Some(bytes(value, length)))));
            ffi::rocksdb_pinnableslice_destroy(slice);
            judged.ok()
        }
    }
}

impl Filters {
    pub(super) fn new() -> Arc<Filters> {
        Arc::new(Filters {
            snapshots: AtomicUsize::new(0),
            grace_ms: AtomicU64::new(GRACE_OF_REPLICA.as_millis() as u64),
            level_ms: AtomicU64::new(0),
            view: RwLock::new(None),
        })
    }

    /// From now on dead records are left out. `db` must stay open until [`Filters::end`].
    pub(super) fn begin(
        &self,
        db: *mut ffi::rocksdb_t,
        metadata: *mut ffi::rocksdb_column_family_handle_t,
        layout: Layout,
    ) {
        // SAFETY: destroyed with the view.
        let reads = unsafe { ffi::rocksdb_readoptions_create() };
        *self.view.write() = Some(View { db, metadata, reads, layout });
    }

    /// Nothing is left out any more, and the database is not asked again.
    pub(super) fn end(&self) {
        *self.view.write() = None;
    }

    pub(super) fn set_grace(&self, grace: Duration) {
        self.grace_ms.store(grace.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn set_level(&self, level_ms: u64) {
        self.level_ms.store(level_ms, Ordering::Relaxed);
    }

    /// Counts a snapshot, before it is taken.
    pub(super) fn add_snapshot(&self) {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// A snapshot is gone, after it was released.
    pub(super) fn remove_snapshot(&self) {
        self.snapshots.fetch_sub(1, Ordering::SeqCst);
    }

    /// Open snapshots. None means that whatever is gone by now is gone for everybody.
    pub(super) fn snapshots(&self) -> usize {
        fence(Ordering::SeqCst);
        self.snapshots.load(Ordering::SeqCst)
    }

    /// The time of which an expiry must be before for its key to be left out.
    fn deadline(&self) -> u64 {
        now_ms().min(self.level_ms.load(Ordering::Relaxed)).saturating_sub(self.grace_ms.load(Ordering::Relaxed))
    }

    /// Has RocksDB ask these filters when it compacts that family.
    pub(super) fn install(self: &Arc<Filters>, options: &mut Options, family: u32) {
        if ![DEFAULT, METADATA, ZSET_SCORE, PUBSUB, STREAM].contains(&family) {
            return;
        }
        let factory = Box::into_raw(Box::new(Factory { filters: Arc::clone(self), family }));
        // SAFETY: RocksDB frees the state with the factory, and the factory with the last options or database that
        // has it.
        unsafe {
            let factory = ffi::rocksdb_compactionfilterfactory_create(
                factory.cast(),
                Some(free::<Factory>),
                Some(create_filter),
                Some(name),
            );
            ffi::rocksdb_options_set_compaction_filter_factory(options.as_raw_ptr(), factory);
        }
    }
}

/// Whether a metadata record can go: expired before `deadline`, or an empty thing of a kind that dies when empty. Kinds
/// that this version does not know stay.
fn is_dead(metadata: &Metadata, deadline: u64) -> bool {
    !metadata.kind.is_opaque() && !metadata.is_alive(deadline)
}

/// What the subkeys of one version of a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subkeys {
    Alive,
    /// Segments of a bitmap: those without a bit can go.
    Segments,
    Dead,
}

/// Judges the subkeys of a version by the metadata record of their key.
fn subkeys(metadata: Option<&[u8]>, version: u64, deadline: u64) -> Subkeys {
    let Some(record) = metadata else { return Subkeys::Dead };
    match decode_metadata(record) {
        Err(_) => Subkeys::Alive,
        Ok(metadata) if metadata.kind.is_opaque() => Subkeys::Alive,
        Ok(metadata) if metadata.kind.is_single_kv() || metadata.version != version => Subkeys::Dead,
        Ok(metadata) if is_dead(&metadata, deadline) => Subkeys::Dead,
        Ok(metadata) if metadata.kind == Kind::BITMAP => Subkeys::Segments,
        Ok(_) => Subkeys::Alive,
    }
}

/// What RocksDB makes a filter with, for each compaction. Nothing in it changes: compactions run side by side.
struct Factory {
    filters: Arc<Filters>,
    family: u32,
}

/// The filter of one compaction of one family.
struct Filter {
    filters: Arc<Filters>,
    family: u32,
    last: Judged,
}

/// The subkey that was judged last without its sub part, and how: those of one key follow each other.
struct Judged {
    head: Vec<u8>,
    subkeys: Subkeys,
    lookup: Vec<u8>,
}

impl Filter {
    fn removes(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Filter { filters, family, last } = self;
        if filters.snapshots() > 0 {
            return false;
        }
        let view = filters.view.read();
        let Some(view) = &*view else { return false };
        let dead = match *family {
            METADATA => decode_metadata(value).is_ok_and(|metadata| is_dead(&metadata, filters.deadline())),
            PUBSUB => true,
            _ => match last.judge(filters, view, key) {
                Subkeys::Alive => false,
                Subkeys::Segments => value.iter().all(|&byte| byte == 0),
                Subkeys::Dead => true,
            },
        };
        dead && filters.snapshots() == 0
    }
}

impl Judged {
    fn judge(&mut self, filters: &Filters, view: &View, key: &[u8]) -> Subkeys {
        let Ok(subkey) = decode_subkey(key, view.layout) else { return Subkeys::Alive };
        let head = &key[..key.len() - subkey.sub.len()];
        if self.head == head {
            return self.subkeys;
        }
        // A slot that is not its key's: these are not the keys that they are taken for.
        if subkey.slot.is_some_and(|found| found != slot(subkey.key)) {
            return Subkeys::Alive;
        }
        // The key of the metadata is that of the subkey without length, version and sub part.
        self.lookup.clear();
        self.lookup.extend_from_slice(&head[..head.len() - 8 - subkey.key.len() - 4]);
        self.lookup.extend_from_slice(subkey.key);
        let deadline = filters.deadline();
        let judged = view.metadata(&self.lookup, |metadata| subkeys(metadata, subkey.version, deadline));
        // Dead stays dead, since a version is never used again: if no snapshot was open when it was found.
        match judged {
            Some(judged) if judged != Subkeys::Dead || filters.snapshots() == 0 => {
                head.clone_into(&mut self.head);
                self.subkeys = judged;
                judged
            }
            _ => Subkeys::Alive,
        }
    }
}

const NAME: &std::ffi::CStr = c"pumice.dead-records";

extern "C" fn name(_: *mut c_void) -> *const c_char {
    NAME.as_ptr()
}

/// # Safety
/// `state` must be a boxed `T` that nobody uses any more.
unsafe extern "C" fn free<T>(state: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(state.cast::<T>()) });
}

/// # Safety
/// `state` must be the factory's.
unsafe extern "C" fn create_filter(
    state: *mut c_void,
    _: *mut ffi::rocksdb_compactionfiltercontext_t,
) -> *mut ffi::rocksdb_compactionfilter_t {
    // SAFETY: RocksDB gives what it was given; many threads may read it.
    let factory = unsafe { &*state.cast::<Factory>() };
    let filter = Filter {
        filters: Arc::clone(&factory.filters),
        family: factory.family,
        last: Judged { head: Vec::new(), subkeys: Subkeys::Alive, lookup: Vec::new() },
    };
    // SAFETY: RocksDB frees the state with the filter.
    unsafe {
        ffi::rocksdb_compactionfilter_create(
            Box::into_raw(Box::new(filter)).cast(),
            Some(free::<Filter>),
            Some(filter_record),
            Some(name),
        )
    }
}

/// # Safety
/// `state` must be the filter's, and key and value readable.
unsafe extern "C" fn filter_record(
    state: *mut c_void,
    _: c_int,
    key: *const c_char,
    key_length: usize,
    value: *const c_char,
    value_length: usize,
    _: *mut *mut c_char,
    _: *mut usize,
    _: *mut c_uchar,
) -> c_uchar {
    // SAFETY: RocksDB gives what it was given, and uses a filter on one thread.
    let (filter, key, value) =
        unsafe { (&mut *state.cast::<Filter>(), bytes(key, key_length), bytes(value, value_length)) };
    // A panic must not go through RocksDB; what could not be judged stays.
    catch_unwind(AssertUnwindSafe(|| filter.removes(key, value))).unwrap_or(false).into()
}

/// # Safety
/// `data` must be readable for `length` bytes for as long as the caller uses them.
unsafe fn bytes<'a>(data: *const c_char, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data.cast(), length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, expire_ms: u64, version: u64, size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        Metadata { kind, wide: true, expire_ms, version, size, payload: 0 }.append(&mut out);
        out
    }

    /// A replica leaves out only what had expired an hour before it last had everything that its primary had; a primary what
    /// has been expired for five minutes.
    #[test]
    fn deadlines() {
        const HOUR: u64 = 3_600_000;
        let filters = Filters::new();
        assert_eq!(filters.deadline(), 0, "it has never heard of a primary");
        let level = now_ms() - 5 * HOUR;
        filters.set_level(level);
        assert_eq!(filters.deadline(), level - HOUR);
        filters.set_level(u64::MAX);
        filters.set_grace(GRACE);
        assert!((now_ms() - HOUR..now_ms()).contains(&filters.deadline()));
    }

    fn dies(record: &[u8], deadline: u64) -> bool {
        is_dead(&decode_metadata(record).unwrap(), deadline)
    }

    /// A key goes strictly after its expiry, or when it is empty and of a kind that dies of it; a kind that is not known
    /// never goes.
    #[test]
    fn keys() {
        for number in 0..16 {
            let kind = Kind::from_flags(number);
            let known = (1..=11).contains(&number);
            assert_eq!(dies(&record(kind, 1000, 7, 1), 1001), known, "{kind:?}");
            assert!(!dies(&record(kind, 1000, 7, 1), 1000), "{kind:?}");
            assert!(!dies(&record(kind, 0, 7, 1), u64::MAX), "{kind:?}");
            assert_eq!(dies(&record(kind, 0, 7, 0), 0), (2..=7).contains(&number), "{kind:?}");
        }
    }

    /// Subkeys go with their metadata: when it is gone, of another version, a string by now, or dead; never when it
    /// cannot be read or is of a kind that is not known.
    #[test]
    fn of_their_key() {
        let hash = record(Kind::HASH, 1000, 7, 1);
        assert_eq!(subkeys(None, 7, 0), Subkeys::Dead);
        assert_eq!(subkeys(Some(&hash), 7, 1000), Subkeys::Alive);
        assert_eq!(subkeys(Some(&hash), 7, 1001), Subkeys::Dead);
        assert_eq!(subkeys(Some(&hash), 8, 0), Subkeys::Dead);
        assert_eq!(subkeys(Some(&record(Kind::HASH, 0, 7, 0)), 7, 0), Subkeys::Dead);
        assert_eq!(subkeys(Some(&record(Kind::STREAM, 0, 7, 0)), 7, u64::MAX), Subkeys::Alive);
        assert_eq!(subkeys(Some(&record(Kind::BITMAP, 0, 7, 9)), 7, 0), Subkeys::Segments);
        assert_eq!(subkeys(Some(&record(Kind::STRING, 0, 0, 0)), 7, 0), Subkeys::Dead);
        assert_eq!(subkeys(Some(&record(Kind::TOPK, 1000, 9, 0)), 7, u64::MAX), Subkeys::Alive);
        assert_eq!(subkeys(Some(&[0x8f]), 7, u64::MAX), Subkeys::Alive);
        assert_eq!(subkeys(Some(b""), 7, u64::MAX), Subkeys::Alive);
    }
}
