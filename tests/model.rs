//! The engine against a model of it: random calls from a seed, the same answers from both.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pumice::{Engine, ErrorKind, Namespace, Options, Range, Role, Snapshot, Ttl, WriteOptions};
use support::{Random, assert_sound, open, open_replica, quick_dir};

const STEPS: usize = 1_500;

#[derive(Clone, Debug, PartialEq)]
struct Value {
    bytes: Vec<u8>,
    expires: bool,
}

type Keys = BTreeMap<Vec<u8>, Value>;

/// What a dataset must be: every namespace with its token and its keys.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    namespaces: BTreeMap<String, (String, Keys)>,
    default: Keys,
}

impl Model {
    fn keys(&mut self, name: &str) -> Option<&mut Keys> {
        match name {
            "__namespace" => Some(&mut self.default),
            name => self.namespaces.get_mut(name).map(|(_, keys)| keys),
        }
    }

    fn names(&self) -> Vec<String> {
        std::iter::once("__namespace".to_owned()).chain(self.namespaces.keys().cloned()).collect()
    }
}

const LONG: WriteOptions = WriteOptions { ttl: Some(Duration::from_secs(1 << 30)), sync: None };

/// A primary and a replica of it with their model, what they were once, and what was drawn so far.
struct Run {
    root: tempfile::TempDir,
    random: Random,
    step: usize,
    engine: Engine,
    replica: Engine,
    model: Model,
    checkpoints: Vec<(PathBuf, Model)>,
    snapshots: Vec<(Snapshot, Model)>,
    /// Handles that live on through swaps, drops and creations, as a user's do.
    handles: BTreeMap<String, Namespace>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let root = quick_dir();
        let engine = open(root.path().join("engine"));
        let replica = open_replica(root.path().join("replica"));
        let mut run = Run {
            root,
            random: Random(seed),
            step: 0,
            engine,
            replica,
            model: Model::default(),
            checkpoints: Vec::new(),
            snapshots: Vec::new(),
            handles: BTreeMap::new(),
        };
        // However little is deleted, its space is given back.
        #[cfg(feature = "failpoints")]
        fail::cfg("reclaim::any", "return(x)").unwrap();
        run.replicate();
        run
    }

    fn name(&mut self) -> String {
        ["__namespace", "a", "aa", "b", "b\0", "z"][self.random.below(6)].to_owned()
    }

    fn key(&mut self) -> Vec<u8> {
        match self.random.below(12) {
            0 => Vec::new(),
            1 => vec![0xFF; 1 + self.random.below(2)],
            2 => vec![0; 1 + self.random.below(3)],
            _ => format!("k{}", self.random.below(60)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let length = match self.random.below(10) {
            0 => 0,
            1 => 5_000,
            _ => self.random.below(40),
        };
        self.random.bytes(length)
    }

    /// The handle of a namespace, the one from before where there is one, and whether the namespace is there.
    fn handle(&mut self, name: &str) -> Option<Namespace> {
        let there = self.model.keys(name).is_some();
        if let Some(handle) = self.handles.get(name) {
            return Some(handle.clone());
        }
        match self.engine.namespace(name) {
            Ok(handle) => {
                assert!(there, "{name:?} is there and should not be");
                self.handles.insert(name.to_owned(), handle.clone());
                Some(handle)
            }
            Err(e) => {
                assert!(!there && e.kind() == ErrorKind::NotFound, "{name:?}: {e}");
                None
            }
        }
    }

    fn act(&mut self) {
        self.step += 1;
        match self.random.below(100) {
            0..55 => self.strings(),
            55..62 => self.batch(),
            62..68 => self.registry(),
            68..70 => self.clear(),
            70..76 => self.ranges(),
            76..82 => self.snapshots(),
            82..84 => self.checkpoint(),
            84..86 => self.apply(),
            86..88 => self.reopen(),
            88..94 => self.replicate(),
            94..96 => self.compare(),
            96 => self.compact(),
            _ => self.expire(),
        }
    }

    fn strings(&mut self) {
        let (name, key, value) = (self.name(), self.key(), self.value());
        let Some(namespace) = self.handle(&name) else { return };
        let expected = if self.random.below(2) == 0 { None } else { Some(self.value()) };
        let what = self.random.below(7);
        let Some(keys) = self.model.keys(&name) else {
            // The handle outlived its namespace.
            let refused = [namespace.put(&key, &value), namespace.get(&key).map(drop), namespace.clear()];
            for refused in refused {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
            }
            return;
        };
        let had = keys.get(&key).cloned();
        let plain = Value { bytes: value.clone(), expires: false };
        match what {
            0 | 1 => {
                namespace.put(&key, &value).unwrap();
                keys.insert(key, plain);
            }
            2 => {
                namespace.put_with(&key, &value, &LONG).unwrap();
                keys.insert(key, Value { expires: true, ..plain });
            }
            3 => {
                let found = had.as_ref().map(|had| &had.bytes);
                let expected = if self.step.is_multiple_of(2) { found.cloned() } else { expected };
                let matches = found == expected.as_ref();
                assert_eq!(namespace.put_if(&key, &value, expected.as_deref()).unwrap(), matches);
                if matches {
                    keys.insert(key, plain);
                }
            }
            4 => assert_eq!(namespace.delete(&key).unwrap(), keys.remove(&key).is_some()),
            _ => {
                let found = namespace.get(&key).unwrap();
                assert_eq!(found.as_deref(), had.as_ref().map(|had| &had.bytes[..]));
                assert_eq!(namespace.exists(&key).unwrap(), had.is_some());
                match (namespace.ttl(&key).unwrap(), had) {
                    (Ttl::Missing, None) => {}
                    (Ttl::Forever, Some(had)) => assert!(!had.expires),
                    (Ttl::Left(_), Some(had)) => assert!(had.expires),
                    (ttl, had) => panic!("{ttl:?} for {had:?}"),
                }
            }
        }
    }

    fn expire(&mut self) {
        let (name, key) = (self.name(), self.key());
        let Some(namespace) = self.handle(&name) else { return };
        let soon = self.random.below(4) == 0;
        let Some(keys) = self.model.keys(&name) else { return };
        if soon {
            // It expires at once, for good.
            let options = WriteOptions { ttl: Some(Duration::from_millis(1)), sync: None };
            namespace.put_with(&key, b"short", &options).unwrap();
            std::thread::sleep(Duration::from_millis(4));
            keys.remove(&key);
            assert!(!namespace.exists(&key).unwrap());
            return;
        }
        match keys.get_mut(&key) {
            None => {
                assert!(!namespace.expire(&key, Duration::from_secs(1 << 30)).unwrap());
                assert!(!namespace.persist(&key).unwrap());
            }
            Some(value) if value.expires => {
                assert!(namespace.persist(&key).unwrap());
                value.expires = false;
            }
            Some(value) => {
                assert!(!namespace.persist(&key).unwrap());
                assert!(namespace.expire(&key, Duration::from_secs(1 << 30)).unwrap());
                value.expires = true;
            }
        }
    }

    fn batch(&mut self) {
        let mut batch = self.engine.batch();
        let mut model = self.model.clone();
        let mut there = true;
        for _ in 0..1 + self.random.below(6) {
            let (name, key, value) = (self.name(), self.key(), self.value());
            let Some(namespace) = self.handle(&name) else { continue };
            let delete = self.random.below(3) == 0;
            if delete {
                batch.delete(&namespace, &key).unwrap();
            } else {
                batch.put(&namespace, &key, &value).unwrap();
            }
            match model.keys(&name) {
                None => there = false,
                Some(keys) if delete => drop(keys.remove(&key)),
                Some(keys) => drop(keys.insert(key, Value { bytes: value, expires: false })),
            }
        }
        match batch.commit((self.random.below(20) == 0).then_some(true)) {
            Ok(()) => {
                assert!(there, "a batch into a namespace that is gone");
                self.model = model;
            }
            Err(e) => assert!(!there && e.kind() == ErrorKind::NotFound, "{e}"),
        }
    }

    fn registry(&mut self) {
        let name = self.name();
        if name == "__namespace" {
            return;
        }
        let token = format!("token-{}", self.random.below(8));
        let owner = self.model.namespaces.iter().find(|(_, (had, _))| *had == token).map(|(name, _)| name.clone());
        let had = self.model.namespaces.get(&name).map(|(had, _)| had.clone());
        match self.random.below(3) {
            0 => match self.engine.create_namespace(&name, Some(&token)) {
                Ok(handle) => {
                    assert!(had.is_none_or(|had| had == token) && owner.is_none_or(|owner| owner == name));
                    self.model.namespaces.entry(name.clone()).or_default().0 = token;
                    self.handles.insert(name, handle);
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e}");
                    assert!(had.is_some_and(|had| had != token) || owner.is_some());
                }
            },
            1 => match self.engine.drop_namespace(&name) {
                Ok(()) => assert!(self.model.namespaces.remove(&name).is_some()),
                Err(e) => assert!(had.is_none() && e.kind() == ErrorKind::NotFound, "{e}"),
            },
            _ => {
                let Some(namespace) = self.handle(&name) else { return };
                match namespace.set_token(&token) {
                    Ok(()) => {
                        assert!(owner.is_none_or(|owner| owner == name));
                        self.model.namespaces.get_mut(&name).unwrap().0 = token;
                    }
                    Err(e) if e.kind() == ErrorKind::NotFound => assert!(had.is_none()),
                    Err(e) => assert!(e.kind() == ErrorKind::AlreadyExists && owner != Some(name), "{e}"),
                }
            }
        }
        let found = self.engine.namespaces().unwrap();
        assert_eq!(found, self.model.names());
    }

    fn clear(&mut self) {
        let name = self.name();
        let Some(namespace) = self.handle(&name) else { return };
        if let Some(keys) = self.model.keys(&name) {
            namespace.clear().unwrap();
            keys.clear();
        }
    }

    fn ranges(&mut self) {
        let name = self.name();
        let Some(namespace) = self.handle(&name) else { return };
        let prefix = [&b""[..], b"k", b"k1", b"\xff", b"\0"][self.random.below(5)].to_vec();
        let mut bound = || (self.random.below(2) == 0).then(|| format!("k{}", self.random.below(60)).into_bytes());
        let range = Range { prefix, start: bound(), end: bound(), reverse: self.step.is_multiple_of(2) };
        let Some(keys) = self.model.keys(&name) else { return };
        let mut expected: Vec<(Vec<u8>, Option<Vec<u8>>)> = keys
            .iter()
            .filter(|(key, _)| key.starts_with(&range.prefix))
            .filter(|(key, _)| range.start.as_ref().is_none_or(|start| *key >= start))
            .filter(|(key, _)| range.end.as_ref().is_none_or(|end| *key < end))
            .map(|(key, value)| (key.clone(), Some(value.bytes.clone())))
            .collect();
        if range.reverse {
            expected.reverse();
        }
        let found: Vec<_> = namespace.items(&range).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{range:?}");
        let all: Vec<Vec<u8>> = keys.keys().cloned().collect();
        assert!(namespace.get_many(&all).unwrap().iter().all(Option::is_some));
        assert_eq!(namespace.count().unwrap(), all.len() as u64);
        assert_eq!(namespace.is_empty().unwrap(), all.is_empty());
    }

    fn snapshots(&mut self) {
        if self.snapshots.len() < 4 {
            self.snapshots.push((self.engine.snapshot().unwrap(), self.model.clone()));
        }
        let at = self.random.below(self.snapshots.len());
        let (snapshot, model) = &mut self.snapshots[at];
        assert_eq!(snapshot.namespaces().unwrap(), model.names());
        for name in model.names() {
            let namespace = snapshot.namespace(&name).unwrap();
            let found: Vec<_> = namespace.items(&Range::default()).unwrap().map(|item| item.unwrap()).collect();
            let keys = model.keys(&name).unwrap().iter();
            let expected: Vec<_> = keys.map(|(key, value)| (key.clone(), Some(value.bytes.clone()))).collect();
            assert_eq!(found, expected, "a snapshot changed");
        }
        if self.random.below(2) == 0 {
            self.snapshots.remove(at);
        }
    }

    fn checkpoint(&mut self) {
        let path = self.root.path().join(format!("checkpoint-{}", self.step));
        self.engine.create_checkpoint(&path).unwrap();
        self.checkpoints.push((path, self.model.clone()));
        if self.checkpoints.len() > 4 {
            let (path, _) = self.checkpoints.remove(0);
            std::fs::remove_dir_all(path).unwrap();
        }
    }

    fn apply(&mut self) {
        if self.checkpoints.is_empty() {
            return;
        }
        let at = self.random.below(self.checkpoints.len());
        let (path, model) = self.checkpoints[at].clone();
        self.engine.apply_checkpoint(path).unwrap();
        self.model = model;
        self.compare();
    }

    fn reopen(&mut self) {
        self.snapshots.clear();
        self.handles.clear();
        let path = self.engine.path().to_owned();
        if self.random.below(3) == 0 {
            let read_only = Options { read_only: true, ..Default::default() };
            self.engine.close().unwrap();
            let reader = Engine::open(&path, &read_only).unwrap();
            check(&reader, &mut self.model);
            reader.close().unwrap();
        } else if self.random.below(2) == 0 {
            self.engine.close().unwrap();
        }
        // Without a close the old one goes when the new one takes its place, so it must go first.
        self.engine.close().unwrap();
        self.engine = open(path);
        self.compare();
    }

    /// The replica takes what it lacks by the log, or, when that does not reach or another history began, whole.
    fn replicate(&mut self) {
        let position = self.replica.position().unwrap();
        let by_log = self.engine.log(Some(&position)).and_then(|mut log| {
            while let Some(entry) = log.next_entry(None)? {
                self.replica.apply(&entry)?;
            }
            Ok(())
        });
        if let Err(e) = by_log {
            assert!(matches!(e.kind(), ErrorKind::Diverged | ErrorKind::NotFound), "{e}");
            let path = self.root.path().join("full-sync");
            self.engine.create_checkpoint(&path).unwrap();
            self.replica.apply_checkpoint(&path).unwrap();
            std::fs::remove_dir_all(path).unwrap();
        }
        assert_eq!(self.replica.position().unwrap(), self.engine.position().unwrap());
        assert_eq!(self.replica.role().unwrap(), Role::Replica);
        check(&self.replica, &mut self.model);
    }

    /// Nothing that is there goes by a compaction, here or on the replica.
    fn compact(&mut self) {
        #[cfg(feature = "failpoints")]
        {
            self.engine.compact().unwrap();
            self.replica.compact().unwrap();
        }
        self.compare();
    }

    fn compare(&mut self) {
        check(&self.engine, &mut self.model);
        assert_sound(&self.engine);
    }
}

