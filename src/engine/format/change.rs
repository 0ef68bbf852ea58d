//! What a batch did, in a user's terms. Every record that takes a sequence number yields at least one change, in
//! order; what cannot be decoded comes with its raw key.

use super::batch::{Batch, DEFAULT, METADATA, PROPAGATE, Record, STREAM, ZSET_SCORE};
use super::key::{Layout, decode_key, decode_subkey, namespace_prefix, prefix_end};
use super::metadata::{Kind, decode_metadata};
use super::registry::{REGISTRY_KEY, REPLICATION_ID_KEY};

/// What was done. The numbers and names are the same in every language and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Operation {
    /// A key was set. Strings and JSON come with their value; of other kinds the metadata was written.
    Put = 1,
    /// A key was removed.
    Delete = 2,
    /// The keys from `key` up to but not including `end` were removed; to the end of the namespace without `end`.
    /// Without a namespace both bounds are raw keys of the family.
    DeleteRange = 3,
    /// All keys of the namespace were removed.
    Clear = 4,
    /// A field, member, element or the like of a key was set.
    PutSubkey = 5,
    /// A field, member, element or the like of a key was removed.
    DeleteSubkey = 6,
    /// The namespace registry was written. Its value is not given, since it holds the tokens.
    Namespaces = 7,
    /// The replication id was written, or removed when there is no value.
    ReplicationId = 8,
    /// Something else: a raw key, with its value when it was set and without when it was removed.
    Other = 9,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Operation; 9] = [
        Operation::Put,
        Operation::Delete,
        Operation::DeleteRange,
        Operation::Clear,
        Operation::PutSubkey,
        Operation::DeleteSubkey,
        Operation::Namespaces,
        Operation::ReplicationId,
        Operation::Other,
    ];

    /// The operation's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Put => "put",
            Operation::Delete => "delete",
            Operation::DeleteRange => "delete_range",
            Operation::Clear => "clear",
            Operation::PutSubkey => "put_subkey",
            Operation::DeleteSubkey => "delete_subkey",
            Operation::Namespaces => "namespaces",
            Operation::ReplicationId => "replication_id",
            Operation::Other => "other",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What was done.
    pub operation: Operation,
    /// The column family that it was done in.
    pub family: u32,
    /// The namespace; empty when `key` is a raw key.
    pub namespace: Vec<u8>,
    /// The user key, the first key of a range, or a raw key.
    pub key: Vec<u8>,
    /// The key after the last of a range.
    pub end: Option<Vec<u8>>,
    /// The stored field, member, index or id of a subkey.
    pub sub: Option<Vec<u8>>,
    /// The version of a composite key, which its subkeys carry: those with another one are remains. 0 for none.
    pub version: u64,
    /// The value; of JSON with its leading format byte.
    pub value: Option<Vec<u8>>,
    /// The kind of the key, `Kind::NONE` where the record does not say.
    pub kind: Kind,
    /// When the key expires, in unix milliseconds; 0 for never.
    pub expire_ms: u64,
}

impl Change {
    fn new(operation: Operation, family: u32, namespace: &[u8], key: &[u8]) -> Change {
        Change {
            operation,
            family,
            namespace: namespace.to_vec(),
            key: key.to_vec(),
            end: None,
            sub: None,
            version: 0,
            value: None,
            kind: Kind::NONE,
            expire_ms: 0,
        }
    }

    fn other(family: u32, key: &[u8], value: Option<&[u8]>) -> Change {
        Change { value: value.map(<[u8]>::to_vec), ..Change::new(Operation::Other, family, b"", key) }
    }
}

/// What a batch did.
pub fn changes(batch: &Batch<'_>, layout: Layout) -> Vec<Change> {
    let mut out = Vec::new();
    for record in batch.records() {
        match record {
            Record::Put { family, key, value } => out.push(one(family, key, Some(value), layout)),
            Record::Delete { family, key } => out.push(one(family, key, None, layout)),
            Record::DeleteRange { family, begin, end } => {
                out.push(range(family, begin, end, layout));
                if family == PROPAGATE {
                    let covered = |key: &[u8]| begin <= key && key < end;
                    if covered(REGISTRY_KEY) {
                        out.push(one(family, REGISTRY_KEY, None, layout));
                    }
                    if covered(REPLICATION_ID_KEY) {
                        out.push(one(family, REPLICATION_ID_KEY, None, layout));
                    }
                }
            }
            Record::LogData(_) | Record::Noop => {}
        }
    }
    out
}

