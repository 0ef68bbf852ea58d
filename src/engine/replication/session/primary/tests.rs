use super::*;

const A: &str = "AAAAAAAAAAAAAAAA";
const B: &str = "BBBBBBBBBBBBBBBB";
const RUN: &str = "runrunrunrunrun0";
const OUT_OF_RANGE: &str = "-ERR sequence out of range, please use fullsync";

/// A primary at 100: id A up to 50, then B.
fn facts() -> Facts {
    let mut history = History { layout: Layout::Standalone, current: A.to_owned(), past: Vec::new() };
    history.change(B, 50);
    Facts {
        run_id: RUN.to_owned(),
        generation: 3,
        history,
        latest: 100,
        layout: Layout::Standalone,
        primary: true,
        node_id: None,
        epoch: None,
        ended: None,
        members: None,
    }
}

struct Talk {
    session: PrimarySession,
    admissions: Admissions,
    place: Place,
}

impl Talk {
    fn new() -> Talk {
        Talk { session: PrimarySession::new("10.0.0.1"), admissions: Admissions::default(), place: Place::Start }
    }

    /// Another connection from the same place.
    fn again(self) -> Talk {
        Talk { session: PrimarySession::new("10.0.0.1"), ..self }
    }

    fn ask(&mut self, words: &str) -> Ask {
        let args: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(
            PrimarySession::answers(&args[0]),
            self.session.request(&args, &facts(), &mut self.admissions) != Ask::NotMine
        );
        match self.session.request(&args, &facts(), &mut self.admissions) {
            Ask::Locate(_) => self.session.located(self.place, &facts(), &mut self.admissions),
            ask => ask,
        }
    }

    /// The reply to a request that gets one, without its line end; a feed as its first sequence.
    fn say(&mut self, words: &str) -> String {
        match self.ask(words) {
            Ask::Reply(bytes) => String::from_utf8(bytes).unwrap().trim_end().to_owned(),
            Ask::Feed { next, reply } => {
                assert_eq!(reply, b"+OK\r\n");
                format!("feed from {next}")
            }
            other => panic!("{words}: {other:?}"),
        }
    }

    fn announced(port: u16) -> Talk {
        let mut talk = Talk::new();
        assert_eq!(talk.say(&format!("replconf listening-port {port}")), "+OK");
        talk
    }

    fn pumice() -> Talk {
        let mut talk = Talk::new();
        talk.say("replconf pumice 1 layout standalone run 0therrunning0one");
        talk
    }
}

/// Requests are answered in Kvrocks' words.
#[test]
fn words() {
    let mut talk = Talk::new();
    for (request, reply) in [
        ("_db_name", "change.me.db"),
        ("_DB_NAME x", "-ERR wrong number of arguments"),
        ("_fetch_meta x", "-ERR wrong number of arguments"),
        ("_fetch_file", "-ERR wrong number of arguments"),
        ("replconf", "-ERR wrong number of arguments"),
        ("replconf listening-port", "-ERR wrong number of arguments"),
        ("replconf listening-port 1 x", "-ERR wrong number of arguments"),
        ("replconf version 3", "-ERR unknown option"),
        ("replconf ack 3", "-ERR unknown option"),
        ("replconf listening-port 0", "-ERR listening-port should be number or out of range"),
        ("replconf listening-port 65535", "-ERR listening-port should be number or out of range"),
        ("replconf listening-port x", "-ERR listening-port should be number or out of range"),
        ("replconf ip-address ", "-ERR ip-address should not be empty"),
        ("PSYNC", "-ERR wrong number of arguments"),
        ("PSYNC a b c", "-ERR wrong number of arguments"),
        ("PSYNC -1", "-ERR value is not an unsigned long long or out of range"),
        ("PSYNC 18446744073709551616", "-ERR value is not an unsigned long long or out of range"),
        ("PSYNC short 7", "-ERR Wrong replication id length"),
        ("PSYNC 0", OUT_OF_RANGE),
        ("PSYNC 18446744073709551615", OUT_OF_RANGE),
        ("PUMICE", "-ERR PUMICE subcommand must be one of CHECKPOINT, CHECKSUMS, FILES, RANGE"),
        ("PUMICE FILES x", "-ERR a checkpoint id and a run id have 16 letters and digits"),
        ("PUMICE RANGE x", "-ERR wrong number of arguments"),
    ] {
        assert_eq!(talk.say(request), reply, "{request}");
    }
    assert_eq!(talk.session.announced(), None);
    assert_eq!(talk.say("REPLCONF Listening-Port 7302 IP-Address replica.example"), "+OK");
    assert_eq!(talk.session.announced(), Some(("replica.example".to_owned(), 7302)));
    assert_eq!(Talk::announced(7302).session.announced(), Some(("10.0.0.1".to_owned(), 7302)));
    assert_eq!(talk.ask("GET key"), Ask::NotMine);
    assert_eq!(talk.session.request(&[], &facts(), &mut Admissions::default()), Ask::NotMine);
    assert!(talk.session.located(Place::Start, &facts(), &mut talk.admissions) != Ask::NotMine);
}

