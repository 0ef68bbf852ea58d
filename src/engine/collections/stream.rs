//! Streams as users hold them.

use super::super::error::{Error, ErrorKind, Result, shown};
use super::super::format::metadata::Kind;
use super::super::format::stream::StreamId;
use super::super::types::reading::Budget;
use super::super::types::stream::{self, Keep, NewId, StreamEntry, Trim};
use super::super::types::stream_group::{self, Claim, Created};
use super::{Key, Walk};

/// A stream: a log of entries, each with an id of milliseconds and a number, and fields with values; read from any id on,
/// or by groups that share it. A handle of a key, which need not be there; WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Ids grow; those
/// from 2^64 - 1 milliseconds on are reserved.
///
/// ```
/// use pumice::{Engine, Options, StreamId};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let jobs = engine.default_namespace().stream("jobs");
/// let first = jobs.add(&[("task", "wash")])?;
/// jobs.add(&[("task", "dry")])?;
/// assert_eq!(jobs.entries(StreamId::MIN, StreamId::MAX, 10)?[0].values, [b"task", b"wash"]);
/// let mut newest = jobs.iter_reversed(StreamId::MIN, StreamId::MAX)?;
/// while let Some(entry) = newest.next_entry()? {
///     assert_eq!(entry.values[0], b"task");
/// }
///
/// let workers = jobs.group("workers");
/// assert!(workers.create(StreamId::MIN)?);
/// let given = workers.read("ada", 1)?;
/// assert_eq!(given[0].id, first);
/// assert_eq!(workers.acknowledge(&[first])?, 1);
/// assert_eq!(jobs.trim(0)?, 2);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    pub(super) key: Key,
}

impl Stream {
    /// Appends an entry with the next id: the time now, or just behind the last one.
    pub fn add(&self, fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<StreamId> {
        self.append(NewId::Auto, fields)
    }

    /// Appends an entry with an id behind the last one.
    pub fn add_with(&self, id: StreamId, fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<StreamId> {
        self.append(NewId::Exact(id), fields)
    }

    fn append(&self, id: NewId, fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<StreamId> {
        if fields.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "stream entry: got no fields, expected at least one"));
        }
        let values: Vec<&[u8]> = fields.iter().flat_map(|(field, value)| [field.as_ref(), value.as_ref()]).collect();
        let added = self.key.write(|writing, key| stream::add(writing, key, id, &values, None, true))?;
        added.ok_or_else(|| Error::new(ErrorKind::Internal, "stream entry: it was not added"))
    }

    /// How many entries there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(|reading, key| Ok(stream::Stream::find(reading, key)?.map_or(0, |found| found.metadata.size)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The entries from one id to another, which is among them, in order, `count` at most. They are in memory together: more
    /// than 512 MiB are InvalidArgument. [`Stream::iter`] holds one at a time.
    pub fn entries(&self, from: StreamId, to: StreamId, count: u64) -> Result<Vec<StreamEntry>> {
        self.range(from, to, false, count)
    }

    /// [`Stream::entries`] from the last to the first.
    pub fn entries_reversed(&self, from: StreamId, to: StreamId, count: u64) -> Result<Vec<StreamEntry>> {
        self.range(from, to, true, count)
    }

    fn range(&self, from: StreamId, to: StreamId, reverse: bool, count: u64) -> Result<Vec<StreamEntry>> {
        self.key.view(|reading, key| match stream::Stream::find(reading, key)? {
            Some(found) => found.range(reading, from, to, reverse, count, &mut Budget::default()),
            None => Ok(Vec::new()),
        })
    }

    /// The entries from one id to another, which is among them, in order, as they are at this moment. Nothing is loaded
    /// ahead, however long the stream is.
    pub fn iter(&self, from: StreamId, to: StreamId) -> Result<Entries> {
        self.walk(from, to, false)
    }

    /// [`Stream::iter`] from the last to the first.
    pub fn iter_reversed(&self, from: StreamId, to: StreamId) -> Result<Entries> {
        self.walk(from, to, true)
    }

    fn walk(&self, from: StreamId, to: StreamId, reverse: bool) -> Result<Entries> {
        self.key.view(|reading, key| Ok(Entries(Walk::of(stream::entries(reading, key, from, to, reverse)?))))
    }

    /// Deletes entries. How many were there.
    pub fn remove(&self, ids: &[StreamId]) -> Result<u64> {
        self.key.write(|writing, key| stream::delete(writing, key, ids))
    }

