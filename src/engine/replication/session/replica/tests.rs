//! The replica's end, step by step.

use super::*;
use crate::engine::format::batch::{BatchBuilder, METADATA};
use crate::engine::replication::session::frame::append_frame;

const ID: &str = "ABCDEFGHIJKLMNOP";
const RUN: &str = "runrunrunrunrun0";

fn batch(first: u64, count: u64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.log_data(b"1");
    (0..count).for_each(|n| builder.put(METADATA, &n.to_le_bytes(), &first.to_le_bytes()));
    builder.finish(first)
}

fn own(id: &str, sequence: u64, last: Option<(u64, Vec<u8>)>) -> Own {
    Own {
        position: Position { replication_id: id.to_owned(), sequence },
        layout: Layout::Standalone,
        last,
        admitted: None,
        received: None,
        run_id: RUN.to_owned(),
        node_id: None,
        epoch: None,
    }
}

/// A session and what it did, written as words: requests as they are, other actions by name.
struct Talk {
    session: ReplicaSession,
    now_ms: u64,
}

impl Talk {
    fn new(password: Option<&str>, announce: Option<Announce>, own: Own) -> (Talk, Vec<String>) {
        let mut session = ReplicaSession::new(password.map(str::to_owned), announce, own);
        let mut out = Vec::new();
        session.start(0, &mut out);
        (Talk { session, now_ms: 0 }, written(out))
    }

    fn hear(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
        let mut out = Vec::new();
        self.session.receive(self.now_ms, bytes.as_ref(), &mut out);
        written(out)
    }

    fn hear_frame(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut frame = Vec::new();
        append_frame(&mut frame, bytes);
        self.hear(frame)
    }

    fn tick(&mut self, now_ms: u64) -> Vec<String> {
        self.now_ms = now_ms;
        let mut out = Vec::new();
        self.session.tick(now_ms, &mut out);
        written(out)
    }

    fn applied(&mut self, applied: u64, durable: u64) -> Vec<String> {
        let mut out = Vec::new();
        self.session.applied(self.now_ms, applied, durable, &mut out);
        written(out)
    }

    /// A session with a Kvrocks whose PSYNC was answered with OK.
    fn with_kvrocks(own: Own) -> Talk {
        let (mut talk, _) = Talk::new(None, None, own);
        for answer in ["-ERR unknown option\r\n", &info("standalone"), "*2\r\n$1\r\nx\r\n$3\r\nyes\r\n", "db\r\n"] {
            talk.hear(answer);
        }
        talk.hear("+OK\r\n");
        talk
    }

    /// A session with a Pumice whose PSYNC was answered with OK.
    fn with_pumice(own: Own) -> Talk {
        let (mut talk, _) = Talk::new(None, None, own);
        talk.hear(hello("standalone", "0therrunning0one", 900));
        talk.hear("+OK\r\n");
        talk
    }
}

fn written(actions: Vec<Action>) -> Vec<String> {
    let one = |action| match action {
        Action::Send(bytes) => {
            let mut parser = crate::engine::format::resp::RequestParser::new(Limits::default());
            parser.push(&bytes);
            let words = parser.next().unwrap().unwrap();
            String::from_utf8(words.join(&b' ')).unwrap()
        }
        Action::Apply(bytes) => format!("apply {}", Batch::parse(&bytes).unwrap().sequence()),
        Action::Streaming(peer) => format!("streaming {}", peer.name()),
        Action::Latest(latest) => format!("latest {latest}"),
        Action::FullSync { diverged, .. } => format!("full sync, diverged {diverged}"),
        Action::Warn(text) => format!("warn: {text}"),
        Action::Failed { error, retry } => format!("failed, {retry:?}: {error}"),
        Action::Epoch(epoch, origin) => format!("epoch {epoch} of {origin}"),
    };
    actions.into_iter().map(one).collect()
}

