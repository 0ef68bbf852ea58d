//! The scenarios of `bindings-tests/scenarios/`, told through the Rust API.

mod support;
#[path = "scenarios/types.rs"]
mod types;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pumice::{
    Batch, ConvertOptions, Depth, Engine, Error, ErrorKind, Events, FollowOptions, Kind, LinkStatus, Listener,
    Namespace, Node, Operation, Options, Peer, Position, Range, Reply, Role, ServeOptions, Snapshot, SnapshotNamespace,
    TlsClient, TlsServer, Topology, TopologyOptions, TopologyStatus, Ttl, WriteOptions,
};
use support::encode;

type Answer = Result<String, Error>;

/// One story: the engines, open batches and snapshots that it has named.
struct Story {
    root: PathBuf,
    engines: HashMap<String, Engine>,
    listeners: HashMap<String, Listener>,
    events: HashMap<String, Events>,
    batches: HashMap<String, Batch>,
    snapshots: HashMap<String, Snapshot>,
    /// How many lines did something.
    lines: usize,
}

/// The bytes of a word.
fn decode(word: &str) -> Vec<u8> {
    if word == "%" {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at(2);
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// A word that may be `-` for "not given".
fn given(word: &str) -> Option<Vec<u8>> {
    (word != "-").then(|| decode(word))
}

fn text(word: &str) -> String {
    String::from_utf8(decode(word)).unwrap()
}

/// A file of certificates by its name.
fn certificates(name: &str) -> PathBuf {
    support::fixture("tls").join(format!("{name}.pem"))
}

fn list(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    if words.is_empty() { "empty".to_owned() } else { words.join(" ") }
}

fn value(found: Option<impl AsRef<[u8]>>) -> String {
    found.map_or("none".to_owned(), |found| encode(found.as_ref()))
}

fn reply(found: Reply) -> String {
    match found {
        Reply::Nil | Reply::NilArray => "none".to_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Bulk(bytes) => encode(&bytes),
        Reply::Simple(text) | Reply::Error(text) => encode(text.as_bytes()),
        Reply::Array(items) => format!("[{}]", items.into_iter().map(reply).collect::<Vec<_>>().join(" ")),
        rich => panic!("a reply of RESP3: {rich:?}"),
    }
}

/// A reply to the letter.
fn exact(found: Reply) -> String {
    match found {
        Reply::Nil | Reply::NilArray => "~".to_owned(),
        Reply::Integer(number) => format!("#{number}"),
        Reply::Error(text) => format!("!{}", encode(text.as_bytes())),
        Reply::Array(items) => format!("[{}]", items.into_iter().map(exact).collect::<Vec<_>>().join(" ")),
        other => reply(other),
    }
}

fn ok(_: ()) -> String {
    "ok".to_owned()
}

fn milliseconds(word: Option<&&str>) -> Option<Duration> {
    word.map(|word| Duration::from_millis(word.parse().unwrap()))
}

/// A time that may be left out: a minute then.
fn patience(word: &[&str]) -> Duration {
    milliseconds(word.first()).unwrap_or(Duration::from_secs(60))
}

fn options(words: &[&str]) -> Options {
    let mut options = Options::default();
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "role" if value == "primary" => options.role = Some(Role::Primary),
            "role" if value == "replica" => options.role = Some(Role::Replica),
            "cluster" => options.cluster = Some(value.parse().unwrap()),
            "create" => options.create = value.parse().unwrap(),
            "read_only" => options.read_only = value.parse().unwrap(),
            "sync" => options.sync = value.parse().unwrap(),
            _ => panic!("unknown option {word}"),
        }
    }
    options
}

impl Story {
    fn engine(&self, name: &str) -> &Engine {
        self.engines.get(name).unwrap_or_else(|| panic!("no engine {name} was opened"))
    }

    fn namespace(&self, engine: &str, name: &str) -> Result<Namespace, Error> {
        match given(name) {
            Some(name) => self.engine(engine).namespace(name),
            None => Ok(self.engine(engine).default_namespace()),
        }
    }

    fn in_snapshot(&self, snapshot: &str, name: &str) -> Result<SnapshotNamespace, Error> {
        match given(name) {
            Some(name) => self.snapshots[snapshot].namespace(name),
            None => Ok(self.snapshots[snapshot].default_namespace()),
        }
    }

