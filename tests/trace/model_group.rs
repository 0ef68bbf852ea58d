//! What commands on the groups of streams do.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Answer, bulk, bulks, count, error, integer, ok};
use crate::model_special::items;
use crate::model_stream::{Entries, Id, LAST, Streams, behind, named, parse_id, parse_ids, shown, within};
use crate::support::client::Reply;

#[derive(Default)]
pub struct Group {
    /// The last entry that was given to somebody.
    last: Id,
    consumers: BTreeSet<String>,
    /// Who was given an entry and has not acknowledged it.
    pending: BTreeMap<Id, String>,
}

fn missing(key: &str, name: &str) -> Option<Reply> {
    Some(Reply::Error(format!("NOGROUP No such key '{key}' or consumer group '{name}'")))
}

fn names(ids: &[Id]) -> Reply {
    Reply::Array(ids.iter().map(|id| named(*id)).collect())
}

/// Entries that have changed hands.
fn claimed(entries: &Entries, ids: &[Id], options: &[&str]) -> Reply {
    if options.contains(&"JUSTID") { names(ids) } else { shown(entries, ids) }
}

impl Streams {
    /// A group with the entries of its stream.
    fn open(&mut self, key: &str, name: &str) -> Option<(&Entries, &mut Group)> {
        let stream = self.0.get_mut(key)?;
        Some((&stream.entries, stream.groups.get_mut(name)?))
    }

    /// What a command on groups answers, once it is done.
    pub fn of_group(&mut self, words: &[&str], our: &Reply) -> Answer {
        match *words {
            ["XGROUP", what, key, name, ref rest @ ..] => self.manage(what, key, name, rest),
            ["XREADGROUP", _, name, consumer, ref rest @ ..] => self.give(name, consumer, rest),
            ["XINFO", "GROUPS", key] => self.describe(key, our),
            ["XPENDING", key, name, ref rest @ ..] => self.summarize(key, name, rest),
            ["XCLAIM", key, name, consumer, idle, ref rest @ ..] => self.claim(key, name, consumer, idle, rest),
            ["XAUTOCLAIM", key, name, consumer, _, from, ref rest @ ..] => {
                self.claim_any(key, name, consumer, from, rest)
            }
            ["XACK", key, name, ref ids @ ..] => {
                let ids = parse_ids(ids)?;
                let Some((_, group)) = self.open(key, name) else { return Ok(count(0)) };
                Ok(count(ids.iter().filter(|id| group.pending.remove(*id).is_some()).count()))
            }
            _ => Err(None),
        }
    }

    fn manage(&mut self, what: &str, key: &str, name: &str, rest: &[&str]) -> Answer {
        const NO_KEY: &str = concat!(
            "The XGROUP subcommand requires the key to exist. ",
            "Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
        );
        if let [_, "ENTRIESREAD", read] = rest
            && integer(read)? < -1
        {
            return error("value for ENTRIESREAD must be positive or -1");
        }
        if rest.contains(&"MKSTREAM") {
            self.0.entry(key.to_owned()).or_default();
        }
        let Some(stream) = self.0.get_mut(key) else { return error(NO_KEY) };
        let found = stream.groups.get_mut(name);
        Ok(match (what, rest, found) {
            ("CREATE", _, Some(_)) => {
                return Err(Some(Reply::Error("BUSYGROUP Consumer Group name already exists".into())));
            }
            ("CREATE", [from, ..], None) => {
                let last = if *from == "$" { stream.last } else { parse_id(from)? };
                stream.groups.insert(name.to_owned(), Group { last, ..Group::default() });
                ok()
            }
            ("DESTROY", [], _) => count(stream.groups.remove(name).is_some().into()),
            (_, _, None) => {
                let text = format!("NOGROUP No such consumer group '{name}' for key name '{key}'");
                return Err(Some(Reply::Error(text)));
            }
            ("SETID", [from], Some(group)) => {
                group.last = parse_id(from)?;
                ok()
            }
            ("CREATECONSUMER", [consumer], Some(group)) => count(group.consumers.insert(consumer.to_string()).into()),
            ("DELCONSUMER", [consumer], Some(group)) => {
                let before = group.pending.len();
                group.pending.retain(|_, owner| owner.as_str() != *consumer);
                group.consumers.remove(*consumer);
                count(before - group.pending.len())
            }
            _ => return Err(None),
        })
    }