fn info(mode: &str) -> String {
    let server = "process_id:7\r\ntcp_port:6666\r\nuptime_in_seconds:5";
    let text = format!("# Server\r\nkvrocks_version:2.10.0\r\nkvrocks_mode:{mode}\r\n{server}\r\nos:Linux\r\n");
    format!("${}\r\n{text}\r\n", text.len())
}

fn hello(layout: &str, run: &str, latest: u64) -> Vec<u8> {
    let latest = latest.to_string();
    let words = ["pumice", "1", "layout", layout, "run", run, "generation", "3", "id", ID, "latest", &latest];
    let mut out = Vec::new();
    Reply::Array(words.iter().map(Reply::bulk).collect()).encode(&mut out);
    out
}

/// The whole handshake with a Kvrocks, and its feed.
#[test]
fn a_kvrocks() {
    let announce = Announce { port: 7302, ip: Some("10.1.1.1".to_owned()) };
    let (mut talk, said) = Talk::new(Some("secret"), Some(announce), own(ID, 9, Some((8, batch(8, 2)))));
    assert_eq!(said, ["AUTH secret"]);
    assert_eq!(talk.hear("+OK\r\n"), [format!("replconf pumice 1 layout standalone run {RUN}")]);
    assert_eq!(talk.session.peer(), None);
    assert_eq!(talk.hear("-ERR unknown option\r\n"), ["INFO server"]);
    assert_eq!(talk.session.peer(), Some(Peer::Kvrocks));
    assert_eq!(talk.hear(info("standalone")), ["CONFIG GET repl-namespace-enabled"]);
    let no = "*2\r\n$22\r\nrepl-namespace-enabled\r\n$2\r\nno\r\n";
    assert_eq!(talk.hear(no), ["NAMESPACE GET *"]);
    let said = talk.hear("*4\r\n$1\r\na\r\n$3\r\ntok\r\n$11\r\n__namespace\r\n$0\r\n\r\n");
    assert!(said[0].starts_with("warn: the primary keeps 1 namespaces in its configuration file"), "{said:?}");
    assert!(!said[0].contains("tok"), "a token was shown");
    assert_eq!(said[1], "_db_name");
    assert_eq!(talk.hear("some.other.db\r\n"), ["replconf listening-port 7302 ip-address 10.1.1.1"]);
    assert_eq!(talk.hear("-ERR unknown option\r\n"), ["replconf listening-port 7302"]);
    assert_eq!(talk.hear("-ERR unknown option\r\n"), ["PSYNC 8"]);
    assert!(talk.hear("+OK\r\n").is_empty());
    assert_eq!(talk.hear_frame(&batch(8, 2)), ["streaming kvrocks"]);
    assert_eq!(talk.hear_frame(b"ping"), ["latest 9"]);
    assert_eq!(talk.hear_frame(&batch(10, 3)), ["apply 10"]);
    assert_eq!(talk.hear_frame(&batch(13, 0)), [""; 0]);
    assert_eq!(talk.hear_frame(&batch(13, 1)), ["apply 13"]);
    assert_eq!(talk.hear_frame(b"later"), [""; 0]);
    assert_eq!(talk.hear_frame(b"ping"), ["latest 13"]);
}

/// The whole handshake with a Pumice, and its feed.
#[test]
fn a_pumice() {
    let announce = Announce { port: 7302, ip: None };
    let (mut talk, _) = Talk::new(None, Some(announce), own(ID, 9, None));
    assert_eq!(talk.hear(hello("standalone", "0therrunning0one", 900)), ["replconf listening-port 7302"]);
    assert_eq!(talk.session.peer(), Some(Peer::Pumice));
    assert_eq!(talk.hear("+OK\r\n"), [format!("PSYNC {ID} 10")]);
    // The first entries may be in the same piece as the answer.
    let mut bytes = b"+OK\r\n".to_vec();
    append_frame(&mut bytes, &batch(10, 2));
    append_frame(&mut bytes, b"_pumice latest 901 colour grey");
    append_frame(&mut bytes, b"_pumice something else");
    append_frame(&mut bytes, b"_pumice latest x");
    assert_eq!(talk.hear(bytes), ["streaming pumice", "latest 900", "apply 10", "latest 901"]);
}

