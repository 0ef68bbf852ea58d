//! The files that a full sync fetches: which of them, or which piece of one, a connection fetches next. Who finds no file any
//! more takes pieces of those that others have begun, so that all connections end at about the same time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::engine::error::{Error, Result};
use crate::engine::format::side::ManifestFile;
use crate::engine::storage::files;

/// What is asked for at a time.
const PIECE: u64 = 512 << 10;
/// How many pieces of a file are asked for at a time: whoever is killed meanwhile knows by its length up to where all of it is
/// here.
const AT_A_TIME: u64 = 4;

/// How much is sure to be here of a file of which pieces were arriving.
fn sure_part(length: u64) -> u64 {
    length.div_ceil(PIECE).saturating_sub(AT_A_TIME) * PIECE
}

/// What a file is called while its pieces arrive.
pub fn pieces_name(name: &str) -> String {
    format!("{name}.pieces")
}

/// What a file is called of which the beginning is here, up to its length.
pub fn partial_name(name: &str) -> String {
    format!("{name}.partial")
}

/// A file that arrives in pieces. When it goes before all have come, what is here without a gap is kept.
pub struct Arriving<'m> {
    pub file: &'m ManifestFile,
    folder: PathBuf,
    out: File,
    state: Mutex<Pieces>,
    changed: Condvar,
}

struct Pieces {
    /// Where the first piece begins that nobody was given.
    next: u64,
    /// Up to where all is here, with the checksum of that, and up to where the disk was told to begin.
    whole: u64,
    crc: u32,
    begun: u64,
    /// Lengths and checksums of pieces behind that, by where they begin.
    here: BTreeMap<u64, (u64, u32)>,
    ended: bool,
    finished: bool,
}

impl<'m> Arriving<'m> {
    /// Begins a file, or goes on with what an earlier try has left of it, which `on_kept` hears of.
    pub fn begin(
        file: &'m ManifestFile,
        folder: &Path,
        mut on_kept: impl FnMut(usize) -> Result<()>,
    ) -> Result<Arriving<'m>> {
        let (pieces, partial) = (folder.join(pieces_name(&file.name)), folder.join(partial_name(&file.name)));
        let length = |path: &Path| fs::metadata(path).ok().map(|found| found.len());
        let mut from = length(&pieces).map_or(0, sure_part);
        if let Some(exact) = length(&partial) {
            rename(&partial, &pieces)?;
            from = exact;
        }
        if from > file.size {
            from = 0;
        }
        let failed = |e| Error::io(format!("write {}", pieces.display()), e);
        let out = OpenOptions::new().create(true).truncate(false).write(true).open(&pieces).map_err(failed)?;
        out.set_len(from).map_err(failed)?;
        let mut crc = 0;
        if from > 0 {
            files::PieceReader::new().read(&pieces, |piece| {
                crc = crc32c::crc32c_append(crc, piece);
                on_kept(piece.len())
            })?;
        }
        let state =
            Pieces { next: from, whole: from, crc, begun: from, here: BTreeMap::new(), ended: false, finished: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Arriving { file, folder: folder.to_owned(), out, state, changed })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(pieces_name(&self.file.name))
    }

    /// Where the next piece begins and how long it is. `None` when there is none any more.
    pub fn take(&self) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        while !state.ended && state.next < self.file.size && state.next / PIECE >= state.whole / PIECE + AT_A_TIME {
            self.changed.wait(&mut state);
        }
        if state.ended || state.next >= self.file.size {
            return None;
        }
        let at = state.next;
        // Pieces end at multiples, wherever the first begins.
        let length = (PIECE - at % PIECE).min(self.file.size - at);
        state.next += length;
        Some((at, length))
    }

    pub fn write(&self, data: &[u8], at: u64) -> Result<()> {
        self.out.write_all_at(data, at).map_err(|e| Error::io(format!("write {}", self.path().display()), e))
    }

    /// A piece was written. `true` for whoever brought what the file lacked, and has to finish it.
    pub fn put(&self, at: u64, length: u64, crc: u32) -> bool {
        const BEHIND: u64 = 4 << 20;
        let mut state = self.state.lock();
        state.here.insert(at, (length, crc));
        let former = state.whole;
        while let Some((length, crc)) = {
            let whole = state.whole;
            state.here.remove(&whole)
        } {
            state.crc = crc32c::crc32c_combine(state.crc, crc, length as usize);
            state.whole += length;
        }
        self.changed.notify_all();
        let whole = state.whole;
        if whole - state.begun >= BEHIND {
            let begun = std::mem::replace(&mut state.begun, whole);
            drop(state);
            files::write_behind(&self.out, begun, whole - begun);
        }
        whole > former && whole == self.file.size
    }

    /// All of it is here: it is synced and gets its name. Gives its checksum.
    pub fn finish(&self) -> Result<u32> {
        self.out.sync_all().map_err(|e| Error::io(format!("fsync {}", self.path().display()), e))?;
        rename(&self.path(), &self.folder.join(&self.file.name))?;
        let mut state = self.state.lock();
        state.finished = true;
        Ok(state.crc)
    }

    /// Whether there is a piece that nobody was given.
    fn has_more(&self) -> bool {
        let state = self.state.lock();
        !state.ended && state.next < self.file.size
    }

    /// Whether there are several of them.
    fn can_be_shared(&self) -> bool {
        self.file.size - self.state.lock().next > PIECE
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.finished && self.out.set_len(state.whole).is_ok() {
            let _ = rename(&self.path(), &self.folder.join(partial_name(&self.file.name)));
        }
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io(format!("rename {}", from.display()), e))
}