    /// Does one line and gives its result as the line would expect it.
    fn tell(&mut self, words: &[&str]) -> String {
        let told = match words {
            ["lines"] => Ok(self.lines.to_string()),
            [
                "open" | "close" | "role" | "promote" | "flush" | "verify" | "info" | "release" | "fixture" | "backup",
                ..,
            ]
            | ["sleep", _] => self.whole(words),
            ["convert" | "usage", ..] => self.layouts(words),
            ["create" | "drop" | "token" | "set_token" | "namespaces" | "unregistered", ..] => self.registry(words),
            ["batch" | "batch_put" | "batch_delete" | "commit" | "discard", ..] => self.batch(words),
            [
                "snapshot" | "snapshot_get" | "snapshot_execute" | "snapshot_namespaces" | "snapshot_count" | "free",
                ..,
            ] => self.snapshot(words),
            ["checkpoint" | "apply_checkpoint" | "replicate" | "same_position" | "log" | "log_after_foreign", ..]
            | ["changes", _] => self.replication(words),
            [
                "serve" | "serve_tls" | "stop" | "follow" | "follow_tls" | "linked" | "link" | "link_says" | "detach"
                | "discard_kept" | "hand_over",
                ..,
            ]
            | ["wait_for" | "wait_acked" | "feeds", ..] => self.link(words),
            ["set_topology" | "topology" | "topology_says" | "converged" | "events" | "event", ..] => {
                self.topology(words)
            }
            _ => self.strings(words),
        };
        told.unwrap_or_else(|e| format!("error {}", e.kind().name()))
    }