/// By id: the position before must be on the history, the place at the start of an entry.
#[test]
fn psync_by_id() {
    let wrong = "-ERR wrong replication id of the last log";
    for (id, next, place, reply) in [
        (B, 101, Place::End, "feed from 101"),
        (B, 60, Place::Start, "feed from 60"),
        (B, 52, Place::Start, "feed from 52"),
        (A, 51, Place::Start, "feed from 51"),
        (A, 7, Place::Start, "feed from 7"),
        (A, 52, Place::Start, wrong),
        (B, 51, Place::Start, wrong),
        ("CCCCCCCCCCCCCCCC", 60, Place::Start, wrong),
        (B, 60, Place::Inside, OUT_OF_RANGE),
        (B, 60, Place::Gone, OUT_OF_RANGE),
        (B, 200, Place::Ahead, OUT_OF_RANGE),
    ] {
        let mut talk = Talk::announced(1);
        talk.place = place;
        assert_eq!(talk.say(&format!("PSYNC {id} {next}")), reply, "{id} {next}");
        let mut talk = Talk::pumice();
        talk.place = place;
        let said = talk.say(&format!("psync {id} {next}"));
        let expected = match (place, reply) {
            (Place::Gone, _) => OUT_OF_RANGE,
            (_, fed) if fed.starts_with("feed") => fed,
            _ => "-DIVERGED",
        };
        assert!(said.starts_with(expected), "{id} {next}: {said}");
    }
}

/// By number alone: only from the beginning, or where this process has brought the replica itself.
#[test]
fn psync_by_number() {
    let mut talk = Talk::announced(1);
    assert_eq!(talk.say("PSYNC 1"), "feed from 1");
    let mut talk = Talk::announced(1);
    talk.place = Place::Gone;
    assert_eq!(talk.say("PSYNC 1"), OUT_OF_RANGE);
    // Told to full-sync, it lists and takes a checkpoint up to 80, and comes back from there.
    let mut talk = Talk::announced(1);
    assert_eq!(talk.say("PSYNC 81"), OUT_OF_RANGE);
    let mut talk = talk.again();
    assert_eq!(talk.ask("_fetch_meta"), Ask::FileNames);
    talk.session.listed(80, &mut talk.admissions);
    let mut talk = talk.again();
    let names = ["MANIFEST-000001", "000002.sst"].map(str::to_owned).to_vec();
    assert_eq!(talk.ask("_fetch_file MANIFEST-000001,000002.sst"), Ask::Files(names));
    talk.session.taken(&mut talk.admissions);
    let comes_back = |talk: Talk, port: u16, next: u64| {
        let mut talk = talk.again();
        talk.say(&format!("replconf listening-port {port}"));
        let said = talk.say(&format!("PSYNC {next}"));
        (talk, said)
    };
    let before = |talk: &Talk| talk.admissions.admits(&("10.0.0.1".to_owned(), 1), 81);
    assert!(!before(&talk), "without CURRENT nothing is complete");
    talk.ask("_fetch_file CURRENT");
    talk.session.taken(&mut talk.admissions);
    assert!(before(&talk));
    let (talk, said) = comes_back(talk, 2, 81);
    assert_eq!(said, OUT_OF_RANGE, "another address");
    let (talk, said) = comes_back(talk, 1, 81);
    assert_eq!(said, "feed from 81");
    let (mut talk, said) = comes_back(talk, 1, 70);
    assert_eq!(said, "feed from 70");
    talk.session.ended(90, &mut talk.admissions);
    let (talk, said) = comes_back(talk, 1, 92);
    assert_eq!(said, OUT_OF_RANGE, "an entry of its own");
    let (_, said) = comes_back(talk, 1, 91);
    assert_eq!(said, OUT_OF_RANGE, "once told to full-sync, it has to");
    let mut unnamed = Talk::new();
    assert_eq!(unnamed.say("PSYNC 81"), OUT_OF_RANGE);
}