/// Every piece of a conversation is understood the same as the whole.
#[test]
fn any_pieces() {
    let mut stream = b"-ERR unknown option\r\n".to_vec();
    stream.extend_from_slice(info("standalone").as_bytes());
    stream.extend_from_slice(b"*0\r\nchange.me.db\r\n+OK\r\n");
    for bytes in [batch(8, 2), batch(10, 1), b"ping".to_vec(), b"_getack".to_vec(), batch(11, 5)] {
        append_frame(&mut stream, &bytes);
    }
    let run = |piece: usize| {
        let (mut talk, mut said) = Talk::new(None, None, own("", 9, Some((8, batch(8, 2)))));
        stream.chunks(piece).for_each(|piece| said.extend(talk.hear(piece)));
        said
    };
    let whole = run(stream.len());
    assert_eq!(whole.last().unwrap(), "apply 11");
    assert_eq!(whole.len(), 9, "{whole:?}");
    (1..200).for_each(|piece| assert_eq!(run(piece), whole, "pieces of {piece}"));
}

/// What PSYNC asks for, by what the replica has.
#[test]
fn first_question() {
    let last = Some((8, batch(8, 2)));
    let admitted = |dataset: &str, last| Own { admitted: Some(dataset.to_owned()), ..own("", 9, last) };
    for (own, kvrocks, pumice) in [
        (own("", 0, None), "PSYNC 1", "PSYNC 1"),
        (own(ID, 9, last.clone()), "PSYNC 8", "PSYNC ABCDEFGHIJKLMNOP 10"),
        (own("", 9, last.clone()), "PSYNC 8", "PSYNC 8"),
        (own(ID, 9, None), "full sync, diverged false", "PSYNC ABCDEFGHIJKLMNOP 10"),
        (own("", 9, None), "full sync, diverged false", "full sync, diverged false"),
        (admitted("process 7 at 6666, since -5", None), "PSYNC 10", "full sync, diverged false"),
        // When it was started is known to some seconds; another process of that number was started later.
        (admitted("process 7 at 6666, since -7", None), "PSYNC 10", "full sync, diverged false"),
        (admitted("process 7 at 6666, since -60", None), "full sync, diverged false", "full sync, diverged false"),
        (admitted("process 7 at 6667, since -5", None), "full sync, diverged false", "full sync, diverged false"),
        (admitted("process 8 at 6666, since -5", None), "full sync, diverged false", "full sync, diverged false"),
        (admitted("run 0therrunning0one generation 3", None), "full sync, diverged false", "PSYNC 10"),
        (admitted("run 0therrunning0one generation 4", None), "full sync, diverged false", "full sync, diverged false"),
        (admitted("process 7 at 6666, since -5", last.clone()), "PSYNC 8", "PSYNC 8"),
        // An entry that does not end where the replica is proves nothing.
        (own("", 9, Some((7, batch(7, 2)))), "full sync, diverged false", "full sync, diverged false"),
        (own("", 9, Some((7, batch(8, 2)))), "full sync, diverged false", "full sync, diverged false"),
    ] {
        let again = Own {
            position: own.position.clone(),
            last: own.last.clone(),
            run_id: own.run_id.clone(),
            node_id: None,
            epoch: None,
            layout: own.layout,
            admitted: own.admitted.clone(),
            received: None,
        };
        let (mut talk, _) = Talk::new(None, None, own);
        talk.hear("-ERR unknown option\r\n");
        talk.hear(info("standalone"));
        talk.hear("-ERR no\r\n");
        assert_eq!(talk.hear("db\r\n"), [kvrocks]);
        let (mut talk, _) = Talk::new(None, None, again);
        assert_eq!(talk.hear(hello("standalone", "0therrunning0one", 900)), [pumice]);
    }
}

