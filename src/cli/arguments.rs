//! Arguments into calls.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::tls::TlsFiles;
use crate::{Compression, ConvertOptions, Depth, TlsClient, TlsServer};

/// What was asked for.
pub enum Asked {
    /// A text: help, or the version.
    Text(String),
    /// Work.
    Run(Call),
}

/// A command, and how its result is to be written.
pub struct Call {
    pub command: Command,
    pub json: bool,
}

pub enum Command {
    Inspect(Inspect),
    Checkpoint { directory: PathBuf, target: PathBuf },
    Apply { directory: PathBuf, checkpoint: PathBuf, verify: bool },
    Release { directory: PathBuf },
    Convert { source: PathBuf, target: PathBuf, options: ConvertOptions },
    Serve(Serve),
    Follow(Follow),
}

pub struct Serve {
    pub directory: PathBuf,
    pub listen: String,
    pub password_file: Option<PathBuf>,
    pub tls: Option<TlsServer>,
}

pub struct Follow {
    pub directory: PathBuf,
    pub host: String,
    pub port: u16,
    pub password_file: Option<PathBuf>,
    pub announce_port: u16,
    pub tls: Option<TlsClient>,
    /// Whether to end as soon as the primary's data is here.
    pub once: bool,
    /// Whether a primary may give up its data.
    pub give_up: bool,
}

pub struct Inspect {
    pub directory: PathBuf,
    /// Whether keys are not counted.
    pub brief: bool,
    pub verify: Option<Depth>,
}

/// A command as its users see it.
struct Page {
    name: &'static str,
    /// What is typed behind the name: places in capitals, then options.
    synopsis: &'static str,
    about: &'static str,
    details: &'static str,
}

/// Where Kvrocks listens too.
const LISTEN: &str = "127.0.0.1:6666";

const PAGES: &[Page] = &[
    Page {
        name: "serve",
        synopsis: "DIR [--listen ADDRESS] [--password-file FILE] [--tls-cert FILE --tls-key FILE] [--json]",
        about: "Serve a data directory to Redis clients and to replicas",
        details: "Makes DIR where it is missing. A replica goes on following its primary meanwhile. SIGINT, SIGTERM and \
SIGHUP end it cleanly.\n\n  \
--listen ADDRESS    HOST:PORT, port 0 for a free one, or unix:/path (127.0.0.1:6666)\n  \
--password-file FILE what clients and replicas must say first, the file's first line; or the environment's \
PUMICE_PASSWORD. Without one, whoever reaches the address may do everything\n  \
--tls-cert FILE     speak TLS with every connection, with this certificate in PEM and those between it and its CA\n  \
--tls-key FILE      its key\n  \
--tls-client-ca FILE let in only who shows a certificate signed by this CA\n  \
--tls-peer-ca FILE  REPLICAOF reaches other nodes over TLS: their certificates must be signed by this CA\n  \
--json              one JSON document with the address as soon as it listens",
    },
    Page {
        name: "follow",
        synopsis: "DIR HOST:PORT [--password-file FILE] [--tls-ca FILE] [--once] [--give-up] [--json]",
        about: "Make a data directory a replica of a Kvrocks or a Pumice",
        details: "Makes DIR where it is missing, brings the primary's data or goes on from where it stands, and shows how it \
goes until SIGINT, SIGTERM or SIGHUP ends it cleanly. It is kept in DIR whom it follows: `pumice serve DIR`, and a \
program that opens it, goes on.\n\n  \
--password-file FILE the primary's password, the file's first line; or the environment's PUMICE_PASSWORD\n  \
--tls-ca FILE       reach the primary over TLS: its certificate must be signed by this CA, in PEM, and name HOST\n  \
--tls-cert FILE     our own certificate, for a primary that asks for one\n  \
--tls-key FILE      its key\n  \
--tls-server-name NAME the name that the primary's certificate must bear in place of HOST\n  \
--announce-port PORT the port under which others can reach this replica\n  \
--once              end as soon as the primary's data is here\n  \
--give-up           also when DIR is a primary itself: what it has and the other does not is given up\n  \
--json              one JSON document at the end",
    },
    Page {
        name: "inspect",
        synopsis: "DIR [--brief] [--verify [quick|checksums|records]] [--json]",
        about: "Show what a data directory holds",
        details: "Opens the directory read-only, which changes nothing in it, and shows its role, layout, position, log and \
files, and for each namespace, registered or not, the keys of every type and their bytes before compression, which \
reads every record once.\n\n  \
--brief             count no keys: at once, whatever the size\n  \
--verify [DEPTH]    compare what must be equal, and exit with 1 when something is not: quick (registry, link, \
history, log), checksums (and every block), records (and every record; the default)\n  \
--json              one JSON document instead of text",
    },
    Page {
        name: "checkpoint",
        synopsis: "DIR TARGET [--json]",
        about: "Make a checkpoint of a data directory",
        details: "TARGET must not exist. It gets hard links of the table files where the file system allows, copies of the \
rest, and a checksum for every file. DIR must not be open elsewhere.",
    },
    Page {
        name: "apply",
        synopsis: "DIR CHECKPOINT [--verify] [--json]",
        about: "Replace a data directory's dataset with a checkpoint",
        details: "CHECKPOINT is a folder made by `pumice checkpoint` or create_checkpoint(), or the backup or db folder of a \
Kvrocks; it is only read. DIR is made where it is missing, and must not be open elsewhere. Its old dataset is replaced \
whole, namespaces included, or not at all.\n\n  \
--verify            compare all data with RocksDB's own checksums first: for checkpoints of a Kvrocks",
    },
    Page {
        name: "release",
        synopsis: "DIR [--json]",
        about: "Make a data directory a plain Kvrocks directory",
        details: "Makes DIR/db a folder again and removes Pumice's own files, for handing the directory over for good. DIR \
must not be open elsewhere. Opened by Pumice, it is adopted anew.",
    },
    Page {
        name: "convert",
        synopsis: "SOURCE TARGET --to cluster|standalone [--namespace NAME] [--compression CODEC] [--json]",
        about: "Convert a data directory to the other key layout",
        details: "Makes the new data directory TARGET with the keys of SOURCE, of every type, in the layout of a Kvrocks \
cluster (with a slot in every key) or of a standalone Kvrocks. SOURCE is only read. TARGET is there whole or not at \
all. For a Kvrocks, `pumice release TARGET` then.\n\n  \
--to LAYOUT         cluster or standalone\n  \
--namespace NAME    to cluster, which has no namespaces: the one to take; to standalone: the one to make and put all \
keys into (the default one)\n  \
--compression CODEC none, snappy, zlib, lz4 or zstd (none)",
    },
];

