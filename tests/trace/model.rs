//! What commands on the five basic types do, in plain collections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::support::client::Reply;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Hash(BTreeMap<String, String>),
    List(VecDeque<String>),
    Set(BTreeSet<String>),
    Scores(BTreeMap<String, f64>),
}

/// All keys. No collection in it is empty.
#[derive(Default)]
pub struct Model(pub BTreeMap<String, Value>);

/// What a command answers: an error is one with its words, or without them a command that the model does not know.
pub type Answer = Result<Reply, Option<Reply>>;

/// The collection of a key, which is made where there is none.
macro_rules! open {
    ($model:ident, $key:expr, $kind:ident) => {
        match $model.0.entry($key.to_string()).or_insert_with(|| Value::$kind(Default::default())) {
            Value::$kind(value) => value,
            _ => return Err(wrong_type()),
        }
    };
}

fn wrong_type() -> Option<Reply> {
    Some(Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into()))
}

pub fn error<T>(words: &str) -> Result<T, Option<Reply>> {
    Err(Some(Reply::Error(format!("ERR {words}"))))
}

pub fn ok() -> Reply {
    Reply::Simple("OK".into())
}

pub fn bulk(text: impl AsRef<str>) -> Reply {
    Reply::Bulk(text.as_ref().into())
}

pub fn bulks<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Reply {
    Reply::Array(items.into_iter().map(bulk).collect())
}

pub fn optional(text: Option<impl AsRef<str>>) -> Reply {
    text.map_or(Reply::Nil, bulk)
}

pub fn count(number: usize) -> Reply {
    Reply::Integer(number as i64)
}

/// A whole number as Redis reads one.
fn number(text: &str, otherwise: &str) -> Result<i64, Option<Reply>> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text).map_or_else(|| error(otherwise), Ok)
}

pub fn integer(text: &str) -> Result<i64, Option<Reply>> {
    number(text, "value is not an integer or out of range")
}

/// The places from the first to the last, counted from the end where they are negative.
fn span(first: &str, last: &str, size: usize) -> Result<Range<usize>, Option<Reply>> {
    let at = |index: i64| if index < 0 { (index + size as i64).max(-1) } else { index };
    let (first, last) = (at(integer(first)?).max(0) as usize, at(integer(last)?));
    let end = size.min((last + 1) as usize);
    Ok(first.min(end)..end)
}

/// An end of a range of scores, and whether it is outside.
fn bound(text: &str) -> Result<(f64, bool), Option<Reply>> {
    let (text, outside) = text.strip_prefix('(').map_or((text, false), |text| (text, true));
    text.parse().map(|score| (score, outside)).map_err(|_| None)
}

fn within(scores: &BTreeMap<String, f64>, least: &str, most: &str) -> Result<Vec<(String, f64)>, Option<Reply>> {
    let ((least, above), (most, below)) = (bound(least)?, bound(most)?);
    let fits = |score: f64| {
        (if above { score > least } else { score >= least }) && (if below { score < most } else { score <= most })
    };
    Ok(in_order(scores).into_iter().filter(|(_, score)| fits(*score)).collect())
}

/// Members by score, those of one score by their bytes.
fn in_order(scores: &BTreeMap<String, f64>) -> Vec<(String, f64)> {
    let mut members: Vec<_> = scores.iter().map(|(member, score)| (member.clone(), *score)).collect();
    members.sort_by(|a, b| a.1.total_cmp(&b.1));
    members
}

fn remove(scores: &mut BTreeMap<String, f64>, found: &[(String, f64)]) {
    found.iter().for_each(|(member, _)| _ = scores.remove(member));
}

fn members(found: &[(String, f64)], with_scores: bool) -> Reply {
    let shown = |(member, score): &(String, f64)| [member.clone(), score.to_string()];
    bulks(found.iter().flat_map(shown).enumerate().filter(|(n, _)| with_scores || n % 2 == 0).map(|(_, text)| text))
}

