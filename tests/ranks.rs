//! Ranks in long sorted sets: what is remembered of them never parts from the members.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pumice::{Engine, Part, Reply, ScoreBound, SortedSet, Span};
use support::redis::seed;
use support::{Ended, Random, assert_sound, open, open_replica, quick_dir, raw_write, records};

const KEY: &[u8] = b"board";
const MEMBERS: usize = 20_000;
const ROUNDS: usize = 400;

/// Whole scores in the order of a sorted set.
#[derive(Default)]
struct Model {
    scores: BTreeMap<Vec<u8>, i64>,
    order: BTreeSet<(i64, Vec<u8>)>,
}

impl Model {
    fn put(&mut self, member: &[u8], score: i64) {
        if let Some(old) = self.scores.insert(member.to_vec(), score) {
            self.order.remove(&(old, member.to_vec()));
        }
        self.order.insert((score, member.to_vec()));
    }

    fn remove(&mut self, member: &[u8]) {
        if let Some(old) = self.scores.remove(member) {
            self.order.remove(&(old, member.to_vec()));
        }
    }

    fn members(&self) -> Vec<(Vec<u8>, f64)> {
        self.order.iter().map(|(score, member)| (member.clone(), *score as f64)).collect()
    }
}

/// Some short, and some too long for a stretch to start at.
fn name(random: &mut Random) -> Vec<u8> {
    let number = random.below(3 * MEMBERS);
    let mut name = format!("member-{number:06}").into_bytes();
    if number.is_multiple_of(5) {
        name.resize(200, b'-');
    }
    name
}

fn add(set: &SortedSet, model: &mut Model, members: &[(i64, Vec<u8>)]) {
    set.add(&members.iter().map(|(score, member)| (*score as f64, member)).collect::<Vec<_>>()).unwrap();
    members.iter().for_each(|(score, member)| model.put(member, *score));
}

fn fill(set: &SortedSet, model: &mut Model, random: &mut Random, count: usize) {
    let members: Vec<_> = (0..count).map(|_| (random.below(2000) as i64 - 1000, name(random))).collect();
    members.chunks(1000).for_each(|some| add(set, model, some));
}

/// One write of a random kind, to the sorted set and to the model.
fn write(engine: &Engine, model: &mut Model, random: &mut Random) {
    let namespace = engine.namespace("games").unwrap();
    let set = namespace.sorted_set(KEY);
    let taken = match random.below(100) {
        // Many at one place, which become stretches of their own.
        0..5 => {
            let score = random.below(2000) as i64 - 1000;
            let members: Vec<_> = (0..700).map(|_| (score, name(random))).collect();
            add(&set, model, &members);
            Vec::new()
        }
        5..50 => {
            let count = 1 + random.below(30);
            fill(&set, model, random, count);
            Vec::new()
        }
        50..60 => {
            let (member, by) = (name(random), random.below(500) as i64 - 250);
            let to = set.increment(&member, by as f64).unwrap();
            model.put(&member, to as i64);
            Vec::new()
        }
        60..75 => {
            let some: Vec<_> = (0..10).map(|_| name(random)).collect();
            set.remove(&some).unwrap();
            some.into_iter().map(|member| (member, 0.0)).collect()
        }
        75..85 => set.pop(random.below(2) == 0, random.below(40) as u64).unwrap(),
        // A stretch that becomes empty, with its neighbours.
        85..92 => {
            let from = random.below(model.order.len().max(1)) as i64;
            set.take(&Span::Rank(from, from + random.below(900) as i64), Part::ALL).unwrap()
        }
        92..94 => {
            let bound = |score: i64| ScoreBound { score: score as f64, exclusive: false };
            let from = random.below(2000) as i64 - 1000;
            set.take(&Span::Score(bound(from), bound(from + 10)), Part::ALL).unwrap()
        }
        // Another sorted set of that name.
        94 => {
            match random.below(3) {
                0 => namespace.clear().unwrap(),
                1 => set.clear().unwrap(),
                _ => assert!(namespace.delete(KEY).is_ok()),
            }
            *model = Model::default();
            fill(&set, model, random, MEMBERS / 3);
            Vec::new()
        }
        // Others like it, whose writes are none to this one.
        95..98 => {
            for other in [&b"boar"[..], b"board2", b"board\0"] {
                namespace.sorted_set(other).add(&[(random.below(100) as f64, name(random))]).unwrap();
            }
            Vec::new()
        }
        _ => {
            let length = model.order.len();
            fill(&set, model, random, MEMBERS.saturating_sub(length) / 4);
            Vec::new()
        }
    };
    taken.iter().for_each(|(member, _)| model.remove(member));
}

