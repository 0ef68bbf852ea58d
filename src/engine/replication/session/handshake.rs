//! What two Pumice peers tell each other before PSYNC: `pumice <version> layout <layout> run <16 characters>`, and the
//! primary also `generation <number> id <replication id> latest <sequence>`. Both say of themselves, where there is something
//! to say, `node <node id>`, `epoch <number>:<replication id>` and `origin <the dataset of that epoch>`. Pairs, in any order after the first; unknown ones are skipped.

use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::key::Layout;
use crate::engine::format::registry::{REPLICATION_ID_LENGTH, check_replication_id};
use crate::engine::format::state::Epoch;
use crate::engine::format::topology::check_node_id;

/// The version of the dialect. A later one must still understand this one.
const VERSION: &str = "1";
/// More pairs than any version will have.
const MAX_PAIRS: usize = 64;

/// What a Pumice says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// How its keys are laid out.
    pub layout: Layout,
    /// 16 characters, drawn when the engine was opened.
    pub run_id: String,
    /// Who it is in a topology.
    pub node_id: Option<String>,
    /// The epoch under which a primary writes, or the highest that a replica has seen, and the first replication id of the
    /// dataset that it is of.
    pub epoch: Option<(Epoch, String)>,
    /// A primary: where it is.
    pub at: Option<At>,
}

/// Where a primary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The number of its generation: another one when its data was replaced as a whole.
    pub generation: u64,
    /// Its current replication id, empty where it has none.
    pub id: String,
    /// Its latest sequence.
    pub latest: u64,
}