    fn whole(&mut self, words: &[&str]) -> Answer {
        match words {
            ["open", name, given @ ..] => {
                let engine = Engine::open(self.root.join(name), &options(given))?;
                self.engines.insert((*name).to_owned(), engine);
                Ok("ok".to_owned())
            }
            ["close", name] => self.engine(name).close().map(ok),
            ["role", name] => Ok(self.engine(name).role()?.name().to_owned()),
            ["promote", name] => self.engine(name).promote().map(ok),
            ["flush", name] => self.engine(name).flush().map(ok),
            ["verify", name] => Ok(self.engine(name).verify(Depth::Records)?.len().to_string()),
            ["info", name, field] => {
                let info = self.engine(name).info()?;
                Ok(match *field {
                    "role" => info.role.name().to_owned(),
                    "layout" => info.layout.to_owned(),
                    "namespaces" => info.namespaces.to_string(),
                    "sequence" => info.position.sequence.to_string(),
                    "generation" => info.generation.to_string(),
                    "snapshots" => info.snapshots.to_string(),
                    "feeds" => info.feeds.to_string(),
                    "lag_sequences" => info.lag_sequences.unwrap().to_string(),
                    _ => panic!("unknown field {field}"),
                })
            }
            ["release", name] => pumice::release(&self.root.join(name)).map(ok),
            ["fixture", fixture, name] => {
                support::copy_tree(&support::fixture(fixture).join("db"), &self.root.join(name).join("db"));
                Ok("ok".to_owned())
            }
            ["backup", fixture, folder] => {
                support::copy_tree(&support::fixture(fixture).join("backup"), &self.root.join(folder));
                Ok("ok".to_owned())
            }
            ["sleep", milliseconds] => {
                std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap()));
                Ok("ok".to_owned())
            }
            _ => panic!("unknown operation"),
        }
    }

    fn layouts(&self, words: &[&str]) -> Answer {
        match words {
            ["convert", source, target, layout, namespace] => {
                let options =
                    ConvertOptions { cluster: *layout == "cluster", namespace: given(namespace), ..Default::default() };
                let target = self.root.join(target);
                let told = &mut |_: &_| ControlFlow::Continue(());
                let made = pumice::convert(self.root.join(source), &target, &options, told)?;
                assert_eq!((made.path, made.layout), (target.canonicalize().unwrap(), *layout));
                Ok(format!("{} {} {} {}", encode(&made.namespace), made.keys, made.records, made.left_out.len()))
            }
            ["usage", name] => {
                let usage = self.engine(name).usage()?;
                let shown = usage.namespaces.iter().map(|namespace| {
                    let (keys, bytes) = (namespace.keys(), namespace.bytes());
                    format!("{}:{}:{keys}:{bytes}", encode(&namespace.name), namespace.registered)
                });
                let rest = [format!("other:{}", usage.other_bytes), format!("unreadable:{}", usage.unreadable_records)];
                Ok(list(shown.chain(rest)))
            }
            ["usage", name, namespace] => {
                let usage = self.engine(name).usage()?;
                let asked = given(namespace).unwrap_or(b"__namespace".to_vec());
                let found = usage.namespaces.iter().find(|namespace| namespace.name == asked).unwrap();
                let kinds =
                    found.kinds.iter().map(|usage| format!("{}:{}:{}", usage.kind.name(), usage.keys, usage.bytes));
                let expired = format!("expired:{}:{}", found.expired_keys, found.expired_bytes);
                Ok(list(kinds.chain([expired, format!("remains:{}", found.remains_bytes)])))
            }
            _ => panic!("unknown operation"),
        }
    }

    fn registry(&mut self, words: &[&str]) -> Answer {
        match words {
            ["create", name, namespace, token] => {
                let token = given(token).map(|token| String::from_utf8(token).unwrap());
                self.engine(name).create_namespace(decode(namespace), token.as_deref())?;
                Ok("ok".to_owned())
            }
            ["drop", name, namespace] => self.engine(name).drop_namespace(decode(namespace)).map(ok),
            ["token", name, namespace] => Ok(value(self.namespace(name, namespace)?.token()?)),
            ["set_token", name, namespace, token] => self.namespace(name, namespace)?.set_token(&text(token)).map(ok),
            ["namespaces", name] => {
                Ok(list(self.engine(name).namespaces()?.iter().map(|name| encode(name.as_bytes()))))
            }
            ["unregistered", name] => {
                Ok(list(self.engine(name).unregistered_namespaces()?.iter().map(|name| encode(name))))
            }
            _ => panic!("unknown operation"),
        }
    }

    fn strings(&mut self, words: &[&str]) -> Answer {
        let [operation, engine, namespace, rest @ ..] = words else { panic!("unknown operation") };
        let namespace = self.namespace(engine, namespace)?;
        Ok(match (*operation, rest) {
            ("put", [key, value, ttl @ ..]) => {
                let options = WriteOptions { ttl: milliseconds(ttl.first()), sync: None };
                ok(namespace.put_with(&decode(key), &decode(value), &options)?)
            }
            ("put_if", [key, value, expected]) => {
                namespace.put_if(&decode(key), &decode(value), given(expected).as_deref())?.to_string()
            }
            ("get", [key]) => value(namespace.get(&decode(key))?),
            ("get_many", keys) => {
                let keys: Vec<Vec<u8>> = keys.iter().map(|key| decode(key)).collect();
                list(namespace.get_many(&keys)?.into_iter().map(value))
            }
            ("delete", [key]) => namespace.delete(&decode(key))?.to_string(),
            ("exists", [key]) => namespace.exists(&decode(key))?.to_string(),
            ("persist", [key]) => namespace.persist(&decode(key))?.to_string(),
            ("expire", [key, ttl]) => namespace.expire(&decode(key), milliseconds(Some(ttl)).unwrap())?.to_string(),
            ("ttl", [key]) => match namespace.ttl(&decode(key))? {
                Ttl::Missing => "missing".to_owned(),
                Ttl::Forever => "forever".to_owned(),
                Ttl::Left(_) => "left".to_owned(),
            },
            ("kind", [key]) => namespace.kind(&decode(key))?.map_or("none", Kind::name).to_owned(),
            ("count", []) => namespace.count()?.to_string(),
            ("is_empty", []) => namespace.is_empty()?.to_string(),
            ("clear", []) => ok(namespace.clear()?),
            ("items", [prefix, start, end, way]) => {
                let range = Range {
                    prefix: given(prefix).unwrap_or_default(),
                    start: given(start),
                    end: given(end),
                    reverse: *way == "reverse",
                };
                let mut items = namespace.items(&range)?;
                let mut words = Vec::new();
                while let Some(item) = items.next_item()? {
                    let value = item.value.map_or_else(|| format!("({})", item.kind.name()), encode);
                    words.push(format!("{}={value}", encode(item.key)));
                }
                list(words)
            }
            ("execute", args) => reply(namespace.execute(&args.iter().map(|arg| decode(arg)).collect::<Vec<_>>())?),
            ("answer", args) => {
                let answer = namespace.execute(&args.iter().map(|arg| decode(arg)).collect::<Vec<_>>());
                exact(answer.unwrap_or_else(|e| Reply::Error(e.message().to_owned())))
            }
            (operation, words) => {
                return types::tell(&namespace, operation, words).unwrap_or_else(|| panic!("unknown operation"));
            }
        })
    }

    fn batch(&mut self, words: &[&str]) -> Answer {
        match words {
            ["batch", name] => {
                let batch = self.engine(name).batch();
                self.batches.insert((*name).to_owned(), batch);
                Ok("ok".to_owned())
            }
            ["batch_put", name, namespace, key, value] => {
                let namespace = self.namespace(name, namespace)?;
                self.batches.get_mut(*name).unwrap().put(&namespace, &decode(key), &decode(value)).map(ok)
            }
            ["batch_delete", name, namespace, key] => {
                let namespace = self.namespace(name, namespace)?;
                self.batches.get_mut(*name).unwrap().delete(&namespace, &decode(key)).map(ok)
            }
            ["commit", name] => self.batches.remove(*name).unwrap().commit(None).map(ok),
            ["discard", name] => {
                self.batches.remove(*name).unwrap();
                Ok("ok".to_owned())
            }
            _ => panic!("unknown operation"),
        }
    }

    fn snapshot(&mut self, words: &[&str]) -> Answer {
        match words {
            ["snapshot", name, snapshot] => {
                let taken = self.engine(name).snapshot()?;
                self.snapshots.insert((*snapshot).to_owned(), taken);
                Ok("ok".to_owned())
            }
            ["snapshot_get", snapshot, namespace, key] => {
                Ok(value(self.in_snapshot(snapshot, namespace)?.get(&decode(key))?))
            }
            ["snapshot_count", snapshot, namespace] => Ok(self.in_snapshot(snapshot, namespace)?.count()?.to_string()),
            ["snapshot_execute", snapshot, namespace, args @ ..] => {
                let args: Vec<_> = args.iter().map(|arg| decode(arg)).collect();
                Ok(reply(self.in_snapshot(snapshot, namespace)?.execute(&args)?))
            }
            ["snapshot_namespaces", snapshot] => {
                Ok(list(self.snapshots[*snapshot].namespaces()?.iter().map(|name| encode(name.as_bytes()))))
            }
            ["free", snapshot] => {
                self.snapshots.remove(*snapshot).unwrap();
                Ok("ok".to_owned())
            }
            _ => panic!("unknown operation"),
        }
    }

    fn replication(&mut self, words: &[&str]) -> Answer {
        match words {
            ["checkpoint", name, folder] => {
                let made = self.engine(name).create_checkpoint(self.root.join(folder))?;
                assert_eq!(made.path, self.root.join(folder));
                Ok("ok".to_owned())
            }
            ["apply_checkpoint", name, folder] => self.engine(name).apply_checkpoint(self.root.join(folder)).map(ok),
            ["replicate", from, to] => {
                let (from, to) = (self.engine(from), self.engine(to));
                let mut log = from.log(Some(&to.position()?))?;
                let mut entries = 0;
                while let Some(entry) = log.next_entry(None)? {
                    to.apply(&entry)?;
                    entries += 1;
                }
                Ok(entries.to_string())
            }
            ["same_position", a, b] => Ok((self.engine(a).position()? == self.engine(b).position()?).to_string()),
            ["log", name] => {
                let mut log = self.engine(name).log(None)?;
                let mut entries = 0;
                while log.next_entry(None)?.is_some() {
                    entries += 1;
                }
                Ok(entries.to_string())
            }
            ["log_after_foreign", name] => {
                let foreign = Position { replication_id: "ZZZZZZZZZZZZZZZZ".to_owned(), sequence: 1 };
                self.engine(name).log(Some(&foreign)).map(|_| "ok".to_owned())
            }
            ["changes", name] => {
                let engine = self.engine(name);
                let mut log = engine.log(None)?;
                let mut last = None;
                while let Some(entry) = log.next_entry(None)? {
                    last = Some(entry);
                }
                let changes = engine.changes(&last.unwrap())?;
                let word = |operation: Operation, namespace: &[u8], key: &[u8]| {
                    format!("{}:{}:{}", operation.name(), encode(namespace), encode(key))
                };
                Ok(list(changes.iter().map(|change| word(change.operation, &change.namespace, &change.key))))
            }
            _ => panic!("unknown operation"),
        }
    }

    fn topology(&mut self, words: &[&str]) -> Answer {
        let [operation, name, rest @ ..] = words else { panic!("unknown operation") };
        let engine = self.engine(name);
        let until = |wait: Duration, is_so: &dyn Fn(&TopologyStatus) -> bool| {
            let began = std::time::Instant::now();
            loop {
                let so = is_so(&engine.topology()?);
                if so || began.elapsed() >= wait {
                    return Ok::<_, Error>(so.to_string());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        match (*operation, rest) {
            ("set_topology", [version, nodes @ ..]) => {
                let force = nodes.first() == Some(&"force");
                let node = |word: &&str| {
                    let (name, primary) = word.split_once(':').map_or((*word, None), |(a, b)| (a, Some(id_of(b))));
                    let address = self.listeners[name].address();
                    Node { primary, ..Node::primary(id_of(name), address.host(), address.port()) }
                };
                let nodes = nodes[usize::from(force)..].iter().map(node).collect();
                let topology = Topology::new(version.parse().unwrap(), nodes)?;
                let options = TopologyOptions { force, ..Default::default() };
                Ok(engine.set_topology(&topology, &id_of(name), &options)?.to_string())
            }
            ("topology", [field]) => Ok(status_field(&engine.topology()?, field)),
            ("converged", given) => until(patience(given), &|status| status.converged),
            ("topology_says", [part]) => {
                let says = |reason: &String| reason.contains(&text(part));
                until(patience(&[]), &|status| status.reason.as_ref().is_some_and(says))
            }
            ("events", []) => {
                let events = engine.events()?;
                self.events.insert((*name).to_owned(), events);
                Ok("ok".to_owned())
            }
            ("event", [kind, part]) => {
                let events = &self.events[*name];
                while let Some(event) = events.next(Some(patience(&[]))) {
                    assert!(event.time_ms > 0 && event.lost == 0, "{event:?}");
                    if event.kind.name() == *kind && event.message.contains(&text(part)) {
                        return Ok("true".to_owned());
                    }
                }
                // What the other faces raise here.
                Ok(if events.is_over() { "error Closed" } else { "false" }.to_owned())
            }
            _ => panic!("unknown operation"),
        }
    }

    fn link(&mut self, words: &[&str]) -> Answer {
        let [operation, name, rest @ ..] = words else { panic!("unknown operation") };
        let engine = self.engine(name);
        let password = |word: &[&str]| word.first().map(|word| text(word));
        let address = |name: &str| self.listeners[name].address();
        Ok(match (*operation, rest) {
            ("serve", given) => {
                let options = ServeOptions { password: given.get(1).map(|word| text(word)), ..Default::default() };
                let listener = engine.serve(given.first().unwrap_or(&"127.0.0.1:0"), &options)?;
                self.listeners.insert((*name).to_owned(), listener);
                "ok".to_owned()
            }
            ("stop", []) => {
                self.listeners[*name].close();
                "ok".to_owned()
            }
            ("follow", [primary, given @ ..]) => {
                let options = FollowOptions { password: password(given), ..Default::default() };
                ok(engine.follow(&address(primary).host(), address(primary).port(), &options)?)
            }
            ("serve_tls", [certificate, given @ ..]) => {
                let client_ca = given.first().map(|ca| certificates(ca));
                let tls = TlsServer {
                    certificate: certificates(certificate),
                    key: certificates(certificate).with_extension("key"),
                    client_ca,
                    peer_ca: None,
                };
                let listener = engine.serve("127.0.0.1:0", &ServeOptions { tls: Some(tls), ..Default::default() })?;
                self.listeners.insert((*name).to_owned(), listener);
                "ok".to_owned()
            }
            ("follow_tls", [primary, ca, rest @ ..]) => {
                let certificate = rest.first().filter(|name| **name != "-").map(|name| certificates(name));
                let tls = TlsClient {
                    ca: certificates(ca),
                    key: certificate.as_ref().map(|path| path.with_extension("key")),
                    certificate,
                    server_name: rest.get(1).map(|name| text(name)),
                };
                let options = FollowOptions { tls: Some(tls), ..Default::default() };
                ok(engine.follow(&address(primary).host(), address(primary).port(), &options)?)
            }
            ("linked", given) => {
                engine.wait_linked(Some(patience(given)), &mut |_| ControlFlow::Continue(()))?.to_string()
            }
            ("link", [field]) => engine.link()?.map_or("none".to_owned(), |link| field_of(&link, field)),
            ("link_says", [field, part]) => {
                let says = |link: &LinkStatus| text(&field_of(link, field)).contains(&text(part));
                let mut look = |link: &LinkStatus| match says(link) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
                match engine.wait_linked(Some(patience(&[])), &mut look) {
                    Err(e) if e.kind() == ErrorKind::Busy => "true".to_owned(),
                    waited => waited.map(|_| engine.link())??.is_some_and(|link| says(&link)).to_string(),
                }
            }
            ("detach", []) => ok(engine.detach()?),
            ("discard_kept", []) => engine.discard()?.to_string(),
            ("hand_over", [replica]) => {
                let to = address(replica);
                ok(engine.hand_over(&to.host(), to.port(), patience(&[]))?)
            }
            ("wait_for", [other, given @ ..]) => {
                engine.wait_for(&self.engine(other).position()?, patience(given))?.to_string()
            }
            ("wait_acked", [replicas, given @ ..]) => {
                engine.wait_acked(&engine.position()?, replicas.parse().unwrap(), patience(given))?.to_string()
            }
            ("feeds", []) => {
                list(engine.feeds()?.iter().map(|feed| format!("{}:{}", feed.peer.name(), feed.lag_sequences)))
            }
            _ => panic!("unknown operation"),
        })
    }
}

/// The id of the node that an engine is: its name, filled up.
fn id_of(name: &str) -> String {
    format!("{name:0<40}")
}

/// The engine that a node is.
fn name_of(id: &str) -> String {
    id.trim_end_matches('0').to_owned()
}

/// A node as the words have it.
fn word_of(node: &Node) -> String {
    let primary = node.primary.as_ref().map(|id| format!(":{}", name_of(id))).unwrap_or_default();
    name_of(&node.id) + &primary
}

/// A field of a topology as a word.
fn status_field(status: &TopologyStatus, field: &str) -> String {
    let none = || "none".to_owned();
    match field {
        "version" => status.version.map_or_else(none, |version| version.to_string()),
        "node_id" => status.node_id.as_deref().map_or_else(none, name_of),
        "nodes" => list(status.nodes.iter().map(word_of)),
        "role" => status.role.name().to_owned(),
        "epoch" => status.epoch.to_string(),
        "desired" => status.desired.as_ref().map_or_else(none, |(host, port)| {
            let there = status.nodes.iter().find(|node| (&node.host, node.port) == (host, *port));
            name_of(&there.unwrap().id)
        }),
        "actual" => status.actual.as_ref().map_or_else(none, |link| link.state.name().to_owned()),
        "reason" => status.reason.clone().unwrap_or_else(none),
        _ => panic!("unknown field {field}"),
    }
}

/// A field of a link as a word.
fn field_of(link: &LinkStatus, field: &str) -> String {
    match field {
        "state" => link.state.name().to_owned(),
        "peer" => value(link.peer.map(Peer::name)),
        "lag_sequences" => value(link.lag_sequences.map(|lag| lag.to_string())),
        "last_error" => value(link.last_error.as_ref()),
        "warning" => value(link.warning.as_ref()),
        "full_syncs" => link.full_syncs.to_string(),
        "sync" => value(link.sync.map(|sync| sync.bytes.to_string())),
        _ => panic!("unknown field {field}"),
    }
}

fn run(file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let mut story = Story {
        root: dir.path().to_owned(),
        engines: HashMap::new(),
        listeners: HashMap::new(),
        events: HashMap::new(),
        batches: HashMap::new(),
        snapshots: HashMap::new(),
        lines: 0,
    };
    for (index, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
        let place = format!("{}:{}", file.display(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (words, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("{place}: no ` => ` in {line:?}"));
        let words: Vec<&str> = words.split(' ').collect();
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story.tell(&words)));
        let got = told.unwrap_or_else(|_| panic!("{place}: {line:?} panicked"));
        assert_eq!(got, expected, "{place}: {line}");
        story.lines += 1;
    }
    assert!(story.lines > 0, "{}: no line was run", file.display());
}

/// Every scenario on disk holds, line by line, through the Rust API.
#[test]
fn every_scenario_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings-tests/scenarios");
    let on_disk: Vec<String> = support::names(&folder).into_iter().filter(|name| name.ends_with(".txt")).collect();
    let mut seen = 0;
    for name in &on_disk {
        if cfg!(not(feature = "tls")) && name == "tls.txt" {
            support::skipped("tls.txt: this build has no TLS");
            seen += 1;
            continue;
        }
        run(&folder.join(name));
        seen += 1;
    }
    assert!(seen > 0 && seen == on_disk.len(), "ran {seen} of {} scenarios", on_disk.len());
}