/// Asks for ranks in every way; how many questions that were.
fn ask(engine: &Engine, model: &Model, random: &mut Random) -> usize {
    let set = engine.namespace("games").unwrap().sorted_set(KEY);
    let expected = model.members();
    let size = expected.len();
    assert_eq!(set.len().unwrap(), size as u64);
    let missing = set.rank(b"nobody").unwrap();
    assert_eq!(missing, None);
    if size == 0 {
        return 1;
    }
    for _ in 0..4 {
        let rank = random.below(size);
        let member = &expected[rank].0;
        assert_eq!(set.rank(member).unwrap(), Some(rank as u64), "{}", member.escape_ascii());
        let rank = random.below(size);
        let member = &expected[rank].0;
        assert_eq!(set.rank_from_last(member).unwrap(), Some((size - 1 - rank) as u64), "{}", member.escape_ascii());
    }
    for _ in 0..4 {
        let (from, long, reverse) = (random.below(size), random.below(400), random.below(2) == 1);
        let part = Part { reverse, offset: random.below(3) as u64, ..Part::ALL };
        let mut found = Vec::new();
        let mut scores = set.range(&Span::Rank(from as i64, (from + long) as i64), part).unwrap();
        while let Some((member, score)) = scores.next_member().unwrap() {
            found.push((member.to_vec(), score));
        }
        let ordered: Vec<_> = if reverse { expected.iter().rev().collect() } else { expected.iter().collect() };
        let wanted: Vec<_> = ordered.into_iter().take(from + long + 1).skip(from + part.offset as usize).collect();
        assert!(found.iter().eq(wanted.iter().copied()), "{long} from {from} on of {size}, reverse: {reverse}");
        let counted = set.count(&Span::Rank(from as i64, (from + long) as i64)).unwrap();
        assert_eq!(counted, (long + 1).min(size - from) as u64);
    }
    13
}

/// After every kind of write, of its own, from a log and from a checkpoint, ranks and ranges of ranks are those of a model,
/// and so they are in a snapshot of before.
#[test]
fn ranks_are_those_of_a_model() {
    let mut random = Random(seed());
    let dir = quick_dir();
    let primary = open(dir.path().join("primary"));
    let mut replica = open_replica(dir.path().join("replica"));
    primary.create_namespace("games", None).unwrap();
    let mut model = Model::default();
    fill(&primary.namespace("games").unwrap().sorted_set(KEY), &mut model, &mut random, MEMBERS);
    let mut log = primary.log(Some(&replica.position().unwrap())).unwrap();
    let mut then = primary.snapshot().unwrap();
    let mut past: Vec<(Vec<u8>, f64)> = model.members();
    let (mut asked, mut applied, mut long) = (0, 0, 0);
    for round in 0..ROUNDS {
        write(&primary, &mut model, &mut random);
        long += usize::from(model.order.len() > 4096);
        asked += ask(&primary, &model, &mut random);
        if round % 5 == 4 {
            while let Some(entry) = log.next_entry(None).unwrap() {
                replica.apply(&entry).unwrap();
                applied += 1;
            }
            asked += ask(&replica, &model, &mut random);
        }
        if round % 150 == 149 {
            let checkpoint = primary.create_checkpoint(dir.path().join(format!("checkpoint-{round}"))).unwrap();
            replica.apply_checkpoint(&checkpoint.path).unwrap();
            asked += ask(&replica, &model, &mut random);
            replica.close().unwrap();
            replica = open_replica(dir.path().join("replica"));
        }
        if round % 20 == 0 && !past.is_empty() {
            let rank = random.below(past.len());
            let found = then.namespace("games").unwrap().execute(&[b"ZRANK", KEY, &past[rank].0]).unwrap();
            assert_eq!(found, Reply::Integer(rank as i64));
            then = primary.snapshot().unwrap();
            past = model.members();
        }
    }
    assert!(
        asked > 10 * ROUNDS && applied > ROUNDS && long > ROUNDS / 2,
        "{asked} asked, {applied} applied, {long} long"
    );
    assert_sound(&primary);
    assert_sound(&replica);
}

