//! Bloom filters in chains: whether an item was added before, with a rate of false alarms that was asked for.

use super::reading::Reading;
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::bloom::{self, BloomState, MAX_FILTER, check_filter, filter_sub};
use crate::engine::format::metadata::{Kind, Metadata};
use crate::engine::storage::db::Pinned;

/// What a Bloom filter is made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BloomShape {
    /// How many items its first filter takes.
    pub capacity: u32,
    /// The rate of false alarms, between 0 and 1.
    pub error_rate: f64,
    /// By how much each filter is larger than the one before; 0 for one that never grows.
    pub expansion: u16,
}

impl Default for BloomShape {
    fn default() -> BloomShape {
        BloomShape { capacity: 100, error_rate: 0.01, expansion: 2 }
    }
}

/// What a Bloom filter is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BloomInfo {
    /// How many items it takes before it grows, or is full.
    pub capacity: u64,
    /// How many were added.
    pub items: u64,
    /// How many filters its chain has.
    pub filters: u16,
    /// How many bytes these have.
    pub bytes: u32,
    /// The rate of false alarms that was asked for.
    pub error_rate: f64,
    /// By how much each filter is larger than the one before; 0 for one that never grows.
    pub expansion: u16,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    New,
    /// It, or one that looks like it, was there.
    Present,
    /// The filter does not grow.
    Full,
}

struct Chain {
    metadata: Metadata,
    state: BloomState,
}

fn find(reading: &Reading<'_>, key: &[u8]) -> Result<Option<Chain>> {
    let Some(opened) = reading.find(key, Kind::BLOOM)? else { return Ok(None) };
    let state = BloomState::decode(&opened.payload).map_err(|e| e.context(format!("key {}", shown(key))))?;
    Ok(Some(Chain { metadata: opened.metadata, state }))
}

fn filter(reading: &Reading<'_>, key: &[u8], prefix: &[u8], index: u16) -> Result<Pinned> {
    let Some(filter) = reading.subkey(DEFAULT, prefix, &filter_sub(index))? else {
        let message = format!("bloom filter {index} of {}: got none, expected one", shown(key));
        return Err(Error::new(ErrorKind::Corruption, message));
    };
    check_filter(index, &filter).map_err(|e| e.context(format!("key {}", shown(key))))?;
    Ok(filter)
}

/// Makes a chain; `false` when the key is there already.
pub fn reserve(writing: &mut Writing<'_>, key: &[u8], shape: BloomShape) -> Result<bool> {
    if find(&writing.reading(), key)?.is_some() {
        return Ok(false);
    }
    create(writing, key, shape)?;
    Ok(true)
}

fn create(writing: &mut Writing<'_>, key: &[u8], shape: BloomShape) -> Result<Chain> {
    let metadata = writing.create(key, Kind::BLOOM).metadata;
    let state = BloomState::new(shape.capacity, shape.error_rate, shape.expansion);
    writing.log_words(Kind::BLOOM, &[b"createBloomChain"]);
    writing.store(key, &metadata, &state.encode())?;
    let prefix = writing.subkey_prefix(key, metadata.version);
    writing.put_with(DEFAULT, &[&prefix, &filter_sub(0)], &[&vec![0; state.bytes as usize]])?;
    Ok(Chain { metadata, state })
}

/// Adds items; `None` when there is no such key and `shape` says that none shall be made.
pub fn add(
    writing: &mut Writing<'_>,
    key: &[u8],
    items: &[impl AsRef<[u8]>],
    shape: Option<BloomShape>,
) -> Result<Option<Vec<Added>>> {
    let found = find(&writing.reading(), key)?;
    let mut chain = match (found, shape) {
        (Some(chain), _) => chain,
        (None, Some(shape)) => create(writing, key, shape)?,
        (None, None) => return Ok(None),
    };
    let hashes: Vec<u64> = items.iter().map(|item| bloom::hash(item.as_ref())).collect();
    let prefix = writing.subkey_prefix(key, chain.metadata.version);
    // Items that an older filter holds: each filter is looked at once, and one at a time is in memory.
    let mut known = vec![false; hashes.len()];
    let last = chain.state.filters - 1;
    for index in 0..last {
        let filter = filter(&writing.reading(), key, &prefix, index)?;
        for (known, &hash) in known.iter_mut().zip(&hashes) {
            *known |= bloom::contains(&filter, hash);
        }
    }
    let mut filters = vec![filter(&writing.reading(), key, &prefix, last)?.to_vec()];
    let mut out = Vec::with_capacity(items.len());
    let before = chain.metadata.size;
    for (&known, &hash) in known.iter().zip(&hashes) {
        if known || filters.iter().any(|filter| bloom::contains(filter, hash)) {
            out.push(Added::Present);
            continue;
        }
        if chain.metadata.size >= chain.state.capacity() {
            if chain.state.expansion == 0 {
                out.push(Added::Full);
                continue;
            }
            let bytes = chain.state.grow();
            let total = filters.iter().map(|filter| filter.len() as u64).sum::<u64>() + bytes;
            if chain.state.filters > bloom::MAX_FILTERS || total > 2 * MAX_FILTER {
                let message = format!("bloom chain {}: got {} filters, which is the most", shown(key), last + 1);
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            filters.push(vec![0; bytes as usize]);
        }
        if let Some(filter) = filters.last_mut() {
            bloom::insert(filter, hash);
        }
        let size = chain.metadata.size;
        chain.metadata.size = size.checked_add(1).ok_or_else(|| {
            let message =
                format!("key {}: its metadata says {size} items, which leaves no room for one more", shown(key));
            Error::new(ErrorKind::Corruption, message)
        })?;
        out.push(Added::New);
    }
    if chain.metadata.size != before {
        writing.log_words(Kind::BLOOM, &[b"insert"]);
        for (index, filter) in (last..).zip(&filters) {
            writing.put_with(DEFAULT, &[&prefix, &filter_sub(index)], &[filter])?;
        }
        writing.store(key, &chain.metadata, &chain.state.encode())?;
    }
    Ok(Some(out))
}

/// Which items were probably added.
pub fn contains(reading: &Reading<'_>, key: &[u8], items: &[impl AsRef<[u8]>]) -> Result<Vec<bool>> {
    let mut out = vec![false; items.len()];
    let Some(chain) = find(reading, key)? else { return Ok(out) };
    let prefix = reading.subkey_prefix(key, chain.metadata.version);
    for index in (0..chain.state.filters).rev() {
        let filter = filter(reading, key, &prefix, index)?;
        for (found, item) in out.iter_mut().zip(items) {
            *found = *found || bloom::contains(&filter, bloom::hash(item.as_ref()));
        }
    }
    Ok(out)
}

/// What a chain is like, and how many items it has.
pub fn info(reading: &Reading<'_>, key: &[u8]) -> Result<Option<BloomInfo>> {
    Ok(find(reading, key)?.map(|Chain { metadata, state }| BloomInfo {
        capacity: state.capacity(),
        items: metadata.size,
        filters: state.filters,
        bytes: state.bytes,
        error_rate: state.error_rate,
        expansion: state.expansion,
    }))
}
