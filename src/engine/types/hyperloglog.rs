//! HyperLogLog: how many different elements there were, in 12 KiB.

use super::reading::{Opened, Reading};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::hyperloglog::{Registers, SEGMENTS};
use crate::engine::format::metadata::Kind;

/// The one encoding that there is: dense.
const DENSE: &[u8] = &[0];

fn sub(segment: usize) -> Vec<u8> {
    segment.to_string().into_bytes()
}

/// Merges the registers of a key into others.
fn merge_key(reading: &Reading<'_>, key: &[u8], opened: &Opened, registers: &mut Registers) -> Result<()> {
    if opened.payload != DENSE {
        let message = format!("HyperLogLog {}: got the encoding {:?}, expected 0", shown(key), opened.payload);
        return Err(Error::new(ErrorKind::Corruption, message));
    }
    let prefix = reading.subkey_prefix(key, opened.metadata.version);
    for segment in 0..SEGMENTS {
        if let Some(bytes) = reading.subkey(DEFAULT, &prefix, &sub(segment))? {
            registers.merge_segment(segment, &bytes).map_err(|e| e.context(format!("key {}", shown(key))))?;
        }
    }
    Ok(())
}

fn merged(reading: &Reading<'_>, keys: &[impl AsRef<[u8]>]) -> Result<Registers> {
    let mut registers = Registers::empty();
    for key in keys {
        if let Some(opened) = reading.find(key.as_ref(), Kind::HYPERLOGLOG)? {
            merge_key(reading, key.as_ref(), &opened, &mut registers)?;
        }
    }
    Ok(registers)
}

/// Adds elements; whether the estimate may have changed, or the key was made.
pub fn add(writing: &mut Writing<'_>, key: &[u8], elements: &[impl AsRef<[u8]>]) -> Result<bool> {
    let opened = writing.open(key, Kind::HYPERLOGLOG)?;
    let mut registers = Registers::empty();
    if !opened.is_new {
        merge_key(&writing.reading(), key, &opened, &mut registers)?;
    }
    let mut changed = [false; SEGMENTS];
    for element in elements {
        if let Some(changed) = registers.add(element.as_ref()).and_then(|segment| changed.get_mut(segment)) {
            *changed = true;
        }
    }
    let any = changed.contains(&true);
    if any || opened.is_new {
        write(writing, key, &opened, &registers, |segment| changed.get(segment) == Some(&true))?;
    }
    Ok(any || opened.is_new)
}

fn write(
    writing: &mut Writing<'_>,
    key: &[u8],
    opened: &Opened,
    registers: &Registers,
    wanted: impl Fn(usize) -> bool,
) -> Result<()> {
    writing.log_words(Kind::HYPERLOGLOG, &[]);
    let prefix = writing.subkey_prefix(key, opened.metadata.version);
    for segment in (0..SEGMENTS).filter(|&segment| wanted(segment)) {
        if let Some(bytes) = registers.segment(segment) {
            writing.put_with(DEFAULT, &[&prefix, &sub(segment)], &[&bytes])?;
        }
    }
    writing.store(key, &opened.metadata, DENSE)
}

/// The estimated number of different elements of all keys together.
pub fn count(reading: &Reading<'_>, keys: &[impl AsRef<[u8]>]) -> Result<u64> {
    Ok(merged(reading, keys)?.estimate())
}

/// Adds what other keys have counted.
pub fn merge(writing: &mut Writing<'_>, target: &[u8], sources: &[impl AsRef<[u8]>]) -> Result<()> {
    let opened = writing.open(target, Kind::HYPERLOGLOG)?;
    let reading = writing.reading();
    let mut registers = merged(&reading, sources)?;
    if !opened.is_new {
        merge_key(&reading, target, &opened, &mut registers)?;
    }
    write(writing, target, &opened, &registers, |_| true)
}
