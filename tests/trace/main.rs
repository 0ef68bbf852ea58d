//! Random commands on every type: a plain model and a Redis answer as the engine does, and C and Python tell the same story.

#[path = "../support/mod.rs"]
mod support;

mod model;
mod model_bits;
mod model_bloom;
mod model_group;
mod model_hyperloglog;
mod model_json;
mod model_place;
mod model_sorted_int;
mod model_special;
mod model_stream;

use std::fmt::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use model::{Model, Value};
use model_special::{Special, questions};
use pumice::{Engine, ErrorKind, Kind, Namespace, Options, Part, Range, SnapshotNamespace, Span};
use support::client::{Client, Reply};
use support::commands::{MAIN, OWN, SPECIAL, Words};
use support::kvrocks::Server;
use support::redis::{self, Redis, comparable, nearly_same, plain};
use support::{assert_sound, encode, quick_dir, wait_until};

/// The scenario that every face runs.
const TRACE: &str = "bindings-tests/scenarios/trace.txt";
/// What the scenario is made from.
const SEED: u64 = 5;
const COMMANDS: u64 = 3_500;
/// The longest line of a scenario.
const LONGEST: usize = 1_000;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn answer(answer: pumice::Result<pumice::Reply>) -> Reply {
    answer.map_or_else(|e| Reply::Error(e.message().to_owned()), Reply::from)
}

/// A reply as the scenarios write one that is compared exactly.
fn word(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "~".to_owned(),
        Reply::Integer(number) => format!("#{number}"),
        Reply::Bulk(bytes) => encode(bytes),
        Reply::Simple(text) => encode(text.as_bytes()),
        Reply::Error(text) => format!("!{}", encode(text.as_bytes())),
        Reply::Array(items) => format!("[{}]", items.iter().map(word).collect::<Vec<_>>().join(" ")),
        rich => panic!("a reply of RESP3: {rich:?}"),
    }
}

/// What a key holds, read through its handle.
fn held(namespace: &Namespace, key: &str) -> Option<Value> {
    let key = key.as_bytes();
    let pair = |(a, b)| (text(a), text(b));
    Some(match namespace.kind(key).unwrap()? {
        Kind::STRING => Value::Text(text(namespace.get(key).unwrap()?.to_vec())),
        Kind::HASH => Value::Hash(
            namespace.hash(key).fields(&Range::default()).unwrap().map(|field| pair(field.unwrap())).collect(),
        ),
        Kind::LIST => Value::List(namespace.list(key).elements(0, -1).unwrap().map(|e| text(e.unwrap())).collect()),
        Kind::SET => Value::Set(namespace.set(key).members().unwrap().map(|member| text(member.unwrap())).collect()),
        Kind::ZSET => {
            let all = Span::Rank(0, -1);
            let scores = namespace.sorted_set(key).range(&all, Part::ALL).unwrap().map(Result::unwrap);
            Value::Scores(scores.map(|(member, score)| (text(member), score)).collect())
        }
        kind => panic!("a {}", kind.name()),
    })
}

/// The words of a command, and what it answered.
type Asked = (Vec<String>, Reply);

/// The engine with those that it is compared with, and what was seen so far.
struct Run {
    engine: Engine,
    model: Model,
    special: Special,
    kvrocks: Option<Client>,
    /// A snapshot with what was asked of it when it was taken.
    then: Option<(SnapshotNamespace, Vec<Asked>)>,
    recent: Vec<Vec<String>>,
    modelled: u64,
    /// The same of types that are not basic.
    specially_modelled: u64,
    seen_again: u64,
}

