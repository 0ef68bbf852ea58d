//! `include/pumice.h` is what cbindgen makes from `src/capi/`. With PUMICE_WRITE_HEADER=1 it is written anew.

use std::collections::BTreeSet;
use std::path::Path;

/// The files in the order in which a reader of the header should meet their functions.
const FILES: [&str; 26] = [
    "error",
    "constants",
    "bytes",
    "options",
    "position",
    "engine",
    "namespace",
    "items",
    "reply",
    "batch",
    "snapshot",
    "progress",
    "checkpoint",
    "convert",
    "log",
    "changes",
    "link",
    "feeds",
    "listener",
    "topology",
    "events",
    "verify",
    "info",
    "usage",
    "argument",
    "setting",
];

fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in FILES {
        builder = builder.with_src(root.join(format!("src/capi/{file}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn header_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/pumice.h");
    let header = made();
    if std::env::var_os("PUMICE_WRITE_HEADER").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &header).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    if let Some((line, (kept, made))) = kept.lines().zip(header.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!("include/pumice.h, line {}: got {kept:?}, expected {made:?}; run `make header`", line + 1);
    }
    assert_eq!(kept.len(), header.len(), "include/pumice.h: run `make header`");
}

/// Every file of the C face and every exported function is in the header, and nothing else.
#[test]
fn header_is_complete() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
    let (mut files, mut exported) = (BTreeSet::new(), BTreeSet::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if line == "#[unsafe(no_mangle)]" {
                let name = lines.next().unwrap().strip_prefix("pub extern \"C\" fn ").unwrap();
                exported.insert(name.split('(').next().unwrap().to_owned());
            }
        }
        files.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    files.remove("mod");
    assert_eq!(files, FILES.map(str::to_owned).into());
    let header = made();
    let code = header.split("*/").filter_map(|part| part.split("/*").next());
    let words: Vec<_> =
        code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '(')).collect();
    let declared: BTreeSet<_> = words
        .iter()
        .filter_map(|word| word.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("pumice_"))
        .collect();
    assert!(exported.len() > 100, "saw {} functions", exported.len());
    assert_eq!(exported, declared);
}
