//! `pumice apply`.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Failure;
use super::progress::Display;
use super::report::{Report, position_json, position_text};
use super::signals::Signals;
use super::table::{Table, count, size};
use crate::{Engine, Options};

/// What was there before.
enum Before {
    Nothing,
    EmptyFolder,
    Something,
}

pub fn run(directory: &Path, checkpoint: &Path, verify: bool, signals: &Signals) -> Result<Report, Failure> {
    let before = match fs::read_dir(directory).map(Iterator::count) {
        Ok(0) => Before::EmptyFolder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Before::Nothing,
        _ => Before::Something,
    };
    let mut display = Display::begin("open");
    signals.make();
    let engine = Engine::open(directory, &Options::default())?;
    let applied = engine.apply_checkpoint_watched(checkpoint, verify, &mut |progress| {
        display.tell(progress);
        signals.flow()
    });
    drop(display);
    if let Err(error) = applied {
        engine.close()?;
        clear(directory, &before);
        return Err(error.into());
    }
    let info = engine.info()?;
    engine.close()?;
    let mut table = Table::new(&[]);
    table.row(["applied to", &info.path.display().to_string()]);
    table.row(["role", info.role.name()]);
    table.row(["position", &position_text(&info.position)]);
    table.row(["namespaces", &count(info.namespaces + 1)]);
    table.row(["table files", &format!("{}, {}", count(info.table_files), size(info.table_bytes))]);
    let json = json!({
        "path": info.path.to_string_lossy(),
        "role": info.role.name(),
        "position": position_json(&info.position),
        "generation": info.generation,
        "namespaces": info.namespaces + 1,
        "table_files": info.table_files,
        "table_bytes": info.table_bytes,
    });
    Ok(Report::good(table.to_string(), json))
}

/// Removes the database that was made only to take the checkpoint.
fn clear(directory: &Path, before: &Before) {
    // What cannot be removed is an empty database, which does no harm.
    let _ = match before {
        Before::Nothing => fs::remove_dir_all(directory),
        Before::EmptyFolder => fs::read_dir(directory).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        }),
        Before::Something => Ok(()),
    };
}
