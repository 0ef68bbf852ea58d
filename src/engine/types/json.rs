//! JSON documents: each is one record, read and written whole.

use super::reading::{Budget, Reading};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::json::{
    JsonFormat, Map, Number, Value, decode_payload, encode_payload, split_payload, weight,
};
use crate::engine::format::json_path::{JsonPath, Key, at, each_mut, remove};
use crate::engine::format::metadata::{Kind, Metadata};

/// A stored document, with what it keeps when it is written again.
pub struct Document {
    metadata: Metadata,
    pub format: JsonFormat,
    pub value: Value,
}

pub fn read(reading: &Reading<'_>, key: &[u8]) -> Result<Option<Document>> {
    let Some(opened) = reading.find(key, Kind::JSON)? else { return Ok(None) };
    let (format, value) = decode_payload(&opened.payload).map_err(|e| e.context(format!("key {}", shown(key))))?;
    Ok(Some(Document { metadata: opened.metadata, format, value }))
}

/// How a document is stored, and in how many bytes.
pub fn info(reading: &Reading<'_>, key: &[u8]) -> Result<Option<(JsonFormat, u64)>> {
    let Some(opened) = reading.find(key, Kind::JSON)? else { return Ok(None) };
    let (format, document) = split_payload(&opened.payload).map_err(|e| e.context(format!("key {}", shown(key))))?;
    Ok(Some((format, document.len() as u64)))
}

fn write(writing: &mut Writing<'_>, key: &[u8], document: &Document) -> Result<()> {
    let payload = encode_payload(document.format, &document.value)?;
    writing.log_words(Kind::JSON, &[]);
    writing.store(key, &document.metadata, &payload)
}

/// What a path finds in a document, seen one by one. `None` when there is no such key.
pub fn look<R>(
    reading: &Reading<'_>,
    key: &[u8],
    path: &JsonPath,
    see: impl FnMut(&Value) -> Result<R>,
) -> Result<Option<Vec<R>>> {
    let Some(document) = read(reading, key)? else { return Ok(None) };
    path.find(&document.value)?.into_iter().map(see).collect::<Result<Vec<R>>>().map(Some)
}

/// Changes what a path finds, each value once, and what is inside before what holds it. `change` says what to answer, and
/// whether it changed something, by which it adds no more than `adds` bytes. `None` when there is no such key.
pub fn change<R>(
    writing: &mut Writing<'_>,
    key: &[u8],
    path: &JsonPath,
    adds: usize,
    mut change: impl FnMut(&mut Value) -> Result<(R, bool)>,
) -> Result<Option<Vec<R>>> {
    let Some(mut document) = read(&writing.reading(), key)? else { return Ok(None) };
    let (mut budget, mut changed) = (Budget::default(), false);
    let out = each_mut(&mut document.value, path, |value| {
        let (answer, did) = change(value)?;
        if did {
            budget.take(adds)?;
        }
        changed |= did;
        Ok(answer)
    })?;
    if changed {
        write(writing, key, &document)?;
    }
    Ok(Some(out))
}

fn root_only() -> Error {
    Error::new(ErrorKind::InvalidArgument, "new objects must be created at the root")
}

/// Sets what a path finds, or makes a member with the names of the path. A new key can be set at its root only.
pub fn set(writing: &mut Writing<'_>, key: &[u8], path: &JsonPath, value: Value) -> Result<()> {
    let document = match read(&writing.reading(), key)? {
        Some(mut document) => {
            place(&mut document.value, path, value)?;
            document
        }
        None if path.is_root() => {
            Document { metadata: writing.create(key, Kind::JSON).metadata, format: JsonFormat::Text, value }
        }
        None => return Err(root_only()),
    };
    write(writing, key, &document)
}

fn place(root: &mut Value, path: &JsonPath, value: Value) -> Result<()> {
    let (mut budget, each) = (Budget::default(), weight(&value));
    let placed = each_mut(root, path, |place| {
        budget.take(each)?;
        *place = value.clone();
        Ok(())
    })?;
    if placed.is_empty()
        && let Some(keys) = path.keys()
        // Members are made, elements of arrays are not.
        && keys.iter().rposition(|key| matches!(key, Key::Index(_))).is_none_or(|last| at(root, &keys[..=last]).is_some())
    {
        let mut parent = root;
        for key in keys {
            parent = match (key, parent) {
                (Key::Name(name), Value::Object(members)) => {
                    members.entry(name).or_insert_with(|| Value::Object(Map::new()))
                }
                (Key::Index(index), Value::Array(items)) => match items.get_mut(index) {
                    Some(item) => item,
                    None => return Ok(()),
                },
                _ => return Ok(()),
            };
        }
        *parent = value;
    }
    Ok(())
}

/// Merges a patch into what a path finds, as RFC 7396 says; a patch of null removes it. Whether that could be done.
pub fn merge(writing: &mut Writing<'_>, key: &[u8], path: &JsonPath, patch: &Value) -> Result<bool> {
    let Some(mut document) = read(&writing.reading(), key)? else {
        if !path.is_root() {
            return Err(root_only());
        }
        set(writing, key, path, patch.clone())?;
        return Ok(true);
    };
    let merged = if patch.is_null() && !path.is_root() {
        remove(&mut document.value, path)?
    } else {
        let (mut budget, each) = (Budget::default(), weight(patch));
        let merge = |target: &mut Value| {
            budget.take(each)?;
            apply_patch(target, patch);
            Ok(())
        };
        each_mut(&mut document.value, path, merge)?.len()
    };
    if merged == 0 {
        place(&mut document.value, path, patch.clone())?;
    }
    write(writing, key, &document)?;
    Ok(true)
}

/// As deep as the patch, whose depth was looked at when it was read.
fn apply_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(members) = target {
        for (name, value) in patch {
            if value.is_null() {
                members.remove(name);
            } else {
                apply_patch(members.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
    }
}

/// Removes what a path finds, and the key with its root; how many values.
pub fn delete(writing: &mut Writing<'_>, key: &[u8], path: &JsonPath) -> Result<u64> {
    let Some(mut document) = read(&writing.reading(), key)? else { return Ok(0) };
    if path.is_root() {
        writing.log_words(Kind::JSON, &[]);
        writing.remove(key)?;
        return Ok(1);
    }
    let removed = remove(&mut document.value, path)?;
    if removed > 0 {
        write(writing, key, &document)?;
    }
    Ok(removed as u64)
}

/// The sum or the product of two numbers; `None` when it is infinite. Whole where it can be.
pub fn calculate(number: &Number, by: &Number, multiply: bool) -> Option<Number> {
    if let (Some(a), Some(b)) = (number.as_i64(), by.as_i64())
        && let Some(exact) = if multiply { a.checked_mul(b) } else { a.checked_add(b) }
    {
        return Some(exact.into());
    }
    let (a, b) = (number.as_f64()?, by.as_f64()?);
    let result = if multiply { a * b } else { a + b };
    let whole = result.fract() == 0.0 && result > i64::MIN as f64 && result < i64::MAX as f64;
    if whole { Some((result as i64).into()) } else { Number::from_f64(result) }
}
