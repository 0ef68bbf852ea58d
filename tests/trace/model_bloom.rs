//! What commands on Bloom filters do, in plain sets.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Answer, count, error, ok};
use crate::model_special::{Seldom, items, of_key};
use crate::support::client::Reply;

/// A chain of filters, each so many times as large as the one before; of one where it is 0 times.
struct Filter {
    error_rate: f64,
    first: usize,
    expansion: usize,
    filters: u32,
    /// How many items were new to it.
    items: usize,
    /// What it has said that it has, and must say again.
    known: BTreeSet<String>,
}

/// All chains.
#[derive(Default)]
pub struct Filters {
    keys: BTreeMap<String, Filter>,
    /// Items that were never added and were taken for others.
    pub false_alarms: Seldom,
}

impl Filter {
    fn new(error_rate: &str, first: &str, expansion: usize) -> Filter {
        Filter {
            error_rate: error_rate.parse().unwrap(),
            first: first.parse().unwrap(),
            expansion,
            filters: 1,
            items: 0,
            known: BTreeSet::new(),
        }
    }

    /// How many items each filter takes.
    fn sizes(&self) -> Vec<usize> {
        (0..self.filters).map(|number| self.first * self.expansion.pow(number)).collect()
    }

    fn capacity(&self) -> usize {
        self.sizes().iter().sum()
    }

    /// The bytes of all filters: of each what Apache Parquet says of its block-split filters, a block at least.
    fn bytes(&self) -> usize {
        let one = |items: usize| {
            let bits = -8.0 * (items as f64) / (1.0 - self.error_rate.powf(0.125)).ln();
            (bits as usize).next_power_of_two().max(256) / 8
        };
        self.sizes().into_iter().map(one).sum()
    }

    fn add(&mut self, item: &str, our: Option<&Reply>, false_alarms: &mut Seldom) -> Reply {
        if self.known.contains(item) {
            return count(0);
        }
        let is_full = self.items >= self.capacity();
        let usual = match is_full && self.expansion == 0 {
            true => Reply::Error("ERR nonscaling filter is full".into()),
            false => count(1),
        };
        let reply = false_alarms.either(usual, count(0), our);
        if reply == count(1) {
            self.items += 1;
            self.filters += u32::from(is_full);
        }
        if matches!(reply, Reply::Integer(_)) {
            self.known.insert(item.to_owned());
        }
        reply
    }

    fn has(&mut self, item: &str, our: Option<&Reply>, false_alarms: &mut Seldom) -> Reply {
        if self.known.contains(item) {
            return count(1);
        }
        let reply = false_alarms.either(count(0), count(1), our);
        if reply == count(1) {
            self.known.insert(item.to_owned());
        }
        reply
    }
}

/// An answer for each of many items, or the one for the only one.
fn each(many: bool, wanted: &[&str], our: &Reply, mut answer: impl FnMut(&str, Option<&Reply>) -> Reply) -> Reply {
    if !many {
        return answer(wanted[0], Some(our));
    }
    let ours = items(Some(our));
    Reply::Array(wanted.iter().enumerate().map(|(number, item)| answer(item, ours.get(number))).collect())
}

impl Filters {
    pub fn answer(&mut self, words: &[&str], our: &Reply) -> Answer {
        if let Some(reply) = of_key(&mut self.keys, words, "MBbloom--") {
            return Ok(reply);
        }
        let [name, key, ref rest @ ..] = *words else { return Err(None) };
        let Filters { keys, false_alarms } = self;
        Ok(match (name, rest) {
            ("BF.RESERVE", _) if keys.contains_key(key) => error("the key already exists")?,
            ("BF.RESERVE", [error_rate, capacity, growth @ ..]) => {
                let expansion = if growth.contains(&"NONSCALING") { 0 } else { 2 };
                keys.insert(key.to_owned(), Filter::new(error_rate, capacity, expansion));
                ok()
            }
            ("BF.INSERT", ["NOCREATE", ..]) if !keys.contains_key(key) => error("key is not found")?,
            ("BF.ADD" | "BF.MADD" | "BF.INSERT", _) => {
                let (capacity, new) = match rest {
                    ["CAPACITY", capacity, "ITEMS", new @ ..] => (*capacity, new),
                    ["NOCREATE", "ITEMS", new @ ..] => ("100", new),
                    new => ("100", new),
                };
                let filter = keys.entry(key.to_owned()).or_insert_with(|| Filter::new("0.01", capacity, 2));
                each(name != "BF.ADD", new, our, |item, our| filter.add(item, our, false_alarms))
            }
            ("BF.EXISTS" | "BF.MEXISTS", wanted) => {
                each(name == "BF.MEXISTS", wanted, our, |item, our| match keys.get_mut(key) {
                    Some(filter) => filter.has(item, our, false_alarms),
                    None => count(0),
                })
            }
            ("BF.CARD", []) => count(keys.get(key).map_or(0, |filter| filter.items)),
            ("BF.INFO", wanted) => {
                let Some(filter) = keys.get(key) else { return error("key is not found") };
                let expansion = if filter.expansion == 0 { Reply::Nil } else { count(filter.expansion) };
                let rows = [
                    ("CAPACITY", "Capacity", count(filter.capacity())),
                    ("SIZE", "Size", count(filter.bytes())),
                    ("FILTERS", "Number of filters", count(filter.filters as usize)),
                    ("ITEMS", "Number of items inserted", count(filter.items)),
                    ("EXPANSION", "Expansion rate", expansion),
                ];
                let mut rows = rows.into_iter();
                match wanted {
                    [wanted] => rows.find(|row| row.0 == *wanted).map_or(Reply::Nil, |row| row.2),
                    _ => Reply::Array(rows.flat_map(|row| [Reply::Simple(row.1.into()), row.2]).collect()),
                }
            }
            _ => return Err(None),
        })
    }
}
