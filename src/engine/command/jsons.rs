//! Commands on JSON documents.

use std::collections::BTreeMap;

use serde::Serialize;

use super::transaction::cost;
use super::{Answer, Context, Refusal, bulk, bulks, error, float, integer, is, ok, parse_integer};
use crate::engine::error::Error;
use crate::engine::format::json::{Value, encode_payload, parse_text, parse_texts, to_pretty, to_text, weight};
use crate::engine::format::json_path::{JsonPath, absolute};
use crate::engine::format::resp::Reply;
use crate::engine::types::json;
use crate::engine::types::reading::Budget;

/// The path of an argument, or the root where there is none; more arguments are refused.
fn parse_path(args: &[Vec<u8>]) -> Result<JsonPath, Refusal> {
    match args {
        [] => Ok(JsonPath::parse(b"$")?),
        [path] => Ok(JsonPath::parse(path)?),
        _ => Err(error("The number of arguments is more than expected")),
    }
}

fn no_key() -> Refusal {
    error("could not perform this operation on a key that doesn't exist")
}

/// A number for each value that could be counted.
fn numbers(found: Vec<Option<i64>>) -> Reply {
    Reply::Array(found.into_iter().map(|number| number.map_or(Reply::Nil, Reply::Integer)).collect())
}

fn length(length: usize) -> Option<i64> {
    i64::try_from(length).ok()
}

/// What a path finds, counted.
fn count(
    context: &Context<'_>,
    key: &[u8],
    path: &JsonPath,
    mut count: impl FnMut(&Value) -> Option<i64>,
) -> Result<Option<Reply>, Refusal> {
    let found = context.read(|reading| Ok(json::look(reading, key, path, |value| Ok(count(value)))?))?;
    Ok(found.map(numbers))
}

/// What a path finds, changed; each says a number where it was of the right type, and then has no more than `adds` bytes more.
fn alter(
    context: &Context<'_>,
    key: &[u8],
    path: &JsonPath,
    adds: usize,
    mut alter: impl FnMut(&mut Value) -> Option<i64>,
) -> Result<Option<Reply>, Refusal> {
    let changed = context.write(|writing| {
        Ok(json::change(writing, key, path, adds, |value| {
            let answer = alter(value);
            Ok((answer, answer.is_some()))
        })?)
    })?;
    Ok(changed.map(numbers))
}

pub fn set(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = if args[2] == b"." { b"$" } else { args[2].as_slice() };
    let (path, value) = (JsonPath::parse(path)?, parse_text(&args[3])?);
    context.write(|writing| {
        json::set(writing, &args[1], &path, value)?;
        Ok(ok())
    })
}

pub fn mset(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if !args[1..].len().is_multiple_of(3) {
        return Err(Refusal::arity());
    }
    let parts = args[1..].chunks_exact(3);
    let values = parse_texts(parts.clone().map(|part| &part[2]))?;
    let paths = parts.clone().map(|part| JsonPath::parse(&part[1])).collect::<Result<Vec<_>, Error>>()?;
    context.write(|writing| {
        for ((part, path), value) in parts.zip(paths).zip(values) {
            json::set(writing, &part[0], &path, value)?;
        }
        Ok(ok())
    })
}

pub fn get(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (mut indent, mut newline, mut space) = (&b""[..], &b""[..], &b""[..]);
    let mut pretty = false;
    let mut rest = &args[2..];
    while let [option, value, after @ ..] = rest {
        if is(option, "indent") {
            if value.iter().any(|&byte| byte != b' ') || value.len() > 255 {
                return Err(error("Currently only all-space INDENT is supported"));
            }
            indent = value;
        } else if is(option, "newline") {
            newline = value;
        } else if is(option, "space") {
            if !matches!(value.as_slice(), b"" | b" ") {
                return Err(error("Currently only SPACE ' ' is supported"));
            }
            space = value;
        } else {
            break;
        }
        pretty = true;
        rest = after;
    }
    // What stood for the document before there were paths, and redis-py still says by default.
    if let [path] = rest
        && path == b"."
    {
        rest = &[];
    }
    let paths = rest.iter().map(|path| JsonPath::parse(path)).collect::<Result<Vec<_>, Error>>()?;
    let Some(document) = context.read(|reading| Ok(json::read(reading, &args[1])?))? else { return Ok(Reply::Nil) };
    let looks = pretty.then_some((indent, newline, space));
    Ok(bulk(match &paths[..] {
        [] => written(&document.value, looks),
        [path] => written(&path.find(&document.value)?, looks),
        paths => {
            let (mut members, mut budget) = (BTreeMap::new(), Budget::default());
            for (text, path) in rest.iter().zip(paths) {
                let found = path.find(&document.value)?;
                budget.take(size_of_val(&found[..]))?;
                members.insert(String::from_utf8_lossy(text), found);
            }
            written(&members, looks)
        }
    }?))
}