/// An engine shows exactly what the model has.
fn check(engine: &Engine, model: &mut Model) {
    assert_eq!(engine.namespaces().unwrap(), model.names());
    for name in model.names() {
        let namespace = engine.namespace(&name).unwrap();
        if let Some((token, _)) = model.namespaces.get(&name) {
            assert_eq!(namespace.token().unwrap().as_ref(), Some(token));
        }
        let found: Vec<_> = namespace.items(&Range::default()).unwrap().map(|item| item.unwrap()).collect();
        let keys = model.keys(&name).unwrap().iter();
        let expected: Vec<_> = keys.map(|(key, value)| (key.clone(), Some(value.bytes.clone()))).collect();
        assert_eq!(found, expected, "{name:?}");
    }
    assert_eq!(engine.unregistered_namespaces().unwrap(), Vec::<Vec<u8>>::new());
}

/// Random calls of every kind get from the engine, its snapshots, its replica and its reopened directory what the
/// model says. `PUMICE_SEED` repeats a run.
#[test]
fn the_engine_does_what_the_model_does() {
    let seed = std::env::var("PUMICE_SEED").map_or_else(|_| drawn(), |seed| seed.parse().unwrap());
    println!("PUMICE_SEED={seed}");
    let mut run = Run::new(seed);
    for step in 0..STEPS {
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.act()));
        if let Err(panic) = told {
            println!("at step {step} of PUMICE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    run.replicate();
    run.compare();
    assert_sound(&run.replica);
}

/// A seed that no other run has.
fn drawn() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}
