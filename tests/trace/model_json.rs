//! What commands on JSON documents do, in values of serde_json.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{Answer, bulk, bulks, count, error, integer, ok, optional};
use crate::model_special::of_key;
use crate::support::client::Reply;

/// All documents.
#[derive(Default)]
pub struct Documents(BTreeMap<String, Value>);

fn parse(text: &str) -> Result<Value, Option<Reply>> {
    serde_json::from_str::<Value>(text).or_else(|e| error(&format!("JSON document: {text:?} is no JSON: {e}")))
}

/// A value as Kvrocks writes it.
fn text(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap();
            if number.abs() < 1e17 { number.to_string() } else { format!("{number:e}").replace('e', "e+") }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            // No name needs an escape.
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{}", text(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// The steps of a path: a name, an index, `*` for all that is right below, or `..` and a name for one at any depth.
fn steps(path: &str) -> &'static [&'static str] {
    match path {
        "$" => &[],
        "$.a" => &["a"],
        "$.b" => &["b"],
        "$.*" => &["*"],
        "$..a" => &["..a"],
        "$.a[0]" => &["a", "0"],
        "$.b[-1]" => &["b", "-1"],
        "$.a.b" => &["a", "b"],
        _ => panic!("{path}: a path that the model does not know"),
    }
}

/// Where one step leads to from a place. Places are JSON pointers, without escapes.
fn follow(root: &Value, place: &str, step: &str) -> Vec<String> {
    match (step, root.pointer(place).unwrap()) {
        ("*", Value::Array(items)) => (0..items.len()).map(|number| format!("{place}/{number}")).collect(),
        ("*", Value::Object(members)) => members.keys().map(|name| format!("{place}/{name}")).collect(),
        ("..a", _) => {
            let mut found = follow(root, place, "a");
            for below in follow(root, place, "*") {
                found.extend(follow(root, &below, step));
            }
            found
        }
        (index, Value::Array(items)) => {
            let Ok(index) = index.parse::<i64>() else { return Vec::new() };
            let size = items.len() as i64;
            let at = if index < 0 { index + size } else { index };
            if (0..size).contains(&at) { vec![format!("{place}/{at}")] } else { Vec::new() }
        }
        (name, Value::Object(members)) if members.contains_key(name) => vec![format!("{place}/{name}")],
        _ => Vec::new(),
    }
}

/// Where a path leads to. What holds something else comes before it.
fn find(root: &Value, path: &str) -> Vec<String> {
    let mut places = vec![String::new()];
    for step in steps(path) {
        places = places.iter().flat_map(|place| follow(root, place, step)).collect();
    }
    places
}

/// What a path finds, seen one by one.
fn look(root: &Value, path: &str, see: impl Fn(&Value) -> Reply) -> Reply {
    Reply::Array(find(root, path).iter().map(|place| see(root.pointer(place).unwrap())).collect())
}

/// The text of all that a path finds.
fn found(root: &Value, path: &str) -> String {
    let found: Vec<Value> = find(root, path).iter().map(|place| root.pointer(place).unwrap().clone()).collect();
    text(&Value::Array(found))
}

/// Changes what a path finds, what is inside before what holds it. The answers are in the order in which it was found.
fn change<R>(root: &mut Value, path: &str, mut each: impl FnMut(&mut Value) -> R) -> Vec<R> {
    let mut out = Vec::new();
    for place in find(root, path).iter().rev() {
        out.push(each(root.pointer_mut(place).unwrap()));
    }
    out.reverse();
    out
}

/// The same of arrays alone.
fn change_arrays(root: &mut Value, path: &str, each: impl Fn(&mut Vec<Value>) -> Reply) -> Reply {
    Reply::Array(change(root, path, |value| value.as_array_mut().map_or(Reply::Nil, &each)))
}