/// The dataset that files were received of is known again, and no other is taken for it.
#[test]
fn received() {
    for (received, dataset) in [
        (None, "process 7 at 6666, since -5"),
        (Some("process 7 at 6666, since -6"), "process 7 at 6666, since -6"),
        (Some("process 7 at 6666, since -60"), "process 7 at 6666, since -5"),
    ] {
        let own = Own { received: received.map(str::to_owned), ..own("", 9, None) };
        let (mut talk, _) = Talk::new(None, None, own);
        talk.hear("-ERR unknown option\r\n");
        talk.hear(info("standalone"));
        assert_eq!(talk.session.dataset(), Some(dataset), "{received:?}");
    }
}

/// The overlap must be our last entry byte by byte; nothing of it is applied.
#[test]
fn overlap() {
    let own_batch = batch(8, 2);
    let mut other = own_batch.clone();
    *other.last_mut().unwrap() ^= 1;
    let fresh = || Talk::with_kvrocks(own("", 9, Some((8, own_batch.clone()))));
    assert_eq!(fresh().hear_frame(&own_batch), ["streaming kvrocks"]);
    let mut talk = fresh();
    assert_eq!(talk.hear_frame(&other), ["full sync, diverged true"]);
    assert_eq!(talk.hear_frame(&batch(10, 1)), [""; 0], "it went on after its end");
    assert_eq!(fresh().hear_frame(&batch(8, 1)), ["full sync, diverged true"]);
    assert!(fresh().hear_frame(&batch(10, 1))[0].contains("got 10, expected 8"));
    // What is no batch says nothing of histories.
    let mut lying = own_batch.clone();
    lying[8] = 3;
    assert!(fresh().hear_frame(&lying)[0].starts_with("failed, Later"));
    // A primary that will write it next has not got it: it says so by having nothing to send.
    assert_eq!(fresh().hear_frame(b"ping"), ["full sync, diverged true"]);
    // Notes may come before it.
    let mut talk = fresh();
    assert_eq!(talk.hear_frame(&batch(8, 0)), [""; 0]);
    assert_eq!(talk.hear_frame(&own_batch), ["streaming kvrocks"]);
}

/// Between Pumice peers without an id the heartbeat tells whether the primary has the entry at all.
#[test]
fn overlap_of_a_pumice() {
    let fresh = || Talk::with_pumice(own("", 9, Some((8, batch(8, 2)))));
    assert_eq!(fresh().hear_frame(b"_pumice latest 7"), ["full sync, diverged true"]);
    let mut talk = fresh();
    assert_eq!(talk.hear_frame(b"_pumice latest 8"), ["latest 8"]);
    assert_eq!(talk.hear_frame(&batch(8, 2)), ["streaming pumice", "latest 900"]);
}

/// An entry out of place, or one of no records that has some, ends the session and is not applied.
#[test]
fn out_of_place() {
    for bad in [batch(9, 1), batch(11, 1), batch(11, 0), batch(1, 10)] {
        let mut talk = Talk::with_pumice(own(ID, 9, None));
        let said = talk.hear_frame(&bad);
        assert!(said.len() == 1 && said[0].starts_with("failed, Soon: feed, first sequence"), "{said:?}");
        assert_eq!(talk.hear_frame(&batch(10, 1)), [""; 0]);
        assert_eq!(talk.tick(1_000_000), [""; 0]);
        assert_eq!(talk.applied(9, 9), [""; 0]);
    }
    // What is not applied is looked through here. An entry is where it is applied: see tests/replication_hostile.rs.
    let mut lying = batch(10, 2);
    lying[8] = 0;
    let said = Talk::with_pumice(own(ID, 9, None)).hear_frame(&lying);
    assert!(said[0].starts_with("failed, Later") && said[0].contains("got 2 records, expected 0"), "{said:?}");
    // Towards a Kvrocks the heartbeat of a Pumice is a batch that cannot be.
    let mut talk = Talk::with_kvrocks(own("", 0, None));
    assert!(talk.hear_frame(b"_pumice latest 5")[0].starts_with("failed"));
}

