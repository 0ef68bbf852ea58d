//! Connections that share a thread, and what each of them may ask without harm to the others.

use std::fs;

use pumice::{Engine, Options, ServeOptions};

use super::support::{self, Random, quick_dir, run, said, socket_dir, wait_until};
use super::{Client, Served, request};

/// The threads of this process that serve one connection each.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    let names: Vec<String> = names.collect();
    assert!(names.iter().any(|name| name.starts_with("pumice-accept")), "{names:?}");
    names.iter().filter(|name| name.starts_with("pumice-client")).count()
}

/// A connection has no thread while it asks for what takes a moment, and one of its own from when it asks for more. One that
/// must say who it is has one until it has.
#[test]
fn threads_are_few() {
    let dir = quick_dir();
    let output = run(&mut support::process("threads", &[dir.path()]));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
}

/// What [`threads_are_few`] does, in a process that has no other listener.
pub fn count_threads(engine: &Engine) {
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut clients: Vec<Client> = (0..100).map(|_| Client::of(listener.address())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&["SET", &format!("k{number}"), "x"]), "+OK");
    }
    assert_eq!(threads(), 0);
    assert_eq!(clients[7].ask(&["SCAN", "0", "MATCH", "k99", "COUNT", "1000"]), "[\"0\" [\"k99\"]]");
    assert_eq!(clients[8].ask(&["MULTI"]), "+OK");
    assert_eq!(threads(), 2);
    assert_eq!(clients[7].ask(&["GET", "k1"]), "\"x\"");
    assert_eq!(clients[8].ask(&["EXEC"]), "[]");
    assert_eq!(clients[9].ask(&["CLIENT", "LIST"]).matches("id=").count(), 100);
    clients.truncate(7);
    wait_until("the threads end", || threads() == 0);
    drop(listener);
    assert!(clients.iter_mut().all(Client::is_closed));

    let options = ServeOptions { password: Some("secret".to_owned()), ..Default::default() };
    let listener = engine.serve("127.0.0.1:0", &options).unwrap();
    let mut strangers: Vec<Client> = (0..3).map(|_| Client::of(listener.address())).collect();
    assert!(strangers[0].ask(&["GET", "a"]).starts_with("-NOAUTH"));
    wait_until("each has a thread", || threads() == 3);
    strangers.iter_mut().for_each(|stranger| assert_eq!(stranger.ask(&["AUTH", "secret"]), "+OK"));
    wait_until("none has one any more", || threads() == 0);
    assert_eq!(strangers[0].ask(&["GET", "k1"]), "\"x\"");
    // Who is nobody again has the time of a stranger.
    assert_eq!(strangers[1].ask(&["RESET"]), "+RESET");
    assert!(strangers[1].ask(&["GET", "a"]).starts_with("-NOAUTH"));
    assert_eq!(threads(), 1);
    assert_eq!(strangers[1].ask(&["AUTH", "secret"]), "+OK");
    wait_until("it has none any more", || threads() == 0);
    // Nor does one that asks for more in the same breath share a thread.
    let mut listening = Client::of(listener.address());
    listening.send(&[request(&["AUTH", "secret"]), request(&["SUBSCRIBE", "c"])].concat());
    assert_eq!([listening.reply(), listening.reply()], ["+OK", "[\"subscribe\" \"c\" :1]"]);
    assert_eq!(strangers[0].ask(&["PUBLISH", "c", "m"]), ":1");
    assert_eq!(listening.reply(), "[\"message\" \"c\" \"m\"]");
    wait_until("both have one", || threads() == 2);
    drop(listener);

    engine.close().unwrap();
    let synced = Engine::open(engine.path(), &Options { sync: true, ..Options::default() }).unwrap();
    let listener = synced.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut clients: Vec<Client> = (0..5).map(|_| Client::of(listener.address())).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask(&["SET", "a", "1"]), "+OK"));
    // Their writes wait for the disk together.
    assert_eq!(threads(), 5);
}

