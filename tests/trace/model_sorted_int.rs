//! What commands on sorted ints do, in plain sets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::model::{Answer, bulks, count, error};
use crate::model_special::of_key;
use crate::support::client::Reply;

/// All sorted ints. None is empty.
#[derive(Default)]
pub struct Ints(BTreeMap<String, BTreeSet<u64>>);

fn id(text: &str) -> Result<u64, Option<Reply>> {
    match text.parse::<u64>() {
        Ok(id) => Ok(id),
        Err(_) => error("value is not an integer or out of range"),
    }
}

fn ids(texts: &[&str]) -> Result<Vec<u64>, Option<Reply>> {
    texts.iter().map(|text| id(text)).collect()
}

impl Ints {
    fn held(&self, key: &str) -> BTreeSet<u64> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn page(&self, key: &str, within: RangeInclusive<u64>, reverse: bool, offset: u64, most: u64) -> Reply {
        let mut found: Vec<u64> = self.held(key).into_iter().filter(|id| within.contains(id)).collect();
        if reverse {
            found.reverse();
        }
        bulks(found.iter().skip(offset as usize).take(most as usize).map(|id| id.to_string()))
    }

    pub fn answer(&mut self, words: &[&str]) -> Answer {
        if let Some(reply) = of_key(&mut self.0, words, "sortedint") {
            return Ok(reply);
        }
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        let reverse = name.starts_with("SIREV");
        Ok(match (name, rest) {
            ("SIADD" | "SIREM", new) => {
                let (had, new): (BTreeSet<u64>, BTreeSet<u64>) = (self.held(key), ids(new)?.into_iter().collect());
                let now = if name == "SIADD" { &had | &new } else { &had - &new };
                let changed = now.len().abs_diff(had.len());
                self.0.insert(key.to_owned(), now);
                self.0.retain(|_, held| !held.is_empty());
                count(changed)
            }
            ("SIEXISTS", wanted) => {
                let (wanted, held) = (ids(wanted)?, self.held(key));
                Reply::Array(wanted.iter().map(|id| count(held.contains(id).into())).collect())
            }
            ("SICARD", []) => count(self.held(key).len()),
            ("SIRANGE" | "SIREVRANGE", [offset, most, cursor @ ..]) => {
                let within = match cursor {
                    ["CURSOR", cursor] if reverse => 0..=(id(cursor)? - 1),
                    ["CURSOR", cursor] => (id(cursor)? + 1)..=u64::MAX,
                    _ => 0..=u64::MAX,
                };
                self.page(key, within, reverse, id(offset)?, id(most)?)
            }
            ("SIRANGEBYVALUE", [least, most, limit @ ..]) | ("SIREVRANGEBYVALUE", [most, least, limit @ ..]) => {
                let least = id(least)?;
                let most = if *most == "+inf" { u64::MAX } else { id(most)? };
                let (offset, number) = match limit {
                    ["LIMIT", offset, number] => (id(offset)?, id(number)?),
                    _ => (0, u64::MAX),
                };
                self.page(key, least..=most, reverse, offset, number)
            }
            _ => return Err(None),
        })
    }
}