impl Run {
    /// One command, and what it answers, which is what the others answer.
    fn step(&mut self, kind: &str, words: &[String], namespace: &Namespace, redis: Option<&mut Client>) -> Reply {
        let our = answer(namespace.execute(words));
        let is_in = |groups: &[(&str, &str)]| groups.iter().any(|group| group.0 == kind);
        if is_in(&MAIN) {
            match self.model.answer(words) {
                Some(reply) => {
                    assert_eq!(our, reply, "{words:?}: the model answers the right one");
                    self.modelled += 1;
                }
                // What it does not know it takes over.
                None => words.iter().filter(|word| is_key(word)).for_each(|key| self.adopt(namespace, key)),
            }
        } else if let Some(reply) = self.special.answer(kind, words, &our) {
            assert_eq!(our, reply, "{words:?}: the model answers the right one");
            self.specially_modelled += 1;
        }
        if !is_in(&OWN) {
            self.recent.push(words.to_vec());
        }
        if is_in(&OWN) {
            // Its JSON library walks through what a path names in an order of its own.
            if kind != "json"
                && let Some(kvrocks) = &mut self.kvrocks
            {
                let (one, other) = (plain(words, our.clone()), plain(words, kvrocks.ask(words)));
                assert_eq!(one, other, "{words:?}: a Kvrocks answers the right one");
            }
        } else if let Some(redis) = redis {
            let their = redis.ask(words);
            if is_in(&SPECIAL) {
                assert_eq!(plain(words, our.clone()), plain(words, their), "{words:?}: a Redis answers the right one");
            } else {
                let (one, other) = comparable(words, our.clone(), their);
                if one != other && nearly_same(words, &one, &other) {
                    let Reply::Bulk(number) = &our else { panic!("{our:?}") };
                    let number = std::str::from_utf8(number).unwrap();
                    match words {
                        [_, key, _] => redis.ask(&["SET", key, number, "KEEPTTL"]),
                        [_, key, field, ..] => redis.ask(&["HSET", key, field, number]),
                        _ => panic!("{words:?}"),
                    };
                } else {
                    assert_eq!(one, other, "{words:?}: a Redis answers the right one");
                }
            }
        }
        our
    }

    fn adopt(&mut self, namespace: &Namespace, key: &str) {
        match held(namespace, key) {
            Some(value) => drop(self.model.0.insert(key.to_owned(), value)),
            None => drop(self.model.0.remove(key)),
        }
    }

    /// All keys hold what the models hold, and a snapshot shows what it showed when it was taken.
    fn look(&mut self, namespace: &Namespace, own: &Namespace) {
        for kind in MAIN.map(|group| group.0) {
            for key in (0..4).map(|number| format!("{kind}{number}")) {
                assert_eq!(held(namespace, &key).as_ref(), self.model.0.get(&key), "{key}");
            }
        }
        for (kind, words) in questions() {
            let is_own = OWN.iter().any(|group| group.0 == kind);
            let our = answer(if is_own { own } else { namespace }.execute(&words));
            let reply = self.special.answer(kind, &words, &our);
            assert_eq!(Some(our), reply, "{words:?}: the model answers the right one");
        }
        if let Some((then, seen)) = self.then.take() {
            for (words, reply) in seen {
                assert_eq!(answer(then.execute(&words)), reply, "{words:?} on a snapshot");
                self.seen_again += 1;
            }
        }
        let then = self.engine.snapshot().unwrap().default_namespace();
        let mut seen = Vec::new();
        for words in std::mem::take(&mut self.recent) {
            match then.execute(&words) {
                Err(e) if e.kind() == ErrorKind::ReadOnly => {}
                found => {
                    let found = answer(found);
                    assert_eq!(found, answer(namespace.execute(&words)), "{words:?} on a snapshot of now");
                    seen.push((words, found));
                }
            }
        }
        self.then = Some((then, seen));
    }
}

/// Whether a word is a key of a basic type.
fn is_key(word: &str) -> bool {
    MAIN.iter().any(|(kind, _)| word.strip_prefix(kind).is_some_and(|number| matches!(number, "0" | "1" | "2" | "3")))
}

