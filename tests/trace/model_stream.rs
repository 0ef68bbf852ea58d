//! What commands on streams do, in plain maps.

use std::collections::BTreeMap;

use crate::model::{Answer, bulk, bulks, count, error};
use crate::model_group::Group;
use crate::model_special::of_key;
use crate::support::client::Reply;

/// The milliseconds of an entry, and its number in them.
pub type Id = (u64, u64);
/// Fields and values of entries.
pub type Entries = BTreeMap<Id, Vec<String>>;

/// Behind all entries.
pub const LAST: Id = (u64::MAX, u64::MAX);

#[derive(Default)]
pub struct Stream {
    pub entries: Entries,
    /// The last id that was given to an entry.
    pub last: Id,
    pub groups: BTreeMap<String, Group>,
}

/// All streams, which may be empty.
#[derive(Default)]
pub struct Streams(pub BTreeMap<String, Stream>);

/// What is kept of a stream that is cut.
enum Keep {
    Newest(usize),
    From(Id),
}

pub fn parse_id(text: &str) -> Result<Id, Option<Reply>> {
    let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
    match (ms.parse::<u64>(), number.parse::<u64>()) {
        (Ok(ms), Ok(number)) => Ok((ms, number)),
        _ => error("Invalid stream ID specified as stream command argument"),
    }
}

pub fn parse_ids(texts: &[&str]) -> Result<Vec<Id>, Option<Reply>> {
    texts.iter().map(|text| parse_id(text)).collect()
}

/// An end of a range: the first or the last id that is in it.
fn bound(text: &str, is_first: bool) -> Result<Id, Option<Reply>> {
    match (text, text.strip_prefix('(')) {
        ("-", _) => Ok((0, 0)),
        ("+", _) => Ok(LAST),
        (inside, None) => parse_id(inside),
        (_, Some(outside)) => match (parse_id(outside)?, is_first) {
            (id, true) => Ok(behind(id)),
            ((0, 0), false) => error("invalid end ID for the interval"),
            ((ms, 0), false) => Ok((ms - 1, u64::MAX)),
            ((ms, number), false) => Ok((ms, number - 1)),
        },
    }
}

/// The first id behind another.
pub fn behind(id: Id) -> Id {
    (id.0, id.1 + 1)
}