/// A text on one line, or with an indent, ends of lines and spaces.
fn written(value: &impl Serialize, looks: Option<(&[u8], &[u8], &[u8])>) -> Result<Vec<u8>, Error> {
    match looks {
        Some((indent, newline, space)) => to_pretty(value, indent, newline, space),
        None => to_text(value),
    }
}

pub fn mget(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let Some((path, keys)) = args[1..].split_last() else { return Err(Refusal::arity()) };
    let path = JsonPath::parse(path)?;
    context.view(|reading| {
        let mut budget = Budget::default();
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            let document = match json::read(reading, key) {
                Err(e) if e.kind() == crate::engine::error::ErrorKind::WrongType => None,
                document => document?,
            };
            out.push(match document {
                Some(document) => {
                    let text = to_text(&path.find(&document.value)?)?;
                    budget.take(text.len())?;
                    bulk(text)
                }
                None => Reply::Nil,
            });
        }
        Ok(Reply::Array(out))
    })
}

/// JSON.DEL and JSON.FORGET.
pub fn del(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    context.write(|writing| Ok(integer(json::delete(writing, &args[1], &path)?)))
}

pub fn merge(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (path, patch) = (JsonPath::parse(&args[2])?, parse_text(&args[3])?);
    context.write(|writing| Ok(if json::merge(writing, &args[1], &path, &patch)? { ok() } else { Reply::Nil }))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub fn kind(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let mut budget = Budget::default();
    let name = |value: &Value| budget.take(size_of::<Reply>()).map(|()| type_name(value));
    let found = context.read(|reading| Ok(json::look(reading, &args[1], &path, name)?))?;
    // RedisJSON wraps them once more in RESP3, and clients unwrap them.
    Ok(found.map_or(Reply::Nil, |names| {
        let names = bulks(names);
        Reply::Either(Box::new([names.clone(), Reply::Array(vec![names])]))
    }))
}

pub fn info(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let found = context.read(|reading| Ok(json::info(reading, &args[1])?))?;
    let (format, _) = found.ok_or_else(no_key)?;
    Ok(bulks(["storage_format", format.name()]))
}

/// JSON.DEBUG MEMORY: how many bytes a value takes where it is stored.
pub fn debug(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if !is(&args[1], "memory") {
        return Err(error("wrong number of arguments for 'json.debug' command"));
    }
    let path = parse_path(&args[3..])?;
    let key = &args[2];
    context.read(|reading| {
        let Some((format, stored)) = json::info(reading, key)? else {
            return Ok(if args.len() == 3 { integer(0) } else { Reply::Array(Vec::new()) });
        };
        if path.is_root() {
            return Ok(Reply::Array(vec![integer(stored)]));
        }
        let mut budget = Budget::default();
        let size = |value: &Value| {
            // Without the byte of the format.
            let size = encode_payload(format, value)?.len() - 1;
            // Not for what is held, but for how long it takes.
            budget.take(size)?;
            Ok(integer(size as u64))
        };
        Ok(Reply::Array(json::look(reading, key, &path, size)?.unwrap_or_default()))
    })
}

/// A value in RESP, as JSON.RESP gives it. As deep as the document: with little on the stack for each level.
fn resp(value: &Value) -> Result<Reply, Error> {
    Ok(match value {
        Value::Null => Reply::Nil,
        Value::Bool(on) => Reply::Simple(on.to_string()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Reply::Integer(number),
            None => bulk(to_text(value)?),
        },
        Value::String(text) => bulk(text.as_bytes()),
        Value::Array(items) => {
            let mut parts = vec![Reply::Simple("[".into())];
            for item in items {
                parts.push(resp(item)?);
            }
            Reply::Array(parts)
        }
        Value::Object(members) => {
            let mut parts = vec![Reply::Simple("{".into())];
            for (name, member) in members {
                parts.push(bulk(name.as_bytes()));
                parts.push(resp(member)?);
            }
            Reply::Array(parts)
        }
    })
}

pub fn resp_of(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let mut budget = Budget::default();
    let see = |value: &Value| {
        let reply = resp(value)?;
        budget.take(cost(&reply))?;
        Ok(reply)
    };
    let found = context.read(|reading| Ok(json::look(reading, &args[1], &path, see)?))?;
    Ok(match found {
        None => Reply::Nil,
        Some(mut found) if args.len() == 2 => found.pop().unwrap_or(Reply::Nil),
        Some(found) => Reply::Array(found),
    })
}

pub fn arrlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let found = count(context, &args[1], &path, |value| value.as_array().and_then(|items| length(items.len())))?;
    Ok(found.unwrap_or(Reply::Nil))
}