/// What a connection does next.
pub enum Next<'m> {
    /// To begin a file.
    Begin(&'m ManifestFile),
    /// To fetch pieces of one that was begun.
    Help(Arc<Arriving<'m>>),
}

/// Ends the queue when it goes in a panic: the other connections would wait for this one.
pub struct EndsInPanic<'q, 'm>(pub &'q Queue<'m>);

impl Drop for EndsInPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// The files that are to be fetched. More may come while it is not known of all whether they are here.
pub struct Queue<'m> {
    state: Mutex<Queued<'m>>,
    changed: Condvar,
}

struct Queued<'m> {
    files: VecDeque<&'m ManifestFile>,
    /// How many were given to somebody who has not said yet whether others can help.
    beginning: usize,
    begun: Vec<Arc<Arriving<'m>>>,
    more: bool,
    ended: bool,
}

impl<'m> Queue<'m> {
    pub fn of(files: Vec<&'m ManifestFile>) -> Queue<'m> {
        let state = Queued { files: files.into(), beginning: 0, begun: Vec::new(), more: true, ended: false };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next file or one that lacks pieces, for which it waits; `None` when there will be none.
    pub fn next(&self) -> Option<Next<'m>> {
        let mut state = self.state.lock();
        while !state.ended {
            if let Some(file) = state.files.pop_front() {
                state.beginning += 1;
                return Some(Next::Begin(file));
            }
            state.begun.retain(|arriving| arriving.has_more());
            if let Some(arriving) = state.begun.first() {
                return Some(Next::Help(Arc::clone(arriving)));
            }
            if !state.more && state.beginning == 0 {
                break;
            }
            self.changed.wait(&mut state);
        }
        None
    }

    /// A file that was given was begun, and others can help with it; or it was not, or nobody can.
    pub fn begun(&self, arriving: Option<&Arc<Arriving<'m>>>) {
        let mut state = self.state.lock();
        state.beginning -= 1;
        if state.ended {
            arriving.inspect(|arriving| arriving.end());
        } else {
            state.begun.extend(arriving.filter(|arriving| arriving.can_be_shared()).cloned());
        }
        drop(state);
        self.changed.notify_all();
    }

    pub fn add(&self, file: &'m ManifestFile) {
        let mut state = self.state.lock();
        state.files.push_back(file);
        drop(state);
        self.changed.notify_one();
    }

    pub fn all_are_in(&self) {
        self.state.lock().more = false;
        self.changed.notify_all();
    }

    /// Nobody is to fetch anything more.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.begun.drain(..).for_each(|arriving| arriving.end());
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::fuzz::Random;

    /// Once the queue has ended, in order or by a panic, nobody is given anything or waits for it, also with a file that
    /// somebody was just beginning.
    #[test]
    fn ended() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            ["1.sst", "2.sst", "3.sst"].map(|name| ManifestFile { name: name.into(), size: 9 << 20, crc32c: 0 });
        let queue = Queue::of(files.iter().collect());
        let Some(Next::Begin(first)) = queue.next() else { panic!("a file") };
        let Some(Next::Begin(second)) = queue.next() else { panic!("another file") };
        let shared = Arc::new(Arriving::begin(first, folder.path(), |_| Ok(())).unwrap());
        queue.begun(Some(&shared));
        while shared.state.lock().next < AT_A_TIME * PIECE {
            assert!(shared.take().is_some());
        }
        let panicked = std::thread::scope(|scope| {
            // It waits for the first pieces.
            let waits = scope.spawn(|| shared.take());
            let panics = scope.spawn(|| {
                let _ends = EndsInPanic(&queue);
                panic!("of this test");
            });
            assert_eq!(waits.join().unwrap(), None);
            panics.join().is_err()
        });
        assert!(panicked);
        let late = Arc::new(Arriving::begin(second, folder.path(), |_| Ok(())).unwrap());
        queue.begun(Some(&late));
        assert_eq!((late.take(), queue.next().is_none()), (None, true));
    }