const END: &str = "Progress goes to standard error: a bar on a terminal, plain lines elsewhere. Exit status: 0; 1 for an \
error or findings; 2 for wrong arguments; 128 and the number of a signal that ended it.";

/// What the arguments ask for, or what is wrong with them and what to type.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let first = parser.next().map_err(|error| format!("{error}; type: pumice --help"))?;
    match first {
        None => Err(format!("a command is missing; type one of: {}", names())),
        Some(Short('h') | Long("help")) => Ok(Asked::Text(overview())),
        Some(Short('V') | Long("version")) => Ok(Asked::Text(format!("pumice {}\n", env!("CARGO_PKG_VERSION")))),
        Some(Value(name)) if name == "help" => match parser.next() {
            Ok(Some(Value(name))) => page(&name).map(|page| Asked::Text(help(page))),
            _ => Ok(Asked::Text(overview())),
        },
        Some(Value(name)) => {
            let page = page(&name)?;
            command(page, &mut parser)
                .map_err(|message| format!("{}: {message}; type: pumice {} {}", page.name, page.name, page.synopsis))
        }
        Some(other) => Err(format!("{}; type: pumice --help", other.unexpected())),
    }
}

fn page(name: &OsString) -> Result<&'static Page, String> {
    PAGES
        .iter()
        .find(|page| name == page.name)
        .ok_or_else(|| format!("command {name:?}: there is none of that name; type one of: {}", names()))
}

fn names() -> String {
    let names: Vec<String> = PAGES.iter().map(|page| format!("pumice {}", page.name)).collect();
    names.join(", ")
}

/// What may stand behind a command's name.
#[derive(Default)]
struct Given {
    places: Vec<PathBuf>,
    json: bool,
    brief: bool,
    verify: Option<Depth>,
    cluster: Option<bool>,
    namespace: Option<Vec<u8>>,
    compression: Option<Compression>,
    listen: Option<String>,
    password_file: Option<PathBuf>,
    tls: TlsFiles,
    announce_port: u16,
    once: bool,
    give_up: bool,
}