/// Sets what a path finds, or makes the members that it names.
fn put(root: &mut Value, path: &str, value: &Value) {
    let placed = change(root, path, |place| *place = value.clone());
    let names = steps(path);
    if !placed.is_empty() || !names.iter().all(|name| ["a", "b"].contains(name)) {
        return;
    }
    let mut parent = root;
    for name in names {
        let Value::Object(members) = parent else { return };
        parent = members.entry(*name).or_insert_with(|| json!({}));
    }
    *parent = value.clone();
}

/// Removes what a path finds; how many values.
fn remove(root: &mut Value, path: &str) -> usize {
    let places = find(root, path);
    for place in places.iter().rev() {
        let (parent, last) = place.rsplit_once('/').unwrap();
        match root.pointer_mut(parent).unwrap() {
            Value::Array(items) => drop(items.remove(last.parse::<usize>().unwrap())),
            Value::Object(members) => drop(members.remove(last)),
            other => panic!("{other}"),
        }
    }
    places.len()
}

/// As RFC 7396 says.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn clear(value: &mut Value) -> usize {
    let empty = match value {
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
        Value::Number(_) => json!(0),
        _ => return 0,
    };
    let clears = *value != empty;
    *value = empty;
    clears.into()
}

/// Adds to a number or multiplies it, and gives what came of it: a whole number where it is one.
fn calculate(value: &mut Value, by: i64, multiplies: bool) -> Value {
    let Some(rough) = value.as_f64() else { return Value::Null };
    let whole = value.as_i64();
    let exact = whole.and_then(|number| if multiplies { number.checked_mul(by) } else { number.checked_add(by) });
    *value = match exact {
        Some(exact) => exact.into(),
        None => {
            let result = if multiplies { rough * by as f64 } else { rough + by as f64 };
            let is_whole = result.fract() == 0.0 && result.abs() < 9.2e18;
            if is_whole { (result as i64).into() } else { result.into() }
        }
    };
    value.clone()
}

fn type_of(value: &Value) -> &'static str {
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

fn size(found: Option<usize>) -> Reply {
    found.map_or(Reply::Nil, count)
}

/// What is said of a key that is not there.
fn missing(name: &str, path: &str) -> Answer {
    match name {
        "JSON.GET" | "JSON.TYPE" | "JSON.CLEAR" | "JSON.TOGGLE" | "JSON.ARRLEN" | "JSON.OBJKEYS" | "JSON.ARRINDEX"
        | "JSON.ARRINSERT" => Ok(Reply::Nil),
        "JSON.DEL" => Ok(count(0)),
        "JSON.OBJLEN" => error(&format!("Path '{path}' does not exist or not an object")),
        "JSON.STRLEN" | "JSON.ARRAPPEND" | "JSON.ARRPOP" | "JSON.ARRTRIM" | "JSON.NUMINCRBY" | "JSON.NUMMULTBY" => {
            error("could not perform this operation on a key that doesn't exist")
        }
        _ => Err(None),
    }
}