    /// Whatever order pieces come in, and however often their arrival ends in order or with the process, what is taken for
    /// sure is here, only what must be is fetched again, and the file is whole in the end.
    #[test]
    fn broken_off_anywhere() {
        let mut random = Random(11);
        let (mut killed, mut ended, mut fetched, mut sizes) = (0, 0, 0, 0);
        let all: Vec<u8> = (0..9_437_184).map(|_| random.below(256) as u8).collect();
        for size in [0, 1, PIECE as usize, 3_000_000, 6_000_001, all.len()].repeat(15) {
            let bytes = &all[..size];
            let file = ManifestFile { name: "1.sst".into(), size: size as u64, crc32c: crc32c::crc32c(bytes) };
            let folder = tempfile::tempdir().unwrap();
            let path = |name: String| folder.path().join(name);
            let begin = |expected: u64| {
                let mut kept = 0;
                let arriving = Arriving::begin(&file, folder.path(), |more| {
                    kept += more as u64;
                    Ok(())
                });
                assert_eq!(kept, expected);
                arriving.unwrap()
            };
            let mut arriving = begin(0);
            let mut held: Vec<(u64, u64)> = Vec::new();
            let mut whole = size == 0;
            while !whole {
                let state = arriving.state.lock();
                let (here, next) = (state.whole, state.next);
                drop(state);
                let is_free = next < file.size && next / PIECE < here / PIECE + AT_A_TIME;
                match random.below(40) {
                    0 => {
                        // Killed: nothing more happens to the file.
                        let length = fs::metadata(arriving.path()).unwrap().len();
                        std::mem::forget(arriving);
                        let sure = sure_part(length);
                        assert!(sure <= here && here < sure + (AT_A_TIME + 1) * PIECE, "{sure} of {here}");
                        let found = fs::read(path(pieces_name("1.sst"))).unwrap();
                        assert_eq!(found[..sure as usize], bytes[..sure as usize]);
                        (arriving, killed) = (begin(sure), killed + 1);
                        held.clear();
                    }
                    1 => {
                        drop(arriving);
                        assert_eq!(fs::read(path(partial_name("1.sst"))).unwrap(), bytes[..here as usize]);
                        (arriving, ended) = (begin(here), ended + 1);
                        held.clear();
                    }
                    2..24 if is_free => held.extend(arriving.take()),
                    _ if !held.is_empty() => {
                        let (at, length) = held.swap_remove(held.len() - 1 - random.below(held.len()) / 2);
                        let piece = &bytes[at as usize..][..length as usize];
                        // Some are cut short, as by a connection that breaks.
                        let written = if random.below(10) == 0 { random.below(piece.len()) } else { piece.len() };
                        arriving.write(&piece[..written], at).unwrap();
                        fetched += written as u64;
                        if written < piece.len() {
                            held.push((at, length));
                        } else {
                            whole = arriving.put(at, length, crc32c::crc32c(piece));
                        }
                    }
                    _ => {}
                }
            }
            assert_eq!(arriving.take(), None);
            assert_eq!(arriving.finish().unwrap(), file.crc32c);
            drop(arriving);
            assert_eq!(fs::read(path("1.sst".to_owned())).unwrap(), bytes);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            sizes += size as u64;
        }
        assert!(killed > 5 && ended > 5 && fetched > sizes, "{killed} {ended} {fetched}");
    }
}