/// The change of a Put, or of a Delete when there is no value.
fn one(family: u32, raw: &[u8], value: Option<&[u8]>, layout: Layout) -> Change {
    let known = match family {
        METADATA => metadata(raw, value, layout),
        DEFAULT | ZSET_SCORE | STREAM => subkey(family, raw, value, layout),
        PROPAGATE => propagate(raw, value),
        _ => None,
    };
    known.unwrap_or_else(|| Change::other(family, raw, value))
}

fn metadata(raw: &[u8], value: Option<&[u8]>, layout: Layout) -> Option<Change> {
    let key = decode_key(raw, layout).ok().filter(|key| !key.namespace.is_empty())?;
    let Some(value) = value else {
        return Some(Change::new(Operation::Delete, METADATA, key.namespace, key.key));
    };
    let head = decode_metadata(value).ok()?;
    let payload = if head.kind.is_single_kv() { value.get(head.payload..) } else { None };
    Some(Change {
        version: head.version,
        value: payload.map(<[u8]>::to_vec),
        kind: head.kind,
        expire_ms: head.expire_ms,
        ..Change::new(Operation::Put, METADATA, key.namespace, key.key)
    })
}

fn subkey(family: u32, raw: &[u8], value: Option<&[u8]>, layout: Layout) -> Option<Change> {
    let key = decode_subkey(raw, layout).ok().filter(|key| !key.namespace.is_empty())?;
    let operation = if value.is_some() { Operation::PutSubkey } else { Operation::DeleteSubkey };
    Some(Change {
        sub: Some(key.sub.to_vec()),
        version: key.version,
        value: value.map(<[u8]>::to_vec),
        // The default family holds the subkeys of several kinds.
        kind: match family {
            ZSET_SCORE => Kind::ZSET,
            STREAM => Kind::STREAM,
            _ => Kind::NONE,
        },
        ..Change::new(operation, family, key.namespace, key.key)
    })
}

fn propagate(raw: &[u8], value: Option<&[u8]>) -> Option<Change> {
    match raw {
        REGISTRY_KEY => Some(Change::new(Operation::Namespaces, PROPAGATE, b"", raw)),
        REPLICATION_ID_KEY => Some(Change {
            value: value.map(<[u8]>::to_vec),
            ..Change::new(Operation::ReplicationId, PROPAGATE, b"", raw)
        }),
        _ => None,
    }
}

fn range(family: u32, begin: &[u8], end: &[u8], layout: Layout) -> Change {
    let known = if family == METADATA { metadata_range(begin, end, layout) } else { None };
    known.unwrap_or_else(|| Change {
        end: Some(end.to_vec()),
        ..Change::new(Operation::DeleteRange, family, b"", begin)
    })
}

/// A range within one namespace. In the cluster layout keys sort by slot, so that user keys cannot bound a range.
fn metadata_range(begin: &[u8], end: &[u8], layout: Layout) -> Option<Change> {
    let from = decode_key(begin, Layout::Standalone).ok().filter(|key| !key.namespace.is_empty())?;
    let prefix = namespace_prefix(from.namespace);
    let to_the_end = prefix_end(&prefix).as_deref() == Some(end);
    if to_the_end && from.key.is_empty() {
        return Some(Change::new(Operation::Clear, METADATA, from.namespace, b""));
    }
    if layout == Layout::Cluster {
        return None;
    }
    let end = if to_the_end { None } else { Some(end.strip_prefix(prefix.as_slice())?.to_vec()) };
    Some(Change { end, ..Change::new(Operation::DeleteRange, METADATA, from.namespace, from.key) })
}