fn command(page: &Page, parser: &mut lexopt::Parser) -> Result<Asked, String> {
    let of = |name: &str| page.name == name;
    let places: Vec<&str> = page.synopsis.split(' ').take_while(|word| !word.starts_with(['[', '-'])).collect();
    let mut given = Given::default();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Text(help(page))),
            Long("json") => given.json = true,
            Long("brief") if of("inspect") => given.brief = true,
            Long("verify") if of("inspect") => given.verify = Some(depth(parser)?),
            Long("verify") if of("apply") => given.verify = Some(Depth::Checksums),
            Long("to") if of("convert") => given.cluster = Some(choice("--to", parser, &LAYOUTS)?),
            Long("namespace") if of("convert") => {
                given.namespace = Some(value(parser)?.into_vec());
            }
            Long("compression") if of("convert") => {
                given.compression = Some(choice("--compression", parser, &CODECS)?);
            }
            Long("listen") if of("serve") => given.listen = Some(listen(parser)?),
            Long("password-file") if of("serve") || of("follow") => given.password_file = Some(value(parser)?.into()),
            Long("tls-cert") if of("serve") || of("follow") => given.tls.certificate = Some(value(parser)?.into()),
            Long("tls-key") if of("serve") || of("follow") => given.tls.key = Some(value(parser)?.into()),
            Long("tls-client-ca") if of("serve") => given.tls.client_ca = Some(value(parser)?.into()),
            Long("tls-peer-ca") if of("serve") => given.tls.peer_ca = Some(value(parser)?.into()),
            Long("tls-ca") if of("follow") => given.tls.ca = Some(value(parser)?.into()),
            Long("tls-server-name") if of("follow") => {
                given.tls.server_name = Some(value(parser)?.string().map_err(|e| e.to_string())?);
            }
            Long("announce-port") if of("follow") => {
                let port = value(parser)?;
                let parsed = port.to_str().and_then(|port| port.parse().ok());
                given.announce_port =
                    parsed.ok_or_else(|| format!("--announce-port: got {port:?}, expected 0 to 65535"))?;
            }
            Long("once") if of("follow") => given.once = true,
            Long("give-up") if of("follow") => given.give_up = true,
            Value(place) if given.places.len() < places.len() => given.places.push(place.into()),
            Value(more) => return Err(format!("argument {more:?}: expected nothing behind {}", places.join(" "))),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if let Some(missing) = places.get(given.places.len()) {
        return Err(format!("{missing} is missing"));
    }
    let mut places = given.places.into_iter();
    let mut next = || places.next().unwrap_or_default();
    let command = match page.name {
        "inspect" => Command::Inspect(Inspect { directory: next(), brief: given.brief, verify: given.verify }),
        "checkpoint" => Command::Checkpoint { directory: next(), target: next() },
        "apply" => Command::Apply { directory: next(), checkpoint: next(), verify: given.verify.is_some() },
        "release" => Command::Release { directory: next() },
        "serve" => {
            let (listen, tls) = (given.listen.unwrap_or_else(|| LISTEN.to_owned()), given.tls.server()?);
            if tls.is_some() && listen.starts_with("unix:") {
                return Err(format!("--listen: got {listen:?} and TLS, expected HOST:PORT with it"));
            }
            Command::Serve(Serve { directory: next(), listen, password_file: given.password_file, tls })
        }
        "follow" => {
            let (directory, (host, port)) = (next(), address(next().as_os_str())?);
            Command::Follow(Follow {
                directory,
                host,
                port,
                password_file: given.password_file,
                announce_port: given.announce_port,
                tls: given.tls.client()?,
                once: given.once,
                give_up: given.give_up,
            })
        }
        _ => Command::Convert {
            source: next(),
            target: next(),
            options: ConvertOptions {
                cluster: given.cluster.ok_or("--to is missing")?,
                namespace: given.namespace,
                compression: given.compression.unwrap_or_default(),
                ..Default::default()
            },
        },
    };
    Ok(Asked::Run(Call { command, json: given.json }))
}

