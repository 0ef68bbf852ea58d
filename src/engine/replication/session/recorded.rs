//! Recorded conversations of two Kvrocks servers, with one of them replaced by ours.

use super::admission::Admissions;
use super::feed::Feed;
use super::fetch::{Fetch, FetchEvent};
use super::parse_file_names;
use super::primary::{Ask, Facts, Place, PrimarySession, names_reply, size_line};
use super::replica::{Action, Announce, Own, ReplicaSession};
use crate::engine::format::batch::Batch;
use crate::engine::format::fuzz::wire_batches;
use crate::engine::format::key::Layout;
use crate::engine::format::log_data::{LogData, parse_log_data};
use crate::engine::format::resp::{Limits, RequestParser, encode_request};
use crate::engine::format::side::History;
use crate::engine::replication::position::Position;

/// The bytes of one connection: to the master, to the replica.
type Connection = (&'static [u8], &'static [u8]);

macro_rules! connection {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../../tests/fixtures/wire/", $name, ".replica_to_master.bin")) as &[u8],
            include_bytes!(concat!("../../../../tests/fixtures/wire/", $name, ".master_to_replica.bin")) as &[u8],
        )
    };
}

/// One recording: connections whose PSYNC was refused, that listed names, that took files, that were fed.
struct Recording {
    refused: Option<Connection>,
    names: Option<Connection>,
    files: Option<Connection>,
    fed: Vec<Connection>,
    layout: Layout,
    announce_ip: bool,
    /// The id of the master.
    id: &'static str,
    end: u64,
}

fn recordings() -> Vec<Recording> {
    let recording = |id, end, fed| Recording {
        refused: None,
        names: None,
        files: None,
        fed,
        layout: Layout::Standalone,
        announce_ip: false,
        id,
        end,
    };
    vec![
        recording(
            "",
            104,
            vec![connection!("default-psync/session1/conn01"), connection!("default-psync/session2/conn01")],
        ),
        Recording {
            refused: Some(connection!("rsid-fullsync/session1/conn01")),
            names: Some(connection!("rsid-fullsync/session1/conn02")),
            files: Some(connection!("rsid-fullsync/session1/conn03")),
            ..recording(
                "UUC4GV8S6O9R9OSX",
                105,
                vec![connection!("rsid-fullsync/session1/conn04"), connection!("rsid-fullsync/session2/conn01")],
            )
        },
        Recording {
            refused: Some(connection!("rsid-announce-ip/session1/conn01")),
            names: Some(connection!("rsid-announce-ip/session1/conn02")),
            announce_ip: true,
            ..recording(
                "GRVIM03J4HEOW4CA",
                105,
                vec![connection!("rsid-announce-ip/session1/conn04"), connection!("rsid-announce-ip/session2/conn01")],
            )
        },
        Recording {
            refused: Some(connection!("rsid-many-files/session1/conn01")),
            names: Some(connection!("rsid-many-files/session1/conn02")),
            ..recording("9KD38CB3F702M49K", 45100, vec![connection!("rsid-many-files/session1/conn07")])
        },
        Recording {
            refused: Some(connection!("cluster-rsid/session1/conn01")),
            names: Some(connection!("cluster-rsid/session1/conn02")),
            files: Some(connection!("cluster-rsid/session1/conn03")),
            layout: Layout::Cluster,
            ..recording(
                "G8CSP502Z290JMM1",
                100,
                vec![connection!("cluster-rsid/session1/conn04"), connection!("cluster-rsid/session2/conn01")],
            )
        },
    ]
}

fn requests(stream: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut parser = RequestParser::new(Limits::default());
    let mut out = Vec::new();
    for byte in stream {
        parser.push(&[*byte]);
        out.extend(parser.next().unwrap());
    }
    assert!(parser.take_rest().is_empty());
    out
}

fn is_auth(request: &[Vec<u8>]) -> bool {
    request[0] == b"AUTH"
}

/// The lines before the feed, and the feed.
fn split_lines(mut stream: &[u8], lines: usize) -> (Vec<&[u8]>, &[u8]) {
    let mut out = Vec::new();
    for _ in 0..lines {
        let end = stream.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
        out.push(&stream[..end]);
        stream = &stream[end..];
    }
    (out, stream)
}

