//! What commands on HyperLogLogs do, in plain sets.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Answer, count, ok};
use crate::model_special::{Seldom, of_key};
use crate::support::client::Reply;

/// All HyperLogLogs with what was added to each.
#[derive(Default)]
pub struct Logs {
    keys: BTreeMap<String, BTreeSet<String>>,
    /// New elements that left the estimate as it was.
    pub unchanged: Seldom,
}

impl Logs {
    fn union(&self, keys: &[&str]) -> BTreeSet<String> {
        keys.iter().filter_map(|key| self.keys.get(*key)).flatten().cloned().collect()
    }

    pub fn answer(&mut self, words: &[&str], our: &Reply) -> Answer {
        if let Some(reply) = of_key(&mut self.keys, words, "hyperloglog") {
            return Ok(reply);
        }
        Ok(match *words {
            ["PFADD", key, ref elements @ ..] => {
                let is_made = !self.keys.contains_key(key);
                let seen = self.keys.entry(key.to_owned()).or_default();
                let new = elements.iter().filter(|element| seen.insert(element.to_string())).count();
                if is_made || new == 0 {
                    count(is_made.into())
                } else {
                    self.unchanged.either(count(1), count(0), Some(our))
                }
            }
            ["PFCOUNT", ref keys @ ..] => {
                let exact = self.union(keys).len() as i64;
                match our {
                    // 5 % of it, and 2.
                    Reply::Integer(estimate) if exact > 0 && (*estimate - exact).abs() <= exact / 20 + 2 => our.clone(),
                    _ => Reply::Integer(exact),
                }
            }
            ["PFMERGE", key, ..] => {
                let all = self.union(&words[1..]);
                self.keys.insert(key.to_owned(), all);
                ok()
            }
            _ => return Err(None),
        })
    }
}