pub fn objlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let found = count(context, &args[1], &path, |value| value.as_object().and_then(|items| length(items.len())))?;
    match (found, args.get(2)) {
        (Some(found), _) => Ok(found),
        (None, None) => Ok(Reply::Nil),
        (None, Some(path)) => {
            Err(error(format_args!("Path '{}' does not exist or not an object", String::from_utf8_lossy(path))))
        }
    }
}

pub fn strlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let found = count(context, &args[1], &path, |value| value.as_str().and_then(|text| length(text.len())))?;
    match (found, args.get(2)) {
        (Some(found), _) => Ok(found),
        (None, None) => Ok(Reply::Nil),
        (None, Some(_)) => Err(no_key()),
    }
}

pub fn objkeys(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let keys = |value: &Value| match value.as_object() {
        Some(members) => Ok(bulks(members.keys().map(String::as_str))),
        None => Ok(Reply::Nil),
    };
    let found = context.read(|reading| Ok(json::look(reading, &args[1], &path, keys)?))?;
    Ok(found.map_or(Reply::Nil, Reply::Array))
}

pub fn arrappend(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = JsonPath::parse(&args[2])?;
    let new = parse_texts(&args[3..])?;
    let changed = alter(context, &args[1], &path, new.iter().map(weight).sum(), |value| {
        let items = value.as_array_mut()?;
        items.extend_from_slice(&new);
        length(items.len())
    })?;
    changed.ok_or_else(no_key)
}

pub fn arrinsert(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (path, index) = (JsonPath::parse(&args[2])?, parse_integer(&args[3])?);
    let new = parse_texts(&args[4..])?;
    let changed = alter(context, &args[1], &path, new.iter().map(weight).sum(), |value| {
        let items = value.as_array_mut()?;
        let at = absolute(index, items.len()).filter(|&at| at < items.len())?;
        items.splice(at..at, new.iter().cloned());
        length(items.len())
    })?;
    Ok(changed.unwrap_or(Reply::Nil))
}

pub fn arrindex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if args.len() > 6 {
        return Err(Refusal::arity());
    }
    let (path, needle) = (JsonPath::parse(&args[2])?, parse_text(&args[3])?);
    let number = |at: usize| args.get(at).map(|number| parse_integer(number)).transpose();
    let (start, end) = (number(4)?.unwrap_or(0), number(5)?.unwrap_or(0));
    let found = count(context, &args[1], &path, |value| {
        let items = value.as_array()?;
        let len = length(items.len())?;
        let from = if start < 0 { len.saturating_add(start).max(0) } else { start.min(len) };
        // An end of 0 is the end.
        let to = if end <= 0 { len.saturating_add(end).max(0) } else { end.min(len) };
        let range = items.get(usize::try_from(from).ok()?..usize::try_from(to.max(from)).ok()?)?;
        Some(range.iter().position(|item| *item == needle).map_or(-1, |at| at as i64 + from))
    })?;
    Ok(found.unwrap_or(Reply::Nil))
}