#[cfg(test)]
mod tests {
    use super::super::batch::{BatchBuilder, PUBSUB, SEARCH};
    use super::super::double::encode_double;
    use super::super::fuzz::{WIRE, wire_batches};
    use super::super::key::{Subkey, append_key, append_subkey, slot};
    use super::super::metadata::{Metadata, append_string};
    use super::*;

    fn raw(namespace: &[u8], layout: Layout, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append_key(&mut out, &namespace_prefix(namespace), layout, key);
        out
    }

    fn of(layout: Layout, build: impl FnOnce(&mut BatchBuilder)) -> Vec<Change> {
        let mut builder = BatchBuilder::new();
        build(&mut builder);
        changes(&Batch::parse(&builder.finish(1)).unwrap(), layout)
    }

    /// A string comes with value and expiry, a hash with its kind and fields, a removed key by its name.
    #[test]
    fn keys_and_fields() {
        for layout in [Layout::Standalone, Layout::Cluster] {
            let key = raw(b"ns", layout, b"k");
            let mut string = Vec::new();
            append_string(&mut string, 77, b"v");
            let mut hash = Vec::new();
            Metadata { kind: Kind::HASH, wide: true, expire_ms: 0, version: 9, size: 1, payload: 0 }.append(&mut hash);
            let mut field = Vec::new();
            let slot = (layout == Layout::Cluster).then(|| slot(b"k"));
            append_subkey(&mut field, &Subkey { namespace: b"ns", slot, key: b"k", version: 9, sub: b"f" });
            let all = of(layout, |batch| {
                batch.put(METADATA, &key, &string);
                batch.put(DEFAULT, &field, b"x");
                batch.put(METADATA, &key, &hash);
                batch.delete(DEFAULT, &field);
                batch.delete(METADATA, &key);
            });
            let put = Change::new(Operation::Put, METADATA, b"ns", b"k");
            let sub = Change {
                sub: Some(b"f".to_vec()),
                version: 9,
                ..Change::new(Operation::PutSubkey, DEFAULT, b"ns", b"k")
            };
            assert_eq!(
                all,
                [
                    Change { value: Some(b"v".to_vec()), kind: Kind::STRING, expire_ms: 77, ..put.clone() },
                    Change { value: Some(b"x".to_vec()), ..sub.clone() },
                    Change { kind: Kind::HASH, version: 9, ..put.clone() },
                    Change { operation: Operation::DeleteSubkey, ..sub },
                    Change { operation: Operation::Delete, ..put },
                ]
            );
        }
    }

    /// A range over exactly one namespace clears it, one inside it names its user keys, any other its raw keys.
    #[test]
    fn ranges() {
        let begin = namespace_prefix(b"ns");
        let end = prefix_end(&begin).unwrap();
        let (b, d) = (raw(b"ns", Layout::Standalone, b"b"), raw(b"ns", Layout::Standalone, b"d"));
        let far = namespace_prefix(b"zzz");
        let all = of(Layout::Standalone, |batch| {
            batch.delete_range(METADATA, &begin, &end);
            batch.delete_range(METADATA, &b, &d);
            batch.delete_range(METADATA, &b, &end);
            batch.delete_range(METADATA, &b, &far);
            batch.delete_range(DEFAULT, b"\x00a", b"b");
        });
        let range = |namespace: &[u8], key: &[u8], end: Option<&[u8]>| Change {
            end: end.map(<[u8]>::to_vec),
            ..Change::new(Operation::DeleteRange, METADATA, namespace, key)
        };
        assert_eq!(
            all,
            [
                Change::new(Operation::Clear, METADATA, b"ns", b""),
                range(b"ns", b"b", Some(b"d")),
                range(b"ns", b"b", None),
                range(b"", &b, Some(&far)),
                Change { family: DEFAULT, ..range(b"", b"\x00a", Some(b"b")) },
            ]
        );
        let cluster = of(Layout::Cluster, |batch| {
            batch.delete_range(METADATA, &begin, &end);
            batch.delete_range(METADATA, &b, &d);
        });
        assert_eq!(cluster, [Change::new(Operation::Clear, METADATA, b"ns", b""), range(b"", &b, Some(&d))]);
    }

