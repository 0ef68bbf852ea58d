//! The walls between the parts of the source, and what every file keeps to.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tracked file of text.
struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Lines of code: without comments and doc comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.name == *place || (place.ends_with('/') && self.name.starts_with(place)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tracked sources; nothing where this is no checkout.
fn sources() -> Option<Vec<Source>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().ok()?;
    if !listed.status.success() {
        support::skipped("this is not a git checkout");
        return None;
    }
    let names: Vec<String> = String::from_utf8(listed.stdout).unwrap().split('\0').map(str::to_owned).collect();
    let kinds = ["rs", "py", "pyi", "c", "h", "hpp", "toml", "md", "txt", "sh"];
    let wanted = names.into_iter().filter(|name| {
        let path = Path::new(name);
        let known = path.extension().is_some_and(|extension| kinds.iter().any(|kind| extension == *kind));
        (known || name == "Makefile" || name.starts_with("tools/")) && !name.starts_with("tests/fixtures/")
    });
    let sources: Vec<Source> = wanted
        .filter_map(|name| std::fs::read_to_string(root().join(&name)).ok().map(|text| Source { name, text }))
        .collect();
    let rust = sources.iter().filter(|source| source.name.ends_with(".rs")).count();
    assert!(rust > 30, "only {rust} files were seen");
    Some(sources)
}

/// Fails with every place outside of `allowed` where code under `src/` has one of these words.
fn only_in(words: &[&str], allowed: &[&str]) {
    let Some(sources) = sources() else { return };
    let mut seen = 0;
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.name.starts_with("src/") && source.name.ends_with(".rs")) {
        for (number, line) in source.code() {
            if has_word(line, words) {
                seen += 1;
                if !source.is_under(allowed) {
                    found.push(format!("{}:{number}: {}", source.name, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{words:?} belong to {allowed:?} only:\n{}", found.join("\n"));
    assert!(seen > 0 || allowed.iter().all(|place| !root().join(place).exists()), "{words:?} were seen nowhere");
}

/// Whether a line has one of the words, not as a part of a longer one.
fn has_word(line: &str, words: &[&str]) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    words.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let longer = after.is_some_and(part) && word.ends_with(part);
            !before.is_some_and(part) && !longer
        })
    })
}

/// RocksDB is known to the storage floor alone.
#[test]
fn rocksdb_is_in_storage() {
    only_in(&["use rocksdb", "rocksdb::", "librocksdb_sys"], &["src/engine/storage/"]);
}

/// Time is read in one place.
#[test]
fn time_is_in_clock() {
    only_in(&["SystemTime", "Instant::now"], &["src/engine/clock.rs"]);
}

/// What the compiler cannot check is where RocksDB, C and Python are met.
#[test]
fn unsafe_is_at_the_edges() {
    only_in(&["unsafe"], &["src/engine/storage/", "src/capi/", "src/python/buffer.rs"]);
}

/// Sockets are in the transport and in the server.
#[test]
fn sockets_are_in_two_places() {
    only_in(
        &["std::net", "TcpStream", "TcpListener", "UnixStream"],
        &["src/engine/replication/tcp.rs", "src/engine/server/"],
    );
}

/// The faces know nothing of each other, but that Python starts the program, and reach the engine by its public names.
#[test]
fn faces_are_apart() {
    let Some(sources) = sources() else { return };
    for (face, others) in [("capi", &["python", "cli"][..]), ("python", &["capi"]), ("cli", &["capi", "python"])] {
        let mut seen = 0;
        let folder = format!("src/{face}/");
        for source in sources.iter().filter(|source| source.name.starts_with(&folder) && source.name.ends_with(".rs")) {
            seen += 1;
            for (number, line) in source.code() {
                let crossed = others
                    .iter()
                    .any(|other| has_word(line, &[&format!("crate::{other}"), &format!("super::super::{other}")]));
                assert!(!crossed, "{}:{number}: {line}", source.name);
                assert!(!has_word(line, &["crate::engine"]), "{}:{number}: {line}", source.name);
            }
        }
        assert!(seen > 1, "{face}: {seen}");
    }
}

/// The floors in the order of `src/engine/mod.rs`.
fn floors() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(root().join("src/engine/mod.rs")).unwrap();
    let mut floor = 0;
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.split(':').next().unwrap().parse().unwrap();
        }
        let module = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        if let Some(module) = module {
            floors.insert(module.to_owned(), floor);
        }
    }
    floors
}

/// Each floor of the engine imports from its own and from those below, never from above.
#[test]
fn imports_go_down() {
    let Some(sources) = sources() else { return };
    let floors = floors();
    assert!(floors.len() > 12 && floors.values().max() >= Some(&5), "{floors:?}");
    let mut imports = 0;
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.name.ends_with(".rs")) {
        let Some(inside) = source.name.strip_prefix("src/engine/") else { continue };
        if inside == "mod.rs" {
            continue;
        }
        let path = PathBuf::from(inside);
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let own = floors.get(&module).unwrap_or_else(|| panic!("{module} has no floor in src/engine/mod.rs"));
        let depth = path.iter().count() - 1;
        // In a module of tests `super` means something else.
        let tests = source.text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX);
        for (number, line) in source.code().take_while(|(number, _)| *number <= tests) {
            // How a file of that depth names what is next to its folder.
            let up = "super::".repeat(depth + 1);
            for start in [up.as_str(), "crate::engine::"] {
                for (at, _) in line.match_indices(start) {
                    if line[..at].ends_with("::") {
                        continue;
                    }
                    let rest = &line[at + start.len()..];
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let Some(floor) = floors.get(&name) else { continue };
                    imports += 1;
                    if floor > own {
                        wrong.push(format!("{}:{number}: floor {own} imports {name} of floor {floor}", source.name));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(imports > 60, "{imports}");
}

/// No file of Rust or Python is longer than one can keep in mind.
#[test]
fn files_are_short() {
    let Some(sources) = sources() else { return };
    for source in &sources {
        let lines = source.text.lines().count();
        let counted = [".rs", ".py"].iter().any(|kind| source.name.ends_with(kind));
        assert!(!counted || lines < 700, "{} has {lines} lines", source.name);
    }
}

/// Names say what a thing is, not that it does something to others.
#[test]
fn names_say_what_it_is() {
    let Some(sources) = sources() else { return };
    let vague = ["manager", "helper", "util"];
    for source in &sources {
        let name = source.name.to_lowercase();
        assert!(!vague.iter().any(|word| name.contains(word)), "{}", source.name);
        if !source.name.ends_with(".rs") {
            continue;
        }
        for (number, line) in source.code() {
            let mut words = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .skip_while(|word| !["struct", "enum", "trait", "type", "mod", "class"].contains(word));
            if let (Some(_), Some(name)) = (words.next(), words.next()) {
                let lower = name.to_lowercase();
                assert!(!vague.iter().any(|word| lower.contains(word)), "{}:{number}: {line}", source.name);
            }
        }
    }
}

/// No file names a place that only one machine has.
#[test]
fn no_machine_paths() {
    let Some(sources) = sources() else { return };
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/tmp", "/t-"),
    ];
    for source in &sources {
        for (number, line) in source.text.lines().enumerate() {
            let found = places.iter().find(|place| line.contains(**place));
            assert!(found.is_none(), "{}:{}: {line}", source.name, number + 1);
        }
    }
}
