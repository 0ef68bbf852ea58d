//! `pumice convert`.

use std::path::Path;

use serde_json::json;

use super::Failure;
use super::progress::Display;
use super::report::{Report, name_text, position_json, position_text};
use super::signals::Signals;
use super::table::{Table, count, size};
use crate::ConvertOptions;

pub fn run(source: &Path, target: &Path, options: &ConvertOptions, signals: &Signals) -> Result<Report, Failure> {
    let mut display = Display::begin("open");
    signals.make();
    let made = crate::convert(source, target, options, &mut |progress| {
        display.tell(progress);
        signals.flow()
    })?;
    drop(display);
    let mut table = Table::new(&[]);
    table.row(["converted to", &made.path.display().to_string()]);
    table.row(["layout", made.layout]);
    table.row(["namespace", &name_text(&made.namespace)]);
    table.row(["position", &position_text(&made.position)]);
    table.row(["keys", &count(made.keys)]);
    table.row(["records", &format!("{}, {} before compression", count(made.records), size(made.bytes))]);
    for left_out in &made.left_out {
        table.row(["left out", left_out]);
    }
    let json = json!({
        "path": made.path.to_string_lossy(),
        "layout": made.layout,
        "namespace": String::from_utf8_lossy(&made.namespace),
        "position": position_json(&made.position),
        "keys": made.keys,
        "records": made.records,
        "bytes": made.bytes,
        "left_out": made.left_out,
    });
    Ok(Report::good(table.to_string(), json))
}