/// Each refusal has its consequence.
#[test]
fn refusals() {
    let psync = |answer: &str, own: Own| {
        let (mut talk, _) = Talk::new(None, None, own);
        talk.hear(hello("standalone", "0therrunning0one", 900));
        talk.hear(answer)
    };
    let fresh = || own(ID, 9, None);
    assert_eq!(psync("-DIVERGED it is not\r\n", fresh()), ["full sync, diverged true"]);
    assert_eq!(psync("-ERR sequence out of range, please use fullsync\r\n", fresh()), ["full sync, diverged false"]);
    assert_eq!(psync("-ERR wrong replication id of the last log\r\n", fresh()), ["full sync, diverged false"]);
    for answer in [
        "-LOADING kvrocks is restoring the db from backup\r\n",
        "-MASTERDOWN Link\r\n",
        "-REFUSED x\r\n",
        "-ERR admin permission required\r\n",
    ] {
        assert!(psync(answer, fresh())[0].starts_with("failed, Later: "), "{answer}");
    }
    assert!(psync("+CONTINUE\r\n", fresh())[0].starts_with("failed, Soon: "));
    // Just synced: the primary's log may have lost the overlap, but it has what comes next.
    let dataset = "run 0therrunning0one generation 3".to_owned();
    let admitted = || Own { admitted: Some(dataset.clone()), ..own("", 9, Some((8, batch(8, 2)))) };
    assert_eq!(psync("-ERR sequence out of range, please use fullsync\r\n", admitted()), ["PSYNC 10"]);
    let (mut talk, said) = Talk::new(Some("wrong"), None, fresh());
    assert_eq!(said, ["AUTH wrong"]);
    let said = talk.hear("-ERR Invalid password\r\n");
    assert_eq!(said, ["failed, Later: AUTH: the primary answered \"ERR Invalid password\""]);
}

/// A primary with other keys, without a mode, or which is the replica itself is not followed.
#[test]
fn unfit() {
    let greeted = |answer: &[u8]| Talk::new(None, None, own(ID, 9, None)).0.hear(answer).remove(0);
    assert!(greeted(&hello("cluster", "0therrunning0one", 9)).starts_with("failed, Never: the primary has keys"));
    assert!(greeted(&hello("standalone", RUN, 9)).contains("can't replicate itself"));
    assert!(greeted(b"*1\r\n$6\r\npumice\r\n").starts_with("failed, Soon: handshake"));
    assert!(greeted(b"-NOAUTH Authentication required.\r\n").starts_with("failed, Later"));
    let informed = |answer: &str| {
        let (mut talk, _) = Talk::new(None, None, own(ID, 9, None));
        talk.hear("-ERR unknown option\r\n");
        talk.hear(answer).remove(0)
    };
    assert!(informed(&info("cluster")).starts_with("failed, Never: the primary has keys in the layout \"cluster\""));
    assert!(informed("$7\r\nredis:1\r\n").starts_with("failed, Later: INFO: got no kvrocks_mode"));
    assert!(informed("$1048577\r\n").starts_with("failed, Soon"));
    let (mut talk, _) = Talk::new(None, None, own(ID, 9, None));
    talk.hear("-ERR unknown option\r\n");
    talk.hear(info("standalone"));
    talk.hear("-ERR no\r\n");
    assert!(talk.hear("-LOADING it\r\n")[0].starts_with("failed, Later"));
}

