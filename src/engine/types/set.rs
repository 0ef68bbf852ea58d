//! Sets: a subkey for each member, without a value. Kvrocks: types/redis_set.cc.

use std::collections::BTreeSet;

use super::hash::present;
use super::random::{self, Draw};
use super::reading::{Opened, Reading, Subkeys};
use super::writing::Writing;
use crate::engine::error::Result;
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::metadata::Kind;

pub fn contains(reading: &Reading<'_>, key: &[u8], member: &[u8]) -> Result<bool> {
    Ok(contains_many(reading, key, &[member])?.first() == Some(&true))
}

pub fn contains_many(reading: &Reading<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<Vec<bool>> {
    let Some(set) = reading.find(key, Kind::SET)? else { return Ok(vec![false; members.len()]) };
    members.iter().map(|member| Ok(reading.subkey(DEFAULT, &set.start, member.as_ref())?.is_some())).collect()
}

/// The members from `from` on in the order of their bytes.
pub fn members<'a>(reading: &Reading<'a>, key: &[u8], from: &[u8]) -> Result<Option<Subkeys<'a>>> {
    let set = reading.find(key, Kind::SET)?;
    Ok(set.map(|set| reading.subkeys(DEFAULT, &set.start, from, None, false)))
}

/// Adds members. How many are new.
pub fn add(writing: &mut Writing<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<u64> {
    let set = writing.open(key, Kind::SET)?;
    add_to(writing, key, set, members)
}

/// Makes the key a set of these members, whatever it was; of none, deletes it.
pub fn replace(writing: &mut Writing<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<()> {
    if members.is_empty() {
        return super::keys::delete(writing, key).map(drop);
    }
    let set = writing.create(key, Kind::SET);
    add_to(writing, key, set, members).map(drop)
}

fn add_to(writing: &mut Writing<'_>, key: &[u8], mut set: Opened, members: &[impl AsRef<[u8]>]) -> Result<u64> {
    let mut new: BTreeSet<&[u8]> = members.iter().map(AsRef::as_ref).collect();
    if !set.is_new {
        for member in present(&writing.reading(), &set.start, members)? {
            new.remove(member);
        }
    }
    if new.is_empty() {
        return Ok(0);
    }
    writing.log_words(Kind::SET, &[]);
    for member in &new {
        writing.put_with(DEFAULT, &[&set.start, member], &[])?;
    }
    set.resize(key, new.len() as u64, 0)?;
    writing.store(key, &set.metadata, &set.payload)?;
    Ok(new.len() as u64)
}

/// Removes members. How many were there. With the last one the key goes.
pub fn remove(writing: &mut Writing<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<u64> {
    let Some(mut set) = writing.reading().find(key, Kind::SET)? else { return Ok(0) };
    let found = present(&writing.reading(), &set.start, members)?;
    if found.is_empty() {
        return Ok(0);
    }
    writing.log_words(Kind::SET, &[]);
    for member in &found {
        writing.delete(DEFAULT, &[&set.start, *member].concat())?;
    }
    set.resize(key, 0, found.len() as u64)?;
    match set.metadata.size {
        0 => writing.remove(key)?,
        _ => writing.store(key, &set.metadata, &set.payload)?,
    }
    Ok(found.len() as u64)
}

/// Random members. Goes through the set.
pub fn random(reading: &Reading<'_>, key: &[u8], count: Draw) -> Result<Vec<Vec<u8>>> {
    let Some(set) = reading.find(key, Kind::SET)? else { return Ok(Vec::new()) };
    let walk = reading.subkeys(DEFAULT, &set.start, b"", None, false);
    let drawn = random::draw(walk, set.metadata.size, count)?;
    Ok(drawn.into_iter().map(|(member, _)| member).collect())
}

/// Takes random members away.
pub fn pop(writing: &mut Writing<'_>, key: &[u8], count: u64) -> Result<Vec<Vec<u8>>> {
    let members = random(&writing.reading(), key, Draw::Distinct(count))?;
    remove(writing, key, &members)?;
    Ok(members)
}

/// Moves a member from one set to another. `false` when it is not there.
pub fn move_member(writing: &mut Writing<'_>, from: &[u8], to: &[u8], member: &[u8]) -> Result<bool> {
    let reading = writing.reading();
    if reading.metadata(from)?.is_none() {
        return Ok(false);
    }
    let found = contains(&reading, from, member)?;
    reading.find(to, Kind::SET)?;
    if found && from != to {
        remove(writing, from, &[member])?;
        add(writing, to, &[member])?;
    }
    Ok(found)
}