/// The files of a recorded answer to `_fetch_file`.
fn recorded_files<'a>(request: &[Vec<u8>], mut stream: &'a [u8]) -> Vec<(String, &'a [u8])> {
    let mut out = Vec::new();
    for name in parse_file_names(&request[1], 100).unwrap() {
        let (lines, rest) = split_lines(stream, 1);
        let size: usize = std::str::from_utf8(lines[0]).unwrap().trim_end().parse().unwrap();
        out.push((name, &rest[..size]));
        stream = &rest[size..];
    }
    assert!(stream.is_empty());
    out
}

/// What a Kvrocks replica said is answered byte for byte as its master answered it: the handshake, PSYNC granted and
/// refused, names, files, and the feed with its pings.
#[test]
fn our_primary() {
    let mut answered = 0;
    for recording in recordings() {
        let mut admissions = Admissions::default();
        let mut refused_port = None;
        for (to_master, to_replica) in [recording.refused, recording.names, recording.files].into_iter().flatten() {
            answered += 1;
            let requests = requests(to_master);
            let mut out = Vec::new();
            let mut session = PrimarySession::new("127.0.0.1");
            for request in &requests {
                match session.request(request, &facts(&recording, recording.end), &mut admissions) {
                    Ask::NotMine if is_auth(request) => out.extend_from_slice(b"+OK\r\n"),
                    Ask::Reply(bytes) => out.extend(bytes),
                    Ask::Locate(_) => {
                        let facts = facts(&recording, recording.end);
                        match session.located(Place::Start, &facts, &mut admissions) {
                            Ask::Reply(bytes) => out.extend(bytes),
                            other => panic!("{other:?}"),
                        }
                        refused_port = session.announced();
                    }
                    Ask::FileNames => {
                        let (lines, _) = split_lines(to_replica, requests.len());
                        let names = parse_file_names(lines.last().unwrap().trim_ascii_end(), 100).unwrap();
                        out.extend(names_reply(&names));
                    }
                    Ask::Files(names) => {
                        let (_, rest) = split_lines(to_replica, requests.len() - 1);
                        for (name, (recorded, content)) in names.iter().zip(recorded_files(request, rest)) {
                            assert_eq!(*name, recorded);
                            out.extend(size_line(content.len() as u64));
                            out.extend_from_slice(content);
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(out, to_replica);
        }
        assert_eq!(refused_port, recording.refused.map(|_| ("127.0.0.1".to_owned(), 7302)));
        for (to_master, to_replica) in &recording.fed {
            answered += 1;
            assert_eq!(answer_fed(&recording, to_master, to_replica, &mut admissions), *to_replica);
        }
    }
    assert_eq!(answered, 19);
}

fn facts(recording: &Recording, latest: u64) -> Facts {
    let history = History { layout: recording.layout, current: recording.id.to_owned(), past: Vec::new() };
    Facts {
        run_id: "0".repeat(16),
        generation: 1,
        history,
        latest,
        layout: recording.layout,
        primary: true,
        node_id: None,
        epoch: Default::default(),
        ended: None,
        members: None,
    }
}

/// The answers to a connection that was fed.
fn answer_fed(recording: &Recording, to_master: &[u8], to_replica: &[u8], admissions: &mut Admissions) -> Vec<u8> {
    let mut session = PrimarySession::new("127.0.0.1");
    let requests = requests(to_master);
    let mut out = Vec::new();
    let facts = facts(recording, recording.end);
    let mut feed = None;
    for request in &requests {
        match session.request(request, &facts, admissions) {
            Ask::NotMine if is_auth(request) => out.extend_from_slice(b"+OK\r\n"),
            Ask::Reply(bytes) => out.extend(bytes),
            Ask::Locate(_) => match session.located(Place::Start, &facts, admissions) {
                Ask::Feed { next, reply } => {
                    out.extend(reply);
                    feed = Some(Feed::new(session.peer(), next, 0));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    let mut feed = feed.unwrap();
    let (_, mut frames) = split_lines(to_replica, requests.len());
    let mut now_ms = 0;
    let mut batches = wire_batches(frames).into_iter();
    while !frames.is_empty() {
        let before = out.len();
        if frames.starts_with(b"$4\r\nping\r\n") {
            now_ms = feed.next_tick_ms();
        } else {
            let bytes = batches.next().unwrap();
            let batch = Batch::parse(bytes).unwrap();
            feed.entry(batch.sequence(), batch.last_sequence(), bytes, &mut out).unwrap();
        }
        feed.tick(now_ms, feed.sent(), &mut out);
        frames = &frames[out.len() - before..];
    }
    session.ended(feed.sent(), admissions);
    out
}

/// A replica of ours, in conversation with a recorded master.
struct Ours<'a> {
    session: ReplicaSession,
    recording: &'a Recording,
    now_ms: u64,
    piece: usize,
    asked: Vec<Vec<Vec<u8>>>,
    applied: Vec<Vec<u8>>,
    /// The other things that happened, in words.
    said: Vec<String>,
}

impl Ours<'_> {
    /// Plays a connection: recorded answers to recorded requests, a Kvrocks' own to what only ours ask.
    fn play(&mut self, to_master: &[u8], to_replica: &[u8], overlap: &[u8]) {
        let recorded = requests(to_master);
        let (lines, feed) = split_lines(to_replica, recorded.len());
        // The recorded replica says AUTH more than once.
        let first = recorded.iter().filter(|request| is_auth(request)).count().saturating_sub(1);
        let mut lines = lines[first..].iter();
        let info = format!("# Server\r\nkvrocks_mode:{}\r\nprocess_id:7\r\n", self.recording.layout.name());
        let mut out = Vec::new();
        self.session.start(0, &mut out);
        while let Some(request) = self.act(&mut out) {
            let answer = match request[0].as_slice() {
                b"replconf" if request[1] == b"pumice" => b"-ERR unknown option\r\n".to_vec(),
                b"INFO" => format!("${}\r\n{info}\r\n", info.len()).into_bytes(),
                b"CONFIG" => encode_request(&[b"repl-namespace-enabled", b"yes"]),
                b"PSYNC" => [lines.next().unwrap(), overlap, feed].concat(),
                _ => lines.next().unwrap().to_vec(),
            };
            self.asked.push(request);
            for piece in answer.chunks(self.piece) {
                self.session.receive(self.now_ms, piece, &mut out);
            }
        }
        assert!(lines.next().is_none());
    }

    /// Does the actions. Gives the request that was sent, if any.
    fn act(&mut self, out: &mut Vec<Action>) -> Option<Vec<Vec<u8>>> {
        let mut request = None;
        for action in out.drain(..) {
            match action {
                Action::Send(bytes) => request = Some(requests(&bytes).remove(0)),
                Action::Apply(bytes) => self.applied.push(bytes.to_vec()),
                Action::Latest(_) => {}
                Action::Streaming(peer) => self.said.push(format!("streaming {}", peer.name())),
                other => self.said.push(format!("{other:?}")),
            }
        }
        request
    }
}

fn last_of(batches: &[Vec<u8>]) -> Option<(u64, Vec<u8>)> {
    batches.last().map(|bytes| (Batch::parse(bytes).unwrap().sequence(), bytes.clone()))
}

/// A recorded master is understood in pieces of any size: every entry once and in order, byte for byte, by the
/// overlap as well as by the next sequence after a full sync; a refusal leads to a full sync.
#[test]
fn our_replica() {
    for recording in recordings() {
        for (piece, by_overlap) in [(1, true), (7, false), (1000, true), (1 << 20, false), (1 << 20, true)] {
            let mut applied: Vec<Vec<u8>> = Vec::new();
            for (to_master, to_replica) in recording.refused.iter().chain(&recording.fed) {
                let recorded = requests(to_master);
                let psync = recorded.last().unwrap();
                let next: u64 = std::str::from_utf8(psync.last().unwrap()).unwrap().parse().unwrap();
                let last = last_of(&applied).filter(|_| by_overlap);
                let mut overlap = Vec::new();
                if let Some((_, bytes)) = &last {
                    super::frame::append_frame(&mut overlap, bytes);
                }
                let own = Own {
                    position: Position { replication_id: recording.id.to_owned(), sequence: next - 1 },
                    layout: recording.layout,
                    admitted: last.is_none().then(|| "process 7 at , since 0".to_owned()),
                    received: None,
                    last: last.clone(),
                    run_id: "1".repeat(16),
                    node_id: None,
                    epoch: None,
                };
                let ip = recording.announce_ip.then(|| "127.0.0.1".to_owned());
                let password = recorded.iter().find(|request| is_auth(request)).map(|_| "rootpw".to_owned());
                let session = ReplicaSession::new(password, Some(Announce { port: 7302, ip }), own);
                let mut ours = Ours {
                    session,
                    recording: &recording,
                    now_ms: 0,
                    piece,
                    asked: Vec::new(),
                    applied: std::mem::take(&mut applied),
                    said: Vec::new(),
                };
                ours.play(to_master, to_replica, &overlap);
                // What is not our own way of asking is asked as the recorded replica asked.
                let ours_only = |request: &&Vec<Vec<u8>>| {
                    !(request[0] == b"INFO"
                        || request[0] == b"CONFIG"
                        || request.get(1).is_some_and(|arg| arg == b"pumice"))
                };
                let extra = recorded.iter().filter(|request| is_auth(request)).count().saturating_sub(1);
                let asked: Vec<_> = ours.asked.iter().filter(ours_only).collect();
                let (ours_psync, before) = asked.split_last().unwrap();
                assert!(before.iter().copied().eq(&recorded[extra..recorded.len() - 1]));
                let asked_for = last.as_ref().map_or(next, |(first, _)| *first);
                assert_eq!(**ours_psync, [b"PSYNC".to_vec(), asked_for.to_string().into_bytes()]);
                if recording.refused.is_some_and(|refused| refused.1 == *to_replica) {
                    assert_eq!(ours.said.len(), 1);
                    assert!(ours.said[0].starts_with("FullSync"), "{:?}", ours.said);
                } else {
                    assert_eq!(ours.said, ["streaming kvrocks"]);
                }
                applied = ours.applied;
            }
            let expected: Vec<&[u8]> = recording
                .fed
                .iter()
                .flat_map(|(to_master, to_replica)| wire_batches(split_lines(to_replica, requests(to_master).len()).1))
                .collect();
            assert!(applied.iter().eq(expected.iter().copied()));
            let last = Batch::parse(applied.last().unwrap()).unwrap();
            assert_eq!(last.last_sequence(), recording.end);
            let note = last.records().filter_map(|record| match record {
                crate::engine::format::batch::Record::LogData(note) => Some(parse_log_data(note)),
                _ => None,
            });
            if !recording.id.is_empty() {
                assert_eq!(note.last(), Some(LogData::ReplicationId(recording.id)));
            }
        }
    }
}

/// Recorded names and files are taken in pieces of any size, and asked for with the very bytes of the recorded replica.
#[test]
fn our_fetch() {
    let (mut names_taken, mut files_taken) = (0, 0);
    for recording in recordings() {
        for piece in [1, 3, 4096, 1 << 20] {
            if let Some((to_master, to_replica)) = recording.names {
                let fetch = Fetch::names(password(to_master));
                let taken = take(fetch, to_master, to_replica, piece);
                assert!(
                    ["CURRENT", "MANIFEST-000011"].iter().all(|name| taken.names.iter().any(|taken| taken == name))
                );
                let expected = if recording.id == "9KD38CB3F702M49K" { 35 } else { 4 };
                assert_eq!(taken.names.len(), expected);
                names_taken += 1;
            }
            if let Some((to_master, to_replica)) = recording.files {
                let asked = requests(to_master);
                let names = parse_file_names(&asked.last().unwrap()[1], 100).unwrap();
                let (_, rest) = split_lines(to_replica, asked.len() - 1);
                let expected = recorded_files(asked.last().unwrap(), rest);
                let fetch = Fetch::files(password(to_master), names, to_replica.len() as u64);
                let taken = take(fetch, to_master, to_replica, piece);
                assert_eq!(taken.files.len(), 4);
                assert!(taken.files.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).eq(expected));
                files_taken += 1;
            }
        }
    }
    assert_eq!((names_taken, files_taken), (16, 8));
}

fn password(to_master: &[u8]) -> Option<String> {
    requests(to_master).iter().any(|request| is_auth(request)).then(|| "rootpw".to_owned())
}

#[derive(Default)]
struct Taken {
    sent: Vec<u8>,
    names: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    ended: usize,
}

fn take(mut fetch: Fetch, to_master: &[u8], to_replica: &[u8], piece: usize) -> Taken {
    let mut taken = Taken::default();
    let mut on = |event: FetchEvent<'_>| {
        match event {
            FetchEvent::Send(bytes) => taken.sent.extend_from_slice(bytes),
            FetchEvent::Names(names) => taken.names = names,
            FetchEvent::Begin { name, .. } => taken.files.push((name.to_owned(), Vec::new())),
            FetchEvent::Data(bytes) => taken.files.last_mut().unwrap().1.extend_from_slice(bytes),
            FetchEvent::End => taken.ended += 1,
            other => panic!("{other:?}"),
        }
        Ok(())
    };
    fetch.start(&mut on).unwrap();
    for piece in to_replica.chunks(piece) {
        fetch.receive(0, piece, &mut on).unwrap();
    }
    fetch.closed().unwrap();
    assert_eq!(taken.sent, to_master);
    assert_eq!(taken.ended, taken.files.len());
    taken
}