/// What is said of a document.
fn answer_of(root: &mut Value, name: &str, path: &str, rest: &[&str]) -> Answer {
    Ok(match (name, rest) {
        ("JSON.GET", []) => bulk(found(root, path)),
        ("JSON.TYPE", []) => look(root, path, |value| bulk(type_of(value))),
        ("JSON.ARRLEN", []) => look(root, path, |value| size(value.as_array().map(|items| items.len()))),
        ("JSON.OBJLEN", []) => look(root, path, |value| size(value.as_object().map(|members| members.len()))),
        ("JSON.STRLEN", []) => look(root, path, |value| size(value.as_str().map(|text| text.len()))),
        ("JSON.OBJKEYS", []) => {
            look(root, path, |value| value.as_object().map_or(Reply::Nil, |members| bulks(members.keys())))
        }
        ("JSON.ARRINDEX", [wanted]) => {
            let wanted = parse(wanted)?;
            look(root, path, |value| {
                let Some(items) = value.as_array() else { return Reply::Nil };
                items.iter().position(|item| *item == wanted).map_or(Reply::Integer(-1), count)
            })
        }
        ("JSON.DEL", []) => count(remove(root, path)),
        ("JSON.CLEAR", []) => count(change(root, path, clear).into_iter().sum()),
        ("JSON.TOGGLE", []) => {
            let toggle = |value: &mut Value| match value {
                Value::Bool(on) => {
                    *on = !*on;
                    count((*on).into())
                }
                _ => Reply::Nil,
            };
            Reply::Array(change(root, path, toggle))
        }
        ("JSON.NUMINCRBY" | "JSON.NUMMULTBY", [by]) => {
            let by = integer(by)?;
            let results = change(root, path, |value| calculate(value, by, name == "JSON.NUMMULTBY"));
            bulk(text(&Value::Array(results)))
        }
        ("JSON.ARRAPPEND", new) => {
            let new = new.iter().map(|text| parse(text)).collect::<Result<Vec<Value>, _>>()?;
            change_arrays(root, path, |items| {
                items.extend(new.iter().cloned());
                count(items.len())
            })
        }
        ("JSON.ARRINSERT", [index, new]) => {
            let (index, new) = (integer(index)?, parse(new)?);
            change_arrays(root, path, |items| {
                let size = items.len() as i64;
                let at = if index < 0 { index + size } else { index };
                if !(0..size).contains(&at) {
                    return Reply::Nil;
                }
                items.insert(at as usize, new.clone());
                count(items.len())
            })
        }
        ("JSON.ARRPOP", [index]) => {
            let index = integer(index)?;
            change_arrays(root, path, |items| {
                if items.is_empty() {
                    return Reply::Nil;
                }
                let size = items.len() as i64;
                let at = if index < 0 { (index + size).max(0) } else { index.min(size - 1) };
                bulk(text(&items.remove(at as usize)))
            })
        }
        ("JSON.ARRTRIM", [first, last]) => {
            let (first, last) = (integer(first)?, integer(last)?);
            change_arrays(root, path, |items| {
                let size = items.len() as i64;
                let at = |index: i64| if index < 0 { (index + size).max(0) } else { index };
                let (first, last) = (at(first), at(last).min(size - 1));
                let kept = if first <= last { &items[first as usize..=last as usize] } else { &[] };
                *items = kept.to_vec();
                count(items.len())
            })
        }
        _ => return Err(None),
    })
}

impl Documents {
    pub fn answer(&mut self, words: &[&str]) -> Answer {
        if let Some(reply) = of_key(&mut self.0, words, "ReJSON-RL") {
            return Ok(reply);
        }
        match *words {
            ["JSON.SET" | "JSON.MERGE", key, path, value] => {
                let value = parse(value)?;
                self.write(key, path, &value, words[0] == "JSON.MERGE")
            }
            ["JSON.MGET", ref keys @ .., path] => {
                let shown = |key: &&str| optional(self.0.get(*key).map(|root| found(root, path)));
                Ok(Reply::Array(keys.iter().map(shown).collect()))
            }
            ["JSON.GET", key] => Ok(optional(self.0.get(key).map(text))),
            ["JSON.DEL", key, "$"] => Ok(count(self.0.remove(key).is_some().into())),
            [name, key, path, ref rest @ ..] => match self.0.get_mut(key) {
                Some(root) => answer_of(root, name, path, rest),
                None => missing(name, path),
            },
            _ => Err(None),
        }
    }

    fn write(&mut self, key: &str, path: &str, value: &Value, merges: bool) -> Answer {
        let Some(root) = self.0.get_mut(key) else {
            if path != "$" {
                return error("new objects must be created at the root");
            }
            self.0.insert(key.to_owned(), value.clone());
            return Ok(ok());
        };
        let merged = match (merges, value) {
            (false, _) => 0,
            (true, Value::Null) if path != "$" => remove(root, path),
            (true, _) => change(root, path, |target| merge(target, value)).len(),
        };
        if merged == 0 {
            put(root, path, value);
        }
        Ok(ok())
    }
}