/// The scenario of so many commands, each answered by the others as here.
fn trace(seed: u64, commands: u64) -> String {
    println!("PUMICE_SEED={seed}");
    let dir = quick_dir();
    let engine = Engine::open(dir.path().join("data"), &Options::default()).unwrap();
    let own = engine.create_namespace("own", Some("token")).unwrap();
    let shared = engine.default_namespace();
    let redis = Redis::start(dir.path());
    let socket = dir.path().join("kvrocks");
    let server = Server::start(&dir.path().join("server"), &format!("unixsocket {}", socket.display()));
    let kvrocks = server.as_ref().map(|_| {
        wait_until("the Kvrocks answers", || UnixStream::connect(&socket).is_ok());
        Client::connect(&socket)
    });
    let mut run = Run {
        engine: engine.clone(),
        model: Model::default(),
        special: Special::default(),
        kvrocks,
        then: None,
        recent: Vec::new(),
        modelled: 0,
        specially_modelled: 0,
        seen_again: 0,
    };
    let mut client = redis.as_ref().map(Redis::client);
    let mut words = Words::new(seed, &[&MAIN[..], &SPECIAL, &OWN].concat());
    let mut trace = String::from(
        "# Random commands of every type and what they answer. tests/trace writes this file and says how.\nopen e => ok\ncreate e own token => ok\n",
    );
    let (mut lines, mut main) = (2, 0);
    for round in 0..commands {
        let (kind, command) = words.any();
        let is_own = OWN.iter().any(|group| group.0 == kind);
        main += u64::from(MAIN.iter().any(|group| group.0 == kind));
        let (name, namespace) = if is_own { ("own", &own) } else { ("-", &shared) };
        let before = engine.position().unwrap().sequence;
        let reply = run.step(kind, &command, namespace, client.as_mut());
        let mut line = format!("answer e {name}");
        for word in &command {
            // A lone dash would be no word.
            write!(line, " {}", if word == "-" { "%2d".to_owned() } else { encode(word.as_bytes()) }).unwrap();
        }
        writeln!(line, " => {}", word(&reply)).unwrap();
        if line.len() <= LONGEST {
            trace += &line;
            lines += 1;
        } else {
            assert_eq!(engine.position().unwrap().sequence, before, "{command:?}: a line too long of a write");
        }
        if round % 200 == 0 {
            run.look(&shared, &own);
        }
    }
    run.look(&shared, &own);
    let special = commands - main;
    println!(
        "{commands} commands, {} of {main} on basic types in the model, {} of {special} on others, {} on snapshots",
        run.modelled, run.specially_modelled, run.seen_again
    );
    assert!(run.modelled > main / 3 && lines > commands * 9 / 10, "{} {main} {lines}", run.modelled);
    assert!(run.specially_modelled >= special * 9 / 10, "{} {special}", run.specially_modelled);
    run.special.check();
    assert!(run.seen_again > commands / 10, "{}", run.seen_again);
    assert_sound(&engine);
    writeln!(trace, "lines => {lines}\nclose e => ok").unwrap();
    trace
}

/// Random commands on every type are answered as by a plain model, by a Redis, and where `PUMICE_KVROCKS` names one by a
/// Kvrocks, and leave what they leave there. `PUMICE_SEED` repeats a run, `PUMICE_COMMANDS` makes it longer.
#[test]
fn everyone_answers_the_same() {
    trace(redis::seed(), redis::number("PUMICE_COMMANDS").unwrap_or(20_000));
}

/// The scenario that Rust, C and Python run is what the model and a Redis say of its commands. `PUMICE_WRITE_TRACE=1` writes
/// it anew.
#[test]
fn the_scenario_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRACE);
    let made = trace(SEED, COMMANDS);
    if std::env::var_os("PUMICE_WRITE_TRACE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (stored, made)) in stored.lines().zip(made.lines()).enumerate() {
        assert_eq!(stored, made, "{TRACE}:{}; PUMICE_WRITE_TRACE=1 writes it anew", number + 1);
    }
    assert!(
        stored == made,
        "{TRACE}: {} bytes, expected {}; PUMICE_WRITE_TRACE=1 writes it anew",
        stored.len(),
        made.len()
    );
}
