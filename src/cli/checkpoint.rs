//! `pumice checkpoint`.

use std::path::Path;

use serde_json::json;

use super::Failure;
use super::progress::Display;
use super::report::{Report, position_json, position_text};
use super::signals::Signals;
use super::table::{Table, count, size};
use crate::{Engine, Options};

pub fn run(directory: &Path, target: &Path, signals: &Signals) -> Result<Report, Failure> {
    let mut display = Display::begin("open");
    let engine = Engine::open(directory, &Options { create: false, ..Default::default() })?;
    signals.make();
    let made = engine.create_checkpoint_watched(target, &mut |progress| {
        display.tell(progress);
        signals.flow()
    })?;
    engine.close()?;
    drop(display);
    let mut table = Table::new(&[]);
    table.row(["checkpoint", &made.path.display().to_string()]);
    table.row(["position", &position_text(&made.position)]);
    table.row(["files", &format!("{}, {}", count(made.files), size(made.bytes))]);
    let json = json!({
        "path": made.path.to_string_lossy(),
        "position": position_json(&made.position),
        "files": made.files,
        "bytes": made.bytes,
    });
    Ok(Report::good(table.to_string(), json))
}