const LAYOUTS: [(&str, bool); 2] = [("cluster", true), ("standalone", false)];
const DEPTHS: [(&str, Depth); 3] =
    [("quick", Depth::Quick), ("checksums", Depth::Checksums), ("records", Depth::Records)];
const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("snappy", Compression::Snappy),
    ("zlib", Compression::Zlib),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

fn named<T: Copy>(choices: &[(&str, T)], name: &std::ffi::OsStr) -> Option<T> {
    choices.iter().find(|(known, _)| name == *known).map(|(_, choice)| *choice)
}

/// The name of a depth, as it is typed.
pub fn depth_name(depth: Depth) -> &'static str {
    DEPTHS.iter().find(|(_, known)| *known == depth).map_or("", |(name, _)| name)
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

/// Host and port of `HOST:PORT`, where the host may be an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = if host.contains(':') { inner? } else { host };
    let port = port.parse().ok()?;
    (!host.is_empty() && !host.contains(['[', ']'])).then(|| (host.to_owned(), port))
}

/// Where a primary is.
fn address(text: &std::ffi::OsStr) -> Result<(String, u16), String> {
    let parsed = text.to_str().and_then(host_and_port).filter(|(_, port)| *port != 0);
    parsed.ok_or_else(|| format!("{text:?}: expected HOST:PORT, as 127.0.0.1:6666 or [::1]:6666"))
}

/// The value behind `--listen`: `HOST:PORT`, or `unix:` and a path.
fn listen(parser: &mut lexopt::Parser) -> Result<String, String> {
    let text = value(parser)?.string().map_err(|e| e.to_string())?;
    let is_address = match text.strip_prefix("unix:") {
        Some(path) => !path.is_empty(),
        None => host_and_port(&text).is_some(),
    };
    if is_address {
        return Ok(text);
    }
    Err(format!("--listen: got {text:?}, expected HOST:PORT, as 127.0.0.1:6666 or [::1]:6666, or unix:/path"))
}

/// The value of an option, one of a few.
fn choice<T: Copy>(option: &str, parser: &mut lexopt::Parser, choices: &[(&str, T)]) -> Result<T, String> {
    let value = value(parser)?;
    named(choices, &value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{option}: got {value:?}, expected {}", names.join(" or "))
    })
}

/// The depth behind `--verify`, where there is one: `--verify=records`, or the next argument when it is a depth's name.
fn depth(parser: &mut lexopt::Parser) -> Result<Depth, String> {
    if let Some(value) = parser.optional_value() {
        return named(&DEPTHS, &value)
            .ok_or_else(|| format!("--verify: got {value:?}, expected quick or checksums or records"));
    }
    let next = parser.try_raw_args().and_then(|mut rest| rest.next_if(|next| named(&DEPTHS, next).is_some()));
    Ok(next.and_then(|next| named(&DEPTHS, &next)).unwrap_or(Depth::Records))
}

fn overview() -> String {
    let mut text = String::from("Kvrocks light enough to live inside your process: work on data directories.\n\n");
    for page in PAGES {
        text.push_str(&format!("  pumice {:<12}{}\n", page.name, page.about));
    }
    text.push_str(&format!(
        "\n  pumice COMMAND --help    about one of them\n  pumice --version\n\nDIR is the folder that holds db, as a \
Kvrocks' dir does.\n{END}\n"
    ));
    filled(&text)
}

fn help(page: &Page) -> String {
    filled(&format!("{}.\n\n  pumice {} {}\n\n{}\n\n{END}\n", page.about, page.name, page.synopsis, page.details))
}

