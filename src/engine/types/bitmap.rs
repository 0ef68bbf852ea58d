//! Bitmaps, and the same operations on strings. A bitmap is a row of fragments; a string is cut into such a row, so that
//! both are worked on in the same way, most significant bit first.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::reading::{Budget, Reading, wrong_type};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{DEFAULT, METADATA};
use crate::engine::format::bits::{self, FRAGMENT, Field, MAX_BITMAP, Overflow, fragment_index, fragment_sub};
use crate::engine::format::metadata::{Kind, Metadata};
use crate::engine::storage::db::Pinned;

const FRAGMENT_BITS: u64 = FRAGMENT as u64 * 8;
/// Kvrocks' numbers of commands in its log data.
const SET_BIT: &[u8] = b"9";
const BIT_OPERATION: &[u8] = b"10";
const BIT_FIELD: &[u8] = b"11";

/// A key whose bits can be asked for.
enum Bits {
    /// The record, and where the string starts in it.
    Text(Pinned, usize),
    /// The metadata of a bitmap, and what its fragments' keys start with.
    Map(Metadata, Vec<u8>),
}

impl Bits {
    fn open(reading: &Reading<'_>, key: &[u8]) -> Result<Option<Bits>> {
        let Some((metadata, record)) = reading.living(key)? else { return Ok(None) };
        match metadata.kind {
            Kind::STRING => Ok(Some(Bits::Text(record, metadata.payload))),
            Kind::BITMAP => Ok(Some(Bits::Map(metadata, reading.subkey_prefix(key, metadata.version)))),
            kind => Err(wrong_type(key, kind, Kind::BITMAP)),
        }
    }

    /// Its length in bytes.
    fn length(&self) -> u64 {
        match self {
            Bits::Text(record, start) => (record.len() - start) as u64,
            Bits::Map(metadata, _) => metadata.size.min(MAX_BITMAP),
        }
    }

    /// A fragment, which may be shorter than others, and is empty where there is none.
    fn fragment(&self, reading: &Reading<'_>, index: u64) -> Result<Cow<'_, [u8]>> {
        match self {
            Bits::Text(record, start) => {
                let text = record.get(*start..).unwrap_or_default();
                let from = usize::try_from(index.saturating_mul(FRAGMENT as u64)).unwrap_or(usize::MAX);
                let fragment = text.get(from..).unwrap_or_default();
                Ok(Cow::Borrowed(fragment.get(..FRAGMENT).unwrap_or(fragment)))
            }
            Bits::Map(_, prefix) => {
                let stored = reading.subkey(DEFAULT, prefix, &fragment_sub(index))?;
                Ok(Cow::Owned(stored.map(|stored| bits::turned(&stored)).unwrap_or_default()))
            }
        }
    }
}

/// A range of bytes or of bits, both ends included, counted from the end when negative.
#[derive(Clone, Copy, Debug)]
pub struct BitRange {
    /// The first.
    pub start: i64,
    /// `None` for the end.
    pub end: Option<i64>,
    /// Whether it counts bits and not bytes.
    pub in_bits: bool,
}

impl BitRange {
    /// Everything.
    pub const ALL: BitRange = BitRange { start: 0, end: None, in_bits: false };