/// While others write, each answer is of one moment: a member between pairs that change places keeps its rank, and so do the
/// members between them, from both ends and in a transaction.
#[test]
fn answers_are_of_one_moment_while_others_write() {
    const ROUNDS: u64 = 300;
    const WRITES_OF_A_ROUND: u64 = 10;
    let dir = quick_dir();
    let engine = open(dir.path());
    let namespace = engine.default_namespace();
    let set = namespace.sorted_set(KEY);
    let name = |number: u64| format!("{number:05}").into_bytes();
    let members: Vec<_> = (0..10_000).map(|number| (number as f64, name(number))).collect();
    set.add(&members).unwrap();
    let (done, writes, rounds) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(1));
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (set, namespace, done, rounds) = (&set, &namespace, &done, &rounds);
            scope.spawn(move || {
                let _ended = Ended(done);
                let mut random = Random(reader);
                for _ in 0..ROUNDS {
                    rounds.fetch_add(1, Ordering::Relaxed);
                    let rank = 4000 + random.below(2000) as u64;
                    assert_eq!(set.rank(&name(rank)).unwrap(), Some(rank));
                    assert_eq!(set.rank_from_last(&name(rank)).unwrap(), Some(9_999 - rank));
                    let reverse = random.below(2) == 1;
                    let from = if reverse { 9_999 - rank } else { rank } as i64;
                    let mut scores = set.range(&Span::Rank(from, from), Part { reverse, ..Part::ALL }).unwrap();
                    let (member, _) = scores.next_member().unwrap().unwrap();
                    assert_eq!(member, name(rank));
                    let (word, stop) = (rank.to_string(), (rank + 1).to_string());
                    let found = namespace.execute(&[b"ZRANGE", KEY, word.as_bytes(), stop.as_bytes()]).unwrap();
                    assert_eq!(found, Reply::Array(vec![Reply::bulk(name(rank)), Reply::bulk(name(rank + 1))]));
                }
            });
        }
        for writer in 0..2 {
            let (set, done, writes, rounds) = (&set, &done, &writes, &rounds);
            scope.spawn(move || {
                let mut random = Random(100 + writer);
                while !done.load(Ordering::Relaxed) {
                    // No more than that, or there is little but writes.
                    if writes.load(Ordering::Relaxed) > WRITES_OF_A_ROUND * rounds.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                        continue;
                    }
                    // Those of one writer are even, those of the other odd.
                    let number = 2 * random.below(1500) as u64 + writer;
                    let (one, other) = (name(number), name(7000 + number));
                    let is_low = set.score(&one).unwrap().unwrap() < 4000.0;
                    let scores = if is_low { (9000.5, 500.5) } else { (500.5, 9000.5) };
                    set.add(&[(scores.0, one), (scores.1, other)]).unwrap();
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(writes.load(Ordering::Relaxed) > ROUNDS, "nobody wrote");
    assert_sound(&engine);
}

/// A size that lies is answered about, and never for ever; what is beside it is not touched.
#[test]
fn a_size_that_lies_does_no_harm() {
    const REAL: u64 = 5_000;
    for size in [REAL - 700, REAL + 3_000, u64::MAX >> 8, u64::MAX] {
        let dir = quick_dir();
        let engine = open(dir.path());
        let members: Vec<_> = (0..REAL).map(|number| (number as f64, format!("{number:05}"))).collect();
        engine.default_namespace().sorted_set(b"lies").add(&members).unwrap();
        engine.close().unwrap();
        let (key, mut metadata) = records(dir.path())["metadata"][0].clone();
        let place = metadata.len() - 8;
        assert_eq!(metadata[place..], REAL.to_be_bytes());
        metadata[place..].copy_from_slice(&size.to_be_bytes());
        raw_write(dir.path(), "metadata", &key, Some(&metadata));

        let engine = open(dir.path());
        let namespace = engine.default_namespace();
        let set = namespace.sorted_set(b"lies");
        assert_eq!(set.len().unwrap(), size);
        for number in (0..REAL as i64).step_by(97) {
            let member = format!("{number:05}").into_bytes();
            assert!(set.rank(&member).unwrap().is_some() && set.rank_from_last(&member).unwrap().is_some());
            for reverse in [false, true] {
                let mut scores = set.range(&Span::Rank(number, number + 5), Part { reverse, ..Part::ALL }).unwrap();
                let mut come = 0;
                while scores.next_member().unwrap().is_some() {
                    come += 1;
                }
                assert!(come <= 6, "{come} came");
            }
        }
        assert_eq!(set.score(b"00003").unwrap(), Some(3.0));
        let well = namespace.sorted_set(b"well");
        well.add(&[(1.0, "a"), (2.0, "b")]).unwrap();
        assert_eq!(well.rank(b"b").unwrap(), Some(1));
    }
}