    /// Registry and replication id are told apart, also when a range takes them, and the registry's tokens stay out.
    #[test]
    fn registry_and_id() {
        let all = of(Layout::Standalone, |batch| {
            batch.put(PROPAGATE, REGISTRY_KEY, b"{\"secret\":\"a\"}");
            batch.put(PROPAGATE, REPLICATION_ID_KEY, b"ABCDEFGHIJKLMNOP");
            batch.put(PROPAGATE, b"lua_f_x", b"body");
            batch.delete_range(PROPAGATE, REGISTRY_KEY, b"z");
            batch.delete_range(PROPAGATE, b"a", REPLICATION_ID_KEY);
        });
        let what: Vec<_> = all.iter().map(|change| (change.operation.name(), change.value.as_deref())).collect();
        assert_eq!(
            what,
            [
                ("namespaces", None),
                ("replication_id", Some(b"ABCDEFGHIJKLMNOP".as_slice())),
                ("other", Some(b"body")),
                ("delete_range", None),
                ("namespaces", None),
                ("replication_id", None),
                ("delete_range", None),
            ]
        );
    }

    /// What cannot be decoded comes as it is, raw, and is not lost.
    #[test]
    fn undecodable() {
        let key = raw(b"ns", Layout::Standalone, b"k");
        let all = of(Layout::Standalone, |batch| {
            batch.put(METADATA, b"\x09short", b"v");
            batch.put(METADATA, &key, b"");
            batch.put(METADATA, b"\x00k", b"v");
            batch.delete(DEFAULT, &key);
            batch.put(PUBSUB, b"channel", b"message");
            batch.delete(SEARCH, b"index");
        });
        let raw = [
            (METADATA, b"\x09short".as_slice(), Some(b"v".as_slice())),
            (METADATA, &key, Some(b"")),
            (METADATA, b"\x00k", Some(b"v")),
            (DEFAULT, &key, None),
            (PUBSUB, b"channel", Some(b"message")),
            (SEARCH, b"index", None),
        ];
        assert_eq!(all, raw.map(|(family, key, value)| Change::other(family, key, value)));
    }

    /// Of what a real Kvrocks fed, nothing is lost and nothing but its own records of scripts and messages is raw.
    #[test]
    fn wire_feed() {
        for (name, bytes) in WIRE {
            let layout = if name.contains("cluster") { Layout::Cluster } else { Layout::Standalone };
            let mut seen = std::collections::HashSet::new();
            for bytes in wire_batches(bytes) {
                let batch = Batch::parse(bytes).unwrap();
                let all = changes(&batch, layout);
                assert!(all.len() >= batch.count() as usize, "{name} at {}", batch.sequence());
                for change in all {
                    seen.insert(change.operation);
                    let expected = matches!(change.family, PROPAGATE | PUBSUB | SEARCH);
                    assert!(change.operation != Operation::Other || expected, "{name}: {change:?}");
                    if change.family == ZSET_SCORE {
                        let sub = change.sub.unwrap();
                        let member = sub.split_first_chunk::<8>().unwrap();
                        assert_eq!(encode_double(super::super::double::decode_double(*member.0)), *member.0);
                    }
                }
            }
            for operation in [Operation::Put, Operation::Delete, Operation::PutSubkey] {
                assert!(seen.contains(&operation), "{name}: no {}", operation.name());
            }
        }
    }

    /// The numbers and names that other languages know never change.
    #[test]
    fn stable_numbers() {
        let all: Vec<_> = Operation::ALL.iter().map(|operation| (*operation as u8, operation.name())).collect();
        assert_eq!(
            all,
            [
                (1, "put"),
                (2, "delete"),
                (3, "delete_range"),
                (4, "clear"),
                (5, "put_subkey"),
                (6, "delete_subkey"),
                (7, "namespaces"),
                (8, "replication_id"),
                (9, "other"),
            ]
        );
    }
}