    /// The first and the last bit of it in so many bytes.
    fn bits(self, length: u64) -> Option<(u64, u64)> {
        let unit = if self.in_bits { 1 } else { 8 };
        let total = i64::try_from(length * 8 / unit).ok()?;
        let end = self.end.unwrap_or(-1);
        let from_end = |at: i64| if at < 0 { total.saturating_add(at).max(0) } else { at };
        let (start, end) = (from_end(self.start), from_end(end).min(total - 1));
        let (start, end) = (u64::try_from(start).ok()?, u64::try_from(end).ok()?);
        (start <= end).then_some((start * unit, end * unit + unit - 1))
    }
}

/// The bit at an offset; 0 where there is none.
pub fn get(reading: &Reading<'_>, key: &[u8], offset: u32) -> Result<bool> {
    let Some(found) = Bits::open(reading, key)? else { return Ok(false) };
    let offset = u64::from(offset);
    Ok(bits::bit(&found.fragment(reading, offset / FRAGMENT_BITS)?, offset % FRAGMENT_BITS))
}

/// How many bits are set.
pub fn count(reading: &Reading<'_>, key: &[u8], window: BitRange) -> Result<u64> {
    let Some(found) = Bits::open(reading, key)? else { return Ok(0) };
    // Ends that crossed count nothing, though both may lie before the start, where a search would find it.
    if window.start < 0 && window.end.is_some_and(|end| end < window.start) {
        return Ok(0);
    }
    let Some((from, to)) = window.bits(found.length()) else { return Ok(0) };
    let mut count = 0;
    for index in from / FRAGMENT_BITS..=to / FRAGMENT_BITS {
        let base = index * FRAGMENT_BITS;
        count += bits::count(&found.fragment(reading, index)?, from.saturating_sub(base), to - base);
    }
    Ok(count)
}

/// The first bit that is `on`; `None` when there is none in the window. Behind an open end all bits are off.
pub fn position(reading: &Reading<'_>, key: &[u8], on: bool, window: BitRange) -> Result<Option<u64>> {
    let Some(found) = Bits::open(reading, key)? else { return Ok((!on).then_some(0)) };
    let Some((from, to)) = window.bits(found.length()) else { return Ok(None) };
    for index in from / FRAGMENT_BITS..=to / FRAGMENT_BITS {
        let base = index * FRAGMENT_BITS;
        let (start, end) = (from.saturating_sub(base), (to - base).min(FRAGMENT_BITS - 1));
        let fragment = found.fragment(reading, index)?;
        if let Some(at) = bits::position(&fragment, on, start, end) {
            return Ok(Some(base + at));
        }
        // What a fragment lacks at its end is off.
        let missing = start.max(fragment.len() as u64 * 8);
        if !on && missing <= end {
            return Ok(Some(base + missing));
        }
    }
    Ok((!on && window.end.is_none()).then_some(found.length() * 8))
}

/// Sets a bit; gives what it was.
pub fn set(writing: &mut Writing<'_>, key: &[u8], offset: u32, on: bool) -> Result<bool> {
    let mut edit = Edit::open(&writing.reading(), key)?;
    let offset = u64::from(offset);
    let old = edit.bit(&writing.reading(), offset)?;
    edit.set(&writing.reading(), offset, on)?;
    edit.write(writing, key, &[SET_BIT, offset.to_string().as_bytes()])?;
    Ok(old)
}

/// An operation on bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOperation {
    /// On where all are on.
    And,
    /// On where one is on.
    Or,
    /// On where an odd number is on.
    Xor,
    /// On where the one source is off.
    Not,
}

impl BitOperation {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            BitOperation::And => "and",
            BitOperation::Or => "or",
            BitOperation::Xor => "xor",
            BitOperation::Not => "not",
        }
    }
}

/// Combines bitmaps or strings into a bitmap; gives its length in bytes. Nothing to combine deletes the key.
pub fn combine(writing: &mut Writing<'_>, operation: BitOperation, target: &[u8], sources: &[Vec<u8>]) -> Result<u64> {
    let reading = writing.reading();
    let mut found = Vec::new();
    let mut budget = Budget::default();
    for source in sources {
        let bits = Bits::open(&reading, source)?;
        if let Some(Bits::Text(text, _)) = &bits {
            budget.take(text.len())?;
        }
        found.extend(bits);
    }
    let length = found.iter().map(Bits::length).max().unwrap_or_default();
    let mut fragments = Vec::new();
    if operation != BitOperation::And || found.len() == sources.len() {
        for index in 0..length.div_ceil(FRAGMENT as u64) {
            let parts = found.iter().map(|bits| bits.fragment(&reading, index)).collect::<Result<Vec<_>>>()?;
            let most = (length - index * FRAGMENT as u64).min(FRAGMENT as u64) as usize;
            let fragment = combined(operation, &parts, most);
            if fragment.iter().any(|&byte| byte != 0) {
                fragments.push((index, fragment));
            }
        }
    }
    if length == 0 {
        if writing.reading().metadata(target)?.is_some() {
            writing.remove(target)?;
        }
        return Ok(0);
    }
    let mut words = vec![BIT_OPERATION, operation.name().as_bytes()];
    words.extend(sources.iter().map(Vec::as_slice));
    writing.log_words(Kind::BITMAP, &words);
    let mut metadata = writing.create(target, Kind::BITMAP).metadata;
    let prefix = writing.subkey_prefix(target, metadata.version);
    for (index, fragment) in fragments {
        writing.put_with(DEFAULT, &[&prefix, &fragment_sub(index)], &[&bits::turned(&fragment)])?;
    }
    metadata.size = length;
    writing.store(target, &metadata, &[])?;
    Ok(length)
}