/// A Pumice hears who the primary is, and what cannot be replicated is refused at PSYNC too.
#[test]
fn a_pumice() {
    let mut talk = Talk::new();
    assert_eq!(talk.session.peer(), Peer::Kvrocks);
    let said = talk.say("replconf pumice 1 layout standalone run 0therrunning0one colour grey");
    let words: Vec<&str> = said.split("\r\n").filter(|line| !line.starts_with(['$', '*'])).collect();
    assert_eq!(words, ["pumice", "1", "layout", "standalone", "run", RUN, "generation", "3", "id", B, "latest", "100"]);
    assert_eq!(talk.session.peer(), Peer::Pumice);
    assert_eq!(talk.say("PSYNC 81"), "feed from 81", "a Pumice without an id compares by itself");
    for (hello, fault) in [
        (format!("layout standalone run {RUN}"), "-REFUSED can't replicate itself"),
        ("layout cluster run 0therrunning0one".to_owned(), "-REFUSED the replica has the layout cluster"),
    ] {
        let mut talk = Talk::new();
        assert!(talk.say(&format!("replconf pumice 1 {hello}")).starts_with("*12"));
        let said = talk.say(&format!("PSYNC {B} 101"));
        assert!(said.starts_with(fault), "{said}");
    }
    assert!(Talk::new().say("replconf pumice 1").starts_with("-REFUSED handshake"));
}

/// Only names of checkpoint files, each once, and ranges that make sense.
#[test]
fn files() {
    let mut talk = Talk::new();
    for names in ["../../etc/passwd", "CURRENT,", "", "CURRENT,CURRENT", "CURRENT,/1.sst", "LOCK"] {
        assert!(talk.say(&format!("_fetch_file {names}")).starts_with("-ERR "), "{names}");
    }
    let many = vec!["1.sst"; MAX_FILES + 1].join(",");
    assert!(talk.say(&format!("_fetch_file {many}")).contains("got more than 100000 names"));
    assert_eq!(talk.ask("PUMICE checkpoint"), Ask::Checkpoint(None));
    assert_eq!(talk.ask(&format!("PUMICE checksums {A}")), Ask::Checkpoint(Some(A.to_owned())));
    assert_eq!(talk.ask(&format!("PUMICE files {RUN}")), Ask::List(RUN.to_owned()));
    assert_eq!(talk.session.awaited_as(None), "10.0.0.1");
    assert_eq!(Talk::pumice().session.awaited_as(None), "0therrunning0one");
    assert_eq!(
        talk.ask(&format!("pumice range {A} 000001.sst 77 9")),
        Ask::Range { checkpoint: A.to_owned(), name: "000001.sst".to_owned(), offset: 77, length: 9 }
    );
    for range in [
        "../../../../../x 1.sst 0 1",
        "AAAAAAAAAAAAAAAA ../1.sst 0 1",
        "AAAAAAAAAAAAAAAA 1.sst -1 1",
        "AAAAAAAAAAAAAAAA 1.sst 0 -1",
    ] {
        assert!(talk.say(&format!("PUMICE RANGE {range}")).starts_with("-ERR "), "{range}");
    }
    assert_eq!(names_reply(&["CURRENT".to_owned(), "1.sst".to_owned()]), b"CURRENT,1.sst\r\n");
    assert_eq!(size_line(35702), b"35702\r\n");
    assert_eq!(checkpoint_reply(A, b"xy"), b"*2\r\n$16\r\nAAAAAAAAAAAAAAAA\r\n$2\r\nxy\r\n");
}