impl Hello {
    /// The words.
    pub fn words(&self) -> Vec<Vec<u8>> {
        let mut words = vec!["pumice", VERSION, "layout", self.layout.name(), "run", &self.run_id];
        if let Some(node_id) = &self.node_id {
            words.extend(["node", node_id]);
        }
        let epoch = self.epoch.as_ref().map(|(epoch, origin)| (epoch.to_string(), origin));
        if let Some((epoch, origin)) = &epoch {
            words.extend(["epoch", epoch, "origin", origin]);
        }
        let numbers;
        if let Some(at) = &self.at {
            numbers = (at.generation.to_string(), at.latest.to_string());
            words.extend(["generation", &numbers.0, "id", &at.id, "latest", &numbers.1]);
        }
        words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    /// Reads the words.
    pub fn parse(words: &[impl AsRef<[u8]>]) -> Result<Hello> {
        if words.len() > 2 * MAX_PAIRS {
            return Err(bad("words", format!("got {}, expected at most {}", words.len(), 2 * MAX_PAIRS)));
        }
        let (mut layout, mut run_id, mut generation, mut id, mut latest) = (None, None, None, None, None);
        let (mut node_id, mut epoch, mut origin) = (None, None, None);
        for pair in words.chunks_exact(2) {
            let [name, value] = pair else { continue };
            let value = value.as_ref();
            match name.as_ref().to_ascii_lowercase().as_slice() {
                b"layout" => layout = Some(parse_layout(value)?),
                b"run" => run_id = Some(parse_run_id(value)?),
                b"node" => node_id = Some(parse_node_id(value)?),
                b"epoch" => epoch = Some(parse_epoch(value).ok_or_else(|| bad_value("epoch", value))?),
                b"origin" => origin = Some(check_replication_id(value)?.to_owned()),
                b"id" => id = Some(parse_replication_id(value)?),
                b"generation" => {
                    generation = Some(parse_sequence(value).ok_or_else(|| bad_value("generation", value))?);
                }
                b"latest" => latest = Some(parse_sequence(value).ok_or_else(|| bad_value("latest", value))?),
                _ => {}
            }
        }
        let missing = |what| bad(what, "got none, expected one".to_owned());
        Ok(Hello {
            layout: layout.ok_or_else(|| missing("layout"))?,
            run_id: run_id.ok_or_else(|| missing("run"))?,
            node_id,
            epoch: epoch.zip(origin),
            at: generation.zip(id).zip(latest).map(|((generation, id), latest)| At { generation, id, latest }),
        })
    }
}

fn bad(what: &str, message: String) -> Error {
    Error::new(ErrorKind::Corruption, format!("handshake of a Pumice, {what}: {message}"))
}

fn bad_value(what: &str, value: &[u8]) -> Error {
    bad(what, format!("got {}", shown(value)))
}

fn parse_layout(value: &[u8]) -> Result<Layout> {
    let known = [Layout::Standalone, Layout::Cluster];
    known.into_iter().find(|layout| layout.name().as_bytes() == value).ok_or_else(|| bad_value("layout", value))
}

fn parse_run_id(value: &[u8]) -> Result<String> {
    let good = value.len() == REPLICATION_ID_LENGTH && value.iter().all(u8::is_ascii_alphanumeric);
    if good { Ok(String::from_utf8_lossy(value).into_owned()) } else { Err(bad_value("run", value)) }
}

fn parse_node_id(value: &[u8]) -> Result<String> {
    let id = String::from_utf8_lossy(value).into_owned();
    if check_node_id(&id).is_ok() { Ok(id) } else { Err(bad_value("node", value)) }
}

/// An epoch as it goes over the wire.
pub fn parse_epoch(value: &[u8]) -> Option<Epoch> {
    let colon = value.iter().position(|&byte| byte == b':')?;
    let number = parse_sequence(value.get(..colon)?)?;
    let id = check_replication_id(value.get(colon + 1..)?).ok()?.to_owned();
    Some(Epoch { number, id })
}

fn parse_replication_id(value: &[u8]) -> Result<String> {
    if value.is_empty() { Ok(String::new()) } else { check_replication_id(value).map(str::to_owned) }
}

/// A sequence number in decimal.
pub fn parse_sequence(value: &[u8]) -> Option<u64> {
    let decimal = !value.is_empty() && value.len() <= 20 && value.iter().all(u8::is_ascii_digit);
    if decimal { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one says is what the other reads, and what a later version adds is skipped.
    #[test]
    fn both_ways() {
        let run_id = "abcDEF0123456789".to_owned();
        let mut hello = Hello { layout: Layout::Cluster, run_id, node_id: None, epoch: None, at: None };
        assert_eq!(Hello::parse(&hello.words()).unwrap(), hello);
        hello.node_id = Some("n".repeat(40));
        hello.epoch = Some((Epoch { number: 7, id: "ABCDEFGHIJKLMNOP".into() }, "0123456789ABCDEF".into()));
        assert_eq!(Hello::parse(&hello.words()).unwrap(), hello);
        for id in ["ABCDEFGHIJKLMNOP", ""] {
            hello.at = Some(At { generation: 3, id: id.to_owned(), latest: 77 });
            let mut words = hello.words();
            assert_eq!(Hello::parse(&words).unwrap(), hello);
            words.extend([b"colour".to_vec(), b"grey".to_vec(), b"odd".to_vec()]);
            words[1] = b"2".to_vec();
            assert_eq!(Hello::parse(&words).unwrap(), hello);
        }
    }

    /// Missing and malformed values are refused by name.
    #[test]
    fn refused() {
        for (words, what) in [
            ("pumice 1 layout standalone", "run: got none"),
            ("pumice 1 run abcDEF0123456789", "layout: got none"),
            ("pumice 1 layout sideways run abcDEF0123456789", "layout: got \"sideways\""),
            ("pumice 1 layout cluster run short", "run: got \"short\""),
            ("pumice 1 layout cluster run abcDEF0123456789 node short", "node: got \"short\""),
            ("pumice 1 layout cluster run abcDEF0123456789 epoch 7", "epoch: got \"7\""),
            ("pumice 1 layout cluster run abcDEF0123456789 epoch -7:ABCDEFGHIJKLMNOP", "epoch: got"),
            ("pumice 1 layout cluster run abcDEF0123456789 latest -1", "latest: got \"-1\""),
            ("pumice 1 layout cluster run abcDEF0123456789 id short", "replication id"),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let error = Hello::parse(&words).unwrap_err();
            assert!(error.message().contains(what), "{error}");
        }
        assert!(Hello::parse(&vec!["x"; 200]).unwrap_err().message().contains("got 200"));
    }
}