/// Reads `MAXLEN|MINID [=] threshold`, and gives the words behind it.
fn parse_keep<'a>(words: &'a [&'a str]) -> Result<(Keep, &'a [&'a str]), Option<Reply>> {
    let (how, threshold, rest) = match words {
        [how, "=", threshold, rest @ ..] | [how, threshold, rest @ ..] => (*how, *threshold, rest),
        _ => return Err(None),
    };
    if how == "MINID" {
        return Ok((Keep::From(parse_id(threshold)?), rest));
    }
    match threshold.parse::<usize>() {
        Ok(most) => Ok((Keep::Newest(most), rest)),
        Err(_) => error("value is not an integer or out of range"),
    }
}

pub fn named(id: Id) -> Reply {
    bulk(format!("{}-{}", id.0, id.1))
}

/// An entry by its id, without values where there is none.
fn entry(entries: &Entries, id: Id) -> Reply {
    let values = entries.get(&id).map_or(Reply::Nil, bulks);
    Reply::Array(vec![named(id), values])
}

pub fn shown(entries: &Entries, ids: &[Id]) -> Reply {
    Reply::Array(ids.iter().map(|id| entry(entries, *id)).collect())
}

/// The ids from one to another, both included.
pub fn within(entries: &Entries, from: Id, to: Id) -> Vec<Id> {
    entries.keys().copied().filter(|id| (from..=to).contains(id)).collect()
}

impl Stream {
    /// Deletes the oldest entries; how many.
    fn cut(&mut self, keep: Keep) -> usize {
        let before = self.entries.len();
        match keep {
            Keep::Newest(most) => {
                while self.entries.len() > most {
                    self.entries.pop_first();
                }
            }
            Keep::From(least) => self.entries.retain(|id, _| *id >= least),
        }
        before - self.entries.len()
    }
}

impl Streams {
    pub fn answer(&mut self, words: &[&str], our: &Reply) -> Answer {
        if let Some(reply) = of_key(&mut self.0, words, "stream") {
            return Ok(reply);
        }
        Ok(match *words {
            ["XADD", key, ref rest @ ..] => self.add(key, rest)?,
            ["XLEN", key] => count(self.0.get(key).map_or(0, |stream| stream.entries.len())),
            ["XDEL", key, ref ids @ ..] => {
                let ids = parse_ids(ids)?;
                let delete = |stream: &mut Stream| ids.iter().filter(|id| stream.entries.remove(*id).is_some()).count();
                count(self.0.get_mut(key).map_or(0, delete))
            }
            ["XTRIM", key, ref how @ ..] => {
                let (keep, _) = parse_keep(how)?;
                count(self.0.get_mut(key).map_or(0, |stream| stream.cut(keep)))
            }
            ["XRANGE", key, first, last, ref limit @ ..] | ["XREVRANGE", key, last, first, ref limit @ ..] => {
                let (first, last) = (bound(first, true)?, bound(last, false)?);
                let Some(stream) = self.0.get(key) else { return Ok(Reply::Array(Vec::new())) };
                let mut ids = within(&stream.entries, first, last);
                if words[0] == "XREVRANGE" {
                    ids.reverse();
                }
                if let [_, most] = limit {
                    ids.truncate(most.parse::<usize>().unwrap());
                }
                shown(&stream.entries, &ids)
            }
            ["XREAD", ref rest @ ..] => self.read(rest)?,
            _ => self.of_group(words, our)?,
        })
    }

    fn add(&mut self, key: &str, words: &[&str]) -> Answer {
        let (makes, keep, rest) = match words {
            ["NOMKSTREAM", rest @ ..] => (false, None, rest),
            ["MAXLEN" | "MINID", ..] => {
                let (keep, rest) = parse_keep(words)?;
                (true, Some(keep), rest)
            }
            _ => (true, None, words),
        };
        let [new, values @ ..] = rest else { return Err(None) };
        let last = self.0.get(key).map_or((0, 0), |stream| stream.last);
        let id = match new.strip_suffix("-*") {
            Some(ms) => match parse_id(ms)? {
                (ms, _) if ms == last.0 => behind(last),
                next => next,
            },
            None => match parse_id(new)? {
                (0, 0) => return error("The ID specified in XADD must be greater than 0-0"),
                id => id,
            },
        };
        if !makes && !self.0.contains_key(key) {
            return Ok(Reply::Nil);
        }
        if id <= last {
            return error("The ID specified in XADD is equal or smaller than the target stream top item");
        }
        let stream = self.0.entry(key.to_owned()).or_default();
        stream.entries.insert(id, values.iter().map(|value| value.to_string()).collect());
        stream.last = id;
        if let Some(keep) = keep {
            stream.cut(keep);
        }
        Ok(named(id))
    }

    fn read(&self, words: &[&str]) -> Answer {
        let (most, rest) = match words {
            ["COUNT", most, _, rest @ ..] => (most.parse::<usize>().unwrap(), rest),
            [_, rest @ ..] => (usize::MAX, rest),
            [] => return Err(None),
        };
        let (keys, ids) = rest.split_at(rest.len() / 2);
        let mut found = Vec::new();
        for (key, id) in keys.iter().zip(ids) {
            let Some(stream) = self.0.get(*key) else { continue };
            let former = if *id == "$" { stream.last } else { parse_id(id)? };
            let mut new = within(&stream.entries, behind(former), LAST);
            new.truncate(most);
            if !new.is_empty() {
                found.push(Reply::Array(vec![bulk(key), shown(&stream.entries, &new)]));
            }
        }
        Ok(if found.is_empty() { Reply::Nil } else { Reply::Array(found) })
    }
}