/// A line without an end is given up at 64 KiB.
#[test]
fn endless_line() {
    let (mut talk, _) = Talk::new(None, None, own(ID, 9, None));
    let said: Vec<String> = (0..70).flat_map(|_| talk.hear([b'-'; 1024])).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("failed, Soon: reply: got a line of 65536 bytes"), "{said:?}");
}

/// 30 seconds of silence end it at every step, but not while the replica itself is busy applying.
#[test]
fn silence() {
    let (mut talk, _) = Talk::new(Some("x"), None, own(ID, 9, None));
    assert_eq!(talk.tick(30_000), [""; 0]);
    assert_eq!(talk.tick(30_001), ["failed, Soon: the primary said nothing for more than 30 s"]);
    let mut talk = Talk::with_pumice(own(ID, 9, None));
    talk.now_ms = 100_000;
    talk.applied(9, 9);
    assert_eq!(talk.tick(130_000).len(), 1, "an acknowledgement");
    talk.hear_frame(b"_pumice latest 9");
    assert_eq!(talk.tick(160_000).len(), 1, "an acknowledgement");
    assert!(talk.tick(160_001)[0].starts_with("failed"));
}

/// A frame whose length is wrong swallows the heartbeats, and is given up; one that comes slowly is not.
#[test]
fn swallowed() {
    for (pace, fails) in [(22, true), (2_000, false)] {
        let mut talk = Talk::with_pumice(own(ID, 9, None));
        talk.hear("$1073741824\r\n");
        let mut said = Vec::new();
        for second in 1..60 {
            said.extend(talk.tick(second * 1000));
            said.extend(talk.hear(vec![b'x'; pace]));
        }
        assert_eq!(said.len(), usize::from(fails));
        assert!(said.iter().all(|said| said.contains("no whole reply or frame for more than 30 s")), "{said:?}");
    }
}

/// A reply that never ends is given up, although bytes of it come all the time.
#[test]
fn endless_reply() {
    let (mut talk, _) = Talk::new(None, None, own(ID, 9, None));
    assert_eq!(talk.hear("*1000\r\n"), [""; 0]);
    for second in 1..=30 {
        assert_eq!(talk.tick(second * 1000), [""; 0]);
        assert_eq!(talk.hear(":1\r\n"), [""; 0]);
    }
    assert!(talk.tick(30_001)[0].starts_with("failed, Soon: got no whole reply"));
}

/// A Pumice hears what was applied after each read that changed something, when it asks, and each second.
#[test]
fn acknowledgements() {
    let mut talk = Talk::with_pumice(own(ID, 9, None));
    assert_eq!(talk.tick(1_500), [""; 0], "nothing is known yet");
    talk.hear_frame(&batch(10, 1));
    assert_eq!(talk.applied(10, 9), ["replconf ack 10 9"]);
    assert_eq!(talk.applied(10, 9), [""; 0]);
    talk.hear_frame(b"_getack");
    assert_eq!(talk.applied(10, 9), ["replconf ack 10 9"]);
    assert_eq!(talk.applied(10, 10), ["replconf ack 10 10"]);
    assert_eq!(talk.tick(2_499), [""; 0]);
    assert_eq!(talk.tick(2_500), ["replconf ack 10 10"]);
}

/// A Kvrocks hears nothing until it asks; from then on when it asks and each second.
#[test]
fn acknowledgements_to_a_kvrocks() {
    let mut talk = Talk::with_kvrocks(own("", 0, None));
    talk.hear_frame(&batch(1, 1));
    assert_eq!(talk.applied(1, 0), [""; 0]);
    assert_eq!(talk.tick(5_000), [""; 0]);
    talk.hear_frame(b"_getack");
    assert_eq!(talk.applied(1, 0), ["replconf ack 1"]);
    talk.hear_frame(&batch(2, 1));
    assert_eq!(talk.applied(2, 0), [""; 0]);
    assert_eq!(talk.tick(6_000), ["replconf ack 2"]);
}