pub fn arrpop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(args.get(2..3).unwrap_or_default())?;
    let index = match args.get(3..).unwrap_or_default() {
        [] => -1,
        [index] => parse_integer(index)?,
        _ => return Err(Refusal::arity()),
    };
    let popped = context.write(|writing| {
        Ok(json::change(writing, &args[1], &path, 0, |value| {
            let Some(items) = value.as_array_mut().filter(|items| !items.is_empty()) else {
                return Ok((Reply::Nil, false));
            };
            let last = items.len() - 1;
            let at = match absolute(index, items.len()) {
                Some(at) => at.min(last),
                None => 0,
            };
            Ok((bulk(to_text(&items.remove(at))?), true))
        })?)
    })?;
    popped.map(Reply::Array).ok_or_else(no_key)
}

pub fn arrtrim(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (path, start, stop) = (JsonPath::parse(&args[2])?, parse_integer(&args[3])?, parse_integer(&args[4])?);
    let changed = alter(context, &args[1], &path, 0, |value| {
        let items = value.as_array_mut()?;
        let len = length(items.len())?;
        let from_end = |at: i64| if at < 0 { len.saturating_add(at).max(0) } else { at };
        let (from, to) = (from_end(start), from_end(stop).min(len - 1));
        if from > to {
            items.clear();
        } else {
            items.truncate(usize::try_from(to + 1).ok()?);
            items.drain(..usize::try_from(from).ok()?);
        }
        length(items.len())
    })?;
    changed.ok_or_else(no_key)
}

pub fn clear(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let cleared = context.write(|writing| {
        Ok(json::change(writing, &args[1], &path, 0, |value| {
            let clears = match value {
                Value::Array(items) if !items.is_empty() => {
                    items.clear();
                    true
                }
                Value::Object(members) if !members.is_empty() => {
                    members.clear();
                    true
                }
                Value::Number(number) if number.as_f64() != Some(0.0) => {
                    *value = 0.into();
                    true
                }
                _ => false,
            };
            Ok((u64::from(clears), clears))
        })?)
    })?;
    Ok(cleared.map_or(Reply::Nil, |cleared| integer(cleared.into_iter().sum())))
}

pub fn toggle(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let path = parse_path(&args[2..])?;
    let changed = alter(context, &args[1], &path, 0, |value| match value {
        Value::Bool(on) => {
            *on = !*on;
            Some(i64::from(*on))
        }
        _ => None,
    })?;
    Ok(changed.unwrap_or(Reply::Nil))
}

/// JSON.NUMINCRBY and JSON.NUMMULTBY.
pub fn calculate(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let multiply = is(&args[0], "json.nummultby");
    let path = JsonPath::parse(&args[2])?;
    let Ok(Value::Number(by)) = parse_text(&args[3]) else {
        return Err(error("the input value should be a number"));
    };
    let changed = context.write(|writing| {
        let mut infinite = false;
        let changed = json::change(writing, &args[1], &path, 0, |value| {
            let Value::Number(number) = value else { return Ok((Value::Null, false)) };
            match json::calculate(number, &by, multiply) {
                Some(result) => *number = result,
                None => infinite = true,
            }
            Ok((value.clone(), true))
        })?;
        if infinite { Err(error("the result is an infinite number")) } else { Ok(changed) }
    })?;
    let changed = Value::Array(changed.ok_or_else(no_key)?);
    let text = bulk(to_text(&changed)?);
    let numbers = changed.as_array().into_iter().flatten().map(number).collect();
    Ok(Reply::Either(Box::new([text, Reply::Array(numbers)])))
}

/// A number as a number; nothing for what is none.
fn number(value: &Value) -> Reply {
    match value.as_i64() {
        Some(number) => Reply::Integer(number),
        None => value.as_f64().map_or(Reply::Nil, float),
    }
}

pub fn strappend(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (path, text) = match &args[2..] {
        [text] => (JsonPath::parse(b"$")?, text),
        [path, text] => (JsonPath::parse(path)?, text),
        _ => return Err(error("The number of arguments is more than expected")),
    };
    let Value::String(more) = parse_text(text)? else {
        return Err(error("STRAPPEND need input a string to append"));
    };
    let changed = alter(context, &args[1], &path, more.len(), |value| match value {
        Value::String(text) => {
            text.push_str(&more);
            length(text.len())
        }
        _ => None,
    })?;
    changed.ok_or_else(no_key)
}