impl Model {
    /// What a command answers, once it is done; `None` for one that the model does not know, and does not do.
    pub fn answer(&mut self, words: &[String]) -> Option<Reply> {
        let before = self.0.clone();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = match words[0] {
            "HINCRBYFLOAT" | "HRANDFIELD" | "HSCAN" | "LPOS" | "LMPOP" => Err(None),
            // What is wrong with an argument is told of whatever the key is.
            "HSET" if words.len() % 2 == 1 => Err(None),
            "LPOP" | "RPOP" | "SPOP" if words.len() == 3 && words[2].starts_with('-') => Err(None),
            name if name.starts_with('H') => self.hash(&words),
            name if name.starts_with('Z') => self.sorted_set(&words),
            "SADD" | "SREM" | "SCARD" | "SMEMBERS" | "SISMEMBER" | "SMISMEMBER" | "SMOVE" | "SPOP" => self.set(&words),
            "SINTER" | "SUNION" | "SDIFF" | "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => self.algebra(&words),
            "RPUSH" | "RPUSHX" | "RPOP" | "RPOPLPUSH" => self.list(&words),
            name if name.starts_with('L') => self.list(&words),
            _ => self.string_or_key(&words),
        };
        self.0.retain(|_, value| match value {
            Value::Text(_) => true,
            Value::Hash(hash) => !hash.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Set(set) => !set.is_empty(),
            Value::Scores(scores) => !scores.is_empty(),
        });
        answer.map(Some).unwrap_or_else(|refused| {
            self.0 = before;
            refused
        })
    }