/// One fragment of a result, at most `most` bytes.
fn combined(operation: BitOperation, parts: &[Cow<'_, [u8]>], most: usize) -> Vec<u8> {
    let Some((first, rest)) = parts.split_first() else { return Vec::new() };
    if operation == BitOperation::Not {
        let byte = |at: usize| !first.get(at).copied().unwrap_or_default();
        return (0..most).map(byte).collect();
    }
    let longest = parts.iter().map(|part| part.len()).max().unwrap_or_default();
    let mut out = first.to_vec();
    out.resize(longest, 0);
    for part in rest {
        for (at, byte) in out.iter_mut().enumerate() {
            let other = part.get(at).copied().unwrap_or_default();
            match operation {
                BitOperation::And => *byte &= other,
                BitOperation::Or => *byte |= other,
                BitOperation::Xor | BitOperation::Not => *byte ^= other,
            }
        }
    }
    out
}

/// One step of BITFIELD.
#[derive(Clone, Copy, Debug)]
pub struct FieldStep {
    pub field: Field,
    pub offset: u32,
    pub action: FieldAction,
}

#[derive(Clone, Copy, Debug)]
pub enum FieldAction {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

/// Reads fields: steps that do something else are not done.
pub fn read_fields(reading: &Reading<'_>, key: &[u8], steps: &[FieldStep]) -> Result<Vec<Option<i64>>> {
    let mut edit = Edit::open(reading, key)?;
    steps.iter().map(|step| edit.read(reading, step).map(Some)).collect()
}

/// Reads and changes fields, in order. `None` for what did not fit and was not done.
pub fn change_fields(writing: &mut Writing<'_>, key: &[u8], steps: &[FieldStep]) -> Result<Vec<Option<i64>>> {
    let mut edit = Edit::open(&writing.reading(), key)?;
    let mut out = Vec::with_capacity(steps.len());
    for step in steps {
        let reading = writing.reading();
        let old = edit.read(&reading, step)?;
        let (new, answer) = match step.action {
            FieldAction::Get => {
                out.push(Some(old));
                continue;
            }
            FieldAction::Set(value, overflow) => (step.field.set(value, overflow), old),
            FieldAction::Increment(by, overflow) => {
                let new = step.field.fit(i128::from(old) + i128::from(by), overflow);
                (new, new.unwrap_or_default())
            }
        };
        if let Some(new) = new {
            for (at, on) in step.field.bits(new).enumerate() {
                edit.set(&reading, u64::from(step.offset) + at as u64, on)?;
            }
        }
        if new.is_none() {
            // What was not done makes the key as long all the same, as in Redis.
            let last = u64::from(step.offset) + u64::from(step.field.width) - 1;
            let on = edit.bit(&reading, last)?;
            edit.set(&reading, last, on)?;
        }
        out.push(new.map(|_| answer));
    }
    let words = written_words(steps);
    edit.write(writing, key, &words.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    Ok(out)
}

/// The steps that change something, in the words from which Kvrocks makes the command again.
fn written_words(steps: &[FieldStep]) -> Vec<Vec<u8>> {
    let mut words = vec![BIT_FIELD.to_vec()];
    for step in steps {
        let (action, value, overflow) = match step.action {
            FieldAction::Get => continue,
            FieldAction::Set(value, overflow) => ("SET", value, overflow),
            FieldAction::Increment(by, overflow) => ("INCRBY", by, overflow),
        };
        let overflow = match overflow {
            Overflow::Wrap => "WRAP",
            Overflow::Saturate => "SAT",
            Overflow::Fail => "FAIL",
        };
        let sign = if step.field.signed { 'i' } else { 'u' };
        let field = format!("{sign}{}", step.field.width);
        let text = ["OVERFLOW", overflow, action, &field, &step.offset.to_string(), &value.to_string()];
        words.extend(text.map(|word| word.as_bytes().to_vec()));
    }
    words
}

/// The bits of a key that are being changed: the fragments that were looked at, and which of them are new.
struct Edit {
    bits: Option<Bits>,
    fragments: BTreeMap<u64, Vec<u8>>,
    changed: BTreeSet<u64>,
    length: u64,
}

impl Edit {
    fn open(reading: &Reading<'_>, key: &[u8]) -> Result<Edit> {
        let bits = Bits::open(reading, key)?;
        let length = bits.as_ref().map_or(0, Bits::length);
        Ok(Edit { bits, fragments: BTreeMap::new(), changed: BTreeSet::new(), length })
    }

    fn fragment(&mut self, reading: &Reading<'_>, index: u64) -> Result<&mut Vec<u8>> {
        if !self.fragments.contains_key(&index) {
            let fragment = self.bits.as_ref().map(|bits| bits.fragment(reading, index)).transpose()?;
            self.fragments.insert(index, fragment.map(Cow::into_owned).unwrap_or_default());
        }
        Ok(self.fragments.entry(index).or_default())
    }

    fn bit(&mut self, reading: &Reading<'_>, offset: u64) -> Result<bool> {
        Ok(bits::bit(self.fragment(reading, offset / FRAGMENT_BITS)?, offset % FRAGMENT_BITS))
    }

    fn read(&mut self, reading: &Reading<'_>, step: &FieldStep) -> Result<i64> {
        let mut bits = Vec::with_capacity(64);
        for at in 0..u64::from(step.field.width) {
            bits.push(self.bit(reading, u64::from(step.offset) + at)?);
        }
        Ok(step.field.read(|at| bits.get(at as usize).copied().unwrap_or_default()))
    }

    fn set(&mut self, reading: &Reading<'_>, offset: u64, on: bool) -> Result<()> {
        let needed = offset / 8 + 1;
        if needed > MAX_BITMAP {
            let message = format!("bit offset: got {offset}, expected at most {}", MAX_BITMAP * 8 - 1);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.length = self.length.max(needed);
        let (index, at) = (offset / FRAGMENT_BITS, offset % FRAGMENT_BITS);
        self.changed.insert(index);
        let fragment = self.fragment(reading, index)?;
        fragment.resize(bits::grown(fragment.len(), at as usize / 8 + 1), 0);
        bits::set_bit(fragment, at, on);
        Ok(())
    }

    fn write(self, writing: &mut Writing<'_>, key: &[u8], words: &[&[u8]]) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        if let Some(Bits::Text(record, start)) = &self.bits {
            let mut record = record.to_vec();
            record.resize(start + self.length as usize, 0);
            for index in self.changed {
                let from = start + index as usize * FRAGMENT;
                let fragment = self.fragments.get(&index).map(Vec::as_slice).unwrap_or_default();
                let place = record.iter_mut().skip(from);
                place.zip(fragment).for_each(|(byte, &new)| *byte = new);
            }
            writing.log_words(Kind::STRING, &[]);
            let full = writing.full_key(key);
            return writing.put(METADATA, &full, &record);
        }
        let (mut metadata, is_new) = match self.bits {
            Some(Bits::Map(metadata, _)) => (metadata, false),
            _ => (writing.create(key, Kind::BITMAP).metadata, true),
        };
        writing.log_words(Kind::BITMAP, words);
        let prefix = writing.subkey_prefix(key, metadata.version);
        for index in self.changed {
            let fragment = self.fragments.get(&index).map(Vec::as_slice).unwrap_or_default();
            writing.put_with(DEFAULT, &[&prefix, &fragment_sub(index)], &[&bits::turned(fragment)])?;
        }
        if is_new || metadata.size < self.length {
            metadata.size = self.length;
            writing.store(key, &metadata, &[])?;
        }
        Ok(())
    }
}

/// A bitmap as the string that has the same bits, of at most `limit` bytes; `None` when the key is no bitmap.
pub fn to_string(reading: &Reading<'_>, key: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
    let Some((metadata, _)) = reading.living(key)? else { return Ok(None) };
    if metadata.kind != Kind::BITMAP {
        return Ok(None);
    }
    if metadata.size > limit {
        let message = format!("bitmap {}: got {} bytes, expected at most {limit}", shown(key), metadata.size);
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let mut out = vec![0; metadata.size as usize];
    let prefix = reading.subkey_prefix(key, metadata.version);
    let mut fragments = reading.subkeys(DEFAULT, &prefix, b"", None, false);
    while let Some((sub, fragment)) = fragments.next()? {
        let Some(index) = fragment_index(sub) else {
            let message = format!("bitmap {}: got the fragment {}, expected an offset", shown(key), shown(sub));
            return Err(Error::new(ErrorKind::Corruption, message));
        };
        let place = out.iter_mut().skip(index as usize * FRAGMENT);
        place.zip(bits::turned(fragment)).for_each(|(byte, new)| *byte = new);
    }
    Ok(Some(out))
}