/// Breaks long lines at words; what goes on below an option stands under its description.
fn filled(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut out = String::new();
    for line in text.lines() {
        let indent = if line.starts_with("  --") { 22 } else { 0 };
        let mut column = 0;
        for (index, word) in line.split(' ').enumerate() {
            if column + 1 + word.chars().count() > WIDTH && !line.starts_with("  pumice") {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if index > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += word.chars().count();
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
    }

    /// A depth is taken from behind `--verify` in every way to write it, and a directory never is.
    #[test]
    fn depths() {
        for (line, expected) in [
            ("inspect d", None),
            ("inspect d --verify", Some(Depth::Records)),
            ("inspect --verify d", Some(Depth::Records)),
            ("inspect --verify quick d", Some(Depth::Quick)),
            ("inspect d --verify checksums", Some(Depth::Checksums)),
            ("inspect --verify=quick d", Some(Depth::Quick)),
        ] {
            let Ok(Asked::Run(Call { command: Command::Inspect(found), json: false })) = parsed(line) else {
                panic!("{line}")
            };
            assert_eq!((found.verify, found.directory), (expected, PathBuf::from("d")), "{line}");
        }
        assert!(parsed("inspect --verify=all d").is_err());
    }

    /// What is missing, unknown or too much is named, with what to type.
    #[test]
    fn wrong_arguments() {
        for (line, words) in [
            ("", "a command is missing; type one of: pumice serve"),
            ("inspekt d", "command \"inspekt\""),
            ("inspect", "DIR is missing; type: pumice inspect DIR"),
            ("checkpoint d", "TARGET is missing; type: pumice checkpoint DIR TARGET"),
            ("checkpoint a b c", "argument \"c\""),
            ("checkpoint a b --brief", "invalid option '--brief'"),
            ("convert a b", "--to is missing"),
            ("convert a b --to", "missing argument for option '--to'"),
            ("convert a b --to x", "--to: got \"x\", expected cluster or standalone"),
            ("convert a b --to cluster --compression x", "--compression: got \"x\", expected none or snappy"),
            ("--jason", "invalid option '--jason'"),
            ("follow d", "HOST:PORT is missing; type: pumice follow DIR HOST:PORT"),
            ("follow d host", "\"host\": expected HOST:PORT"),
            ("follow d ::1:6666", "\"::1:6666\": expected HOST:PORT"),
            ("follow d host:0", "expected HOST:PORT"),
            ("follow d [host]:1", "expected HOST:PORT"),
            ("follow d host:70000", "expected HOST:PORT"),
            ("follow d host:1 --announce-port x", "--announce-port: got \"x\""),
            ("serve d --listen", "missing argument for option '--listen'"),
            ("serve d --listen foo", "--listen: got \"foo\", expected HOST:PORT"),
            ("serve d --listen 127.0.0.1:99999", "--listen: got \"127.0.0.1:99999\""),
            ("serve d --listen :6666", "--listen: got \":6666\""),
            ("serve d --listen [x]:6666", "--listen: got \"[x]:6666\""),
            ("serve d --listen ::1:6666", "--listen: got \"::1:6666\""),
            ("serve d --listen unix:", "--listen: got \"unix:\""),
            ("serve d --listen unix:s --tls-cert c --tls-key k", "got \"unix:s\" and TLS, expected HOST:PORT"),
            ("serve d --tls-cert c", "--tls-cert and --tls-key: got one of them"),
            ("serve d --tls-client-ca c", "expected --tls-cert and --tls-key with them"),
            ("serve d --tls-ca c", "invalid option '--tls-ca'"),
            ("follow d h:1 --tls-ca a --tls-key c", "--tls-cert and --tls-key: got one of them"),
            ("follow d h:1 --tls-server-name n", "expected --tls-ca with them"),
        ] {
            let Err(message) = parsed(line) else { panic!("{line}") };
            assert!(message.contains(words), "{line}: {message}");
            assert!(message.contains("type"), "{line}: {message}");
        }
    }

    /// Names, addresses, and IPv6 addresses in brackets are hosts.
    #[test]
    fn addresses() {
        for (text, host, port) in
            [("host:6666", "host", 6666), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:6666", "::1", 6666)]
        {
            assert_eq!(address(text.as_ref()), Ok((host.to_owned(), port)));
        }
        for text in ["host:0", "10.0.0.1:65535", "[::1]:6666", "unix:socket"] {
            let asked = parsed(&format!("serve d --listen {text}"));
            let Ok(Asked::Run(Call { command: Command::Serve(serve), .. })) = asked else { panic!("{text}") };
            assert_eq!(serve.listen, text);
        }
    }

    /// Every command has help that names its places, and no line of it is too long for a terminal.
    #[test]
    fn every_help() {
        for page in PAGES {
            for line in [format!("{} --help", page.name), format!("help {}", page.name)] {
                let Ok(Asked::Text(text)) = parsed(&line) else { panic!("{line}") };
                assert!(text.contains(page.synopsis), "{text}");
                assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
            }
            let Ok(Asked::Text(text)) = parsed("--help") else { panic!() };
            assert!(text.contains(page.about), "{text}");
        }
    }
}
