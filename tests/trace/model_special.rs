//! Plain models of the types that are not basic. They decide every reply themselves, but for what no model can know:
//!
//! - whether a Bloom filter takes an item that it was never given for one that it has, or a HyperLogLog an element for one that
//!   changes nothing. Both are seldom, which is seen to, and what was said once must be said again;
//! - what a HyperLogLog counts, which must be near the truth, as must be what is said of places and distances;
//! - how many entries a group of a stream has read and has left, which is an estimate, and is taken over.

use std::collections::BTreeMap;

use crate::model::{Answer, count};
use crate::model_bits::Bits;
use crate::model_bloom::Filters;
use crate::model_hyperloglog::Logs;
use crate::model_json::Documents;
use crate::model_place::Places;
use crate::model_sorted_int::Ints;
use crate::model_stream::Streams;
use crate::support::client::Reply;

/// The models, each with the keys of one kind.
#[derive(Default)]
pub struct Special {
    bits: Bits,
    logs: Logs,
    places: Places,
    streams: Streams,
    documents: Documents,
    filters: Filters,
    ints: Ints,
}

impl Special {
    /// What a command on keys of a kind answers, once it is done. Where several answers are right it is ours, if that is one of
    /// them. `None` for a command that the model does not know, and does not do.
    pub fn answer(&mut self, kind: &str, words: &[String], our: &Reply) -> Option<Reply> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer: Answer = match kind {
            "bit" => self.bits.answer(&words),
            "log" => self.logs.answer(&words, our),
            "place" => self.places.answer(&words, our),
            "stream" => self.streams.answer(&words, our),
            "json" => self.documents.answer(&words),
            "bloom" => self.filters.answer(&words, our),
            "int" => self.ints.answer(&words),
            _ => Err(None),
        };
        answer.map(Some).unwrap_or_else(|refused| refused)
    }

    /// Fails when what is right but seldom was not seldom.
    pub fn check(&self) {
        for (what, seldom) in
            [("elements changed nothing", &self.logs.unchanged), ("false alarms", &self.filters.false_alarms)]
        {
            let Seldom { asked, given } = *seldom;
            assert!(given * 20 <= asked + 20, "{what}: {given} of {asked}");
        }
    }
}

/// How often an answer was given that may be right but seldom is, of how often it could have been.
#[derive(Default)]
pub struct Seldom {
    asked: u64,
    given: u64,
}

impl Seldom {
    /// The usual answer, or the seldom one where that is ours.
    pub fn either(&mut self, usual: Reply, seldom: Reply, our: Option<&Reply>) -> Reply {
        self.asked += 1;
        if our != Some(&seldom) {
            return usual;
        }
        self.given += 1;
        seldom
    }
}

/// What the commands answer that ask for a key and not for what it holds; `None` for another one.
pub fn of_key<T>(keys: &mut BTreeMap<String, T>, words: &[&str], kind: &str) -> Option<Reply> {
    Some(match *words {
        ["DEL", key] => count(keys.remove(key).is_some().into()),
        ["EXISTS", key] => count(keys.contains_key(key).into()),
        ["TYPE", key] => Reply::Simple(if keys.contains_key(key) { kind } else { "none" }.into()),
        _ => return None,
    })
}

/// The items of an array; none of anything else.
pub fn items(reply: Option<&Reply>) -> &[Reply] {
    match reply {
        Some(Reply::Array(items)) => items,
        _ => &[],
    }
}

/// Commands that ask for all that keys hold, each with the kind of its key.
pub fn questions() -> Vec<(&'static str, Vec<String>)> {
    let members: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let mut lines = vec![
        ("bit", "GET k".to_owned()),
        ("log", "PFCOUNT k".to_owned()),
        ("stream", "XRANGE k - +".to_owned()),
        ("json", "JSON.GET k".to_owned()),
        ("bloom", "BF.INFO k".to_owned()),
        ("int", "SIRANGE k 0 100".to_owned()),
        ("place", format!("GEOPOS k {}", members.join(" "))),
    ];
    lines.extend(members.windows(2).map(|pair| ("place", format!("GEODIST k {}", pair.join(" ")))));
    let mut questions = Vec::new();
    for number in 0..4 {
        for (kind, line) in &lines {
            let key = format!("{kind}{number}");
            let words = line.split(' ').map(|word| if word == "k" { key.clone() } else { word.to_owned() });
            questions.push((*kind, words.collect()));
        }
    }
    questions
}