    /// What is new, or with an id what is pending for a consumer behind it.
    fn give(&mut self, name: &str, consumer: &str, words: &[&str]) -> Answer {
        let [ref options @ .., key, from] = *words else { return Err(None) };
        let most = if let ["COUNT", most, ..] = options { most.parse::<usize>().unwrap() } else { usize::MAX };
        let Some((entries, group)) = self.open(key, name) else {
            let text =
                format!("NOGROUP No such key '{key}' or consumer group '{name}' in XREADGROUP with GROUP option");
            return Err(Some(Reply::Error(text)));
        };
        let mut found: Vec<Id> = if from == ">" {
            within(entries, behind(group.last), LAST)
        } else {
            let former = parse_id(from)?;
            let own = group.pending.iter().filter(|(id, owner)| **id > former && owner.as_str() == consumer);
            own.map(|(id, _)| *id).collect()
        };
        found.truncate(most);
        group.consumers.insert(consumer.to_owned());
        if from == ">" {
            let Some(last) = found.last() else { return Ok(Reply::Nil) };
            group.last = *last;
            if !options.contains(&"NOACK") {
                group.pending.extend(found.iter().map(|id| (*id, consumer.to_owned())));
            }
        }
        Ok(Reply::Array(vec![Reply::Array(vec![bulk(key), shown(entries, &found)])]))
    }

    /// How much is pending, for whom. What was idle for so long as the other form of the command asks for, nothing is.
    fn summarize(&mut self, key: &str, name: &str, rest: &[&str]) -> Answer {
        let (_, group) = self.open(key, name).ok_or_else(|| missing(key, name))?;
        if !rest.is_empty() {
            return Ok(Reply::Array(Vec::new()));
        }
        let (Some(first), Some(last)) = (group.pending.first_key_value(), group.pending.last_key_value()) else {
            return Ok(Reply::Array(vec![count(0), Reply::Nil, Reply::Nil, Reply::Nil]));
        };
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for owner in group.pending.values() {
            *shares.entry(owner.as_str()).or_default() += 1;
        }
        let shares = shares.into_iter().map(|(owner, share)| bulks([owner.to_owned(), share.to_string()]));
        let shares = Reply::Array(shares.collect());
        Ok(Reply::Array(vec![count(group.pending.len()), named(*first.0), named(*last.0), shares]))
    }

    fn claim(&mut self, key: &str, name: &str, consumer: &str, idle: &str, words: &[&str]) -> Answer {
        // Ids have a dash, options have none.
        let ids = words.iter().take_while(|word| word.contains('-')).count();
        let (ids, options) = words.split_at(ids);
        let ids = parse_ids(ids)?;
        let (entries, group) = self.open(key, name).ok_or_else(|| missing(key, name))?;
        group.consumers.insert(consumer.to_owned());
        let mut taken = Vec::new();
        for id in ids {
            if !entries.contains_key(&id) {
                group.pending.remove(&id);
                continue;
            }
            // Nothing was idle for longer than no time.
            let takes = if group.pending.contains_key(&id) { idle == "0" } else { options.contains(&"FORCE") };
            if takes {
                group.pending.insert(id, consumer.to_owned());
                taken.push(id);
            }
        }
        Ok(claimed(entries, &taken, options))
    }

    fn claim_any(&mut self, key: &str, name: &str, consumer: &str, from: &str, options: &[&str]) -> Answer {
        let most = if let ["COUNT", most, ..] = options { most.parse::<usize>().unwrap() } else { 100 };
        let from = parse_id(from)?;
        let (entries, group) = self.open(key, name).ok_or_else(|| missing(key, name))?;
        group.consumers.insert(consumer.to_owned());
        let mut ids: Vec<Id> = group.pending.keys().copied().filter(|id| *id >= from).collect();
        let next = ids.get(most).copied().unwrap_or_default();
        ids.truncate(most);
        let (taken, deleted): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| entries.contains_key(id));
        group.pending.extend(taken.iter().map(|id| (*id, consumer.to_owned())));
        group.pending.retain(|id, _| !deleted.contains(id));
        Ok(Reply::Array(vec![named(next), claimed(entries, &taken, options), names(&deleted)]))
    }

    fn describe(&self, key: &str, our: &Reply) -> Answer {
        let Some(stream) = self.0.get(key) else { return error("no such key") };
        let rows = stream.groups.iter().enumerate().map(|(number, (name, group))| {
            let our = items(items(Some(our)).get(number));
            let estimate = |at: usize| our.get(at).cloned().unwrap_or(Reply::Nil);
            Reply::Array(vec![
                bulk("name"),
                bulk(name),
                bulk("consumers"),
                count(group.consumers.len()),
                bulk("pending"),
                count(group.pending.len()),
                bulk("last-delivered-id"),
                named(group.last),
                bulk("entries-read"),
                estimate(9),
                bulk("lag"),
                estimate(11),
            ])
        });
        Ok(Reply::Array(rows.collect()))
    }
}