    fn text(&self, key: &str) -> Result<Option<String>, Option<Reply>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong_type()),
        }
    }

    fn put(&mut self, key: &str, text: impl Into<String>) {
        self.0.insert(key.to_owned(), Value::Text(text.into()));
    }

    fn string_or_key(&mut self, words: &[&str]) -> Answer {
        Ok(match *words {
            ["SET", key, value] | ["SET", key, value, "KEEPTTL"] | ["SET", key, value, "EXAT", _] => {
                self.put(key, value);
                ok()
            }
            ["SET", key, value, how @ ("NX" | "XX")] => {
                let does = self.0.contains_key(key) == (how == "XX");
                if does {
                    self.put(key, value);
                }
                if does { ok() } else { Reply::Nil }
            }
            ["SET", key, value, "GET"] | ["GETSET", key, value] => {
                let had = self.text(key)?;
                self.put(key, value);
                optional(had)
            }
            ["GET", key] | ["GETEX", key, ..] => optional(self.text(key)?),
            ["GETDEL", key] => {
                let had = self.text(key)?;
                self.0.remove(key);
                optional(had)
            }
            ["SETNX", key, value] => {
                let does = !self.0.contains_key(key);
                if does {
                    self.put(key, value);
                }
                count(does.into())
            }
            ["MSET", ref pairs @ ..] => {
                pairs.chunks(2).for_each(|pair| self.put(pair[0], pair[1]));
                ok()
            }
            ["MSETNX", ref pairs @ ..] => {
                let does = pairs.chunks(2).all(|pair| !self.0.contains_key(pair[0]));
                pairs.chunks(2).filter(|_| does).for_each(|pair| self.put(pair[0], pair[1]));
                count(does.into())
            }
            ["MGET", ref keys @ ..] => {
                Reply::Array(keys.iter().map(|key| optional(self.text(key).ok().flatten())).collect())
            }
            ["APPEND", key, more] => {
                let text = self.text(key)?.unwrap_or_default() + more;
                self.put(key, text.clone());
                count(text.len())
            }
            ["STRLEN", key] => count(self.text(key)?.unwrap_or_default().len()),
            ["GETRANGE", key, first, last] => {
                let text = self.text(key)?.unwrap_or_default();
                let (from, to) = (integer(first)?, integer(last)?);
                // A last one before the first byte means the first byte.
                let last = if to < -(text.len() as i64) && (from >= 0 || from <= to) { "0" } else { last };
                bulk(&text[span(first, last, text.len())?])
            }
            ["SETRANGE", key, at, more] if integer(at)? >= 0 => {
                let (had, at) = (self.text(key)?, integer(at)? as usize);
                let mut bytes = had.unwrap_or_default().into_bytes();
                if !more.is_empty() {
                    bytes.resize(bytes.len().max(at + more.len()), 0);
                    bytes[at..at + more.len()].copy_from_slice(more.as_bytes());
                    self.put(key, String::from_utf8(bytes.clone()).unwrap());
                }
                count(bytes.len())
            }
            ["INCR", key] => self.increment(key, 1)?,
            ["DECR", key] => self.increment(key, -1)?,
            ["INCRBY", key, by] => self.increment(key, integer(by)?)?,
            ["DECRBY", key, by] => match integer(by)?.checked_neg() {
                Some(by) => self.increment(key, by)?,
                None => error("decrement would overflow")?,
            },
            ["DEL" | "UNLINK", ref keys @ ..] => {
                count(keys.iter().filter(|key| self.0.remove(**key).is_some()).count())
            }
            ["EXISTS" | "TOUCH", ref keys @ ..] => count(keys.iter().filter(|key| self.0.contains_key(**key)).count()),
            ["TYPE", key] => Reply::Simple(
                match self.0.get(key) {
                    None => "none",
                    Some(Value::Text(_)) => "string",
                    Some(Value::Hash(_)) => "hash",
                    Some(Value::List(_)) => "list",
                    Some(Value::Set(_)) => "set",
                    Some(Value::Scores(_)) => "zset",
                }
                .into(),
            ),
            ["RENAME", from, to] => match self.0.remove(from) {
                None => error("no such key")?,
                Some(value) => {
                    self.0.insert(to.into(), value);
                    ok()
                }
            },
            ["RENAMENX", from, to] => match (self.0.get(from).cloned(), self.0.contains_key(to)) {
                (None, _) => error("no such key")?,
                (Some(_), true) => count(0),
                (Some(value), false) => {
                    self.0.remove(from);
                    self.0.insert(to.into(), value);
                    count(1)
                }
            },
            ["COPY", from, to, ref replace @ ..] if from != to => match self.0.get(from).cloned() {
                Some(value) if !replace.is_empty() || !self.0.contains_key(to) => {
                    self.0.insert(to.into(), value);
                    count(1)
                }
                _ => count(0),
            },
            _ => return Err(None),
        })
    }

    fn increment(&mut self, key: &str, by: i64) -> Answer {
        let had = integer(self.text(key)?.as_deref().unwrap_or("0"))?;
        let Some(now) = had.checked_add(by) else { return error("increment or decrement would overflow") };
        self.put(key, now.to_string());
        Ok(Reply::Integer(now))
    }

    fn hash(&mut self, words: &[&str]) -> Answer {
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        if name == "HINCRBY" {
            integer(rest[1])?;
        }
        let hash = open!(self, key, Hash);
        Ok(match (name, rest) {
            ("HSET" | "HMSET", pairs) => {
                let new = pairs.chunks(2).filter(|pair| hash.insert(pair[0].into(), pair[1].into()).is_none()).count();
                if name == "HSET" { count(new) } else { ok() }
            }
            ("HSETNX", [field, value]) => {
                let new = !hash.contains_key(*field);
                hash.entry(field.to_string()).or_insert(value.to_string());
                count(new.into())
            }
            ("HGET", [field]) => optional(hash.get(*field)),
            ("HEXISTS", [field]) => count(hash.contains_key(*field).into()),
            ("HSTRLEN", [field]) => count(hash.get(*field).map_or(0, String::len)),
            ("HMGET", fields) => Reply::Array(fields.iter().map(|field| optional(hash.get(*field))).collect()),
            ("HDEL", fields) => count(fields.iter().filter(|field| hash.remove(**field).is_some()).count()),
            ("HLEN", []) => count(hash.len()),
            ("HKEYS", []) => bulks(hash.keys()),
            ("HVALS", []) => bulks(hash.values()),
            ("HGETALL", []) => bulks(hash.iter().flat_map(|(field, value)| [field, value])),
            ("HINCRBY", [field, by]) => {
                let had = hash.get(*field).map_or("0", String::as_str);
                let now = number(had, "hash value is not an integer")?.checked_add(integer(by)?);
                let Some(now) = now else { return error("increment or decrement would overflow") };
                hash.insert(field.to_string(), now.to_string());
                Reply::Integer(now)
            }
            _ => return Err(None),
        })
    }

    fn list(&mut self, words: &[&str]) -> Answer {
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        let left = name.starts_with('L');
        if let ("LMOVE", [to, from_end, to_end]) = (name, rest) {
            return self.move_element(key, to, *from_end == "LEFT", *to_end == "LEFT");
        }
        if let ("RPOPLPUSH", [to]) = (name, rest) {
            return self.move_element(key, to, false, true);
        }
        let list = open!(self, key, List);
        let at = |index: &str, size: usize| {
            integer(index).map(|index| if index < 0 { index + size as i64 } else { index } as usize)
        };
        Ok(match (name, rest) {
            ("LPUSHX" | "RPUSHX", _) if list.is_empty() => count(0),
            ("LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX", elements) => {
                for element in elements.iter().map(|element| element.to_string()) {
                    if left { list.push_front(element) } else { list.push_back(element) }
                }
                count(list.len())
            }
            ("LPOP" | "RPOP", []) => optional(if left { list.pop_front() } else { list.pop_back() }),
            ("LPOP" | "RPOP", [most]) => {
                if list.is_empty() {
                    return Ok(Reply::Nil);
                }
                let most = list.len().min(integer(most)? as usize);
                bulks((0..most).map(|_| if left { list.pop_front() } else { list.pop_back() }.unwrap()))
            }
            ("LLEN", []) => count(list.len()),
            ("LINDEX", [index]) => optional(list.get(at(index, list.len())?)),
            ("LSET", _) if list.is_empty() => error("no such key")?,
            ("LSET", [index, element]) => match list.get_mut(at(index, list.len())?) {
                None => error("index out of range")?,
                Some(place) => {
                    *place = element.to_string();
                    ok()
                }
            },
            ("LRANGE", [first, last]) => bulks(list.range(span(first, last, list.len())?)),
            ("LTRIM", [first, last]) => {
                *list = list.range(span(first, last, list.len())?).cloned().collect();
                ok()
            }
            ("LINSERT", [side, pivot, element]) => match list.iter().position(|found| found == pivot) {
                None if list.is_empty() => count(0),
                None => Reply::Integer(-1),
                Some(at) => {
                    list.insert(at + usize::from(*side == "AFTER"), element.to_string());
                    count(list.len())
                }
            },
            ("LREM", [most, element]) => {
                let (size, most) = (list.len(), integer(most)?);
                let mut places: Vec<usize> = (0..size).filter(|&n| list[n] == *element).collect();
                if most < 0 {
                    places.reverse();
                }
                places.truncate(if most == 0 { size } else { most.unsigned_abs() as usize });
                *list = (0..size).filter(|n| !places.contains(n)).map(|n| list[n].clone()).collect();
                count(places.len())
            }
            _ => return Err(None),
        })
    }

    fn move_element(&mut self, from: &str, to: &str, from_left: bool, to_left: bool) -> Answer {
        let list = open!(self, from, List);
        let Some(element) = (if from_left { list.pop_front() } else { list.pop_back() }) else {
            return Ok(Reply::Nil);
        };
        let list = open!(self, to, List);
        if to_left {
            list.push_front(element.clone())
        } else {
            list.push_back(element.clone())
        }
        Ok(bulk(element))
    }

    fn set(&mut self, words: &[&str]) -> Answer {
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        let set = open!(self, key, Set);
        Ok(match (name, rest) {
            ("SADD", members) => count(members.iter().filter(|member| set.insert(member.to_string())).count()),
            ("SREM", members) => count(members.iter().filter(|member| set.remove(**member)).count()),
            ("SCARD", []) => count(set.len()),
            ("SMEMBERS", []) => bulks(set.iter()),
            ("SISMEMBER", [member]) => count(set.contains(*member).into()),
            ("SMISMEMBER", members) => {
                Reply::Array(members.iter().map(|member| count(set.contains(*member).into())).collect())
            }
            // All of them.
            ("SPOP", ["100"]) => bulks(std::mem::take(set)),
            ("SMOVE", _) if set.is_empty() => count(0),
            ("SMOVE", [to, member]) => {
                let had = set.remove(*member);
                let set = open!(self, to, Set);
                if had {
                    set.insert(member.to_string());
                }
                count(had.into())
            }
            _ => return Err(None),
        })
    }

    /// Sets combined, as an answer or in a key.
    fn algebra(&mut self, words: &[&str]) -> Answer {
        let (name, store) = words[0].strip_suffix("STORE").map_or((words[0], None), |name| (name, Some(words[1])));
        let keys = &words[if store.is_some() { 2 } else { 1 }..];
        let mut sets = Vec::new();
        for key in keys {
            sets.push(open!(self, key, Set).clone());
        }
        let combined = sets.into_iter().reduce(|one, other| match name {
            "SINTER" => &one & &other,
            "SUNION" => &one | &other,
            _ => &one - &other,
        });
        let combined = combined.unwrap_or_default();
        let Some(key) = store else { return Ok(bulks(combined)) };
        let size = combined.len();
        self.0.insert(key.into(), Value::Set(combined));
        Ok(count(size))
    }

    fn sorted_set(&mut self, words: &[&str]) -> Answer {
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        let shown = |with: &[&str]| matches!(with, [] | ["WITHSCORES"]);
        let known = match (name, rest) {
            ("ZADD", [score, ..]) => score.parse::<f64>().is_ok_and(f64::is_finite),
            ("ZRANGE" | "ZREVRANGE", [_, _, with @ ..]) => shown(with),
            ("ZCOUNT" | "ZRANGEBYSCORE" | "ZREMRANGEBYSCORE", [least, most, with @ ..]) => {
                bound(least).and(bound(most)).is_ok() && shown(with)
            }
            ("ZPOPMIN" | "ZPOPMAX", most) => most.iter().all(|most| !most.starts_with('-')),
            _ => matches!(
                name,
                "ZINCRBY" | "ZSCORE" | "ZMSCORE" | "ZCARD" | "ZRANK" | "ZREVRANK" | "ZREM" | "ZREMRANGEBYRANK"
            ),
        };
        if !known {
            return Err(None);
        }
        let scores = open!(self, key, Scores);
        let reverse = name.starts_with("ZREV") || name == "ZPOPMAX";
        let mut all = in_order(scores);
        if reverse {
            all.reverse();
        }
        let rank = |member: &str| all.iter().position(|(found, _)| found == member);
        Ok(match (name, rest) {
            ("ZADD", pairs) => {
                let add = |pair: &&[&str]| scores.insert(pair[1].into(), pair[0].parse().unwrap()).is_none();
                count(pairs.chunks(2).filter(add).count())
            }
            ("ZINCRBY", [by, member]) => {
                let score = scores.entry(member.to_string()).or_default();
                *score += by.parse::<f64>().unwrap();
                bulk(score.to_string())
            }
            ("ZSCORE", [member]) => optional(scores.get(*member).map(f64::to_string)),
            ("ZMSCORE", members) => {
                Reply::Array(members.iter().map(|member| optional(scores.get(*member).map(f64::to_string))).collect())
            }
            ("ZCARD", []) => count(scores.len()),
            ("ZCOUNT", [least, most]) => count(within(scores, least, most)?.len()),
            ("ZRANK" | "ZREVRANK", [member]) => rank(member).map_or(Reply::Nil, count),
            ("ZREM", members) => count(members.iter().filter(|member| scores.remove(**member).is_some()).count()),
            ("ZRANGE" | "ZREVRANGE", [first, last, with @ ..]) => {
                members(&all[span(first, last, all.len())?], !with.is_empty())
            }
            ("ZRANGEBYSCORE", [least, most, with @ ..]) => members(&within(scores, least, most)?, !with.is_empty()),
            ("ZREMRANGEBYRANK", [first, last]) => {
                let found = &all[span(first, last, all.len())?];
                remove(scores, found);
                count(found.len())
            }
            ("ZREMRANGEBYSCORE", [least, most]) => {
                let found = within(scores, least, most)?;
                remove(scores, &found);
                count(found.len())
            }
            ("ZPOPMIN" | "ZPOPMAX", most) => {
                let most = integer(most.first().unwrap_or(&"1"))? as usize;
                let found = &all[..most.min(all.len())];
                remove(scores, found);
                members(found, true)
            }
            _ => return Err(None),
        })
    }
}