/// Writes that several clients sent at about the same time become one entry, and each has its own replies.
#[test]
fn written_together() {
    const CLIENTS: usize = 32;
    let served = Served::open();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| served.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask(&["PING"]), "+PONG"));
    for turn in 0..100 {
        let mut log = served.engine.log(Some(&served.engine.position().unwrap())).unwrap();
        for (number, client) in clients.iter_mut().enumerate() {
            let (own, number) = (format!("own{turn}-{number}"), number.to_string());
            let all: Vec<u8> = [["SET", &own, &number], ["RPUSH", &own, "x"], ["INCRBY", &own, "1000"]]
                .iter()
                .flat_map(|words| request(words))
                .collect();
            client.send(&all);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let replies = [client.reply(), client.reply(), client.reply()];
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
            assert_eq!(replies, ["+OK", wrong, &format!(":{}", 1000 + number)]);
        }
        let entries = std::iter::from_fn(|| log.next_entry(None).unwrap()).count();
        if entries < CLIENTS {
            return;
        }
    }
    panic!("no entry had the writes of two");
}

/// What a namespace's token has written is in that namespace, whoever writes at the same time.
#[test]
fn each_in_its_own() {
    let served = Served::with_password();
    let names: Vec<String> = (0..4).map(|number| format!("n{number}")).collect();
    for name in &names {
        served.engine.create_namespace(name, Some(&format!("token-{name}"))).unwrap();
    }
    let mut clients: Vec<(usize, Client)> =
        (0..16).map(|number| (number % 4, served.client_with(&format!("token-n{}", number % 4)))).collect();
    for turn in 0..50 {
        for (which, client) in &mut clients {
            let all: Vec<u8> = (0..3)
                .flat_map(|_| request(&["HINCRBY", "h", &format!("turn{turn}"), &(*which + 1).to_string()]))
                .collect();
            client.send(&all);
        }
        let mut sums = [[0; 12]; 4];
        let mut seen = [0; 4];
        for (which, client) in &mut clients {
            for _ in 0..3 {
                sums[*which][seen[*which]] = client.reply()[1..].parse().unwrap();
                seen[*which] += 1;
            }
        }
        for (which, sums) in sums.iter_mut().enumerate() {
            sums.sort_unstable();
            assert!(sums.iter().enumerate().all(|(at, &sum)| sum == (at + 1) * (which + 1)), "{which}: {sums:?}");
        }
    }
    // The right ends with the token, for who shares a thread, too.
    served.engine.namespace("n1").unwrap().set_token("other").unwrap();
    for (which, client) in &mut clients {
        let reply = client.ask(&["HLEN", "h"]);
        assert!(if *which == 1 { reply.starts_with("-NOAUTH") } else { reply == ":50" }, "{which}: {reply}");
    }
    support::assert_sound(&served.engine);
}

/// Who reads none of its replies holds up nobody, and gets all of them once it reads.
#[test]
fn a_slow_reader() {
    const TIMES: usize = 300;
    let served = Served::open();
    let value = "v".repeat(100_000);
    let mut slow: Vec<Client> = (0..8).map(|_| served.client()).collect();
    assert_eq!(slow[0].ask(&["SET", "long", &value]), "+OK");
    let lines: Vec<u8> = (0..TIMES)
        .flat_map(|number| [request(&["GET", "long"]), request(&["SET", "number", &number.to_string()])].concat())
        .collect();
    slow.iter_mut().for_each(|client| client.send(&lines));
    // More than a Unix socket takes, and less than is written at once.
    const FEW: usize = 5;
    let dir = socket_dir();
    let path = format!("unix:{}", dir.path().join("socket").display());
    let listener = served.engine.serve(&path, &ServeOptions::default()).unwrap();
    let mut little = Client::of(listener.address());
    little.send(&request(&["GET", "long"]).repeat(FEW));
    let mut quick: Vec<Client> = (0..8).map(|_| served.client()).collect();
    for number in 0..50 {
        for client in &mut quick {
            assert_eq!(client.ask(&["ECHO", &number.to_string()]), format!("\"{number}\""));
        }
    }
    (0..FEW).for_each(|_| assert_eq!(little.reply().len(), value.len() + 2));
    for client in &mut slow {
        for _ in 0..TIMES {
            assert_eq!((client.reply().len(), client.reply().as_str()), (value.len() + 2, "+OK"));
        }
    }
}