    /// Deletes the oldest entries but `count`. How many went.
    pub fn trim(&self, count: u64) -> Result<u64> {
        self.key.write(|writing, key| stream::trim(writing, key, Trim { keep: Keep::Newest(count), limit: None }))
    }

    /// Deletes the entries before an id. How many went.
    pub fn trim_before(&self, id: StreamId) -> Result<u64> {
        self.key.write(|writing, key| stream::trim(writing, key, Trim { keep: Keep::From(id), limit: None }))
    }

    /// A group of consumers of this stream, there or not.
    pub fn group(&self, name: impl AsRef<[u8]>) -> StreamGroup {
        StreamGroup { key: self.key.clone(), name: name.as_ref().to_vec() }
    }

    /// Removes the stream with its entries and groups: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::STREAM)
    }
}

/// An ordered walk through the entries of a stream, seeing one moment. It holds one entry at a time, and its dataset open.
pub struct Entries(Walk);

impl Entries {
    /// The next entry; `None` at the end, and from then on.
    pub fn next_entry(&mut self) -> Result<Option<StreamEntry>> {
        self.0.next()?.map(|(sub, value)| stream::entry_of(sub, value)).transpose()
    }
}

/// What [`Entries::next_entry`] gives.
impl Iterator for Entries {
    type Item = Result<StreamEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// A group of consumers that share a stream: each entry is given to one of them, and is pending until it is acknowledged.
/// NotFound where a call needs a group that is not there.
#[derive(Clone, Debug)]
pub struct StreamGroup {
    key: Key,
    name: Vec<u8>,
}

impl StreamGroup {
    fn missing(&self) -> Error {
        let message =
            format!("group {} of stream {}: there is none; create it first", shown(&self.name), self.key.shown());
        Error::new(ErrorKind::NotFound, message)
    }

    /// Makes the group, and the stream where there is none: it is given the entries behind an id. `false` when it is there.
    pub fn create(&self, behind: StreamId) -> Result<bool> {
        let created =
            self.key.write(|writing, key| stream_group::create(writing, key, &self.name, Some(behind), -1, true))?;
        Ok(created == Created::Done)
    }

    /// Removes the group with what is pending. Whether it was there.
    pub fn remove(&self) -> Result<bool> {
        let removed = self.key.write(|writing, key| stream_group::destroy(writing, key, &self.name))?;
        Ok(removed.unwrap_or(false))
    }

    /// Gives a consumer entries that none of the group was given, `count` at most.
    pub fn read(&self, consumer: impl AsRef<[u8]>, count: u64) -> Result<Vec<StreamEntry>> {
        let given = self.key.write(|writing, key| {
            let budget = &mut Budget::default();
            stream_group::read_new(writing, key, &self.name, consumer.as_ref(), count, false, budget)
        })?;
        given.ok_or_else(|| self.missing())
    }

    /// Gives a consumer again what is pending for it, behind an id, `count` entries at most. What was deleted meanwhile is
    /// counted, and does not come. Goes through what is pending for others, too.
    pub fn read_pending(&self, consumer: impl AsRef<[u8]>, behind: StreamId, count: u64) -> Result<Vec<StreamEntry>> {
        let given = self.key.write(|writing, key| {
            let budget = &mut Budget::default();
            stream_group::read_pending(writing, key, &self.name, consumer.as_ref(), behind, count, budget)
        })?;
        Ok(given.ok_or_else(|| self.missing())?.into_iter().filter_map(|(_, entry)| entry).collect())
    }

    /// Entries are done with. How many were pending.
    pub fn acknowledge(&self, ids: &[StreamId]) -> Result<u64> {
        self.key.write(|writing, key| stream_group::acknowledge(writing, key, &self.name, ids))
    }

    /// Gives a consumer what has been pending for another, or for itself, for at least so long, `count` entries at most.
    pub fn claim(&self, consumer: impl AsRef<[u8]>, min_idle_ms: u64, count: u64) -> Result<Vec<StreamEntry>> {
        let how = Claim { min_idle_ms, ..Claim::default() };
        let claimed = self.key.write(|writing, key| {
            let from = StreamId::MIN;
            stream_group::auto_claim(writing, key, &self.name, consumer.as_ref(), from, count, &how)
        })?;
        Ok(claimed.ok_or_else(|| self.missing())?.entries)
    }

    /// How many entries are pending for each consumer that has some.
    pub fn pending(&self) -> Result<Vec<(Vec<u8>, u64)>> {
        let summary = self
            .key
            .view(|reading, key| stream_group::pending_summary(reading, key, &self.name, &mut Budget::default()))?;
        Ok(summary.ok_or_else(|| self.missing())?.consumers.into_iter().collect())
    }
}