/// Who waits holds up none of those that share a thread.
#[test]
fn who_waits() {
    const WAITING: usize = 16;
    let served = Served::open();
    let mut waiting: Vec<Client> = (0..WAITING).map(|_| served.client()).collect();
    let mut quick: Vec<Client> = (0..8).map(|_| served.client()).collect();
    for client in &mut waiting {
        assert_eq!(client.ask(&["PING"]), "+PONG");
        client.send(&request(&["BLPOP", "l", "0"]));
    }
    wait_until("all wait", || quick[0].ask(&["INFO", "clients"]).contains(&format!("blocked_clients:{WAITING}\\r")));
    for number in 0..WAITING {
        let client = &mut quick[number % 8];
        assert_eq!(client.ask(&["RPUSH", "l", &number.to_string()]), ":1");
    }
    // They got in line on threads of their own, in any order.
    let mut given: Vec<String> = waiting.iter_mut().map(Client::reply).collect();
    let mut expected: Vec<String> = (0..WAITING).map(|number| format!("[\"l\" \"{number}\"]")).collect();
    given.sort();
    expected.sort();
    assert_eq!(given, expected);
}

/// Random requests of many clients, cut at random places, with some between that need a thread of their own: each client
/// has the replies that it would have alone.
#[test]
fn as_if_alone() {
    const CLIENTS: usize = 24;
    let served = Served::open();
    let seed = support::redis::seed();
    let asked: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut client = served.client();
                scope.spawn(move || {
                    let mut random = Random(seed ^ (number as u64) << 32);
                    let mut model = Model { number, ..Model::default() };
                    let mut asked = 0;
                    for _ in 0..60 {
                        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
                        for _ in 0..1 + random.below(20) {
                            model.ask(&mut random, &mut bytes, &mut expected);
                        }
                        let cut = random.below(bytes.len());
                        client.send(&bytes[..cut]);
                        if random.below(2) == 0 {
                            std::thread::yield_now();
                        }
                        client.send(&bytes[cut..]);
                        asked += expected.len();
                        for expected in expected {
                            assert_eq!(client.reply(), expected, "seed {seed}, client {number}");
                        }
                    }
                    asked
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(asked > CLIENTS * 60, "{asked}");
    support::assert_sound(&served.engine);
}

/// What one client knows of its own keys.
#[derive(Default)]
struct Model {
    number: usize,
    count: i64,
    list: Vec<String>,
}

impl Model {
    fn ask(&mut self, random: &mut Random, bytes: &mut Vec<u8>, expected: &mut Vec<String>) {
        let (count, list) = (format!("count{}", self.number), format!("list{}", self.number));
        let mut say = |words: &[&str], reply: String| {
            bytes.extend(request(words));
            expected.push(reply);
        };
        let shown = |list: &[String]| format!("[{}]", list.join(" "));
        match random.below(40) {
            0..10 => {
                self.count += 1;
                say(&["INCR", &count], format!(":{}", self.count));
            }
            10..20 => {
                let value = random.below(1000).to_string();
                self.list.push(format!("\"{value}\""));
                say(&["RPUSH", &list, &value], format!(":{}", self.list.len()));
            }
            20..25 => say(&["LRANGE", &list, "0", "-1"], shown(&self.list)),
            25..30 => {
                let last = self.list.len().min(5);
                say(&["LRANGE", &list, "0", "4"], shown(&self.list[..last]));
            }
            30..34 if self.count > 0 => {
                let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
                say(&["LPUSH", &count, "x"], wrong.to_owned());
            }
            30..34 => say(&["EXISTS", &count], ":0".to_owned()),
            34..36 => {
                let reply = if self.list.is_empty() { "nil".to_owned() } else { self.list.remove(0) };
                say(&["LPOP", &list], reply);
            }
            36 => {
                self.count += 2;
                say(&["MULTI"], "+OK".to_owned());
                say(&["INCRBY", &count, "2"], "+QUEUED".to_owned());
                say(&["EXEC"], format!("[:{}]", self.count));
            }
            37 => say(&["NOPE"], "-ERR unknown command `NOPE`, with args beginning with: ".to_owned()),
            38 => say(&["GET"], "-ERR wrong number of arguments".to_owned()),
            _ => say(&["PING"], "+PONG".to_owned()),
        }
    }
}
